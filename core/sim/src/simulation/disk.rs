//! The store under the simulator's hand: every commit has a fate, and reads fail.

use super::site;
use crate::model::SplitMix64;
use conveyor_engine::value::Hash;
use conveyor_node::objects::{self, ListObjects, Object};
use conveyor_node::owner::{Group, Outcome};
use conveyor_node::storage;
use conveyor_proto::storage::v1::{StoredPipeline, StoredResource};
use conveyor_store::{
    Bytes, CommitError, Direction, Error, ErrorKind, KeyRange, Limits, Memory, Page, Stats, Store,
    Transaction,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What becomes of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is made, and its maker hears so.
    Committed,
    /// It is not made: the disk is full.
    Full,
    /// It is made, and nobody knows.
    UnknownMade,
    /// It is not made, and nobody knows.
    UnknownNot,
    /// It is not made now, but a copy is on its way.
    UnknownLate,
    /// It is refused for its content.
    Refused,
}

impl Fate {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Fate::Committed => "commit",
            Fate::Full => "commit failed",
            Fate::UnknownMade => "outcome unknown, committed",
            Fate::UnknownNot => "outcome unknown, not committed",
            Fate::UnknownLate => "outcome unknown, a copy comes late",
            Fate::Refused => "commit refused for its content",
        }
    }
}

/// The durable state, which outlives every process.
pub(super) struct Disk {
    pub(super) store: Memory,
    /// Copies of transactions that are still on their way.
    late: Mutex<Vec<Transaction>>,
    /// What became of Resources, one commit after the other.
    happened: Mutex<Vec<Step>>,
    /// Whether this life has Resources.
    pub(super) resources: bool,
}

/// A Resource went from one version to another: `None` where there is none.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) resource: String,
    pub(super) before: Option<u64>,
    pub(super) after: Option<u64>,
    /// The revisions of the pipelines then.
    pub(super) pipelines: Vec<Hash>,
}

/// The store as one call sees it.
pub(super) struct View<'a> {
    disk: &'a Disk,
    /// So many reads succeed; `None`: all.
    reads: Option<AtomicU32>,
    fate: Fate,
}

impl Disk {
    pub(super) fn new() -> Disk {
        Disk {
            store: Memory::new(),
            late: Mutex::new(Vec::new()),
            happened: Mutex::new(Vec::new()),
            resources: false,
        }
    }

    /// The store for one call: after so many reads it cannot be read, and a commit meets its fate.
    pub(super) fn view(&self, reads: Option<u32>, fate: Fate) -> View<'_> {
        View {
            disk: self,
            reads: reads.map(AtomicU32::new),
            fate,
        }
    }

    /// Makes a commit meet its fate.
    pub(super) fn commit(&self, group: &Arc<Group>, fate: Fate) -> Outcome {
        let made = self.view(None, fate).commit(&storage::transaction(group));
        storage::outcome(group, made)
    }

    /// One of the late copies arrives.
    pub(super) fn arrive(&mut self, random: &mut SplitMix64) -> bool {
        let late = self.late.get_mut().unwrap_or_else(PoisonError::into_inner);
        if late.is_empty() {
            return false;
        }
        let transaction = late.swap_remove(random.below(late.len()));
        // What it came to, nobody waits for any more.
        let _ = self.make(&transaction);
        true
    }

    /// Makes a commit, and notes what it means for Resources.
    fn make(&self, transaction: &Transaction) -> Result<(), CommitError> {
        if !self.resources {
            return self.store.commit(transaction);
        }
        let before = self.versions();
        self.store.commit(transaction)?;
        let after = self.versions();
        let digest = |row: StoredPipeline| row.digest.as_ref().try_into().ok().map(Hash);
        let pipelines = self.rows().into_iter();
        let pipelines: Vec<Hash> = pipelines.filter_map(|(_, row)| digest(row)).collect();
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let mut happened = self.happened.lock().unwrap_or_else(PoisonError::into_inner);
        for name in names {
            let (before, after) = (before.get(name).copied(), after.get(name).copied());
            if before != after {
                happened.push(Step {
                    resource: name.clone(),
                    before,
                    after,
                    pipelines: pipelines.clone(),
                });
            }
        }
        Ok(())
    }

    /// The Resources, with their versions.
    fn versions(&self) -> BTreeMap<String, u64> {
        let prefix = format!("{}:", site::DEFINITION);
        let rows = self.rows::<StoredResource>().into_iter();
        rows.filter_map(|(key, row)| Some((key.strip_prefix(&prefix)?.to_owned(), row.version)))
            .collect()
    }

    fn rows<M: Object>(&self) -> Vec<(String, M)> {
        let all = ListObjects {
            namespace: site::NAMESPACE.to_owned(),
            limit: 100,
            ..ListObjects::default()
        };
        let page = objects::list::<M>(&self.store, &all);
        // A store in memory can be read.
        let rows = page.map(|page| page.rows).unwrap_or_default();
        rows.into_iter()
            .map(|(name, row)| (name, row.value))
            .collect()
    }

    /// What became of Resources until now.
    pub(super) fn happened(&self) -> Vec<Step> {
        let happened = self.happened.lock();
        happened.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl View<'_> {
    fn read(&self) -> Result<(), Error> {
        let Some(reads) = &self.reads else {
            return Ok(());
        };
        // Once out, the disk stays out for the rest of the call.
        let left = reads.load(Ordering::Relaxed);
        if left == 0 {
            return Err(Error::new(ErrorKind::Io, "read"));
        }
        reads.store(left - 1, Ordering::Relaxed);
        Ok(())
    }
}

impl Store for View<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.read()?;
        self.disk.store.get(key)
    }

    fn scan(&self, range: &KeyRange, direction: Direction, limit: usize) -> Result<Page, Error> {
        self.read()?;
        self.disk.store.scan(range, direction, limit)
    }

    fn commit(&self, transaction: &Transaction) -> Result<(), CommitError> {
        let unknown = || Err(CommitError::Unknown(Error::new(ErrorKind::Io, "commit")));
        let failed = |kind| Err(CommitError::Failed(Error::new(kind, "commit")));
        match self.fate {
            Fate::Committed => self.disk.make(transaction),
            Fate::Full => failed(ErrorKind::DiskFull),
            Fate::Refused => failed(ErrorKind::Invalid),
            Fate::UnknownMade => {
                // A conflict is as unknown to the caller as anything else.
                let _ = self.disk.make(transaction);
                unknown()
            }
            Fate::UnknownNot => unknown(),
            Fate::UnknownLate => {
                let late = self.disk.late.lock();
                late.unwrap_or_else(PoisonError::into_inner)
                    .push(transaction.clone());
                unknown()
            }
        }
    }

    fn limits(&self) -> Limits {
        self.disk.store.limits()
    }

    fn stats(&self) -> Result<Stats, Error> {
        self.disk.store.stats()
    }
}
