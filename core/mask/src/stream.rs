//! A stream without its secrets.

use crate::mask::{HIDDEN, Mask};
use std::fmt;

/// Masks a stream, however it is cut. It holds back only what may be the beginning of a secret: at
/// most the longest form of one less a byte.
pub struct Masker {
    mask: Mask,
    held: Vec<u8>,
    /// So many of the bytes held belong to a secret whose `***` was given already.
    hidden: usize,
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
            held: Vec::new(),
            hidden: 0,
        }
    }

    /// Takes the next bytes, and gives what can be said of them and those before.
    #[must_use]
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        if self.mask.is_empty() {
            return bytes.to_vec();
        }
        self.held.extend_from_slice(bytes);
        self.give(self.held.len() - self.mask.begun(&self.held))
    }

    /// The rest: the stream has ended.
    #[must_use]
    pub fn finish(&mut self) -> Vec<u8> {
        self.give(self.held.len())
    }

    fn give(&mut self, end: usize) -> Vec<u8> {
        if end == 0 {
            // What is hidden stays so.
            return Vec::new();
        }
        let (mut given, mut from, mut hidden) = (Vec::with_capacity(end), 0, 0);
        for run in self.mask.runs(&self.held, self.hidden) {
            if run.start >= end {
                break;
            }
            given.extend_from_slice(&self.held[from..run.start]);
            if run.start > 0 || self.hidden == 0 {
                given.extend_from_slice(HIDDEN.as_bytes());
            }
            from = run.end.min(end);
            hidden = run.end - from;
        }
        given.extend_from_slice(&self.held[from..end]);
        self.held.drain(..end);
        self.hidden = hidden;
        given
    }
}
