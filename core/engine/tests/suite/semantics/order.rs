//! SEMANTICS 1–5, 16, 17: order, rules, failing runs.

use crate::world::world;
use conveyor_engine::run::RunState::{Failed, Succeeded};
use serde_json::json;

#[test]
fn rule_1_an_empty_needs_makes_every_step_without_needs_a_root() {
    let mut w = world("steps: [{id: a, driver: d, needs: []}, {id: b, driver: d}]");
    assert_eq!(w.offered(), "a b");
    w.done("b").done("a").ends(Succeeded);
}

#[test]
fn rule_2_a_step_is_omitted_as_soon_as_one_parent_is_not_ok() {
    let mut w = world(
        "fail_fast: false
steps:
  - {id: a, driver: d, needs: []}
  - {id: b, driver: d, needs: []}
  - {id: c, driver: d, needs: [a, b]}",
    );
    w.claim("a")
        .fail("a")
        .expect("b=queued c=omitted")
        .reason("c", "`a` failed");
    w.done("b").ends(Failed);
}

#[test]
fn rule_3_a_rule_is_decided_when_all_its_parents_have_ended() {
    let mut w = world(
        "fail_fast: false
steps:
  - {id: a-1, driver: d, needs: []}
  - {id: b, driver: d, needs: []}
  - {id: c, driver: d, needs: {rule: \"needs['a-1'].failed || needs.b.failed\"}}",
    );
    w.claim("a-1")
        .fail("a-1")
        .expect("c=pending")
        .done("b")
        .expect("c=queued")
        .done("c");
    w.ends(Failed);
}

#[test]
fn rule_3_predicates_of_a_fan_out_are_over_its_instances() {
    let mut w = world(
        "fail_fast: false
steps:
  - {id: f, driver: d, needs: [], foreach: {items: [1, 2], fail_fast: false}}
  - {id: any, driver: d, needs: {rule: f.any_failed}}
  - {id: all, driver: d, needs: {rule: f.all_failed}}
  - {id: e, driver: d, needs: [], foreach: {items: []}}
  - {id: none, driver: d, needs: {rule: 'e.any_succeeded || !e.all_succeeded'}}",
    );
    w.claim("f[0]")
        .fail("f[0]")
        .done("f[1]")
        .expect("any=queued all=omitted none=omitted");
    w.done("any").ends(Failed);
}

#[test]
fn rule_5_when_is_asked_once_or_for_each_instance() {
    let mut w = world(
        "steps:
  - {id: f, driver: d, foreach: {items: [1, 2, 3]}, when: 'item != 2'}
  - {id: g, driver: d, foreach: {items: [1, 2]}, when: 'size(inputs) > 0'}",
    );
    w.expect("f[1]=skipped")
        .done("f[0]")
        .done("f[2]")
        .expect("f=succeeded g=skipped");
    w.ends(Succeeded);
}

#[test]
fn rule_7_an_evaluation_that_fails_ends_the_step_without_an_attempt() {
    let mut w = world(
        "steps:
  - {id: a, driver: d}
  - {id: b, driver: d, with: {x: '${{ steps.a.outputs.x }}'}}",
    );
    w.done("a")
        .expect("b=errored")
        .reason("b", "steps.a.outputs.x");
    w.ends(Failed);
}

#[test]
fn rule_7_an_error_names_its_place_in_the_document_and_the_types() {
    let mut w = world(
        "vars: {n: '${{ 1 }}', list: '${{ [1] }}'}
steps:
  - {id: a, driver: d, needs: []}
  - {id: when, driver: d, needs: [a], when: 'steps.a.outputs.x + 1 == 2'}
  - {id: rule, driver: d, needs: {rule: \"a.ended && 'x' + vars.n == 2\"}}
  - {id: each, driver: d, needs: [a], foreach: {items: '${{ steps.a.outputs.x }}'}}
  - {id: axis, driver: d, needs: [a], matrix: {axes: {os: '${{ steps.a.outputs.x }}'}}}
  - {id: with, driver: d, needs: [a], with: {deep: [{n: '${{ steps.a.outputs.x - 1 }}'}]}}
  - {id: wait, needs: [a], wait: {duration: '${{ steps.a.outputs.x }}'}}
  - {id: make, needs: [a], transform: {n: '${{ steps.a.outputs.x - 1 }}'}}
fail_fast: false",
    );
    w.claim("a").succeed_with("a", json!({"x": "soon"}));
    for (step, reason) in [
        ("when", "/spec/steps/1/when: "),
        ("when", "`+` does not take string"),
        ("rule", "/spec/steps/2/needs/rule: "),
        ("rule", "`+` does not take string"),
        (
            "each",
            "/spec/steps/3/foreach/items: expected a list, found a string",
        ),
        (
            "axis",
            "/spec/steps/4/matrix/axes/os: expected a list, found a string",
        ),
        ("with", "/spec/steps/5/with/deep/0/n: "),
        ("with", "`-` does not take string"),
        ("wait", "/spec/steps/6/wait/duration: "),
        ("wait", "found \"soon\""),
        ("make", "/spec/steps/7/transform/n: "),
    ] {
        w.expect(&format!("{step}=errored")).reason(step, reason);
    }
    w.ends(Failed);
}

#[test]
fn rule_7_an_error_in_allow_failure_means_not_allowed_and_says_so() {
    let mut w = world(
        "vars: {text: x}
steps: [{id: a, driver: d, allow_failure: \"vars.text + 1 == 2\"}]",
    );
    w.claim("a")
        .fail("a")
        .reason("a", "not allowed: /spec/steps/0/allow_failure: ")
        .reason("a", "`+` does not take string");
    w.ends(Failed);
    assert_eq!(w.run.warnings(), 0);
}

#[test]
fn rule_4_finally_steps_start_all_at_once_whatever_becomes_of_each_other() {
    let mut w = world(
        "steps: [{id: a, driver: d}]
finally:
  - {id: x, driver: d}
  - {id: y, driver: d}
  - {id: z, driver: d}",
    );
    w.done("a").expect("x=queued y=queued z=queued");
    w.claim("x").fail("x").expect("y=queued z=queued");
    w.done("z").done("y").ends(Failed);
}

#[test]
fn rule_16_an_error_branch_and_what_follows_it_still_run() {
    let mut w = world(
        "steps:
  - {id: a, driver: d, needs: []}
  - {id: other, driver: d, needs: []}
  - {id: undo, driver: d, needs: {rule: a.failed}}
  - {id: tell, driver: d, needs: [undo]}
  - {id: next, driver: d, needs: [other]}",
    );
    w.claim("other")
        .claim("a")
        .fail("a")
        .expect("undo=queued tell=pending next=omitted");
    w.succeed("other")
        .done("undo")
        .expect("tell=queued")
        .done("tell")
        .ends(Failed);
}

#[test]
fn rule_16_a_rule_with_a_parent_that_runs_is_judged_when_it_has_ended() {
    const SPEC: &str = "steps:
  - {id: a, driver: d, needs: []}
  - {id: b, driver: d, needs: []}
  - {id: undo, driver: d, needs: {rule: b.failed}}";
    let mut w = world(SPEC);
    w.claim("b")
        .claim("a")
        .fail("a")
        .expect("undo=pending")
        .fail("b")
        .expect("undo=queued");
    w.done("undo").ends(Failed);
    let mut w = world(SPEC);
    w.claim("b")
        .claim("a")
        .fail("a")
        .succeed("b")
        .expect("undo=omitted");
    w.reason("undo", "run failed at `a`").ends(Failed);
}

#[test]
fn rule_16_fail_fast_cancel_cancels_what_has_started() {
    let mut w = world(
        "fail_fast: cancel
steps: [{id: a, driver: d, needs: []}, {id: b, driver: d, needs: []}]",
    );
    w.claim("a").claim("b").fail("a");
    assert_eq!(w.run.pending().cancels.len(), 1);
    w.acknowledge_cancel("b").expect("b=cancelled").ends(Failed);
}

#[test]
fn rule_17_the_run_goes_on_while_a_handler_is_undecided() {
    let mut w = world(
        "steps:
  - {id: a, driver: d, needs: []}
  - {id: b, driver: d, needs: []}
  - {id: c, driver: d, needs: [b]}
  - {id: undo, driver: d, needs: {rule: a.failed, handles: [a]}}",
    );
    w.claim("b")
        .claim("a")
        .fail("a")
        .succeed("b")
        .expect("c=queued undo=queued");
    w.claim("undo")
        .fail("undo")
        .expect("c=omitted")
        .ends(Failed);
}
