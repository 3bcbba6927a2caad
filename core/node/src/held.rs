//! The runs that a process moves, as its readers see it.

use crate::id::RunId;
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Which runs this node moves.
#[derive(Debug)]
pub(crate) struct Held {
    /// All of the store.
    all: bool,
    runs: Mutex<BTreeSet<RunId>>,
}

impl Held {
    /// None yet, or all of the store.
    pub(crate) fn new(all: bool) -> Held {
        Held {
            all,
            runs: Mutex::default(),
        }
    }

    pub(crate) fn contains(&self, run: RunId) -> bool {
        self.all || self.runs().contains(&run)
    }

    pub(crate) fn insert(&self, run: RunId) -> bool {
        !self.all && self.runs().insert(run)
    }

    pub(crate) fn remove(&self, run: RunId) {
        if !self.all {
            self.runs().remove(&run);
        }
    }

    fn runs(&self) -> MutexGuard<'_, BTreeSet<RunId>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
