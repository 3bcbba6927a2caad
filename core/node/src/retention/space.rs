//! Bounded turns, and the space of what was deleted.

use crate::envelope;
use crate::error::NodeError;
use crate::keys;
use crate::node::Node;
use crate::stored::row;
use conveyor_proto::storage::v1::{Reclaim, RecordKind};
use conveyor_store::{Direction, KeyRange, Store, Transaction};
use prost::Message as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Keys that one turn deletes at most: a commit of some 40 KB, below a millisecond beside its sync.
const TURN: usize = 512;

/// Files are merged once so many bytes were deleted, 8 MiB, and a share of the store: merging may write
/// all that is left anew, so a store is written at most so many times over for what is deleted from it.
const RECLAIM_BYTES: u64 = 8 << 20;
const RECLAIM_SHARE: u64 = 4;

/// What deletions of this process share.
#[derive(Debug, Default)]
pub(crate) struct Sweeps {
    /// One turn at a time: each counts what it deletes in one row.
    turn: Mutex<()>,
    /// One merge at a time.
    merge: tokio::sync::Mutex<()>,
}

impl Sweeps {
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Deletes the first keys of a range. Gives the rest of it: a scan that began at the same key again would go
/// through all that was deleted.
fn turn(
    sweeps: &Sweeps,
    store: &dyn Store,
    range: &KeyRange,
) -> Result<Option<KeyRange>, NodeError> {
    let _one = sweeps.turn();
    let page = store.scan(range, Direction::Forward, TURN)?;
    if page.entries.is_empty() {
        return Ok(None);
    }
    let mut transaction = Transaction::new();
    let mut bytes = 0;
    for (key, value) in &page.entries {
        bytes += (key.len() + value.len()) as u64;
        transaction.delete(key.clone());
    }
    count(store, &mut transaction, |so_far| so_far + bytes)?;
    store.commit(&transaction)?;
    Ok(page.rest(range, Direction::Forward))
}

/// Changes how much was deleted, in a transaction of whoever holds the turn.
pub(super) fn count(
    store: &dyn Store,
    transaction: &mut Transaction,
    change: impl FnOnce(u64) -> u64,
) -> Result<(), NodeError> {
    let so_far = deleted(store)?;
    let reclaim = Reclaim {
        bytes: change(so_far),
    };
    let value = envelope::wrap(RecordKind::Reclaim, 0, &reclaim.encode_to_vec());
    transaction.put(keys::reclaim(), value);
    Ok(())
}

fn deleted(store: &dyn Store) -> Result<u64, NodeError> {
    let row: Option<Reclaim> = row(store, RecordKind::Reclaim, &keys::reclaim())?;
    Ok(row.unwrap_or_default().bytes)
}

impl Node {
    /// Deletes a range of a store in turns, with as long a rest after each as it took: half of the disk's
    /// time at most. Stopped in between, some keys are gone.
    pub(super) async fn sweep(
        &self,
        store: &Arc<dyn Store>,
        range: KeyRange,
    ) -> Result<(), NodeError> {
        let mut rest = Some(range);
        while let Some(range) = rest {
            let began = Instant::now();
            let (node, store) = (self.clone(), Arc::clone(store));
            rest = self
                .reader()
                .on_worker(move |_| turn(node.sweeps(), store.as_ref(), &range))
                .await?;
            if rest.is_some() {
                tokio::time::sleep(began.elapsed()).await;
            }
        }
        Ok(())
    }

    /// Merges the store's files where enough was deleted to be worth it. Stopped in between, nothing is
    /// lost, and the next pass merges again.
    ///
    /// # Errors
    /// When the store cannot be read, or its files not be written.
    pub async fn reclaim(&self) -> Result<bool, NodeError> {
        let Ok(_one) = self.sweeps().merge.try_lock() else {
            return Ok(false);
        };
        let mut merged = self.reclaim_of(self.reader().store()).await?;
        if !Arc::ptr_eq(self.reader().store(), self.reader().log_store()) {
            merged |= self.reclaim_of(self.reader().log_store()).await?;
        }
        Ok(merged)
    }

    /// The same, for those who have deleted already: that is done, whatever comes of the space.
    pub(super) async fn reclaim_if_can(&self) {
        if let Err(error) = self.reclaim().await {
            tracing::warn!(%error, "the space of what was deleted is not given back yet");
        }
    }

    async fn reclaim_of(&self, store: &Arc<dyn Store>) -> Result<bool, NodeError> {
        let (node, store) = (self.clone(), Arc::clone(store));
        // A thread of its own: the node's few are for what somebody waits for.
        let merging = tokio::task::spawn_blocking(move || {
            let bytes = deleted(store.as_ref())?;
            let on_disk = store.stats()?.bytes_on_disk;
            if bytes < RECLAIM_BYTES || bytes.saturating_mul(RECLAIM_SHARE) < on_disk {
                return Ok(false);
            }
            let began = Instant::now();
            store.reclaim(bytes)?;
            let _one = node.sweeps().turn();
            let mut transaction = Transaction::new();
            count(store.as_ref(), &mut transaction, |now| {
                now.saturating_sub(bytes)
            })?;
            store.commit(&transaction)?;
            tracing::info!(
                deleted_bytes = bytes,
                before_bytes = on_disk,
                after_bytes = store.stats()?.bytes_on_disk,
                took_ms = began.elapsed().as_millis() as u64,
                "merged the store's files"
            );
            Ok(true)
        });
        merging
            .await
            .unwrap_or_else(|_| Err(NodeError::Unavailable("merging files panicked".into())))
    }
}
