//! What one turn may record and store (PROTOCOL P7, P14), whatever a pipeline computes. The world
//! measures every record.

use crate::world::{world, world_with};
use conveyor_engine::run::RunState::{Failed, Succeeded};
use serde_json::json;

/// A value of so many bytes, and a little.
fn text(bytes: usize) -> serde_json::Value {
    json!({ "text": "x".repeat(bytes) })
}

const TEXT: &str = "inputs: {type: object, properties: {text: {type: string}}}\n";

#[test]
fn two_hundred_and_fifty_six_values_that_are_just_kept_inline_fill_many_records() {
    let spec = format!(
        "{TEXT}steps: [{{id: t, foreach: {{items: '${{{{ lists.range(256) }}}}'}}, transform: {{x: '${{{{ inputs.text }}}}'}}}}]"
    );
    let mut w = world_with(&spec, &text(60 << 10));
    assert!(w.values.is_empty(), "the values are inline");
    assert!(w.journal.len() >= 15, "{} records", w.journal.len());
    w.ends(Succeeded);
}

#[test]
fn values_that_are_stored_beside_the_record_end_its_turn_too() {
    let spec = format!(
        "{TEXT}steps: [{{id: t, foreach: {{items: '${{{{ lists.range(64) }}}}'}}, transform: {{x: '${{{{ inputs.text + string(item) }}}}'}}}}]"
    );
    let mut w = world_with(&spec, &text(200 << 10));
    assert_eq!(w.values.len(), 64);
    assert!(w.journal.len() >= 6, "{} records", w.journal.len());
    w.ends(Succeeded);
}

#[test]
fn ten_thousand_computed_items_up_to_the_limit_are_kept_in_pages() {
    // 10,000 × 820 bytes and their commas: 8.2 MB, and the limit is 8,388,608.
    let spec = format!(
        "{TEXT}steps: [{{id: f, driver: d, foreach: {{items: '${{{{ lists.range(10000).map(i, inputs.text) }}}}'}}, with: {{x: '${{{{ item }}}}'}}}}]"
    );
    let mut w = world_with(&spec, &text(820));
    w.expect("f=queued");
    assert_eq!(w.run.step(0).instances, 10_000);
    assert_eq!(w.with("f[9999]"), json!({ "x": "x".repeat(820) }));
    w.stop(conveyor_engine::run::StopKind::Terminate);
    w.refold();
}

#[test]
fn items_over_the_limit_end_the_step_with_its_name_and_the_value() {
    let spec = format!(
        "{TEXT}steps: [{{id: f, driver: d, foreach: {{items: '${{{{ lists.range(10000).map(i, inputs.text) }}}}'}}}}]"
    );
    let mut w = world_with(&spec, &text(840));
    w.expect("f=errored")
        .reason("f", "the limit `items_bytes` is 8388608")
        .ends(Failed);
}

#[test]
fn results_of_a_hundred_drivers_near_the_limit_of_a_value_inline_are_recorded_one_by_one() {
    let mut w = world(
        "steps: [{id: f, driver: d, foreach: {items: '${{ lists.range(100) }}'}}, {id: g, driver: d, needs: [f], with: {n: '${{ size(steps.f.outputs) }}'}}]",
    );
    w.claim_all();
    for n in 0..100 {
        w.succeed_with(&format!("f[{n}]"), text(60 << 10));
    }
    w.expect("f=succeeded g=queued");
    assert_eq!(w.with("g"), json!({ "n": 100 }));
    w.done("g").ends(Succeeded);
}
