//! Decisions as events.

use super::failure;
use crate::values::StoredValues;
use conveyor_engine::plan::{Plan, StepIndex};
use conveyor_engine::run::{Decision, Identity};
use conveyor_node::reader::Event;
use conveyor_proto::v1;
use conveyor_proto::v1::event::Event as Told;

/// A decision of a run as its followers see it.
pub(crate) fn event(plan: &Plan, event: &Event, values: &StoredValues) -> v1::Event {
    let run = values.run.to_string();
    let id = |id: &Identity| {
        Some(v1::AttemptId {
            run: values.run.to_string(),
            step: step(plan, id.step),
            instance: id.instance,
            attempt: id.attempt,
        })
    };
    let told = match &event.decision {
        Decision::Run {
            from, to, reason, ..
        } => Told::RunChanged(v1::RunChanged {
            from: from.code().into(),
            to: to.code().into(),
            reason: reason.to_string(),
        }),
        Decision::Expanded {
            step: at,
            instances,
        } => Told::StepExpanded(v1::StepExpanded {
            step: step(plan, *at),
            instances: *instances,
        }),
        Decision::Instance {
            step: at,
            instance,
            attempt,
            from,
            to,
            allowed,
            due,
            reason,
            ..
        } => Told::InstanceChanged(v1::InstanceChanged {
            step: step(plan, *at),
            instance: *instance,
            attempt: *attempt,
            from: from.code().into(),
            to: to.code().into(),
            allowed: *allowed,
            due_ms: due.map(|due| due.0),
            reason: reason.to_string(),
        }),
        Decision::Claimed {
            id: claimed,
            session,
        } => Told::AttemptClaimed(v1::AttemptClaimed {
            id: id(claimed),
            session: session.to_string(),
            driver_version: event.by.as_deref().unwrap_or_default().to_owned(),
        }),
        Decision::Cancel {
            id: cancelled,
            reason,
            grace,
        } => Told::AttemptCancelling(v1::AttemptCancelling {
            id: id(cancelled),
            reason: reason.to_string(),
            grace_ms: grace.0,
        }),
        Decision::Attempt {
            id: ended,
            state,
            failure: wrong,
            outputs,
            reason,
        } => Told::AttemptEnded(v1::AttemptEnded {
            id: id(ended),
            state: state.code().into(),
            failure: wrong.as_ref().map(|wrong| failure(wrong, values)),
            outputs: outputs
                .as_ref()
                .map(|value| values.text(value))
                .unwrap_or_default(),
            reason: reason.to_string(),
        }),
        Decision::Step {
            step: at,
            state,
            ok,
            warnings,
            reason,
        } => Told::StepEnded(v1::StepEnded {
            step: step(plan, *at),
            state: state.code().into(),
            ok: *ok,
            warnings: *warnings,
            reason: reason.to_string(),
        }),
        Decision::Outputs { outputs } => Told::OutputsSet(v1::OutputsSet {
            outputs: values.text(outputs),
        }),
        Decision::NoEffect { reason } => Told::NoEffect(v1::NoEffect {
            reason: reason.to_string(),
        }),
    };
    v1::Event {
        id: event.id.to_string(),
        run,
        time_ms: event.time.0,
        event: Some(told),
    }
}

fn step(plan: &Plan, step: StepIndex) -> String {
    plan.steps
        .get(step as usize)
        .map(|step| step.id.to_string())
        .unwrap_or_default()
}
