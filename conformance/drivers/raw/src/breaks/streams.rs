//! Streams that have no business to be there.

use super::{Break, Breaks};
use crate::connect::Client;
use conveyor_proto::v1;
use conveyor_proto::v1::session_request::Message as Tell;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

impl Breaks {
    /// Once in a process, opens the stream that a switch wants beside the driver's own.
    pub(crate) fn open_another_stream(self, client: &Client) {
        static OPENED: AtomicBool = AtomicBool::new(false);
        let first = match self.0 {
            Some(Break::FirstIsHeartbeat) => Some(Tell::Heartbeat(v1::SessionHeartbeat::default())),
            Some(Break::SilentStream) => None,
            _ => return,
        };
        if !OPENED.swap(true, Ordering::Relaxed) {
            tokio::spawn(listen(client.clone(), first));
        }
    }
}

/// Says the one thing, or nothing, and listens until the engine has enough of it.
async fn listen(mut client: Client, message: Option<Tell>) {
    let (outgoing, messages) = mpsc::unbounded_channel();
    if message.is_some() {
        // The other end is held here.
        let _ = outgoing.send(v1::SessionRequest {
            sequence: 1,
            message,
        });
    }
    if let Ok(answered) = client.session(UnboundedReceiverStream::new(messages)).await {
        let mut stream = answered.into_inner();
        while let Ok(Some(_)) = stream.message().await {}
    }
}
