//! A store that takes no commits, and does not say that it is full: the disk fails.

use crate::support::Committing;
use crate::{get, handlers_over, request, start};
use conveyor_node::SystemClock;
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_store::{CommitError, Error, ErrorKind, Memory, Store as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tonic::{Code, Request, Status};

const WAITS: &str = "{steps: [{id: a, wait: {duration: 1h}}]}";

fn unavailable<T>(what: &str, answer: Result<T, Status>) {
    let Err(status) = answer else {
        panic!("{what} was answered");
    };
    assert_eq!(status.code(), Code::Unavailable, "{what}: {status}");
    assert!(
        status.metadata().get("retry-after").is_some(),
        "{what}: {status:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_are_unavailable_and_reads_are_answered_while_the_disk_fails() {
    let store = Arc::new(Committing {
        store: Memory::new(),
        state: AtomicBool::new(false),
        commit: |store, away, transaction| match away.load(Ordering::SeqCst) {
            true => Err(CommitError::Failed(Error::new(ErrorKind::Io, "commit"))),
            false => store.commit(transaction),
        },
    });
    let handlers = handlers_over(store.clone(), Arc::new(SystemClock::new())).await;
    let run = start(&handlers, WAITS).await;
    assert_eq!(handlers.not_ready(), None);

    store.state.store(true, Ordering::SeqCst);
    let started = handlers.start_run(Request::new(request(WAITS))).await;
    unavailable("a start", started);
    let pause = v1::PauseRunRequest {
        run: run.clone(),
        ..v1::PauseRunRequest::default()
    };
    unavailable("a pause", handlers.pause_run(Request::new(pause)).await);
    let namespace = v1::CreateNamespaceRequest {
        namespace: Some(v1::Namespace {
            metadata: Some(v1::Metadata {
                name: "team".to_owned(),
                ..v1::Metadata::default()
            }),
        }),
        ..v1::CreateNamespaceRequest::default()
    };
    let made = handlers
        .create_namespace(Request::new(namespace.clone()))
        .await;
    unavailable("a namespace", made);
    assert!(handlers.not_ready().is_some(), "it says that it is not");
    let told = v1::GetRunRequest {
        run: run.clone(),
        ..v1::GetRunRequest::default()
    };
    let told = get(&handlers, told).await.expect("what is durable is read");
    let state = told.run.expect("told").state;
    assert_eq!(state, i32::from(v1::RunState::Running));
    let list = v1::ListRunsRequest::default();
    let list = handlers.list_runs(Request::new(list)).await;
    assert_eq!(
        list.expect("a list").into_inner().runs.len(),
        1,
        "nothing was half made"
    );

    store.state.store(false, Ordering::SeqCst);
    let ready = async {
        while handlers.not_ready().is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let back = tokio::time::timeout(Duration::from_secs(60), ready).await;
    back.expect("it finds out by itself");
    let made = handlers.create_namespace(Request::new(namespace)).await;
    made.expect("the first try left nothing");
    start(&handlers, WAITS).await;
}
