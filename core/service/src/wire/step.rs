//! The steps of a run, page by page.

use super::failure;
use super::history::{AttemptHistory, History};
use super::waiting::{Around, waiting};
use crate::values::StoredValues;
use conveyor_engine::plan::{Kind, StepIndex};
use conveyor_engine::run::{Identity, InstanceView, Run, Waiting};
use conveyor_proto::v1;
use conveyor_proto::v1::waiting_for::What;
use prost::Message as _;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes after which a page ends: half of the longest message.
const PAGE_BYTES: usize = 32 << 20;

/// What of a run is shown.
pub(crate) struct Shown<'a> {
    pub(crate) run: &'a Run,
    pub(crate) history: &'a History,
    pub(crate) values: &'a StoredValues,
    pub(crate) around: &'a Around,
    /// Only these steps, if there are any.
    pub(crate) only: &'a BTreeSet<StepIndex>,
    /// Whether instances and attempts are shown.
    pub(crate) instances: bool,
}

/// Where a page begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    step: StepIndex,
    instance: u32,
}

impl Page {
    /// Reads what [`Page::token`] wrote: the record that the page before was told of, and the page.
    pub(crate) fn parse(token: &str) -> Option<(u64, Page)> {
        let mut parts = token.split('.');
        let sequence = parts.next()?.parse().ok()?;
        let page = Page {
            step: parts.next()?.parse().ok()?,
            instance: parts.next()?.parse().ok()?,
        };
        // Numbers are read in more ways than they are written.
        (page.token(sequence) == token).then_some((sequence, page))
    }

    /// For the next request.
    pub(crate) fn token(self, sequence: u64) -> String {
        format!("{sequence}.{}.{}", self.step, self.instance)
    }
}

/// Counts of a run's steps by state.
pub(crate) fn step_counts(run: &Run) -> Vec<v1::StepCount> {
    let mut counts = BTreeMap::new();
    for step in 0..run.plan().steps.len() {
        *counts
            .entry(run.step(step as StepIndex).state.code())
            .or_insert(0) += 1;
    }
    let counts = counts.into_iter();
    counts
        .map(|(state, count)| v1::StepCount {
            state: state.into(),
            count,
        })
        .collect()
}

impl Shown<'_> {
    /// At most `limit` instances from `page` on, and where the next page begins.
    pub(crate) fn steps(&self, page: Page, limit: usize) -> (Vec<v1::Step>, Option<Page>) {
        let mut steps = Vec::new();
        let (mut left, mut bytes) = (limit, 0);
        for at in page.step..self.run.plan().steps.len() as StepIndex {
            if !self.only.is_empty() && !self.only.contains(&at) {
                continue;
            }
            let first = if at == page.step { page.instance } else { 0 };
            let mut step = self.step(at);
            bytes += step.encoded_len();
            let count = if self.instances {
                self.run.step(at).instances
            } else {
                0
            };
            for instance in first..count {
                if left == 0 || bytes > PAGE_BYTES {
                    steps.push(step);
                    return (steps, Some(Page { step: at, instance }));
                }
                let Some(view) = self.run.instance(at, instance) else {
                    continue;
                };
                let told = self.instance(at, instance, &view);
                bytes += told.encoded_len();
                step.instances.push(told);
                left -= 1;
            }
            steps.push(step);
        }
        (steps, None)
    }

    fn step(&self, at: StepIndex) -> v1::Step {
        let plan = self.run.plan();
        let (step, view) = (&plan.steps[at as usize], self.run.step(at));
        let attempts = match view.instances {
            1 => self
                .run
                .instance(at, 0)
                .map_or(0, |instance| instance.attempt),
            _ => 0,
        };
        let waits = self.run.waiting(at);
        let waits = waits.map(|waits| self.waiting(at, attempts, &waits));
        let inherited = self.run.forked_from().filter(|_| view.inherited);
        let (kind, driver) = match &step.kind {
            Kind::Driver { driver, .. } => (v1::StepKind::Driver, driver.to_string()),
            Kind::Transform { .. } => (v1::StepKind::Transform, String::new()),
            Kind::Wait(_) => (v1::StepKind::Wait, String::new()),
        };
        v1::Step {
            id: step.id.to_string(),
            name: step
                .name
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            kind: kind.into(),
            finally: step.finally,
            state: view.state.code().into(),
            ok: view.ok,
            reason: view.reason.to_string(),
            warnings: view.warnings,
            fan_out: step.fan.is_some(),
            instances: Vec::new(),
            driver,
            inherited_from: inherited.map(ToString::to_string).unwrap_or_default(),
            waiting_for: waits.into_iter().collect(),
            parents: step
                .parents
                .iter()
                .map(|at| plan.steps[*at as usize].id.to_string())
                .collect(),
        }
    }

    fn instance(&self, step: StepIndex, index: u32, view: &InstanceView) -> v1::StepInstance {
        let history = self.history.of(step, index);
        let attempts = history
            .map(|history| history.attempts.as_slice())
            .unwrap_or_default();
        let text = |value: &Option<_>| value.as_ref().map(|value| self.values.text(value));
        let parameters = view.params.as_ref().and_then(|item| item.text(self.values));
        v1::StepInstance {
            index,
            parameters: parameters
                .map(|text| text.to_vec().into())
                .unwrap_or_default(),
            state: view.state.code().into(),
            allowed: view.allowed,
            reason: view.reason.to_string(),
            waiting_for: self.instance_waits(step, index, view.attempt),
            attempts: attempts
                .iter()
                .map(|attempt| self.attempt(step, index, attempt))
                .collect(),
            outputs: text(&view.outputs).unwrap_or_default(),
            failure: view
                .failure
                .as_ref()
                .map(|wrong| failure(wrong, self.values)),
            queued_ms: history
                .and_then(|history| history.first_queued)
                .or(view.queued_at)
                .map(|at| at.0),
            ended_ms: view.ended_at.map(|at| at.0),
        }
    }

    fn instance_waits(&self, step: StepIndex, index: u32, attempts: u32) -> Vec<v1::WaitingFor> {
        let waits = self.run.instance_waiting(step, index);
        let told = waits.map(|waits| self.waiting(step, attempts, &waits));
        told.into_iter().collect()
    }

    fn waiting(&self, step: StepIndex, attempts: u32, waits: &Waiting) -> v1::WaitingFor {
        let mut told = waiting(self.run.plan(), step, attempts, waits, self.around);
        if let Some(What::Resume(resume)) = &mut told.what
            && let Some(actor) = self.history.paused_by.as_ref().filter(|by| !by.is_empty())
        {
            resume.actor = actor.to_string();
            told.message = format!("the end of the pause by {actor}");
        }
        told
    }

    fn attempt(&self, step: StepIndex, instance: u32, attempt: &AttemptHistory) -> v1::Attempt {
        let end = attempt.end.as_ref();
        let id = Identity {
            step,
            instance,
            attempt: attempt.number,
        };
        let told = self.around.progress.get(&id).filter(|_| end.is_none());
        let progress = told.map(|told| v1::Progress {
            permille: told.permille,
            message: told.message.clone(),
            at_ms: told.at.0,
        });
        v1::Attempt {
            number: attempt.number,
            state: end.map_or(v1::AttemptState::Running.into(), |end| {
                end.state.code().into()
            }),
            queued_ms: attempt.queued.0,
            claimed_ms: attempt.claimed.map(|at| at.0),
            ended_ms: end.map(|end| end.at.0),
            session: attempt.session.to_string(),
            driver_version: attempt.version.to_string(),
            failure: end
                .and_then(|end| end.failure.as_ref())
                .map(|wrong| failure(wrong, self.values)),
            outputs: end
                .and_then(|end| end.outputs.as_ref())
                .map(|value| self.values.text(value))
                .unwrap_or_default(),
            reason: end.map(|end| end.reason.to_string()).unwrap_or_default(),
            last_log_offset: end.and_then(|end| end.last_log),
            progress,
            detached_until_ms: self
                .run
                .detached(id)
                .filter(|_| end.is_none())
                .map(|detached| detached.until.0),
        }
    }
}
