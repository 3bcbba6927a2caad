//! Reaching a server.

use super::Options;
use crate::Error;
use conveyor_proto::v1::driver_service_client::DriverServiceClient;
use conveyor_proto::v1::{SessionRequest, SessionResponse};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Streaming};

/// The longest message: the contract's limit `message_bytes`, and what goes with it.
const MESSAGE_BYTES: usize = 68 << 20;
/// How long a server has to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// A silent connection is asked whether anybody is there, and broken where nobody answers within as
/// long: a half of the shortest lease that is usual.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// The first pause before another try; it doubles up to [`MOST`].
const FIRST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(10);

/// A connection: what the engine says, and where what the driver says goes.
pub(super) struct Connection {
    pub(super) incoming: Streaming<SessionResponse>,
    pub(super) outgoing: mpsc::UnboundedSender<SessionRequest>,
}

/// Connects once.
pub(super) async fn connect(options: Options) -> Result<Connection, Error> {
    let address = options.address();
    let unavailable = |error: &dyn std::error::Error| {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        Error::Unavailable(format!("{address}: {text}"))
    };
    let channel = match address.strip_prefix("unix:") {
        Some(path) => {
            let endpoint = tuned(Endpoint::from_static("http://conveyor.invalid"));
            crate::dial::unix(endpoint, path).await
        }
        None => {
            let endpoint = Endpoint::from_shared(address.clone());
            let endpoint =
                endpoint.map_err(|error| Error::Address(format!("{address}: {error}")))?;
            tuned(endpoint).connect().await
        }
    };
    let channel = channel.map_err(|error| unavailable(&error))?;
    let mut client = DriverServiceClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES);
    let (outgoing, messages) = mpsc::unbounded_channel();
    let mut request = Request::new(UnboundedReceiverStream::new(messages));
    if let Some(token) = options.access_token() {
        let value: MetadataValue<_> = format!("Bearer {token}").parse().map_err(|_| {
            Error::Refused("the access token has characters that none has".to_owned())
        })?;
        request.metadata_mut().insert("authorization", value);
    }
    let answered = client.session(request).await;
    let incoming = answered.map_err(|status| match status.code() {
        Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented => {
            Error::Refused(format!("{address}: {}", status.message()))
        }
        _ => unavailable(&status),
    })?;
    Ok(Connection {
        incoming: incoming.into_inner(),
        outgoing,
    })
}

fn tuned(endpoint: Endpoint) -> Endpoint {
    endpoint
        .tcp_nodelay(true)
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true)
}

/// How long to wait before the try after so many failures: twice as long each time, and of that a
/// random half, so that a thousand drivers do not come back together (R42).
pub(super) fn pause(failures: u32) -> Duration {
    let most = FIRST.saturating_mul(1 << failures.min(10)).min(MOST);
    let random = f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX);
    most.mul_f64(0.5 + random / 2.0)
}
