//! One run goes away.

use crate::envelope;
use crate::error::NodeError;
use crate::id::RunId;
use crate::keys;
use crate::node::Node;
use crate::stored::{decode, row};
use conveyor_bus::AttemptKey;
use conveyor_engine::run::RunState;
use conveyor_engine::time::Time;
use conveyor_engine::value::Hash;
use conveyor_proto::storage::v1::{Deletion, RecordKind, RunSummary};
use conveyor_store::{CommitError, Expected, KeyRange, Store, Transaction};
use prost::Message as _;
use std::sync::Arc;

impl Node {
    /// Deletes a run that has ended: its journal, values, snapshots, row and logs are gone when this
    /// returns, and nobody sees it from the first commit on. Stopped in between, the next pass finishes
    /// it; so does calling it again.
    ///
    /// # Errors
    /// [`NodeError::NotFound`]; [`NodeError::Invalid`] when it has not ended; those of the store.
    pub async fn delete_run(&self, run: RunId) -> Result<(), NodeError> {
        let now = self.now();
        self.reader()
            .on_worker(move |reader| mark(reader.store().as_ref(), run, now))
            .await?;
        self.finish_deletion(run).await?;
        self.reclaim_if_can().await;
        Ok(())
    }

    /// Deletes what is left of a run that was marked.
    pub(super) async fn finish_deletion(&self, run: RunId) -> Result<(), NodeError> {
        self.log_writer().forget(run).await?;
        let (store, logs) = (self.reader().store(), self.reader().log_store());
        self.sweep(logs, AttemptKey::of_run(run.0)).await?;
        for prefix in [
            keys::values(run),
            keys::snapshots(run),
            keys::snapshot_pointer(run),
            keys::quarantine(run),
            keys::records(run),
        ] {
            self.sweep(store, KeyRange::prefix(prefix)).await?;
        }
        let store = Arc::clone(store);
        self.reader()
            .on_worker(move |_| unmark(store.as_ref(), run))
            .await?;
        self.reader().hub().notify(&crate::reader::Topic::Run(run));
        Ok(())
    }
}

/// Takes the row of a run away and says that the rest follows.
fn mark(store: &dyn Store, run: RunId, now: Time) -> Result<(), NodeError> {
    let missing = || NodeError::NotFound(format!("there is no run {run}"));
    let key = keys::summary(run);
    let Some(raw) = store.get(&key)? else {
        return match store.get(&keys::deletion(run))? {
            Some(_) => Ok(()),
            None => Err(missing()),
        };
    };
    let summary: RunSummary = decode(RecordKind::RunSummary, &raw)?;
    let state = u8::try_from(summary.state)
        .ok()
        .and_then(RunState::from_code);
    if !state.is_some_and(RunState::is_terminal) {
        let state = state.map_or("in no known state", RunState::as_str);
        return Err(NodeError::Invalid(format!(
            "run {run} is {state}: only a run that has ended can be deleted; stop it first, with \
             `conveyor cancel` or `conveyor terminate`"
        )));
    }
    let mark = Deletion {
        since_ms: now.0,
        document: summary.document,
    };
    let mut transaction = Transaction::new();
    transaction
        .compare(key.clone(), Expected::Value(raw))
        .compare(keys::live(run), Expected::Absent)
        .delete(key)
        .put(keys::deletion(run), encoded(&mark));
    match store.commit(&transaction) {
        Ok(()) => Ok(()),
        // Somebody else deletes it, or it is not as it was read.
        Err(CommitError::Conflict(_)) => match store.get(&keys::deletion(run))? {
            Some(_) => Ok(()),
            None => Err(NodeError::Conflict(format!(
                "run {run} changed meanwhile: try again"
            ))),
        },
        Err(error) => Err(error.into()),
    }
}

/// Takes the mark away, and remembers that the run's document may have no user any more.
fn unmark(store: &dyn Store, run: RunId) -> Result<(), NodeError> {
    let key = keys::deletion(run);
    let Some(mark) = row::<Deletion>(store, RecordKind::Deletion, &key)? else {
        return Ok(());
    };
    let mut transaction = Transaction::new();
    transaction.delete(key);
    if let Ok(digest) = <[u8; 32]>::try_from(mark.document.as_ref()) {
        transaction.put(keys::unused(&Hash(digest)), encoded(&mark));
    }
    Ok(store.commit(&transaction)?)
}

fn encoded(mark: &Deletion) -> Vec<u8> {
    envelope::wrap(RecordKind::Deletion, 0, &mark.encode_to_vec())
}
