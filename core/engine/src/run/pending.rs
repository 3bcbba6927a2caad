//! What a state still wants done (PROTOCOL P5).

use super::machine::Run;
use super::needs;
use super::{Identity, StepState, TimerKey};
use crate::plan::Kind;
use crate::time::{Duration, Time};
use crate::value::{Hash, Json, Value};
use std::sync::Arc;

/// Everything that a run still wants, in order. Carrying any of it out twice does no harm.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pending {
    /// More bounded work waits: apply [`super::Fact::Turn`].
    pub turn: bool,
    /// Attempts that a session may claim.
    pub offers: Vec<Identity>,
    /// Attempts that have to be told to stop.
    pub cancels: Vec<CancelOrder>,
    /// Attempts that are claimed, with the session of each.
    pub claimed: Vec<(Identity, Arc<str>)>,
    /// The earliest timer.
    pub timer: Option<(Time, TimerKey)>,
}

/// An attempt that has to be told to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelOrder {
    /// Which.
    pub id: Identity,
    /// Why.
    pub reason: Arc<str>,
    /// How long it has, from `since`.
    pub grace: Duration,
    /// When it was decided.
    pub since: Time,
}

/// What a driver needs to know of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskSpec {
    /// Which.
    pub id: Identity,
    /// The driver's name.
    pub driver: Arc<str>,
    /// The version requirement.
    pub version: Option<Arc<str>>,
    /// The action.
    pub action: Option<Arc<str>>,
    /// `with`, evaluated.
    pub with: Value,
    /// When the attempt's time is over.
    pub deadline: Time,
    /// From cancel to the end of the lease.
    pub grace: Duration,
    /// The longest silence.
    pub heartbeat: Duration,
    /// What an earlier attempt handed over.
    pub checkpoint: Option<Arc<[u8]>>,
}

impl Run {
    /// Everything that the state still wants.
    #[must_use]
    pub fn pending(&self) -> Pending {
        let mut pending = Pending {
            turn: self.state.has_work(),
            timer: self.next_timer(),
            ..Pending::default()
        };
        for (step, instance) in &self.state.active {
            let Some(inst) = self.state.instance(*step, *instance) else {
                continue;
            };
            let id = |attempt| Identity {
                step: *step,
                instance: *instance,
                attempt,
            };
            match inst.state {
                StepState::Queued if !self.state.paused => {
                    pending.offers.push(id(inst.attempt + 1));
                }
                StepState::Running => {
                    let session = inst.claim.as_ref().map(|claim| Arc::clone(&claim.session));
                    pending
                        .claimed
                        .push((id(inst.attempt), session.unwrap_or_else(|| Arc::from(""))));
                    if let Some(cancel) = &inst.cancel {
                        pending.cancels.push(CancelOrder {
                            id: id(inst.attempt),
                            reason: Arc::clone(&cancel.reason),
                            grace: self.plan.steps[*step as usize].grace,
                            since: cancel.since,
                        });
                    }
                }
                _ => {}
            }
        }
        pending
    }

    /// Whether a [`super::Fact::Turn`] would do something.
    #[must_use]
    pub fn wants_turn(&self) -> bool {
        self.state.has_work()
    }

    /// The earliest timer and its instant.
    #[must_use]
    pub fn next_timer(&self) -> Option<(Time, TimerKey)> {
        if self.state.run.is_terminal() {
            None
        } else {
            self.state.timers.earliest()
        }
    }

    /// Stored values that the next turn reads first, by hash. They must be handed in, or the turn
    /// stops before it.
    #[must_use]
    pub fn needs(&self) -> Vec<Hash> {
        let (plan, state) = (&self.plan, &self.state);
        let mut hashes = match (state.rules.front(), state.work.front()) {
            (Some(step), _) => needs::of_rule(plan, state, *step),
            (None, Some(work)) if !state.paused => needs::of_work(plan, state, *work),
            _ => Vec::new(),
        };
        // What the open record made is at hand, and nowhere else yet.
        hashes.retain(|hash| !self.stored.contains_key(hash));
        hashes
    }

    /// What a driver needs to know of an attempt that is queued or claimed; `None` for any other.
    #[must_use]
    pub fn task(&self, id: Identity) -> Option<TaskSpec> {
        let inst = self.state.instance(id.step, id.instance)?;
        let step = &self.plan.steps[id.step as usize];
        let Kind::Driver {
            driver,
            version,
            action,
            with,
            secrets: _,
        } = &step.kind
        else {
            return None;
        };
        let with = match (&inst.with, with.constant()) {
            (Some(value), _) => value.clone(),
            (None, Some(json)) => Value::inline(json),
            (None, None) => Value::inline(&Json::Object(serde_json::Map::new())),
        };
        let from = if inst.claim.is_some() {
            inst.claimed_at
        } else {
            self.state.time
        };
        Some(TaskSpec {
            id,
            driver: Arc::clone(driver),
            version: version.clone(),
            action: action.clone(),
            with,
            deadline: from.after(step.timeouts.attempt),
            grace: step.grace,
            heartbeat: step.timeouts.heartbeat,
            checkpoint: inst.checkpoint.clone(),
        })
    }
}
