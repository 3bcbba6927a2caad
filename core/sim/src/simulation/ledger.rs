//! What was seen from outside, and what must therefore be in the store.

use super::points::{CRASHES, FAULTS};
use conveyor_engine::run::table::{self, Row, RunRow};
use conveyor_engine::run::{Decision, EndedAttempt, Identity};
use conveyor_node::RunId;
use std::collections::{BTreeMap, BTreeSet};

/// How often each thing happened over one or many seeds. A fault that was never injected proves
/// nothing, so callers assert that none of these is 0.
#[derive(Clone, Debug)]
pub struct Counts {
    /// Injected faults and crash points, by name; those that never happened with 0.
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

impl Default for Counts {
    fn default() -> Counts {
        let names = FAULTS.iter().chain(CRASHES);
        let instance = table::INSTANCE.iter();
        Counts {
            faults: names.map(|name| (*name, 0)).collect(),
            rows: instance.map(|row| (*row, 0)).collect(),
            run_rows: table::RUN.iter().map(|row| (*row, 0)).collect(),
            runs: 0,
            attempts: 0,
            crashes: 0,
        }
    }
}

impl Counts {
    /// What never happened.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let faults = self.faults.iter().filter(|(_, count)| **count == 0);
        let rows = self.rows.iter().filter(|(_, count)| **count == 0);
        let run_rows = self.run_rows.iter().filter(|(_, count)| **count == 0);
        let faults = faults.map(|(name, _)| (*name).to_owned());
        let rows = rows.map(|(row, _)| format!("{} --{}--> {}", row.0, row.1.as_str(), row.2));
        let run_rows =
            run_rows.map(|(row, _)| format!("run {} --{}--> {}", row.0, row.1.as_str(), row.2));
        faults.chain(rows).chain(run_rows).collect()
    }

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
        debug_assert!(FAULTS.contains(&name) || CRASHES.contains(&name), "{name}");
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
    pub(super) taken: BTreeMap<(RunId, Identity), EndedAttempt>,
    /// What changes of objects were answered: by their key, and by their number.
    pub(super) answers: BTreeMap<String, String>,
    /// Numbers of changes that were acknowledged, with their Resource.
    pub(super) applied: BTreeMap<u64, &'static str>,
    /// Runs that somebody wants terminated while their journal is damaged.
    pub(super) doomed: BTreeSet<RunId>,
    /// Runs that were terminated while their journal was damaged: they are over, whatever it says.
    pub(super) abandoned: BTreeSet<RunId>,
}

impl Ledger {
    /// A driver starts an attempt. False when it was started before.
    pub(super) fn start(&mut self, run: RunId, id: Identity) -> bool {
        self.started.insert((run, id))
    }
}
