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

/// What `docs/expressions.md` says of the roots' members, and the check of a document knows.
#[test]
fn rule_23_roots_have_the_members_that_are_documented() {
    let mut w = world(
        "steps:
  - id: a
    driver: d
    with: {run: '${{ run }}', attempt: '${{ attempt }}'}
    retry: {attempts: 2, if: \"attempt.number == 1 && attempt.state == 'failed' && attempt.duration == duration('2s') && attempt.failure.code == 'no' && attempt.failure.message != ''\"}
    allow_failure: \"step.id == 'a' && step.state == 'failed' && step.failure.code == 'no' && step.failure.message != ''\"
finally: [{id: f, driver: d, with: {status: '${{ run.status }}'}}]",
    );
    let with = w.with("a");
    let members: Vec<&str> = with["run"]
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    for known in [
        "id",
        "pipeline",
        "namespace",
        "labels",
        "actor",
        "started_at",
    ] {
        assert!(members.contains(&known), "{known}: {members:?}");
    }
    assert_eq!(members.len(), 6, "{members:?}");
    assert_eq!(with["attempt"], json!({"number": 1}));
    w.claim("a").pass("2s").fail("a").expect("a=waiting");
    w.pass("1s").claim("a").fail("a");
    assert_eq!(w.with("f"), json!({"status": "succeeded"}));
    w.done("f").ends(Succeeded);
    assert_eq!(w.run.warnings(), 1);
}

#[test]
fn rule_23_what_the_vars_lack_is_blamed_on_their_error() {
    let mut w = world(
        "inputs: {type: object, properties: {zero: {default: 0}}}
vars: {a: '${{ 1 / inputs.zero }}', ok: 5}
steps: [{id: a, driver: d}]
finally: [{id: f, driver: d, with: {ok: '${{ vars.ok }}'}}]",
    );
    w.expect("a=omitted f=errored")
        .reason("f", "`vars.ok` is absent: /spec/vars/a: division by zero");
    w.ends(Failed);
    assert_eq!(w.run_reason(), "/spec/vars/a: division by zero");
}

#[test]
fn rule_7_what_must_be_an_object_is_refused_where_it_is_none() {
    for (given, found) in [
        (json!([1, 2]), "a list"),
        (json!(5), "a number"),
        (json!(null), "null"),
    ] {
        let mut w = world_with(
            "inputs: {type: object, properties: {m: {}}}
steps:
  - {id: t, needs: [], transform: '${{ inputs.m }}'}
  - {id: d, needs: [], driver: d, with: '${{ inputs.m }}'}
fail_fast: false",
            &json!({"m": given}),
        );
        let reason =
            |place: &str| format!("/spec/steps/{place}: expected an object, found {found}");
        w.expect("t=errored d=errored")
            .reason("t", &reason("0/transform"))
            .reason("d", &reason("1/with"))
            .ends(Failed);
        for spec in [
            "vars: '${{ inputs.m }}'\nsteps: [{id: t, transform: {}}]",
            "outputs: '${{ inputs.m }}'\nsteps: [{id: t, transform: {}}]",
        ] {
            let mut w = world_with(
                &format!("inputs: {{type: object, properties: {{m: {{}}}}}}\n{spec}"),
                &json!({"m": given}),
            );
            w.ends(Failed);
            let reason = w.run_reason();
            assert!(
                reason.ends_with(&format!(": expected an object, found {found}")),
                "{reason}"
            );
        }
    }
}

#[test]
fn rule_25_a_declared_number_stays_a_double_as_item_in_a_matrix_and_in_vars() {
    let mut w = world_with(
        "inputs:
  type: object
  properties:
    a: {type: array, items: {type: number}}
    n: {anyOf: [{type: number}, {type: 'null'}]}
    free: {}
vars: {n: '${{ inputs.n }}', list: ['${{ inputs.n }}'], free: '${{ inputs.free }}'}
steps:
  - {id: each, needs: [], foreach: {items: '${{ inputs.a }}'}, transform: {x: '${{ item * 2.0 }}', t: '${{ item }}'}}
  - {id: axis, needs: [], matrix: {axes: {m: '${{ inputs.a }}'}}, transform: {x: '${{ matrix.m * 2.0 }}'}}
  - {id: vars, needs: [], transform: {x: '${{ vars.n * 2.0 }}', y: '${{ vars.list[0] * 2.0 }}', i: '${{ vars.free + 1 }}'}}
  - {id: all, needs: [each, axis, vars], driver: d, with: {each: '${{ steps.each.outputs }}', axis: '${{ steps.axis.outputs }}', vars: '${{ steps.vars.outputs }}'}}",
        &json!({"a": [1, 2.5], "n": 3, "free": 1}),
    );
    assert_eq!(
        w.with("all"),
        json!({
            "each": [{"x": 2, "t": 1}, {"x": 5, "t": 2.5}],
            "axis": [{"x": 2}, {"x": 5}],
            "vars": {"x": 6, "y": 6, "i": 2},
        })
    );
    w.done("all").ends(Succeeded);
}
