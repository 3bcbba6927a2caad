//! How logs end, and how reading does.

use super::{Had, Phased, Setup, following, read};
use crate::stream::PATIENCE;
use crate::support::{Calls, Hand};
use crate::{get, start};
use conveyor_node::session::SEALED_AFTER;
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_proto::v1::read_logs_response::Item;
use conveyor_service::CLOSING;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;
use tokio_stream::StreamExt as _;
use tonic::{Code, Request, Status};

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_sealed_five_minutes_after_its_attempt_ended() {
    let began = 1_000_000;
    let clock = Arc::new(Hand(AtomicU64::new(began)));
    let handlers = Setup {
        clock: clock.clone(),
        ..Setup::default()
    };
    let handlers = handlers.open().await;
    let run = start(&handlers, "{steps: [{id: a, driver: raw}]}").await;
    let driver = Calls::register(handlers.node(), 1).await;
    let token = driver.take().await.token;
    let say = async |offset| {
        let line = v1::LogLine {
            text: format!("line {offset}").into_bytes().into(),
            ..v1::LogLine::default()
        };
        driver.log(&token, offset, vec![line]).await
    };
    assert_eq!(say(0).await.next_offset, 1);
    // Its result tells of more lines than have come.
    let result = v1::Result {
        state: v1::AttemptState::Succeeded.into(),
        last_log_offset: Some(9),
        ..v1::Result::default()
    };
    let told = driver.report(&token, result).await;
    assert_eq!(told.status(), v1::ReportStatus::Accepted);
    let stream = handlers.read_logs(Request::new(following(&run, ""))).await;
    let mut stream = stream.expect("a stream").into_inner();
    let mut next = async || {
        let next = tokio::time::timeout(PATIENCE, stream.next()).await;
        let next = next.expect("it comes in time").expect("it goes on");
        next.expect("it is told").item.expect("it has an item")
    };
    let offset = |item: &Item| match item {
        Item::Records(records) => records.records[0].offset,
        other => panic!("{other:?}"),
    };
    assert_eq!(offset(&next().await), 0);
    // A millisecond before, lines are taken, and who reads waits for them.
    clock.0.store(began + SEALED_AFTER.0 - 1, Ordering::SeqCst);
    let kept = say(1).await;
    assert_eq!((kept.next_offset, kept.sealed), (2, false));
    assert_eq!(offset(&next().await), 1);
    clock.0.store(began + SEALED_AFTER.0, Ordering::SeqCst);
    let refused = say(2).await;
    assert!(refused.sealed, "{refused:?}");
    let Item::LogEnd(end) = next().await else {
        panic!("no end of the log");
    };
    assert_eq!(end.next_offset, 2);
    assert!(matches!(next().await, Item::End(_)));
    // Whoever comes later has the same, at once.
    let again = read(&handlers, following(&run, ""), Had::default(), |had| {
        had.over
    })
    .await;
    assert_eq!(again.last().expect("an end").1.lines.len(), 2);
    let told = v1::GetRunRequest {
        run,
        ..v1::GetRunRequest::default()
    };
    let told = get(&handlers, told).await.expect("a run").run;
    assert_eq!(told.expect("told").state(), v1::RunState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_tells_its_followers_to_come_back() {
    let (_phase, phased) = watch::channel(1);
    let handlers = Setup {
        drivers: vec![Arc::new(Phased(phased))],
        capacity: 1,
        ..Setup::default()
    };
    let handlers = handlers.open().await;
    let run = start(&handlers, "{steps: [{id: a, driver: exec}]}").await;
    let logs = handlers.read_logs(Request::new(following(&run, ""))).await;
    let mut logs = logs.expect("a stream").into_inner();
    let watch = v1::WatchRunEventsRequest {
        run,
        follow: true,
        ..v1::WatchRunEventsRequest::default()
    };
    let events = handlers.watch_run_events(Request::new(watch)).await;
    let mut events = events.expect("a stream").into_inner();
    assert!(logs.next().await.expect("it goes on").is_ok());
    handlers.gate().close();
    let closing = |status: &Status| {
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.metadata().contains_key(CLOSING), "{status:?}");
    };
    loop {
        match logs.next().await.expect("it says why") {
            Ok(answer) => assert!(matches!(answer.item, Some(Item::Records(_)))),
            Err(status) => break closing(&status),
        }
    }
    assert!(logs.next().await.is_none());
    loop {
        match events.next().await.expect("it says why") {
            Ok(answer) => {
                use v1::watch_run_events_response::Item;
                assert!(matches!(answer.item, Some(Item::Event(_))));
            }
            Err(status) => break closing(&status),
        }
    }
    assert!(events.next().await.is_none());
}
