//! A run as the store has it.

use conveyor_engine::run::{Run, Snapshot};
use conveyor_engine::value::Hash;
use conveyor_proto::storage::v1::{LiveEntry, RunSummary};
use std::sync::Arc;

/// A run as the store has it.
#[derive(Debug)]
pub enum Loaded {
    /// There is none.
    Missing,
    /// It folds.
    Run(Box<LoadedRun>),
    /// It does not fold.
    Broken {
        /// Why.
        flaw: Flaw,
        /// Its row, where it has one.
        summary: Option<Box<RunSummary>>,
    },
    /// The store could not be read. It is tried again.
    Failed(String),
}

/// Why a run is set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// A sentence for people.
    pub reason: String,
    /// The record at which the fold stopped; 0 where it is none.
    pub sequence: u64,
    /// The digest in that record and the one that the fold gave, where it is they that differ.
    pub digests: Option<(u64, u64)>,
}

impl Flaw {
    /// At a record, whatever its digest.
    #[must_use]
    pub fn at(sequence: u64, reason: &(impl ToString + ?Sized)) -> Flaw {
        Flaw {
            reason: reason.to_string(),
            sequence,
            digests: None,
        }
    }
}

/// A run that folds, and its rows.
#[derive(Debug)]
pub struct LoadedRun {
    /// The run.
    pub run: Run,
    /// Why it is in its state.
    pub reason: Arc<str>,
    /// Whether it has a snapshot.
    pub snapshotted: bool,
    /// Its row for listings.
    pub summary: Option<RunSummary>,
    /// Its row among live work.
    pub entry: Option<LiveEntry>,
    /// Whether it is quarantined.
    pub quarantined: bool,
}

/// A snapshot of a run, and what is kept with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptSnapshot {
    /// The state.
    pub snapshot: Snapshot,
    /// The digest of the run's document.
    pub document: Hash,
    /// Why the run is in its state.
    pub reason: Arc<str>,
}
