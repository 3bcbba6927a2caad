//! A session over a stream.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `opening` | the first message: a new session, or an earlier one |
//! | `tell`, `take` | what the engine tells the driver; what the driver tells the engine |
//! | `durable` | what is to be durable before it is acknowledged |

mod durable;
mod opening;
mod take;
mod tell;

use super::logs::{self, Batch, Kept};
use super::pending::{self, Kind, Pending};
use super::{DriverHandlers, LOG_WINDOW, MESSAGE_BYTES, driving};
use crate::caller::Caller;
use conveyor_node::NodeError;
use conveyor_node::owner::SessionEvent;
use conveyor_node::session::{Link, Session};
use conveyor_node::token::Claimed;
use conveyor_proto::v1::session_request::Message as Say;
use conveyor_proto::v1::session_response::Message as Tell;
use conveyor_proto::{contract, v1};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use prost::bytes::Bytes;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};

/// How long a driver has for its first message (R2).
const FIRST: Duration = Duration::from_millis(contract::FIRST_MESSAGE_MS);
/// Answers on their way to a driver. One that does not read them is not read from.
const BUFFER: usize = 64;

/// What the stream answers with.
pub(super) type Answers = ReceiverStream<Result<v1::SessionResponse, Status>>;

type Later = Pin<Box<dyn Future<Output = Done> + Send>>;

/// Something that a driver sent is done.
struct Done {
    what: What,
    answer: Answer,
}

/// What a driver sent.
enum What {
    /// What is done with as soon as it is read.
    Read,
    /// A heartbeat.
    Beat,
    /// Messages before it that want no answer.
    Told,
    /// What is to be durable before its message is acknowledged.
    Durable(Kind, Claimed, u64),
}

enum Answer {
    Nothing,
    Tell(Box<Tell>),
    Acknowledge(Told),
    /// What became of a report, where that is known, and of the checkpoint before it.
    Report(Vec<v1::RefusedMessage>, Option<v1::ReportOutcome>),
}

/// What an acknowledgement tells of tokens.
#[derive(Default)]
struct Told {
    stale: Vec<Bytes>,
    refused: Vec<v1::RefusedMessage>,
}

impl Told {
    fn stale(token: Bytes) -> Told {
        Told {
            stale: vec![token],
            ..Told::default()
        }
    }

    fn refused(refused: v1::RefusedMessage) -> Told {
        Told {
            refused: vec![refused],
            ..Told::default()
        }
    }
}

/// Why a session's stream ends.
enum End {
    /// The driver is gone, or does not read.
    Gone,
    /// The driver holds nothing any more.
    Left,
    /// It is told why.
    Goodbye(v1::Goodbye),
    /// What it sent cannot be read: the stream ends with this.
    Unread(Status),
}

fn goodbye(reason: v1::GoodbyeReason, message: impl Into<String>) -> End {
    End::Goodbye(v1::Goodbye {
        reason: reason.into(),
        message: message.into(),
        retry_after_ms: None,
    })
}

impl DriverHandlers {
    pub(super) fn open_stream(
        &self,
        request: Request<Streaming<v1::SessionRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let caller = driving("session", request.extensions())?;
        let incoming = request.into_inner();
        let (sender, receiver) = mpsc::channel(BUFFER);
        let handlers = self.clone();
        // The answer's headers go out at once; what is refused is told on the stream.
        tokio::spawn(async move {
            let mut stream = Outgoing {
                sender,
                sequence: 0,
            };
            // Whoever is to be told may have gone.
            match handlers.converse(&caller, incoming, &mut stream).await {
                End::Goodbye(goodbye) => drop(stream.send(Tell::Goodbye(goodbye)).await),
                End::Unread(status) => drop(stream.sender.send(Err(status)).await),
                End::Gone | End::Left => {}
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn converse(
        &self,
        caller: &Caller,
        mut incoming: Streaming<v1::SessionRequest>,
        stream: &mut Outgoing,
    ) -> End {
        let first = match tokio::time::timeout(FIRST, incoming.message()).await {
            Ok(Ok(Some(first))) => first,
            Ok(Ok(None)) => return End::Gone,
            Ok(Err(status)) => return unread(status),
            Err(_) => {
                let why = format!("no message came in {FIRST:?}; the first is `hello` or `resume`");
                return goodbye(v1::GoodbyeReason::Limit, why);
            }
        };
        let opened = match first.message {
            Some(Say::Hello(hello)) => self.greet(caller, &hello).await,
            Some(Say::Resume(resume)) => self.resume(caller, &resume).await,
            _ => Err(goodbye(
                v1::GoodbyeReason::Refused,
                "the first message of a session is `hello` or `resume`",
            )),
        };
        let (link, welcome) = match opened {
            Ok(opened) => opened,
            Err(end) => return end,
        };
        if stream.send(Tell::Welcome(welcome)).await.is_err() {
            return End::Gone;
        }
        let session = link.session();
        let conversation = Conversation::new(self.clone(), session.clone(), first.sequence);
        let end = conversation.run(link, incoming, stream).await;
        if matches!(end, End::Left) {
            // The node may have ended: its next opening finds the session gone silent.
            let _ = session.tell(SessionEvent::Left);
        }
        end
    }
}

/// Nothing more can be read of a stream: the connection broke, or what came is no message.
fn unread(status: Status) -> End {
    // A length over the limit, which is refused before it is read.
    if status.code() == Code::OutOfRange {
        let why = format!(
            "a message is longer than the limit `message_bytes`, {MESSAGE_BYTES}: {}",
            status.message()
        );
        return goodbye(v1::GoodbyeReason::Limit, why);
    }
    End::Unread(status)
}

fn unavailable(error: &NodeError) -> End {
    End::Goodbye(v1::Goodbye {
        reason: v1::GoodbyeReason::Moved.into(),
        message: error.to_string(),
        retry_after_ms: Some(1000),
    })
}

/// The engine's end of a stream.
struct Outgoing {
    sender: mpsc::Sender<Result<v1::SessionResponse, Status>>,
    sequence: u64,
}

impl Outgoing {
    async fn send(&mut self, message: Tell) -> Result<(), End> {
        self.sequence += 1;
        let response = v1::SessionResponse {
            sequence: self.sequence,
            message: Some(message),
        };
        let sent = self.sender.send(Ok(response)).await;
        sent.map_err(|_| End::Gone)
    }
}

/// One stream, from its welcome to its end.
struct Conversation {
    handlers: DriverHandlers,
    session: Session,
    /// The last message of the driver.
    received: u64,
    pending: Pending,
    /// What is being done, and answered when it is durable.
    later: FuturesUnordered<Later>,
    batches: mpsc::UnboundedSender<Batch>,
    kept: mpsc::UnboundedReceiver<Kept>,
    /// Bytes of log text that it may still send.
    window: u64,
    /// Whether it was told that the process is about to end.
    drained: bool,
}

impl Conversation {
    fn new(handlers: DriverHandlers, session: Session, received: u64) -> Conversation {
        let (batches, inbox) = mpsc::unbounded_channel();
        let (done, kept) = mpsc::unbounded_channel();
        let keeper = logs::keep(handlers.node.clone(), inbox, done);
        tokio::spawn(keeper);
        Conversation {
            handlers,
            pending: Pending::new(pending::most(session.capacity())),
            session,
            received,
            later: FuturesUnordered::new(),
            batches,
            kept,
            window: LOG_WINDOW,
            drained: false,
        }
    }

    async fn run(
        mut self,
        mut link: Link,
        mut incoming: Streaming<v1::SessionRequest>,
        stream: &mut Outgoing,
    ) -> End {
        let mut ending = self.handlers.ending.subscribe();
        ending.mark_changed();
        loop {
            // What comes in is last: a driver that does not read its answers is not read from.
            let step = tokio::select! {
                biased;
                Some(done) = self.later.next(), if !self.later.is_empty() => {
                    self.done(done, stream).await
                }
                told = link.next() => self.tell(told, stream).await,
                Some(kept) = self.kept.recv() => self.kept(kept, stream).await,
                Ok(()) = ending.changed() => {
                    let now = ending.borrow_and_update().clone();
                    self.ending(now, stream).await
                }
                told = incoming.message() => match told {
                    Ok(Some(request)) => self.take(request),
                    Ok(None) => return End::Gone,
                    Err(status) => return unread(status),
                },
            };
            if let Err(end) = step {
                return end;
            }
        }
    }
}
