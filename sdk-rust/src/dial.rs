//! Reaching a server, for drivers and clients alike.

use crate::Error;
use crate::tls::{self, Tls};
use crate::unreachable::tls_advice;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};

/// The longest message: the contract's limit `message_bytes`, and what goes with it.
pub(crate) const MESSAGE_BYTES: usize = 68 << 20;
/// How long a server has to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// A silent connection is asked whether anybody is there, and broken where nobody answers within as
/// long: a half of the shortest lease that is usual.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// The first pause before another try; it doubles up to [`MOST`].
const FIRST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(10);

/// An address of a server, for a program's own options: the same, or [`crate::DEFAULT_URL`] for an empty one.
///
/// # Errors
/// [`crate::ErrorKind::Address`] when none can be: a driver, or a client, would not try it either.
pub fn server_address(address: &str) -> Result<String, Error> {
    if address.is_empty() {
        return Ok(crate::DEFAULT_URL.to_owned());
    }
    check(address)?;
    Ok(address.to_owned())
}

/// Refuses what no server can have, however long one waits for it.
fn check(address: &str) -> Result<(), Error> {
    let no = |why: &str| {
        Err(Error::Address(format!(
            "`{address}` {why}; an address is `http://HOST:PORT`, `https://HOST:PORT` or `unix:PATH`"
        )))
    };
    if let Some(path) = address.strip_prefix("unix:") {
        return match path.strip_prefix("//").unwrap_or(path) {
            "" => no("names no path"),
            _ => Ok(()),
        };
    }
    match address.split_once("://") {
        Some(("http" | "https", _)) => {}
        Some((scheme, _)) => return no(&format!("has the scheme `{scheme}`")),
        None => return no("has no scheme"),
    }
    let uri: tonic::codegen::http::Uri = match address.parse() {
        Ok(uri) => uri,
        Err(error) => return no(&format!("cannot be read ({error})")),
    };
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let host = uri.host().unwrap_or_default();
    if host.is_empty() {
        return no("names no host");
    }
    let port = authority
        .rsplit_once(host)
        .and_then(|(_, port)| port.strip_prefix(':'));
    match port.map(str::parse::<u16>) {
        Some(Err(_)) => no("has a port that is no number up to 65535"),
        _ => Ok(()),
    }
}

/// Connects to an address: `http://HOST:PORT`, `https://HOST:PORT`, or `unix:PATH` (also
/// `unix://PATH`) of a socket or a data directory. The channel connects again by itself.
pub(crate) async fn dial(address: &str, tls: &Tls, token: Option<&str>) -> Result<Channel, Error> {
    check(address)?;
    if token.is_some() {
        tls::may_show(address)?;
    }
    let unavailable = |error: tonic::transport::Error| Error::Unavailable(why(address, &error));
    if let Some(path) = address.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        let endpoint = tuned(Endpoint::from_static("http://conveyor.invalid"));
        return unix(endpoint, path).await.map_err(unavailable);
    }
    let endpoint = Endpoint::from_shared(address.to_owned());
    let endpoint = endpoint.map_err(|error| Error::Address(format!("{address}: {error}")))?;
    let mut endpoint = tuned(endpoint);
    if address.starts_with("https://") {
        endpoint = endpoint.tls_config(tls.config()?).map_err(unavailable)?;
    }
    endpoint.connect().await.map_err(unavailable)
}

/// An error of a connection and what caused it, or what to set where that is known.
pub(crate) fn why(address: &str, error: &(dyn std::error::Error + 'static)) -> String {
    if let Some(advice) = tls_advice(address, error) {
        return advice;
    }
    let mut text = format!("{address}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// The value of the header that shows an access token.
pub(crate) fn bearer(token: &str) -> Result<MetadataValue<Ascii>, Error> {
    let value = format!("Bearer {token}").parse();
    value.map_err(|_| Error::Refused("the access token has characters that none has".to_owned()))
}

/// How long to wait before the try after so many failures: twice as long each time, and of that a
/// random half, so that a thousand drivers do not come back together (R42).
pub(crate) fn pause(failures: u32) -> Duration {
    let most = FIRST.saturating_mul(1 << failures.min(10)).min(MOST);
    let random = f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX);
    most.mul_f64(0.5 + random / 2.0)
}

fn tuned(endpoint: Endpoint) -> Endpoint {
    endpoint
        .tcp_nodelay(true)
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true)
}

/// Connects to a Unix socket, or to that of a data directory.
async fn unix(endpoint: Endpoint, path: &str) -> Result<Channel, tonic::transport::Error> {
    let path = PathBuf::from(path);
    endpoint
        .connect_with_connector(tower::service_fn(move |_: tonic::codegen::http::Uri| {
            let path = path.clone();
            async move {
                let stream = tokio::net::UnixStream::connect(socket_in(&path)).await?;
                Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(stream))
            }
        }))
        .await
}

/// The socket of a data directory: in it, or where its file `control.path` says.
fn socket_in(path: &Path) -> PathBuf {
    if !path.is_dir() {
        return path.to_owned();
    }
    match std::fs::read_to_string(path.join("control.path")) {
        Ok(named) if !named.is_empty() => PathBuf::from(named),
        _ => path.join("control.sock"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn what_no_server_can_have_is_no_address() {
        for address in [
            "junk",
            "localhost:7420",
            "ftp://localhost",
            "HTTPS://localhost",
            "http://",
            "http://:7420",
            "http://a b",
            "http://localhost:",
            "http://localhost:65536",
            "http://localhost:port",
            "unix:",
            "unix://",
        ] {
            let error = server_address(address).expect_err(address);
            assert_eq!(error.kind(), ErrorKind::Address, "{address}");
            let told = error.message();
            let named = told.starts_with(&format!("`{address}` "));
            assert!(named && told.contains("`http://HOST:PORT`"), "{told}");
        }
    }

    #[test]
    fn what_a_server_may_have_is_an_address() {
        for address in [
            crate::DEFAULT_URL,
            "http://localhost",
            "http://localhost:7420/",
            "https://conveyor.example.com:443",
            "http://[::1]:7420",
            "unix:/var/lib/conveyor",
            "unix:///var/lib/conveyor",
            "unix:data",
        ] {
            assert_eq!(server_address(address).expect(address), address);
        }
        assert_eq!(server_address("").expect("the usual"), crate::DEFAULT_URL);
    }
}
