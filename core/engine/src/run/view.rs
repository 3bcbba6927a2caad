//! What readers see of a run.

use super::machine::Run;
use super::root::Root;
use super::scope::state_of;
use super::state::Instance;
use super::{Failure, Item, RunState, StepState};
use crate::plan::{Kind, Plan, StepIndex};
use crate::time::Time;
use crate::value::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A step as readers see it.
#[derive(Clone, Debug, PartialEq)]
pub struct StepView {
    /// Its state; of a fan-out, what its instances make it.
    pub state: StepState,
    /// Whether others may count it as ok; false until it ended.
    pub ok: bool,
    /// Allowed failures among its instances.
    pub warnings: u32,
    /// Why, where it did not succeed.
    pub reason: Arc<str>,
    /// How many instances it has; 0 before it is expanded.
    pub instances: u32,
    /// Whether the result was copied from the run that this one was forked from.
    pub inherited: bool,
    /// When it ended.
    pub ended_at: Option<Time>,
}

/// An instance as readers see it.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceView {
    /// Its state.
    pub state: StepState,
    /// The number of its current or last attempt; 0 before the first.
    pub attempt: u32,
    /// Whether it was claimed once, or its wait began.
    pub started: bool,
    /// Whether its failure was allowed.
    pub allowed: bool,
    /// Why, where it did not succeed.
    pub reason: Arc<str>,
    /// The combination of the matrix, or the item.
    pub params: Option<Item>,
    /// What it gave.
    pub outputs: Option<Value>,
    /// What went wrong last.
    pub failure: Option<Failure>,
    /// When it was queued last.
    pub queued_at: Option<Time>,
    /// When its current or last attempt was claimed.
    pub claimed_at: Option<Time>,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// The session that has it.
    pub session: Option<Arc<str>>,
}

/// What a step waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Steps that have not ended.
    Needs(Vec<StepIndex>),
    /// The turn of the engine, or a free place under `max_parallel`.
    Turn,
    /// A session of this driver, in a version that the requirement names.
    Driver(Arc<str>, Option<Arc<str>>),
    /// A timer.
    Until(Time),
    /// The end of the pause.
    Resume,
    /// The other steps, to end.
    Finally,
}

impl Run {
    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The run's id; empty before it started.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.state.id
    }

    /// The run's state.
    #[must_use]
    pub fn state(&self) -> RunState {
        self.state.run
    }

    /// The sequence of the last record.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.state.sequence
    }

    /// The instant of the last fact.
    #[must_use]
    pub fn time(&self) -> Time {
        self.state.time
    }

    /// All of the state, for people who look for a difference.
    #[must_use]
    pub fn state_text(&self) -> String {
        format!("{:?}", self.state)
    }

    /// Who started the run.
    #[must_use]
    pub fn actor(&self) -> &Arc<str> {
        &self.state.actor
    }

    /// The run's labels.
    #[must_use]
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.state.labels
    }

    /// Annotations that it was given, over those of its document.
    #[must_use]
    pub fn annotations(&self) -> &BTreeMap<String, String> {
        &self.state.annotations
    }

    /// The run that it was forked from.
    #[must_use]
    pub fn forked_from(&self) -> Option<&Arc<str>> {
        self.state.forked_from.as_ref()
    }

    /// The version of a Resource that the run is for: an object.
    #[must_use]
    pub fn resource(&self) -> Option<&Value> {
        self.state.resource.as_ref().map(Root::value)
    }

    /// What triggered the run: an object.
    #[must_use]
    pub fn event(&self) -> Option<&Value> {
        self.state.event.as_ref().map(Root::value)
    }

    /// The run's inputs: an object.
    #[must_use]
    pub fn inputs(&self) -> &Value {
        self.state.inputs.value()
    }

    /// The run's outputs.
    #[must_use]
    pub fn outputs(&self) -> Option<&Value> {
        self.state.outputs.as_ref()
    }

    /// When the run started.
    #[must_use]
    pub fn started_at(&self) -> Time {
        self.state.started_at
    }

    /// When the run ended.
    #[must_use]
    pub fn ended_at(&self) -> Option<Time> {
        self.state.ended_at
    }

    /// Failures that were allowed.
    #[must_use]
    pub fn warnings(&self) -> u32 {
        self.state.warnings
    }

    /// A step of the plan. Panics where the plan has no such step.
    #[must_use]
    pub fn step(&self, step: StepIndex) -> StepView {
        let run = self.state.step(step);
        StepView {
            state: state_of(&self.state, &self.plan, step),
            ok: run.ok,
            warnings: run.warnings,
            reason: run.reason.clone().unwrap_or_else(|| Arc::from("")),
            instances: run.instances.len() as u32,
            inherited: run.inherited,
            ended_at: run.ended_at,
        }
    }

    /// An instance of a step.
    #[must_use]
    pub fn instance(&self, step: StepIndex, instance: u32) -> Option<InstanceView> {
        let inst = self.state.instance(step, instance)?;
        Some(InstanceView {
            state: inst.state,
            attempt: inst.attempt,
            started: inst.started,
            allowed: inst.allowed,
            reason: inst.reason.clone().unwrap_or_else(|| Arc::from("")),
            params: self.state.item(step, instance),
            outputs: inst.outputs.clone(),
            failure: inst.failure.as_deref().cloned(),
            queued_at: inst.queued_at,
            claimed_at: (inst.attempt > 0).then_some(inst.claimed_at),
            ended_at: inst.ended_at,
            session: inst.claim.as_ref().map(|claim| Arc::clone(&claim.session)),
        })
    }

    /// The nonce of an attempt's claim, while it is the current one.
    #[must_use]
    pub fn nonce(&self, id: super::Identity) -> Option<u64> {
        let inst = self.state.instance(id.step, id.instance)?;
        inst.claim
            .as_ref()
            .filter(|_| inst.attempt == id.attempt)
            .map(|claim| claim.nonce)
    }

    /// An attempt's claim, while it is the current one.
    #[must_use]
    pub fn claim(&self, id: super::Identity) -> Option<&super::Claim> {
        let inst = self.state.instance(id.step, id.instance)?;
        let claim = inst.claim.as_deref();
        claim.filter(|_| inst.attempt == id.attempt)
    }

    /// How an attempt goes on without its session, while it is the current one and does.
    #[must_use]
    pub fn detached(&self, id: super::Identity) -> Option<&super::Detached> {
        let inst = self.state.instance(id.step, id.instance)?;
        self.was_detached(id).filter(|_| inst.claim.is_some())
    }

    /// How the last attempt of an instance went on without its session, also once it has ended: whoever
    /// ended it may say so again.
    #[must_use]
    pub fn was_detached(&self, id: super::Identity) -> Option<&super::Detached> {
        let inst = self.state.instance(id.step, id.instance)?;
        let detached = inst.detached.as_deref();
        detached.filter(|_| inst.attempt == id.attempt)
    }

    /// What a step that has not ended waits for; `None` while an attempt of it runs.
    #[must_use]
    pub fn waiting(&self, step: StepIndex) -> Option<Waiting> {
        let run = self.state.step(step);
        let plan = &self.plan.steps[step as usize];
        if run.ended() {
            return None;
        }
        if plan.finally && !self.state.finishing {
            return Some(Waiting::Finally);
        }
        if run.blocked > 0 {
            let open = plan
                .parents
                .iter()
                .filter(|parent| !self.state.step(**parent).ended());
            return Some(Waiting::Needs(open.copied().collect()));
        }
        let state = state_of(&self.state, &self.plan, step);
        self.waiting_in(step, state, &run.instances)
    }

    /// What an instance that has not ended waits for; `None` while an attempt of it runs.
    #[must_use]
    pub fn instance_waiting(&self, step: StepIndex, instance: u32) -> Option<Waiting> {
        let inst = self.state.instance(step, instance)?;
        if inst.state.is_terminal() {
            return None;
        }
        self.waiting_in(step, inst.state, std::slice::from_ref(inst))
    }

    fn waiting_in(
        &self,
        step: StepIndex,
        state: StepState,
        instances: &[Instance],
    ) -> Option<Waiting> {
        match state {
            StepState::Running => None,
            _ if self.state.paused => Some(Waiting::Resume),
            StepState::Queued => match &self.plan.steps[step as usize].kind {
                Kind::Driver {
                    driver, version, ..
                } => Some(Waiting::Driver(Arc::clone(driver), version.clone())),
                _ => Some(Waiting::Turn),
            },
            StepState::Waiting => {
                let armed = instances.iter().flat_map(|inst| &inst.timers);
                let due = armed.filter_map(|armed| self.state.timers.due(armed)).min();
                Some(due.map_or(Waiting::Turn, Waiting::Until))
            }
            _ => Some(Waiting::Turn),
        }
    }
}
