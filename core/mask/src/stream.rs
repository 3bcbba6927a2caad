//! Streams and cut lines without their secrets.

use crate::mask::{HIDDEN, Mask};
use crate::runs::Runs;
use crate::scan::Scan;
use std::fmt;

/// Masks a stream, however it is cut. It holds back only what may be the beginning of a secret: at
/// most the longest spelling of one less a byte.
pub struct Masker {
    mask: Mask,
    scan: Scan,
    runs: Runs,
    held: Vec<u8>,
    /// Where `held` begins in the stream.
    given: usize,
}

impl fmt::Debug for Masker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Masker(..)")
    }
}

impl Masker {
    pub(crate) fn new(mask: Mask) -> Masker {
        Masker {
            mask,
            scan: Scan::default(),
            runs: Runs::default(),
            held: Vec::new(),
            given: 0,
        }
    }

    /// Takes the next bytes, and gives what can be said of them and those before.
    #[must_use]
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let Some(automaton) = self.mask.automaton() else {
            return bytes.to_vec();
        };
        self.held.extend_from_slice(bytes);
        let rest = &self.held[self.scan.at() - self.given..];
        self.scan
            .read(automaton, rest, true, |run, _| self.runs.add(run));
        let safe = self.scan.safe(automaton);
        self.give(safe)
    }

    /// The rest: the stream has ended.
    #[must_use]
    pub fn finish(&mut self) -> Vec<u8> {
        if let Some(automaton) = self.mask.automaton() {
            let rest = &self.held[self.scan.at() - self.given..];
            self.scan
                .read(automaton, rest, false, |run, _| self.runs.add(run));
        }
        let given = self.give(self.given + self.held.len());
        *self = Masker::new(self.mask.clone());
        given
    }

    fn give(&mut self, end: usize) -> Vec<u8> {
        let mut given = Vec::with_capacity(end - self.given);
        let from = self.given;
        for run in self.runs.before(end) {
            if run.start >= self.given {
                given.extend_from_slice(&self.held[self.given - from..run.start - from]);
                given.extend_from_slice(HIDDEN.as_bytes());
            }
            self.given = run.end.min(end);
        }
        given.extend_from_slice(&self.held[self.given - from..end - from]);
        self.held.drain(..end - from);
        self.given = end;
        given
    }
}

/// Masks lines of which some go on in the next one. A line is told as soon as it is there: where its end
/// may be the beginning of a secret, of [`SHORTEST`](crate::SHORTEST) bytes or more, that end is hidden
/// at once; and what completes a secret is hidden in the next line.
#[derive(Clone, Default)]
pub struct CutLines {
    mask: Mask,
    scan: Scan,
    /// What is not read yet: an escape that is cut.
    rest: Vec<u8>,
}

impl fmt::Debug for CutLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CutLines(..)")
    }
}

impl CutLines {
    pub(crate) fn new(mask: Mask) -> CutLines {
        CutLines {
            mask,
            ..CutLines::default()
        }
    }

    /// The line as [`Mask::mask`] gives it. `goes_on`: the next one begins where it ends.
    #[must_use]
    pub fn line(&mut self, text: &[u8], goes_on: bool) -> Vec<u8> {
        let Some(automaton) = self.mask.automaton() else {
            return text.to_vec();
        };
        let start = self.scan.at() + self.rest.len();
        let end = start + text.len();
        self.rest.extend_from_slice(text);
        let mut runs = Runs::default();
        let from = self.scan.at();
        self.scan
            .read(automaton, &self.rest, goes_on, |run, _| runs.add(run));
        let safe = self.scan.safe(automaton);
        if !goes_on {
            *self = CutLines::new(self.mask.clone());
        } else {
            self.rest.drain(..self.scan.at() - from);
            if end - safe >= crate::SHORTEST {
                runs.add(safe..end);
            }
        }
        runs.hide(start, text)
    }
}
