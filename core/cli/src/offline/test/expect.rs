//! What a case asks of the run.

use super::cases::{Case, StepExpect};
use super::world::Played;
use conveyor_engine::plan::{Plan, StepIndex};
use conveyor_engine::value::Json;
use std::fmt::Display;

/// What is not as expected: the place in the case, and a sentence.
pub(super) fn unmet(case: &Case, played: &Played) -> Vec<String> {
    let mut unmet = Vec::new();
    let (expect, run, view) = (&case.expect, &played.run, &played.view);
    equal(&mut unmet, "state", expect.state.as_ref(), &run.state());
    contains(&mut unmet, "reason", expect.reason.as_deref(), &view.reason);
    equal(
        &mut unmet,
        "warnings",
        expect.warnings.as_ref(),
        &run.warnings(),
    );
    if let Some(wanted) = &expect.outputs {
        let outputs = run.outputs().map_or(Json::Null, |value| played.read(value));
        json(&mut unmet, "outputs", wanted, &outputs);
    }
    equal(
        &mut unmet,
        "duration",
        expect.duration.as_ref(),
        &view.elapsed(played.now),
    );
    if let Some(text) = &expect.refused {
        unmet.push(format!(
            "refused: expected the inputs to be refused with `{text}`, they were taken"
        ));
    }
    let plan = run.plan();
    for (id, wanted) in &expect.steps {
        if let Some(step) = plan.step(id) {
            step_unmet(&mut unmet, id, wanted, step, played);
        }
    }
    order(&mut unmet, &expect.order, plan, played);
    unmet
}

fn step_unmet(
    unmet: &mut Vec<String>,
    id: &str,
    wanted: &StepExpect,
    step: StepIndex,
    played: &Played,
) {
    let (run, fields) = (&played.run, &wanted.fields);
    let place = |field: &str| format!("steps.{id}.{field}");
    let actual = run.step(step);
    let view = &played.view.steps[step as usize];
    let instances: Vec<_> = (0..actual.instances)
        .filter_map(|instance| run.instance(step, instance))
        .collect();
    let fan = run.plan().steps[step as usize].fan.is_some();
    if let Some(state) = wanted.state
        && state != actual.state
    {
        let why = view.why();
        let why = if why.is_empty() {
            String::new()
        } else {
            format!(" ({why})")
        };
        unmet.push(format!(
            "{}: expected {state}, found {}{why}",
            place("state"),
            actual.state
        ));
    }
    let attempts = instances.iter().map(|instance| instance.attempt).sum();
    equal(
        unmet,
        &place("attempts"),
        fields.attempts.as_ref(),
        &attempts,
    );
    contains(
        unmet,
        &place("reason"),
        fields.reason.as_deref(),
        &view.why(),
    );
    if let Some(wanted) = &fields.failure {
        let codes = instances
            .iter()
            .filter_map(|instance| instance.failure.as_ref());
        let codes: Vec<_> = codes.map(|failure| failure.code.to_string()).collect();
        if !codes.contains(wanted) {
            let found = if codes.is_empty() {
                "none".to_owned()
            } else {
                codes.join(", ")
            };
            unmet.push(format!(
                "{}: expected the code {wanted}, found {found}",
                place("failure")
            ));
        }
    }
    let allowed = actual.ok && actual.warnings > 0;
    equal(unmet, &place("allowed"), fields.allowed.as_ref(), &allowed);
    if let Some(wanted) = &fields.outputs {
        let outputs = instances.iter().map(|instance| {
            instance
                .outputs
                .as_ref()
                .map_or(Json::Null, |value| played.read(value))
        });
        let mut outputs: Vec<_> = outputs.collect();
        let found = match fan {
            true => Json::Array(outputs),
            false => outputs.pop().unwrap_or(Json::Null),
        };
        json(unmet, &place("outputs"), wanted, &found);
    }
    if let Some(wanted) = &fields.with {
        match played.with.get(&(step, 0)) {
            None => unmet.push(format!("{}: no attempt was given anything", place("with"))),
            Some(given) => {
                for (key, value) in wanted {
                    let found = given.get(key).unwrap_or(&Json::Null);
                    json(unmet, &format!("{}.{key}", place("with")), value, found);
                }
            }
        }
    }
    if let Some(wanted) = &fields.instances {
        let found: Vec<_> = instances.iter().map(|instance| instance.state).collect();
        if *wanted != found {
            let words = |states: &[conveyor_engine::run::StepState]| {
                let words: Vec<_> = states.iter().map(|state| state.as_str()).collect();
                format!("[{}]", words.join(", "))
            };
            let (wanted, found) = (words(wanted), words(&found));
            unmet.push(format!(
                "{}: expected {wanted}, found {found}",
                place("instances")
            ));
        }
    }
}

fn order(unmet: &mut Vec<String>, wanted: &[String], plan: &Plan, played: &Played) {
    let began: Vec<_> = played
        .order
        .iter()
        .map(|step| &*plan.steps[*step as usize].id)
        .collect();
    let places = wanted
        .iter()
        .map(|id| began.iter().position(|other| *other == id.as_str()));
    let places: Option<Vec<_>> = places.collect();
    if !places.is_some_and(|places| places.is_sorted()) {
        let (wanted, began) = (wanted.join(", "), began.join(", "));
        unmet.push(format!(
            "order: expected {wanted}; the steps began as {began}"
        ));
    }
}

fn equal<T: PartialEq + Display>(
    unmet: &mut Vec<String>,
    place: &str,
    wanted: Option<&T>,
    found: &T,
) {
    if let Some(wanted) = wanted.filter(|wanted| *wanted != found) {
        unmet.push(format!("{place}: expected {wanted}, found {found}"));
    }
}

fn contains(unmet: &mut Vec<String>, place: &str, wanted: Option<&str>, found: &str) {
    if let Some(wanted) = wanted.filter(|wanted| !found.contains(wanted)) {
        unmet.push(format!(
            "{place}: expected a text with `{wanted}`, found `{found}`"
        ));
    }
}

fn json(unmet: &mut Vec<String>, place: &str, wanted: &Json, found: &Json) {
    if !same(wanted, found) {
        unmet.push(format!("{place}: expected {wanted}, found {found}"));
    }
}

/// Equal as JSON: `1` and `1.0` are the same number.
fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => {
            a == b || ((a.is_f64() || b.is_f64()) && a.as_f64() == b.as_f64())
        }
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_equal_by_value_and_large_integers_exactly() {
        assert!(same(&json!({"a": [1]}), &json!({"a": [1.0]})));
        assert!(!same(
            &json!(9_007_199_254_740_993_i64),
            &json!(9_007_199_254_740_992_i64)
        ));
        assert!(!same(&json!({"a": 1}), &json!({"a": 1, "b": 2})));
    }
}
