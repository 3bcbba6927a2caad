//! A connection: a stream, or calls that stand in for one.

use crate::breaks::Breaks;
use crate::connect::Client;
use crate::pace::Settled;
use conveyor_proto::v1;
use conveyor_proto::v1::session_request::Message as Tell;
use conveyor_proto::v1::session_response::Message as Told;
use std::collections::BTreeSet;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Status, Streaming};

/// So many messages for each place of the capacity may be on their way, and so many besides (R62).
const FOR_EACH_PLACE: usize = 4;
const BESIDES: usize = 256;

/// Something that the engine says.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one of them at once")]
pub(crate) enum Heard {
    /// A message; nothing where it is of a kind that is not known.
    Message(Option<Told>),
    /// The call that carried this message was answered.
    Done(u64),
}

/// A way to the engine and back.
pub(crate) struct Wire {
    outgoing: Option<mpsc::UnboundedSender<v1::SessionRequest>>,
    incoming: Incoming,
}

enum Incoming {
    Stream(Box<Streaming<v1::SessionResponse>>),
    Calls(mpsc::UnboundedReceiver<Result<Heard, Status>>),
}

impl Wire {
    /// Opens a stream.
    ///
    /// # Errors
    /// The status that it is refused with.
    pub(crate) async fn stream(mut client: Client, breaks: Breaks) -> Result<Wire, Status> {
        breaks.open_another_stream(&client);
        let (outgoing, messages) = mpsc::unbounded_channel();
        let answered = client
            .session(UnboundedReceiverStream::new(messages))
            .await?;
        let incoming = Incoming::Stream(Box::new(answered.into_inner()));
        Ok(Wire {
            outgoing: Some(outgoing),
            incoming,
        })
    }

    /// What carries messages by calls.
    pub(crate) fn calls(
        outgoing: mpsc::UnboundedSender<v1::SessionRequest>,
        incoming: mpsc::UnboundedReceiver<Result<Heard, Status>>,
    ) -> Wire {
        Wire {
            outgoing: Some(outgoing),
            incoming: Incoming::Calls(incoming),
        }
    }

    /// What the engine says next; nothing where it has ended the connection.
    ///
    /// # Errors
    /// The status that the connection ended with.
    pub(crate) async fn heard(&mut self) -> Result<Option<Heard>, Status> {
        match &mut self.incoming {
            Incoming::Stream(stream) => {
                let message = stream.message().await?;
                Ok(message.map(|message| Heard::Message(message.message)))
            }
            Incoming::Calls(calls) => calls.recv().await.transpose(),
        }
    }

    /// Whether each message is repeated by itself until it is answered.
    pub(crate) fn repeats(&self) -> bool {
        matches!(self.incoming, Incoming::Calls(_))
    }

    /// Nothing more is said.
    pub(crate) fn no_more(&mut self) {
        self.outgoing = None;
    }
}

/// A connection, and what was said over it.
pub(crate) struct Link {
    pub(crate) wire: Wire,
    pub(crate) since: Instant,
    pub(crate) welcome: bool,
    /// Bytes of lines that may be sent (R31).
    pub(crate) window: u64,
    /// Whether the engine has said that it is about to stop.
    pub(crate) draining: bool,
    breaks: Breaks,
    sequence: u64,
    /// Messages on their way, by number, but for heartbeats (R62).
    open: BTreeSet<u64>,
    most: usize,
}

impl Link {
    pub(crate) fn new(wire: Wire, capacity: u32, breaks: Breaks) -> Link {
        Link {
            wire,
            since: Instant::now(),
            welcome: false,
            window: 0,
            draining: false,
            breaks,
            sequence: breaks.number_before_first(),
            open: BTreeSet::new(),
            most: FOR_EACH_PLACE * capacity as usize + BESIDES,
        }
    }

    /// Sends a message under the next number (R6).
    pub(crate) fn tell(&mut self, message: Tell) -> u64 {
        self.sequence = self.breaks.number_after(self.sequence);
        if !matches!(message, Tell::Heartbeat(_)) {
            self.open.insert(self.sequence);
        }
        let request = v1::SessionRequest {
            sequence: self.sequence,
            message: Some(message),
        };
        if let Some(outgoing) = &self.wire.outgoing {
            // A broken connection is seen where it is read.
            let _ = outgoing.send(request);
        }
        self.sequence
    }

    /// The last message that is on its way.
    pub(crate) fn last_open(&self) -> Option<u64> {
        self.open.last().copied()
    }

    /// The most messages that may be on their way.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// How many more messages may be on their way.
    pub(crate) fn room(&self) -> usize {
        self.most.saturating_sub(self.open.len())
    }

    pub(crate) fn settled(&mut self, settled: Settled) {
        self.open.retain(|&sequence| !settled.has(sequence));
    }
}
