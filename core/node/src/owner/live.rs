//! One run as its owner has it: in memory, or only known.

use super::messages::{Input, KeptSnapshot};
use conveyor_engine::run::{Run, RunState, Values};
use conveyor_engine::time::Time;
use conveyor_engine::value::Hash;
use conveyor_proto::storage::v1::{LiveEntry, ResourceName};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Loaded values of one run are kept up to so many bytes between commits.
const CACHED: usize = 1 << 20;

/// A run as its owner has it.
#[derive(Debug)]
pub(super) enum Slot {
    /// In memory.
    Live(Box<Live>),
    /// Being loaded; what is asked of it waits.
    Loading(Vec<Input>),
    /// In line to be loaded.
    Waiting,
    /// Nothing of it wants doing before the instant, if there is one.
    Parked(Option<Time>),
    /// Untouched until somebody releases it.
    Quarantined,
}

/// A run in memory.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) run: Run,
    /// Attempts that sessions hold.
    pub(super) claims: u32,
    /// Instances that wait for a driver.
    pub(super) queued: u32,
    /// Whether it may have instances that wait for a driver that nobody has.
    pub(super) absent: bool,
    /// What it is among the owner's timers.
    pub(super) due: Option<Time>,
    /// Whether it is in line for a turn.
    pub(super) turning: bool,
    /// Whether its turn, or a request, waits for values.
    pub(super) awaits_values: bool,
    /// Requests that go on once values are there.
    pub(super) waiting: Vec<Input>,
    values: Cache,
    /// When its first step was claimed, or its first wait began.
    pub(super) started: Option<Time>,
    /// The version of a Resource that it is for, as its row tells it.
    pub(super) resource: Option<ResourceName>,
    /// Why the run is in its state.
    pub(super) reason: Arc<str>,
    /// What its row for listings says; `None` before it has one.
    pub(super) row: Option<Listed>,
    /// Its row among live work.
    pub(super) entry: Option<LiveEntry>,
    /// Whether the store may have a snapshot of it.
    pub(super) snapshotted: bool,
}

/// What decides when a run's row for listings is written again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) state: RunState,
    pub(super) started: bool,
    pub(super) reason: Arc<str>,
}

/// Texts of a run's values that are at hand.
#[derive(Debug, Default)]
pub(super) struct Cache {
    texts: BTreeMap<Hash, Arc<[u8]>>,
    bytes: usize,
}

impl Values for Cache {
    fn get(&self, hash: &Hash) -> Option<Arc<[u8]>> {
        self.texts.get(hash).cloned()
    }
}

impl Live {
    pub(super) fn new(run: Run) -> Live {
        Live {
            run,
            claims: 0,
            queued: 0,
            absent: false,
            due: None,
            turning: false,
            awaits_values: false,
            waiting: Vec::new(),
            values: Cache::default(),
            resource: None,
            started: None,
            reason: Arc::from(""),
            row: None,
            entry: None,
            snapshotted: false,
        }
    }

    /// The run, and the values to apply facts with.
    pub(super) fn parts(&mut self) -> (&mut Run, &Cache) {
        (&mut self.run, &self.values)
    }

    /// A snapshot, when it is time for one.
    pub(super) fn snapshot(&mut self, facts: u64) -> Option<Box<KeptSnapshot>> {
        let snapshot = self.run.take_snapshot(facts)?;
        self.snapshotted = true;
        Some(Box::new(KeptSnapshot {
            snapshot,
            document: self.run.plan().digest,
            reason: Arc::clone(&self.reason),
        }))
    }

    /// A value's text, if it is at hand.
    pub(super) fn value(&self, hash: &Hash) -> Option<Arc<[u8]>> {
        self.values.get(hash)
    }

    /// Puts a text at hand.
    pub(super) fn keep(&mut self, hash: Hash, text: &Arc<[u8]>) {
        if self.values.texts.insert(hash, Arc::clone(text)).is_none() {
            self.values.bytes += text.len();
        }
    }

    /// Those that are not at hand.
    pub(super) fn missing(&self, hashes: &[Hash]) -> Vec<Hash> {
        hashes
            .iter()
            .filter(|hash| !self.values.texts.contains_key(hash))
            .copied()
            .collect()
    }

    /// Lets go of values that the store has by now.
    pub(super) fn trim(&mut self) {
        if self.values.bytes > CACHED {
            self.values = Cache::default();
        }
    }
}
