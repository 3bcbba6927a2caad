//! What a driver was told is accepted, after the server was killed.

use crate::stream::{PATIENCE, Server};
use crate::support::Committing;
use crate::wire::succeeded;
use conveyor_node::Config;
use conveyor_proto::v1;
use conveyor_proto::v1::session_request::Message as Tell;
use conveyor_proto::v1::session_response::Message as Told;
use conveyor_store::{Access, CommitError, DataDir, Embedded, Error, ErrorKind, Store};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

const MANY: u32 = 100;
/// Reports that are under way at once.
const AT_ONCE: usize = 4;
/// The server is killed after so many commits since its driver began to report: fewer than all reports
/// take.
const COMMITS: i64 = 12;

/// How many commits reach the store, and who waits for the first that does not: as when its process was
/// killed there.
struct Life {
    left: AtomicI64,
    dead: Notify,
}

/// The store of a directory, once whoever had it before has let go.
async fn open(directory: &Path) -> Embedded {
    let began = Instant::now();
    loop {
        match DataDir::open(directory, Access::Create) {
            Ok(held) => return Embedded::open(held).expect("it is whole"),
            Err(error) => {
                let locked = matches!(error.kind(), ErrorKind::Locked { .. });
                assert!(locked && began.elapsed() < PATIENCE, "{error}");
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn serve(store: Arc<dyn Store>) -> Server {
    let runtime = tokio::runtime::Handle::current();
    Server::open_by(Config::new(store, Vec::new(), runtime)).await
}

fn outputs(instance: u32) -> String {
    format!(r#"{{"of":{instance}}}"#)
}

/// The instance whose report was accepted.
fn accepted(told: &Told, tasks: &[v1::Task]) -> Option<u32> {
    let Told::Outcome(outcome) = told else {
        return None;
    };
    let task = tasks.iter().find(|task| task.token == outcome.token)?;
    let accepted = outcome.status() == v1::ReportStatus::Accepted;
    accepted.then(|| task.id.as_ref().expect("told").instance)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_result_that_was_accepted_over_a_stream_is_lost_by_a_kill() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Arc::new(Committing {
        store: open(directory.path()).await,
        state: Life {
            left: AtomicI64::new(i64::MAX),
            dead: Notify::new(),
        },
        commit: |store, life, transaction| {
            if life.left.fetch_sub(1, Ordering::SeqCst) <= 0 {
                life.dead.notify_one();
                return Err(CommitError::Failed(Error::new(ErrorKind::Io, "commit")));
            }
            store.commit(transaction)
        },
    });
    let server = serve(store.clone()).await;
    let spec = format!(
        "{{steps: [{{id: a, driver: raw, foreach: {{items: '${{{{ lists.range({MANY}) }}}}'}}}}]}}"
    );
    let run = server.run("default", &spec).await;
    let (mut stream, _, tasks) = server.session("raw", MANY).await;

    store.state.left.store(COMMITS, Ordering::SeqCst);
    let mut reports = tasks.iter().map(|task| {
        Tell::Report(v1::TaskReport {
            token: task.token.clone(),
            result: Some(succeeded(outputs(task.id.as_ref().expect("told").instance))),
        })
    });
    reports
        .by_ref()
        .take(AT_ONCE)
        .for_each(|report| stream.tell(report));
    let mut written = BTreeSet::new();
    loop {
        let told = tokio::select! {
            told = stream.next() => told.expect("it goes on"),
            () = store.state.dead.notified() => break,
        };
        if let Some(instance) = accepted(&told, &tasks) {
            written.insert(instance);
            reports
                .by_ref()
                .take(1)
                .for_each(|report| stream.tell(report));
        }
    }
    drop(reports);
    // Nothing that the server still does reaches the disk; what it still says counts.
    let _ = server.node.shutdown().await;
    let rest = stream.end().await;
    written.extend(rest.iter().filter_map(|told| accepted(told, &tasks)));
    let (some, all) = (AT_ONCE, MANY as usize);
    assert!(written.len() > some && written.len() < all, "{written:?}");
    drop((server, store));

    let server = serve(Arc::new(open(directory.path()).await)).await;
    let steps = server.told(&run).await.steps;
    let mut kept = 0;
    for instance in &steps[0].instances {
        if !written.contains(&instance.index) {
            continue;
        }
        assert_eq!(instance.attempts.len(), 1, "{instance:?}");
        let attempt = &instance.attempts[0];
        assert_eq!(attempt.state(), v1::AttemptState::Succeeded, "{instance:?}");
        assert_eq!(attempt.outputs, outputs(instance.index));
        kept += 1;
    }
    assert_eq!(kept, written.len());
    server.end().await;
}
