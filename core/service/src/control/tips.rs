//! What is new of a run, read, folded and put into words once for all who follow it: ten thousand followers
//! cost one fold for each record, and keep none of their own.

use super::{ControlHandlers, refuse};
use crate::stack::on_stack;
use crate::wire;
use conveyor_engine::run::RunState;
use conveyor_node::RunId;
use conveyor_node::reader::{Event, EventId, Follower};
use conveyor_proto::v1;
use prost::Message as _;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tonic::Status;

/// So many batches are kept for followers that are not there yet. Whoever is further behind reads the journal
/// again.
const BATCHES: usize = 64;
/// And so many bytes of them, the newest batch besides.
const BYTES: usize = 4 << 20;

/// The tips of all runs that somebody follows. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Tips(Arc<Mutex<HashMap<RunId, Weak<Tip>>>>);

/// The newest of one run. It lasts as long as somebody follows it.
pub(super) struct Tip {
    id: RunId,
    tips: Tips,
    reading: tokio::sync::Mutex<Reading>,
}

struct Reading {
    follower: Follower,
    batches: VecDeque<Arc<Batch>>,
    bytes: usize,
    /// The last record before the first of `batches`.
    since: u64,
    state: RunState,
    /// Nothing follows.
    over: bool,
    /// It could not be read further: each follower finds out by itself.
    broken: bool,
}

/// Events of one reading.
pub(super) struct Batch {
    /// Each with its record.
    pub(super) events: Vec<(u64, v1::Event)>,
    /// The last one.
    pub(super) last: EventId,
    bytes: usize,
}

/// What a follower gets.
pub(super) enum News {
    /// It is too far behind: it reads the journal by itself.
    Behind,
    New {
        /// What came after its last record; the first batch may begin before that.
        batches: Vec<Arc<Batch>>,
        state: RunState,
        /// Whether nothing follows.
        over: bool,
    },
}

impl fmt::Debug for Tips {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tips(..)")
    }
}

impl Tips {
    /// The tip of a run: the one that others follow already, or one that goes on with this follower.
    pub(super) fn join(&self, id: RunId, follower: Follower) -> Arc<Tip> {
        let mut all = self.all();
        if let Some(tip) = all.get(&id).and_then(Weak::upgrade) {
            return tip;
        }
        let reading = Reading {
            since: follower.sequence(),
            follower,
            batches: VecDeque::new(),
            bytes: 0,
            state: RunState::Queued,
            over: false,
            broken: false,
        };
        let tip = Arc::new(Tip {
            id,
            tips: self.clone(),
            reading: tokio::sync::Mutex::new(reading),
        });
        all.insert(id, Arc::downgrade(&tip));
        tip
    }

    fn all(&self) -> MutexGuard<'_, HashMap<RunId, Weak<Tip>>> {
        // The table is whole: nothing under the lock can fail.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Tip {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Tip {
    /// What came after a record. Reads only where something may be new, and for whoever asks first.
    pub(super) async fn after(
        &self,
        handlers: &ControlHandlers,
        sequence: u64,
    ) -> Result<News, Status> {
        let mut reading = self.reading.lock().await;
        if !reading.broken && !reading.over && reading.follower.is_behind() {
            // Whoever asks may go away meanwhile, and what was read with it.
            reading.broken = true;
            reading.read(handlers, self.id).await?;
            reading.broken = false;
        }
        if reading.broken {
            self.leave();
        }
        if reading.broken || sequence < reading.since {
            return Ok(News::Behind);
        }
        let new = |batch: &&Arc<Batch>| batch.last.sequence > sequence;
        Ok(News::New {
            batches: reading.batches.iter().filter(new).cloned().collect(),
            state: reading.state,
            over: reading.over,
        })
    }

    /// Nobody joins it any more. Another may have come in its place.
    fn leave(&self) {
        let mut all = self.tips.all();
        if all
            .get(&self.id)
            .is_some_and(|tip| std::ptr::eq(tip.as_ptr(), self))
        {
            all.remove(&self.id);
        }
    }
}

impl Reading {
    async fn read(&mut self, handlers: &ControlHandlers, id: RunId) -> Result<(), Status> {
        loop {
            let events = self.follower.poll().await.map_err(refuse)?;
            let Some(last) = events.last().map(|event| event.id) else {
                break;
            };
            let records: Vec<u64> = events.iter().map(|event| event.id.sequence).collect();
            let events = handlers.told(id, &self.follower, events).await?;
            let bytes = events.iter().map(v1::Event::encoded_len).sum();
            self.bytes += bytes;
            self.batches.push_back(Arc::new(Batch {
                events: records.into_iter().zip(events).collect(),
                last,
                bytes,
            }));
            while self.batches.len() > BATCHES || self.bytes > BYTES && self.batches.len() > 1 {
                let Some(dropped) = self.batches.pop_front() else {
                    break;
                };
                self.bytes -= dropped.bytes;
                self.since = dropped.last.sequence;
            }
        }
        let state = self.follower.run().map(|run| run.state());
        self.state = state.unwrap_or(RunState::Queued);
        self.over = self.state.is_terminal();
        if !self.over {
            // A run in quarantine gets no records: its row says so.
            let row = handlers.reader.summary(id).await.map_err(refuse)?;
            if row.state() == RunState::Quarantined {
                (self.state, self.over) = (RunState::Quarantined, true);
            }
        }
        Ok(())
    }
}

impl ControlHandlers {
    /// Events in words.
    pub(super) async fn told(
        &self,
        id: RunId,
        follower: &Follower,
        events: Vec<Event>,
    ) -> Result<Vec<v1::Event>, Status> {
        let Some(run) = follower.run().filter(|_| !events.is_empty()) else {
            return Ok(Vec::new());
        };
        let (plan, values) = (run.plan().clone(), self.values(id));
        let told = move || {
            let each = events.iter();
            each.map(|event| wire::event(&plan, event, &values))
                .collect()
        };
        on_stack(told).await
    }
}
