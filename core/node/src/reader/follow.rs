use super::{Event, Reader, Topic, events};
use crate::error::NodeError;
use crate::id::RunId;
use crate::storage;
use conveyor_bus::Subscription;
use conveyor_engine::run::Run;

/// How many records one step of a follower folds.
const RECORDS: usize = 256;

/// Follows a run from its beginning: each record is read and folded once.
#[derive(Debug)]
pub struct Follower {
    reader: Reader,
    id: RunId,
    run: Option<Run>,
    changes: Subscription<Topic>,
}

impl Reader {
    /// Follows a run, which need not exist yet.
    #[must_use]
    pub fn follow(&self, run: RunId) -> Follower {
        // Subscribe first, read then: what is committed in between is told.
        let changes = self.hub().subscribe(Topic::Run(run));
        Follower {
            reader: self.clone(),
            id: run,
            run: None,
            changes,
        }
    }
}

impl Follower {
    /// The run as far as it was followed; `None` before its first record.
    #[must_use]
    pub fn run(&self) -> Option<&Run> {
        self.run.as_ref()
    }

    /// Takes the run out.
    #[must_use]
    pub fn into_run(self) -> Option<Run> {
        self.run
    }

    /// The next events, waiting for them; `None` once the run has ended. Dropping the future while it
    /// waits loses nothing.
    ///
    /// # Errors
    /// When the store cannot be read, or the run does not fold. A follower is of no use then.
    pub async fn next(&mut self) -> Result<Option<Vec<Event>>, NodeError> {
        loop {
            let events = self.poll().await?;
            if !events.is_empty() {
                return Ok(Some(events));
            }
            if self
                .run
                .as_ref()
                .is_some_and(|run| run.state().is_terminal())
            {
                return Ok(None);
            }
            self.changes.wait().await;
        }
    }

    /// What is durable by now and was not seen yet; empty when that is nothing.
    ///
    /// # Errors
    /// As [`Follower::next`].
    pub async fn poll(&mut self) -> Result<Vec<Event>, NodeError> {
        loop {
            // Records without events, checkpoints say, are not the end.
            let (events, all) = self.step().await?;
            if all || !events.is_empty() {
                return Ok(events);
            }
        }
    }

    /// Folds the next records: their events, and whether there are no more records.
    async fn step(&mut self) -> Result<(Vec<Event>, bool), NodeError> {
        let (id, mut run) = (self.id, self.run.take());
        let reader = self.reader.clone();
        let (run, events, all) = reader
            .on_worker(move |reader| {
                let mut all = Vec::new();
                let sequence = run.as_ref().map_or(0, Run::sequence);
                let mut left = RECORDS;
                storage::records(reader.store().as_ref(), id, sequence, |record| {
                    all.append(&mut events::fold(reader, &mut run, &record)?);
                    left -= 1;
                    Ok(left > 0)
                })?;
                Ok((run, all, left > 0))
            })
            .await?;
        self.run = run;
        Ok((events, all))
    }

    /// Waits until something of the run may be new, its log lines aside ([`Topic::Log`]). Dropping the future
    /// loses nothing.
    pub async fn changed(&mut self) {
        self.changes.wait().await;
    }

    /// Whether something may be new since the last call or wait: where nothing is, nothing need be read.
    pub fn is_behind(&mut self) -> bool {
        self.changes.is_due()
    }

    /// The last record that it has folded; 0 before the first.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.run.as_ref().map_or(0, Run::sequence)
    }
}
