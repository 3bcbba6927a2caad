//! What the fold of a journal gives.

use super::root::Root;
use super::timers::{Armed, Timers};
use super::{Claim, Detached, Failure, Item, Items, RunState, StepState, Stop, TimerKind};
use crate::plan::{Needs, Plan, StepIndex};
use crate::time::Time;
use crate::value::{Json, Value};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// The state of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// The last record's sequence; 0 before the first.
    pub(crate) sequence: u64,
    /// The last fact's instant.
    pub(crate) time: Time,
    pub(crate) run: RunState,
    pub(crate) id: Arc<str>,
    pub(crate) actor: Arc<str>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) forked_from: Option<Arc<str>>,
    pub(crate) inputs: Root,
    pub(crate) vars: Root,
    pub(crate) vars_error: Option<Arc<str>>,
    pub(crate) resource: Option<Root>,
    pub(crate) event: Option<Root>,
    pub(crate) outputs: Option<Value>,
    pub(crate) outputs_error: Option<Arc<str>>,
    pub(crate) started_at: Time,
    pub(crate) ended_at: Option<Time>,
    pub(crate) steps: Vec<StepRun>,
    /// Steps of `spec.steps` that have not ended.
    pub(crate) open_main: u32,
    /// Steps of `finally` that have not ended.
    pub(crate) open_finally: u32,
    /// Steps whose end is a cause (SEMANTICS, *Cause*), and whether it is handled.
    pub(crate) causes: BTreeMap<StepIndex, bool>,
    pub(crate) failing: Failing,
    pub(crate) stop: Option<Stop>,
    /// The first of stop and run timeout, which names the run's end (SEMANTICS 19).
    pub(crate) named_by: Option<EndName>,
    pub(crate) finishing: bool,
    /// What the run would end as without `finally`.
    pub(crate) status: Option<RunState>,
    pub(crate) paused: bool,
    pub(crate) warnings: u32,
    pub(crate) timers: Timers,
    pub(crate) run_timer: Option<Armed>,
    pub(crate) finally_timer: Option<Armed>,
    /// Instances that are queued, running or waiting.
    pub(crate) active: BTreeSet<(StepIndex, u32)>,
    /// Rules whose parents have ended. Decided before anything else (SEMANTICS 16).
    pub(crate) rules: VecDeque<StepIndex>,
    /// What else is ready, in order.
    pub(crate) work: VecDeque<Work>,
}

/// A unit of bounded work (PROTOCOL P7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Work {
    /// A step whose needs are met begins.
    Step(StepIndex),
    /// The next instance of a fan-out begins, if one may.
    Fill(StepIndex),
    /// An instance is queued for a further attempt.
    Requeue(StepIndex, u32),
    /// The run's outputs are evaluated.
    Outputs,
}

/// What named the run's end first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum EndName {
    Stop,
    Timeout,
}

/// How far SEMANTICS 16 has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Failing {
    No,
    /// A cause that nothing handles; the pass waits until all rules are decided.
    Due(StepIndex),
    /// Nothing new starts but what is exempt.
    At(StepIndex),
}

/// Whether a step is an error branch of a failing run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Exempt {
    No,
    Yes,
    /// Judged when its started parents have ended.
    Deferred,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StepRun {
    /// `Pending` until it ends; what people see in between is derived.
    pub(crate) state: StepState,
    pub(crate) ok: bool,
    pub(crate) warnings: u32,
    pub(crate) reason: Option<Arc<str>>,
    /// Parents that have not ended.
    pub(crate) blocked: u32,
    /// Its needs are met.
    pub(crate) ready: bool,
    pub(crate) exempt: Exempt,
    pub(crate) expanded: bool,
    /// The instances' parameters; `None` where there are none, or they were not inherited.
    pub(crate) items: Option<Arc<Items>>,
    pub(crate) instances: Vec<Instance>,
    /// The next instance that has not begun.
    pub(crate) cursor: u32,
    /// Instances that have begun and not ended.
    pub(crate) begun: u32,
    /// Instances that have ended.
    pub(crate) ended: u32,
    pub(crate) filling: bool,
    pub(crate) ended_at: Option<Time>,
    pub(crate) inherited: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Instance {
    pub(crate) state: StepState,
    /// The number of the current or last attempt; 0 before the first claim.
    pub(crate) attempt: u32,
    pub(crate) started: bool,
    pub(crate) allowed: bool,
    /// Attempts that ended otherwise than lost.
    pub(crate) tries: u32,
    /// Charged losses.
    pub(crate) lost: u32,
    /// Losses to a dead process.
    pub(crate) dead: u32,
    pub(crate) with: Option<Value>,
    pub(crate) outputs: Option<Value>,
    pub(crate) failure: Option<Box<Failure>>,
    pub(crate) reason: Option<Arc<str>>,
    pub(crate) claim: Option<Box<Claim>>,
    /// Present while the attempt goes on without its session.
    pub(crate) detached: Option<Box<Detached>>,
    pub(crate) claimed_at: Time,
    pub(crate) queued_at: Option<Time>,
    pub(crate) ended_at: Option<Time>,
    pub(crate) cancel: Option<Box<Cancelling>>,
    /// How the last attempt that was not lost ended, for an instance that a drain keeps from its
    /// next one.
    pub(crate) last: Option<StepState>,
    /// The attempt and hash of the last accepted report.
    pub(crate) reported: Option<(u32, u64)>,
    pub(crate) checkpoint: Option<Arc<[u8]>>,
    pub(crate) timers: SmallVec<[Armed; 2]>,
}

/// An attempt that was told to stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cancelling {
    /// What it ends as, unless it succeeds within the grace.
    pub(crate) end: CancelEnd,
    pub(crate) reason: Arc<str>,
    pub(crate) since: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum CancelEnd {
    /// `timed_out`, and SEMANTICS 10 applies.
    TimedOutRetry,
    /// `timed_out`, and that is the end.
    TimedOut,
    /// `cancelled`.
    Cancelled,
}

impl State {
    pub(crate) fn new(plan: &Plan) -> State {
        let steps = plan
            .steps
            .iter()
            .map(|step| StepRun {
                state: StepState::Pending,
                ok: false,
                warnings: 0,
                reason: None,
                blocked: step.parents.len() as u32,
                ready: false,
                exempt: Exempt::No,
                expanded: false,
                items: None,
                instances: Vec::new(),
                cursor: 0,
                begun: 0,
                ended: 0,
                filling: false,
                ended_at: None,
                inherited: false,
            })
            .collect::<Vec<_>>();
        State {
            sequence: 0,
            time: Time::default(),
            run: RunState::Queued,
            id: Arc::from(""),
            actor: Arc::from(""),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            forked_from: None,
            inputs: Root::known(Json::Null),
            vars: Root::known(Json::Object(serde_json::Map::new())),
            vars_error: None,
            resource: None,
            event: None,
            outputs: None,
            outputs_error: None,
            started_at: Time::default(),
            ended_at: None,
            open_main: plan.main,
            open_finally: steps.len() as u32 - plan.main,
            steps,
            causes: BTreeMap::new(),
            failing: Failing::No,
            stop: None,
            named_by: None,
            finishing: false,
            status: None,
            paused: false,
            warnings: 0,
            timers: Timers::default(),
            run_timer: None,
            finally_timer: None,
            active: BTreeSet::new(),
            rules: VecDeque::new(),
            work: VecDeque::new(),
        }
    }

    pub(crate) fn step(&self, step: StepIndex) -> &StepRun {
        &self.steps[step as usize]
    }

    pub(crate) fn instance(&self, step: StepIndex, instance: u32) -> Option<&Instance> {
        self.steps
            .get(step as usize)?
            .instances
            .get(instance as usize)
    }

    /// The combination of the matrix, or the item.
    pub(crate) fn item(&self, step: StepIndex, instance: u32) -> Option<Item> {
        self.steps.get(step as usize)?.items.as_ref()?.get(instance)
    }

    /// Whether a bounded turn would do something now.
    pub(crate) fn has_work(&self) -> bool {
        if self.run.is_terminal() {
            return false;
        }
        !self.rules.is_empty()
            || matches!(self.failing, Failing::Due(_))
            || (!self.paused && !self.work.is_empty())
    }
}

impl StepRun {
    pub(crate) fn ended(&self) -> bool {
        self.state.is_terminal()
    }

    /// The next instance that may begin.
    pub(crate) fn next(&self) -> u32 {
        let waits = |instance: &Instance| instance.state == StepState::Pending;
        let from = self
            .instances
            .get(self.cursor as usize..)
            .unwrap_or_default();
        self.cursor + from.iter().position(waits).unwrap_or(0) as u32
    }

    pub(crate) fn started(&self) -> bool {
        self.instances.iter().any(|instance| instance.started)
    }
}

impl Instance {
    pub(crate) fn new() -> Instance {
        Instance {
            state: StepState::Pending,
            attempt: 0,
            started: false,
            allowed: false,
            tries: 0,
            lost: 0,
            dead: 0,
            with: None,
            outputs: None,
            failure: None,
            reason: None,
            claim: None,
            detached: None,
            claimed_at: Time::default(),
            queued_at: None,
            ended_at: None,
            cancel: None,
            last: None,
            reported: None,
            checkpoint: None,
            timers: SmallVec::new(),
        }
    }

    pub(crate) fn ok(&self) -> bool {
        match self.state {
            StepState::Succeeded | StepState::Skipped => true,
            StepState::Failed | StepState::Errored | StepState::TimedOut => self.allowed,
            _ => false,
        }
    }

    pub(crate) fn timer(&self, kind: TimerKind) -> Option<&Armed> {
        self.timers.iter().find(|armed| armed.key.kind == kind)
    }
}

/// Whether a step's needs are a rule.
pub(crate) fn is_rule(plan: &Plan, step: StepIndex) -> bool {
    matches!(plan.steps[step as usize].needs, Needs::Rule { .. })
}
