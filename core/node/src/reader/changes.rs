use crate::id::RunId;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

/// How far a run's journal is known to be durable. A hint: the store decides (PROTOCOL P28).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The sequence of the last durable record.
    pub sequence: u64,
    /// Whether the run has ended with it.
    pub ended: bool,
}

/// Tells followers of a run that it has something new.
#[derive(Debug, Default)]
pub struct Changes {
    runs: Mutex<HashMap<RunId, watch::Sender<Position>>>,
    any: watch::Sender<u64>,
}

impl Changes {
    /// Positions of a run from now on. Subscribe first and read then, and nothing is missed.
    pub fn subscribe(&self, run: RunId) -> watch::Receiver<Position> {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.retain(|_, sender| sender.receiver_count() > 0);
        runs.entry(run).or_default().subscribe()
    }

    /// A number that grows with every change of any run.
    pub fn subscribe_any(&self) -> watch::Receiver<u64> {
        self.any.subscribe()
    }

    pub(crate) fn publish(&self, run: RunId, sequence: u64, ended: bool) {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = runs.get(&run) {
            sender.send_replace(Position { sequence, ended });
        }
        drop(runs);
        self.any.send_modify(|count| *count += 1);
    }

    /// Log lines of a run are durable.
    pub(crate) fn publish_logs(&self, run: RunId) {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = runs.get(&run) {
            sender.send_modify(|_| {});
        }
    }
}
