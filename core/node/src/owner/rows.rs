//! The rows of a run beside its journal: for listings, among live work, in quarantine.

use super::Write;
use super::live::{Listed, Live};
use super::messages::Flaw;
use crate::chunks;
use crate::envelope;
use crate::id::RunId;
use crate::keys;
use conveyor_engine::planted;
use conveyor_engine::run::{RunState, SEMANTICS, Stop, encode_record};
use conveyor_engine::time::Time;
use conveyor_proto::storage::v1::{LiveEntry, Quarantine, RecordKind, RunSummary};
use std::sync::Arc;

/// Closes the run's record and writes it with the rows that it changes: at most two puts where
/// nothing but a step went on (PROTOCOL P14).
pub(super) fn seal(
    run: RunId,
    live: &mut Live,
    writes: &mut Vec<Write>,
) -> Option<(u64, RunState)> {
    let sealed = live.run.take_record();
    if let Some(sealed) = &sealed {
        let key = keys::record(run, sealed.record.sequence);
        let bytes = encode_record(&sealed.record);
        writes.extend(chunks::split(RecordKind::Journal, SEMANTICS, &key, &bytes).map(Write::from));
        for (hash, text) in &sealed.values {
            let key = keys::value(run, hash);
            // The same text twice in one record is one value.
            if !writes.iter().any(|write| write.key == key) {
                writes.extend(chunks::split(RecordKind::Value, 0, &key, text).map(Write::from));
            }
            live.keep(*hash, text);
        }
    }
    let state = live.run.state();
    let row = Listed {
        state,
        started: live.started.is_some(),
        reason: Arc::clone(&live.reason),
    };
    let listed =
        live.row.as_ref().map(|row| row.started) == Some(row.started) && planted!(ListingStale);
    if live.row.as_ref() != Some(&row) && !listed {
        live.row = Some(row);
        writes.push(put(
            keys::summary(run),
            RecordKind::RunSummary,
            &summary(run, live),
        ));
    }
    let ended = state.is_terminal() && !planted!(EndedRunKept);
    if ended || planted!(RunLostWhileFinishing) && state == RunState::Finishing {
        writes.push(Write {
            key: keys::live(run),
            value: None,
        });
        live.entry = None;
    } else {
        let entry = entry(live);
        // What is ready is loaded first of all whatever its timer says, so a new timer alone needs
        // no new row: the hot path has one put a step.
        let same = live.entry.as_ref().is_some_and(|old| {
            let timer_alone = (old.ready, old.state) == (entry.ready, entry.state);
            *old == entry || timer_alone && (entry.ready || planted!(DueRowStale))
        });
        if !same {
            writes.push(put(keys::live(run), RecordKind::LiveEntry, &entry));
            live.entry = Some(entry);
        }
    }
    sealed.map(|sealed| (sealed.record.sequence, state))
}

fn entry(live: &Live) -> LiveEntry {
    let paused = live.run.state() == RunState::Paused;
    LiveEntry {
        due_ms: live.run.next_timer().map(|(due, _)| due.0),
        ready: live.claims > 0 || live.run.wants_turn() || live.queued > 0 && !paused,
        state: live.run.state().code().into(),
    }
}

/// The row for listings.
pub(super) fn summary(run: RunId, live: &Live) -> RunSummary {
    let plan = live.run.plan();
    RunSummary {
        run: run.to_string(),
        namespace: plan.namespace.to_string(),
        pipeline: plan.name.to_string(),
        document: plan.digest.0.to_vec().into(),
        labels: live.run.labels().clone(),
        state: live.run.state().code().into(),
        created_ms: live.run.started_at().0,
        started_ms: live.started.map(|at| at.0),
        ended_ms: live.run.ended_at().map(|at| at.0),
        actor: live.run.actor().to_string(),
        warnings: live.run.warnings(),
        reason: match live.run.state() {
            RunState::Succeeded => String::new(),
            _ => live.reason.to_string(),
        },
        sequence: live.run.sequence(),
        forked_from: live.run.forked_from().map(ToString::to_string),
        resource: live.resource.clone(),
    }
}

/// Takes over what a run's rows say.
pub(super) fn restore(live: &mut Live, summary: Option<&RunSummary>, entry: Option<LiveEntry>) {
    live.entry = entry;
    let Some(summary) = summary else { return };
    live.started = summary.started_ms.map(Time);
    live.resource.clone_from(&summary.resource);
    let state = u8::try_from(summary.state)
        .ok()
        .and_then(RunState::from_code);
    live.row = state.map(|state| Listed {
        state,
        started: live.started.is_some(),
        reason: Arc::from(summary.reason.as_str()),
    });
}

/// Marks a run as quarantined.
pub(super) fn quarantine(
    now: Time,
    run: RunId,
    flaw: &Flaw,
    summary: Option<RunSummary>,
) -> Vec<Write> {
    let (recorded_digest, folded_digest) = flaw.digests.unwrap_or_default();
    let mark = Quarantine {
        reason: flaw.reason.clone(),
        sequence: flaw.sequence,
        recorded_digest,
        folded_digest,
        since_ms: now.0,
    };
    let mut writes = vec![
        put(keys::quarantine(run), RecordKind::Quarantine, &mark),
        Write {
            key: keys::live(run),
            value: None,
        },
    ];
    if let Some(mut row) = summary {
        row.state = RunState::Quarantined.code().into();
        row.reason.clone_from(&flaw.reason);
        writes.push(put(keys::summary(run), RecordKind::RunSummary, &row));
    }
    writes
}

/// Ends a run that does not fold: its row then, and the writes.
pub(super) fn terminate(
    now: Time,
    run: RunId,
    summary: Option<RunSummary>,
    stop: &Stop,
) -> (RunSummary, Vec<Write>) {
    let mut row = summary.unwrap_or_else(|| RunSummary {
        run: run.to_string(),
        ..RunSummary::default()
    });
    row.state = RunState::Cancelled.code().into();
    row.ended_ms = Some(now.0);
    row.reason = format!("terminated by {} in quarantine", stop.actor);
    if !stop.reason.is_empty() {
        row.reason.push_str(": ");
        row.reason.push_str(&stop.reason);
    }
    let writes = vec![
        put(keys::summary(run), RecordKind::RunSummary, &row),
        Write {
            key: keys::live(run),
            value: None,
        },
        Write {
            key: keys::quarantine(run),
            value: None,
        },
    ];
    (row, writes)
}

fn put(key: Vec<u8>, kind: RecordKind, message: &impl prost::Message) -> Write {
    let semantics = if kind == RecordKind::RunSummary {
        SEMANTICS
    } else {
        0
    };
    Write {
        key,
        value: Some(envelope::wrap(kind, semantics, &message.encode_to_vec())),
    }
}
