use crate::transaction::at_most;
use crate::{
    CommitError, Conflict, Direction, Error, KeyRange, Limits, Page, Stats, Store, Transaction,
    View,
};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A store within the process, for simulation and offline tests. What it holds lives as long as it
/// does: to simulate a crash, drop what uses it and keep it.
#[derive(Debug, Default)]
pub struct Memory {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<Bytes, Bytes>,
    commits: u64,
}

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A transaction is checked before the first entry changes, so that a panic cannot leave
        // half of one behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a store held.
struct Copied(BTreeMap<Bytes, Bytes>);

impl View for Copied {
    fn scan(&self, range: &KeyRange, limit: usize) -> Result<Page, Error> {
        if range.is_empty() {
            return Ok(Page::default());
        }
        match Page::collect(self.0.range(bounds(range)).map(copied), limit) {
            Ok(page) => Ok(page),
            Err(never) => match never {},
        }
    }
}

impl Store for Memory {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.state().entries.get(key).cloned())
    }

    fn scan(&self, range: &KeyRange, direction: Direction, limit: usize) -> Result<Page, Error> {
        if range.is_empty() {
            return Ok(Page::default());
        }
        let state = self.state();
        let entries = state.entries.range(bounds(range));
        let page = match direction {
            Direction::Forward => Page::collect(entries.map(copied), limit),
            Direction::Reverse => Page::collect(entries.rev().map(copied), limit),
        };
        match page {
            Ok(page) => Ok(page),
            Err(never) => match never {},
        }
    }

    fn view(&self) -> Result<Box<dyn View>, Error> {
        Ok(Box::new(Copied(self.state().entries.clone())))
    }

    fn commit(&self, transaction: &Transaction) -> Result<(), CommitError> {
        let limits = self.limits();
        transaction.check(&limits).map_err(CommitError::Failed)?;
        let mut state = self.state();
        for compare in &transaction.compares {
            let found = state.entries.get(&compare.key);
            if !compare.expected.matches(found.map(Bytes::as_ref)) {
                let found = found.cloned();
                return Err(CommitError::Conflict(Conflict {
                    key: compare.key.clone(),
                    found,
                }));
            }
        }
        let ranges = transaction
            .delete_ranges
            .iter()
            .filter(|range| !range.is_empty());
        let doomed: Vec<Bytes> = ranges
            .flat_map(|range| {
                state
                    .entries
                    .range(bounds(range))
                    .map(|(key, _)| key.clone())
            })
            .collect();
        at_most(
            "operations",
            transaction.operations() + doomed.len(),
            limits.operations,
        )
        .map_err(CommitError::Failed)?;
        for key in doomed.iter().chain(&transaction.deletes) {
            state.entries.remove(key);
        }
        for (key, value) in &transaction.puts {
            state.entries.insert(key.clone(), value.clone());
        }
        state.commits += 1;
        Ok(())
    }

    fn limits(&self) -> Limits {
        Limits::LOCAL
    }

    fn stats(&self) -> Result<Stats, Error> {
        Ok(Stats {
            commits: self.state().commits,
            ..Stats::default()
        })
    }
}

fn bounds(range: &KeyRange) -> (Bound<Bytes>, Bound<Bytes>) {
    let end = range.end.clone().map_or(Bound::Unbounded, Bound::Excluded);
    (Bound::Included(range.start.clone()), end)
}

fn copied((key, value): (&Bytes, &Bytes)) -> Result<(Bytes, Bytes), Infallible> {
    Ok((key.clone(), value.clone()))
}
