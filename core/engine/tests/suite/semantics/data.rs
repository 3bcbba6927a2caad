//! SEMANTICS 7, 23–26: what expressions see, and how values travel.

use crate::world::{world, world_with};
use conveyor_engine::run::RunState::{Failed, Succeeded};
use serde_json::json;

#[test]
fn rule_7_every_attempt_gets_the_same_but_for_attempt() {
    let mut w = world(
        "steps:
  - {id: a, driver: d, retry: {attempts: 2}, with: {n: '${{ attempt.number }}', r: '${{ run.id }}'}}",
    );
    assert_eq!(w.with("a")["n"], json!(1));
    w.claim("a").fail("a").pass("1s");
    assert_eq!(w.with("a")["n"], json!(2));
    w.done("a").ends(Succeeded);
}

#[test]
fn rule_23_a_step_shows_its_state_outputs_failure_and_attempts() {
    let mut w = world(
        "steps:
  - {id: a, driver: d, allow_failure: true}
  - {id: b, driver: d, with: {s: '${{ steps.a.state }}', c: '${{ steps.a.failure.code }}', n: '${{ steps.a.attempts }}', o: '${{ steps.a.outputs }}'}}",
    );
    w.claim("a").fail("a");
    assert_eq!(
        w.with("b"),
        json!({"s": "failed", "c": "no", "n": 1, "o": {}})
    );
    w.done("b").ends(Succeeded);
}

#[test]
fn rule_23_a_declared_default_stands_in_for_an_output_that_never_came() {
    let mut w = world(
        "steps:
  - {id: a, driver: d, when: 'false', outputs: {x: {schema: {type: string}, default: none}}}
  - {id: b, driver: d, with: {x: '${{ steps.a.outputs.x }}'}}",
    );
    assert_eq!(w.with("b"), json!({"x": "none"}));
    w.done("b").ends(Succeeded);
}

#[test]
fn rule_23_an_output_that_never_came_is_an_error_that_says_why() {
    let mut w = world(
        "steps:
  - {id: a, driver: d, when: 'false'}
  - {id: b, driver: d, with: {x: '${{ steps.a.outputs.x }}'}}",
    );
    w.expect("b=errored").reason("b", "skipped").ends(Failed);
}

#[test]
fn rule_24_a_whole_template_keeps_its_type_and_a_longer_one_is_text() {
    let mut w = world_with(
        "inputs: {type: object, properties: {n: {type: integer}, l: {type: array}}}
steps: [{id: a, driver: d, with: {n: '${{ inputs.n }}', t: 'n=${{ inputs.n }}', l: '${{ inputs.l }}', raw: '$${{ x }}'}}]",
        &json!({"n": 9_007_199_254_740_993_i64, "l": [1, "a"]}),
    );
    assert_eq!(
        w.with("a"),
        json!({"n": 9_007_199_254_740_993_i64, "t": "n=9007199254740993", "l": [1, "a"], "raw": "${{ x }}"})
    );
    w.done("a").ends(Succeeded);
}

#[test]
fn rule_25_a_declared_number_is_a_double_and_an_integer_an_int() {
    let mut w = world_with(
        "inputs: {type: object, properties: {x: {type: number}, n: {type: integer}}}
steps: [{id: a, driver: d, with: {x: '${{ inputs.x / 2.0 }}', n: '${{ inputs.n / 2 }}', t: '${{ type(inputs.x) == double }}'}}]",
        &json!({"x": 3, "n": 3}),
    );
    assert_eq!(w.with("a"), json!({"x": 1.5, "n": 1, "t": true}));
    w.done("a").ends(Succeeded);
}

#[test]
fn rule_26_defaults_merge_under_every_step() {
    let mut w = world(
        "defaults: {timeouts: {attempt: 10s}, retry: {attempts: 2}}
steps:
  - {id: a, driver: d, retry: {backoff: {initial: 3s}}}
  - {id: w, wait: {duration: 1s}}",
    );
    w.claim("a").fail("a").pass("3s").claim("a").pass("10s");
    assert_eq!(w.run.pending().cancels.len(), 1);
    w.succeed("a").pass("1s").ends(Succeeded);
}
