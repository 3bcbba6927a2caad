//! A folded run between two pages of one reading.

use crate::wire::History;
use conveyor_engine::run::Run;
use conveyor_node::RunId;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// How long a fold waits for the request of the next page.
const KEPT: Duration = Duration::from_secs(10);

/// A run at one moment of its life, with what its state does not keep.
#[derive(Debug)]
pub(super) struct Folded {
    pub(super) run: Run,
    pub(super) history: History,
}

/// Keeps the fold of which a page was told last, so that all pages of a reading show one moment, and
/// a run of many pages is not folded for each of them. It keeps one: a large run has hundreds of
/// MiB. Without it the next page folds again, and shows what the run is by then.
#[derive(Clone, Debug, Default)]
pub(super) struct Folds(Arc<Mutex<Option<(RunId, Folded)>>>);

impl Folds {
    /// The fold that a page of this run was told of, at that record.
    pub(super) async fn take(&self, run: RunId, sequence: u64) -> Option<Folded> {
        let mut kept = self.0.lock().await;
        let (_, folded) =
            kept.take_if(|(of, folded)| *of == run && folded.run.sequence() == sequence)?;
        Some(folded)
    }

    /// Keeps a fold for the next page.
    pub(super) async fn keep(&self, run: RunId, folded: Folded) {
        let sequence = folded.run.sequence();
        *self.0.lock().await = Some((run, folded));
        let folds = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(KEPT).await;
            drop(folds.take(run, sequence).await);
        });
    }
}
