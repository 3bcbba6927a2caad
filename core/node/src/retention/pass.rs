//! A pass over all that has come of age.

use super::{Retention, Swept};
use crate::error::NodeError;
use crate::id::RunId;
use crate::keys;
use crate::node::Node;
use crate::reader::{Reader, RunRow};
use crate::stored::decode;
use conveyor_bus::AttemptKey;
use conveyor_engine::time::Time;
use conveyor_proto::storage::v1::{RecordKind, RunSummary};
use conveyor_store::{Direction, KeyRange};
use std::time::Duration;

/// Rows, or runs with logs, that one turn looks at.
const PAGE: usize = 256;
/// The rest after a turn that only looked: what others wait for goes first.
pub(super) const REST: Duration = Duration::from_millis(5);

/// What a turn found, and where the next begins.
type Found = (Vec<RunId>, Option<KeyRange>);

impl Node {
    /// Deletes all that has come of age, and finishes what earlier passes and callers began, in turns.
    /// Stopped at any point, the next pass goes on.
    ///
    /// # Errors
    /// Those of the store: what was deleted is deleted.
    pub async fn retain(&self, kept: &Retention) -> Result<Swept, NodeError> {
        let mut swept = Swept::default();
        for run in self.reader().on_worker(marked).await? {
            self.finish_deletion(run).await?;
            swept.runs += 1;
        }
        let (kept, now) = (*kept, self.now());
        let mut rest = Some(KeyRange::prefix(keys::summaries()));
        while let Some(range) = rest {
            let look = move |reader: &Reader| over(reader, &range, &kept, now);
            let (runs, next) = self.reader().on_worker(look).await?;
            for run in runs {
                match self.delete_run(run).await {
                    Ok(()) => swept.runs += 1,
                    // Somebody was quicker.
                    Err(NodeError::NotFound(_) | NodeError::Conflict(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            rest = next;
            tokio::time::sleep(REST).await;
        }
        swept.logs = self.retain_logs(&kept, now).await?;
        swept.events = self.retain_events(kept.events, now).await?;
        swept.tokens = self.drop_expired_tokens(now).await?;
        swept.documents = self.drop_unused_documents().await?;
        self.reclaim_if_can().await;
        Ok(swept)
    }

    /// Passes over and over, `every` so often, until the future is dropped.
    pub async fn retain_always(self, kept: Retention, every: Duration) {
        loop {
            match self.retain(&kept).await {
                Ok(Swept {
                    runs: 0,
                    logs: 0,
                    documents: 0,
                    events: 0,
                    tokens: 0,
                }) => {}
                Ok(Swept {
                    runs,
                    logs,
                    documents,
                    events,
                    tokens,
                }) => {
                    tracing::info!(
                        runs,
                        logs,
                        documents,
                        events,
                        tokens,
                        "deleted what had come of age"
                    );
                }
                Err(error) => {
                    tracing::warn!(%error, "what has come of age is still there: the next pass tries again");
                }
            }
            tokio::time::sleep(every).await;
        }
    }

    async fn retain_logs(&self, kept: &Retention, now: Time) -> Result<usize, NodeError> {
        let (mut count, kept) = (0, kept.logs);
        let mut rest = Some(AttemptKey::of_all());
        while let Some(range) = rest {
            let look = move |reader: &Reader| old_logs(reader, range, kept, now);
            let (runs, next) = self.reader().on_worker(look).await?;
            for run in runs {
                self.log_writer().forget(run).await?;
                let logs = self.reader().log_store();
                self.sweep(logs, AttemptKey::of_run(run.0)).await?;
                count += 1;
            }
            rest = next;
            tokio::time::sleep(REST).await;
        }
        Ok(count)
    }
}

/// Runs whose deletion was begun.
fn marked(reader: &Reader) -> Result<Vec<RunId>, NodeError> {
    let mut runs = Vec::new();
    let mut rest = Some(KeyRange::prefix(keys::deletions()));
    while let Some(range) = rest {
        let page = reader.store().scan(&range, Direction::Forward, PAGE)?;
        runs.extend(page.entries.iter().filter_map(|(key, _)| keys::run_of(key)));
        rest = page.rest(&range, Direction::Forward);
    }
    Ok(runs)
}

/// Runs of a page of rows that have come of age.
fn over(
    reader: &Reader,
    range: &KeyRange,
    kept: &Retention,
    now: Time,
) -> Result<Found, NodeError> {
    let page = reader.store().scan(range, Direction::Forward, PAGE)?;
    let mut runs = Vec::new();
    for (key, value) in &page.entries {
        let row: RunSummary = decode(RecordKind::RunSummary, value)?;
        let (id, ended) = (keys::run_of(key), row.ended_ms.map(Time));
        let (Some(id), Some(ended)) = (id, ended) else {
            continue;
        };
        let state = RunRow {
            id,
            row,
            interrupted: false,
        }
        .state();
        if kept.is_over(state, ended, now) {
            runs.push(id);
        }
    }
    Ok((runs, page.rest(range, Direction::Forward)))
}

/// Runs with logs that have come of age, or whose run is gone. Looks at the first key of each run only.
fn old_logs(
    reader: &Reader,
    mut range: KeyRange,
    kept: Option<conveyor_engine::time::Duration>,
    now: Time,
) -> Result<Found, NodeError> {
    let mut runs = Vec::new();
    for _ in 0..PAGE {
        let page = reader.log_store().scan(&range, Direction::Forward, 1)?;
        let first = page.entries.first();
        let Some(run) = first.and_then(|(key, _)| AttemptKey::run_of(key)) else {
            return Ok((runs, None));
        };
        let row = reader.store().get(&keys::summary(RunId(run)))?;
        let over = match row {
            // A run has its row before its first line, and until it is deleted.
            None => true,
            Some(row) => {
                let row: RunSummary = decode(RecordKind::RunSummary, &row)?;
                let ended = row.ended_ms.map(Time);
                ended
                    .zip(kept)
                    .is_some_and(|(ended, kept)| ended.after(kept) <= now)
            }
        };
        if over {
            runs.push(RunId(run));
        }
        let Some(next) = AttemptKey::of_run(run).end else {
            return Ok((runs, None));
        };
        range.start = next;
    }
    Ok((runs, Some(range)))
}
