//! A store that does not say what became of a commit.

use super::changes::TRIGGERED;
use super::resources::{SCHEMA, apply, define, pipeline, resource};
use super::support::Committing;
use conveyor_node::objects::Object as _;
use conveyor_node::{RunId, SystemClock, envelope, keys};
use conveyor_proto::storage::v1::StoredChange;
use conveyor_store::{CommitError, Error, ErrorKind, Memory, Store as _, Transaction};
use prost::Message as _;
use std::sync::{Arc, Mutex};
use tonic::Code;

/// The first run that the transaction's change starts.
fn starts(transaction: &Transaction) -> Option<RunId> {
    let changes = keys::object(StoredChange::KIND, "", "");
    let mut puts = transaction.puts.iter();
    let (_, row) = puts.find(|(key, _)| key.starts_with(&changes))?;
    let row = envelope::unwrap(StoredChange::RECORD, row).expect("a row");
    let change = StoredChange::decode(row).expect("a change");
    RunId::parse(&change.firings.first()?.run)
}

/// Makes the first commit of a change that starts runs, and does not say so. Keeps the first of the runs.
fn in_silence(
    store: &Memory,
    run: &Mutex<Option<RunId>>,
    transaction: &Transaction,
) -> Result<(), CommitError> {
    store.commit(transaction)?;
    let mut run = run.lock().expect("no panic");
    if run.is_none() {
        *run = starts(transaction);
        if run.is_some() {
            return Err(CommitError::Unknown(Error::new(ErrorKind::Io, "commit")));
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_change_that_may_have_been_made_starts_its_runs_without_a_restart() {
    let store = Arc::new(Committing {
        store: Memory::new(),
        state: Mutex::new(None),
        commit: in_silence,
    });
    let handlers = super::handlers_over(store.clone(), Arc::new(SystemClock::new())).await;
    define(&handlers, SCHEMA).await.expect("a definition");
    pipeline(&handlers, "deploy", TRIGGERED).await;
    let looks = tokio::spawn({
        let handlers = handlers.clone();
        async move { handlers.look_after_changes().await }
    });
    let refused = apply(&handlers, resource(r#"{"image": "a"}"#)).await;
    assert_eq!(refused.expect_err("nobody knows").code(), Code::Unavailable);
    let run = store
        .state
        .lock()
        .expect("no panic")
        .expect("it starts one");
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
