//! A store that takes no commits, and does not say that it is full: the disk fails.

use crate::stream::{Server, hello};
use crate::support::{Calls, Committing};
use crate::wire::succeeded;
use crate::{get, handlers_over, request, start};
use conveyor_node::{Config, SystemClock};
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_proto::v1::driver_service_server::DriverService as _;
use conveyor_store::{CommitError, Error, ErrorKind, Memory, Store as _, Transaction};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tonic::{Code, Request, Status};

const WAITS: &str = "{steps: [{id: a, wait: {duration: 1h}}]}";

fn unavailable<T>(what: &str, answer: Result<T, Status>) {
    later(Code::Unavailable, what, answer);
}

/// It is refused for now.
fn later<T>(code: Code, what: &str, answer: Result<T, Status>) {
    let Err(status) = answer else {
        panic!("{what} was answered");
    };
    assert_eq!(status.code(), code, "{what}: {status}");
    assert!(
        status.metadata().get("retry-after").is_some(),
        "{what}: {status:?}"
    );
}

/// A store whose disk fails when a test says so.
fn failing() -> Arc<Committing<Memory, AtomicBool>> {
    failing_by(
        |store, away, transaction| match away.load(Ordering::SeqCst) {
            true => Err(CommitError::Failed(Error::new(ErrorKind::Io, "commit"))),
            false => store.commit(transaction),
        },
    )
}

type Commit = fn(&Memory, &AtomicBool, &Transaction) -> Result<(), CommitError>;

fn failing_by(commit: Commit) -> Arc<Committing<Memory, AtomicBool>> {
    Arc::new(Committing {
        store: Memory::new(),
        state: AtomicBool::new(false),
        commit,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_are_unavailable_and_reads_are_answered_while_the_disk_fails() {
    let store = failing();
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

/// Costs some seconds: lines are tried for two of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_drivers_calls_are_unavailable_while_the_disk_fails_and_are_taken_after_it() {
    let store = failing();
    let runtime = tokio::runtime::Handle::current();
    let server = Server::open_by(Config::new(store.clone(), Vec::new(), runtime)).await;
    server
        .run("default", "{steps: [{id: a, driver: raw}]}")
        .await;
    let driver = Calls::register(&server.node, 4).await;
    let task = driver.take().await;
    let logs = v1::AppendLogsRequest {
        logs: Some(v1::LogBatch {
            token: task.token.clone(),
            first_offset: 0,
            lines: vec![v1::LogLine::default()],
        }),
    };
    let checkpoint = v1::SaveCheckpointRequest {
        checkpoint: Some(v1::Checkpoint {
            token: task.token.clone(),
            data: "half".into(),
        }),
    };
    let report = v1::ReportRequest {
        report: Some(v1::TaskReport {
            token: task.token.clone(),
            result: Some(succeeded("{}")),
        }),
    };
    let hello = v1::RegisterRequest {
        hello: Some(hello(1)),
    };
    let detach = v1::AnswerRequest {
        answers: vec![v1::TaskAnswer {
            token: task.token.clone(),
            answer: Some(v1::task_answer::Answer::Detached(v1::Detached {
                until_ms: u64::MAX,
                principals: Vec::new(),
            })),
        }],
        ..driver.answers()
    };
    let calls = &driver.handlers;

    store.state.store(true, Ordering::SeqCst);
    let asked = async {
        unavailable("lines", calls.append_logs(Request::new(logs.clone())).await);
        let kept = calls.save_checkpoint(Request::new(checkpoint.clone()));
        unavailable("a checkpoint", kept.await);
        unavailable("a hello", calls.register(Request::new(hello.clone())).await);
        unavailable("what is detached", calls.answer(Request::new(detach)).await);
        unavailable("a report", calls.report(Request::new(report.clone())).await);
    };
    let asked = tokio::time::timeout(Duration::from_secs(60), asked).await;
    asked.expect("each is answered");

    store.state.store(false, Ordering::SeqCst);
    let again = async {
        while calls.append_logs(Request::new(logs.clone())).await.is_err() {}
        while calls.register(Request::new(hello.clone())).await.is_err() {}
        loop {
            if let Ok(told) = calls.report(Request::new(report.clone())).await {
                return told.into_inner().outcome.expect("told");
            }
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(60), again).await;
    let told = told.expect("it finds out by itself");
    assert_eq!(told.status(), v1::ReportStatus::Accepted, "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_is_told_as_such_and_when_to_ask_again() {
    let store = failing_by(
        |store, full, transaction| match full.load(Ordering::SeqCst) {
            true => Err(CommitError::Failed(Error::new(
                ErrorKind::DiskFull,
                "commit",
            ))),
            false => store.commit(transaction),
        },
    );
    let handlers = handlers_over(store.clone(), Arc::new(SystemClock::new())).await;
    store.state.store(true, Ordering::SeqCst);
    let started = handlers.start_run(Request::new(request(WAITS))).await;
    later(Code::ResourceExhausted, "a start", started);
}
