//! Drivers in other processes: credits, leases, and what becomes of claims when a connection breaks
//! (PROTOCOL P19–P26).

use crate::harness::{Harness, succeeded};
use conveyor_engine::run::{AttemptState, EndedAttempt, RunState, StepState};
use conveyor_engine::time::Duration;
use conveyor_node::RunId;
use conveyor_node::owner::{Answer, Input, Output, SessionEvent, SessionInfo, StartTask};
use conveyor_node::token::Claimed;
use std::collections::BTreeMap;
use std::sync::Arc;

const DOCUMENT: &str = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: far}
spec:
  steps:
    - {id: a, driver: far, timeouts: {heartbeat: 30s}, grace: 10s}
    - {id: b, driver: far}
";

pub fn far(id: &str, restored: bool) -> SessionInfo {
    SessionInfo {
        remote: true,
        restored,
        ..SessionInfo::in_process(
            id,
            [("far".into(), "1.0.0".into())].into(),
            BTreeMap::new(),
            4,
        )
    }
}

impl Harness {
    pub fn connect(&mut self, id: &str, credits: u32) {
        self.handle(Input::Register(far(id, false)));
        self.tell(id, SessionEvent::Credits(credits));
    }

    pub fn tell(&mut self, id: &str, event: SessionEvent) {
        let session = Arc::from(id);
        self.handle(Input::Session { session, event });
        self.settle();
    }

    pub fn beat(&mut self, id: &str, named: &[Claimed], free: Option<u32>) -> Vec<Claimed> {
        let (session, named) = (Arc::from(id), named.to_vec());
        let ticket = self.ask(|ticket| Input::Heartbeat {
            ticket,
            session,
            named,
            free,
        });
        self.settle();
        self.stale(ticket)
    }

    fn come_back(&mut self, id: &str, named: &[Claimed]) -> Vec<Claimed> {
        self.resume(id, Some(named.to_vec()))
    }

    /// A session comes back; `None`: it does not tell what it holds.
    pub fn resume(&mut self, id: &str, named: Option<Vec<Claimed>>) -> Vec<Claimed> {
        let session = Arc::from(id);
        let ticket = self.ask(|ticket| Input::Resume {
            ticket,
            session,
            named,
        });
        self.settle();
        self.stale(ticket)
    }

    fn stale(&self, ticket: u64) -> Vec<Claimed> {
        match &self.answers[&ticket] {
            Ok(Answer::Tokens { stale }) => stale.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// A run whose first step a session has.
    pub fn with_task(id: &str) -> (Harness, RunId, StartTask) {
        let mut h = Harness::new(1);
        h.connect(id, 1);
        let run = h.start(DOCUMENT);
        let task = h.take("a");
        assert_eq!(&*task.session, id);
        (h, run, task)
    }

    pub fn attempts(&self, run: RunId, step: u32) -> (StepState, u32) {
        let stored = self.stored(run);
        let instance = stored.instance(step, 0).expect("it is expanded");
        (instance.state, instance.attempt)
    }
}

#[test]
fn a_session_gets_no_more_than_it_was_credited() {
    let mut h = Harness::new(1);
    h.connect("s", 0);
    let run = h.start(DOCUMENT);
    assert!(h.tasks.is_empty(), "no credit, no task");
    h.tell("s", SessionEvent::Credits(1));
    let first = h.take("a");
    // The credit comes before the report: the next claim joins its commit.
    h.tell("s", SessionEvent::Credits(1));
    let commits = h.groups.len();
    h.report(&first, succeeded());
    h.settle();
    assert_eq!(
        h.groups.len(),
        commits + 1,
        "one commit for the report and the claim"
    );
    let second = h.take("b");
    h.report(&second, succeeded());
    h.settle();
    assert_eq!(h.state(run), RunState::Succeeded);
}

#[test]
fn a_session_that_is_silent_keeps_its_claim_for_heartbeat_and_grace_and_no_longer() {
    let (mut h, run, task) = Harness::with_task("s");
    h.tell("s", SessionEvent::Accepted(task.claimed));
    h.pass(Duration::secs(39));
    assert_eq!(h.attempts(run, 0), (StepState::Running, 1));
    h.pass(Duration::secs(2));
    assert_eq!(
        h.attempts(run, 0),
        (StepState::Queued, 1),
        "lost, and waits for the next"
    );
    let late = h.report(&task, succeeded());
    h.settle();
    assert_eq!(h.answers[&late], Ok(Answer::Stale));
}

#[test]
fn heartbeats_keep_a_claim_as_long_as_they_come() {
    let (mut h, run, task) = Harness::with_task("s");
    for _ in 0..60 {
        h.pass(Duration::secs(5));
        assert_eq!(h.beat("s", &[task.claimed], None), []);
    }
    assert_eq!(h.attempts(run, 0), (StepState::Running, 1));
}

#[test]
fn who_lost_a_claim_by_silence_gets_nothing_until_it_is_heard() {
    let mut h = Harness::new(1);
    h.connect("s", 4);
    let run = h.start(&DOCUMENT.replace("heartbeat: 30s", "heartbeat: 3s"));
    let task = h.take("a");
    h.tell("s", SessionEvent::Accepted(task.claimed));
    h.pass(Duration::secs(14));
    assert_eq!(h.attempts(run, 0), (StepState::Queued, 1));
    assert!(h.tasks.is_empty(), "the next one would be lost, too");
    assert_eq!(h.beat("s", &[task.claimed], None), [task.claimed]);
    assert_eq!(h.take("a").claimed.id.attempt, 2);
}

#[test]
fn a_task_that_a_beating_session_never_takes_is_lost_all_the_same() {
    let (mut h, run, task) = Harness::with_task("deaf");
    h.tell("deaf", SessionEvent::Credits(3));
    for _ in 0..8 {
        assert_eq!(h.attempts(run, 0), (StepState::Running, 1));
        h.pass(Duration::secs(5));
        h.beat("deaf", &[], None);
    }
    h.pass(Duration::secs(1));
    assert_eq!(h.attempts(run, 0), (StepState::Queued, 1));
    h.tasks.retain(|sent| sent.claimed != task.claimed);
    assert!(
        h.tasks.is_empty(),
        "it gets no other for a while: it may be deaf"
    );
    h.connect("hearing", 1);
    let next = h.take("a");
    assert_eq!((&*next.session, next.claimed.id.attempt), ("hearing", 2));
}

#[test]
fn what_a_session_does_not_name_any_more_is_lost_after_its_lease() {
    let (mut h, run, task) = Harness::with_task("s");
    h.tell("s", SessionEvent::Accepted(task.claimed));
    for _ in 0..20 {
        h.pass(Duration::secs(5));
        h.beat("s", &[task.claimed], None);
    }
    // It has forgotten it, and does not take it again.
    for _ in 0..8 {
        assert_eq!(h.attempts(run, 0), (StepState::Running, 1));
        h.pass(Duration::secs(5));
        h.beat("s", &[], None);
    }
    h.pass(Duration::secs(5));
    assert_eq!(h.attempts(run, 0), (StepState::Queued, 1));
}

#[test]
fn a_task_that_is_not_accepted_is_sent_again_and_its_session_gets_no_other() {
    let (mut h, _, task) = Harness::with_task("s");
    h.tell("s", SessionEvent::Credits(1));
    h.pass(Duration::secs(5));
    let again = h.take("a");
    assert_eq!(again.claimed, task.claimed, "under the same token");
    h.start(DOCUMENT);
    assert!(h.tasks.is_empty(), "who does not answer gets nothing new");
    h.tell("s", SessionEvent::Accepted(task.claimed));
    let other = h.take("a");
    assert_ne!(other.claimed, task.claimed);
    h.pass(Duration::secs(20));
    assert!(
        h.tasks.iter().all(|task| task.claimed == other.claimed),
        "an accepted one is not sent again"
    );
}

#[test]
fn a_refused_task_goes_on_uncharged_and_its_session_waits_a_moment() {
    let (mut h, run, task) = Harness::with_task("s");
    h.tell("s", SessionEvent::Refused(task.claimed));
    h.tell("s", SessionEvent::Credits(1));
    assert!(h.tasks.is_empty(), "not at once: it would turn in a circle");
    h.pass(Duration::secs(1));
    let next = h.take("a");
    assert_eq!(next.claimed.id.attempt, 2);
    h.report(&next, succeeded());
    h.settle();
    assert_eq!(h.attempts(run, 0).0, StepState::Succeeded);
}

#[test]
fn a_task_that_its_driver_gives_back_later_goes_on_uncharged_too() {
    let (mut h, run, task) = Harness::with_task("s");
    h.tell("s", SessionEvent::Accepted(task.claimed));
    h.pass(Duration::secs(20));
    h.tell("s", SessionEvent::Refused(task.claimed));
    h.tell("s", SessionEvent::Credits(1));
    h.pass(Duration::secs(1));
    let next = h.take("a");
    assert_eq!(next.claimed.id.attempt, 2);
    h.report(&next, succeeded());
    h.settle();
    assert_eq!(h.attempts(run, 0).0, StepState::Succeeded);
}

#[test]
fn what_its_driver_stopped_because_its_time_was_over_has_timed_out_though_the_engine_slept() {
    let mut h = Harness::new(1);
    h.connect("s", 1);
    let run = h.start(&DOCUMENT.replace("heartbeat: 30s", "attempt: 1m"));
    let task = h.take("a");
    h.tell("s", SessionEvent::Accepted(task.claimed));
    // Nobody has looked at a clock since.
    h.now = h.now.after(Duration::secs(61));
    let told = EndedAttempt {
        state: AttemptState::Cancelled,
        outputs: None,
        failure: None,
    };
    let ticket = h.report(&task, told);
    h.settle();
    assert_eq!(h.answers[&ticket], Ok(Answer::Taken { already: false }));
    assert_eq!(h.attempts(run, 0).0, StepState::TimedOut);
}

#[test]
fn what_a_resume_names_goes_on_and_what_it_does_not_name_ends() {
    let mut h = Harness::new(1);
    h.connect("s", 2);
    let (one, two) = (h.start(DOCUMENT), h.start(DOCUMENT));
    let (kept, lost) = (h.take("a"), h.take("a"));
    assert_eq!((kept.claimed.run, lost.claimed.run), (one, two));
    h.tell("s", SessionEvent::Disconnected);
    h.pass(Duration::secs(10));
    assert_eq!(h.come_back("s", &[kept.claimed]), []);
    assert_eq!(h.attempts(one, 0), (StepState::Running, 1));
    assert_eq!(h.attempts(two, 0), (StepState::Queued, 1));
    h.tell("s", SessionEvent::Credits(1));
    let again = h.take("a");
    assert_eq!((again.claimed.run, again.claimed.id.attempt), (two, 2));
    assert_eq!(
        h.beat("s", &[kept.claimed, lost.claimed], None),
        [lost.claimed]
    );
}

#[test]
fn a_cancel_that_was_missed_is_told_again_to_who_comes_back() {
    let (mut h, run, task) = Harness::with_task("s");
    h.tell("s", SessionEvent::Disconnected);
    h.stop(run, conveyor_engine::run::StopKind::Cancel).unwrap();
    h.cancels.clear();
    h.come_back("s", &[task.claimed]);
    assert!(matches!(&h.cancels[..], [(claimed, _)] if *claimed == task.claimed));
}

#[test]
fn a_new_process_waits_for_the_sessions_of_the_one_before() {
    let (mut h, run, task) = Harness::with_task("s");
    h.tell("s", SessionEvent::Accepted(task.claimed));
    h.pass(Duration::secs(30));
    let mut h = h.reopen_with(true, &[far("s", true)]);
    h.pass(Duration::secs(30));
    assert_eq!(
        h.attempts(run, 0),
        (StepState::Running, 1),
        "silence counts from the new process on"
    );
    assert_eq!(h.come_back("s", &[task.claimed]), []);
    h.report(&task, succeeded());
    h.settle();
    assert_eq!(h.attempts(run, 0).0, StepState::Succeeded);
}

#[test]
fn a_claim_of_a_session_that_nobody_knows_ends_at_once() {
    let (h, run, _) = Harness::with_task("s");
    let mut h = h.reopen(true);
    h.settle();
    assert_eq!(h.attempts(run, 0), (StepState::Queued, 1));
}

#[test]
fn another_session_goes_on_with_a_claim_that_it_adopts() {
    let (mut h, run, task) = Harness::with_task("s");
    h.tell("s", SessionEvent::Disconnected);
    h.handle(Input::Register(SessionInfo {
        adopted: vec![task.claimed],
        ..far("t", false)
    }));
    assert_eq!(h.beat("t", &[task.claimed], None), []);
    h.pass(Duration::secs(4));
    for _ in 0..20 {
        h.pass(Duration::secs(5));
        h.beat("t", &[task.claimed], None);
    }
    assert_eq!(
        h.attempts(run, 0),
        (StepState::Running, 1),
        "the old session's silence does not count"
    );
    assert_eq!(
        h.beat("s", &[task.claimed], None),
        [task.claimed],
        "it is no longer the old one's"
    );
}

#[test]
fn a_session_that_leaves_gives_its_tasks_back_at_once() {
    let (mut h, run, task) = Harness::with_task("s");
    h.tell("s", SessionEvent::Accepted(task.claimed));
    h.tell("s", SessionEvent::Left);
    assert_eq!(h.attempts(run, 0), (StepState::Queued, 1));
    assert_eq!(h.owner.census(), (0, 1), "it waits outside of memory");
    h.connect("t", 1);
    assert_eq!(h.take("a").claimed.id.attempt, 2);
}

#[test]
fn a_session_that_nobody_hears_is_closed_and_then_forgotten() {
    let mut h = Harness::new(1);
    h.connect("s", 1);
    let mut said = Vec::new();
    for _ in 0..70 {
        h.now = h.now.after(Duration::secs(1));
        h.owner.handle(h.now, Input::Tick);
        said.extend(h.owner.outputs().into_iter().map(|output| match output {
            Output::Silent { .. } => "silent",
            Output::SessionOver { .. } => "over",
            _ => "other",
        }));
    }
    assert_eq!(said, ["silent", "over"]);
}

#[test]
fn a_heartbeat_says_how_much_room_there_is_whatever_credits_were_lost() {
    let (mut h, _, task) = Harness::with_task("s");
    h.tell("s", SessionEvent::Accepted(task.claimed));
    h.start(DOCUMENT);
    assert!(h.tasks.is_empty(), "its only credit is used");
    h.beat("s", &[task.claimed], Some(1));
    let other = h.take("a");
    // What it does not name yet is on its way, and takes the place.
    h.start(DOCUMENT);
    h.beat("s", &[task.claimed], Some(1));
    assert!(h.tasks.is_empty(), "{:?}", h.tasks);
    h.beat("s", &[task.claimed, other.claimed], Some(1));
    assert_eq!(h.tasks.len(), 1);
}

#[test]
fn a_runs_own_namespace_has_the_first_word() {
    let mut h = Harness::new(1);
    h.connect("all", 1);
    h.handle(Input::Register(SessionInfo {
        scope: Some("default".into()),
        ..far("own", false)
    }));
    let run = h.start(DOCUMENT);
    assert!(
        h.tasks.is_empty(),
        "the namespace has the driver, and it is busy"
    );
    h.tell("own", SessionEvent::Credits(1));
    let task = h.take("a");
    assert_eq!((&*task.session, task.claimed.run), ("own", run));
}

#[test]
fn silence_counts_only_while_the_owner_could_have_heard() {
    let (mut h, run, task) = Harness::with_task("s");
    h.tell("s", SessionEvent::Accepted(task.claimed));
    // The process stood still for longer than any lease: what came meanwhile is not read yet.
    h.now = h.now.after(Duration::secs(120));
    h.pass(Duration::secs(0));
    assert_eq!(
        h.attempts(run, 0),
        (StepState::Running, 1),
        "a window of its own (PROTOCOL P23)"
    );
    assert_eq!(h.beat("s", &[task.claimed], None), []);
    h.pass(Duration::secs(39));
    assert_eq!(h.attempts(run, 0), (StepState::Running, 1));
    // It stands still again, and nobody is there any more: the new window is as long as the first.
    h.now = h.now.after(Duration::secs(120));
    h.pass(Duration::secs(0));
    h.pass(Duration::secs(39));
    assert_eq!(h.attempts(run, 0), (StepState::Running, 1));
    h.pass(Duration::secs(2));
    assert_eq!(h.attempts(run, 0), (StepState::Queued, 1));
}

#[test]
fn namespaces_take_turns_however_much_each_has_waiting() {
    let mut h = Harness::new(1);
    h.connect("s", 0);
    let document = |namespace: &str| {
        DOCUMENT.replace(
            "{name: far}",
            &format!("{{name: far, namespace: {namespace}}}"),
        )
    };
    let mut of = BTreeMap::new();
    for (namespace, runs) in [("many", 6), ("few", 2)] {
        for _ in 0..runs {
            of.insert(h.start(&document(namespace)), namespace);
        }
    }
    let mut order = Vec::new();
    for _ in 0..5 {
        h.tell("s", SessionEvent::Credits(1));
        let task = h.tasks.pop().expect("a task for the credit");
        order.push(of[&task.claimed.run]);
    }
    let few = order.iter().filter(|one| **one == "few").count();
    assert_eq!(few, 2, "{order:?}");
    assert!(
        order[..4].windows(2).all(|two| two[0] != two[1]),
        "{order:?}"
    );
}
