//! A store that does not say what became of a commit.

use super::changes::TRIGGERED;
use super::resources::{SCHEMA, apply, define, pipeline, resource};
use conveyor_node::objects::Object as _;
use conveyor_node::{RunId, SystemClock, envelope, keys};
use conveyor_proto::storage::v1::StoredChange;
use conveyor_store::{
    Bytes, CommitError, Direction, Error, ErrorKind, KeyRange, Limits, Memory, Page, Stats, Store,
    Transaction,
};
use prost::Message as _;
use std::sync::{Arc, Mutex};
use tonic::Code;

/// Makes the first commit of a change that starts runs, and does not say so.
#[derive(Default)]
struct Silent {
    store: Memory,
    /// The first run of that change.
    run: Mutex<Option<RunId>>,
}

impl Silent {
    /// The first run that the transaction's change starts.
    fn starts(transaction: &Transaction) -> Option<RunId> {
        let changes = keys::object(StoredChange::KIND, "", "");
        let mut puts = transaction.puts.iter();
        let (_, row) = puts.find(|(key, _)| key.starts_with(&changes))?;
        let row = envelope::unwrap(StoredChange::RECORD, row).expect("a row");
        let change = StoredChange::decode(row).expect("a change");
        RunId::parse(&change.firings.first()?.run)
    }
}

impl Store for Silent {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.store.get(key)
    }

    fn scan(&self, range: &KeyRange, direction: Direction, limit: usize) -> Result<Page, Error> {
        self.store.scan(range, direction, limit)
    }

    fn commit(&self, transaction: &Transaction) -> Result<(), CommitError> {
        self.store.commit(transaction)?;
        let mut run = self.run.lock().expect("no panic");
        if run.is_none() {
            *run = Silent::starts(transaction);
            if run.is_some() {
                return Err(CommitError::Unknown(Error::new(ErrorKind::Io, "commit")));
            }
        }
        Ok(())
    }

    fn limits(&self) -> Limits {
        self.store.limits()
    }

    fn stats(&self) -> Result<Stats, Error> {
        self.store.stats()
    }
}

#[tokio::test]
async fn a_change_that_may_have_been_made_starts_its_runs_without_a_restart() {
    let store = Arc::new(Silent::default());
    let handlers = super::handlers_over(store.clone(), Arc::new(SystemClock::new())).await;
    define(&handlers, SCHEMA).await.expect("a definition");
    pipeline(&handlers, "deploy", TRIGGERED).await;
    let looks = tokio::spawn({
        let handlers = handlers.clone();
        async move { handlers.look_after_changes().await }
    });
    let refused = apply(&handlers, resource(r#"{"image": "a"}"#)).await;
    assert_eq!(refused.expect_err("nobody knows").code(), Code::Unavailable);
    let run = store.run.lock().expect("no panic").expect("it starts one");
    let mut follower = handlers.reader().follow(run);
    let started = async {
        while handlers.reader().summary(run).await.is_err() {
            follower.changed().await;
        }
    };
    // Sooner than by the look of each minute.
    let soon = std::time::Duration::from_secs(30);
    tokio::time::timeout(soon, started).await.expect("a run");
    let again = apply(&handlers, resource(r#"{"image": "a"}"#)).await;
    let again = again.expect("it was made");
    assert!(!again.changed);
    assert_eq!(again.resource.expect("told").version, 1);
    looks.abort();
}
