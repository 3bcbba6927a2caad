//! What an attempt saves, the next one gets.

use crate::harness::{Harness, chain, failed, pipeline};
use crate::support::{Closure, done, failure, finish, open, start};
use conveyor_engine::run::{AttemptState, Decision, RunState};
use conveyor_engine::time::Duration;
use conveyor_node::driver::Outcome;
use conveyor_node::owner::{Answer, Input, StartTask};
use conveyor_node::token::Claimed;
use conveyor_node::{Adopt, Config, Limits, Node, NodeError};
use conveyor_store::Memory;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

const TWICE: &str = r#"
    - id: a
      driver: exec
      retry: { attempts: 2, backoff: { initial: 1ms } }
"#;

#[tokio::test]
async fn the_next_attempt_gets_what_the_last_one_saved_last() {
    let got = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&got);
    let driver = Closure::driver(move |task, context| {
        seen.lock().unwrap().push(task.checkpoint.clone());
        async move {
            if task.attempt == 2 {
                return done();
            }
            for part in ["one", "two"] {
                context.checkpoints.save(part).await.unwrap();
            }
            Outcome::Failed(failure("no"), None)
        }
    });
    let node = open(Arc::new(Memory::new()), driver, Adopt::All).await;
    let run = start(&node, &pipeline(TWICE)).await;
    assert_eq!(finish(&node, run).await.state(), RunState::Succeeded);
    assert_eq!(*got.lock().unwrap(), [None, Some("two".into())]);
}

#[tokio::test]
async fn a_checkpoint_outlives_the_process_that_took_it() {
    let got = Arc::new(Mutex::new(Vec::new()));
    let saved = Arc::new(Notify::new());
    let (seen, tell) = (Arc::clone(&got), Arc::clone(&saved));
    let driver = Closure::driver(move |task, context| {
        let seen = (task.attempt, task.checkpoint.clone());
        got.lock().unwrap().push(seen);
        let tell = Arc::clone(&tell);
        async move {
            if task.attempt == 1 {
                context.checkpoints.save("half way").await.unwrap();
                tell.notify_one();
                std::future::pending::<()>().await;
            }
            done()
        }
    });
    let store = Arc::new(Memory::new());
    let first = open(store.clone(), Arc::clone(&driver), Adopt::All).await;
    let run = start(&first, &pipeline("    - { id: a, driver: exec }\n")).await;
    saved.notified().await;
    // Nothing is said to the driver, nothing more is committed: what a killed process leaves.
    first.abandon().await;

    let second = open(store, driver, Adopt::All).await;
    assert_eq!(finish(&second, run).await.state(), RunState::Succeeded);
    let half = Some("half way".into());
    assert_eq!(*seen.lock().unwrap(), [(1, None), (2, half)]);
    let events = second.reader().events(run, None, usize::MAX).await.unwrap();
    let lost = events.iter().any(|event| {
        matches!(&event.decision, Decision::Attempt { id, state, .. }
            if id.attempt == 1 && *state == AttemptState::Lost)
    });
    assert!(lost, "the first attempt ended with its process");
}

#[tokio::test]
async fn a_checkpoint_over_the_limit_is_refused_with_limit_and_value() {
    let driver = Closure::driver(|task, context| async move {
        if task.attempt == 2 {
            assert_eq!(task.checkpoint, Some("fits".into()));
            return done();
        }
        context.checkpoints.save("fits").await.unwrap();
        let refused = context.checkpoints.save("does not").await.unwrap_err();
        let message = "the checkpoint has 8 bytes; the limit `checkpoint_bytes` is 4";
        assert_eq!(refused, NodeError::Invalid(message.into()));
        Outcome::Failed(failure("no"), None)
    });
    let runtime = tokio::runtime::Handle::current();
    let config = Config::new(Arc::new(Memory::new()), vec![driver], runtime);
    let limits = Limits {
        checkpoint_bytes: 4,
        ..Limits::default()
    };
    let node = Node::open(Config { limits, ..config }).await.unwrap();
    let run = start(&node, &pipeline(TWICE)).await;
    assert_eq!(finish(&node, run).await.state(), RunState::Succeeded);
}

#[tokio::test]
async fn a_run_with_many_checkpoints_is_read_to_its_end() {
    let driver = Closure::driver(|_, context| async move {
        // More than a reader folds at once, and none of them is an event.
        for part in 0_u32..600 {
            let data = part.to_string().into_bytes();
            context.checkpoints.save(data).await.unwrap();
        }
        done()
    });
    let node = open(Arc::new(Memory::new()), driver, Adopt::All).await;
    let run = start(&node, &pipeline("    - { id: a, driver: exec }\n")).await;
    assert_eq!(finish(&node, run).await.state(), RunState::Succeeded);
    let mut follower = node.reader().follow(run);
    while !follower.poll().await.unwrap().is_empty() {}
    let seen = follower.run().unwrap();
    assert_eq!(seen.state(), RunState::Succeeded);
    assert!(seen.sequence() > 600);
}

fn save(h: &mut Harness, claimed: Claimed, data: &[u8]) -> u64 {
    let data = Arc::from(data);
    h.ask(|ticket| Input::Checkpoint {
        ticket,
        claimed,
        data,
    })
}

fn two_tries() -> (Harness, StartTask) {
    let mut h = Harness::new(1);
    h.start(&pipeline(TWICE));
    let task = h.take("a");
    (h, task)
}

#[test]
fn a_checkpoint_is_answered_once_it_is_durable() {
    let (mut h, task) = two_tries();
    let ticket = save(&mut h, task.claimed, b"one");
    assert!(!h.answers.contains_key(&ticket));
    h.settle();
    assert_eq!(h.answers[&ticket], Ok(Answer::Done));
    h = h.reopen(true);
    assert_eq!(h.take("a").spec.checkpoint.as_deref(), Some(&b"one"[..]));
}

#[test]
fn a_checkpoint_under_another_claim_changes_nothing() {
    let (mut h, task) = two_tries();
    let forged = Claimed {
        nonce: task.claimed.nonce + 1,
        ..task.claimed
    };
    let forged = save(&mut h, forged, b"forged");
    h.report(&task, failed());
    h.settle();
    let late = save(&mut h, task.claimed, b"late");
    h.pass(Duration::secs(1));
    assert_eq!(h.answers[&forged], Ok(Answer::Stale));
    assert_eq!(h.answers[&late], Ok(Answer::Stale));
    assert_eq!(h.take("a").spec.checkpoint, None);
}

#[test]
fn checkpoints_of_many_instances_do_not_make_one_huge_record() {
    let mut h = Harness::new(16);
    h.start(&pipeline(
        "    - id: a\n      driver: exec\n      foreach: { items: \"${{ lists.range(16) }}\" }\n",
    ));
    let claims: Vec<_> = h.tasks.iter().map(|task| task.claimed).collect();
    assert_eq!(claims.len(), 16);
    let before = h.groups.len();
    let data = vec![7; 1 << 20];
    let tickets: Vec<_> = claims
        .iter()
        .map(|claimed| save(&mut h, *claimed, &data))
        .collect();
    h.settle();
    for ticket in tickets {
        assert_eq!(h.answers[&ticket], Ok(Answer::Done));
    }
    let bytes = |writes: &[conveyor_node::owner::Write]| -> usize {
        writes
            .iter()
            .filter_map(|write| write.value.as_ref())
            .map(Vec::len)
            .sum()
    };
    let largest = h.groups[before..]
        .iter()
        .map(|group| bytes(&group.writes))
        .max();
    // PART_BYTES and the one that goes over it, with what is around them.
    assert!(largest < Some(4 << 20), "{largest:?}");
}

#[test]
fn a_run_that_has_ended_takes_no_checkpoint() {
    let mut h = Harness::new(1);
    h.start(&chain(&["a"]));
    let task = h.take("a");
    h.report(&task, crate::harness::succeeded());
    h.settle();
    let late = save(&mut h, task.claimed, b"late");
    h.settle();
    assert_eq!(h.answers[&late], Ok(Answer::Stale));
}
