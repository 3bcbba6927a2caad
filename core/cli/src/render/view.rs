//! A run as readers see it, and how events change it.
//!
//! The tree, the summary, `runs show` and the timeline all draw a [`RunView`]. It comes from the
//! engine whole, or from a [`Plan`] and the run's events.
//!
//! Its JSON has the contract's names (`proto/conveyor/v1/types.proto`), but that an instant, there
//! `x_ms`, is `x_at` in RFC 3339.

mod event;
mod fold;
mod text;

pub(crate) use event::{ProgressEvent, What};
pub(crate) use text::label;

use conveyor_engine::plan::{Kind, Plan};
use conveyor_engine::run::{AttemptState, Failure, RunState, StepState};
use conveyor_engine::time::{Duration, Time};
use conveyor_engine::value::Json;
use serde::Serialize;
use std::collections::BTreeMap;

/// A run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RunView {
    /// Its id.
    pub(crate) id: String,
    /// The pipeline's name.
    pub(crate) pipeline: String,
    /// Its namespace.
    pub(crate) namespace: String,
    /// The digest of the pipeline's revision.
    pub(crate) digest: String,
    /// The resource definition that the pipeline acts on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resource_definition: Option<String>,
    /// The resource that it acts on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resource: Option<ResourceView>,
    /// Its state.
    #[serde(serialize_with = "text::display")]
    pub(crate) state: RunState,
    /// Whether nothing moves it: its process died.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) interrupted: bool,
    /// Why it is in that state; empty where the state says it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) reason: String,
    /// Who started it.
    pub(crate) actor: String,
    /// Its labels.
    pub(crate) labels: BTreeMap<String, String>,
    /// Its annotations; lists have none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
    /// Its inputs.
    pub(crate) inputs: Json,
    /// What it gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) outputs: Option<Json>,
    /// Failures that were allowed.
    pub(crate) warnings: u32,
    /// The run that it was forked from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) forked_from: Option<String>,
    /// When it started.
    #[serde(serialize_with = "text::time")]
    pub(crate) started_at: Option<Time>,
    /// When it ended.
    #[serde(serialize_with = "text::time")]
    pub(crate) ended_at: Option<Time>,
    /// Why its journal does not fold, where it does not: it has no steps to show then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) quarantine: Option<FlawView>,
    /// The steps in the document's order, `finally` last.
    pub(crate) steps: Vec<StepView>,
}

/// A resource in one of its versions.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ResourceView {
    /// Its ResourceDefinition.
    pub(crate) definition: String,
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: u64,
}

/// Why a run does not fold.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FlawView {
    /// A sentence.
    pub(crate) reason: String,
    /// The record at which the fold stopped.
    pub(crate) sequence: u64,
    /// The digest in that record, where it is the digests that differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recorded_digest: Option<String>,
    /// The digest that the fold gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) folded_digest: Option<String>,
    /// Since when it is quarantined.
    #[serde(serialize_with = "text::time", skip_serializing_if = "Option::is_none")]
    pub(crate) since_at: Option<Time>,
}

/// A step of a run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StepView {
    /// Its id.
    pub(crate) id: String,
    /// Its name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// `driver`, `transform` or `wait`.
    pub(crate) kind: &'static str,
    /// The driver's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) driver: Option<String>,
    /// Whether it stands under `finally`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) finally: bool,
    /// Whether it is a matrix or a foreach.
    #[serde(rename = "fan_out", skip_serializing_if = "std::ops::Not::not")]
    pub(crate) fan: bool,
    /// Its state.
    #[serde(serialize_with = "text::display")]
    pub(crate) state: StepState,
    /// Whether others may count it as ok.
    pub(crate) ok: bool,
    /// Allowed failures among its instances.
    #[serde(skip_serializing_if = "text::is_zero")]
    pub(crate) warnings: u32,
    /// Why, where it did not succeed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) reason: String,
    /// What it waits for, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) waiting_for: Option<String>,
    /// The run whose result this is a copy of: the one that this one was forked from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) inherited_from: Option<String>,
    /// When it ended.
    #[serde(serialize_with = "text::time", skip_serializing_if = "Option::is_none")]
    pub(crate) ended_at: Option<Time>,
    /// Its instances; one for a plain step, none before it is expanded.
    pub(crate) instances: Vec<InstanceView>,
    /// How many instances are in each state: kept, so that an event costs the same in a fan-out of
    /// 10,000 as in a plain step.
    #[serde(skip)]
    pub(crate) counts: Counts,
}

/// How many instances are in each state.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts([u32; 12]);

impl Counts {
    /// Counts instances.
    pub(crate) fn of(instances: &[InstanceView]) -> Counts {
        let mut counts = Counts::default();
        instances
            .iter()
            .for_each(|instance| counts.add(instance.state));
        counts
    }

    /// How many are in a state.
    pub(crate) fn get(&self, state: StepState) -> u32 {
        self.0[usize::from(state.code())]
    }

    /// How many have ended.
    pub(crate) fn ended(&self) -> u32 {
        let ended = StepState::ALL.iter().filter(|state| state.is_terminal());
        ended.map(|state| self.get(*state)).sum()
    }

    /// How many have ended otherwise than well.
    pub(crate) fn bad(&self) -> u32 {
        let bad = [
            StepState::Failed,
            StepState::Errored,
            StepState::TimedOut,
            StepState::Cancelled,
        ];
        bad.iter().map(|state| self.get(*state)).sum()
    }

    fn add(&mut self, state: StepState) {
        self.0[usize::from(state.code())] += 1;
    }

    fn remove(&mut self, state: StepState) {
        let count = &mut self.0[usize::from(state.code())];
        *count = count.saturating_sub(1);
    }
}

/// An instance of a step.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct InstanceView {
    /// The combination of the matrix, or the item.
    #[serde(rename = "parameters", skip_serializing_if = "Option::is_none")]
    pub(crate) params: Option<Json>,
    /// Its state.
    #[serde(serialize_with = "text::display")]
    pub(crate) state: StepState,
    /// Whether its failure was allowed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) allowed: bool,
    /// Why, where it did not succeed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) reason: String,
    /// When what it waits for is due.
    #[serde(rename = "due_at")]
    #[serde(serialize_with = "text::time", skip_serializing_if = "Option::is_none")]
    pub(crate) due: Option<Time>,
    /// When its wait began, or when it was queued first.
    #[serde(rename = "queued_at")]
    #[serde(serialize_with = "text::time", skip_serializing_if = "Option::is_none")]
    pub(crate) began_at: Option<Time>,
    /// When it ended.
    #[serde(serialize_with = "text::time", skip_serializing_if = "Option::is_none")]
    pub(crate) ended_at: Option<Time>,
    /// What it gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) outputs: Option<Json>,
    /// Its attempts in order.
    pub(crate) attempts: Vec<AttemptView>,
}

/// An attempt of an instance.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct AttemptView {
    /// Its number, from 1.
    pub(crate) number: u32,
    /// How it ended; `None` while it goes on.
    #[serde(serialize_with = "text::or_running")]
    pub(crate) state: Option<AttemptState>,
    /// The version of the driver that took it; empty where that is not known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) driver_version: String,
    /// The offset of its last log line, once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_log_offset: Option<u64>,
    /// When a driver took it.
    #[serde(serialize_with = "text::time")]
    pub(crate) claimed_at: Option<Time>,
    /// When it ended.
    #[serde(serialize_with = "text::time", skip_serializing_if = "Option::is_none")]
    pub(crate) ended_at: Option<Time>,
    /// Until when its end is waited for from outside, where it is detached.
    #[serde(serialize_with = "text::time", skip_serializing_if = "Option::is_none")]
    pub(crate) detached_until_at: Option<Time>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<FailureView>,
    /// Why; empty where the rest says it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) reason: String,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct FailureView {
    /// A short word for programs.
    pub(crate) code: String,
    /// A sentence for people.
    pub(crate) message: String,
}

impl std::fmt::Display for FailureView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let FailureView { code, message } = self;
        match message.is_empty() {
            true => f.write_str(code),
            false => write!(f, "{code}: {message}"),
        }
    }
}

impl From<&Failure> for FailureView {
    fn from(failure: &Failure) -> FailureView {
        FailureView {
            code: failure.code.to_string(),
            message: failure.message.to_string(),
        }
    }
}

impl RunView {
    /// A run of a plan before its first event.
    pub(crate) fn new(id: &str, plan: &Plan) -> RunView {
        RunView {
            id: id.to_owned(),
            pipeline: plan.name.to_string(),
            namespace: plan.namespace.to_string(),
            digest: plan.digest.to_string(),
            resource_definition: plan.resource.as_ref().map(ToString::to_string),
            resource: None,
            state: RunState::Queued,
            interrupted: false,
            reason: String::new(),
            actor: String::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            inputs: Json::Object(serde_json::Map::new()),
            outputs: None,
            warnings: 0,
            forked_from: None,
            started_at: None,
            ended_at: None,
            quarantine: None,
            steps: plan.steps.iter().map(StepView::new).collect(),
        }
    }

    /// How long it took, or takes until `now`.
    pub(crate) fn elapsed(&self, now: Time) -> Duration {
        self.started_at.map_or(Duration::ZERO, |start| {
            self.ended_at.unwrap_or(now).since(start)
        })
    }

    /// The word for its state: `interrupted` where nothing moves it.
    pub(crate) fn word(&self) -> &'static str {
        if self.interrupted {
            "interrupted"
        } else {
            self.state.as_str()
        }
    }
}

impl StepView {
    fn new(step: &conveyor_engine::plan::Step) -> StepView {
        StepView {
            id: step.id.to_string(),
            name: step.name.as_ref().map(ToString::to_string),
            kind: kind(&step.kind),
            driver: match &step.kind {
                Kind::Driver { driver, .. } => Some(driver.to_string()),
                _ => None,
            },
            finally: step.finally,
            fan: step.fan.is_some(),
            state: StepState::Pending,
            ok: false,
            warnings: 0,
            reason: String::new(),
            waiting_for: None,
            inherited_from: None,
            ended_at: None,
            instances: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// When its first instance started.
    fn started_at(&self) -> Option<Time> {
        self.instances
            .iter()
            .filter_map(InstanceView::started_at)
            .min()
    }

    /// How long it took, or takes until `now`; `None` before anything of it began.
    pub(crate) fn elapsed(&self, now: Time) -> Option<Duration> {
        self.started_at()
            .map(|start| self.ended_at.unwrap_or(now).since(start))
    }

    /// What people call an instance of it: `deploy`, or `test[os=linux]` in a fan-out.
    pub(crate) fn instance_name(&self, position: usize) -> String {
        if !self.fan {
            return self.id.clone();
        }
        let instance = self.instances.get(position);
        let params = instance.and_then(|instance| instance.params.as_ref());
        format!("{}{}", self.id, text::label(params, position))
    }

    /// Why it did not succeed, with what its driver said; empty where there is nothing to say.
    pub(crate) fn why(&self) -> String {
        let failure = self.instances.iter().find_map(InstanceView::failure);
        why(&self.reason, failure)
    }
}

impl InstanceView {
    /// An instance of which nothing is known yet.
    pub(crate) fn new(params: Option<Json>) -> InstanceView {
        InstanceView {
            params,
            state: StepState::Pending,
            allowed: false,
            reason: String::new(),
            due: None,
            began_at: None,
            ended_at: None,
            outputs: None,
            attempts: Vec::new(),
        }
    }

    /// When a driver first took it, or its wait began: what people mean by how long it takes. The
    /// last of 10,000 instances may have stood in the queue for most of the run.
    pub(crate) fn started_at(&self) -> Option<Time> {
        let claimed = self.attempts.first().and_then(|first| first.claimed_at);
        claimed.or(self.began_at)
    }

    /// What people call it: `[os=linux node=20]`, the item, or its position where neither is known.
    pub(crate) fn label(&self, position: usize) -> String {
        text::label(self.params.as_ref(), position)
    }

    /// What its last attempt failed with.
    pub(crate) fn failure(&self) -> Option<&FailureView> {
        self.attempts
            .last()
            .and_then(|attempt| attempt.failure.as_ref())
    }

    /// Why it did not succeed, with what its driver said.
    pub(crate) fn why(&self) -> String {
        why(&self.reason, self.failure())
    }
}

fn why(reason: &str, failure: Option<&FailureView>) -> String {
    match failure {
        Some(failure) if reason.is_empty() || reason == failure.message => failure.to_string(),
        // The engine's own reason often repeats what the driver said.
        Some(failure) if reason.contains(&failure.message) => {
            format!("{reason} ({})", failure.code)
        }
        Some(failure) => format!("{reason} ({failure})"),
        None => reason.to_owned(),
    }
}

fn kind(kind: &Kind) -> &'static str {
    match kind {
        Kind::Driver { .. } => "driver",
        Kind::Transform { .. } => "transform",
        Kind::Wait(_) => "wait",
    }
}

/// A run of plain steps with these ids, for tests.
#[cfg(test)]
pub(crate) fn sample(ids: &[&str]) -> RunView {
    let step = |id: &&str| StepView {
        id: (*id).to_owned(),
        name: None,
        kind: "driver",
        driver: Some("exec".to_owned()),
        finally: false,
        fan: false,
        state: StepState::Pending,
        ok: false,
        warnings: 0,
        reason: String::new(),
        waiting_for: None,
        inherited_from: None,
        ended_at: None,
        instances: Vec::new(),
        counts: Counts::default(),
    };
    RunView {
        id: "0198".to_owned(),
        pipeline: "release".to_owned(),
        namespace: "default".to_owned(),
        digest: String::new(),
        resource_definition: None,
        resource: None,
        state: RunState::Queued,
        interrupted: false,
        reason: String::new(),
        actor: String::new(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        inputs: Json::Object(serde_json::Map::new()),
        outputs: None,
        warnings: 0,
        forked_from: None,
        started_at: None,
        ended_at: None,
        quarantine: None,
        steps: ids.iter().map(step).collect(),
    }
}
