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

/// Connects to an address: `http://HOST:PORT`, `https://HOST:PORT`, or `unix:PATH` (also
/// `unix://PATH`) of a socket or a data directory. The channel connects again by itself.
pub(crate) async fn dial(address: &str, tls: &Tls, token: Option<&str>) -> Result<Channel, Error> {
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
