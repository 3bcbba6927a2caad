//! The table "Examples that must hold": one test a row.

use crate::world::world;
use conveyor_engine::run::RunState::{Cancelled, Failed, Succeeded};
use conveyor_engine::run::{LostCause, StopKind};

#[test]
fn listed_steps_stop_at_a_failure() {
    let mut w = world("steps: [{id: a, driver: d}, {id: b, driver: d}]");
    w.claim("a")
        .fail("a")
        .expect("a=failed b=omitted")
        .reason("b", "`a` failed")
        .ends(Failed);
}

const FORK: &str = "steps:
  - {id: a, driver: d, needs: []}
  - {id: b, driver: d, needs: [a]}
  - {id: c, driver: d, needs: [a]}
  - {id: d, driver: d, needs: [c]}";

#[test]
fn after_a_failure_what_runs_finishes_and_nothing_new_starts() {
    let mut w = world(FORK);
    w.done("a")
        .claim("c")
        .claim("b")
        .fail("b")
        .expect("c=running d=omitted");
    w.reason("d", "run failed at `b`")
        .succeed("c")
        .expect("c=succeeded")
        .ends(Failed);
}

#[test]
fn without_fail_fast_independent_branches_go_on() {
    let mut w = world(&format!("fail_fast: false\n{FORK}"));
    w.done("a")
        .claim("c")
        .claim("b")
        .fail("b")
        .succeed("c")
        .done("d");
    w.expect("b=failed d=succeeded").ends(Failed);
}

const DEPLOY: &str = "steps:
  - {id: deploy, driver: d, needs: []}
  - {id: smoke, driver: d, needs: [deploy]}
  - {id: rollback, driver: d, needs: {rule: deploy.failed}}";

#[test]
fn a_rollback_that_is_not_needed_is_omitted() {
    let mut w = world(DEPLOY);
    w.done("deploy")
        .expect("rollback=omitted smoke=queued")
        .done("smoke")
        .ends(Succeeded);
}

#[test]
fn a_rollback_runs_when_the_deployment_fails() {
    let mut w = world(DEPLOY);
    w.claim("deploy")
        .fail("deploy")
        .expect("smoke=omitted rollback=queued");
    w.done("rollback").ends(Failed);
}

const HANDLED: &str = "steps:
  - {id: deploy, driver: d, needs: []}
  - {id: regions, driver: d, needs: [deploy]}
  - {id: rollback, driver: d, needs: {rule: deploy.failed, handles: [deploy]}}";

#[test]
fn a_handled_failure_is_no_failure() {
    let mut w = world(HANDLED);
    w.claim("deploy")
        .fail("deploy")
        .done("rollback")
        .expect("regions=omitted")
        .ends(Succeeded);
}

#[test]
fn a_handler_that_fails_handles_nothing() {
    let mut w = world(HANDLED);
    w.claim("deploy")
        .fail("deploy")
        .claim("rollback")
        .fail("rollback")
        .ends(Failed);
}

#[test]
fn an_allowed_failure_is_a_warning() {
    let mut w = world("steps: [{id: a, driver: d, allow_failure: true}, {id: b, driver: d}]");
    w.claim("a")
        .fail("a")
        .done("b")
        .expect("a=failed b=succeeded");
    assert_eq!(w.run.warnings(), 1);
    w.ends(Succeeded);
}

#[test]
fn an_allowed_instance_fails_and_the_step_succeeds() {
    let mut w = world(
        "steps:
  - {id: t, driver: d, needs: [], matrix: {axes: {n: [1, 2, 3]}}, allow_failure: 'matrix.n == 2'}
  - {id: b, driver: d, needs: [t]}
  - {id: rollback, driver: d, needs: {rule: t.failed}}",
    );
    w.claim("t[0]")
        .claim("t[1]")
        .claim("t[2]")
        .fail("t[1]")
        .succeed("t[0]")
        .succeed("t[2]");
    w.expect("t=succeeded t[1]=failed rollback=omitted b=queued")
        .done("b");
    assert_eq!(w.run.warnings(), 1);
    w.ends(Succeeded);
}

#[test]
fn a_skipped_step_is_ok_and_its_outputs_are_absent() {
    let mut w = world(
        "steps:
  - {id: a, driver: d, when: 'false'}
  - {id: b, driver: d, with: {x: \"${{ steps.a.outputs.?x.orValue('none') }}\"}}",
    );
    assert_eq!(w.with("b"), serde_json::json!({"x": "none"}));
    w.expect("a=skipped b=queued").done("b").ends(Succeeded);
}

#[test]
fn cleanup_by_rule_runs_after_an_omitted_parent() {
    let mut w = world(
        "steps:
  - {id: test, driver: d, needs: []}
  - {id: image, driver: d, needs: [test]}
  - {id: cleanup, driver: d, needs: {rule: image.ended}}",
    );
    w.claim("test")
        .fail("test")
        .expect("image=omitted cleanup=queued")
        .done("cleanup")
        .ends(Failed);
}

#[test]
fn a_step_in_backoff_is_tried_again_after_another_failed() {
    let mut w = world(
        "steps:
  - {id: a, driver: d, needs: []}
  - {id: c, driver: d, needs: [], retry: {attempts: 3}}",
    );
    w.claim("c")
        .fail("c")
        .expect("c=waiting")
        .claim("a")
        .fail("a")
        .expect("c=waiting");
    w.pass("1s")
        .expect("c=queued")
        .done("c")
        .expect("c=succeeded")
        .ends(Failed);
}

#[test]
fn a_wait_is_cancelled_when_another_step_fails() {
    let mut w = world(
        "steps:
  - {id: a, driver: d, needs: []}
  - {id: w, wait: {duration: 24h}, needs: []}",
    );
    w.expect("w=waiting")
        .claim("a")
        .fail("a")
        .expect("w=cancelled")
        .ends(Failed);
}

#[test]
fn a_large_fan_out_finishes_what_started_when_the_run_fails() {
    let mut w = world(
        "steps:
  - {id: a, driver: d, needs: []}
  - id: f
    needs: []
    driver: d
    foreach: {items: '${{ lists.range(500) }}', max_items: 500, max_parallel: 10}",
    );
    w.claim("a");
    for n in 0..20 {
        w.done(&format!("f[{n}]"));
    }
    for n in 20..25 {
        w.claim(&format!("f[{n}]"));
    }
    w.fail("a")
        .expect("f[20]=running f[25]=omitted f[499]=omitted");
    for n in 20..25 {
        w.succeed(&format!("f[{n}]"));
    }
    w.expect("f=omitted f[24]=succeeded").ends(Failed);
}

#[test]
fn a_failing_instance_cancels_its_siblings() {
    let mut w = world("steps: [{id: m, driver: d, matrix: {axes: {n: [1, 2, 3]}}}]");
    w.claim("m[0]")
        .claim("m[1]")
        .claim("m[2]")
        .fail("m[1]")
        .expect("m[0]=running m[2]=running");
    assert_eq!(w.run.pending().cancels.len(), 2);
    w.acknowledge_cancel("m[0]")
        .pass("30s")
        .expect("m[0]=cancelled m[2]=cancelled m=failed");
    w.ends(Failed);
}

#[test]
fn a_fan_out_over_nothing_succeeds_with_an_empty_list() {
    let mut w = world(
        "steps:
  - {id: a, driver: d, foreach: {items: []}}
  - {id: b, driver: d, with: {all: '${{ steps.a.outputs }}'}}",
    );
    w.expect("a=succeeded").reason("a", "no items");
    assert_eq!(w.with("b"), serde_json::json!({"all": []}));
    w.done("b").ends(Succeeded);
}

#[test]
fn two_errors_and_then_a_success() {
    let mut w = world("steps: [{id: a, driver: d, retry: {attempts: 3}}]");
    w.claim("a")
        .error("a")
        .pass("1s")
        .claim("a")
        .error("a")
        .pass("2s")
        .done("a")
        .ends(Succeeded);
}

#[test]
fn a_class_that_is_not_listed_is_not_tried_again() {
    let mut w = world("steps: [{id: a, driver: d, retry: {attempts: 3, on: [error]}}]");
    w.claim("a").fail("a").expect("a=failed").ends(Failed);
}

#[test]
fn a_driver_that_says_no_for_good_is_not_asked_again() {
    let mut w = world("steps: [{id: a, driver: d, retry: {attempts: 3}}]");
    let mut failure = crate::world::failure("never");
    failure.retryable = Some(false);
    w.claim("a").report(
        "a",
        conveyor_engine::run::AttemptState::Failed,
        None,
        Some(failure),
    );
    w.expect("a=failed").ends(Failed);
}

#[test]
fn a_lost_attempt_is_not_a_try() {
    let mut w = world("steps: [{id: a, driver: d, retry: {attempts: 2}}]");
    w.claim("a")
        .lose("a", LostCause::Lease)
        .claim("a")
        .error("a")
        .pass("1s")
        .done("a");
    assert_eq!(w.run.instance(0, 0).map(|inst| inst.attempt), Some(3));
    w.ends(Succeeded);
}

#[test]
fn a_success_within_the_grace_counts() {
    let mut w = world("steps: [{id: a, driver: d, timeouts: {attempt: 10s}}]");
    w.claim("a").pass("10s");
    assert_eq!(w.run.pending().cancels.len(), 1);
    w.pass("29s")
        .succeed("a")
        .expect("a=succeeded")
        .ends(Succeeded);
}

const FINALLY: &str =
    "steps: [{id: a, driver: d}, {id: b, driver: d}]\nfinally: [{id: f, driver: d}]";

#[test]
fn cancel_stops_after_the_grace_and_runs_finally() {
    let mut w = world(FINALLY);
    w.claim("a")
        .stop(StopKind::Cancel)
        .expect("a=running b=cancelled f=pending");
    w.pass("30s")
        .expect("a=cancelled f=queued")
        .done("f")
        .ends(Cancelled);
}

#[test]
fn terminate_overrides_cancel_and_ends_finally() {
    let mut w = world(FINALLY);
    w.stop(StopKind::Cancel)
        .expect("f=queued")
        .claim("f")
        .stop(StopKind::Terminate);
    w.expect("f=cancelled").ends(Cancelled);
}

#[test]
fn cancel_lifts_a_pause() {
    let mut w = world(FINALLY);
    w.pause()
        .stop(StopKind::Cancel)
        .expect("f=queued")
        .done("f")
        .ends(Cancelled);
}

#[test]
fn a_failing_finally_step_fails_the_run() {
    let mut w = world(FINALLY);
    w.done("a").done("b").claim("f").fail("f").ends(Failed);
}

#[test]
fn a_run_timeout_cancels_and_fails() {
    let mut w = world(&format!("timeout: 1m\n{FINALLY}"));
    w.claim("a")
        .pass("1m")
        .acknowledge_cancel("a")
        .expect("a=cancelled b=cancelled");
    w.reason("a", "run timeout").done("f").ends(Failed);
}
