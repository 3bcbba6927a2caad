//! Which runs this process was given, and when it may end.

use crate::refusal;
use conveyor_engine::run::RunState;
use conveyor_node::{Reader, RunId};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};
use tonic::Status;

/// Counts what keeps a process from ending: requests that give it work, and the runs they gave.
///
/// A process that holds a data directory executes every run given to it, and may end once all of
/// them have; from then on it takes nothing more, and says so ([`crate::CLOSING`]).
#[derive(Debug, Default)]
pub struct Gate {
    /// Whether it forgets the runs that it is told of: the process ends when it is told to, not with
    /// its runs.
    open: bool,
    inner: Mutex<Inner>,
    closed: watch::Sender<bool>,
    /// Told whenever a request that may have given work is over.
    left: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    given: BTreeSet<RunId>,
    entering: usize,
    closed: bool,
}

/// A request that gives work. The gate does not close as long as one is alive.
#[derive(Debug)]
pub(crate) struct Entry {
    gate: Arc<Gate>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.gate.inner().entering -= 1;
        self.gate.left.notify_one();
    }
}

impl Entry {
    /// This process moves the run now.
    pub(crate) fn given(&self, run: RunId) {
        if !self.gate.open {
            self.gate.inner().given.insert(run);
        }
    }
}

impl Gate {
    /// That of a server: its runs outlive it.
    pub(crate) fn open() -> Gate {
        Gate {
            open: true,
            ..Gate::default()
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn enter(self: &Arc<Self>) -> Result<Entry, Status> {
        let mut inner = self.inner();
        if inner.closed {
            return Err(refusal::closing());
        }
        inner.entering += 1;
        Ok(Entry {
            gate: Arc::clone(self),
        })
    }

    /// Told once the gate is closed.
    #[must_use]
    pub fn closed(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }

    /// Whether this process ends and its runs go on with the next: whoever follows them is to ask again.
    pub(crate) fn is_left(&self) -> bool {
        self.open && *self.closed.borrow()
    }

    /// Whether it is worth while to begin to follow a run here.
    ///
    /// # Errors
    /// What tells to ask again.
    pub(crate) fn still_here(&self) -> Result<(), Status> {
        match self.is_left() {
            true => Err(refusal::closing()),
            false => Ok(()),
        }
    }

    /// Runs that were given and have not ended.
    pub async fn live(&self, reader: &Reader) -> Vec<RunId> {
        let given: Vec<_> = self.inner().given.iter().copied().collect();
        let mut live = Vec::new();
        for run in given {
            match reader.summary(run).await {
                Ok(row) if row.state().is_terminal() || row.state() == RunState::Quarantined => {
                    self.inner().given.remove(&run);
                }
                // A store that cannot be read now says nothing about the run.
                _ => live.push(run),
            }
        }
        live
    }

    /// Closes if nothing is left to do; gives the runs that are left otherwise.
    ///
    /// # Errors
    /// The runs that were given and have not ended; empty where a request is being answered that may
    /// give one.
    pub async fn try_close(&self, reader: &Reader) -> Result<(), Vec<RunId>> {
        let live = self.live(reader).await;
        let mut inner = self.inner();
        if !inner.given.is_empty() || inner.entering > 0 {
            return Err(live);
        }
        inner.closed = true;
        drop(inner);
        self.closed.send_replace(true);
        Ok(())
    }

    /// Ready once what [`Gate::try_close`] found may have changed: one of `live` has, or a request is
    /// over.
    pub async fn changed(&self, reader: &Reader, live: &[RunId]) {
        let Some(run) = live.first() else {
            return self.left.notified().await;
        };
        let mut follower = reader.follow(*run);
        // It may have ended before we followed.
        let ended = async {
            loop {
                match reader.summary(*run).await {
                    Ok(row) if row.state().is_terminal() => return,
                    Ok(row) if row.state() == RunState::Quarantined => return,
                    _ => {}
                }
                follower.changed().await;
            }
        };
        tokio::select! {
            () = ended => {}
            () = self.left.notified() => {}
        }
    }

    /// Takes nothing more, whatever is left.
    pub fn close(&self) {
        self.inner().closed = true;
        self.closed.send_replace(true);
    }
}
