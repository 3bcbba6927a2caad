use crate::Error;
use std::fs;
use std::path::{Path, PathBuf};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

/// Whom a connection over `https` believes, and what it shows.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// The authority that signed the server's certificate, PEM. Default: the file that `CONVEYOR_CA` names,
    /// else the authorities of the system.
    pub ca: Option<PathBuf>,
    /// A certificate to show, and those between it and a root, PEM. Default: the file that
    /// `CONVEYOR_CLIENT_CERT` names, else none.
    pub cert: Option<PathBuf>,
    /// The certificate's private key, PEM. Default: the file that `CONVEYOR_CLIENT_KEY` names.
    pub key: Option<PathBuf>,
}

impl Tls {
    /// As a connection wants it. The files are read for each connection: they may have changed.
    pub(crate) fn config(&self) -> Result<ClientTlsConfig, Error> {
        let named = |path: &Option<PathBuf>, variable: &str| {
            let from_environment = || std::env::var_os(variable).filter(|name| !name.is_empty());
            path.clone()
                .or_else(|| from_environment().map(PathBuf::from))
        };
        let config = match named(&self.ca, "CONVEYOR_CA") {
            Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(&ca)?)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        let cert = named(&self.cert, "CONVEYOR_CLIENT_CERT");
        let key = named(&self.key, "CONVEYOR_CLIENT_KEY");
        match (cert, key) {
            (Some(cert), Some(key)) => {
                Ok(config.identity(Identity::from_pem(read(&cert)?, read(&key)?)))
            }
            (None, None) => Ok(config),
            _ => Err(Error::Address(
                "a client certificate and its key belong together: one of them is missing"
                    .to_owned(),
            )),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| Error::Address(format!("{}: {error}", path.display())))
}

/// The access token that a file has, without the end of its line.
///
/// # Errors
/// When it cannot be read, or is no text.
pub fn token_file(path: &Path) -> Result<String, Error> {
    let text = fs::read_to_string(path);
    let text = text.map_err(|error| Error::Refused(format!("{}: {error}", path.display())))?;
    Ok(text.trim().to_owned())
}

/// Refuses to show a token to whoever is on the way.
pub(crate) fn may_show(address: &str) -> Result<(), Error> {
    let Some(rest) = address.strip_prefix("http://") else {
        return Ok(());
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority
            .rsplit_once(':')
            .map_or(authority, |(host, _)| host),
    };
    let address = host.parse::<std::net::IpAddr>();
    match host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|ip| ip.is_loopback()) {
        true => Ok(()),
        false => Err(Error::Refused(format!(
            "an access token would go to {host} in the clear: use https://{authority}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::may_show;

    #[test]
    fn a_token_goes_to_no_other_machine_in_the_clear() {
        for address in [
            "http://127.0.0.1:7420",
            "http://localhost:7420",
            "http://[::1]:7420/",
            "https://conveyor.example.com",
            "unix:/var/lib/conveyor",
        ] {
            assert!(may_show(address).is_ok(), "{address}");
        }
        for address in [
            "http://conveyor.example.com:7420",
            "http://10.0.0.7:7420",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com:80",
        ] {
            assert!(may_show(address).is_err(), "{address}");
        }
    }
}
