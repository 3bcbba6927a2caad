//! How a document would run, as a server says it.

use super::{handlers, request};
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_service::ControlHandlers;
use prost::Message as _;
use tonic::{Code, Request, Status};

fn document(spec: &str) -> v1::Document {
    match request(spec).pipeline {
        Some(v1::start_run_request::Pipeline::Document(document)) => document,
        _ => unreachable!("it is one"),
    }
}

async fn plan(
    handlers: &ControlHandlers,
    request: v1::PlanPipelineRequest,
) -> Result<v1::PlanPipelineResponse, Status> {
    Ok(handlers
        .plan_pipeline(Request::new(request))
        .await?
        .into_inner())
}

fn of(spec: &str) -> v1::PlanPipelineRequest {
    v1::PlanPipelineRequest {
        document: Some(document(spec)),
        ..v1::PlanPipelineRequest::default()
    }
}

const FANS: &str = r#"
  inputs: {type: object, required: [n], properties: {n: {type: integer}}}
  fail_fast: cancel
  timeout: 1h
  steps:
    - id: first
      transform: {x: 1}
    - id: known
      needs: [first]
      matrix: {axes: {os: [linux, mac], n: [1]}, max_parallel: 2}
      transform: {x: 1}
    - id: asked
      needs: [first]
      foreach: {items: '${{ lists.range(inputs.n) }}'}
      transform: {x: '${{ item }}'}
    - id: rest
      needs: {rule: 'known.failed || asked.ok', handles: [known]}
      when: 'inputs.n > 1'
      wait: {duration: 10m}
  finally:
    - id: bye
      wait: {duration: '${{ string(inputs.n) }}s'}
"#;

#[tokio::test]
async fn a_plan_has_all_that_is_known_before_a_run() {
    let handlers = handlers().await;
    let answer = plan(&handlers, of(FANS)).await.expect("a plan");
    let told = answer.plan.expect("a plan");
    assert_eq!(told.name, "p");
    assert_eq!(told.fail_fast(), v1::PlanFailFast::Cancel);
    assert_eq!(told.timeout_ms, Some(3_600_000));
    assert_eq!(told.critical_path.len(), 3, "{:?}", told.critical_path);
    let [first, known, asked, rest, bye] = &told.steps[..] else {
        panic!("{told:?}");
    };
    assert_eq!((first.kind(), first.tries), (v1::StepKind::Transform, 1));
    let texts = |step: &v1::PlanStep| -> Vec<String> {
        let instances = step.instances.iter();
        instances
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .collect()
    };
    let fan = known.fan.as_ref().expect("a fan-out");
    assert_eq!(
        (fan.kind(), fan.count),
        (v1::PlanFanOutKind::Matrix, Some(2))
    );
    assert_eq!(
        (&fan.over[..], known.max_parallel),
        (&["os".to_owned(), "n".to_owned()][..], 2)
    );
    assert_eq!(texts(known).len(), 2, "{:?}", texts(known));
    let fan = asked.fan.as_ref().expect("a fan-out");
    assert_eq!((fan.kind(), fan.count), (v1::PlanFanOutKind::Foreach, None));
    assert_eq!(fan.depends_on, ["inputs"]);
    assert_eq!(rest.handles, ["known"]);
    assert_eq!(
        (rest.when.as_str(), rest.wait.as_str()),
        ("inputs.n > 1", "10m")
    );
    assert!(bye.finally && bye.wait.is_empty(), "{bye:?}");
    let with = v1::PlanPipelineRequest {
        text_inputs: [("n".to_owned(), "3".to_owned())].into(),
        ..of(FANS)
    };
    let told = plan(&handlers, with)
        .await
        .expect("a plan")
        .plan
        .expect("a plan");
    assert_eq!(texts(&told.steps[2]), ["0", "1", "2"]);
    assert_eq!(
        told.steps[2].fan.as_ref().and_then(|fan| fan.count),
        Some(3)
    );
}

#[tokio::test]
async fn what_an_apply_refuses_a_plan_refuses_with_the_same_places() {
    let handlers = handlers().await;
    for spec in [
        "{steps: [{id: a, transform: {x: 1}, needs: [b]}]}",
        "{steps: [{id: a, driver: exec, with: {run: x}}]}",
        "{stepz: []}",
    ] {
        let planned = plan(&handlers, of(spec)).await.expect_err("refused");
        let apply = v1::ApplyPipelineRequest {
            document: Some(document(spec)),
            ..v1::ApplyPipelineRequest::default()
        };
        let applied = handlers
            .apply_pipeline(Request::new(apply))
            .await
            .expect_err("refused");
        assert_eq!(planned.code(), Code::InvalidArgument);
        let refusal = v1::Refusal::decode(planned.details()).expect("a refusal");
        assert!(!refusal.diagnostics.is_empty(), "{spec}: {planned}");
        assert_eq!(
            Ok(refusal),
            v1::Refusal::decode(applied.details()),
            "{spec}"
        );
    }
    let wrong = v1::PlanPipelineRequest {
        text_inputs: [("n".to_owned(), "three".to_owned())].into(),
        ..of(FANS)
    };
    let refused = plan(&handlers, wrong).await.expect_err("no number");
    let refusal = v1::Refusal::decode(refused.details()).expect("a refusal");
    assert_eq!(refusal.diagnostics[0].pointer, "/n", "{refusal:?}");
}
