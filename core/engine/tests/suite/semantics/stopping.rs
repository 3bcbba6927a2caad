//! SEMANTICS 18–22: stops, timeouts of the run, pauses, the end.

use crate::world::world;
use conveyor_engine::run::RunState::{
    Cancelled, Cancelling, Draining, Failed, Finishing, Paused, Running, Succeeded,
};
use conveyor_engine::run::{Decision, StopKind};

const SPEC: &str = "steps:
  - {id: a, driver: d, needs: [], retry: {attempts: 3}}
  - {id: b, driver: d, needs: [a]}
finally: [{id: f, driver: d, retry: {attempts: 2}}]";

#[test]
fn rule_18_drain_lets_what_started_finish_and_tries_nothing_again() {
    let mut w = world(SPEC);
    w.claim("a")
        .stop(StopKind::Drain)
        .expect("a=running b=cancelled");
    assert_eq!(w.run.state(), Draining);
    w.fail("a").expect("a=failed f=queued");
    assert_eq!(w.run.state(), Finishing);
    w.claim("f")
        .fail("f")
        .expect("f=waiting")
        .pass("1s")
        .done("f")
        .ends(Cancelled);
}

#[test]
fn rule_18_drain_ends_a_step_that_waits_for_its_next_try() {
    let mut w = world(SPEC);
    w.claim("a")
        .fail("a")
        .stop(StopKind::Drain)
        .expect("a=failed f=queued")
        .done("f");
    w.ends(Cancelled);
}

#[test]
fn rule_18_a_second_cancel_and_a_weaker_stop_have_no_effect() {
    let mut w = world(SPEC);
    w.claim("a")
        .stop(StopKind::Cancel)
        .stop(StopKind::Cancel)
        .stop(StopKind::Drain);
    let none = |decision: &&Decision| matches!(decision, Decision::NoEffect { .. });
    assert_eq!(w.decisions.iter().filter(none).count(), 2);
    assert_eq!(w.run.state(), Cancelling);
    w.acknowledge_cancel("a")
        .stop(StopKind::Cancel)
        .expect("f=queued")
        .done("f")
        .ends(Cancelled);
}

#[test]
fn rule_18_a_success_within_the_grace_of_a_cancel_counts() {
    let mut w = world(SPEC);
    w.claim("a")
        .stop(StopKind::Cancel)
        .succeed("a")
        .expect("a=succeeded b=cancelled")
        .done("f");
    w.ends(Cancelled);
}

#[test]
fn rule_18_terminate_ends_everything_at_once() {
    let mut w = world(SPEC);
    w.claim("a")
        .stop(StopKind::Terminate)
        .expect("a=cancelled b=cancelled f=cancelled");
    w.reason("a", "terminated by ann").ends(Cancelled);
}

#[test]
fn rule_19_finally_has_a_time_of_its_own() {
    let mut w = world(&format!("timeout: 1m\nfinally_timeout: 2m\n{SPEC}"));
    w.done("a")
        .done("b")
        .claim("f")
        .pass("119s")
        .expect("f=running")
        .pass("1s");
    assert_eq!(w.run.pending().cancels.len(), 1);
    w.pass("30s").expect("f=timed_out").ends(Failed);
}

#[test]
fn rule_19_the_first_of_stop_and_timeout_names_the_end() {
    let mut w = world(&format!("timeout: 1m\n{SPEC}"));
    w.claim("a")
        .stop(StopKind::Drain)
        .pass("1m")
        .acknowledge_cancel("a")
        .done("f")
        .ends(Cancelled);
    let mut w = world(&format!("timeout: 1m\n{SPEC}"));
    w.claim("a")
        .pass("1m")
        .stop(StopKind::Terminate)
        .ends(Failed);
}

#[test]
fn rule_20_a_pause_queues_nothing_and_queue_stands_still() {
    let mut w = world(
        "steps:
  - {id: a, driver: d, needs: [], timeouts: {queue: 10s}}
  - {id: b, driver: d, needs: []}
  - {id: c, driver: d, needs: [b]}
  - {id: w, wait: {duration: 1m}, needs: []}",
    );
    w.claim("b")
        .pass("4s")
        .pause()
        .succeed("b")
        .expect("c=pending");
    assert_eq!(w.run.state(), Paused);
    assert_eq!(w.offered(), "");
    w.pass("1h")
        .expect("a=queued w=succeeded")
        .resume()
        .expect("c=queued");
    assert_eq!(w.run.state(), Running);
    w.pass("5s")
        .expect("a=queued")
        .pass("1s")
        .expect("a=timed_out")
        .ends(Failed);
}

#[test]
fn rule_20_total_goes_on_during_an_attempt_and_stands_still_outside() {
    let spec = "steps: [{id: a, driver: d, timeouts: {total: 10s}}]";
    let mut w = world(spec);
    w.pause()
        .pass("1h")
        .resume()
        .pass("9s")
        .expect("a=queued")
        .claim("a")
        .pause()
        .pass("1s");
    assert_eq!(w.run.pending().cancels.len(), 1);
    w.acknowledge_cancel("a")
        .expect("a=timed_out")
        .resume()
        .ends(Failed);
}

#[test]
fn rule_21_finally_sees_what_the_run_would_end_as() {
    let mut w = world(
        "steps: [{id: a, driver: d}]
finally:
  - {id: bad, driver: d, when: \"run.status != 'succeeded'\"}
  - {id: always, driver: d, with: {text: 'a ended ${{ steps.a.state }}'}}",
    );
    w.claim("a").fail("a").expect("bad=queued");
    assert_eq!(
        w.with("always"),
        serde_json::json!({"text": "a ended failed"})
    );
    w.done("bad").done("always").ends(Failed);
}

#[test]
fn rule_22_outputs_that_cannot_be_evaluated_fail_the_run() {
    let mut w = world(
        "steps: [{id: a, driver: d}]
outputs: {x: '${{ steps.a.outputs.x }}'}",
    );
    w.done("a").ends(Failed);
}

#[test]
fn rule_22_outputs_are_those_of_a_run_without_a_cause() {
    let spec = "steps: [{id: a, driver: d}]\noutputs: {x: '${{ steps.a.outputs.x }}'}";
    let mut w = world(spec);
    w.claim("a")
        .succeed_with("a", serde_json::json!({"x": 9_007_199_254_740_993_i64}));
    let outputs = w.run.outputs().cloned();
    let expected = serde_json::json!({"x": 9_007_199_254_740_993_i64});
    assert_eq!(
        outputs,
        Some(conveyor_engine::value::Value::inline(&expected))
    );
    w.ends(Succeeded);
    let mut w = world(spec);
    w.claim("a").fail("a");
    assert_eq!(w.run.outputs(), None);
    w.ends(Failed);
}

#[test]
fn a_pipeline_of_transforms_alone_ends_by_itself() {
    let mut w = world("vars: {n: 20}\nsteps: [{id: a, transform: {x: '${{ vars.n + 1 }}'}}]");
    w.expect("a=succeeded").ends(Succeeded);
}
