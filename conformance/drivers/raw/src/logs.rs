//! The lines of one attempt, from the first to the last that is durable (R30–R32, R73).

use crate::breaks::{Break, Breaks};
use crate::says::{Line, ROOM, taken};
use conveyor_proto::v1;
use prost::bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// What a line takes of the window besides its text (R31).
const LINE_COST: u64 = 64;
/// The most lines of a batch: a tenth of what the contract allows, so that other messages come between.
const BATCH_LINES: usize = 1_000;
/// The most bytes of a batch's text, of what the engine takes.
const BATCH_BYTES: u64 = 256 << 10;
/// It goes back to a gap no more often than this: a repeat is acknowledged, too, and looks as a gap does.
const BACK: Duration = Duration::from_secs(1);
/// Lines that are on their way for so long without any of them becoming durable are sent again.
const AGAIN: Duration = Duration::from_secs(5);

/// Lines that are not durable yet, and how many there were before them.
#[derive(Debug)]
pub(crate) struct Lines {
    breaks: Breaks,
    waiting: VecDeque<Part>,
    /// The offset of the first that waits.
    first: u64,
    /// The offset of the first that was not sent over this connection.
    unsent: u64,
    sealed: bool,
    /// When it last went on, or went back.
    moved: Instant,
    /// What whoever says a line waits for.
    pub(crate) room: Arc<Semaphore>,
}

/// A line, or a part of one that was longer than a line may be.
#[derive(Debug)]
struct Part {
    line: v1::LogLine,
    /// What it gives back to the room.
    room: u32,
}

impl Lines {
    pub(crate) fn new(breaks: Breaks) -> Lines {
        Lines {
            breaks,
            waiting: VecDeque::new(),
            first: 0,
            unsent: 0,
            sealed: false,
            moved: Instant::now(),
            room: Arc::new(Semaphore::new(ROOM)),
        }
    }

    /// Adds a line, in parts of at most so many bytes: each but the last goes on in the next (R73).
    pub(crate) fn add(&mut self, line: &Line, most: u64) {
        let (mut rest, room) = (line.text.as_str(), taken(line.text.len()));
        let most = match self.breaks.has(Break::DoesNotSplit) {
            true => BATCH_BYTES,
            false => most,
        };
        if self.sealed {
            return self.room.add_permits(room as usize);
        }
        loop {
            let (text, behind) = rest.split_at(end_of_part(rest, most as usize));
            let truncated = !behind.is_empty();
            let part = v1::LogLine {
                time_ms: line.time_ms,
                stream: line.stream.into(),
                text: Bytes::copy_from_slice(text.as_bytes()),
                truncated: truncated && !self.breaks.has(Break::DoesNotMark),
            };
            self.waiting.push_back(Part {
                line: part,
                room: if truncated { 0 } else { room },
            });
            if !truncated {
                return;
            }
            rest = behind;
        }
    }

    /// The offset of the last line; none where there is none (R28).
    pub(crate) fn last(&self) -> Option<u64> {
        (self.first + self.waiting.len() as u64).checked_sub(1)
    }

    /// Whether nothing of it is left to be told.
    pub(crate) fn is_told(&self) -> bool {
        self.waiting.is_empty() || self.sealed
    }

    /// Whether any line was sent that is not durable yet.
    pub(crate) fn is_on_the_way(&self) -> bool {
        self.unsent > self.first
    }

    /// The connection is another: what is not durable is sent again, under the same numbers (R43).
    pub(crate) fn begin_again(&mut self) {
        if self.breaks.has(Break::NewNumbers) {
            self.first = self.unsent;
        }
        if self.breaks.has(Break::GapAfterReconnect) && self.last().is_some() {
            self.first += 1;
        }
        self.go_back();
    }

    fn go_back(&mut self) {
        (self.unsent, self.moved) = (self.first, Instant::now());
    }

    /// What is on its way for too long is sent again.
    pub(crate) fn look(&mut self, now: Instant) {
        let waits = self.is_on_the_way() && !self.breaks.has(Break::NoLinesAnew);
        if waits && now >= self.moved + AGAIN {
            self.go_back();
        }
    }

    /// The next lines that were not sent, as far as the window allows, which is then smaller (R31).
    pub(crate) fn batch(
        &mut self,
        token: &Bytes,
        window: &mut u64,
        limits: &v1::Limits,
    ) -> Option<v1::LogBatch> {
        if self.sealed {
            return None;
        }
        let (mut text, mut lines) = (0, Vec::new());
        let skip = (self.unsent - self.first) as usize;
        let (most_lines, most_text) = self.most(limits);
        for part in self.waiting.iter().skip(skip).take(most_lines) {
            let length = part.line.text.len() as u64;
            let fits = lines.is_empty() || text + length <= most_text;
            let cost = length + self.cost_besides();
            if cost > *window && !self.breaks.has(Break::IgnoresWindow) || !fits {
                break;
            }
            text += length;
            *window = window.saturating_sub(cost);
            lines.push(part.line.clone());
        }
        if lines.is_empty() {
            return None;
        }
        let first_offset = self.unsent;
        if self.unsent == self.first {
            self.moved = Instant::now();
        }
        self.unsent += lines.len() as u64;
        Some(v1::LogBatch {
            token: token.clone(),
            first_offset,
            lines,
        })
    }

    /// The most lines of a batch, and the most bytes of their text.
    fn most(&self, limits: &v1::Limits) -> (usize, u64) {
        if self.breaks.has(Break::BatchTooLarge) {
            return (usize::MAX, u64::MAX);
        }
        let lines = if self.breaks.has(Break::Floods) {
            1
        } else {
            BATCH_LINES
        };
        (lines, BATCH_BYTES.min(limits.log_batch_bytes))
    }

    fn cost_besides(&self) -> u64 {
        match self.breaks.has(Break::CountsTextAlone) {
            true => 0,
            false => LINE_COST,
        }
    }

    /// The engine says which line it expects next: those before it are durable. Where that is the one that it
    /// expected before, there is a gap, and it goes on from there (R32).
    pub(crate) fn acknowledged(&mut self, next: u64, sealed: bool) {
        self.sealed |= sealed;
        let now = Instant::now();
        match next == self.first {
            true if now >= self.moved + BACK => self.go_back(),
            true => {}
            false => self.moved = now,
        }
        while (self.first < next || self.sealed)
            && let Some(part) = self.waiting.pop_front()
        {
            self.first += 1;
            self.room.add_permits(part.room as usize);
        }
        self.unsent = self.unsent.max(self.first);
    }
}

/// Where a part ends: no letter is cut, and no part is empty but that of an empty line.
fn end_of_part(text: &str, most: usize) -> usize {
    match text.floor_char_boundary(most) {
        0 => text.chars().next().map_or(0, char::len_utf8),
        end => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: v1::Limits = v1::Limits {
        message_bytes: 1 << 20,
        outputs_bytes: 1 << 20,
        log_line_bytes: 4,
        log_batch_bytes: 10,
        checkpoint_bytes: 1 << 20,
        failure_details_bytes: 1 << 20,
    };

    fn said(texts: &[&str]) -> Lines {
        let mut lines = Lines::new(Breaks::default());
        for text in texts {
            // As whoever says it does.
            let room = lines.room.try_acquire_many(taken(text.len()));
            room.expect("room for a few lines").forget();
            let line = Line {
                time_ms: 1,
                stream: v1::LogStream::Stdout,
                text: (*text).to_owned(),
            };
            lines.add(&line, LIMITS.log_line_bytes);
        }
        lines
    }

    fn sent(lines: &mut Lines, window: u64) -> Option<(u64, Vec<String>)> {
        let mut window = window;
        let batch = lines.batch(&Bytes::from_static(b"token"), &mut window, &LIMITS)?;
        let text = |line: &v1::LogLine| {
            let text = String::from_utf8_lossy(&line.text).into_owned();
            text + if line.truncated { "…" } else { "" }
        };
        Some((batch.first_offset, batch.lines.iter().map(text).collect()))
    }

    fn of(first: u64, texts: &[&str]) -> Option<(u64, Vec<String>)> {
        Some((first, texts.iter().map(|text| (*text).to_owned()).collect()))
    }

    #[test]
    fn a_long_line_goes_in_parts_that_cut_no_letter() {
        let mut lines = said(&["abcdä", "", "abcd"]);
        assert_eq!(lines.last(), Some(3));
        assert_eq!(sent(&mut lines, 1_000), of(0, &["abcd…", "ä", "", "abcd"]));
    }

    #[test]
    fn a_batch_ends_at_its_limit_and_at_the_window() {
        let mut lines = said(&["abcd", "abcd", "abcd"]);
        assert_eq!(sent(&mut lines, 1_000), of(0, &["abcd", "abcd"]));
        assert_eq!(sent(&mut lines, 67), None, "a line takes its text and 64");
        assert_eq!(sent(&mut lines, 68), of(2, &["abcd"]));
        assert_eq!(sent(&mut lines, 1_000), None);
    }

    #[test]
    fn what_is_not_durable_is_sent_again_under_its_numbers() {
        let mut lines = said(&["a", "b", "c"]);
        assert_eq!(sent(&mut lines, 130), of(0, &["a", "b"]));
        lines.acknowledged(1, false);
        lines.begin_again();
        assert_eq!(sent(&mut lines, 1_000), of(1, &["b", "c"]));
        lines.look(Instant::now() + AGAIN);
        assert_eq!(
            sent(&mut lines, 1_000),
            of(1, &["b", "c"]),
            "they were on their way for too long"
        );
        lines.moved -= BACK;
        lines.acknowledged(1, false);
        assert_eq!(
            sent(&mut lines, 1_000),
            of(1, &["b", "c"]),
            "there was a gap"
        );
        lines.acknowledged(3, false);
        assert_eq!((lines.last(), lines.is_told()), (Some(2), true));
    }

    #[test]
    fn a_sealed_log_takes_nothing_more() {
        let mut lines = said(&["a", "b"]);
        lines.acknowledged(0, true);
        assert!(lines.is_told());
        assert_eq!(sent(&mut lines, 1_000), None);
        assert_eq!(
            lines.room.available_permits(),
            ROOM,
            "nobody waits for room"
        );
    }
}
