//! A shard's commit key, its groups, and the rows that tell of its live work.

use crate::envelope;
use crate::error::NodeError;
use crate::id::RunId;
use crate::keys;
use crate::owner::{CommitPoint, Group, Outcome};
use crate::stored::{corrupt, decode, row, scan};
use conveyor_engine::planted;
use conveyor_proto::storage::v1::{LiveEntry, Quarantine, RecordKind, ShardCommit, StoreMeta};
use conveyor_store::{CommitError, ErrorKind, Expected, KeyRange, Store, Transaction};
use prost::Message as _;

fn commit_value(point: &CommitPoint) -> Vec<u8> {
    let commit = ShardCommit {
        epoch: point.epoch,
        epoch_nonce: point.epoch_nonce,
        number: point.number,
    };
    envelope::wrap(RecordKind::ShardCommit, 0, &commit.encode_to_vec())
}

/// What the commit key holds; `None` in a new store.
///
/// # Errors
/// When the store cannot be read, or has something else there.
pub fn commit_point(store: &dyn Store) -> Result<Option<CommitPoint>, NodeError> {
    let row: Option<ShardCommit> = row(store, RecordKind::ShardCommit, &keys::commit())?;
    Ok(row.map(|row| CommitPoint {
        epoch: row.epoch,
        epoch_nonce: row.epoch_nonce,
        number: row.number,
    }))
}

/// Makes the caller the shard's owner: from here on, no transaction of an earlier one can be
/// committed (PROTOCOL P10, P16). `random` makes the epoch's random part.
///
/// # Errors
/// When the store fails, or another process acquires it at the same time.
pub fn acquire(store: &dyn Store, random: u64) -> Result<CommitPoint, NodeError> {
    let old = commit_point(store)?;
    if planted!(EpochKept)
        && let Some(old) = old
    {
        return Ok(old);
    }
    let point = CommitPoint {
        epoch: old.map_or(1, |old| old.epoch + 1),
        epoch_nonce: random,
        number: 0,
    };
    let mut transaction = Transaction::new();
    let expected = old.map_or(Expected::Absent, |old| {
        Expected::Value(commit_value(&old).into())
    });
    transaction
        .compare(keys::commit(), expected)
        .put(keys::commit(), commit_value(&point));
    match store.commit(&transaction) {
        Ok(()) => Ok(point),
        // Its own, or another's: what is there now tells.
        Err(error) => match commit_point(store)? {
            Some(found) if found == point => Ok(point),
            _ => Err(error.into()),
        },
    }
}

/// The store's own record, made at the first opening: the number of shards is checked, the key of
/// tokens kept.
///
/// # Errors
/// When the store fails, or has more shards than this release knows.
pub(crate) fn meta(
    store: &dyn Store,
    make: impl FnOnce() -> StoreMeta,
) -> Result<StoreMeta, NodeError> {
    let key = keys::meta();
    if let Some(meta) = row::<StoreMeta>(store, RecordKind::StoreMeta, &key)? {
        if (meta.format, meta.shards) != (1, 1) {
            return Err(NodeError::Corrupt(format!(
                "the store has format {} and {} shards; this release knows format 1 and 1 shard",
                meta.format, meta.shards
            )));
        }
        return Ok(meta);
    }
    let meta = make();
    let mut transaction = Transaction::new();
    let value = envelope::wrap(RecordKind::StoreMeta, 0, &meta.encode_to_vec());
    transaction
        .compare(key.clone(), Expected::Absent)
        .put(key, value);
    store.commit(&transaction)?;
    Ok(meta)
}

/// A group as the store takes it.
#[must_use]
pub fn transaction(group: &Group) -> Transaction {
    let mut transaction = Transaction::new();
    let from = Expected::Value(commit_value(&group.from).into());
    if !planted!(CommitUnguarded) {
        transaction.compare(keys::commit(), from);
    }
    transaction.put(keys::commit(), commit_value(&group.to));
    for write in &group.writes {
        match &write.value {
            Some(value) => transaction.put(write.key.clone(), value.clone()),
            None => transaction.delete(write.key.clone()),
        };
    }
    transaction
}

/// What a commit came to, in the owner's terms.
#[must_use]
pub fn outcome(group: &Group, result: Result<(), CommitError>) -> Outcome {
    match result {
        Ok(()) => Outcome::Committed,
        Err(CommitError::Conflict(conflict)) => {
            let ours = commit_value(&group.to);
            // A first copy whose outcome was unknown has made it after all.
            if conflict.found.as_deref() == Some(&ours) {
                Outcome::Committed
            } else {
                Outcome::Deposed
            }
        }
        Err(CommitError::Failed(error)) => match error.kind() {
            ErrorKind::TooLarge { .. } | ErrorKind::Invalid => Outcome::Refused(error.to_string()),
            _ => Outcome::Failed(CommitError::Failed(error).into()),
        },
        Err(CommitError::Unknown(_)) => Outcome::Unknown,
    }
}

/// Every run that has not ended, with its row among live work.
///
/// # Errors
/// When the store cannot be read, or has something else there.
pub fn live_entries(store: &dyn Store) -> Result<Vec<(RunId, LiveEntry)>, NodeError> {
    let mut entries = Vec::new();
    scan(store, KeyRange::prefix(keys::lives()), |key, value| {
        let run = keys::run_of(key).ok_or_else(|| corrupt("a key of live work names no run"))?;
        entries.push((run, decode(RecordKind::LiveEntry, value)?));
        Ok(())
    })?;
    Ok(entries)
}

/// Every run that is quarantined, and why.
///
/// # Errors
/// When the store cannot be read, or has something else there.
pub fn quarantines(store: &dyn Store) -> Result<Vec<(RunId, Quarantine)>, NodeError> {
    let mut entries = Vec::new();
    scan(
        store,
        KeyRange::prefix(keys::quarantines()),
        |key, value| {
            let run =
                keys::run_of(key).ok_or_else(|| corrupt("a key of quarantine names no run"))?;
            entries.push((run, decode(RecordKind::Quarantine, value)?));
            Ok(())
        },
    )?;
    Ok(entries)
}
