//! Log lines that go on in the next one of their stream, for they were cut at a limit: a secret in them
//! is masked in both (decision 0072).
//!
//! What is remembered of a line is in this process alone. It is found by the offset that comes next, so that
//! lines that are sent again, in batches of other sizes, are masked as they were.

use crate::node::masked;
use crate::token::Claimed;
use conveyor_mask::{CutLines, Mask};
use conveyor_proto::storage::v1::LogLine;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// So many attempts are remembered whose last line goes on: each takes some KiB, and few have one.
const ATTEMPTS: usize = 4096;
/// So many places of an attempt's log are remembered: batches that are on their way at once.
const PLACES: usize = 8;

/// The lines that go on at an offset, by stream.
#[derive(Clone, Debug, Default)]
struct Open(HashMap<i32, CutLines>);

/// What attempts are remembered by: offsets and what is open there.
#[derive(Debug, Default)]
pub(super) struct CutLogs(Mutex<HashMap<Claimed, Vec<(u64, Open)>>>);

impl CutLogs {
    fn known(&self) -> MutexGuard<'_, HashMap<Claimed, Vec<(u64, Open)>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lines without secrets; the first has the offset `first`.
    pub(super) fn mask(
        &self,
        claimed: Claimed,
        mask: &Mask,
        first: u64,
        mut lines: Vec<LogLine>,
    ) -> Vec<LogLine> {
        let cut = !mask.is_empty() && lines.iter().any(|line| line.truncated);
        // It is held until what comes next is remembered: the next batch may be here already.
        let mut known = self.known();
        if !cut && !known.contains_key(&claimed) {
            drop(known);
            for line in &mut lines {
                line.text = masked(mask, std::mem::take(&mut line.text));
            }
            return lines;
        }
        let mut places = known.remove(&claimed).unwrap_or_default();
        let mut open = Open::default();
        let mut offset = first;
        for line in &mut lines {
            if let Some((_, there)) = places.iter().find(|(place, _)| *place == offset) {
                open = there.clone();
            }
            open.mask(mask, line);
            offset = offset.saturating_add(1);
        }
        // What is known there stays: where lines are sent again, the one before them may be forgotten.
        if !open.0.is_empty() && places.iter().all(|(place, _)| *place != offset) {
            places.push((offset, open));
        }
        if places.len() > PLACES {
            places.remove(0);
        }
        if !places.is_empty() {
            let any = known.keys().next().copied();
            if let Some(any) = any.filter(|_| known.len() >= ATTEMPTS) {
                known.remove(&any);
            }
            known.insert(claimed, places);
        }
        lines
    }

    /// Lines before an offset are durable, and not sent again.
    pub(super) fn kept(&self, claimed: &Claimed, next: u64) {
        let mut known = self.known();
        if let Some(places) = known.get_mut(claimed) {
            places.retain(|(place, _)| *place >= next);
            if places.is_empty() {
                known.remove(claimed);
            }
        }
    }

    /// No line comes any more.
    pub(super) fn end(&self, claimed: &Claimed) {
        self.known().remove(claimed);
    }
}

impl Open {
    fn mask(&mut self, mask: &Mask, line: &mut LogLine) {
        let text = std::mem::take(&mut line.text);
        let before = self.0.remove(&line.stream);
        line.text = if line.truncated || before.is_some() {
            let mut cut = before.unwrap_or_else(|| mask.cut_lines());
            let text = cut.line(&text, line.truncated);
            if line.truncated {
                self.0.insert(line.stream, cut);
            }
            // The secrets of the line before may have been others.
            masked(mask, text.into())
        } else {
            masked(mask, text)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RunId;
    use conveyor_engine::run::Identity;

    fn claimed(nonce: u64) -> Claimed {
        Claimed {
            run: RunId([9; 16]),
            id: Identity {
                step: 3,
                instance: 0,
                attempt: 1,
            },
            nonce,
        }
    }

    fn line(text: &str, truncated: bool) -> LogLine {
        LogLine {
            text: text.to_owned().into(),
            truncated,
            ..LogLine::default()
        }
    }

    fn texts(lines: Vec<LogLine>) -> Vec<String> {
        let text = |line: LogLine| String::from_utf8_lossy(&line.text).into_owned();
        lines.into_iter().map(text).collect()
    }

    #[test]
    fn what_is_sent_again_is_masked_alike_until_it_is_kept() {
        let (cut, claimed) = (CutLogs::default(), claimed(1));
        let mask = Mask::new([("token", b"hunter2-secret".as_slice())]);
        let lines = [
            line("x hunter2-", true),
            line("sec", true),
            line("ret y", false),
        ];
        // Each on its way before the one before is durable, then all again, cut otherwise.
        for from_and_to in [0..1, 1..2, 2..3, 0..2, 2..3, 0..3, 1..3] {
            let masked = lines[from_and_to.clone()].to_vec();
            let masked = texts(cut.mask(claimed, &mask, from_and_to.start as u64, masked));
            let expected = ["x ***", "***", "*** y"];
            assert_eq!(masked, expected[from_and_to]);
        }
        cut.kept(&claimed, 2);
        // Nobody reads what is sent again now, but for the line that is not kept yet.
        let _ = cut.mask(claimed, &mask, 1, vec![lines[1].clone()]);
        let last = cut.mask(claimed, &mask, 1, lines[1..].to_vec());
        assert_eq!(texts(last)[1], "*** y");
        cut.kept(&claimed, 3);
        assert!(cut.known().is_empty());
    }

    #[test]
    fn one_attempt_does_not_go_on_in_another_and_those_that_are_remembered_have_an_end() {
        let cut = CutLogs::default();
        let mask = Mask::new([("token", b"hunter2-secret".as_slice())]);
        for nonce in 0..ATTEMPTS as u64 + 9 {
            let lines = cut.mask(claimed(nonce), &mask, 0, vec![line("hunter2-", true)]);
            assert_eq!(texts(lines), ["***"]);
        }
        assert_eq!(cut.known().len(), ATTEMPTS);
        let other = cut.mask(claimed(u64::MAX), &mask, 1, vec![line("secret", false)]);
        assert_eq!(texts(other), ["secret"]);
        for offset in 0..PLACES as u64 + 9 {
            let last = claimed(u64::MAX);
            let _ = cut.mask(last, &mask, offset, vec![line("hunter2-", true)]);
            assert!(cut.known()[&last].len() <= PLACES);
        }
        cut.end(&claimed(u64::MAX));
        assert!(!cut.known().contains_key(&claimed(u64::MAX)));
    }

    #[test]
    fn secrets_that_change_between_two_lines_are_masked_both() {
        let (cut, claimed) = (CutLogs::default(), claimed(1));
        let old = Mask::new([("token", b"hunter2-secret".as_slice())]);
        let new = Mask::new([("token", b"another-one".as_slice())]);
        let _ = cut.mask(claimed, &old, 0, vec![line("hunter2-", true)]);
        let lines = cut.mask(claimed, &new, 1, vec![line("secret another-one", false)]);
        assert_eq!(texts(lines), ["*** ***"]);
    }
}
