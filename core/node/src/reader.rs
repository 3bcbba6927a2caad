//! Readers: what is durable, from the store alone. They never ask the owner, and so never wait for
//! it.

mod events;
mod follow;
mod listing;
mod log;

pub use events::{Event, EventId};
pub use follow::Follower;
pub use listing::{Filter, RunPage, RunRow};

use crate::error::NodeError;
use crate::held::Held;
use crate::id::RunId;
use crate::owner::Flaw;
use crate::plans::{self, Plans};
use crate::workers::Workers;
use crate::{keys, storage, stored};
use conveyor_bus::Hub;
use conveyor_engine::run::{Record, Run};
use conveyor_engine::value::{Hash, Value};
use conveyor_proto::storage::v1::{Quarantine, RecordKind, RunSummary, StoredDocument};
use conveyor_store::Store;
use std::sync::Arc;

/// What one may be woken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// The run may have new records or rows.
    Run(RunId),
    /// The run may have new log lines.
    Log(RunId),
    /// The run has ended.
    Ended(RunId),
    /// There may be new events for followers of namespaces.
    Events,
}

/// Reads runs. Clones share everything. Every call does its work on threads of its own, so that it
/// can be awaited on any runtime.
#[derive(Clone)]
pub struct Reader {
    store: Arc<dyn Store>,
    logs: Arc<dyn Store>,
    plans: Arc<Plans>,
    hub: Hub<Topic>,
    held: Arc<Held>,
    workers: Workers,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reader(..)")
    }
}

impl Reader {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        logs: Arc<dyn Store>,
        plans: Arc<Plans>,
        hub: Hub<Topic>,
        held: Arc<Held>,
        workers: Workers,
    ) -> Reader {
        Reader {
            store,
            logs,
            plans,
            hub,
            held,
            workers,
        }
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Where log lines lie.
    pub(crate) fn log_store(&self) -> &Arc<dyn Store> {
        &self.logs
    }

    /// The plans that were read already.
    #[must_use]
    pub fn plans(&self) -> &Plans {
        &self.plans
    }

    /// Wakes whoever follows: subscribe first and read then, and nothing is missed.
    #[must_use]
    pub fn hub(&self) -> &Hub<Topic> {
        &self.hub
    }

    pub(crate) fn held(&self) -> &Arc<Held> {
        &self.held
    }

    pub(crate) fn workers(&self) -> &Workers {
        &self.workers
    }

    /// Does something with the reader's store on one of its threads.
    pub(crate) async fn on_worker<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Reader) -> Result<T, NodeError> + Send + 'static,
    ) -> Result<T, NodeError> {
        let reader = self.clone();
        let done = self.workers.run(move || work(&reader)).await;
        done.ok_or_else(|| NodeError::Corrupt("reading panicked".into()))?
    }

    /// Reads what takes more than one call of the reader, on one of its threads.
    ///
    /// # Errors
    /// Those of `work`; [`NodeError::Corrupt`] when it panics.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Reader) -> Result<T, NodeError> + Send + 'static,
    ) -> Result<T, NodeError> {
        self.on_worker(work).await
    }

    /// A run's row.
    ///
    /// # Errors
    /// [`NodeError::NotFound`], or when the store cannot be read.
    pub async fn summary(&self, run: RunId) -> Result<RunRow, NodeError> {
        self.on_worker(move |reader| {
            let row: Option<RunSummary> = stored::row(
                reader.store.as_ref(),
                RecordKind::RunSummary,
                &keys::summary(run),
            )?;
            Ok(reader.row(run, row.ok_or_else(|| no_run(run))?))
        })
        .await
    }

    /// Runs, newest first: at most `limit`, those before `before` where it is given.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list(
        &self,
        filter: Filter,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<RunPage, NodeError> {
        self.on_worker(move |reader| reader.page(&filter, before, limit))
            .await
    }

    /// A run folded from its journal.
    ///
    /// # Errors
    /// [`NodeError::NotFound`]; [`NodeError::Corrupt`] when it does not fold.
    pub async fn load(&self, run: RunId) -> Result<Run, NodeError> {
        self.on_worker(move |reader| reader.fold(run)).await
    }

    fn fold(&self, run: RunId) -> Result<Run, NodeError> {
        let folded = storage::fold(self.store.as_ref(), &self.plans, run);
        folded
            .map_err(|(error, _)| error)?
            .map(|folded| folded.run)
            .ok_or_else(|| no_run(run))
    }

    /// Why a run does not fold; `None` when it does, or is not there.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn flaw(&self, run: RunId) -> Result<Option<Flaw>, NodeError> {
        self.on_worker(move |reader| storage::flaw(reader.store.as_ref(), &reader.plans, run))
            .await
    }

    /// Records of a run's journal after `sequence`, at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read. A run that does not exist has none.
    pub async fn records(
        &self,
        run: RunId,
        sequence: u64,
        limit: usize,
    ) -> Result<Vec<Record>, NodeError> {
        self.on_worker(move |reader| {
            let mut records = Vec::new();
            if limit > 0 {
                storage::records(reader.store.as_ref(), run, sequence, |record| {
                    records.push(record);
                    Ok(records.len() < limit)
                })?;
            }
            Ok(records)
        })
        .await
    }

    /// The text of a value of a run.
    ///
    /// # Errors
    /// [`NodeError::NotFound`], or when the store cannot be read.
    pub async fn value(&self, run: RunId, hash: Hash) -> Result<Arc<[u8]>, NodeError> {
        self.on_worker(move |reader| {
            let text = storage::value(reader.store.as_ref(), run, &hash)?;
            let missing = || NodeError::NotFound(format!("run {run} has no value {hash}"));
            Ok(text.ok_or_else(missing)?.into())
        })
        .await
    }

    /// The JSON text of a value as facts hold it.
    ///
    /// # Errors
    /// As [`Reader::value`].
    pub async fn text(&self, run: RunId, value: &Value) -> Result<Arc<[u8]>, NodeError> {
        match value {
            Value::Inline(text) => Ok(Arc::clone(text)),
            Value::Stored { hash, .. } => self.value(run, *hash).await,
        }
    }

    /// A pipeline revision.
    ///
    /// # Errors
    /// [`NodeError::NotFound`], or when the store cannot be read.
    pub async fn document(&self, digest: Hash) -> Result<StoredDocument, NodeError> {
        self.on_worker(move |reader| {
            let document = plans::document(reader.store.as_ref(), &digest)?;
            document.ok_or_else(|| NodeError::NotFound(format!("there is no document {digest}")))
        })
        .await
    }

    /// Why a run is quarantined; `None` when it is not.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn quarantine(&self, run: RunId) -> Result<Option<Quarantine>, NodeError> {
        self.on_worker(move |reader| {
            stored::row(
                reader.store.as_ref(),
                RecordKind::Quarantine,
                &keys::quarantine(run),
            )
        })
        .await
    }
}

fn no_run(run: RunId) -> NodeError {
    NodeError::NotFound(format!("there is no run {run}"))
}
