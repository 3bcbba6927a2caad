//! Group commit, seen at the owner: what goes into one transaction, and what a failure does.

use crate::harness::{Harness, chain, compile, failed, pipeline, start, succeeded};
use conveyor_engine::run::{RunState, StopKind};
use conveyor_engine::time::Duration;
use conveyor_node::owner::{Answer, Input, Outcome};
use conveyor_node::{NodeError, storage};
use conveyor_store::{CommitError, Error, ErrorKind, Store as _};

#[test]
fn a_step_costs_one_commit_and_one_put() {
    let mut h = Harness::new(16);
    let run = h.start(&chain(&["a", "b", "c", "d"]));
    assert_eq!(
        h.groups.len(),
        1,
        "the start and the first claim are one commit"
    );
    for step in ["a", "b", "c"] {
        let before = h.groups.len();
        h.succeed(step);
        h.settle();
        assert_eq!(
            h.groups.len(),
            before + 1,
            "{step}: the next claim joins the commit"
        );
        assert_eq!(h.groups[before].writes.len(), 1, "{step}: the record alone");
    }
    h.succeed("d");
    h.settle();
    assert_eq!(h.groups.len(), 5);
    assert_eq!(h.state(run), RunState::Succeeded);
    assert_eq!(h.owner.census(), (0, 0), "an ended run leaves memory");
    assert!(storage::live_entries(h.store.as_ref()).unwrap().is_empty());
}

#[test]
fn nobody_is_answered_before_the_commit() {
    let mut h = Harness::new(16);
    let (_, started) = h.submit(&chain(&["a", "b"]));
    assert!(!h.answers.contains_key(&started) && h.tasks.is_empty());
    h.settle();
    assert!(h.answers.contains_key(&started));
    let reported = h.succeed("a");
    assert!(!h.answers.contains_key(&reported) && h.tasks.is_empty());
    h.settle();
    assert_eq!(h.answers[&reported], Ok(Answer::Taken { already: false }));
    assert_eq!(h.tasks.len(), 1);
}

#[test]
fn a_commit_error_says_of_what_kind_it_is() {
    type Told = fn(String) -> NodeError;
    for (kind, temporary, expected) in [
        (ErrorKind::Io, true, NodeError::Unavailable as Told),
        (ErrorKind::DiskFull, true, NodeError::Full),
        (ErrorKind::Corrupt, false, NodeError::Corrupt),
    ] {
        let mut h = Harness::new(16);
        let (_, started) = h.submit(&chain(&["a"]));
        let error = CommitError::Failed(Error::new(kind.clone(), "commit"));
        let expected = expected(error.to_string());
        assert_eq!(expected.is_temporary(), temporary);
        h.commit_as(|_, group| storage::outcome(group, Err(error)));
        assert_eq!(h.answers[&started], Err(expected), "{kind:?}");
        assert!(h.owner.is_pausing(), "{kind:?}: nothing is claimed at once");
    }
}

#[test]
fn what_arrives_during_a_commit_is_the_next_group() {
    let mut h = Harness::new(16);
    let (_, first) = h.submit(&chain(&["a"]));
    let group = h.owner.next_group(h.now).unwrap();
    let second = (0..10)
        .map(|_| h.submit(&chain(&["a"])).1)
        .collect::<Vec<_>>();
    assert!(
        h.owner.next_group(h.now).is_none(),
        "one is in flight at most"
    );
    h.store.commit(&storage::transaction(&group)).unwrap();
    h.handle(Input::Committed(Outcome::Committed));
    assert!(h.answers.contains_key(&first));
    assert!(second.iter().all(|ticket| !h.answers.contains_key(ticket)));
    assert!(h.commit());
    assert!(second.iter().all(|ticket| h.answers.contains_key(ticket)));
    assert_eq!(
        h.store.stats().unwrap().commits,
        3,
        "the epoch, and two groups"
    );
}

#[test]
fn a_failed_commit_loses_nothing() {
    let mut h = Harness::new(16);
    let run = h.start(&chain(&["a", "b"]));
    let task = h.take("a");
    let ticket = h.report(&task, succeeded());
    assert!(h.commit_as(|_, _| Outcome::Failed(NodeError::Unavailable("disk full".into()))));
    assert!(
        matches!(&h.answers[&ticket], Err(NodeError::Unavailable(why)) if why.contains("disk full"))
    );
    assert!(
        h.tasks.is_empty(),
        "the claim of b was not durable: no task"
    );
    assert!(h.owner.next_group(h.now).is_none(), "a pause follows");
    h.pass(Duration::secs(1));
    assert!(h.aborts.is_empty(), "the claim of a stands");

    let again = h.report(&task, succeeded());
    h.settle();
    assert_eq!(h.answers[&again], Ok(Answer::Taken { already: false }));
    h.succeed("b");
    h.settle();
    assert_eq!(h.state(run), RunState::Succeeded);
}

#[test]
fn a_failed_start_leaves_no_trace_and_can_be_repeated() {
    let mut h = Harness::new(1);
    let (run, ticket) = h.submit(&chain(&["a"]));
    assert!(h.commit_as(|_, _| Outcome::Failed(NodeError::Unavailable("disk full".into()))));
    assert!(matches!(
        &h.answers[&ticket],
        Err(NodeError::Unavailable(_))
    ));
    assert_eq!(h.owner.census(), (0, 0));
    h.pass(Duration::secs(1));
    let mut again = start(run, &chain(&["a"]));
    again.fresh = false;
    let ticket = h.ask(|ticket| Input::Start {
        ticket,
        start: Box::new(again),
    });
    h.settle();
    assert_eq!(h.answers[&ticket], Ok(Answer::Started { existed: false }));
    h.succeed("a");
    h.settle();
    assert_eq!(h.state(run), RunState::Succeeded);
}

#[test]
fn a_start_is_repeated_under_its_id() {
    let mut h = Harness::new(16);
    let run = h.start(&chain(&["a"]));
    for _ in 0..2 {
        let mut again = start(run, &chain(&["a"]));
        again.fresh = false;
        let ticket = h.ask(|ticket| Input::Start {
            ticket,
            start: Box::new(again),
        });
        h.settle();
        assert_eq!(h.answers[&ticket], Ok(Answer::Started { existed: true }));
        h.tasks
            .iter()
            .map(|task| task.claimed)
            .for_each(|claimed| assert_eq!(claimed.run, run));
        if !h.tasks.is_empty() {
            h.succeed("a");
            h.settle();
        }
    }
    assert_eq!(h.state(run), RunState::Succeeded);
}

#[test]
fn an_unknown_outcome_that_was_a_commit_is_one() {
    let mut h = Harness::new(16);
    h.start(&chain(&["a", "b"]));
    let ticket = h.succeed("a");
    assert!(h.commit_as(|store, group| {
        store.commit(&storage::transaction(group)).unwrap();
        Outcome::Unknown
    }));
    assert_eq!(h.answers[&ticket], Ok(Answer::Taken { already: false }));
    assert_eq!(h.tasks.len(), 1);
}

#[test]
fn an_unknown_outcome_that_was_none_is_sent_again_as_it_was() {
    let mut h = Harness::new(16);
    h.start(&chain(&["a", "b"]));
    let ticket = h.succeed("a");
    let mut first = None;
    assert!(h.commit_as(|_, group| {
        first = Some(group.clone());
        Outcome::Unknown
    }));
    assert!(!h.answers.contains_key(&ticket) && h.tasks.is_empty());
    // What arrives meanwhile is not part of it.
    h.submit(&chain(&["z"]));
    assert!(h.commit());
    assert_eq!(h.groups.last().map(|group| (**group).clone()), first);
    assert_eq!(h.answers[&ticket], Ok(Answer::Taken { already: false }));
}

#[test]
fn an_owner_that_was_deposed_stops() {
    let mut h = Harness::new(16);
    h.start(&chain(&["a"]));
    storage::acquire(h.store.as_ref(), 77).unwrap();
    let ticket = h.succeed("a");
    assert!(h.commit());
    assert!(matches!(
        &h.answers[&ticket],
        Err(NodeError::Unavailable(_))
    ));
    let (_, ticket) = h.submit(&chain(&["a"]));
    assert!(matches!(
        &h.answers[&ticket],
        Err(NodeError::Unavailable(_))
    ));
    assert!(!h.commit());
}

#[test]
fn a_run_that_cannot_be_stored_is_alone_in_its_fault() {
    let mut h = Harness::new(16);
    let good: Vec<_> = (0..5).map(|_| h.submit(&chain(&["a"]))).collect();
    let (bad, refused) = h.submit(&chain(&["bad"]));
    let rule = |store: &conveyor_store::Memory, group: &conveyor_node::owner::Group| {
        let has = |run: conveyor_node::RunId| {
            group
                .writes
                .iter()
                .any(|w| w.key == conveyor_node::keys::summary(run))
        };
        if has(bad) {
            return Outcome::Refused("too large".into());
        }
        storage::outcome(group, store.commit(&storage::transaction(group)))
    };
    while h.commit_as(rule) {}
    for (_, ticket) in &good {
        assert_eq!(h.answers[ticket], Ok(Answer::Started { existed: false }));
    }
    assert!(
        matches!(&h.answers[&refused], Err(NodeError::Invalid(why)) if why.contains("too large"))
    );
    assert_eq!(h.tasks.len(), 5);
}

#[test]
fn a_report_is_taken_once_and_only_under_its_claim() {
    let mut h = Harness::new(16);
    let run = h.start(&pipeline(
        "    - { id: a, driver: exec, retry: { attempts: 2, backoff: { initial: 1s } } }\n",
    ));
    let first = h.take("a");
    let mut forged = first.clone();
    forged.claimed.nonce += 1;
    let ticket = h.report(&forged, succeeded());
    h.settle();
    assert_eq!(h.answers[&ticket], Ok(Answer::Stale));

    h.report(&first, failed());
    h.settle();
    let repeat = h.report(&first, failed());
    let other = h.report(&first, succeeded());
    h.settle();
    assert_eq!(h.answers[&repeat], Ok(Answer::Taken { already: true }));
    assert_eq!(h.answers[&other], Ok(Answer::Stale));

    h.pass(Duration::secs(2));
    let second = h.take("a");
    assert_eq!(second.claimed.id.attempt, 2);
    h.report(&second, succeeded());
    h.settle();
    assert_eq!(h.state(run), RunState::Succeeded);
    let late = h.report(&second, succeeded());
    h.settle();
    assert_eq!(
        h.answers[&late],
        Ok(Answer::Taken { already: true }),
        "after the end too"
    );
}

#[test]
fn a_terminated_task_is_ended_and_its_place_is_free() {
    let mut h = Harness::new(1);
    let run = h.start(&chain(&["a"]));
    let other = h.start(&chain(&["b"]));
    assert_eq!(h.tasks.len(), 1, "one place");
    assert_eq!(h.stop(run, StopKind::Terminate), Ok(Answer::Done));
    assert_eq!(h.aborts.len(), 1);
    assert_eq!(h.state(run), RunState::Cancelled);
    h.settle();
    h.succeed("b");
    h.settle();
    assert_eq!(h.state(other), RunState::Succeeded);
    assert_eq!(
        h.stop(run, StopKind::Terminate),
        Err(NodeError::Ended(RunState::Cancelled))
    );
}

#[test]
fn the_documents_digest_is_stored_once() {
    let mut h = Harness::new(16);
    h.submit(&chain(&["a"]));
    h.submit(&chain(&["a"]));
    h.settle();
    h.start(&chain(&["a"]));
    let key = conveyor_node::keys::document(&compile(&chain(&["a"])).0.digest);
    let puts = h
        .groups
        .iter()
        .flat_map(|group| &group.writes)
        .filter(|write| write.key == key);
    assert_eq!(puts.count(), 1);
}
