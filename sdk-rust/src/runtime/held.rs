//! The tasks that a driver holds.

use super::sink::{Piece, ROOM};
use crate::Failure;
use crate::failure::Kind;
use crate::log::Stream;
use crate::sink::NotKept;
use conveyor_proto::v1;
use prost::bytes::Bytes;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// The most lines of a batch: a tenth of what the contract allows, so that other messages come through.
const BATCH_LINES: usize = 1000;
/// About the most bytes of a batch.
const BATCH_BYTES: u64 = 256 << 10;
/// What a line takes of the window besides its text (R31).
const LINE_COST: u64 = 64;
/// So long after its attempt's end a log takes lines (R32).
const SEALED_AFTER: Duration = Duration::from_secs(300);
/// The longest line: what a batch has, whatever the engine takes.
pub(super) const LINE_BYTES: u64 = BATCH_BYTES - LINE_COST;

/// A task, from its arrival until its report is answered and its log durable.
pub(super) struct Held {
    pub(super) cancel: watch::Sender<Option<Arc<str>>>,
    /// Ends its action.
    pub(super) abort: Option<AbortHandle>,
    pub(super) room: Arc<Semaphore>,
    pub(super) grace: Duration,
    pub(super) heartbeat_timeout: Duration,
    /// When it came: the engine was heard then.
    pub(super) since: Instant,
    /// When its time is over.
    pub(super) deadline: Instant,
    /// When its action is cut off.
    pub(super) cut_off: Option<Instant>,
    /// Whether it was told to stop because the engine was not heard, and by nobody else: once it has, it is
    /// given back, and no end of it is reported.
    pub(super) unheard: bool,
    pub(super) progress: (Option<u32>, String),
    /// How it ended, until that is answered.
    pub(super) report: Option<v1::TaskReport>,
    /// When the report was sent last.
    pub(super) reported: Option<Instant>,
    pub(super) answered: bool,
    /// When the engine said that the claim of what had ended is over.
    pub(super) stale: Option<Instant>,
    /// What is to be saved: its data, the message that has it, and who waits.
    pub(super) checkpoints: VecDeque<Saving>,
    /// It is to go on elsewhere, until the engine has that.
    pub(super) detaching: Option<Detaching>,
    lines: VecDeque<Piece>,
    /// The offset of the first of `lines`.
    first: u64,
    /// The offset of the first line that was not sent over this connection.
    sent: u64,
    sealed: bool,
}

pub(super) struct Saving {
    pub(super) data: Vec<u8>,
    /// The message that carries it; `None` while it was not sent over this connection.
    pub(super) sequence: Option<u64>,
    pub(super) reply: oneshot::Sender<Result<(), NotKept>>,
}

pub(super) struct Detaching {
    pub(super) detached: v1::Detached,
    /// As of [`Saving`].
    pub(super) sequence: Option<u64>,
    /// Told the offset of the next line of the task's log.
    pub(super) reply: oneshot::Sender<Result<u64, NotKept>>,
}

impl Held {
    pub(super) fn new(task: &v1::Task, cancel: watch::Sender<Option<Arc<str>>>) -> Held {
        Held {
            cancel,
            abort: None,
            room: Arc::new(Semaphore::new(ROOM)),
            grace: Duration::from_millis(task.grace_ms),
            heartbeat_timeout: Duration::from_millis(task.heartbeat_timeout_ms),
            since: Instant::now(),
            deadline: Instant::now() + Duration::from_millis(task.time_left_ms),
            cut_off: None,
            unheard: false,
            progress: (None, String::new()),
            report: None,
            reported: None,
            answered: false,
            stale: None,
            checkpoints: VecDeque::new(),
            detaching: None,
            lines: VecDeque::new(),
            first: 0,
            sent: 0,
            sealed: false,
        }
    }

    /// Whether its action still runs.
    pub(super) fn runs(&self) -> bool {
        self.report.is_none() && !self.answered
    }

    /// Whether nothing of it is left to do. Lines that nobody acknowledges are given up once no log takes them:
    /// its token may be one that the engine does not know at all.
    pub(super) fn is_over(&self) -> bool {
        let is_sealed = |stale: Instant| stale.elapsed() >= SEALED_AFTER;
        self.answered && (self.lines.is_empty() || self.sealed || self.stale.is_some_and(is_sealed))
    }

    pub(super) fn add(&mut self, pieces: Vec<Piece>) {
        // The numbers of later lines are given by whoever has the task now.
        if !self.room.is_closed() {
            self.lines.extend(pieces);
        }
    }

    /// The engine has it that the task goes on elsewhere: what it still says is not told (R58).
    pub(super) fn go_on_elsewhere(&mut self, detaching: Detaching) {
        self.answered = true;
        self.room.close();
        let next = self.first + self.lines.len() as u64;
        // Whoever handed it over may have stopped waiting.
        let _ = detaching.reply.send(Ok(next));
    }

    /// The engine does not take what was said (R63); the task goes on.
    pub(super) fn refused(&mut self, refused: v1::RefusedMessage) {
        let numbers = refused.first_sequence..=refused.sequence;
        let is_one = |sequence: Option<u64>| sequence.is_some_and(|one| numbers.contains(&one));
        // Whoever waits for an answer may have stopped.
        match refused.kind() {
            v1::RefusedKind::Checkpoint => {
                let (no, others): (VecDeque<_>, _) = std::mem::take(&mut self.checkpoints)
                    .into_iter()
                    .partition(|saving| is_one(saving.sequence));
                self.checkpoints = others;
                for saving in no {
                    let _ = saving.reply.send(Err(NotKept(refused.reason.clone())));
                }
            }
            v1::RefusedKind::Detached => {
                if let Some(no) = self.detaching.take_if(|one| is_one(one.sequence)) {
                    let _ = no.reply.send(Err(NotKept(refused.reason)));
                }
            }
            // Of a later contract.
            v1::RefusedKind::Unspecified => {}
        }
    }

    /// The engine says that a limit was broken: what is on its way and may have is not said again as it was (R74).
    /// Reports and lines are: without them nothing would end.
    pub(super) fn blame(&mut self, why: &str) {
        let (no, others): (VecDeque<_>, _) = std::mem::take(&mut self.checkpoints)
            .into_iter()
            .partition(|saving| saving.sequence.is_some());
        self.checkpoints = others;
        // Whoever waits for an answer may have stopped.
        for saving in no {
            let _ = saving.reply.send(Err(NotKept(why.to_owned())));
        }
        if let Some(no) = self.detaching.take_if(|one| one.sequence.is_some()) {
            let _ = no.reply.send(Err(NotKept(why.to_owned())));
        }
    }

    /// The connection is another: what was not acknowledged is sent again.
    pub(super) fn begin_again(&mut self) {
        self.sent = self.first;
        self.reported = None;
        self.checkpoints
            .iter_mut()
            .for_each(|saving| saving.sequence = None);
        if let Some(detaching) = &mut self.detaching {
            detaching.sequence = None;
        }
    }

    /// The next lines, as far as the window allows, with at most so many bytes of text.
    pub(super) fn batch(
        &mut self,
        token: &Bytes,
        window: &mut u64,
        most: u64,
    ) -> Option<v1::LogBatch> {
        if self.sealed {
            return None;
        }
        let skip = (self.sent - self.first) as usize;
        let (mut bytes, mut texts) = (0, 0);
        let mut lines = Vec::new();
        for Piece { line, .. } in self.lines.iter().skip(skip).take(BATCH_LINES) {
            let length = line.text.len() as u64 + LINE_COST;
            texts += line.text.len() as u64;
            let full = bytes + length > BATCH_BYTES || texts > most;
            if bytes + length > *window || bytes > 0 && full {
                break;
            }
            bytes += length;
            lines.push(v1::LogLine {
                time_ms: line.time_ms,
                stream: match line.stream {
                    Stream::Driver => v1::LogStream::Driver,
                    Stream::Stdout => v1::LogStream::Stdout,
                    Stream::Stderr => v1::LogStream::Stderr,
                }
                .into(),
                text: Bytes::copy_from_slice(&line.text),
                truncated: line.goes_on,
            });
        }
        if lines.is_empty() {
            return None;
        }
        *window -= bytes;
        let first_offset = self.sent;
        self.sent += lines.len() as u64;
        Some(v1::LogBatch {
            token: token.clone(),
            first_offset,
            lines,
        })
    }

    /// Lines before the offset are durable.
    pub(super) fn kept(&mut self, next: u64, sealed: bool) {
        self.sealed |= sealed;
        while self.first < next || self.sealed {
            let Some(piece) = self.lines.pop_front() else {
                break;
            };
            self.first += 1;
            self.room.add_permits(piece.room as usize);
        }
        self.sent = self.sent.max(self.first);
    }

    /// Its action has ended.
    pub(super) fn end(&mut self, token: &Bytes, result: Result<Value, Failure>) {
        self.abort = None;
        let last_log_offset = (self.first + self.lines.len() as u64).checked_sub(1);
        let mut result = result_of(result);
        result.last_log_offset = last_log_offset;
        self.report = Some(v1::TaskReport {
            token: token.clone(),
            result: Some(result),
        });
    }
}

/// How an action ended, as a message; without the log's offset.
pub(crate) fn result_of(result: Result<Value, Failure>) -> v1::Result {
    match result {
        Ok(outputs) => v1::Result {
            state: v1::AttemptState::Succeeded.into(),
            outputs: text(&outputs),
            ..v1::Result::default()
        },
        Err(failure) => failed(failure),
    }
}

fn text(value: &Value) -> Bytes {
    // A value is always JSON.
    serde_json::to_vec(value).unwrap_or_default().into()
}

fn failed(failure: Failure) -> v1::Result {
    let state = match failure.kind {
        Kind::Failed => v1::AttemptState::Failed,
        Kind::Errored => v1::AttemptState::Errored,
        Kind::Cancelled => v1::AttemptState::Cancelled,
    };
    v1::Result {
        state: state.into(),
        outputs: failure.outputs.as_deref().map(text).unwrap_or_default(),
        failure: (failure.kind != Kind::Cancelled).then(|| v1::Failure {
            code: failure.code,
            message: failure.message,
            details: failure.details.as_ref().map(text).unwrap_or_default(),
            retryable: failure.retryable,
            retry_after_ms: failure.retry_after.map(|delay| delay.as_millis() as u64),
        }),
        ..v1::Result::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_broken_a_limit_is_not_said_again() {
        let (cancel, _cancelled) = watch::channel(None);
        let mut held = Held::new(&v1::Task::default(), cancel);
        let saving = |sequence| {
            let (reply, kept) = oneshot::channel();
            let data = b"half of it".to_vec();
            (
                Saving {
                    data,
                    sequence,
                    reply,
                },
                kept,
            )
        };
        let (sent, mut told) = saving(Some(7));
        let (waits, mut untold) = saving(None);
        held.checkpoints.extend([sent, waits]);
        held.blame("`checkpoint_bytes` is 3");
        let told = told.try_recv().expect("it is told").expect_err("not kept");
        assert_eq!(told.0, "`checkpoint_bytes` is 3");
        assert!(untold.try_recv().is_err(), "it was not said yet");
        held.begin_again();
        assert_eq!(held.checkpoints.len(), 1);
    }
}
