//! `steps.X` and `needs.X`.

use super::RunScope;
use crate::plan::{Plan, StepIndex};
use crate::run::state::{Instance, State};
use crate::run::{Failure, StepState};
use crate::value::Json;
use serde_json::{Map, json};

/// `steps.X`: `state`, `outputs`, `attempts`, and `failure` where it has one.
pub(super) fn view(scope: &RunScope<'_>, step: StepIndex) -> Json {
    let plan = &scope.plan.steps[step as usize];
    let run = scope.state.step(step);
    let mut view = json!({"state": state_of(scope.state, scope.plan, step).as_str()});
    if plan.fan.is_none() {
        let inst = run.instances.first();
        view["outputs"] = outputs(scope, step, inst);
        view["attempts"] = json!(inst.map_or(0, |inst| inst.attempt));
        if let Some(failed) = inst.and_then(|inst| inst.failure.as_ref()) {
            view["failure"] = failure(failed);
        }
    } else {
        let list = run.instances.iter().map(|inst| match inst.outputs {
            Some(_) => outputs(scope, step, Some(inst)),
            None => Json::Null,
        });
        view["outputs"] = Json::Array(list.collect());
        view["attempts"] = json!(run.instances.iter().map(|inst| inst.attempt).sum::<u32>());
        if let Some(failed) = run.instances.iter().find_map(|inst| inst.failure.as_ref()) {
            view["failure"] = failure(failed);
        }
    }
    view
}

/// An instance's outputs: what it gave, else the declared defaults.
fn outputs(scope: &RunScope<'_>, step: StepIndex, inst: Option<&Instance>) -> Json {
    let plan = &scope.plan.steps[step as usize];
    let given = inst
        .and_then(|inst| inst.outputs.as_ref())
        .and_then(|value| scope.read(value));
    let mut given = match given {
        Some(Json::Object(map)) => map,
        _ => Map::new(),
    };
    for (name, declaration) in &plan.outputs {
        if let Some(default) = &declaration.default
            && !given.contains_key(&**name)
        {
            given.insert(name.to_string(), Json::clone(default));
        }
    }
    let mut json = Json::Object(given);
    plan.declare_outputs(&mut json);
    json
}

pub(super) fn failure(failure: &Failure) -> Json {
    json!({"code": &*failure.code, "message": &*failure.message})
}

/// A step's state as people and expressions see it while it goes on.
pub(crate) fn state_of(state: &State, plan: &Plan, step: StepIndex) -> StepState {
    let run = state.step(step);
    if run.ended() {
        return run.state;
    }
    if plan.steps[step as usize].fan.is_none() {
        return run
            .instances
            .first()
            .map_or(StepState::Pending, |inst| inst.state);
    }
    let any = |wanted: StepState| run.instances.iter().any(|inst| inst.state == wanted);
    [StepState::Running, StepState::Waiting, StepState::Queued]
        .into_iter()
        .find(|state| any(*state))
        .unwrap_or(StepState::Pending)
}

type Predicate = (&'static str, fn(&Facts) -> bool);

/// What predicates are over: a step, or an instance.
struct Facts {
    state: StepState,
    allowed: bool,
    ok: bool,
}

const PREDICATES: [Predicate; 10] = [
    ("succeeded", |it| it.state == StepState::Succeeded),
    ("failed", |it| it.state == StepState::Failed),
    ("errored", |it| it.state == StepState::Errored),
    ("timed_out", |it| it.state == StepState::TimedOut),
    ("cancelled", |it| it.state == StepState::Cancelled),
    ("skipped", |it| it.state == StepState::Skipped),
    ("omitted", |it| it.state == StepState::Omitted),
    ("allowed", |it| it.allowed),
    ("ok", |it| it.ok),
    ("ended", |it| it.state.is_terminal()),
];

/// `needs.X`: every predicate, and `any_P` and `all_P` over the instances (SEMANTICS 3).
pub(super) fn predicates(plan: &Plan, state: &State, step: StepIndex) -> Json {
    let run = state.step(step);
    let fan = plan.steps[step as usize].fan.is_some();
    let own = Facts {
        state: state_of(state, plan, step),
        allowed: run.warnings > 0 && run.ok,
        ok: run.ok,
    };
    let instances: Vec<Facts> = if fan {
        let of = |inst: &Instance| Facts {
            state: inst.state,
            allowed: inst.allowed,
            ok: inst.ok(),
        };
        run.instances.iter().map(of).collect()
    } else {
        Vec::new()
    };
    let mut map = Map::new();
    for (name, holds) in PREDICATES {
        let itself = holds(&own);
        map.insert(name.to_owned(), json!(itself));
        let all = if instances.is_empty() {
            itself
        } else {
            instances.iter().all(holds)
        };
        map.insert(format!("all_{name}"), json!(all));
        map.insert(format!("any_{name}"), json!(instances.iter().any(holds)));
    }
    Json::Object(map)
}
