//! A plan as readers see it.

mod preview;

use conveyor_engine::plan::{
    AllowFailure, FailFast, Fan, FanSource, Kind, Needs, Ordering, Plan, Step, StepIndex, Wait,
};
use conveyor_engine::value::{Json, canonical_bytes};
use conveyor_proto::v1;
use preview::{Instances, Preview};

/// Parameters of instances that are told, of all steps together: a quarter of the longest message.
const INSTANCE_BYTES: usize = 16 << 20;

/// How a pipeline would run; `inputs` with defaults filled in, `None` where they are not known. Call it on a
/// stack of the engine's size.
#[must_use]
pub fn plan(plan: &Plan, inputs: Option<Json>) -> v1::Plan {
    let preview = Preview::new(plan, inputs);
    let mut left = INSTANCE_BYTES;
    let path = plan.critical_path(|_| 1);
    v1::Plan {
        digest: plan.digest.to_string(),
        name: plan.name.to_string(),
        namespace: plan.namespace.to_string(),
        ordering: match plan.ordering {
            Ordering::Listed => v1::PlanOrdering::Listed,
            Ordering::Graph => v1::PlanOrdering::Graph,
        }
        .into(),
        steps: plan
            .steps
            .iter()
            .map(|of| step(plan, of, &preview, &mut left))
            .collect(),
        critical_path: path.iter().map(|at| id(plan, at)).collect(),
        labels: plan.labels.clone(),
        description: text(plan.description.as_ref()),
        resource: text(plan.resource.as_ref()),
        inputs_schema: plan
            .inputs
            .as_ref()
            .map(|schema| canonical_bytes(schema).into())
            .unwrap_or_default(),
        timeout_ms: plan.timeout.map(|timeout| timeout.0),
        finally_timeout_ms: plan.finally_timeout.0,
        fail_fast: match plan.fail_fast {
            FailFast::Off => v1::PlanFailFast::Off,
            FailFast::NothingNew => v1::PlanFailFast::NothingNew,
            FailFast::Cancel => v1::PlanFailFast::Cancel,
        }
        .into(),
    }
}

fn id(plan: &Plan, step: &StepIndex) -> String {
    plan.steps[*step as usize].id.to_string()
}

fn text(of: Option<&std::sync::Arc<str>>) -> String {
    of.map(ToString::to_string).unwrap_or_default()
}

fn step(plan: &Plan, step: &Step, preview: &Preview, left: &mut usize) -> v1::PlanStep {
    let ids = |of: &[StepIndex]| of.iter().map(|at| id(plan, at)).collect();
    let (rule, handles) = match &step.needs {
        Needs::All => (String::new(), Vec::new()),
        Needs::Rule { rule, handles } => (rule.source().to_owned(), ids(handles)),
    };
    let mut told = v1::PlanStep {
        id: step.id.to_string(),
        name: text(step.name.as_ref()),
        finally: step.finally,
        parents: ids(&step.parents),
        rule,
        handles,
        when: step
            .when
            .as_ref()
            .map(|when| when.condition.source().to_owned())
            .unwrap_or_default(),
        pointer: step.pointer.to_string(),
        tries: step.retry.as_ref().map_or(1, |retry| retry.attempts),
        allow_failure: match &step.allow_failure {
            AllowFailure::Never => String::new(),
            AllowFailure::Always => "always".to_owned(),
            AllowFailure::If(condition) => condition.source().to_owned(),
        },
        ..v1::PlanStep::default()
    };
    match &step.kind {
        Kind::Driver {
            driver,
            version,
            action,
            ..
        } => {
            told.set_kind(v1::StepKind::Driver);
            told.driver = driver.to_string();
            told.driver_version = text(version.as_ref());
            told.action = text(action.as_ref());
            told.attempt_timeout_ms = Some(step.timeouts.attempt.0);
        }
        Kind::Transform { .. } => told.set_kind(v1::StepKind::Transform),
        Kind::Wait(wait) => {
            told.set_kind(v1::StepKind::Wait);
            let (Wait::Duration(template) | Wait::Until(template)) = wait;
            let written = template.constant().and_then(Json::as_str);
            told.wait = written.unwrap_or_default().to_owned();
            told.wait_until = matches!(wait, Wait::Until(_));
        }
    }
    if let Some(fan) = &step.fan {
        told.fan_out = true;
        told.max_parallel = fan.max_parallel.unwrap_or(0);
        told.fan = Some(fan_out(fan, preview, &mut told.instances, left));
    }
    told
}

fn fan_out(
    fan: &Fan,
    preview: &Preview,
    told: &mut Vec<prost::bytes::Bytes>,
    left: &mut usize,
) -> v1::PlanFanOut {
    let (kind, over) = match &fan.source {
        FanSource::Matrix { axes, .. } => (
            v1::PlanFanOutKind::Matrix,
            axes.iter().map(|(name, _)| name.to_string()).collect(),
        ),
        FanSource::Foreach { name, .. } => (v1::PlanFanOutKind::Foreach, vec![name.to_string()]),
    };
    let mut view = v1::PlanFanOut {
        kind: kind.into(),
        over,
        fail_fast: fan.fail_fast,
        ..v1::PlanFanOut::default()
    };
    match preview.instances(fan) {
        Instances::Known(instances) => {
            view.count = Some(instances.len() as u32);
            let texts: Vec<_> = instances
                .iter()
                // In written order: an object of axes is told as the document has it.
                .map(|instance| prost::bytes::Bytes::from(instance.to_string()))
                .collect();
            let bytes: usize = texts.iter().map(|text| text.len()).sum();
            if let Some(rest) = left.checked_sub(bytes) {
                (*left, *told) = (rest, texts);
            }
        }
        Instances::DependOn(names) => view.depends_on = names,
        Instances::Wrong(message) => view.error = message,
    }
    view
}
