//! Runs: their records and values, and what a fold makes of them.

use crate::chunks;
use crate::envelope;
use crate::error::NodeError;
use crate::id::RunId;
use crate::keys;
use crate::owner::{Flaw, Loaded, LoadedRun, ValueTexts};
use crate::plans::Plans;
use crate::stored::{PAGE, corrupt, read, row};
use conveyor_engine::run::{Decision, Fact, Record, Run, decode_record};
use conveyor_engine::value::Hash;
use conveyor_proto::storage::v1::{LiveEntry, RecordKind, RunSummary};
use conveyor_store::{Direction, KeyRange, Store};
use std::sync::Arc;

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
    match store.get(&keys::deletion(run)) {
        Ok(None) => {}
        // Its id is free again once the last of it is gone.
        Ok(Some(_)) => return Loaded::Failed(format!("run {run} is being deleted")),
        Err(error) => return Loaded::Failed(error.to_string()),
    }
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
    let Folded {
        run,
        reason,
        snapshotted,
    } = folded;
    let id = RunId::parse(run.id()).ok_or_else(|| corrupt("the run's id is no UUIDv7"))?;
    let entry = row::<LiveEntry>(store, RecordKind::LiveEntry, &keys::live(id))?;
    let quarantined = store.get(&keys::quarantine(id))?.is_some();
    Ok(Loaded::Run(Box::new(LoadedRun {
        run,
        reason,
        summary,
        entry,
        quarantined,
        snapshotted,
    })))
}

/// A run folded from its journal.
pub(crate) struct Folded {
    pub(crate) run: Run,
    /// Why it is in its state.
    pub(crate) reason: Arc<str>,
    /// Whether it has a snapshot.
    pub(crate) snapshotted: bool,
}

/// A run folded from its journal, or from its last snapshot on; `None` when there is none. An error comes
/// with what is wrong with the run, where it is not the store's.
pub(crate) fn fold(
    store: &dyn Store,
    plans: &Plans,
    id: RunId,
) -> Result<Option<Folded>, (NodeError, Flaw)> {
    let deleted = store.get(&keys::deletion(id));
    match deleted {
        Ok(None) => {}
        Ok(Some(_)) => return Ok(None),
        Err(error) => {
            let error = NodeError::from(error);
            let flaw = Flaw::at(0, &error);
            return Err((error, flaw));
        }
    }
    let restored = super::snapshot::restore(store, plans, id);
    let restored = restored.map_err(|error| (error.clone(), Flaw::at(0, &error)))?;
    if restored.is_some() {
        match fold_onto(store, plans, id, restored) {
            // It may be the snapshot's fault, and that is none of the run's.
            Err((NodeError::Corrupt(_), _)) => {}
            folded => return folded,
        }
    }
    fold_onto(store, plans, id, None)
}

/// What is wrong with a run's journal, all of it; `None` where it folds.
///
/// # Errors
/// When the store cannot be read for now.
pub(crate) fn flaw(store: &dyn Store, plans: &Plans, id: RunId) -> Result<Option<Flaw>, NodeError> {
    match fold_onto(store, plans, id, None) {
        Ok(_) => Ok(None),
        Err((error, _)) if error.is_temporary() => Err(error),
        Err((_, flaw)) => Ok(Some(flaw)),
    }
}

fn fold_onto(
    store: &dyn Store,
    plans: &Plans,
    id: RunId,
    restored: Option<(Run, Arc<str>)>,
) -> Result<Option<Folded>, (NodeError, Flaw)> {
    let snapshotted = restored.is_some();
    let (mut run, mut reason) = match restored {
        Some((run, reason)) => (Some(run), reason),
        None => (None, Arc::from("")),
    };
    let first = run.as_ref().map_or(0, Run::sequence);
    let (mut at, mut digests) = (first, None);
    let outcome = records(store, id, first, |record| {
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
    let folded = outcome.map(|()| {
        run.map(|run| Folded {
            run,
            reason,
            snapshotted,
        })
    });
    folded.map_err(|error| {
        let flaw = Flaw {
            digests,
            ..Flaw::at(at, &error)
        };
        (error, flaw)
    })
}
