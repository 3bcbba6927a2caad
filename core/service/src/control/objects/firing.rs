//! Runs that changes of Resources start, started: what the node says of them, done.

use super::super::{ControlHandlers, refuse};
use crate::gate::Entry;
use crate::refusal;
use crate::stack::on_stack;
use conveyor_node::resources::{self, Decided, Firings, Refused, Unstarted};
use conveyor_node::{NodeError, Reader, RunId};
use conveyor_proto::storage::v1::StoredChange;
use conveyor_proto::v1;
use std::time::Duration;
use tonic::Status;

/// How long a change whose runs could not be started waits for the next try.
const AGAIN: Duration = Duration::from_secs(1);
/// How often it is looked whether a change has runs left that nobody here knows of: a commit whose
/// outcome was unknown may arrive at any later moment. Every minute.
const LOOK: Duration = Duration::from_secs(60);
/// How often keys that hold no more are removed: every hour.
const FORGET: Duration = Duration::from_secs(60 * 60);

/// What is told of the pipelines that refuse.
pub(super) fn diagnostics(decided: &Decided) -> Vec<v1::Diagnostic> {
    let told = |refused: &Refused| v1::Diagnostic {
        severity: v1::Severity::Warning.into(),
        ..refusal::input(String::new(), sentence(refused), "trigger")
    };
    decided.refused.iter().map(told).collect()
}

/// What refuses is in the log too: whoever made the change may not be who looks after pipelines.
pub(super) fn warn(decided: &Decided) {
    for refused in &decided.refused {
        tracing::warn!(reason = %sentence(refused), "a change of a resource did not start a run");
    }
}

fn sentence(refused: &Refused) -> String {
    let (pipeline, why) = (&refused.pipeline, &refused.why);
    let by = match refused.trigger.as_str() {
        "" => "by the Resource's `pipeline`".to_owned(),
        trigger => format!("by its trigger `{trigger}`"),
    };
    format!("the pipeline `{pipeline}` is not started {by}: {why}")
}

impl ControlHandlers {
    /// Starts what earlier changes of Resources left to be started, and goes on to look after those
    /// whose runs cannot be started at once. Never ends: a server has it as a task.
    pub async fn look_after_changes(&self) {
        let mut forget = tokio::time::interval(FORGET);
        loop {
            let again = match self.start_left_changes().await {
                Ok(()) => LOOK,
                Err(status) => {
                    tracing::warn!(error = status.message(), "runs of a changed resource wait");
                    AGAIN
                }
            };
            tokio::select! {
                () = self.changes.left.notified() => {}
                () = tokio::time::sleep(again) => {}
                _ = forget.tick() => {
                    if let Err(status) = self.forget_keys().await {
                        tracing::warn!(error = status.message(), "old idempotency keys stay");
                    }
                }
            }
        }
    }

    /// Starts the runs of every change that has some left.
    ///
    /// # Errors
    /// When the store cannot be read or written. What could be started was.
    pub async fn start_left_changes(&self) -> Result<(), Status> {
        let left = |reader: &Reader| resources::left(reader.store().as_ref());
        let left = self.reader.blocking(left).await.map_err(refuse)?;
        let mut outcome = Ok(());
        for (name, change) in left {
            // One that cannot be started now does not keep the others.
            outcome = outcome.and(self.start_all(name, change, None).await);
        }
        outcome
    }

    /// Starts the runs of a change that was made just now. What cannot be started now is started
    /// later: the change and its runs are durable.
    pub(super) async fn fire(&self, change: Option<(String, StoredChange)>, entry: &Entry) {
        let Some((name, change)) = change else { return };
        if let Err(status) = self.start_all(name, change, Some(entry)).await {
            tracing::warn!(error = status.message(), "runs of a changed resource wait");
            self.changes.left.notify_one();
        }
    }

    async fn start_all(
        &self,
        name: String,
        change: StoredChange,
        entry: Option<&Entry>,
    ) -> Result<(), Status> {
        let read = move |reader: &Reader| Firings::read(reader.store().as_ref(), name, change);
        let mut firings = self.reader.blocking(read).await.map_err(refuse)?;
        let mut outcome = Ok(());
        while let Some(run) = firings.next().map(str::to_owned) {
            let started = self.start_next(&firings).await;
            match &started {
                Ok(run) => {
                    if let Some(entry) = entry {
                        entry.given(*run);
                    }
                }
                Err(Unstarted::Never(why)) => {
                    tracing::error!(run, %why, "a run of a changed resource is not started");
                }
                Err(Unstarted::Now(error)) => outcome = Err(refuse(error.clone())),
            }
            firings.tried(&started.map(drop));
        }
        let strike_off = move |reader: &Reader| firings.strike_off(reader.store().as_ref());
        if let Some(changes) = self.reader.blocking(strike_off).await.map_err(refuse)? {
            match self.node.change(changes).await {
                // Somebody else has done the same meanwhile.
                Ok(()) | Err(NodeError::Conflict(_)) => {}
                Err(error) => return Err(refuse(error)),
            }
        }
        outcome
    }

    async fn start_next(&self, firings: &Firings) -> Result<RunId, Unstarted> {
        let (reader, firings) = (self.reader.clone(), firings.clone());
        let start = on_stack(move || firings.start(reader.store().as_ref(), reader.plans()));
        let gone = |status: Status| NodeError::Unavailable(status.message().to_owned());
        let start = start.await.map_err(gone)??;
        let started = self.node.start_run(start).await?;
        Ok(started.run)
    }
}
