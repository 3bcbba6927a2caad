//! A log store that takes nothing: the ends of attempts do not wait for it for ever.

use crate::harness::{chain, pipeline};
use crate::support::{Closure, done, finish, start};
use conveyor_engine::run::{RunState, Stop, StopKind};
use conveyor_engine::time::Time;
use conveyor_node::driver::{LogLine, LogStream};
use conveyor_node::{Config, Node};
use conveyor_store::{
    Bytes, CommitError, Direction, Error, ErrorKind, KeyRange, Limits, Memory, Page, Stats, Store,
    Transaction,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Far more than it takes: a place that is not given back fails the test, and does not hang it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A store that takes no commit, and tells that it refused one.
struct Refusing {
    store: Memory,
    refused: Arc<Notify>,
}

impl Store for Refusing {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.store.get(key)
    }

    fn scan(&self, range: &KeyRange, direction: Direction, limit: usize) -> Result<Page, Error> {
        self.store.scan(range, direction, limit)
    }

    fn commit(&self, _: &Transaction) -> Result<(), CommitError> {
        self.refused.notify_one();
        Err(CommitError::Failed(Error::new(ErrorKind::Io, "commit")))
    }

    fn limits(&self) -> Limits {
        self.store.limits()
    }

    fn stats(&self) -> Result<Stats, Error> {
        self.store.stats()
    }
}

/// A node with one place, whose tasks of the step `logs` log a line and return.
async fn node(refused: &Arc<Notify>) -> Node {
    let driver = Closure::driver(|task, context| async move {
        if &*task.step == "logs" {
            let line = LogLine {
                time: Time(0),
                stream: LogStream::Stdout,
                text: "said".into(),
                goes_on: false,
            };
            context.logs.send(line).await;
        }
        done()
    });
    let logs = Refusing {
        store: Memory::new(),
        refused: Arc::clone(refused),
    };
    let runtime = tokio::runtime::Handle::current();
    let config = Config {
        logs: Some(Arc::new(logs)),
        capacity: 1,
        ..Config::new(Arc::new(Memory::new()), vec![driver], runtime)
    };
    Node::open(config).await.unwrap()
}

/// Stops a run whose task waits for its log, and does another in its place.
async fn stopped(kind: StopKind) {
    let refused = Arc::new(Notify::new());
    let node = node(&refused).await;
    let yaml = pipeline("    - { id: logs, driver: exec, grace: 1s }\n");
    let run = start(&node, &yaml).await;
    refused.notified().await;
    let stop = Stop {
        kind,
        actor: "test".into(),
        reason: "".into(),
    };
    node.stop(run, stop).await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, finish(&node, run)).await;
    assert_eq!(ended.expect("it ends").state(), RunState::Cancelled);
    let next = start(&node, &chain(&["silent"])).await;
    let ended = tokio::time::timeout(PATIENCE, finish(&node, next)).await;
    let ended = ended.expect("the place is free");
    assert_eq!(ended.state(), RunState::Succeeded);
    node.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_cancel_ends_a_task_whose_log_is_not_taken_and_frees_its_place() {
    stopped(StopKind::Cancel).await;
}

#[tokio::test]
async fn a_terminate_ends_a_task_whose_log_is_not_taken_and_frees_its_place() {
    stopped(StopKind::Terminate).await;
}
