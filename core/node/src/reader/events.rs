use super::Reader;
use crate::error::NodeError;
use crate::id::RunId;
use crate::storage;
use conveyor_engine::run::{Decision, Fact, Record, Run, RunState};
use conveyor_engine::time::Time;
use std::sync::Arc;

/// An event's place: the record, and the decision in it (PROTOCOL P30). Prints `SEQUENCE.ORDINAL`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventId {
    /// The record's sequence, from 1.
    pub sequence: u64,
    /// The decision's place among those of the record, from 0.
    pub ordinal: u32,
}

impl EventId {
    /// Reads `SEQUENCE.ORDINAL`.
    #[must_use]
    pub fn parse(text: &str) -> Option<EventId> {
        let (sequence, ordinal) = text.split_once('.')?;
        Some(EventId {
            sequence: sequence.parse().ok()?,
            ordinal: ordinal.parse().ok()?,
        })
    }
}

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.sequence, self.ordinal)
    }
}

/// A decision of a run, as followers see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its place.
    pub id: EventId,
    /// When the record's last fact happened.
    pub time: Time,
    /// What was decided.
    pub decision: Decision,
    /// Of the end of an attempt: its last log offset, as its result told it.
    pub last_log: Option<u64>,
    /// Of a claim: the version of the session's driver. Of a pause: who asked for it.
    pub by: Option<Arc<str>>,
}

/// Folds a record and numbers what it decides. `run` is `None` before the first.
pub(super) fn fold(
    reader: &Reader,
    run: &mut Option<Run>,
    record: &Record,
) -> Result<Vec<Event>, NodeError> {
    let machine = match run {
        Some(run) => run,
        None => {
            let started = record.entries.first().map(|entry| &entry.fact);
            let Some(Fact::Started(started)) = started else {
                return Err(NodeError::Corrupt(
                    "the journal does not begin with a start".into(),
                ));
            };
            let plan = reader
                .plans()
                .get(reader.store().as_ref(), &started.document)?;
            run.insert(Run::new(plan))
        }
    };
    let decisions = machine
        .fold(record)
        .map_err(|error| NodeError::Corrupt(error.to_string()))?;
    let time = record
        .entries
        .last()
        .map_or(Time::default(), |entry| entry.time);
    let numbered = (0..).zip(decisions).map(|(ordinal, decision)| Event {
        id: EventId {
            sequence: record.sequence,
            ordinal,
        },
        time,
        last_log: last_log(record, &decision),
        by: by(record, &decision),
        decision,
    });
    Ok(numbered.collect())
}

fn last_log(record: &Record, decision: &Decision) -> Option<u64> {
    let Decision::Attempt { id, .. } = decision else {
        return None;
    };
    let mut facts = record.entries.iter().map(|entry| &entry.fact);
    facts.find_map(|fact| match fact {
        Fact::Reported(report) if report.id == *id => report.last_log,
        _ => None,
    })
}

/// What a decision does not say of its fact.
fn by(record: &Record, decision: &Decision) -> Option<Arc<str>> {
    let mut facts = record.entries.iter().rev().map(|entry| &entry.fact);
    match decision {
        Decision::Claimed { id, .. } => facts.find_map(|fact| match fact {
            Fact::Claimed(claim) if claim.id == *id => Some(Arc::clone(&claim.version)),
            _ => None,
        }),
        Decision::Run {
            to: RunState::Paused,
            ..
        } => facts.find_map(|fact| match fact {
            Fact::Paused { actor, .. } => Some(Arc::clone(actor)),
            _ => None,
        }),
        _ => None,
    }
}

impl Reader {
    /// What a run decided after `after` (from the beginning without it), at most about `limit`
    /// events: a record is never cut.
    ///
    /// # Errors
    /// [`NodeError::Corrupt`] when it does not fold, or when the store cannot be read.
    pub async fn events(
        &self,
        run: RunId,
        after: Option<EventId>,
        limit: usize,
    ) -> Result<Vec<Event>, NodeError> {
        self.on_worker(move |reader| {
            let mut machine = None;
            let mut events = Vec::new();
            storage::records(reader.store().as_ref(), run, 0, |record| {
                let new = fold(reader, &mut machine, &record)?;
                events.extend(
                    new.into_iter()
                        .filter(|event| after.is_none_or(|at| event.id > at)),
                );
                Ok(events.len() < limit)
            })?;
            Ok(events)
        })
        .await
    }
}
