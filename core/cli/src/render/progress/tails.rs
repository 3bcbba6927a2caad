//! What the steps that run have said last.

use crate::render::human;
use conveyor_engine::run::Identity;
use std::collections::{BTreeMap, VecDeque};

/// The last log lines of what runs.
#[derive(Debug, Default)]
pub(crate) struct Tails(BTreeMap<(usize, usize), VecDeque<String>>);

/// Log lines kept for each instance that runs: enough to see what it is at, few enough that three
/// that run fit a terminal of 24 rows.
const TAIL: usize = 5;
/// Characters kept of a line: more than the widest terminal shows.
const LINE: usize = 512;

impl Tails {
    /// Takes a log line.
    pub(crate) fn push(&mut self, id: Identity, line: &str) {
        let place = (id.step as usize, id.instance as usize);
        let tail = self.0.entry(place).or_default();
        if tail.len() == TAIL {
            tail.pop_front();
        }
        // What is cut can only be longer on the screen in control sequences, which show nothing.
        let end = line
            .char_indices()
            .nth(LINE)
            .map_or(line.len(), |(at, _)| at);
        tail.push_back(human::printable(&line[..end]));
    }

    /// Forgets an instance that ended.
    pub(crate) fn end(&mut self, step: u32, instance: u32) {
        self.0.remove(&(step as usize, instance as usize));
    }

    /// The lines of an instance, the oldest first.
    pub(super) fn of(
        &self,
        step: usize,
        instance: usize,
    ) -> impl ExactSizeIterator<Item = &String> {
        static NONE: VecDeque<String> = VecDeque::new();
        self.0.get(&(step, instance)).unwrap_or(&NONE).iter()
    }
}
