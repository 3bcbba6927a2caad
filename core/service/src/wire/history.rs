//! What a run's state does not keep: when each attempt was queued, claimed and ended, and how.

use conveyor_engine::plan::StepIndex;
use conveyor_engine::run::{AttemptState, Decision, Failure, RunState, StepState};
use conveyor_engine::time::Time;
use conveyor_engine::value::Value;
use conveyor_node::reader::Event;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The attempts of a run's instances, gathered from its events.
#[derive(Debug, Default)]
pub(crate) struct History {
    instances: BTreeMap<(StepIndex, u32), InstanceHistory>,
    /// When the first attempt was claimed, or the first wait began.
    pub(crate) started: Option<Time>,
    /// Why the run is in its state.
    pub(crate) reason: Arc<str>,
    /// Who paused it last; `None` where nobody did.
    pub(crate) paused_by: Option<Arc<str>>,
}

/// The attempts of one instance.
#[derive(Debug, Default)]
pub(crate) struct InstanceHistory {
    /// When it was first queued, or its wait began.
    pub(crate) first_queued: Option<Time>,
    last_queued: Option<Time>,
    /// Its attempts in order.
    pub(crate) attempts: Vec<AttemptHistory>,
}

/// One attempt.
#[derive(Debug)]
pub(crate) struct AttemptHistory {
    pub(crate) number: u32,
    pub(crate) queued: Time,
    pub(crate) claimed: Option<Time>,
    pub(crate) session: Arc<str>,
    /// The version of the session's driver.
    pub(crate) version: Arc<str>,
    /// How it ended; `None` while it goes on.
    pub(crate) end: Option<AttemptEnd>,
}

/// How an attempt ended.
#[derive(Debug)]
pub(crate) struct AttemptEnd {
    pub(crate) at: Time,
    pub(crate) state: AttemptState,
    pub(crate) failure: Option<Failure>,
    pub(crate) outputs: Option<Value>,
    pub(crate) reason: Arc<str>,
    pub(crate) last_log: Option<u64>,
}

impl History {
    /// The attempts of an instance; `None` before the first.
    pub(crate) fn of(&self, step: StepIndex, instance: u32) -> Option<&InstanceHistory> {
        self.instances.get(&(step, instance))
    }

    /// Takes an event; they come in order.
    pub(crate) fn take(&mut self, event: &Event) {
        let time = event.time;
        match &event.decision {
            Decision::Run { to, reason, .. } => {
                self.reason = Arc::clone(reason);
                if *to == RunState::Paused {
                    self.paused_by.clone_from(&event.by);
                }
                if *to == RunState::Succeeded {
                    self.reason = Arc::from("");
                }
            }
            Decision::Instance {
                step, instance, to, ..
            } => {
                let history = self.instances.entry((*step, *instance)).or_default();
                if matches!(to, StepState::Queued | StepState::Waiting) {
                    history.first_queued.get_or_insert(time);
                }
                if *to == StepState::Queued {
                    history.last_queued = Some(time);
                }
                if matches!(to, StepState::Waiting | StepState::Running) {
                    self.started.get_or_insert(time);
                }
            }
            Decision::Claimed { id, session } => {
                self.started.get_or_insert(time);
                let history = self.instances.entry((id.step, id.instance)).or_default();
                let attempt = history.attempt(id.attempt, time);
                attempt.claimed = Some(time);
                attempt.session = Arc::clone(session);
                attempt.version = event.by.clone().unwrap_or_default();
            }
            Decision::Attempt {
                id,
                state,
                failure,
                outputs,
                reason,
            } => {
                let history = self.instances.entry((id.step, id.instance)).or_default();
                history.attempt(id.attempt, time).end = Some(AttemptEnd {
                    at: time,
                    state: *state,
                    failure: failure.clone(),
                    outputs: outputs.clone(),
                    reason: Arc::clone(reason),
                    last_log: event.last_log,
                });
            }
            Decision::Expanded { .. }
            | Decision::Cancel { .. }
            | Decision::Step { .. }
            | Decision::Outputs { .. }
            | Decision::NoEffect { .. } => {}
        }
    }
}

impl InstanceHistory {
    fn attempt(&mut self, number: u32, now: Time) -> &mut AttemptHistory {
        let at = self
            .attempts
            .iter()
            .rposition(|attempt| attempt.number == number);
        let at = at.unwrap_or_else(|| {
            self.attempts.push(AttemptHistory {
                number,
                queued: self.last_queued.unwrap_or(now),
                claimed: None,
                session: Arc::from(""),
                version: Arc::from(""),
                end: None,
            });
            self.attempts.len() - 1
        });
        &mut self.attempts[at]
    }
}
