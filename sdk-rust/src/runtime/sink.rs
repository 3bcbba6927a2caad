//! What a task of a session says, on its way to the session.

use crate::Failure;
use crate::detach::{Detach, Handover};
use crate::log::Line;
use crate::sink::{Later, NotKept, Sink};
use conveyor_proto::v1;
use prost::bytes::Bytes;
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Bytes of log lines of one task that may be on their way: beyond them [`crate::Log::line`] waits.
pub(super) const ROOM: usize = 4 << 20;

/// Something that a task of a session did.
#[derive(Debug)]
pub(super) enum Event {
    /// A line, in the pieces that the engine takes: nothing comes between them.
    Line(Bytes, Vec<Piece>),
    Progress(Bytes, Option<u32>, String),
    Checkpoint(Bytes, Vec<u8>, oneshot::Sender<Result<(), NotKept>>),
    Detach(Bytes, v1::Detached, oneshot::Sender<Result<u64, NotKept>>),
    Done(Bytes, Result<Value, Failure>),
}

/// A line as the log has it.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) line: Line,
    /// What it takes of the room, until it is durable.
    pub(super) room: u32,
}

/// Where a task of a session says it.
#[derive(Debug)]
pub(super) struct SessionSink {
    pub(super) token: Bytes,
    pub(super) events: mpsc::UnboundedSender<Event>,
    /// Bytes that log lines may still take.
    pub(super) room: Arc<Semaphore>,
    /// The most bytes that the engine takes of a line; longer ones go in pieces.
    pub(super) line_bytes: usize,
    /// The server's address.
    pub(super) url: String,
    /// When the task came, by this clock and by the engine's: no clocks are in step.
    pub(super) came: (Instant, Duration),
}

/// A line in pieces, and what they take of the room: all of it where they have more.
fn pieces(line: Line, most: usize) -> (Vec<Piece>, u32) {
    let mut left = ROOM;
    let pieces = line.pieces(most).into_iter().map(|line| {
        let room = (line.text.len() + 32).min(left);
        left -= room;
        let room = room as u32;
        Piece { line, room }
    });
    let pieces = pieces.collect();
    (pieces, (ROOM - left) as u32)
}

impl SessionSink {
    fn send(&self, event: Event) {
        // The driver may be about to end.
        let _ = self.events.send(event);
    }
}

impl Sink for SessionSink {
    fn line(&self, line: Line) -> bool {
        let (pieces, size) = pieces(line, self.line_bytes);
        let Ok(room) = self.room.try_acquire_many(size) else {
            return false;
        };
        room.forget();
        self.send(Event::Line(self.token.clone(), pieces));
        true
    }

    fn line_when_room(&self, line: Line) -> Later<()> {
        let (room, events, token) = (self.room.clone(), self.events.clone(), self.token.clone());
        let (pieces, size) = pieces(line, self.line_bytes);
        Box::pin(async move {
            if let Ok(room) = room.acquire_many(size).await {
                room.forget();
                let _ = events.send(Event::Line(token, pieces));
            }
        })
    }

    fn progress(&self, permille: Option<u32>, message: String) {
        self.send(Event::Progress(self.token.clone(), permille, message));
    }

    fn checkpoint(&self, data: Vec<u8>) -> Later<Result<(), NotKept>> {
        let (reply, answer) = oneshot::channel();
        self.send(Event::Checkpoint(self.token.clone(), data, reply));
        Box::pin(async move {
            let over = || NotKept("the attempt is over: nothing more is saved".to_owned());
            answer.await.map_err(|_| over())?
        })
    }

    fn detach(&self, detach: Detach) -> Later<Result<Handover, NotKept>> {
        let (reply, answer) = oneshot::channel();
        let (here, engine) = self.came;
        let until = engine + here.elapsed() + detach.within;
        let detached = v1::Detached {
            until_ms: until.as_millis() as u64,
            principals: detach.principals,
        };
        self.send(Event::Detach(self.token.clone(), detached, reply));
        let (token, url) = (self.token.to_vec(), self.url.clone());
        Box::pin(async move {
            let over = || NotKept("the attempt is over: it cannot go on elsewhere".to_owned());
            let next_log_offset = answer.await.map_err(|_| over())??;
            Ok(Handover {
                token,
                url,
                until: UNIX_EPOCH + until,
                next_log_offset,
            })
        })
    }
}
