//! What a client is told it may not ask, with limit and value.

use crate::{get, handlers, request, start};
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use tonic::{Code, Request, Status};

const ONE: &str = "{steps: [{id: a, transform: {x: 1}}]}";

#[track_caller]
fn says<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, message: &str) {
    let status = answer.expect_err("a refusal");
    assert_eq!((status.code(), status.message()), (code, message));
}

#[tokio::test]
async fn limits_are_named_with_limit_and_value() {
    let handlers = handlers().await;
    let run = start(&handlers, ONE).await;
    let steps = vec!["a".to_owned(); 1001];
    let asked = v1::GetRunRequest {
        run: run.clone(),
        steps,
        ..Default::default()
    };
    says(
        get(&handlers, asked).await,
        Code::InvalidArgument,
        "the limit `steps` is 1000; the request has 1001",
    );
    let mut labels = request(ONE);
    labels.labels = (0..65).map(|n| (n.to_string(), String::new())).collect();
    says(
        handlers.start_run(Request::new(labels)).await,
        Code::InvalidArgument,
        "the limit `labels` is 64; the request has 65",
    );
    let mut actor = request(ONE);
    actor.actor = "a".repeat(257);
    says(
        handlers.start_run(Request::new(actor)).await,
        Code::InvalidArgument,
        "the limit `actor` is 256; the request has 257",
    );
    let mut inputs = request(ONE);
    inputs.inputs = vec![b' '; (16 << 20) + 1].into();
    says(
        handlers.start_run(Request::new(inputs)).await,
        Code::InvalidArgument,
        "the limit `inputs` is 16777216; the request has 16777217",
    );
    let tail = v1::ReadLogsRequest {
        run,
        tail: Some(100_001),
        ..Default::default()
    };
    says(
        handlers.read_logs(Request::new(tail)).await.map(|_| ()),
        Code::InvalidArgument,
        "the limit `tail` is 100000; the request has 100001",
    );
    let documents = vec![v1::Document::default(); 1001];
    says(
        handlers
            .check_pipeline(Request::new(v1::CheckPipelineRequest { documents }))
            .await,
        Code::InvalidArgument,
        "the limit `documents` is 1000; the request has 1001",
    );
}

#[tokio::test]
async fn inputs_are_read_as_strictly_as_a_document() {
    let handlers = handlers().await;
    for (inputs, message) in [
        ("[1]", "`inputs` must be a JSON object"),
        (
            r#"{"n": 18446744073709551616}"#,
            "`inputs`: line 1, column 7, at /n: the integer 18446744073709551616 does not fit in 64 bits",
        ),
        (r#"{"n": 1, "n": 2}"#, "`inputs`: line 1, column 10"),
    ] {
        let mut asked = request(ONE);
        asked.inputs = inputs.as_bytes().to_vec().into();
        let answer = handlers.start_run(Request::new(asked)).await;
        let status = answer.expect_err("a refusal");
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with(message), "{status}");
    }
}

#[tokio::test]
async fn what_is_not_there_and_what_comes_later_is_said_by_name() {
    let handlers = handlers().await;
    let run = start(&handlers, ONE).await;
    let page = |page_token: &str| v1::GetRunRequest {
        run: run.clone(),
        page_token: page_token.to_owned(),
        ..Default::default()
    };
    for token in ["x", "1.2", "1.2.3.4", "1.x.0"] {
        says(
            get(&handlers, page(token)).await,
            Code::InvalidArgument,
            "the page token is not one of this run",
        );
    }
    let asked = v1::GetRunRequest {
        run: run.clone(),
        steps: vec!["b".to_owned()],
        ..Default::default()
    };
    says(
        get(&handlers, asked).await,
        Code::InvalidArgument,
        "the run has no step `b`; it has: a",
    );
    says(
        handlers
            .plan_pipeline(Request::new(v1::PlanPipelineRequest::default()))
            .await,
        Code::InvalidArgument,
        "`document` is missing",
    );
    let mut stored = request(ONE);
    stored.pipeline = Some(v1::start_run_request::Pipeline::Stored(v1::PipelineRef {
        name: "release".to_owned(),
        ..Default::default()
    }));
    says(
        handlers.start_run(Request::new(stored)).await,
        Code::NotFound,
        "there is no pipeline `release` in the namespace `default`: apply it first, or name the one that it is in",
    );
    let mut about = request(ONE);
    about.resource = Some(v1::ResourceVersion {
        definition: "application".to_owned(),
        name: "web".to_owned(),
        ..v1::ResourceVersion::default()
    });
    says(
        handlers.start_run(Request::new(about)).await,
        Code::NotFound,
        "there is no Resource `application/web` in the namespace `default`: apply it first, or name the one that it is in",
    );
}
