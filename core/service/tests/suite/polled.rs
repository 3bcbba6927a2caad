//! Polls: what each takes for its answer.

use crate::logs::Setup;
use crate::stream::Server;
use crate::support::{Calls, Hand};
use crate::{get, start};
use conveyor_node::Config;
use conveyor_node::owner::UNANSWERED;
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_service::{ControlHandlers, DriverHandlers};
use conveyor_store::Memory;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tonic::{Code, Request};

const SPEC: &str = "{steps: [{id: use, driver: raw}]}";

fn config(store: &Arc<Memory>) -> Config {
    let runtime = tokio::runtime::Handle::current();
    Config::new(store.clone(), Vec::new(), runtime)
}

/// How the step of a run is.
async fn state(handlers: &ControlHandlers, run: &str) -> v1::StepState {
    let request = v1::GetRunRequest {
        run: run.to_owned(),
        ..v1::GetRunRequest::default()
    };
    let told = get(handlers, request).await.expect("a run");
    told.steps
        .first()
        .map_or_else(Default::default, v1::Step::state)
}

#[tokio::test]
async fn a_task_that_comes_again_has_the_place_of_the_answer_that_it_comes_with() {
    let clock = Arc::new(Hand(AtomicU64::new(1_700_000_000_000)));
    let handlers = Setup {
        clock: Arc::clone(&clock) as _,
        ..Setup::default()
    };
    let handlers = handlers.open().await;
    let driver = Calls::register(handlers.node(), 4).await;
    start(&handlers, SPEC).await;
    // The answer is lost, and a heartbeat does not name the task.
    let lost = driver.poll().await;
    clock.0.fetch_add(UNANSWERED.0, Ordering::SeqCst);
    driver.beat(Vec::new()).await;
    let other = start(&handlers, SPEC).await;
    while state(&handlers, &other).await != v1::StepState::Queued {
        tokio::task::yield_now().await;
    }
    let again = driver.poll().await;
    assert_eq!(again.token, lost.token);
    assert_eq!(
        state(&handlers, &other).await,
        v1::StepState::Queued,
        "nobody was told of it"
    );
    driver.accept(&again).await;
    assert_ne!(driver.poll().await.token, lost.token);
}

#[tokio::test]
async fn two_polls_at_once_have_two_tasks() {
    let handlers = Setup::default().open().await;
    let driver = Calls::register(handlers.node(), 4).await;
    let start_both = async {
        start(&handlers, SPEC).await;
        start(&handlers, SPEC).await;
    };
    let (one, other, ()) = tokio::join!(driver.poll(), driver.poll(), start_both);
    assert_ne!(one.token, other.token);
}

#[tokio::test]
async fn a_poll_that_waits_beside_another_is_not_told_what_that_was() {
    let handlers = Setup::default().open().await;
    let driver = Calls::register(handlers.node(), 4).await;
    let polls = async {
        let (one, other) = tokio::join!(driver.poll_for(60_000), driver.poll_for(500));
        [one, other].map(|polled| polled.expect("polled").tasks.len())
    };
    let (tasks, _) = tokio::join!(polls, start(&handlers, SPEC));
    assert_eq!(tasks, [1, 0]);
}

#[tokio::test]
async fn a_poll_waits_no_longer_for_another_than_for_a_task() {
    let handlers = Setup::default().open().await;
    let driver = Calls::register(handlers.node(), 4).await;
    let first = driver.poll_for(60_000);
    let second = async {
        let began = tokio::time::Instant::now();
        let empty = driver.poll_for(200).await.expect("polled");
        assert!(empty.tasks.is_empty(), "{empty:?}");
        began.elapsed()
    };
    tokio::pin!(first);
    let took = tokio::select! {
        polled = &mut first => panic!("there is no task: {polled:?}"),
        took = second => took,
    };
    assert!(took < Duration::from_secs(30), "{took:?}");
    start(&handlers, SPEC).await;
    assert_eq!(first.await.expect("polled").tasks.len(), 1);
}

#[tokio::test]
async fn a_session_that_has_a_stream_is_not_polled_and_keeps_its_stream() {
    let server = Server::open().await;
    let (mut stream, welcome, _) = server.session("local", 0).await;
    let polled = Calls {
        handlers: DriverHandlers::new(server.node.clone()),
        session: welcome,
    };
    let status = polled.poll_for(0).await.expect_err("a stream has it");
    assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
    assert!(polled.beat(Vec::new()).await.cancels.is_empty());
    let credits = v1::Credits {
        count: 1,
        ..v1::Credits::default()
    };
    stream.tell(v1::session_request::Message::Credits(credits));
    server.start().await;
    stream.task().await;
    server.end().await;
}

#[tokio::test]
async fn after_a_restart_a_heartbeat_brings_the_cancel_of_what_it_names() {
    let store = Arc::new(Memory::new());
    let server = Server::open_by(config(&store)).await;
    let run = server
        .run("default", "{steps: [{id: a, driver: raw}]}")
        .await;
    let driver = Calls::register(&server.node, 1).await;
    let task = driver.take().await;
    let cancel = v1::StopRunRequest {
        run: run.clone(),
        kind: v1::StopKind::Cancel.into(),
        ..v1::StopRunRequest::default()
    };
    let cancelled = server.control.stop_run(Request::new(cancel)).await;
    cancelled.expect("it is told to stop");
    server.end().await;

    let server = Server::open_by(config(&store)).await;
    let driver = driver.with(&server.node);
    let named = || {
        vec![v1::TaskProgress {
            token: task.token.clone(),
            ..v1::TaskProgress::default()
        }]
    };
    let told = async {
        loop {
            let heard = driver.beat(named()).await;
            assert!(heard.stale_tokens.is_empty(), "{heard:?}");
            if let [cancel] = &heard.cancels[..] {
                return cancel.token.clone();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(60), told).await;
    assert_eq!(told.expect("it is told"), task.token);
    server.end().await;
}

#[tokio::test]
async fn a_poll_that_waits_while_the_engine_stops_is_told_to_come_again() {
    let server = Server::open().await;
    let driver = Calls::register(&server.node, 1).await;
    // The poll is asked first: it waits by then, for `join!` goes on with one once the other waits.
    let (polled, ended) = tokio::join!(driver.poll_for(60_000), server.node.shutdown());
    ended.expect("it ends");
    let again = driver.poll_for(60_000).await;
    for polled in [polled, again] {
        let status = polled.expect_err("it stops");
        // Not NOT_FOUND: the session lives on, and a driver that registers anew would lose it.
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        assert!(status.metadata().contains_key("retry-after"), "{status:?}");
    }
}

/// What a heartbeat says of a task that is held.
fn named(task: &v1::Task) -> Vec<v1::TaskProgress> {
    vec![v1::TaskProgress {
        token: task.token.clone(),
        ..v1::TaskProgress::default()
    }]
}

/// A driver whose task is told to stop by a poll's answer, which is lost.
async fn cancelled_by_a_lost_answer(server: &Server) -> (Calls, v1::Task) {
    let spec = "{steps: [{id: a, driver: raw}]}";
    let run = server.run("default", spec).await;
    let driver = Calls::register(&server.node, 2).await;
    let task = driver.take().await;
    let cancel = v1::StopRunRequest {
        run,
        kind: v1::StopKind::Cancel.into(),
        ..v1::StopRunRequest::default()
    };
    let cancelled = server.control.stop_run(Request::new(cancel)).await;
    cancelled.expect("it is told to stop");
    let lost = driver.poll_for(60_000).await.expect("polled");
    assert_eq!(lost.cancels.len(), 1, "{lost:?}");
    (driver, task)
}

#[tokio::test]
async fn a_cancel_of_a_lost_answer_comes_by_each_heartbeat_while_a_poll_waits() {
    let server = Server::open().await;
    let (driver, task) = cancelled_by_a_lost_answer(&server).await;
    let waiting = driver.poll_for(60_000);
    tokio::pin!(waiting);
    for _ in 0..2 {
        // The poll is asked first: it waits once the heartbeat is under way.
        let heard = tokio::select! {
            biased;
            polled = &mut waiting => panic!("there is nothing to poll: {polled:?}"),
            heard = driver.beat(named(&task)) => heard,
        };
        assert_eq!(heard.cancels.len(), 1, "{heard:?}");
        assert_eq!(heard.cancels[0].token, task.token);
        assert!(heard.cancels[0].grace_ms > 0);
    }
    // The answer to a poll which waits may be lost, too.
    let other = server
        .run("default", "{steps: [{id: b, driver: raw}]}")
        .await;
    let polled = waiting.await.expect("polled");
    let [next] = &polled.tasks[..] else {
        panic!("one task: {polled:?}");
    };
    assert_eq!(next.id.as_ref().expect("told").run, other);
    server.end().await;
}

#[tokio::test]
async fn a_cancel_of_a_lost_answer_waits_for_a_heartbeat_that_names_its_task() {
    let server = Server::open().await;
    let (driver, task) = cancelled_by_a_lost_answer(&server).await;
    // One that was said before the task came.
    assert!(driver.beat(Vec::new()).await.cancels.is_empty());
    let heard = driver.beat(named(&task)).await;
    assert_eq!(heard.cancels.len(), 1, "{heard:?}");
    // What has ended is told to stop no more.
    let cancelled = v1::Result {
        state: v1::AttemptState::Cancelled.into(),
        ..v1::Result::default()
    };
    let ended = driver.report(&task.token, cancelled).await;
    assert_eq!(ended.status(), v1::ReportStatus::Accepted);
    let stale = async {
        loop {
            let heard = driver.beat(named(&task)).await;
            if !heard.stale_tokens.is_empty() {
                return heard;
            }
            // Whether the run has ended is being read.
            tokio::task::yield_now().await;
        }
    };
    let heard = tokio::time::timeout(Duration::from_secs(60), stale).await;
    let heard = heard.expect("it is told");
    assert_eq!(heard.stale_tokens, std::slice::from_ref(&task.token));
    assert!(heard.cancels.is_empty(), "{heard:?}");
    server.end().await;
}
