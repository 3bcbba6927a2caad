//! SEMANTICS 6, 8, 13, 14: matrix and foreach.

use crate::world::{world, world_with};
use conveyor_engine::run::RunState::{Failed, Succeeded};
use conveyor_engine::run::StopKind;
use serde_json::json;

#[test]
fn rule_6_a_matrix_is_the_product_minus_exclude_plus_include() {
    let mut w = world(
        "steps:
  - id: m
    driver: d
    matrix:
      axes: {os: [linux, mac], node: ['20', '22']}
      include: [{os: linux, node: '23', experimental: true}]
      exclude: [{os: mac, node: '20'}]
    with: {on: '${{ matrix.os }}-${{ matrix.node }}', new: '${{ matrix.?experimental.orValue(false) }}'}",
    );
    let all: Vec<String> = (0..4)
        .map(|n| w.with(&format!("m[{n}]"))["on"].to_string())
        .collect();
    assert_eq!(
        all,
        ["\"linux-20\"", "\"linux-22\"", "\"mac-22\"", "\"linux-23\""]
    );
    assert_eq!(w.with("m[3]")["new"], json!(true));
    for n in 0..4 {
        w.done(&format!("m[{n}]"));
    }
    w.ends(Succeeded);
}

#[test]
fn rule_6_items_known_only_at_run_time() {
    let mut w = world(
        "steps:
  - {id: list, driver: d}
  - {id: each, driver: d, foreach: {items: '${{ steps.list.outputs.names }}', as: name}, with: {n: '${{ name }}'}}",
    );
    w.claim("list")
        .succeed_with("list", json!({"names": ["x", 7]}));
    assert_eq!(w.with("each[0]"), json!({"n": "x"}));
    assert_eq!(w.with("each[1]"), json!({"n": 7}));
    w.done("each[0]").done("each[1]").ends(Succeeded);
}

#[test]
fn rule_6_items_that_are_no_list_end_the_step() {
    let mut w = world_with(
        "inputs: {type: object, properties: {n: {}}}
steps: [{id: each, driver: d, foreach: {items: '${{ inputs.n }}'}}]",
        &json!({"n": {"a": 1}}),
    );
    w.expect("each=errored")
        .reason("each", "expected a list, found an object")
        .ends(Failed);
}

#[test]
fn rule_8_max_parallel_bounds_what_is_queued_and_started() {
    let mut w = world(
        "steps: [{id: f, driver: d, foreach: {items: [1, 2, 3, 4], max_parallel: 2}, retry: {attempts: 2}}]",
    );
    assert_eq!(w.offered(), "f[0] f[1]");
    w.claim("f[0]").fail("f[0]");
    assert_eq!(w.offered(), "f[1]");
    w.done("f[1]");
    assert_eq!(w.offered(), "f[2]");
    w.pass("1s")
        .done("f[0]")
        .done("f[2]")
        .done("f[3]")
        .ends(Succeeded);
}

#[test]
fn rule_13_a_fan_out_is_its_worst_and_its_outputs_are_a_list() {
    let mut w = world(
        "fail_fast: false
steps:
  - {id: f, driver: d, needs: [], foreach: {items: [1, 2, 3], fail_fast: false}}
  - {id: after, driver: d, needs: {rule: f.ended}, with: {all: '${{ steps.f.outputs }}'}}",
    );
    w.claim("f[0]")
        .succeed_with("f[0]", json!({"n": 1}))
        .claim("f[1]")
        .error("f[1]");
    w.claim("f[2]").fail("f[2]").expect("f=failed");
    assert_eq!(w.with("after"), json!({"all": [{"n": 1}, null, null]}));
    w.done("after").ends(Failed);
}

#[test]
fn rule_13_all_skipped_is_skipped() {
    let mut w = world("steps: [{id: f, driver: d, foreach: {items: [1, 2]}, when: 'item > 5'}]");
    w.expect("f=skipped").ends(Succeeded);
}

#[test]
fn rule_14_without_fail_fast_siblings_go_on() {
    let mut w = world("steps: [{id: f, driver: d, matrix: {axes: {n: [1, 2]}, fail_fast: false}}]");
    w.claim("f[0]")
        .fail("f[0]")
        .expect("f[1]=queued")
        .done("f[1]")
        .expect("f=failed")
        .ends(Failed);
}

#[test]
fn rule_14_an_instance_that_a_stop_ended_triggers_nothing() {
    let mut w = world("steps: [{id: f, driver: d, foreach: {items: [1, 2]}}]");
    w.claim("f[0]")
        .claim("f[1]")
        .stop(StopKind::Drain)
        .fail("f[0]");
    w.expect("f[1]=running");
    w.refold();
}

#[test]
fn a_fan_out_of_ten_thousand_goes_in_bounded_turns() {
    let mut w = world("steps: [{id: f, driver: d, foreach: {items: '${{ lists.range(10000) }}'}}]");
    assert!(w.journal.len() > 10_000 / 256);
    assert!(
        w.journal
            .iter()
            .all(|record| record.entries.iter().all(|entry| entry.units <= 256))
    );
    w.claim_all();
    for n in 0..10_000 {
        w.succeed(&format!("f[{n}]"));
    }
    w.ends(Succeeded);
}
