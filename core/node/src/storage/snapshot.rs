//! Snapshots of runs: a cache beside their journals (PROTOCOL P8).

use crate::chunks;
use crate::envelope;
use crate::error::NodeError;
use crate::id::RunId;
use crate::keys;
use crate::owner::KeptSnapshot;
use crate::plans::Plans;
use crate::stored::{decode, read, scan};
use conveyor_engine::run::{Run, SNAPSHOT_FORMAT, Snapshot};
use conveyor_engine::value::Hash;
use conveyor_proto::storage::v1::{RecordKind, SnapshotPointer};
use conveyor_store::{Expected, KeyRange, Store, Transaction};
use prost::Message as _;
use std::sync::Arc;

/// The transactions that keep a snapshot, in their order: its pieces, then the pointer, which makes it
/// valid and takes older ones away. Stopped in between, it is as if it had never begun. None where a
/// later one is kept already, or where the run has ended. Each holds only as long as the run is live as it was
/// read here: what comes after its end, which takes snapshots away, would be left for ever.
///
/// # Errors
/// When the store cannot be read.
pub fn keep_snapshot(
    store: &dyn Store,
    run: RunId,
    kept: &KeptSnapshot,
) -> Result<Vec<Transaction>, NodeError> {
    let KeptSnapshot {
        snapshot,
        document,
        reason,
    } = kept;
    let Some(live) = store.get(&keys::live(run))? else {
        return Ok(Vec::new());
    };
    let live = Expected::Value(live);
    let key = keys::snapshot_pointer(run);
    let old = store.get(&key)?;
    let newest = old.as_deref().and_then(pointer).map(|old| old.sequence);
    if newest.is_some_and(|newest| newest >= snapshot.sequence) {
        return Ok(Vec::new());
    }
    let at = keys::snapshot(run, snapshot.sequence);
    let pieces = chunks::split(RecordKind::Snapshot, 0, &at, &snapshot.bytes);
    let mut transactions: Vec<_> = pieces
        .map(|(key, piece)| {
            let mut transaction = Transaction::new();
            transaction.compare(keys::live(run), live.clone());
            transaction.put(key, piece);
            transaction
        })
        .collect();
    let row = SnapshotPointer {
        sequence: snapshot.sequence,
        format: SNAPSHOT_FORMAT.to_owned(),
        digest: snapshot.digest().0.to_vec().into(),
        document: document.0.to_vec().into(),
        reason: reason.to_string(),
    };
    let mut last = Transaction::new();
    // Two that are kept at once: the later one to come finds another pointer than it has seen.
    let expected = old.map_or(Expected::Absent, Expected::Value);
    let row = envelope::wrap(RecordKind::SnapshotPointer, 0, &row.encode_to_vec());
    last.compare(keys::live(run), live);
    last.compare(key.clone(), expected).put(key, row);
    let older = KeyRange {
        start: keys::snapshots(run).into(),
        end: Some(at.into()),
    };
    scan(store, older, |key, _| {
        last.delete(key.to_vec());
        Ok(())
    })?;
    transactions.push(last);
    Ok(transactions)
}

/// What takes all snapshots of a run away: it has ended.
///
/// # Errors
/// When the store cannot be read.
pub fn drop_snapshots(store: &dyn Store, run: RunId) -> Result<Transaction, NodeError> {
    let mut transaction = Transaction::new();
    transaction.delete(keys::snapshot_pointer(run));
    scan(store, KeyRange::prefix(keys::snapshots(run)), |key, _| {
        transaction.delete(key.to_vec());
        Ok(())
    })?;
    Ok(transaction)
}

/// A run from its snapshot, and why it is in its state then. `None` where there is none that this
/// release can read.
///
/// # Errors
/// When the store cannot be read for now.
pub(super) fn restore(
    store: &dyn Store,
    plans: &Plans,
    run: RunId,
) -> Result<Option<(Run, Arc<str>)>, NodeError> {
    let row = store.get(&keys::snapshot_pointer(run))?;
    let Some(row) = row.as_deref().and_then(pointer) else {
        return Ok(None);
    };
    let document = <[u8; 32]>::try_from(row.document.as_ref());
    let (SNAPSHOT_FORMAT, Ok(document)) = (row.format.as_str(), document) else {
        return Ok(None);
    };
    let key = keys::snapshot(run, row.sequence);
    let Some(bytes) = passed_over(read(store, RecordKind::Snapshot, &key))?.flatten() else {
        return Ok(None);
    };
    let snapshot = Snapshot {
        sequence: row.sequence,
        bytes: bytes.into(),
    };
    if snapshot.digest().0 != row.digest.as_ref() {
        return Ok(None);
    }
    let Some(plan) = passed_over(plans.get(store, &Hash(document)))? else {
        return Ok(None);
    };
    let restored =
        Run::restore(plan, &snapshot).filter(|restored| **restored.id() == *run.to_string());
    Ok(restored.map(|restored| (restored, row.reason.into())))
}

/// What is damaged counts as not there: the journal has it all.
fn passed_over<T>(found: Result<T, NodeError>) -> Result<Option<T>, NodeError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_temporary() => Err(error),
        Err(_) => Ok(None),
    }
}

fn pointer(value: &[u8]) -> Option<SnapshotPointer> {
    decode(RecordKind::SnapshotPointer, value).ok()
}
