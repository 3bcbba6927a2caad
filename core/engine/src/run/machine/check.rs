//! Whether a fact fits the state, before anything changes.

use super::Rejected;
use crate::planted;
use crate::run::fact::{Detached, Fact, Report};
use crate::run::state::State;
use crate::run::{Identity, RunState, StepState};
use crate::value::Value;
use xxhash_rust::xxh3::Xxh3;

/// What holds live and in a fold.
pub(super) fn check_fold(state: &State, fact: &Fact) -> Result<(), Rejected> {
    if let Fact::Started(_) = fact {
        return match state.run {
            RunState::Queued if state.id.is_empty() => Ok(()),
            _ => Err(Rejected::OutOfOrder),
        };
    }
    if state.id.is_empty() {
        return Err(Rejected::OutOfOrder);
    }
    if let Fact::Reported(report) = fact
        && let Some(inst) = state.instance(report.id.step, report.id.instance)
        && inst.reported == Some((report.id.attempt, report_hash(report)))
        && !planted!(RepeatForgotten)
    {
        return Err(Rejected::Already);
    }
    if state.run.is_terminal() {
        return Err(match fact {
            Fact::Stopped(_) | Fact::Paused { .. } | Fact::Resumed { .. } => {
                Rejected::Ended(state.run)
            }
            _ => Rejected::Stale,
        });
    }
    match fact {
        Fact::Claimed(claim) => {
            let inst = state.instance(claim.id.step, claim.id.instance);
            let fits = inst.is_some_and(|inst| {
                let next = inst.attempt + 1 == claim.id.attempt;
                inst.state == StepState::Queued && (next || planted!(AttemptNumberUnchecked))
            });
            if fits && (!state.paused || planted!(ClaimInPause)) {
                Ok(())
            } else {
                Err(Rejected::NotQueued)
            }
        }
        Fact::Reported(Report { id, .. })
        | Fact::Lost { id, .. }
        | Fact::Checkpointed { id, .. }
        | Fact::Detached(Detached { id, .. }) => current(state, *id),
        Fact::TimerDue(key) => {
            let armed = match key.kind {
                crate::run::TimerKind::Run => state.run_timer.map(|armed| armed.key),
                crate::run::TimerKind::Finally => state.finally_timer.map(|armed| armed.key),
                _ => state
                    .instance(key.step, key.instance)
                    .and_then(|inst| inst.timer(key.kind))
                    .map(|armed| armed.key),
            };
            if armed == Some(*key) {
                Ok(())
            } else {
                Err(Rejected::Stale)
            }
        }
        Fact::Paused { .. } => match state.run {
            RunState::Running | RunState::Finishing => Ok(()),
            _ => Err(Rejected::NoChange),
        },
        Fact::Resumed { .. } if !state.paused => Err(Rejected::NoChange),
        Fact::Turn if !state.has_work() => Err(Rejected::NoChange),
        _ => Ok(()),
    }
}

fn current(state: &State, id: Identity) -> Result<(), Rejected> {
    let same = |attempt| attempt == id.attempt || planted!(StaleReportTaken);
    match state.instance(id.step, id.instance) {
        Some(inst) if inst.state == StepState::Running && same(inst.attempt) => Ok(()),
        _ => Err(Rejected::Stale),
    }
}

/// What makes a report an exact repeat of another.
pub(super) fn report_hash(report: &Report) -> u64 {
    let mut hasher = Xxh3::new();
    let mut put = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    put(&[report.result.state.code()]);
    if let Some(outputs) = &report.result.outputs {
        put_value(&mut put, outputs);
    }
    if let Some(failure) = &report.result.failure {
        put(failure.code.as_bytes());
        put(failure.message.as_bytes());
        put(&[failure.retryable.map_or(2, u8::from)]);
        put(&failure.retry_after_millis.unwrap_or(u64::MAX).to_le_bytes());
        if let Some(details) = &failure.details {
            put_value(&mut put, details);
        }
    }
    put(&report.last_log.unwrap_or(u64::MAX).to_le_bytes());
    hasher.digest()
}

fn put_value(put: &mut impl FnMut(&[u8]), value: &Value) {
    match value {
        Value::Inline(text) => put(text),
        Value::Stored { hash, .. } => put(&hash.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{AttemptState, EndedAttempt};
    use crate::value::canonical_bytes;

    #[test]
    fn reports_that_differ_have_different_hashes() {
        let report = |outputs: &str, last_log| Report {
            id: Identity {
                step: 0,
                instance: 0,
                attempt: 1,
            },
            result: EndedAttempt {
                state: AttemptState::Succeeded,
                outputs: Some(Value::Inline(canonical_bytes(&outputs.into()).into())),
                failure: None,
            },
            last_log,
        };
        let hash = |outputs, last_log| report_hash(&report(outputs, last_log));
        assert_eq!(hash("a", None), hash("a", None));
        assert_ne!(hash("a", None), hash("b", None));
        assert_ne!(hash("a", None), hash("a", Some(0)));
    }
}
