//! What is hidden of a text.

use crate::mask::HIDDEN;
use std::ops::Range;

/// Parts of a text, in order and apart: what overlaps is one.
#[derive(Default)]
pub(crate) struct Runs(Vec<Range<usize>>);

impl Runs {
    /// In the order of their ends.
    pub(crate) fn add(&mut self, mut run: Range<usize>) {
        while let Some(last) = self.0.pop_if(|last| last.end > run.start) {
            run = run.start.min(last.start)..run.end.max(last.end);
        }
        self.0.push(run);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that begin before a place; those that end there are forgotten.
    pub(crate) fn before(&mut self, end: usize) -> Vec<Range<usize>> {
        let begun = self.0.partition_point(|run| run.start < end);
        let before = self.0[..begun].to_vec();
        self.0.retain(|run| run.end > end);
        before
    }

    /// A text that begins at a place, with `***` for each.
    pub(crate) fn hide(&self, start: usize, text: &[u8]) -> Vec<u8> {
        let (mut masked, mut from) = (Vec::with_capacity(text.len()), 0);
        for run in self.0.iter().filter(|run| run.end > start) {
            masked.extend_from_slice(&text[from..run.start.saturating_sub(start)]);
            masked.extend_from_slice(HIDDEN.as_bytes());
            from = run.end - start;
        }
        masked.extend_from_slice(&text[from..]);
        masked
    }
}
