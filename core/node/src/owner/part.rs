//! What runs have in the groups that are not durable yet, and what is held back with it
//! (PROTOCOL P13).

use super::Owner;
use super::messages::{Group, KeptSnapshot, Output, Write};
use super::told::StateChange;
use crate::error::NodeError;
use crate::id::RunId;
use conveyor_engine::planted;
use conveyor_engine::run::{Identity, RunState};
use conveyor_engine::value::Hash;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// What one run has in a group.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// Writes beside the record, which is made when the group is closed.
    pub(super) writes: Vec<Write>,
    /// About how many bytes they have, with the checkpoints of the record.
    pub(super) bytes: usize,
    /// Held back until the group is durable.
    pub(super) outputs: Vec<Output>,
    /// Whether the run has an open record.
    pub(super) touched: bool,
    /// Turns in that record.
    pub(super) turns: u32,
    /// Claims that it makes.
    pub(super) claims: Vec<Identity>,
    /// Claims that it ends.
    pub(super) ended: Vec<Identity>,
    /// Whether its rows are to be written even if it has no record.
    pub(super) rows: bool,
    /// The document that the run needs, and its puts: for the first group that has it.
    pub(super) document: Option<(Hash, Vec<Write>)>,
    /// A snapshot of the run after that record: for when it is durable.
    pub(super) snapshot: Option<Box<KeptSnapshot>>,
    /// The record's sequence, and the run's state after it.
    pub(super) sealed: Option<(u64, RunState)>,
    /// What it moves the run from and to, where its row says another state.
    pub(super) moved: Option<(Option<RunState>, RunState)>,
    /// How many decisions the open record has.
    pub(super) decided: u32,
    /// The run's changes of state since the last record, or without one.
    pub(super) changes: Vec<StateChange>,
    /// What followers of the run's namespace are told with the group: stored events.
    pub(super) events: Vec<Vec<u8>>,
    /// What it ends.
    pub(super) tally: Tally,
    /// When the first report that it has came, for [`crate::metrics`]; 0 for none.
    pub(super) reported: u64,
    /// Where its writes are in the group.
    pub(super) range: Range<usize>,
}

/// Ends by state, for [`crate::metrics`]: they count once they are durable.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) steps: [u32; 12],
    pub(super) attempts: [u32; 7],
}

impl Part {
    /// Adds writes; a later one of the same key counts (PROTOCOL P14).
    pub(super) fn put(&mut self, writes: Vec<Write>) {
        for write in writes {
            self.bytes += write.len();
            let earlier = self
                .writes
                .iter_mut()
                .find(|earlier| earlier.key == write.key);
            match earlier {
                Some(earlier) => *earlier = write,
                None => self.writes.push(write),
            }
        }
    }
}

/// The group whose outcome is awaited.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) group: Arc<Group>,
    pub(super) parts: BTreeMap<RunId, Part>,
    /// Whether it is to be sent once more.
    pub(super) resend: bool,
    /// Whether the commit key is to be read.
    pub(super) unknown: bool,
    /// Whether a copy with an unknown outcome was sent. It may still be on its way, so that a later
    /// copy's failure decides nothing: only the commit key does, and only the same bytes may be sent.
    pub(super) unsure: bool,
}

impl Flight {
    pub(super) fn parts(&self) -> &BTreeMap<RunId, Part> {
        &self.parts
    }
}

impl Owner {
    /// What a run has in the group that is being collected.
    pub(super) fn part(&mut self, run: RunId) -> &mut Part {
        self.collecting.entry(run).or_default()
    }

    /// Holds an output back until all that the run has decided so far is durable.
    pub(super) fn stage(&mut self, run: RunId, output: Output) {
        let flight = self.flight.as_mut().map(|flight| &mut flight.parts);
        let parts = std::iter::once(&mut self.collecting)
            .chain(&mut self.splits)
            .chain(flight);
        for parts in parts {
            if let Some(part) = parts.get_mut(&run) {
                return part.outputs.push(output);
            }
        }
        self.outputs.push(output);
    }

    /// Whether the store does not have all that the run decided yet, or may not have it: what is read
    /// of it now may be out of date.
    pub(super) fn is_open(&self, run: RunId) -> bool {
        let flight = self.flight.as_ref().map(|flight| &flight.parts);
        let flight = flight.filter(|_| !planted!(FlightForgotten));
        let mut parts = std::iter::once(&self.collecting)
            .chain(&self.splits)
            .chain(flight);
        parts.any(|parts| parts.contains_key(&run))
    }

    /// Answers with the error; claims that were not durable are taken back.
    pub(super) fn undo(&mut self, run: RunId, part: Part, error: &NodeError) {
        for output in part.outputs {
            if let Output::Answer { ticket, .. } = output {
                self.answer_now(ticket, Err(error.clone()));
            }
        }
        if planted!(PlaceLeaked) {
            return;
        }
        for id in part.claims {
            self.forget(run, id);
        }
    }
}
