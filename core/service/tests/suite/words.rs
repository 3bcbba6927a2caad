//! What a request names and nobody knows: numbers of enums, and steps.

use crate::{get, handlers, request, start};
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use prost::Message as _;
use tonic::{Code, Request, Status};

const STATES: &str = "queued, running, paused, cancelling, draining, finishing, quarantined, succeeded, \
                      failed, cancelled";

/// The one thing that a request is refused for.
#[track_caller]
fn refused<T>(answer: Result<T, Status>) -> v1::Diagnostic {
    let status = answer.map(|_| ()).expect_err("a refusal");
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let refusal = v1::Refusal::decode(status.details()).expect("a refusal");
    let [one] = <[_; 1]>::try_from(refusal.diagnostics).expect("one");
    assert_eq!(status.message(), one.message);
    one
}

#[tokio::test]
async fn a_number_that_no_enum_has_is_refused_by_every_call_that_takes_one() {
    let handlers = handlers().await;
    let run = start(&handlers, "{steps: [{id: a, transform: {x: 1}}]}").await;
    let failed: i32 = v1::RunState::Failed.into();
    let list = v1::ListRunsRequest {
        states: vec![99],
        ..v1::ListRunsRequest::default()
    };
    let watch = v1::WatchEventsRequest {
        states: vec![failed, -1],
        until_now: true,
        ..v1::WatchEventsRequest::default()
    };
    let view = v1::GetRunRequest {
        run: run.clone(),
        view: 99,
        ..v1::GetRunRequest::default()
    };
    let stop = v1::StopRunRequest {
        run,
        kind: 99,
        ..v1::StopRunRequest::default()
    };
    let token = v1::CreateTokenRequest {
        scope: 99,
        ..v1::CreateTokenRequest::default()
    };
    let stop = handlers.stop_run(Request::new(stop)).await;
    let token = handlers.create_token(Request::new(token)).await;
    let answers = [
        (
            "/states/0",
            "99",
            STATES,
            refused(handlers.list_runs(Request::new(list)).await),
        ),
        (
            "/states/1",
            "-1",
            STATES,
            refused(handlers.watch_events(Request::new(watch)).await),
        ),
        (
            "/view",
            "99",
            "run, steps, attempts",
            refused(get(&handlers, view).await),
        ),
        ("/kind", "99", "drain, cancel, terminate", refused(stop)),
        ("/scope", "99", "driver, client, admin", refused(token)),
    ];
    for (pointer, found, words, one) in answers {
        let name = &pointer[1..];
        let message = format!("`{name}` is {found}, which is none of {words}");
        assert_eq!((one.pointer.as_str(), &one.message), (pointer, &message));
        assert_eq!(
            (one.found.as_str(), one.allowed.join(", ").as_str()),
            (found, words)
        );
    }
    let unset = v1::ListRunsRequest {
        states: vec![0],
        ..v1::ListRunsRequest::default()
    };
    let unset = refused(handlers.list_runs(Request::new(unset)).await);
    assert_eq!(unset.pointer, "/states/0", "a filter by no state is none");
}

#[tokio::test]
async fn a_fork_from_a_step_that_is_none_says_where_and_what_is_near() {
    let handlers = handlers().await;
    let spec = "{steps: [{id: build, transform: {x: 1}}, {id: publish, transform: {x: 1}}]}";
    let mut asked = request(spec);
    asked.wait_ms = 60_000;
    let run = handlers
        .start_run(Request::new(asked))
        .await
        .expect("a run");
    let run = run.into_inner().run.expect("told").id;
    for preview in [true, false] {
        let fork = v1::ForkRunRequest {
            run: run.clone(),
            from_steps: vec!["build".to_owned(), "pubilsh".to_owned()],
            preview,
            ..v1::ForkRunRequest::default()
        };
        let one = refused(handlers.fork_run(Request::new(fork)).await);
        let message = "the pipeline has no step `pubilsh`; it has: build, publish";
        assert_eq!(one.message, message);
        assert_eq!((&*one.pointer, &*one.found), ("/from_steps/1", "pubilsh"));
        assert_eq!((&*one.suggestion, &*one.code), ("publish", "value"));
    }
    let logs = v1::ReadLogsRequest {
        run,
        step: "bulid".to_owned(),
        ..v1::ReadLogsRequest::default()
    };
    let one = refused(handlers.read_logs(Request::new(logs)).await);
    assert_eq!((&*one.pointer, &*one.suggestion), ("/step", "build"));
}
