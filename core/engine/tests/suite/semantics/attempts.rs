//! SEMANTICS 9–12, 15: attempts, retries, losses, timeouts.

use crate::world::{failure, world};
use conveyor_engine::run::RunState::{Failed, Succeeded};
use conveyor_engine::run::{AttemptState, LostCause, Rejected};
use serde_json::json;

#[test]
fn rule_9_outputs_that_break_their_schema_are_an_error() {
    let mut w = world("steps: [{id: a, driver: d, outputs: {n: {schema: {type: integer}}}}]");
    w.claim("a")
        .succeed_with("a", json!({"n": "one"}))
        .expect("a=errored")
        .ends(Failed);
}

#[test]
fn rule_10_the_delay_grows_and_a_driver_may_replace_it() {
    let mut w = world("steps: [{id: a, driver: d, retry: {attempts: 5, backoff: {initial: 2s}}}]");
    w.claim("a")
        .fail("a")
        .pass("1999ms")
        .expect("a=waiting")
        .pass("1ms")
        .expect("a=queued");
    w.claim("a")
        .fail("a")
        .pass("3999ms")
        .expect("a=waiting")
        .pass("1ms")
        .expect("a=queued");
    let mut later = failure("busy");
    later.retry_after_millis = Some(500);
    w.claim("a")
        .report("a", AttemptState::Failed, None, Some(later))
        .pass("500ms");
    w.expect("a=queued").done("a").ends(Succeeded);
}

#[test]
fn rule_10_retry_if_decides_and_its_errors_mean_no() {
    let mut w = world(
        "steps:
  - {id: a, driver: d, needs: [], retry: {attempts: 9, if: \"attempt.failure.code == 'busy' && attempt.number < 2\"}}
  - {id: b, driver: d, needs: [], allow_failure: true, retry: {attempts: 9, if: \"attempt.duration < duration('9h') && int(attempt.failure.message) == 1\"}}",
    );
    w.claim("b")
        .fail("b")
        .expect("b=failed")
        .reason("b", "not tried again: /spec/steps/1/retry/if: ");
    w.claim("a")
        .report("a", AttemptState::Failed, None, Some(failure("busy")))
        .expect("a=waiting");
    w.pass("1s")
        .claim("a")
        .report("a", AttemptState::Failed, None, Some(failure("busy")));
    w.expect("a=failed").ends(Failed);
}

#[test]
fn rule_10_no_try_follows_that_total_leaves_no_time_for() {
    let mut w = world(
        "steps: [{id: a, driver: d, retry: {attempts: 9, backoff: {initial: 10s}}, timeouts: {total: 15s}}]",
    );
    w.pass("6s")
        .claim("a")
        .fail("a")
        .expect("a=failed")
        .reason("a", "timeouts.total")
        .ends(Failed);
}

#[test]
fn rule_11_the_fourth_charged_loss_ends_the_step() {
    let mut w = world("steps: [{id: a, driver: d}]");
    for _ in 0..3 {
        w.claim("a").lose("a", LostCause::Lease).expect("a=queued");
    }
    w.claim("a")
        .lose("a", LostCause::Lease)
        .expect("a=errored")
        .reason("a", "lost 4 times");
    w.ends(Failed);
}

#[test]
fn rule_11_refusals_are_not_charged_and_on_lost_does_not_apply() {
    let mut w = world("steps: [{id: a, driver: d, retry: {on_lost: fail}}]");
    for _ in 0..10 {
        w.claim("a")
            .lose("a", LostCause::Refused)
            .expect("a=queued");
    }
    w.claim("a")
        .lose("a", LostCause::ProcessDead)
        .expect("a=errored")
        .ends(Failed);
}

#[test]
fn rule_11_a_hundred_dead_processes_end_the_step() {
    let mut w = world("steps: [{id: a, driver: d}]");
    for _ in 0..99 {
        w.claim("a")
            .lose("a", LostCause::ProcessDead)
            .expect("a=queued");
    }
    w.claim("a")
        .lose("a", LostCause::ProcessDead)
        .expect("a=errored")
        .reason("a", "100 times");
    w.ends(Failed);
}

#[test]
fn rule_12_queue_ends_the_step_without_another_try() {
    let mut w = world("steps: [{id: a, driver: d, retry: {attempts: 3}, timeouts: {queue: 5s}}]");
    w.pass("5s")
        .expect("a=timed_out")
        .reason("a", "timeouts.queue")
        .ends(Failed);
}

#[test]
fn rule_12_attempt_times_out_after_the_grace_and_is_tried_again() {
    let mut w = world(
        "steps: [{id: a, driver: d, grace: 5s, retry: {attempts: 2}, timeouts: {attempt: 10s}}]",
    );
    w.claim("a")
        .pass("10s")
        .expect("a=running")
        .pass("5s")
        .expect("a=waiting")
        .pass("1s");
    w.claim("a")
        .pass("10s")
        .acknowledge_cancel("a")
        .expect("a=timed_out")
        .ends(Failed);
}

#[test]
fn rule_12_total_counts_backoff_and_ends_the_step() {
    let mut w = world(
        "steps: [{id: a, driver: d, retry: {attempts: 9, backoff: {kind: fixed, initial: 4s}}, timeouts: {total: 9s}}]",
    );
    w.claim("a")
        .fail("a")
        .pass("4s")
        .claim("a")
        .fail("a")
        .pass("4s")
        .expect("a=queued");
    w.pass("1s")
        .expect("a=timed_out")
        .reason("a", "timeouts.total")
        .ends(Failed);
}

#[test]
fn rule_15_allow_failure_is_decided_when_no_other_attempt_follows() {
    let mut w = world(
        "steps:
  - {id: a, driver: d, retry: {attempts: 2}, allow_failure: \"step.failure.code == 'no'\"}
  - {id: b, driver: d}",
    );
    w.claim("a").fail("a");
    assert_eq!(w.run.warnings(), 0);
    w.pass("1s")
        .claim("a")
        .fail("a")
        .expect("a=failed b=queued")
        .done("b");
    assert_eq!(w.run.warnings(), 1);
    w.ends(Succeeded);
}

#[test]
fn reports_are_taken_once_and_stale_ones_change_nothing() {
    let mut w = world("steps: [{id: a, driver: d, retry: {attempts: 2}}]");
    w.claim("a").fail("a");
    let again = w
        .journal
        .last()
        .map(|record| record.entries[0].fact.clone())
        .expect("a record");
    assert_eq!(w.try_apply(again.clone()), Err(Rejected::Already));
    w.pass("1s").claim("a");
    assert_eq!(w.try_apply(again), Err(Rejected::Already));
    w.succeed("a").ends(Succeeded);
}

#[test]
fn a_claim_of_something_else_than_the_next_attempt_is_refused() {
    let mut w = world("steps: [{id: a, driver: d}]");
    w.claim("a");
    let again = w
        .journal
        .last()
        .map(|record| record.entries[0].fact.clone())
        .expect("a record");
    assert_eq!(w.try_apply(again), Err(Rejected::NotQueued));
    w.succeed("a").ends(Succeeded);
}
