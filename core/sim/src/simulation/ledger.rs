//! What was seen from outside, and what must therefore be in the store.

use conveyor_engine::run::table::{Row, RunRow};
use conveyor_engine::run::{AttemptState, Decision, Identity};
use conveyor_node::RunId;
use std::collections::{BTreeMap, BTreeSet};

/// How often each thing happened over one or many seeds. A fault that was never injected proves
/// nothing, so callers assert that none of these is 0.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Injected faults and crash points, by name.
    pub faults: BTreeMap<&'static str, u64>,
    /// Rows of the instance table.
    pub rows: BTreeMap<Row, u64>,
    /// Rows of the run table.
    pub run_rows: BTreeMap<RunRow, u64>,
    /// Runs that ended.
    pub runs: u64,
    /// Attempts that drivers started.
    pub attempts: u64,
    /// Times that the process died.
    pub crashes: u64,
}

impl Counts {
    /// Adds another seed's.
    pub fn add(&mut self, other: &Counts) {
        for (name, count) in &other.faults {
            *self.faults.entry(name).or_default() += count;
        }
        for (row, count) in &other.rows {
            *self.rows.entry(*row).or_default() += count;
        }
        for (row, count) in &other.run_rows {
            *self.run_rows.entry(*row).or_default() += count;
        }
        self.runs += other.runs;
        self.attempts += other.attempts;
        self.crashes += other.crashes;
    }

    pub(super) fn fault(&mut self, name: &'static str) {
        *self.faults.entry(name).or_default() += 1;
    }

    pub(super) fn decisions(&mut self, decisions: &[Decision]) {
        for decision in decisions {
            match decision {
                Decision::Instance {
                    from, event, to, ..
                } => {
                    *self.rows.entry((*from, *event, *to)).or_default() += 1;
                }
                Decision::Run {
                    from, event, to, ..
                } => {
                    *self.run_rows.entry((*from, *event, *to)).or_default() += 1;
                }
                _ => {}
            }
        }
    }
}

/// What the world outside was told, and did.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Attempts that a driver started. Each at most once.
    started: BTreeSet<(RunId, Identity)>,
    /// Runs whose start was acknowledged.
    pub(super) runs: BTreeSet<RunId>,
    /// Reports that were acknowledged as taken.
    pub(super) taken: BTreeMap<(RunId, Identity), AttemptState>,
    /// Stops that were acknowledged.
    pub(super) stopped: BTreeSet<RunId>,
}

impl Ledger {
    /// A driver starts an attempt. False when it was started before.
    pub(super) fn start(&mut self, run: RunId, id: Identity) -> bool {
        self.started.insert((run, id))
    }
}
