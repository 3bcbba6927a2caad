//! A whole node: threads, drivers in process, readers.

use crate::harness::{chain, pipeline};
use crate::support::{Closure, done, failure, finish, open, quick, start};
use conveyor_engine::run::{AttemptState, Decision, RunState, Stop, StopKind};
use conveyor_node::driver::Outcome;
use conveyor_node::reader::{EventId, Filter};
use conveyor_node::{Adopt, NodeError, RunId};
use conveyor_store::{Access, DataDir, Embedded, Memory, Store};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Notify, Semaphore};

fn memory() -> Arc<dyn Store> {
    Arc::new(Memory::new())
}

#[tokio::test]
async fn of_a_node_that_nobody_has_any_more_no_thread_is_left() {
    let store = memory();
    // Each thread that reads or writes has the store.
    let held = Arc::downgrade(&store);
    let node = open(store, quick(), Adopt::All).await;
    let run = start(&node, &chain(&["a", "b"])).await;
    finish(&node, run).await;
    drop(node);
    let gone = async {
        while held.upgrade().is_some() {
            tokio::task::yield_now().await;
        }
    };
    let patience = std::time::Duration::from_secs(60);
    tokio::time::timeout(patience, gone)
        .await
        .expect("somebody has it still");
}

fn stop(kind: StopKind) -> Stop {
    Stop {
        kind,
        actor: "test".into(),
        reason: "".into(),
    }
}

#[tokio::test]
async fn a_chain_runs_to_its_end() {
    let node = open(memory(), quick(), Adopt::All).await;
    let run = start(&node, &chain(&["a", "b", "c"])).await;
    assert_eq!(finish(&node, run).await.state(), RunState::Succeeded);
    let row = node.reader().summary(run).await.unwrap();
    assert_eq!(row.state(), RunState::Succeeded);
    assert!(!row.interrupted && row.row.started_ms.is_some() && row.row.ended_ms.is_some());
    node.shutdown().await.unwrap();
    assert!(matches!(
        node.stop(run, stop(StopKind::Cancel)).await,
        Err(NodeError::Unavailable(_))
    ));
}

#[tokio::test]
async fn many_runs_share_commits() {
    let store = memory();
    let node = open(Arc::clone(&store), quick(), Adopt::All).await;
    let mut runs = Vec::new();
    for _ in 0..50 {
        runs.push(start(&node, &chain(&["a", "b", "c", "d"])).await);
    }
    for run in &runs {
        assert_eq!(finish(&node, *run).await.state(), RunState::Succeeded);
    }
    // Five records a run and two commits at the opening, if no two shared one.
    assert!(store.stats().unwrap().commits <= 50 * 5 + 2);
}

#[tokio::test]
async fn a_panic_is_a_failure_that_is_tried_again() {
    let driver = Closure::driver(|task, _| async move {
        assert!(task.attempt > 1, "the first attempt panics");
        done()
    });
    let node = open(memory(), driver, Adopt::All).await;
    let yaml = pipeline(
        "    - { id: a, driver: exec, retry: { attempts: 2, backoff: { initial: 1ms } } }\n",
    );
    let run = start(&node, &yaml).await;
    assert_eq!(finish(&node, run).await.state(), RunState::Succeeded);
    let events = node.reader().events(run, None, usize::MAX).await.unwrap();
    let code = events.iter().find_map(|event| match &event.decision {
        Decision::Attempt {
            failure: Some(failure),
            ..
        } => Some(failure.code.clone()),
        _ => None,
    });
    assert_eq!(code.as_deref(), Some("exception"));
}

#[tokio::test]
async fn outputs_that_are_no_object_are_an_error() {
    let driver = Closure::driver(|_, _| async { Outcome::Succeeded(serde_json::json!([1])) });
    let node = open(memory(), driver, Adopt::All).await;
    let run = start(&node, &chain(&["a"])).await;
    let run = finish(&node, run).await;
    let instance = run.instance(0, 0).unwrap();
    assert_eq!(&*instance.failure.unwrap().code, "invalid_output");
}

#[tokio::test]
async fn an_action_that_the_driver_lacks_is_an_error() {
    let node = open(memory(), quick(), Adopt::All).await;
    let run = start(
        &node,
        &pipeline("    - { id: a, driver: exec, action: fly }\n"),
    )
    .await;
    let run = finish(&node, run).await;
    let failure = run.instance(0, 0).unwrap().failure.unwrap();
    assert_eq!(&*failure.code, "no_such_action");
    assert!(failure.message.contains("`run`"), "{}", failure.message);
}

#[tokio::test]
async fn large_outputs_come_back_whole() {
    let text = "x".repeat(3 << 20);
    let expected = text.clone();
    let driver = Closure::driver(move |task, _| {
        let text = text.clone();
        async move {
            match &*task.step {
                "a" => Outcome::Succeeded(serde_json::json!({ "text": text })),
                _ => Outcome::Succeeded(task.inputs),
            }
        }
    });
    let node = open(memory(), driver, Adopt::All).await;
    let yaml = pipeline(
        "    - { id: a, driver: exec }\n    - { id: b, driver: exec, with: { got: \"${{ steps.a.outputs.text }}\" } }\n",
    );
    let run = start(&node, &yaml).await;
    let folded = finish(&node, run).await;
    assert_eq!(
        folded.state(),
        RunState::Succeeded,
        "{:?}",
        folded.instance(1, 0)
    );
    let outputs = folded.instance(1, 0).unwrap().outputs.unwrap();
    let text = node.reader().text(run, &outputs).await.unwrap();
    let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert!(json["got"] == expected.as_str());
}

#[tokio::test]
async fn many_large_outputs_at_once_are_all_stored() {
    let driver = Closure::driver(|task, _| async move {
        let text = format!("{}", task.instance).repeat(4 << 20);
        Outcome::Succeeded(serde_json::json!({ "text": text }))
    });
    let node = open(memory(), driver, Adopt::All).await;
    let fan = pipeline(
        "    - id: big\n      foreach: { items: \"${{ lists.range(5) }}\" }\n      driver: exec\n",
    );
    let run = start(&node, &fan).await;
    let folded = finish(&node, run).await;
    assert_eq!(folded.state(), RunState::Succeeded);
    for instance in 0..5 {
        let outputs = folded.instance(0, instance).unwrap().outputs.unwrap();
        assert!(node.reader().text(run, &outputs).await.unwrap().len() > 4 << 20);
    }
}

/// The store refuses a transaction over its limits, which would set the run aside.
#[tokio::test]
async fn large_values_of_hundreds_of_steps_at_once_are_stored_in_many_commits() {
    let text = "x".repeat(60 << 10);
    let driver = Closure::driver(|task, _| async move { Outcome::Succeeded(task.inputs) });
    let node = open(memory(), driver, Adopt::All).await;
    let yaml = pipeline(&format!(
        "    - {{ id: one, transform: {{ text: {text} }} }}\n    - id: drivers\n      needs: [one]\n      foreach: {{ items: \"${{{{ lists.range(300) }}}}\" }}\n      driver: exec\n      with: {{ got: \"${{{{ steps.one.outputs.text }}}}\", at: \"${{{{ item }}}}\" }}\n    - id: transforms\n      needs: [one]\n      foreach: {{ items: \"${{{{ lists.range(300) }}}}\" }}\n      transform: {{ got: \"${{{{ steps.one.outputs.text }}}}\" }}\n",
    ));
    let run = start(&node, &yaml).await;
    let folded = finish(&node, run).await;
    assert_eq!(folded.state(), RunState::Succeeded);
    for step in [1, 2] {
        assert_eq!(folded.step(step).instances, 300);
        let outputs = folded.instance(step, 299).unwrap().outputs.unwrap();
        assert!(node.reader().text(run, &outputs).await.unwrap().len() > 60 << 10);
    }
}

#[tokio::test]
async fn ten_thousand_computed_items_of_the_largest_size_reach_their_drivers() {
    let driver = Closure::driver(|task, _| async move {
        let item = task.inputs["item"].as_str().map_or(0, str::len);
        Outcome::Succeeded(serde_json::json!({ "bytes": item }))
    });
    let node = open(memory(), driver, Adopt::All).await;
    let text = "x".repeat(820);
    let yaml = pipeline(&format!(
        "    - {{ id: one, transform: {{ text: {text} }} }}\n    - id: fan\n      foreach: {{ items: \"${{{{ lists.range(10000).map(i, steps.one.outputs.text) }}}}\" }}\n      driver: exec\n      with: {{ item: \"${{{{ item }}}}\" }}\n",
    ));
    let run = start(&node, &yaml).await;
    let folded = finish(&node, run).await;
    assert_eq!(folded.state(), RunState::Succeeded);
    assert_eq!(folded.step(1).instances, 10_000);
    let outputs = folded.instance(1, 9_999).unwrap().outputs.unwrap();
    let text = node.reader().text(run, &outputs).await.unwrap();
    assert_eq!(&*text, br#"{"bytes":820}"#);
}

#[tokio::test]
async fn outputs_over_the_limit_name_it() {
    let driver = Closure::driver(|_, _| async {
        Outcome::Succeeded(serde_json::json!({ "text": "x".repeat(9 << 20) }))
    });
    let node = open(memory(), driver, Adopt::All).await;
    let run = start(&node, &chain(&["a"])).await;
    let run = finish(&node, run).await;
    let failure = run.instance(0, 0).unwrap().failure.unwrap();
    assert_eq!(&*failure.code, "output_too_large");
    assert!(failure.message.contains("8388608"), "{}", failure.message);
}

#[tokio::test]
async fn a_cancelled_driver_hears_of_it() {
    let driver = Closure::driver(|_, mut context| async move {
        let reason = context
            .cancelled
            .wait_for(Option::is_some)
            .await
            .unwrap()
            .clone();
        assert!(reason.is_some());
        Outcome::Cancelled
    });
    let node = open(memory(), driver, Adopt::All).await;
    let run = start(&node, &chain(&["a"])).await;
    node.stop(run, stop(StopKind::Cancel)).await.unwrap();
    assert_eq!(finish(&node, run).await.state(), RunState::Cancelled);
}

struct OnDrop(Arc<Notify>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn terminate_drops_a_driver_that_does_not_listen() {
    let (begun, dropped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (on_begin, on_drop) = (Arc::clone(&begun), Arc::clone(&dropped));
    let driver = Closure::driver(move |_, _| {
        let (begun, guard) = (Arc::clone(&on_begin), OnDrop(Arc::clone(&on_drop)));
        async move {
            let _guard = guard;
            begun.notify_one();
            std::future::pending().await
        }
    });
    let node = open(memory(), driver, Adopt::All).await;
    let run = start(&node, &chain(&["a"])).await;
    begun.notified().await;
    node.stop(run, stop(StopKind::Terminate)).await.unwrap();
    dropped.notified().await;
    assert_eq!(finish(&node, run).await.state(), RunState::Cancelled);
}

#[tokio::test]
async fn no_more_tasks_run_at_once_than_there_is_capacity() {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    let driver = Closure::driver(move |_, _| {
        let (running, most) = (Arc::clone(&running), Arc::clone(&seen));
        async move {
            let now = running.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            tokio::task::yield_now().await;
            running.fetch_sub(1, Ordering::SeqCst);
            done()
        }
    });
    let node = open(memory(), driver, Adopt::All).await;
    let fan = pipeline(
        "    - id: big\n      foreach: { items: \"${{ lists.range(200) }}\" }\n      driver: exec\n",
    );
    let run = start(&node, &fan).await;
    assert_eq!(finish(&node, run).await.state(), RunState::Succeeded);
    assert!((1..=16).contains(&most.load(Ordering::SeqCst)));
}

#[tokio::test]
async fn a_killed_node_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Arc::new(Semaphore::new(0));
    let begun = Arc::new(Notify::new());
    let (hold, on_begin) = (Arc::clone(&gate), Arc::clone(&begun));
    let driver = move || {
        let (hold, begun) = (Arc::clone(&hold), Arc::clone(&on_begin));
        Closure::driver(move |task, _| {
            let (hold, begun) = (Arc::clone(&hold), Arc::clone(&begun));
            async move {
                if &*task.step == "b" && task.attempt == 1 {
                    begun.notify_one();
                    hold.acquire().await.unwrap().forget();
                }
                Outcome::Succeeded(serde_json::json!({ "attempt": task.attempt }))
            }
        })
    };
    let store = || -> Arc<dyn Store> {
        let dir = DataDir::open(dir.path(), Access::Create).unwrap();
        Arc::new(Embedded::open(dir).unwrap())
    };
    let node = open(store(), driver(), Adopt::None).await;
    let run = start(&node, &chain(&["a", "b", "c"])).await;
    begun.notified().await;
    node.abandon().await;
    drop(node);

    let node = open(reopened(store).await, driver(), Adopt::None).await;
    let row = node.reader().summary(run).await.unwrap();
    assert!(row.interrupted && !node.is_held(run));
    let filter = Filter {
        interrupted: Some(true),
        ..Filter::default()
    };
    assert_eq!(
        node.reader()
            .list(filter, None, 10)
            .await
            .unwrap()
            .rows
            .len(),
        1
    );
    node.continue_run(run).await.unwrap();
    assert!(node.is_held(run));
    let folded = finish(&node, run).await;
    assert_eq!(folded.state(), RunState::Succeeded);
    let attempts: Vec<_> = (0..3)
        .map(|step| folded.instance(step, 0).unwrap().attempt)
        .collect();
    assert_eq!(attempts, [1, 2, 1]);
    // Its end is durable a moment before the owner lets go of it.
    let mut turns = node.reader().follow(run);
    while node.is_held(run) {
        turns.changed().await;
    }
    assert!(matches!(
        node.continue_run(run).await,
        Err(NodeError::Ended(RunState::Succeeded))
    ));
}

/// The directory is free once the threads of the node before have let go of it.
async fn reopened(store: impl Fn() -> Arc<dyn Store>) -> Arc<dyn Store> {
    loop {
        let opened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(&store));
        match opened {
            Ok(store) => return store,
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

#[tokio::test]
async fn listings_have_pages_newest_first() {
    let node = open(memory(), quick(), Adopt::All).await;
    let mut runs = Vec::new();
    for _ in 0..25 {
        runs.push(start(&node, &chain(&["a"])).await);
    }
    for run in &runs {
        finish(&node, *run).await;
    }
    runs.reverse();
    let mut listed: Vec<RunId> = Vec::new();
    let mut next = None;
    loop {
        let page = node
            .reader()
            .list(Filter::default(), next, 10)
            .await
            .unwrap();
        listed.extend(page.rows.iter().map(|row| row.id));
        next = page.next;
        if next.is_none() {
            break;
        }
        assert_eq!(page.rows.len(), 10);
    }
    assert_eq!(listed, runs);
    let states = vec![RunState::Failed];
    let none = node
        .reader()
        .list(
            Filter {
                states,
                ..Filter::default()
            },
            None,
            10,
        )
        .await
        .unwrap();
    assert!(none.rows.is_empty() && none.next.is_none());
}

#[tokio::test]
async fn events_go_on_after_any_of_them() {
    let driver = Closure::driver(|_, _| async { Outcome::Failed(failure("no"), None) });
    let node = open(memory(), driver, Adopt::All).await;
    let run = start(&node, &chain(&["a", "b"])).await;
    let folded = finish(&node, run).await;
    assert_eq!(folded.state(), RunState::Failed);
    let all = node.reader().events(run, None, usize::MAX).await.unwrap();
    assert!(all.windows(2).all(|pair| pair[0].id < pair[1].id));
    assert!(all.iter().any(|event| matches!(
        &event.decision,
        Decision::Attempt {
            state: AttemptState::Failed,
            ..
        }
    )));
    for (at, event) in all.iter().enumerate() {
        let rest = node
            .reader()
            .events(run, Some(event.id), usize::MAX)
            .await
            .unwrap();
        assert_eq!(rest, all[at + 1..]);
        assert_eq!(EventId::parse(&event.id.to_string()), Some(event.id));
    }
    assert!(
        node.reader()
            .events(RunId::fresh(), None, 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(matches!(
        node.reader().load(RunId::fresh()).await,
        Err(NodeError::NotFound(_))
    ));
}

#[tokio::test]
async fn what_an_earlier_process_left_goes_on_though_nobody_asks_for_anything() {
    let begun = Arc::new(Notify::new());
    let tell = Arc::clone(&begun);
    let driver = Closure::driver(move |task, _| {
        let tell = Arc::clone(&tell);
        async move {
            if task.attempt == 1 {
                tell.notify_one();
                std::future::pending::<()>().await;
            }
            done()
        }
    });
    let store = Arc::new(Memory::new());
    let first = open(store.clone(), Arc::clone(&driver), Adopt::All).await;
    let run = start(&first, &chain(&["a"])).await;
    begun.notified().await;
    first.abandon().await;
    let second = open(store, driver, Adopt::All).await;
    assert_eq!(finish(&second, run).await.state(), RunState::Succeeded);
}
