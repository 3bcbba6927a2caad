//! A run as the service tells it, as the view that is drawn.

use crate::render::view::{
    AttemptView, Counts, FailureView, FlawView, InstanceView, ResourceView, RunView, StepView,
};
use conveyor_engine::run::{AttemptState, RunState, StepState};
use conveyor_engine::time::Time;
use conveyor_engine::value::Json;
use conveyor_proto::v1;

/// The view of a run.
pub(crate) fn run_view(run: &v1::Run, steps: &[v1::Step]) -> RunView {
    RunView {
        id: run.id.clone(),
        pipeline: run.pipeline.clone(),
        namespace: run.namespace.clone(),
        digest: run.digest.clone(),
        resource_definition: some(&run.resource_definition),
        resource: run.resource.as_ref().map(|resource| ResourceView {
            definition: resource.definition.clone(),
            name: resource.name.clone(),
            version: resource.version,
        }),
        state: run_state(run.state),
        interrupted: run.interrupted,
        reason: run.reason.clone(),
        actor: run.actor.clone(),
        labels: run.labels.clone(),
        annotations: run.annotations.clone(),
        inputs: json(&run.inputs).unwrap_or_else(|| Json::Object(serde_json::Map::new())),
        outputs: json(&run.outputs),
        warnings: run.warnings,
        forked_from: some(&run.forked_from),
        started_at: run.started_ms.or(Some(run.created_ms)).map(Time),
        ended_at: run.ended_ms.map(Time),
        quarantine: run.quarantine.as_ref().map(flaw),
        steps: steps.iter().map(step).collect(),
    }
}

fn flaw(mark: &v1::Quarantine) -> FlawView {
    let digest = |digest| format!("{digest:016x}");
    let differ = mark.recorded_digest != mark.folded_digest;
    FlawView {
        reason: mark.reason.clone(),
        sequence: mark.sequence,
        recorded_digest: differ.then(|| digest(mark.recorded_digest)),
        folded_digest: differ.then(|| digest(mark.folded_digest)),
        since_at: mark.since_ms.map(Time),
    }
}

fn step(step: &v1::Step) -> StepView {
    let instances: Vec<_> = step.instances.iter().map(instance).collect();
    let ended = step
        .instances
        .iter()
        .filter_map(|instance| instance.ended_ms)
        .max();
    let state = step_state(step.state);
    StepView {
        id: step.id.clone(),
        name: some(&step.name),
        kind: match step.kind() {
            v1::StepKind::Transform => "transform",
            v1::StepKind::Wait => "wait",
            _ => "driver",
        },
        driver: some(&step.driver),
        finally: step.finally,
        fan: step.fan_out,
        state,
        ok: step.ok,
        warnings: step.warnings,
        reason: step.reason.clone(),
        waiting_for: waiting(&step.waiting_for).or_else(|| {
            step.instances
                .iter()
                .find_map(|one| waiting(&one.waiting_for))
        }),
        inherited_from: some(&step.inherited_from),
        ended_at: ended.filter(|_| state.is_terminal()).map(Time),
        counts: Counts::of(&instances),
        instances,
    }
}

fn waiting(waits: &[v1::WaitingFor]) -> Option<String> {
    waits.first().map(|wait| wait.message.clone())
}

pub(super) fn instance(instance: &v1::StepInstance) -> InstanceView {
    InstanceView {
        params: json(&instance.parameters),
        state: step_state(instance.state),
        allowed: instance.allowed,
        reason: instance.reason.clone(),
        due: instance.waiting_for.iter().find_map(due),
        began_at: instance.queued_ms.map(Time),
        ended_at: instance.ended_ms.map(Time),
        outputs: json(&instance.outputs),
        attempts: instance.attempts.iter().map(attempt).collect(),
    }
}

fn due(wait: &v1::WaitingFor) -> Option<Time> {
    match &wait.what {
        Some(v1::waiting_for::What::Timer(timer)) => Some(Time(timer.at_ms)),
        Some(v1::waiting_for::What::Retry(retry)) => Some(Time(retry.at_ms)),
        _ => None,
    }
}

fn attempt(attempt: &v1::Attempt) -> AttemptView {
    AttemptView {
        number: attempt.number,
        state: attempt_state(attempt.state),
        driver_version: attempt.driver_version.clone(),
        last_log_offset: attempt.last_log_offset,
        claimed_at: attempt.claimed_ms.map(Time),
        ended_at: attempt.ended_ms.map(Time),
        detached_until_at: attempt.detached_until_ms.map(Time),
        failure: attempt.failure.as_ref().map(failure),
        reason: attempt.reason.clone(),
    }
}

pub(super) fn failure(failure: &v1::Failure) -> FailureView {
    FailureView {
        code: failure.code.clone(),
        message: failure.message.clone(),
    }
}

/// JSON text as a value; `None` where there is none.
pub(crate) fn json(text: &[u8]) -> Option<Json> {
    serde_json::from_slice(text).ok()
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

// The words have the engine's own numbers; one that this release does not know is shown as the
// first, since a client may be older than the engine it asks.

pub(super) fn run_state(number: i32) -> RunState {
    u8::try_from(number)
        .ok()
        .and_then(RunState::from_code)
        .unwrap_or(RunState::Queued)
}

pub(super) fn step_state(number: i32) -> StepState {
    u8::try_from(number)
        .ok()
        .and_then(StepState::from_code)
        .unwrap_or(StepState::Pending)
}

pub(super) fn attempt_state(number: i32) -> Option<AttemptState> {
    u8::try_from(number).ok().and_then(AttemptState::from_code)
}
