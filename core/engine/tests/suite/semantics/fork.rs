//! SEMANTICS 27: what a fork inherits, and why the rest runs.

use crate::world::{World, world_with};
use conveyor_engine::run::{Fact, Fork, ForkFrom, NoValues, RunState::Succeeded, Started};
use conveyor_engine::value::{Json, Value};
use serde_json::json;
use std::sync::Arc;

pub(super) fn fork(old: &World, inputs: &Json, from: &ForkFrom) -> Fork {
    let plan = Arc::clone(old.run.plan());
    let inputs = Value::inline(&plan.resolve_inputs(inputs).expect("the inputs fit"));
    old.run
        .fork(&plan, &inputs, from, &NoValues)
        .expect("a fork")
}

/// The new run of a fork.
pub(super) fn forked(spec: &str, inputs: &Json, fork: Fork) -> World {
    let mut world = World::unstarted(spec);
    let inputs = world.run.plan().resolve_inputs(inputs).expect("they fit");
    world.apply(Fact::Started(Box::new(Started {
        run: Arc::from("01890a5d-ac96-774b-bcce-b302099a8058"),
        document: world.run.plan().digest,
        semantics: 1,
        inputs: Value::inline(&inputs),
        labels: Default::default(),
        annotations: Default::default(),
        actor: Arc::from("tester"),
        forked_from: Some(Arc::from("01890a5d-ac96-774b-bcce-b302099a8057")),
        inherited: fork.inherited,
        resource: None,
        event: None,
    })));
    world
}

fn from(step: &str) -> ForkFrom {
    ForkFrom::Steps(vec![Arc::from(step)])
}

/// `step: reason` of what runs again.
fn runs(fork: &Fork) -> String {
    let each: Vec<String> = fork
        .runs
        .iter()
        .map(|(step, reason)| format!("{step}: {reason}"))
        .collect();
    each.join("; ")
}

#[test]
fn rule_27_a_step_is_inherited_with_its_outputs_and_what_follows_the_fork_runs() {
    const SPEC: &str = "steps:
  - {id: a, driver: d}
  - {id: b, driver: d, with: {x: '${{ steps.a.outputs.n }}'}}
  - {id: c, driver: d}";
    let mut old = world_with(SPEC, &json!({}));
    old.claim("a").succeed_with("a", json!({"n": 7}));
    old.done("b").done("c").ends(Succeeded);
    let fork = fork(&old, &json!({}), &from("b"));
    assert_eq!(runs(&fork), "b: the fork starts here; c: `b` runs again");
    let mut new = forked(SPEC, &json!({}), fork);
    new.expect("a=succeeded b=queued c=pending").claim("b");
    assert_eq!(new.with("b"), json!({"x": 7}));
    new.succeed("b").done("c").ends(Succeeded);
}

#[test]
fn rule_27_what_evaluates_to_something_else_runs_again() {
    const SPEC: &str = "inputs: {type: object, properties: {n: {type: integer}}}
steps:
  - {id: same, driver: d, needs: []}
  - {id: with, driver: d, needs: [], with: {n: '${{ inputs.n }}'}}
  - {id: when, driver: d, needs: [], when: inputs.n == 1}
  - {id: items, driver: d, needs: [], foreach: {items: '${{ [inputs.n] }}'}}
  - {id: nap, needs: [], wait: {duration: '${{ string(inputs.n) + \"s\" }}'}}";
    let mut old = world_with(SPEC, &json!({"n": 1}));
    for step in ["same", "with", "when", "items[0]"] {
        old.done(step);
    }
    old.pass("1s").ends(Succeeded);
    let none = ForkFrom::Steps(Vec::new());
    assert_eq!(runs(&fork(&old, &json!({"n": 1}), &none)), "");
    let other = fork(&old, &json!({"n": 2}), &none);
    assert_eq!(
        runs(&other),
        "with: its `with` comes out differently; when: its `when` comes out differently; \
         items: its items come out differently; nap: its `wait` comes out differently"
    );
    // The same holds of a run that has inherited all of it.
    let mut second = forked(SPEC, &json!({"n": 1}), fork(&old, &json!({"n": 1}), &none));
    second.ends(Succeeded);
    assert_eq!(runs(&fork(&second, &json!({"n": 1}), &none)), "");
    assert_eq!(runs(&fork(&second, &json!({"n": 2}), &none)), runs(&other));
}

#[test]
fn rule_27_a_fan_out_keeps_its_items_and_an_allowed_failure_its_reason() {
    const SPEC: &str = "steps:
  - {id: f, driver: d, allow_failure: true, foreach: {items: [red, blue]}}
  - {id: last, driver: d}";
    let mut old = world_with(SPEC, &json!({}));
    old.done("f[0]").claim("f[1]").fail("f[1]");
    old.done("last").ends(Succeeded);
    let mut new = forked(SPEC, &json!({}), fork(&old, &json!({}), &from("last")));
    new.expect("f[0]=succeeded f[1]=failed f=succeeded last=queued");
    let step = new.run.plan().index["f"];
    let view = new.run.instance(step, 1).expect("an instance");
    let item = view.params.expect("its item").read(&NoValues);
    assert_eq!(item, Some(json!("blue")));
    assert_eq!(&*view.failure.expect("its failure").code, "no");
    new.done("last").ends(Succeeded);
    assert_eq!(new.run.warnings(), 1);
}
