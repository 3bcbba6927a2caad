//! Opening a session's stream.

use super::Options;
use crate::Error;
use crate::dial::{self, MESSAGE_BYTES};
use conveyor_proto::v1::driver_service_client::DriverServiceClient;
use conveyor_proto::v1::{SessionRequest, SessionResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Request, Streaming};

/// A connection: what the engine says, and where what the driver says goes.
pub(super) struct Connection {
    pub(super) incoming: Streaming<SessionResponse>,
    pub(super) outgoing: mpsc::UnboundedSender<SessionRequest>,
}

/// Connects once.
pub(super) async fn connect(options: Options) -> Result<Connection, Error> {
    let address = options.address();
    let token = options.access_token();
    let channel = dial::dial(&address, &options.tls, token.as_deref()).await?;
    let mut client = DriverServiceClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES);
    let (outgoing, messages) = mpsc::unbounded_channel();
    let mut request = Request::new(UnboundedReceiverStream::new(messages));
    if let Some(token) = token {
        let value = dial::bearer(&token)?;
        request.metadata_mut().insert("authorization", value);
    }
    let answered = client.session(request).await;
    let incoming = answered.map_err(|status| match status.code() {
        Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented => {
            Error::Refused(format!("{address}: {}", status.message()))
        }
        _ => Error::Unavailable(dial::why(&address, &status)),
    })?;
    Ok(Connection {
        incoming: incoming.into_inner(),
        outgoing,
    })
}
