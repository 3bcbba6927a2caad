//! What followers of a namespace are told: each event once, whatever becomes of them meanwhile.

mod kept;
mod many;
mod namespaces;

use super::{handlers, request, start};
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_proto::v1::watch_events_response::Item;
use conveyor_service::ControlHandlers;
use conveyor_store::Bytes;
use prost::Message as _;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status};

type Stream = ReceiverStream<Result<v1::WatchEventsResponse, Status>>;

const ONE: &str = "{steps: [{id: a, transform: {x: 1}}]}";

async fn watch(
    handlers: &ControlHandlers,
    request: v1::WatchEventsRequest,
) -> Result<Stream, Status> {
    let answer = handlers.watch_events(Request::new(request)).await?;
    Ok(answer.into_inner())
}

fn after(cursor: &str) -> v1::WatchEventsRequest {
    v1::WatchEventsRequest {
        cursor: cursor.to_owned(),
        ..v1::WatchEventsRequest::default()
    }
}

/// All that there is now, from the oldest on.
fn whole() -> v1::WatchEventsRequest {
    v1::WatchEventsRequest {
        from_oldest: true,
        until_now: true,
        ..v1::WatchEventsRequest::default()
    }
}

async fn next(stream: &mut Stream) -> v1::WatchEventsResponse {
    loop {
        let told = stream.next().await.expect("it goes on").expect("told");
        if told.item.is_some() {
            return told;
        }
    }
}

async fn rest(mut stream: Stream) -> Vec<v1::WatchEventsResponse> {
    let mut all = Vec::new();
    while let Some(told) = stream.next().await {
        let told = told.expect("told");
        if told.item.is_some() {
            all.push(told);
        }
    }
    all
}

/// An event in a few words.
fn word(told: &v1::WatchEventsResponse) -> String {
    match told.item.as_ref().expect("an event") {
        Item::RunEvent(event) => {
            let Some(v1::event::Event::RunChanged(changed)) = &event.event else {
                panic!("a run changes: {event:?}");
            };
            let run = told.run.as_ref().expect("its run");
            assert_eq!(run.state, changed.to);
            assert_eq!(
                run.ended_ms.is_some(),
                changed.to() == v1::RunState::Succeeded
            );
            assert_eq!((&run.id, &run.namespace), (&event.run, &told.namespace));
            let state = |state: v1::RunState| state.as_str_name()[10..].to_lowercase();
            format!(
                "{} {}>{}",
                run.pipeline,
                state(changed.from()),
                state(changed.to())
            )
        }
        Item::ResourceEvent(event) => {
            let of = event.resource.as_ref().expect("a version");
            let change = event.change().as_str_name()[16..].to_lowercase();
            format!(
                "{}/{} {} {change} by {}",
                of.definition, of.name, of.version, event.actor
            )
        }
        Item::ObjectEvent(event) => {
            let kind = event.kind().as_str_name()[12..].to_lowercase();
            let change = event.change().as_str_name()[16..].to_lowercase();
            format!(
                "{kind} {} {} {change} by {}",
                event.name, event.version, event.actor
            )
        }
    }
}

fn words(all: &[v1::WatchEventsResponse]) -> Vec<String> {
    all.iter().map(word).collect()
}

/// Follows until a run has succeeded.
async fn until_succeeded(stream: &mut Stream) -> Vec<v1::WatchEventsResponse> {
    let mut all = Vec::new();
    loop {
        all.push(next(stream).await);
        if word(all.last().expect("one")).ends_with(">succeeded") {
            return all;
        }
    }
}

fn document(spec: &str) -> v1::Document {
    match request(spec).pipeline {
        Some(v1::start_run_request::Pipeline::Document(document)) => document,
        _ => unreachable!("it is one"),
    }
}

async fn store(handlers: &ControlHandlers, spec: &str) {
    let request = v1::ApplyPipelineRequest {
        document: Some(document(spec)),
        ..v1::ApplyPipelineRequest::default()
    };
    let stored = handlers.apply_pipeline(Request::new(request)).await;
    stored.expect("it is stored");
}

fn named(name: &str, labels: &[(&str, &str)]) -> Option<v1::Metadata> {
    let labels = labels.iter();
    Some(v1::Metadata {
        name: name.to_owned(),
        labels: labels
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
        ..v1::Metadata::default()
    })
}

async fn namespace(handlers: &ControlHandlers, name: &str) {
    let request = v1::CreateNamespaceRequest {
        namespace: Some(v1::Namespace {
            metadata: named(name, &[]),
        }),
        ..v1::CreateNamespaceRequest::default()
    };
    let made = handlers.create_namespace(Request::new(request)).await;
    made.expect("a namespace");
}

async fn define(handlers: &ControlHandlers) {
    let request = v1::ApplyDefinitionRequest {
        definition: Some(v1::ResourceDefinition {
            metadata: named("app", &[]),
            schema: Bytes::from_static(b"{\"type\": \"object\"}"),
            ..v1::ResourceDefinition::default()
        }),
        ..v1::ApplyDefinitionRequest::default()
    };
    handlers
        .apply_definition(Request::new(request))
        .await
        .expect("defined");
}

async fn put(handlers: &ControlHandlers, name: &str, n: u32, labels: &[(&str, &str)]) {
    let request = v1::ApplyResourceRequest {
        resource: Some(v1::Resource {
            metadata: named(name, labels),
            definition: "app".to_owned(),
            spec: format!("{{\"n\": {n}}}").into_bytes().into(),
            ..v1::Resource::default()
        }),
        ..v1::ApplyResourceRequest::default()
    };
    handlers
        .apply_resource(Request::new(request))
        .await
        .expect("applied");
}

#[tokio::test]
async fn what_happens_is_told_as_it_happens_and_again_after_any_cursor() {
    let handlers = handlers().await;
    let mut live = watch(&handlers, v1::WatchEventsRequest::default())
        .await
        .expect("it follows");
    let first = live.next().await.expect("it begins").expect("told");
    assert_eq!(first.item, None, "first it is told where it is");
    define(&handlers).await;
    put(&handlers, "web", 1, &[]).await;
    put(&handlers, "web", 1, &[]).await;
    put(&handlers, "web", 2, &[]).await;
    let gone = v1::DeleteResourceRequest {
        definition: "app".to_owned(),
        name: "web".to_owned(),
        ..v1::DeleteResourceRequest::default()
    };
    handlers
        .delete_resource(Request::new(gone))
        .await
        .expect("deleted");
    store(&handlers, ONE).await;
    store(&handlers, ONE).await;
    store(&handlers, "{steps: [{id: b, transform: {x: 1}}]}").await;
    let gone = v1::DeletePipelineRequest {
        name: "p".to_owned(),
        ..v1::DeletePipelineRequest::default()
    };
    handlers
        .delete_pipeline(Request::new(gone))
        .await
        .expect("deleted");
    start(&handlers, ONE).await;
    let told = until_succeeded(&mut live).await;
    let said = words(&told);
    let objects = [
        "definition app 1 created by local",
        "app/web 1 created by local",
        "app/web 2 updated by local",
        "app/web 2 deleted by local",
        "pipeline p 1 created by local",
        "pipeline p 2 updated by local",
        "pipeline p 2 deleted by local",
    ];
    assert_eq!(said[..objects.len()], objects);
    // What comes of a run is a chain.
    let mut at = "queued".to_owned();
    for change in &said[objects.len()..] {
        let (from, to) = change
            .strip_prefix("p ")
            .and_then(|of| of.split_once('>'))
            .expect("of p");
        assert_eq!(from, at, "{said:?}");
        to.clone_into(&mut at);
    }
    assert_eq!(at, "succeeded");
    // An event of a run is the one that the run's own events have.
    let Some(Item::RunEvent(last)) = &told.last().expect("one").item else {
        panic!("{told:?}");
    };
    let own = v1::WatchRunEventsRequest {
        run: last.run.clone(),
        ..v1::WatchRunEventsRequest::default()
    };
    let own = handlers
        .watch_run_events(Request::new(own))
        .await
        .expect("its events");
    let own: Vec<_> = own.into_inner().collect().await;
    let same = own
        .into_iter()
        .flatten()
        .any(|one| one.item == Some(v1::watch_run_events_response::Item::Event(last.clone())));
    assert!(same, "{last:?}");
    for (count, told_then) in std::iter::once(&first).chain(&told).enumerate() {
        let again = v1::WatchEventsRequest {
            until_now: true,
            ..after(&told_then.cursor)
        };
        let again = rest(watch(&handlers, again).await.expect("it goes on")).await;
        // Of each lane in its order; how both lie together may differ.
        let by_lane = |all: &[v1::WatchEventsResponse]| -> (Vec<String>, Vec<String>) {
            words(all)
                .into_iter()
                .partition(|word| word.starts_with("p "))
        };
        assert_eq!(by_lane(&again), by_lane(&told[count..]), "after {count}");
    }
    let all = rest(watch(&handlers, whole()).await.expect("all")).await;
    assert_eq!(all.len(), told.len());
}

#[tokio::test]
async fn a_filter_leaves_the_rest_out_and_still_says_where_to_go_on() {
    let handlers = handlers().await;
    define(&handlers).await;
    put(&handlers, "web", 1, &[("team", "web")]).await;
    put(&handlers, "db", 1, &[("team", "data")]).await;
    store(&handlers, ONE).await;
    let mut labelled = request(ONE);
    labelled.labels.insert("team".to_owned(), "web".to_owned());
    labelled.wait_ms = 60_000;
    handlers
        .start_run(Request::new(labelled))
        .await
        .expect("a run");
    let all = async |request: v1::WatchEventsRequest| {
        words(&rest(watch(&handlers, request).await.expect("events")).await)
    };
    let of_team = v1::WatchEventsRequest {
        labels: [("team".to_owned(), "web".to_owned())].into(),
        ..whole()
    };
    let said = all(of_team).await;
    assert_eq!(said[0], "app/web 1 created by local");
    assert!(
        said[1..].iter().all(|word| word.starts_with("p ")),
        "{said:?}"
    );
    let of_pipeline = v1::WatchEventsRequest {
        pipeline: "p".to_owned(),
        ..whole()
    };
    let said = all(of_pipeline.clone()).await;
    assert!(
        said.iter()
            .all(|word| word.starts_with("p ") || word.starts_with("pipeline p "))
    );
    assert!(said.len() > 2, "{said:?}");
    let mut ended = v1::WatchEventsRequest {
        states: vec![v1::RunState::Succeeded.into(), v1::RunState::Failed.into()],
        ..of_pipeline
    };
    let said = all(ended.clone()).await;
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].ends_with(">succeeded"));
    // Nothing fits, and so much is passed over that it is told where to go on.
    ended.states = vec![v1::RunState::Paused.into()];
    (ended.from_oldest, ended.until_now) = (false, false);
    let mut quiet = watch(&handlers, ended).await.expect("it follows");
    let begin = quiet.next().await.expect("it begins").expect("told").cursor;
    for n in 0..1001 {
        put(&handlers, "db", n, &[]).await;
    }
    let moved = quiet.next().await.expect("it goes on").expect("told");
    assert_eq!(moved.item, None);
    assert_ne!(moved.cursor, begin);
    // So it is for a namespace where nothing happens.
    namespace(&handlers, "team").await;
    let of_team = v1::WatchEventsRequest {
        namespace: "team".to_owned(),
        ..v1::WatchEventsRequest::default()
    };
    let mut quiet = watch(&handlers, of_team).await.expect("it follows");
    let begin = quiet.next().await.expect("it begins").expect("told").cursor;
    for n in 1001..2002 {
        put(&handlers, "db", n, &[]).await;
    }
    let moved = quiet.next().await.expect("it goes on").expect("told");
    assert_eq!(moved.item, None);
    assert_ne!(moved.cursor, begin);
    for (request, limit) in [
        (
            v1::WatchEventsRequest {
                labels: (0..65).map(|n| (n.to_string(), String::new())).collect(),
                ..whole()
            },
            "the limit `labels` is 64; the request has 65",
        ),
        (
            v1::WatchEventsRequest {
                states: vec![1; 11],
                ..whole()
            },
            "the limit `states` is 10; the request has 11",
        ),
        (
            v1::WatchEventsRequest {
                states: vec![99],
                ..whole()
            },
            "`states/0` is 99, which is none of queued, running, paused, cancelling, draining, finishing, \
             quarantined, succeeded, failed, cancelled",
        ),
    ] {
        let refused = watch(&handlers, request).await.expect_err("refused");
        assert_eq!(
            (refused.code(), refused.message()),
            (Code::InvalidArgument, limit)
        );
    }
}

#[tokio::test]
async fn a_cursor_that_is_none_is_refused_and_one_of_another_store_is_a_gap() {
    let handlers = handlers().await;
    for text in ["x", "17.2", "1.2.3.00000000", &"1".repeat(257)] {
        let refused = watch(&handlers, after(text)).await.expect_err("no cursor");
        assert_eq!(refused.code(), Code::InvalidArgument, "{text}");
    }
    define(&handlers).await;
    start(&handlers, ONE).await;
    let told = rest(watch(&handlers, whole()).await.expect("all")).await;
    let cursor = told.last().expect("one").cursor.clone();
    watch(&handlers, after(&cursor)).await.expect("its own");
    // Another store has other events in the same places.
    let other = super::handlers().await;
    put_something_else(&other).await;
    let refused = watch(&other, after(&cursor)).await.expect_err("another's");
    assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
    let gap = v1::EventsGap::decode(refused.details()).expect("a gap");
    let from = watch(&other, after(&gap.oldest)).await;
    assert_eq!(
        word(&next(&mut from.expect("it follows")).await),
        "pipeline p 1 created by local"
    );
}

async fn put_something_else(handlers: &ControlHandlers) {
    store(handlers, ONE).await;
    let mut request = request(ONE);
    request.wait_ms = 60_000;
    handlers
        .start_run(Request::new(request))
        .await
        .expect("a run");
}
