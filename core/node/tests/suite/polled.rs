//! Drivers that hold no connection: what they were told may not have reached them, and that they go on asking
//! for tasks says nothing of those that they have (PROTOCOL P21, P22).

use crate::harness::{Harness, succeeded};
use crate::sessions::far;
use conveyor_engine::run::StepState;
use conveyor_engine::time::Duration;
use conveyor_node::RunId;
use conveyor_node::owner::{SessionEvent, StartTask};

impl Harness {
    /// A poll, as the driver service tells it: credits for its answer, and none after it.
    fn poll(&mut self, id: &str) {
        self.polls(id, Duration::secs(1));
    }

    fn polls(&mut self, id: &str, wait: Duration) {
        self.tell(id, SessionEvent::Polls { free: 1, wait });
    }

    /// A new process, which finds the session of the one before.
    fn killed(self, id: &str) -> Harness {
        self.reopen_with(true, &[far(id, true)])
    }
}

/// A run whose first step a driver took without a connection.
fn accepted(id: &str) -> (Harness, RunId, StartTask) {
    let (mut h, run, task) = Harness::with_task(id);
    h.tell(id, SessionEvent::Accepted(task.claimed));
    (h, run, task)
}

#[test]
fn a_task_that_a_process_died_with_comes_with_the_first_poll_of_the_next() {
    let (h, run, task) = Harness::with_task("s");
    let mut h = h.killed("s");
    assert!(h.tasks.is_empty(), "nobody asks yet");
    assert_eq!(h.resume("s", None), []);
    let again = h.take("a");
    assert_eq!(again.claimed, task.claimed, "under the same token");
    h.tell("s", SessionEvent::Accepted(again.claimed));
    h.report(&again, succeeded());
    h.settle();
    assert_eq!(h.attempts(run, 0), (StepState::Succeeded, 1));
}

#[test]
fn whoever_has_the_task_says_so_and_is_told_it_no_more() {
    let (h, run, task) = accepted("s");
    let mut h = h.killed("s");
    assert_eq!(h.beat("s", &[task.claimed], None), []);
    h.resume("s", None);
    for _ in 0..20 {
        h.pass(Duration::secs(5));
        h.poll("s");
        assert_eq!(h.beat("s", &[task.claimed], None), []);
    }
    assert!(h.tasks.is_empty(), "{:?}", h.tasks);
    assert_eq!(h.attempts(run, 0), (StepState::Running, 1));
}

#[test]
fn polls_alone_keep_no_task() {
    let (mut h, run, _) = accepted("s");
    for _ in 0..7 {
        h.pass(Duration::secs(5));
        h.poll("s");
        assert_eq!(h.attempts(run, 0), (StepState::Running, 1));
    }
    h.pass(Duration::secs(6));
    // It is heard, and takes tasks: the next attempt is its own.
    let next = h.take("a");
    assert_eq!((next.claimed.run, next.claimed.id.attempt), (run, 2));
}

#[test]
fn a_task_that_is_never_taken_after_a_restart_is_lost_after_its_lease() {
    let (h, run, _) = accepted("s");
    let mut h = h.killed("s");
    h.pass(Duration::secs(30));
    // From here on it is on its way again.
    h.resume("s", None);
    for _ in 0..7 {
        h.pass(Duration::secs(5));
        h.poll("s");
        assert_eq!(h.attempts(run, 0), (StepState::Running, 1));
    }
    h.pass(Duration::secs(6));
    assert_eq!(h.attempts(run, 0), (StepState::Queued, 1));
}

#[test]
fn a_session_whose_poll_waits_is_there_until_its_end() {
    let (mut h, run, task) = accepted("s");
    h.report(&task, succeeded());
    h.settle();
    assert_eq!(h.attempts(run, 0), (StepState::Succeeded, 1));
    h.polls("s", Duration::secs(60));
    for _ in 0..11 {
        h.pass(Duration::secs(5));
        assert_eq!(h.silent, Vec::<String>::new());
    }
    // It had its answer, and nobody is heard of it.
    h.tell("s", SessionEvent::NoCredits);
    for _ in 0..5 {
        h.pass(Duration::secs(5));
        assert_eq!(h.silent, Vec::<String>::new());
    }
    h.pass(Duration::secs(6));
    assert_eq!(h.silent, ["s"]);
}

#[test]
fn who_was_away_for_a_lease_is_not_taken_for_deaf() {
    let (h, run, _) = accepted("s");
    let mut h = h.killed("s");
    h.pass(Duration::secs(41));
    assert_eq!(h.attempts(run, 0), (StepState::Queued, 1));
    h.resume("s", None);
    h.poll("s");
    assert_eq!(h.take("a").claimed.id.attempt, 2, "at once");
}
