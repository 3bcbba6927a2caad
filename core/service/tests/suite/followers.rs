//! Many follow one run.

use crate::{handlers, start};
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_proto::v1::watch_run_events_response::Item;
use conveyor_service::ControlHandlers;
use tokio::task::JoinSet;
use tokio_stream::StreamExt as _;
use tonic::{Request, Status};

/// Steps that follow each other: more records and more events than are kept for whoever is late.
const STEPS: usize = 200;

fn long() -> String {
    let steps: Vec<_> = (0..STEPS)
        .map(|n| format!("{{id: w{n}, wait: {{duration: 1ms}}}}"))
        .collect();
    format!("{{steps: [{}]}}", steps.join(", "))
}

async fn watch(
    handlers: &ControlHandlers,
    run: &str,
    (after, follow): (&str, bool),
) -> impl tokio_stream::Stream<Item = Result<v1::WatchRunEventsResponse, Status>> + use<> {
    let request = v1::WatchRunEventsRequest {
        run: run.to_owned(),
        after: after.to_owned(),
        follow,
    };
    let answer = handlers.watch_run_events(Request::new(request)).await;
    answer.expect("the run is there").into_inner()
}

/// The ids of all events of a stream. Its end is that of a run that succeeded, and names the last one.
async fn all(
    mut stream: impl tokio_stream::Stream<Item = Result<v1::WatchRunEventsResponse, Status>> + Unpin,
) -> Vec<String> {
    let mut ids = Vec::new();
    while let Some(told) = stream.next().await {
        match told.expect("an item").item.expect("of a kind") {
            Item::Event(event) => ids.push(event.id),
            Item::End(end) => {
                assert_eq!(end.state(), v1::RunState::Succeeded);
                assert_eq!(Some(&end.last), ids.last());
            }
        }
    }
    ids
}

#[tokio::test]
async fn each_follower_sees_each_event_once_whenever_it_comes_and_however_slow_it_is() {
    let handlers = handlers().await;
    let run = start(&handlers, &long()).await;
    // It reads nothing before the run has ended.
    let slow = watch(&handlers, &run, ("", true)).await;
    let mut followers = JoinSet::new();
    let mut first = watch(&handlers, &run, ("", true)).await;
    let mut seen = Vec::new();
    while let Some(told) = first.next().await {
        let Some(Item::Event(event)) = told.expect("an item").item else {
            continue;
        };
        seen.push(event.id);
        // Others come all the time: from the beginning, and from where this one is.
        if seen.len() % 20 == 0 {
            let fresh = watch(&handlers, &run, ("", true)).await;
            followers.spawn(async move { (0, all(fresh).await) });
            let last = seen.last().cloned().unwrap_or_default();
            let back = watch(&handlers, &run, (&last, true)).await;
            let from = seen.len();
            followers.spawn(async move { (from, all(back).await) });
        }
    }
    let whole = all(watch(&handlers, &run, ("", false)).await).await;
    assert!(whole.len() > 3 * STEPS, "{}", whole.len());
    assert_eq!(seen, whole);
    assert_eq!(all(slow).await, whole);
    while let Some(follower) = followers.join_next().await {
        let (from, ids) = follower.expect("no panic");
        assert_eq!(ids, whole[from..], "from {from}");
    }
}
