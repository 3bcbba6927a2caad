//! Lives that no rule's own test has: each row of the tables is in one of them, so that the recorded
//! journals have all.

use super::fork::{fork, forked};
use crate::world::{World, world, world_with};
use conveyor_engine::run::RunState::{Cancelled, Failed, Succeeded};
use conveyor_engine::run::{Fact, ForkFrom, LostCause, StepState, StopKind};
use serde_json::json;
use std::sync::Arc;

/// A step that is tried twice.
fn retried(more: &str) -> World {
    world(&format!(
        "steps: [{{id: a, driver: d, timeouts: {{attempt: 10s}}, \
         retry: {{attempts: 3, on: [failure, error, timeout], backoff: {more}}}}}]"
    ))
}

const AT_ONCE: &str = "{kind: fixed, initial: 0s, jitter: 0}";
const LATER: &str = "{kind: fixed, initial: 5s, jitter: 0}";

#[test]
fn a_drain_ends_what_is_queued_again_as_its_last_attempt_ended() {
    let mut w = retried(AT_ONCE);
    w.claim("a").fail("a").expect("a=queued");
    w.stop(StopKind::Drain).expect("a=failed").ends(Cancelled);
    let mut w = retried(AT_ONCE);
    w.claim("a").error("a").expect("a=queued");
    w.stop(StopKind::Drain).expect("a=errored").ends(Cancelled);
    let mut w = retried(AT_ONCE);
    w.claim("a").pass("10s").acknowledge_cancel("a");
    w.expect("a=queued").stop(StopKind::Drain);
    w.expect("a=timed_out").ends(Cancelled);
}

#[test]
fn a_drain_ends_what_waits_for_its_delay_as_its_last_attempt_ended() {
    let mut w = retried(LATER);
    w.claim("a").fail("a").expect("a=waiting");
    w.stop(StopKind::Drain).expect("a=failed").ends(Cancelled);
    let mut w = retried(LATER);
    w.claim("a").error("a").expect("a=waiting");
    w.stop(StopKind::Drain).expect("a=errored").ends(Cancelled);
    let mut w = retried(LATER);
    w.claim("a").pass("10s").acknowledge_cancel("a");
    w.expect("a=waiting").stop(StopKind::Drain);
    w.expect("a=timed_out").ends(Cancelled);
}

#[test]
fn instances_that_wait_for_a_free_place_end_with_the_run() {
    const SPEC: &str = "steps:
  - {id: f, driver: d, needs: [], foreach: {items: [1, 2, 3], max_parallel: 1}}
  - {id: g, driver: d, needs: []}";
    let mut w = world(SPEC);
    w.claim("f[0]").stop(StopKind::Cancel);
    w.expect("f[0]=running f[1]=cancelled f[2]=cancelled g=cancelled");
    w.acknowledge_cancel("f[0]").ends(Cancelled);
    let mut w = world(SPEC);
    w.claim("g")
        .fail("g")
        .expect("f[0]=omitted f[1]=omitted g=failed");
    w.ends(Failed);
}

#[test]
fn instances_of_a_finally_step_that_wait_for_a_free_place_end_with_its_time() {
    let mut w = world(
        "finally_timeout: 1m
steps: [{id: a, driver: d}]
finally: [{id: f, driver: d, foreach: {items: [1, 2], max_parallel: 1}}]",
    );
    w.done("a").claim("f[0]").pass("1m");
    w.expect("f[0]=running f[1]=timed_out");
    w.acknowledge_cancel("f[0]")
        .expect("f=timed_out")
        .ends(Failed);
}

#[test]
fn a_pause_lasts_until_it_is_lifted_or_a_stop_comes() {
    const SPEC: &str = "steps: [{id: a, driver: d}]";
    let mut w = world(SPEC);
    w.claim("a")
        .pause()
        .stop(StopKind::Drain)
        .succeed("a")
        .ends(Cancelled);
    let mut w = world(SPEC);
    w.claim("a")
        .pause()
        .stop(StopKind::Terminate)
        .expect("a=cancelled")
        .ends(Cancelled);
    let mut w = world(SPEC);
    w.claim("a")
        .pause()
        .stop(StopKind::Cancel)
        .acknowledge_cancel("a")
        .ends(Cancelled);
    let mut w = world("steps: [{id: a, driver: d}]\nfinally: [{id: f, driver: d}]");
    w.done("a")
        .pause()
        .expect("f=queued")
        .resume()
        .done("f")
        .ends(Succeeded);
}

#[test]
fn a_second_stop_that_is_not_harder_has_no_effect() {
    let mut w = world("steps: [{id: a, driver: d}]");
    w.claim("a").stop(StopKind::Cancel).stop(StopKind::Drain);
    w.stop(StopKind::Terminate)
        .expect("a=cancelled")
        .ends(Cancelled);
}

#[test]
fn a_checkpoint_reaches_the_next_attempt_and_every_loss_leads_to_one() {
    let mut w = world("steps: [{id: a, driver: d, retry: {lost: 5}}]");
    w.claim("a");
    let checkpointed = Fact::Checkpointed {
        id: w.current("a"),
        data: Arc::from(*b"half"),
    };
    w.apply(checkpointed);
    for cause in [
        LostCause::Lease,
        LostCause::ProcessDead,
        LostCause::Refused,
        LostCause::Undelivered,
    ] {
        w.lose("a", cause).expect("a=queued").claim("a");
    }
    let task = w.run.task(w.current("a")).expect("a task");
    assert_eq!(task.checkpoint.as_deref(), Some(&b"half"[..]));
    assert_eq!(w.run.instance(0, 0).map(|inst| inst.attempt), Some(5));
    w.succeed("a").ends(Succeeded);
}

#[test]
fn a_detached_attempt_lasts_to_its_instant_and_at_most_to_its_timeout() {
    let mut w = world("steps: [{id: a, driver: d, timeouts: {attempt: 1m}, grace: 5s}]");
    w.claim("a").detach("a", 20).pass("19s").expect("a=running");
    // It may be given more time, but no more than the attempt has.
    w.detach("a", 600).pass("40s").expect("a=running");
    w.pass("2s").pass("5s").expect("a=timed_out");
    w.reason("a", "`timeouts.attempt` has passed").ends(Failed);
    // What ends it is told, whichever it was.
    let mut w = world("steps: [{id: a, driver: d, timeouts: {attempt: 1m}, grace: 5s}]");
    w.claim("a").detach("a", 20).pass("21s").pass("5s");
    w.reason("a", "`detached.until_ms` has passed").ends(Failed);
    let mut w = world("steps: [{id: a, driver: d}]");
    w.claim("a").detach("a", 20);
    let detached = w.run.detached(w.current("a")).expect("it is detached");
    assert_eq!(*detached.principals, [Arc::from("ci"), Arc::from("job")]);
    w.succeed("a").ends(Succeeded);
}

#[test]
fn a_detached_attempt_that_is_cancelled_has_its_grace() {
    let mut w = world("steps: [{id: a, driver: d, grace: 5s}]");
    w.claim("a").detach("a", 600).stop(StopKind::Cancel);
    w.detach("a", 900)
        .pass("5s")
        .expect("a=cancelled")
        .ends(Cancelled);
}

#[test]
fn a_fork_inherits_every_end_that_is_ok() {
    const SPEC: &str = "steps:
  - {id: f, driver: d, when: item != 3, allow_failure: true, timeouts: {attempt: 1s},
     foreach: {items: [0, 1, 2, 3, 4], fail_fast: false}}
  - {id: last, driver: d}";
    let mut old = world_with(SPEC, &json!({}));
    old.done("f[0]")
        .claim("f[1]")
        .fail("f[1]")
        .claim("f[2]")
        .error("f[2]");
    old.claim("f[4]").pass("1s").acknowledge_cancel("f[4]");
    old.done("last").ends(Succeeded);
    let from = ForkFrom::Steps(vec![Arc::from("last")]);
    let mut new = forked(SPEC, &json!({}), fork(&old, &json!({}), &from));
    new.expect("f[0]=succeeded f[1]=failed f[2]=errored f[3]=skipped f[4]=timed_out last=queued");
    new.done("last").ends(Succeeded);
}

#[test]
fn a_fan_out_of_many_turns_keeps_its_place() {
    let mut w = world(
        "steps: [{id: f, foreach: {items: '${{ lists.range(300) }}'}, transform: {n: '${{ item }}'}}]",
    );
    assert_eq!(
        w.run.instance(0, 299).map(|inst| inst.state),
        Some(StepState::Succeeded)
    );
    w.ends(Succeeded);
}
