//! Events and log lines as the service tells them, as the events that are drawn.

use super::view::{attempt_state, failure, json, run_state, step_state};
use crate::render::view::{ProgressEvent, RunView, What};
use conveyor_engine::run::{AttemptState, Identity};
use conveyor_engine::time::{Duration, Time};
use conveyor_proto::v1;
use conveyor_proto::v1::event::Event as Told;
use std::collections::HashMap;

/// Knows a run's steps by id, as events name them.
#[derive(Debug)]
pub(crate) struct Events {
    steps: HashMap<String, usize>,
}

impl Events {
    /// For the events of a run.
    pub(crate) fn of(view: &RunView) -> Events {
        let steps = view.steps.iter().enumerate();
        Events {
            steps: steps.map(|(at, step)| (step.id.clone(), at)).collect(),
        }
    }

    /// What is drawn; `None` for an event of a later release.
    pub(crate) fn event(&self, event: &v1::Event) -> Option<ProgressEvent> {
        let what = match event.event.as_ref()? {
            Told::RunChanged(changed) => What::Run {
                to: run_state(changed.to),
                reason: changed.reason.clone(),
            },
            Told::StepExpanded(expanded) => What::Expanded {
                step: self.step(&expanded.step)?,
                instances: Err(expanded.instances as usize),
            },
            Told::InstanceChanged(changed) => What::Instance {
                step: self.step(&changed.step)?,
                instance: changed.instance as usize,
                to: step_state(changed.to),
                allowed: changed.allowed,
                due: changed.due_ms.map(Time),
                reason: changed.reason.clone(),
            },
            Told::AttemptClaimed(claimed) => What::Claimed {
                id: self.identity(claimed.id.as_ref())?,
            },
            Told::AttemptCancelling(cancelling) => What::Cancel {
                id: self.identity(cancelling.id.as_ref())?,
                reason: cancelling.reason.clone(),
                grace: Duration(cancelling.grace_ms),
            },
            Told::AttemptEnded(ended) => What::Attempt {
                id: self.identity(ended.id.as_ref())?,
                state: attempt_state(ended.state).unwrap_or(AttemptState::Lost),
                failure: ended.failure.as_ref().map(failure),
                outputs: json(&ended.outputs),
                reason: ended.reason.clone(),
            },
            Told::StepEnded(ended) => What::Step {
                step: self.step(&ended.step)?,
                state: step_state(ended.state),
                ok: ended.ok,
                warnings: ended.warnings,
                reason: ended.reason.clone(),
            },
            Told::OutputsSet(set) => What::Outputs(json(&set.outputs)?),
            Told::NoEffect(none) => What::NoEffect(none.reason.clone()),
        };
        Some(ProgressEvent {
            time: Time(event.time_ms),
            what,
        })
    }

    /// A log line.
    pub(crate) fn line(&self, record: &v1::LogRecord) -> Option<ProgressEvent> {
        let mut text = String::from_utf8_lossy(&record.text).into_owned();
        if record.truncated {
            text.push_str(" … (cut)");
        }
        let what = What::Log {
            id: self.identity(record.id.as_ref())?,
            stderr: record.stream() == v1::LogStream::Stderr,
            text,
        };
        Some(ProgressEvent {
            time: Time(record.time_ms),
            what,
        })
    }

    fn step(&self, id: &str) -> Option<usize> {
        self.steps.get(id).copied()
    }

    /// Which attempt of the view an id names.
    pub(crate) fn identity(&self, id: Option<&v1::AttemptId>) -> Option<Identity> {
        let id = id?;
        Some(Identity {
            step: self.step(&id.step)? as u32,
            instance: id.instance,
            attempt: id.attempt,
        })
    }
}
