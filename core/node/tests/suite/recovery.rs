//! Runs out of memory and back: after a crash, after a wait, out of quarantine.

use crate::harness::{Harness, START, chain, failed, pipeline, succeeded};
use conveyor_engine::run::{RunState, StopKind};
use conveyor_engine::time::{Duration, Time};
use conveyor_node::owner::{Answer, Control, Input};
use conveyor_node::{NodeError, RunId, keys, storage};
use conveyor_store::{Store as _, Transaction};

const WAIT: &str = "    - { id: a, wait: { duration: 1h } }\n    - { id: b, driver: exec }\n";

#[test]
fn a_step_that_ran_when_the_process_died_starts_its_next_attempt_uncharged() {
    let mut h = Harness::new(16);
    let run = h.start(&chain(&["a", "b"]));
    h.succeed("a");
    h.settle();
    let dead = h.take("b");
    let mut h = h.reopen(true);
    let task = h.take("b");
    assert_eq!((task.claimed.run, task.claimed.id.attempt), (run, 2));
    assert_ne!(task.claimed.nonce, dead.claimed.nonce);
    let late = h.report(&dead, succeeded());
    h.settle();
    assert_eq!(h.answers[&late], Ok(Answer::Stale));
    h.report(&task, succeeded());
    h.settle();
    assert_eq!(h.state(run), RunState::Succeeded);
    assert_eq!(h.stored(run).instance(1, 0).unwrap().attempt, 2);
}

#[test]
fn what_was_not_committed_never_happened() {
    let mut h = Harness::new(16);
    let run = h.start(&chain(&["a", "b"]));
    h.succeed("a");
    let mut h = h.reopen(true);
    assert_eq!(h.take("a").claimed.id.attempt, 2);
    assert_eq!(h.state(run), RunState::Running);
}

#[test]
fn nothing_moves_an_interrupted_run_until_it_is_continued() {
    let mut h = Harness::new(16);
    let run = h.start(&chain(&["a"]));
    let mut h = h.reopen(false);
    h.pass(Duration::secs(3600));
    assert!(h.tasks.is_empty() && h.loads == 0);
    let pause = Control::Pause {
        actor: "test".into(),
        reason: "".into(),
    };
    assert!(matches!(
        h.control(run, pause),
        Err(NodeError::Interrupted(_))
    ));
    assert!(h.tasks.is_empty());
    assert_eq!(h.control(run, Control::Continue), Ok(Answer::Done));
    assert_eq!(h.take("a").claimed.id.attempt, 2);
    let unknown = RunId([9; 16]);
    assert!(matches!(
        h.control(unknown, Control::Continue),
        Err(NodeError::NotFound(_))
    ));
}

#[test]
fn an_interrupted_run_can_be_cancelled_and_its_finally_runs() {
    let mut h = Harness::new(16);
    let steps =
        pipeline("    - { id: a, driver: exec }\n  finally:\n    - { id: f, driver: exec }\n");
    let run = h.start(&steps);
    let mut h = h.reopen(false);
    assert_eq!(h.stop(run, StopKind::Cancel), Ok(Answer::Done));
    h.succeed("f");
    h.settle();
    assert_eq!(h.state(run), RunState::Cancelled);
}

#[test]
fn a_run_that_only_waits_leaves_memory_and_comes_back_when_it_is_due() {
    let mut h = Harness::new(16);
    let run = h.start(&pipeline(WAIT));
    assert_eq!(h.owner.census(), (0, 1), "known, not in memory");
    let entries = storage::live_entries(h.store.as_ref()).unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(
        entries[0].1.due_ms,
        Some(START.after(Duration::secs(3600)).0)
    );
    assert!(!entries[0].1.ready);
    h.pass(Duration::secs(3599));
    assert_eq!(h.loads, 0);
    h.pass(Duration::secs(1));
    h.succeed("b");
    h.settle();
    assert_eq!(h.state(run), RunState::Succeeded);
}

#[test]
fn a_timer_that_came_due_while_no_process_lived_fires_at_once() {
    let mut h = Harness::new(16);
    let run = h.start(&pipeline(WAIT));
    h.now = Time(START.0 + 7_200_000);
    let mut h = h.reopen(true);
    h.pass(Duration::ZERO);
    h.succeed("b");
    h.settle();
    assert_eq!(h.state(run), RunState::Succeeded);
}

#[test]
fn a_parked_run_hears_what_is_asked_of_it() {
    let mut h = Harness::new(16);
    let run = h.start(&pipeline(WAIT));
    assert_eq!(h.stop(run, StopKind::Cancel), Ok(Answer::Done));
    assert_eq!(h.state(run), RunState::Cancelled);
    assert_eq!(h.owner.census(), (0, 0));
    assert_eq!(h.owner.next_due(), None, "its timer is gone");
}

#[test]
fn a_timer_of_an_attempt_that_ended_does_nothing() {
    let mut h = Harness::new(16);
    let run = h.start(&pipeline("    - { id: a, driver: exec, timeouts: { attempt: 10s } }\n    - { id: b, driver: exec }\n"));
    h.succeed("a");
    h.settle();
    let groups = h.groups.len();
    h.pass(Duration::secs(20));
    assert_eq!(h.groups.len(), groups, "no fact came of it");
    h.succeed("b");
    h.settle();
    assert_eq!(h.state(run), RunState::Succeeded);
}

#[test]
fn an_attempt_out_of_time_is_cancelled_then_ended() {
    let mut h = Harness::new(16);
    let run = h.start(&pipeline(
        "    - { id: a, driver: exec, grace: 5s, timeouts: { attempt: 10s } }\n",
    ));
    h.pass(Duration::secs(10));
    assert_eq!(h.cancels.len(), 1);
    assert!(h.aborts.is_empty());
    h.pass(Duration::secs(5));
    assert_eq!(h.aborts.len(), 1);
    assert_eq!(h.state(run), RunState::Failed);
}

#[test]
fn a_paused_run_claims_nothing_and_leaves_memory() {
    let mut h = Harness::new(16);
    let run = h.start(&chain(&["a", "b"]));
    let (actor, reason) = ("test".into(), "".into());
    assert_eq!(
        h.control(run, Control::Pause { actor, reason }),
        Ok(Answer::Done)
    );
    h.succeed("a");
    h.settle();
    assert!(h.tasks.is_empty());
    assert_eq!(h.owner.census(), (0, 1));
    let mut h = h.reopen(true);
    assert_eq!(h.state(run), RunState::Paused);
    assert!(h.tasks.is_empty());
    let resume = || Control::Resume {
        actor: "test".into(),
        reason: "".into(),
    };
    assert_eq!(h.control(run, resume()), Ok(Answer::Done));
    h.succeed("b");
    h.settle();
    assert_eq!(h.state(run), RunState::Succeeded);
    assert!(matches!(h.control(run, resume()), Err(NodeError::Ended(_))));
}

#[test]
fn a_task_of_a_driver_that_nobody_has_waits_for_one() {
    let mut h = Harness::new(16);
    let run = h.start(&pipeline("    - { id: a, driver: late }\n"));
    assert_eq!(h.owner.census(), (0, 1), "it waits outside of memory");
    let drivers = [("late".into(), "0.1.0".into())].into();
    let schemas = [("late".into(), conveyor_engine::value::Hash([7; 32]))].into();
    let info = conveyor_node::owner::SessionInfo::in_process("late-session", drivers, schemas, 1);
    h.handle(Input::Register(info));
    h.settle();
    let task = h.take("a");
    assert_eq!(&*task.session, "late-session");
    h.report(&task, succeeded());
    h.settle();
    assert_eq!(h.state(run), RunState::Succeeded);
}

fn break_journal(h: &Harness, run: RunId) -> Vec<u8> {
    let key = keys::record(run, 1);
    let old = h.store.get(&key).unwrap().unwrap().to_vec();
    let mut broken = old.clone();
    let last = broken.len() - 1;
    broken[last] ^= 1;
    put(h, &key, &broken);
    old
}

fn put(h: &Harness, key: &[u8], value: &[u8]) {
    let mut transaction = Transaction::new();
    transaction.put(key.to_vec(), value.to_vec());
    h.store.commit(&transaction).unwrap();
}

#[test]
fn a_run_that_does_not_fold_is_set_aside_and_released_once_it_does() {
    let mut h = Harness::new(16);
    let run = h.start(&chain(&["a"]));
    let well = h.start(&chain(&["b"]));
    let journal = break_journal(&h, run);
    let mut h = h.reopen(true);
    h.succeed("b");
    h.settle();
    assert_eq!(h.state(well), RunState::Succeeded, "its shard goes on");
    let marks = storage::quarantines(h.store.as_ref()).unwrap();
    assert_eq!(marks.len(), 1);
    assert_eq!((marks[0].0, marks[0].1.sequence), (run, 1));
    assert!(!marks[0].1.reason.is_empty());
    // The last byte of a record is the highest of its digest.
    let (recorded, folded) = (marks[0].1.recorded_digest, marks[0].1.folded_digest);
    assert_eq!(recorded ^ folded, 1 << 56, "{recorded:016x} {folded:016x}");
    assert!(matches!(
        h.control(run, Control::Release),
        Err(NodeError::Quarantined(_))
    ));

    let mut h = h.reopen(true);
    assert_eq!(h.loads, 0, "it is left alone");
    put(&h, &keys::record(run, 1), &journal);
    assert_eq!(h.control(run, Control::Release), Ok(Answer::Done));
    assert!(storage::quarantines(h.store.as_ref()).unwrap().is_empty());
    h.succeed("a");
    h.settle();
    assert_eq!(h.state(run), RunState::Succeeded);
}

#[test]
fn a_released_run_is_listed_with_its_own_reason() {
    let mut h = Harness::new(16);
    let run = h.start(&chain(&["a"]));
    assert_eq!(h.stop(run, StopKind::Drain), Ok(Answer::Done));
    let own = h.listed(run).reason;
    assert!(own.contains("because"), "{own}");
    let journal = break_journal(&h, run);
    let mut h = h.reopen(true);
    assert!(h.listed(run).reason.contains("digest"));
    put(&h, &keys::record(run, 1), &journal);
    assert_eq!(h.control(run, Control::Release), Ok(Answer::Done));
    assert_eq!(h.listed(run).reason, own);
}

#[test]
fn a_run_is_listed_with_its_own_reason_not_with_that_of_a_failure_it_handled() {
    let mut h = Harness::new(16);
    let run = h.start(&pipeline(
        "    - { id: deploy, driver: exec }\n    \
         - { id: undo, driver: exec, needs: { rule: deploy.failed, handles: [deploy] } }\n    \
         - { id: last, driver: exec, needs: { rule: undo.ended } }\n",
    ));
    for (step, result) in [
        ("deploy", failed()),
        ("undo", succeeded()),
        ("last", failed()),
    ] {
        assert_eq!(h.listed(run).reason, "", "it runs");
        let task = h.take(step);
        h.report(&task, result);
        h.settle();
        // A new process knows no more than this one.
        h = h.reopen(true);
    }
    assert_eq!(h.listed(run).reason, "`last` failed");
}

#[test]
fn a_quarantined_run_can_be_terminated() {
    let mut h = Harness::new(16);
    let run = h.start(&chain(&["a"]));
    break_journal(&h, run);
    let mut h = h.reopen(true);
    assert!(matches!(
        h.stop(run, StopKind::Cancel),
        Err(NodeError::Quarantined(_))
    ));
    assert_eq!(h.stop(run, StopKind::Terminate), Ok(Answer::Done));
    assert!(storage::quarantines(h.store.as_ref()).unwrap().is_empty());
    assert!(storage::live_entries(h.store.as_ref()).unwrap().is_empty());
    assert_eq!(
        h.stop(run, StopKind::Terminate),
        Err(NodeError::Ended(RunState::Cancelled))
    );
}

#[test]
fn old_work_does_not_queue_up_before_new_work() {
    let mut h = Harness::new(0);
    let runs: Vec<_> = (0..200).map(|_| h.start(&chain(&["old"]))).collect();
    let mut h = h.reopen(true);
    assert!(
        h.loads < runs.len(),
        "only as much as the sessions can do soon: {}",
        h.loads
    );
    let new = h.start(&chain(&["new"]));
    let mut done = 0;
    while h.tasks.iter().all(|task| task.claimed.run != new) {
        h.succeed("old");
        h.settle();
        done += 1;
        assert!(done <= 128, "the new run waits behind {done} old ones");
    }
    h.succeed("new");
    h.settle();
    while !h.tasks.is_empty() {
        h.succeed("old");
        h.settle();
    }
    assert!(runs.iter().all(|run| h.state(*run) == RunState::Succeeded));
}

#[test]
fn bounded_turns_let_others_pass() {
    let mut h = Harness::new(16);
    let fan = pipeline(
        "    - id: big\n      foreach: { items: \"${{ lists.range(5000) }}\" }\n      driver: exec\n",
    );
    h.submit(&fan);
    let (small, _) = h.submit(&chain(&["small"]));
    h.commit();
    assert!(h.owner.wants_turn(), "the fan-out is not queued whole");
    h.settle();
    assert!(!h.owner.wants_turn());
    // One of the fan-out's five thousand may be before it, not all.
    for _ in 0..2 {
        h.succeed("big");
        h.settle();
    }
    assert!(h.tasks.iter().any(|task| task.claimed.run == small));
}
