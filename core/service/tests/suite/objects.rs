//! Namespaces, drivers and revisions: one of them, and a driver that is forgotten.

use crate::{handlers, start};
use conveyor_node::driver::ActionInfo;
use conveyor_node::owner::SessionEvent;
use conveyor_node::session::{Hello, Link};
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_service::{Caller, ControlHandlers, Scope};
use std::collections::BTreeMap;
use tonic::{Code, Request, Status};

async fn apply(handlers: &ControlHandlers, name: &str, value: u32) -> v1::Pipeline {
    let text = format!(
        "apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {{name: {name}}}\nspec: {{steps: [{{id: a, \
         transform: {{x: {value}}}}}]}}\n"
    );
    let document = v1::Document {
        source: text.into_bytes().into(),
        file_name: "p.yaml".to_owned(),
    };
    let request = v1::ApplyPipelineRequest {
        document: Some(document),
        ..Default::default()
    };
    let applied = handlers.apply_pipeline(Request::new(request)).await;
    applied
        .expect("applied")
        .into_inner()
        .pipeline
        .expect("told")
}

async fn pipeline(
    handlers: &ControlHandlers,
    name: &str,
    digest: &str,
) -> Result<v1::Pipeline, Status> {
    let request = v1::GetPipelineRequest {
        namespace: String::new(),
        name: name.to_owned(),
        digest: digest.to_owned(),
    };
    let answer = handlers.get_pipeline(Request::new(request)).await?;
    Ok(answer.into_inner().pipeline.expect("told"))
}

#[tokio::test]
async fn revisions_are_listed_newest_first_and_found_by_a_part_of_their_digest() {
    let handlers = handlers().await;
    let mut digests = Vec::new();
    for value in 0..5 {
        digests.push(apply(&handlers, "release", value).await.digest);
    }
    // An older document is the current one again, under its old number; another pipeline's is none.
    apply(&handlers, "release", 1).await;
    let other = apply(&handlers, "other", 0).await.digest;
    let mut told = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListPipelineRevisionsRequest {
            name: "release".to_owned(),
            page_size: 2,
            page_token,
            ..Default::default()
        };
        let answer = handlers.list_pipeline_revisions(Request::new(request));
        let answer = answer.await.expect("a page").into_inner();
        assert!(answer.revisions.len() <= 2);
        told.extend(answer.revisions);
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let numbers: Vec<_> = told.iter().map(|one| one.revision).collect();
    assert_eq!(numbers, [5, 4, 3, 2, 1]);
    let current: Vec<_> = told.iter().filter(|one| one.current).collect();
    assert_eq!(current.len(), 1);
    assert_eq!(current[0].digest, digests[1]);
    // By name and digest, by digest alone, and by a beginning of it.
    for name in ["release", ""] {
        for length in [64, 9, 8] {
            let found = pipeline(&handlers, name, &digests[3][..length]).await;
            let found = found.expect("there is one");
            assert_eq!((found.revision, &found.digest), (4, &digests[3]));
            assert_eq!(found.metadata.expect("it has").name, "release");
        }
    }
    let short = pipeline(&handlers, "release", &digests[3][..7]).await;
    assert_eq!(short.expect_err("too short").code(), Code::InvalidArgument);
    let foreign = pipeline(&handlers, "release", &other).await;
    assert_eq!(foreign.expect_err("not its own").code(), Code::NotFound);
    let nothing = pipeline(&handlers, "", "").await;
    assert_eq!(
        nothing.expect_err("nothing named").code(),
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn a_namespace_is_told_alone() {
    let handlers = handlers().await;
    let get = async |name: &str| {
        let name = name.to_owned();
        let request = Request::new(v1::GetNamespaceRequest { name });
        handlers.get_namespace(request).await
    };
    let told = get("default").await.expect("it is always there");
    let metadata = told.into_inner().namespace.expect("told").metadata;
    assert_eq!(metadata.expect("it has").name, "default");
    assert_eq!(get("team").await.expect_err("none").code(), Code::NotFound);
    let metadata = v1::Metadata {
        name: "team".to_owned(),
        labels: BTreeMap::from([("of".to_owned(), "shop".to_owned())]),
        ..Default::default()
    };
    let made = v1::CreateNamespaceRequest {
        namespace: Some(v1::Namespace {
            metadata: Some(metadata),
        }),
        ..Default::default()
    };
    let made = handlers.create_namespace(Request::new(made)).await;
    made.expect("a namespace");
    let told = get("team").await.expect("it is there").into_inner();
    let metadata = told.namespace.expect("told").metadata.expect("it has");
    assert_eq!(metadata.labels["of"], "shop");
    assert!(!metadata.etag.is_empty());
}

async fn registered(handlers: &ControlHandlers, scope: Option<&str>) -> Link {
    let action = ActionInfo {
        name: "run".into(),
        inputs: None,
        outputs: None,
    };
    let hello = Hello {
        principal: "local".into(),
        scope: scope.map(Into::into),
        driver: "builder".into(),
        version: "1.0.0".into(),
        actions: vec![(action, String::new())],
        capacity: 3,
        labels: BTreeMap::new(),
        queues: Vec::new(),
        sdk: "test".to_owned(),
        instance: String::new(),
        adopts: Vec::new(),
    };
    let (link, _) = handlers
        .node()
        .open_session(hello)
        .await
        .expect("a session");
    link
}

async fn forget(
    handlers: &ControlHandlers,
    namespace: &str,
    caller: Option<Caller>,
) -> Result<Vec<String>, Status> {
    let mut request = Request::new(v1::DeleteDriverRequest {
        namespace: namespace.to_owned(),
        name: "builder".to_owned(),
    });
    if let Some(caller) = caller {
        request.extensions_mut().insert(caller);
    }
    let answer = handlers.delete_driver(request).await?;
    Ok(answer.into_inner().versions)
}

/// Forgets it once the row of its last session is gone: that is shortly after the session is.
async fn gone(handlers: &ControlHandlers) -> Vec<String> {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        match forget(handlers, "", None).await {
            Ok(versions) => return versions,
            Err(status) => assert_eq!(status.code(), Code::FailedPrecondition, "{status}"),
        }
        assert!(std::time::Instant::now() < deadline, "it stays");
    }
}

async fn driver(handlers: &ControlHandlers) -> Result<v1::Driver, Status> {
    let request = v1::GetDriverRequest {
        namespace: String::new(),
        name: "builder".to_owned(),
    };
    let answer = handlers.get_driver(Request::new(request)).await?;
    Ok(answer.into_inner().driver.expect("told"))
}

/// Says goodbye, and waits until the node has forgotten the session.
async fn leave(handlers: &ControlHandlers, link: Link) {
    let session = link.session();
    session.tell(SessionEvent::Left).expect("it is told");
    let there = || {
        let sessions = handlers.node().sessions();
        sessions.iter().any(|one| one.stored.id == **session.id())
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while there() {
        assert!(std::time::Instant::now() < deadline, "it stays");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_driver_is_forgotten_once_nobody_is_connected_with_it() {
    let handlers = handlers().await;
    assert_eq!(
        driver(&handlers).await.expect_err("none").code(),
        Code::NotFound
    );
    let missing = forget(&handlers, "", None).await;
    assert_eq!(missing.expect_err("none").code(), Code::NotFound);
    let link = registered(&handlers, None).await;
    let told = driver(&handlers).await.expect("it is there");
    assert_eq!((told.namespace.as_str(), told.sessions.len()), ("*", 1));
    let busy = forget(&handlers, "*", None).await.expect_err("connected");
    assert_eq!(busy.code(), Code::FailedPrecondition);
    let id = link.session().id().to_string();
    assert!(busy.message().contains(&id), "{}", busy.message());
    leave(&handlers, link).await;
    assert!(
        driver(&handlers)
            .await
            .expect("registered")
            .sessions
            .is_empty()
    );
    // What is of all namespaces is not for who is bound to one.
    let bound = Caller {
        principal: "someone".into(),
        scope: Scope::Client,
        namespace: Some("default".into()),
        standing: None,
    };
    let bound = forget(&handlers, "", Some(bound)).await;
    assert_eq!(bound.expect_err("bound").code(), Code::PermissionDenied);
    assert_eq!(gone(&handlers).await, ["1.0.0"]);
    assert_eq!(
        driver(&handlers).await.expect_err("gone").code(),
        Code::NotFound
    );
    // A driver of the namespace comes before one of all.
    let (own, all) = (
        registered(&handlers, Some("default")).await,
        registered(&handlers, None).await,
    );
    leave(&handlers, own).await;
    assert_eq!(
        driver(&handlers).await.expect("its own").namespace,
        "default"
    );
    assert_eq!(gone(&handlers).await, ["1.0.0"]);
    assert_eq!(driver(&handlers).await.expect("of all").namespace, "*");
    drop(all);
}

#[tokio::test]
async fn a_star_is_what_is_published_in_all_namespaces_for_every_call() {
    let handlers = handlers().await;
    let all = registered(&handlers, None).await;
    let own = registered(&handlers, Some("default")).await;
    let get = async |namespace: &str| {
        let request = v1::GetDriverRequest {
            namespace: namespace.to_owned(),
            name: "builder".to_owned(),
        };
        let answer = handlers.get_driver(Request::new(request)).await;
        answer
            .expect("a driver")
            .into_inner()
            .driver
            .expect("told")
            .namespace
    };
    assert_eq!((&*get("").await, &*get("*").await), ("default", "*"));
    let list = async |namespace: &str| {
        let request = v1::ListDriversRequest {
            namespace: namespace.to_owned(),
            ..v1::ListDriversRequest::default()
        };
        let answer = handlers.list_drivers(Request::new(request)).await;
        let drivers = answer.expect("drivers").into_inner().drivers;
        let drivers = drivers.into_iter().map(|driver| driver.namespace);
        drivers.collect::<Vec<_>>()
    };
    assert_eq!(list("*").await, ["*"]);
    assert_eq!(list("").await, ["*", "default"]);
    let request = v1::GetDriverRequest {
        namespace: "*".to_owned(),
        name: "other".to_owned(),
    };
    let none = handlers.get_driver(Request::new(request)).await;
    assert_eq!(none.expect_err("none").code(), Code::NotFound);
    leave(&handlers, all).await;
    assert_eq!(forget(&handlers, "*", None).await.expect("gone"), ["1.0.0"]);
    assert_eq!(list("").await, ["default"]);
    drop(own);
}

#[tokio::test]
async fn a_run_that_ends_at_once_is_no_live_one() {
    let handlers = handlers().await;
    let live = async || handlers.node().live_runs().await.expect("it answers");
    assert_eq!(live().await, 0);
    let run = start(&handlers, "{steps: [{id: a, wait: {duration: 1h}}]}").await;
    assert_eq!(live().await, 1);
    let stop = v1::StopRunRequest {
        run: run.clone(),
        kind: v1::StopKind::Terminate.into(),
        ..Default::default()
    };
    let stopped = handlers.stop_run(Request::new(stop)).await;
    stopped.expect("it is stopped");
    // The answer is given once the end is durable.
    assert_eq!(live().await, 0);
}
