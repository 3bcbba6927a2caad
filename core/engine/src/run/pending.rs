//! What a state still wants done (PROTOCOL P5).

use super::machine::Run;
use super::state::{State, Work};
use super::{Fact, Identity, Report, StepState, TimerKey, TimerKind};
use crate::expr::References;
use crate::plan::{AllowFailure, FanSource, Kind, Needs, Plan, StepIndex, Wait};
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
            (Some(step), _) => rule_inputs(plan, state, *step),
            (None, Some(work)) if !state.paused => stored_inputs(plan, state, *work),
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

/// The stored values that a unit of work reads.
pub(crate) fn stored_inputs(plan: &Plan, state: &State, work: Work) -> Vec<Hash> {
    let mut needed = Needed::new(plan, state);
    let (step, instance) = match work {
        Work::Outputs => {
            if let Some(outputs) = &plan.outputs {
                needed.names(outputs.references());
            }
            return needed.hashes;
        }
        Work::Step(step) => (step, 0),
        Work::Fill(step) => (step, state.step(step).next()),
        Work::Requeue(step, instance) => (step, instance),
    };
    let step_plan = &plan.steps[step as usize];
    if let Some(when) = &step_plan.when {
        needed.names(when.condition.references());
    }
    needed.end(step, instance);
    if let (Some(fan), Work::Step(_)) = (&step_plan.fan, work) {
        match &fan.source {
            FanSource::Foreach { items, .. } => needed.names(items.references()),
            FanSource::Matrix {
                axes,
                include,
                exclude,
            } => {
                axes.iter()
                    .for_each(|(_, axis)| needed.names(axis.references()));
                needed.names(include.references());
                needed.names(exclude.references());
            }
        }
        return needed.hashes;
    }
    match &step_plan.kind {
        Kind::Driver { with, .. } => needed.names(with.references()),
        Kind::Transform { outputs } => needed.names(outputs.references()),
        Kind::Wait(Wait::Duration(template) | Wait::Until(template)) => {
            needed.names(template.references());
        }
    }
    let item = state.item(step, instance).and_then(|item| item.hash());
    let with = state
        .instance(step, instance)
        .and_then(|inst| inst.with.as_ref()?.hash());
    needed.hashes.extend(item.into_iter().chain(with));
    needed.hashes
}

/// The stored values that a rule reads.
pub(crate) fn rule_inputs(plan: &Plan, state: &State, step: StepIndex) -> Vec<Hash> {
    let mut needed = Needed::new(plan, state);
    if let Needs::Rule { rule, .. } = &plan.steps[step as usize].needs {
        needed.names(rule.references());
    }
    needed.end(step, 0);
    needed.hashes
}

/// The stored values that a fact itself reads, apart from the units that follow it (PROTOCOL P5).
pub(crate) fn needs_of(plan: &Plan, state: &State, fact: &Fact) -> Vec<Hash> {
    let mut needed = Needed::new(plan, state);
    match fact {
        Fact::Started(started) if plan.vars.references().names("inputs") => {
            needed.hashes.extend(started.inputs.hash());
        }
        Fact::Reported(Report { id, .. }) | Fact::Lost { id, .. } => {
            needed.end(id.step, id.instance);
        }
        Fact::TimerDue(key) if !matches!(key.kind, TimerKind::Run | TimerKind::Finally) => {
            needed.end(key.step, key.instance);
        }
        // Either may end many instances at once.
        Fact::TimerDue(_) | Fact::Stopped(_) => {
            for step in 0..plan.steps.len() as StepIndex {
                if matches!(plan.steps[step as usize].allow_failure, AllowFailure::If(_))
                    && !state.step(step).ended()
                {
                    let instances = state.step(step).instances.len().max(1) as u32;
                    (0..instances).for_each(|instance| needed.end(step, instance));
                }
            }
            needed.hashes.sort_unstable();
            needed.hashes.dedup();
        }
        _ => {}
    }
    needed.hashes
}

/// Collects the hashes of stored values.
struct Needed<'a> {
    plan: &'a Plan,
    state: &'a State,
    hashes: Vec<Hash>,
}

impl<'a> Needed<'a> {
    fn new(plan: &'a Plan, state: &'a State) -> Needed<'a> {
        Needed {
            plan,
            state,
            hashes: Vec::new(),
        }
    }

    /// What an expression names, the instance's own parameters apart.
    fn names(&mut self, references: &References) {
        if references.names("inputs") {
            self.hashes.extend(self.state.inputs.missing());
        }
        if references.names("vars") {
            self.hashes.extend(self.state.vars.missing());
        }
        for id in references.steps() {
            let Some(step) = self.plan.index.get(id) else {
                continue;
            };
            let instances = self.state.step(*step).instances.iter();
            let outputs = instances.filter_map(|inst| inst.outputs.as_ref()?.hash());
            self.hashes.extend(outputs);
        }
    }

    /// What the end of an instance, or of one of its attempts, asks.
    fn end(&mut self, step: StepIndex, instance: u32) {
        let plan = &self.plan.steps[step as usize];
        let retry = plan
            .retry
            .as_ref()
            .and_then(|retry| retry.condition.as_deref());
        let allow = match &plan.allow_failure {
            AllowFailure::If(condition) => Some(condition),
            _ => None,
        };
        let mut any = false;
        for condition in retry.into_iter().chain(allow) {
            self.names(condition.references());
            any = true;
        }
        if any {
            let item = self.state.item(step, instance);
            self.hashes.extend(item.and_then(|item| item.hash()));
        }
    }
}
