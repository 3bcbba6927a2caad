//! What user code says, on its way to the session.

use crate::mask::Mask;
use conveyor_proto::v1;
use prost::bytes::Bytes;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Bytes of lines of one task that wait to be durable: beyond them whoever says a line waits. A few windows.
pub(crate) const ROOM: usize = 4 << 20;

/// Whether something is kept: otherwise why not.
pub(crate) type Kept = Result<(), String>;

/// Something that a task did, by its token.
#[derive(Debug)]
pub(crate) enum Event {
    Line(Bytes, Line),
    Progress(Bytes, u32, String),
    Checkpoint(Bytes, Bytes, oneshot::Sender<Kept>),
    Detach(Bytes, v1::Detached, oneshot::Sender<Kept>),
    Ended(Bytes, End),
    /// A task is to be accepted that was not when it came.
    Accept(Bytes),
}

/// How a program ended.
#[derive(Debug)]
pub(crate) enum End {
    /// With a result, told once.
    Once(v1::Result),
    /// The same, told twice.
    Twice(v1::Result),
    /// It goes on elsewhere.
    Elsewhere,
}

/// A line, without its end.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) time_ms: u64,
    pub(crate) stream: v1::LogStream,
    pub(crate) text: String,
}

/// What user code speaks through.
#[derive(Clone, Debug)]
pub(crate) struct Says {
    pub(crate) token: Bytes,
    pub(crate) events: mpsc::UnboundedSender<Event>,
    pub(crate) room: Arc<Semaphore>,
    pub(crate) mask: Mask,
}

impl Says {
    /// Says a line, once there is room for it.
    pub(crate) async fn line(&self, stream: v1::LogStream, text: &str) {
        let text = self.mask.text(text);
        let size = taken(text.len());
        // Closed where nobody listens any more.
        let Ok(room) = self.room.acquire_many(size).await else {
            return;
        };
        room.forget();
        let time_ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis() as u64;
        self.tell(Event::Line(
            self.token.clone(),
            Line {
                time_ms,
                stream,
                text,
            },
        ));
    }

    pub(crate) fn progress(&self, permille: u32, message: &str) {
        self.tell(Event::Progress(
            self.token.clone(),
            permille,
            self.mask.text(message),
        ));
    }

    /// Saves a checkpoint, and waits for what becomes of it.
    pub(crate) async fn checkpoint(&self, data: Bytes) -> Kept {
        let (reply, kept) = oneshot::channel();
        self.tell(Event::Checkpoint(self.token.clone(), data, reply));
        kept.await
            .unwrap_or_else(|_| Err("the task is over".to_owned()))
    }

    /// Hands the task over, and waits for what becomes of that.
    pub(crate) async fn detach(&self, detached: v1::Detached) -> Kept {
        let (reply, kept) = oneshot::channel();
        self.tell(Event::Detach(self.token.clone(), detached, reply));
        kept.await
            .unwrap_or_else(|_| Err("the task is over".to_owned()))
    }

    pub(crate) fn tell(&self, event: Event) {
        // The driver may be about to end.
        let _ = self.events.send(event);
    }
}

/// What a line takes of the room: all of it where it is longer.
pub(crate) fn taken(length: usize) -> u32 {
    // The room is far below the largest number.
    (length + 64).min(ROOM) as u32
}
