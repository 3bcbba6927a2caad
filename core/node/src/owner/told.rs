//! What followers of a namespace are told of its runs: each change of a run's state is a row in the commit
//! that makes it.

use super::live::Live;
use crate::envelope;
use crate::id::RunId;
use conveyor_engine::run::RunState;
use conveyor_engine::time::Time;
use conveyor_proto::storage::v1::stored_event::What;
use conveyor_proto::storage::v1::{RecordKind, RunSummary, StoredEvent, StoredRunEvent};
use prost::Message as _;
use std::sync::Arc;

/// A change of a run's state.
#[derive(Clone, Debug)]
pub(super) struct StateChange {
    /// The place among the decisions of its record; `None` where no record decided it.
    pub(super) ordinal: Option<u32>,
    pub(super) time: Time,
    pub(super) from: RunState,
    pub(super) to: RunState,
    pub(super) reason: Arc<str>,
}

/// The events of a run's changes; `sequence` is that of the record which is being closed.
pub(super) fn events(
    run: RunId,
    live: &Live,
    sequence: u64,
    changes: &[StateChange],
) -> Vec<Vec<u8>> {
    if changes.is_empty() {
        return Vec::new();
    }
    let row = super::rows::summary(run, live);
    let each = changes.iter();
    each.map(|change| {
        let time = match change.ordinal {
            // As the run's own events have it: when the record's last fact happened.
            Some(_) => live.run.time(),
            None => change.time,
        };
        event(
            row.clone(),
            sequence,
            &StateChange {
                time,
                ..change.clone()
            },
        )
    })
    .collect()
}

/// The event of one change; `row` is the run's row in the same commit.
pub(super) fn event(mut row: RunSummary, sequence: u64, change: &StateChange) -> Vec<u8> {
    // The commit may take the run further.
    row.state = change.to.code().into();
    row.reason = change.reason.to_string();
    if !change.to.is_terminal() {
        row.ended_ms = None;
    }
    let event = StoredEvent {
        namespace: row.namespace.clone(),
        time_ms: change.time.0,
        what: Some(What::Run(StoredRunEvent {
            run: Some(row),
            sequence: change.ordinal.map_or(0, |_| sequence),
            ordinal: change.ordinal.unwrap_or(0),
            from: change.from.code().into(),
            to: change.to.code().into(),
            reason: change.reason.to_string(),
        })),
    };
    envelope::wrap(RecordKind::Event, 0, &event.encode_to_vec())
}
