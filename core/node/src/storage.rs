//! The owner's world in the store's terms: records in envelopes, groups as transactions, runs folded
//! from their journals. Everything here blocks.

use crate::chunks;
use crate::envelope;
use crate::error::NodeError;
use crate::id::RunId;
use crate::keys;
use crate::owner::{CommitPoint, Flaw, Group, Loaded, LoadedRun, Outcome, ValueTexts};
use crate::plans::Plans;
use conveyor_engine::planted;
use conveyor_engine::run::{Decision, Fact, Record, Run, decode_record};
use conveyor_engine::value::Hash;
use conveyor_proto::storage::v1::{
    LiveEntry, Quarantine, RecordKind, RunSummary, ShardCommit, StoreMeta,
};
use conveyor_store::{CommitError, Direction, ErrorKind, Expected, KeyRange, Store, Transaction};
use prost::Message;
use std::sync::Arc;

/// How many records are read at once.
const PAGE: usize = 1024;

impl From<conveyor_store::Error> for NodeError {
    fn from(error: conveyor_store::Error) -> NodeError {
        match error.kind() {
            ErrorKind::Corrupt => NodeError::Corrupt(error.to_string()),
            ErrorKind::DiskFull => NodeError::Full(error.to_string()),
            _ => NodeError::Unavailable(error.to_string()),
        }
    }
}

impl From<CommitError> for NodeError {
    fn from(error: CommitError) -> NodeError {
        let full = |error: &conveyor_store::Error| *error.kind() == ErrorKind::DiskFull;
        if error.error().is_some_and(full) {
            NodeError::Full(error.to_string())
        } else {
            NodeError::Unavailable(error.to_string())
        }
    }
}

fn corrupt(error: impl std::fmt::Display) -> NodeError {
    NodeError::Corrupt(error.to_string())
}

/// The payload of a record, whatever number of pieces it has.
///
/// # Errors
/// When the store cannot be read, or has something else there.
pub(crate) fn read(
    store: &dyn Store,
    kind: RecordKind,
    key: &[u8],
) -> Result<Option<Vec<u8>>, NodeError> {
    let mut whole = Vec::new();
    for piece in 0.. {
        let Some(value) = store.get(&chunks::piece_key(key, piece))? else {
            if piece == 0 {
                return Ok(None);
            }
            return Err(NodeError::Corrupt(format!(
                "piece {piece} of a stored record is missing"
            )));
        };
        let payload = envelope::unwrap(kind, &value).map_err(corrupt)?;
        whole.extend_from_slice(payload);
        if payload.len() < chunks::PIECE {
            break;
        }
    }
    Ok(Some(whole))
}

/// A row: a small record that is one message.
///
/// # Errors
/// When the store cannot be read, or has something else there.
pub(crate) fn row<M: Message + Default>(
    store: &dyn Store,
    kind: RecordKind,
    key: &[u8],
) -> Result<Option<M>, NodeError> {
    store
        .get(key)?
        .map(|value| decode(kind, &value))
        .transpose()
}

/// Whether something is stored under a key.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn row_exists(store: &dyn Store, key: &[u8]) -> Result<bool, NodeError> {
    Ok(store.get(key)?.is_some())
}

/// The message in an envelope. Unknown fields are refused (PROTOCOL P35).
///
/// # Errors
/// When it is something else.
pub(crate) fn decode<M: Message + Default>(kind: RecordKind, value: &[u8]) -> Result<M, NodeError> {
    let payload = envelope::unwrap(kind, value).map_err(corrupt)?;
    let message = M::decode(payload).map_err(corrupt)?;
    if message.encoded_len() != payload.len() {
        return Err(corrupt(format!(
            "stored {}: it has a field that is not known here",
            kind.as_str_name()
        )));
    }
    Ok(message)
}

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

fn scan(
    store: &dyn Store,
    range: KeyRange,
    mut each: impl FnMut(&[u8], &[u8]) -> Result<(), NodeError>,
) -> Result<(), NodeError> {
    let mut next = Some(range);
    while let Some(range) = next {
        let page = store.scan(&range, Direction::Forward, PAGE)?;
        for (key, value) in &page.entries {
            each(key, value)?;
        }
        next = page.rest(&range, Direction::Forward);
    }
    Ok(())
}

/// Goes through the records of a run after `sequence`, until `each` says stop.
///
/// # Errors
/// When the store cannot be read, holds something else, or `each` fails.
pub fn records(
    store: &dyn Store,
    run: RunId,
    sequence: u64,
    mut each: impl FnMut(Record) -> Result<bool, NodeError>,
) -> Result<(), NodeError> {
    let end = KeyRange::prefix(keys::records(run)).end;
    let start = keys::record(run, sequence.saturating_add(1)).into();
    let mut next = Some(KeyRange { start, end });
    let mut whole: Vec<u8> = Vec::new();
    while let Some(range) = next {
        let page = store.scan(&range, Direction::Forward, PAGE)?;
        for (_, value) in &page.entries {
            let payload = envelope::unwrap(RecordKind::Journal, value).map_err(corrupt)?;
            whole.extend_from_slice(payload);
            // A full piece says that another follows.
            if payload.len() < chunks::PIECE {
                let record = decode_record(&whole).map_err(corrupt)?;
                whole.clear();
                if !each(record)? {
                    return Ok(());
                }
            }
        }
        next = page.rest(&range, Direction::Forward);
    }
    if whole.is_empty() {
        Ok(())
    } else {
        Err(corrupt("a record's last piece is missing"))
    }
}

/// A value of a run.
///
/// # Errors
/// When the store cannot be read, or has something else there; also when the text is not what the hash says.
pub(crate) fn value(
    store: &dyn Store,
    run: RunId,
    hash: &Hash,
) -> Result<Option<Vec<u8>>, NodeError> {
    let text = read(store, RecordKind::Value, &keys::value(run, hash))?;
    match text {
        Some(text) if Hash::of(&text) != *hash => Err(NodeError::Corrupt(format!(
            "the stored value {hash} is not what was written"
        ))),
        text => Ok(text),
    }
}

/// Values of a run.
///
/// # Errors
/// When the store cannot be read, or does not have all of them.
pub fn load_values(
    store: &dyn Store,
    run: RunId,
    hashes: &[Hash],
) -> Result<ValueTexts, NodeError> {
    let mut texts = Vec::new();
    for hash in hashes {
        let missing = || corrupt(format!("the stored value {hash} is missing"));
        let text = value(store, run, hash)?.ok_or_else(missing)?;
        texts.push((*hash, text.into()));
    }
    Ok(texts)
}

/// A run folded from its journal, for [`crate::owner::Input::Loaded`]. Folding may panic on stored
/// bytes that no release wrote; that is a broken run, not a broken process.
#[must_use]
pub fn load(store: &dyn Store, plans: &Plans, run: RunId) -> Loaded {
    let summary = match row::<RunSummary>(store, RecordKind::RunSummary, &keys::summary(run)) {
        Ok(summary) => summary,
        Err(error) if error.is_temporary() => return Loaded::Failed(error.to_string()),
        Err(error) => {
            return Loaded::Broken {
                flaw: Flaw::at(0, &error),
                summary: None,
            };
        }
    };
    let folded = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| fold(store, plans, run)));
    let (error, flaw) = match folded {
        Ok(Ok(Some(folded))) => match rows(store, folded, summary.clone()) {
            Ok(loaded) => return loaded,
            Err(error) => (error.clone(), Flaw::at(0, &error)),
        },
        Ok(Ok(None)) => return Loaded::Missing,
        Ok(Err(error)) => error,
        Err(_) => {
            let error = NodeError::Corrupt("the fold panicked".into());
            (error.clone(), Flaw::at(0, &error))
        }
    };
    if error.is_temporary() {
        return Loaded::Failed(error.to_string());
    }
    Loaded::Broken {
        flaw,
        summary: summary.map(Box::new),
    }
}

fn rows(
    store: &dyn Store,
    folded: Folded,
    summary: Option<RunSummary>,
) -> Result<Loaded, NodeError> {
    let Folded { run, reason } = folded;
    let id = RunId::parse(run.id()).ok_or_else(|| corrupt("the run's id is no UUIDv7"))?;
    let entry = row::<LiveEntry>(store, RecordKind::LiveEntry, &keys::live(id))?;
    let quarantined = store.get(&keys::quarantine(id))?.is_some();
    Ok(Loaded::Run(Box::new(LoadedRun {
        run,
        reason,
        summary,
        entry,
        quarantined,
    })))
}

/// A run folded from its journal.
pub(crate) struct Folded {
    pub(crate) run: Run,
    /// Why it is in its state.
    pub(crate) reason: Arc<str>,
}

/// A run folded from its journal; `None` when there is none. An error comes with what is wrong with the
/// run, where it is not the store's.
pub(crate) fn fold(
    store: &dyn Store,
    plans: &Plans,
    id: RunId,
) -> Result<Option<Folded>, (NodeError, Flaw)> {
    let mut run: Option<Run> = None;
    let mut reason: Arc<str> = Arc::from("");
    let (mut at, mut digests) = (0, None);
    let outcome = records(store, id, 0, |record| {
        at = record.sequence;
        if run.is_none() {
            let started = record.entries.first().map(|entry| &entry.fact);
            let Some(Fact::Started(started)) = started else {
                return Err(corrupt("the journal does not begin with a start"));
            };
            run = Some(Run::new(plans.get(store, &started.document)?));
        }
        if let Some(run) = &mut run {
            let decisions = run.fold(&record).map_err(|error| {
                digests = error.digests;
                corrupt(error)
            })?;
            let told = decisions
                .into_iter()
                .rev()
                .find_map(|decision| match decision {
                    Decision::Run { reason, .. } => Some(reason),
                    _ => None,
                });
            if let Some(told) = told {
                reason = told;
            }
        }
        Ok(true)
    });
    let folded = outcome.map(|()| run.map(|run| Folded { run, reason }));
    folded.map_err(|error| {
        let flaw = Flaw {
            digests,
            ..Flaw::at(at, &error)
        };
        (error, flaw)
    })
}
