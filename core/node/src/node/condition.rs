//! How the node is, for whoever asks from outside of its threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// How the node is.
#[derive(Debug, Default)]
pub(crate) struct Condition {
    known: AtomicUsize,
    failing: Mutex<Option<String>>,
}

impl Condition {
    pub(crate) fn knows(&self, runs: usize) {
        self.known.store(runs, Ordering::Relaxed);
    }

    /// How many runs have not ended.
    pub(crate) fn known(&self) -> usize {
        self.known.load(Ordering::Relaxed)
    }

    /// A commit failed, or was made again.
    pub(crate) fn commits(&self, failed: Option<String>) {
        *self.failing.lock().unwrap_or_else(PoisonError::into_inner) = failed;
    }

    /// Why the last commit failed, if it did.
    pub(crate) fn failing(&self) -> Option<String> {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        failing.clone()
    }
}
