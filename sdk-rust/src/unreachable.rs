//! Why a server is not reached, and what to set.

use rustls::{AlertDescription, CertificateError, Error as Tls, InvalidMessage};
use std::error::Error;
use std::io;

/// Why a connection to an address did not come about, and what to set, where it is about TLS: an authority that is
/// not known here, another name, a certificate whose time is not now, one that was not shown, or TLS on one side
/// alone. `None` for everything else, such as a port where nobody listens.
#[must_use]
pub fn tls_advice(address: &str, error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(rest) = address.strip_prefix("http://") {
        // What a server with TLS says to a client without is no frame of HTTP/2.
        let strange =
            chain(error).any(|cause| cause.to_string().contains("frame with invalid size"));
        return strange.then(|| {
            format!(
                "what listens at {address} does not speak HTTP/2 in the clear: if it speaks TLS, use \
                 https://{rest}"
            )
        });
    }
    let found = chain(error).find_map(|cause| cause.downcast_ref::<Tls>())?;
    Some(format!("{address}: {}", advice(address, found)))
}

/// An error and what caused it. An `io::Error` names the cause of what it carries, and not that itself.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let carried = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        match carried {
            Some(carried) => Some(carried as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

fn advice(address: &str, error: &Tls) -> String {
    match error {
        Tls::InvalidCertificate(why) => certificate(why),
        Tls::InvalidMessage(InvalidMessage::InvalidContentType) => format!(
            "what listens there speaks no TLS: use http://{} on the same machine, or give the server a certificate \
             (`conveyor serve --tls-cert --tls-key`)",
            address.trim_start_matches("https://")
        ),
        Tls::AlertReceived(AlertDescription::CertificateRequired) => {
            "the server asks for a certificate of the client: set CONVEYOR_CLIENT_CERT and CONVEYOR_CLIENT_KEY".to_owned()
        }
        Tls::AlertReceived(
            alert @ (AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::DecryptError),
        ) => format!(
            "the server does not take the certificate in CONVEYOR_CLIENT_CERT ({alert:?}): show one that the authority of \
             its --tls-client-ca has signed, and that holds now"
        ),
        other => format!("no connection over TLS: {other}"),
    }
}

fn certificate(why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the server's certificate is signed by an authority that is not known here: name the authority's PEM file in \
             CONVEYOR_CA (or --ca)"
                .to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => format!(
            "the server's certificate is for {}, and not for `{}`: use a name that it has as the address, or give the \
             server one for this name",
            match presented.is_empty() {
                true => "no name".to_owned(),
                // Each is written as `DnsName("…")`.
                false => {
                    let names = presented.iter();
                    let names = names.map(|name| name.split('"').nth(1).unwrap_or(name));
                    names.collect::<Vec<_>>().join(", ")
                }
            },
            expected.to_str()
        ),
        CertificateError::NotValidForName => {
            "the server's certificate is for another name: use one that it has as the address, or give the server a \
             certificate for this name"
                .to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired: renew it (the server reads it again by itself), or set this machine's \
             clock right"
                .to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate does not hold yet: set the clocks of both machines right".to_owned()
        }
        other => format!("the server's certificate is not believed: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_found_in_whatever_carries_it() {
        let cause = Tls::InvalidCertificate(CertificateError::Expired);
        let carried = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, cause));
        let advice = tls_advice("https://localhost:7420", &carried);
        assert!(advice.is_some_and(|advice| advice.contains("has expired: renew it")));
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(tls_advice("https://localhost:7420", &refused), None);
        assert_eq!(tls_advice("http://localhost:7420", &refused), None);
    }
}
