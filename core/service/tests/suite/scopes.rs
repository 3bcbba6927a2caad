//! Who may make which call, and whose things it touches.

use crate::{handlers, request};
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::{ControlService as _, ControlServiceServer};
use conveyor_proto::v1::driver_service_server::{DriverService as _, DriverServiceServer};
use conveyor_service::{Caller, ControlHandlers, DriverHandlers, Scope};
use http_body_util::Full;
use prost_reflect::DescriptorPool;
use tonic::{Code, Request, Status};
use tower::ServiceExt as _;

fn caller(scope: Scope, namespace: Option<&str>) -> Caller {
    Caller {
        principal: "someone".into(),
        scope,
        namespace: namespace.map(Into::into),
        standing: None,
    }
}

fn by<T>(caller: &Caller, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(caller.clone());
    request
}

/// Whether a call with an empty message is refused for who asks.
async fn refused(handlers: &ControlHandlers, path: &str, caller: &Caller) -> bool {
    let mut asked = http::Request::post(path)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(conveyor_store::Bytes::from_static(&[0; 5])))
        .expect("a request");
    asked.extensions_mut().insert(caller.clone());
    let answer = match path.starts_with("/conveyor.v1.DriverService/") {
        true => {
            let driver = DriverHandlers::new(handlers.node().clone());
            DriverServiceServer::new(driver).oneshot(asked).await
        }
        false => {
            let control = ControlServiceServer::new(handlers.clone());
            control.oneshot(asked).await
        }
    };
    let answer = answer.expect("an answer");
    let status = Status::from_header_map(answer.headers());
    status.is_some_and(|status| status.code() == Code::PermissionDenied)
}

/// The least scope that each call takes; a new call has to be put here, by whoever decides that.
fn takes(service: &str, call: &str) -> &'static [Scope] {
    match (service, call) {
        ("DriverService", _) => &[Scope::Driver, Scope::Admin],
        (
            "ControlService",
            "CreateNamespace" | "UpdateNamespace" | "DeleteNamespace" | "CreateToken"
            | "ListTokens" | "RevokeToken" | "Backup",
        ) => &[Scope::Admin],
        (
            "ControlService",
            "CheckPipeline"
            | "PlanPipeline"
            | "StartRun"
            | "ContinueRun"
            | "GetRun"
            | "ListRuns"
            | "WatchRunEvents"
            | "WatchEvents"
            | "ReadLogs"
            | "StopRun"
            | "PauseRun"
            | "ResumeRun"
            | "ForkRun"
            | "ReleaseRun"
            | "DeleteRun"
            | "ListNamespaces"
            | "ApplyPipeline"
            | "GetPipeline"
            | "ListPipelines"
            | "DeletePipeline"
            | "ListDrivers"
            | "ApplyDefinition"
            | "GetDefinition"
            | "ListDefinitions"
            | "DeleteDefinition"
            | "ApplyResource"
            | "GetResource"
            | "ListResources"
            | "DeleteResource"
            | "GetServerInfo"
            | "GetNamespace"
            | "GetDriver"
            | "DeleteDriver"
            | "ListPipelineRevisions",
        ) => &[Scope::Client, Scope::Admin],
        (service, call) => panic!("say which scopes {service}/{call} takes"),
    }
}

#[tokio::test]
async fn every_call_of_both_services_asks_for_its_scope() {
    let handlers = handlers().await;
    let pool = DescriptorPool::decode(conveyor_proto::DESCRIPTORS).expect("descriptors");
    let mut calls = 0;
    for service in pool.services() {
        for method in service.methods() {
            let path = format!("/{}/{}", service.full_name(), method.name());
            let takes = takes(service.name(), method.name());
            for scope in [Scope::Driver, Scope::Client, Scope::Admin] {
                let refused = refused(&handlers, &path, &caller(scope, None)).await;
                assert_eq!(refused, !takes.contains(&scope), "{path} by {scope:?}");
            }
            // An administrator of one namespace is none of all; its tokens are its own business.
            if takes == [Scope::Admin] && !method.name().contains("Token") {
                let bound = caller(Scope::Admin, Some("team"));
                assert!(refused(&handlers, &path, &bound).await, "{path}, bound");
            }
            calls += 1;
        }
    }
    assert!(calls > 40, "{calls} calls");
}

#[track_caller]
fn code<T: std::fmt::Debug>(answer: Result<T, Status>) -> Code {
    answer.expect_err("a refusal").code()
}

#[tokio::test]
async fn a_bound_caller_neither_sees_nor_touches_another_namespace() {
    let handlers = handlers().await;
    let all = caller(Scope::Admin, None);
    let named = v1::Namespace {
        metadata: Some(v1::Metadata {
            name: "team".to_owned(),
            ..Default::default()
        }),
    };
    let made = v1::CreateNamespaceRequest {
        namespace: Some(named),
        ..Default::default()
    };
    let made = handlers.create_namespace(by(&all, made)).await;
    made.expect("a namespace");
    let one = request("{steps: [{id: a, transform: {x: 1}}]}");
    let theirs = handlers.start_run(by(&all, one.clone())).await;
    let theirs = theirs.expect("a run").into_inner().run.expect("told").id;

    let bound = caller(Scope::Client, Some("team"));
    let get = |run: &str| v1::GetRunRequest {
        run: run.to_owned(),
        ..Default::default()
    };
    for named in [theirs.as_str(), &theirs[..13], "latest"] {
        let answer = handlers.get_run(by(&bound, get(named))).await;
        assert_eq!(code(answer), Code::NotFound, "{named}");
    }
    let delete = v1::DeleteRunRequest {
        run: theirs.clone(),
    };
    let answer = handlers.delete_run(by(&bound, delete)).await;
    assert_eq!(code(answer), Code::NotFound);
    // In the document's own namespace, which is another.
    let answer = handlers.start_run(by(&bound, one)).await;
    assert_eq!(code(answer), Code::PermissionDenied);
    for namespace in ["default", "none-such"] {
        let asked = v1::ListRunsRequest {
            namespace: namespace.to_owned(),
            ..Default::default()
        };
        let answer = handlers.list_runs(by(&bound, asked)).await;
        assert_eq!(code(answer), Code::PermissionDenied);
        let asked = v1::ListPipelinesRequest {
            namespace: namespace.to_owned(),
            ..Default::default()
        };
        let answer = handlers.list_pipelines(by(&bound, asked)).await;
        assert_eq!(code(answer), Code::PermissionDenied);
    }
    let listed = handlers.list_runs(by(&bound, v1::ListRunsRequest::default()));
    assert_eq!(listed.await.expect("runs").into_inner().runs, []);
    let listed = handlers.list_namespaces(by(&bound, v1::ListNamespacesRequest::default()));
    let listed = listed.await.expect("namespaces").into_inner();
    let names = listed.namespaces.into_iter().filter_map(|one| one.metadata);
    let names: Vec<_> = names.map(|metadata| metadata.name).collect();
    assert_eq!(names, ["team"]);
    assert_eq!(listed.next_page_token, "");

    // What is its own is there for it.
    let mut own = request("{steps: [{id: a, transform: {x: 1}}]}");
    if let Some(v1::start_run_request::Pipeline::Document(document)) = &mut own.pipeline {
        let text = String::from_utf8(document.source.to_vec()).expect("text");
        let text = text.replace("{name: p}", "{name: p, namespace: team}");
        document.source = text.into_bytes().into();
    }
    let run = handlers.start_run(by(&bound, own)).await;
    let run = run.expect("a run").into_inner().run.expect("told");
    // Whatever the request says.
    assert_eq!(run.actor, "someone");
    let run = run.id;
    for named in [run.as_str(), "latest"] {
        let answer = handlers.get_run(by(&bound, get(named))).await;
        let told = answer.expect("a run").into_inner().run.expect("told");
        assert_eq!(told.id, run);
    }
    let listed = handlers.list_runs(by(&bound, v1::ListRunsRequest::default()));
    assert_eq!(listed.await.expect("runs").into_inner().runs.len(), 1);
}

#[tokio::test]
async fn a_session_is_its_principals_whoever_has_its_secret() {
    let control = handlers().await;
    let driver = DriverHandlers::new(control.node().clone());
    let named = |principal: &str| Caller {
        principal: principal.into(),
        ..caller(Scope::Driver, None)
    };
    let (one, other) = (named("one"), named("other"));
    let hello = v1::RegisterRequest {
        hello: Some(crate::stream::hello(1)),
    };
    let welcome = driver.register(by(&one, hello)).await.expect("a session");
    let welcome = welcome.into_inner().welcome.expect("a welcome");
    let poll = v1::PollRequest {
        session: welcome.session.clone(),
        resume_secret: welcome.resume_secret.clone(),
        ..Default::default()
    };
    let leave = v1::LeaveRequest {
        session: welcome.session.clone(),
        resume_secret: welcome.resume_secret.clone(),
        ..Default::default()
    };
    let beat = v1::HeartbeatRequest {
        session: welcome.session,
        resume_secret: welcome.resume_secret,
        ..Default::default()
    };
    assert_eq!(
        code(driver.poll(by(&other, poll.clone())).await),
        Code::NotFound
    );
    assert_eq!(
        code(driver.heartbeat(by(&other, beat.clone())).await),
        Code::NotFound
    );
    assert_eq!(
        code(driver.leave(by(&other, leave.clone())).await),
        Code::NotFound
    );
    driver.poll(by(&one, poll)).await.expect("no tasks");
    driver.heartbeat(by(&one, beat)).await.expect("a heartbeat");
    driver.leave(by(&one, leave)).await.expect("it leaves");
}
