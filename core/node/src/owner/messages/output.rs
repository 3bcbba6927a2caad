//! What an owner wants done.

use super::{KeptSnapshot, Ticket};
use crate::error::NodeError;
use crate::id::RunId;
use crate::token::Claimed;
use conveyor_engine::plan::Plan;
use conveyor_engine::run::{Item, RunState, TaskSpec};
use conveyor_engine::time::Duration;
use conveyor_engine::value::{Hash, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Something that the owner wants done.
#[derive(Debug)]
pub enum Output {
    /// The answer to a request.
    Answer {
        /// Which.
        ticket: Ticket,
        /// The answer.
        answer: Result<Answer, NodeError>,
    },
    /// A task is to be started.
    Start(Box<StartTask>),
    /// A task is to be told to stop. May be repeated.
    Cancel {
        /// Whose task.
        session: Arc<str>,
        /// Which.
        claimed: Claimed,
        /// Its run's namespace.
        namespace: Arc<str>,
        /// Why.
        reason: Arc<str>,
        /// How long it has.
        grace: Duration,
    },
    /// A task's claim is over: whatever is left of it is to be ended, and [`super::Input::Released`] sent.
    Abort {
        /// Whose task.
        session: Arc<str>,
        /// Which.
        claimed: Claimed,
        /// Its run's namespace.
        namespace: Arc<str>,
    },
    /// The run is to be loaded from the store.
    Load {
        /// Which.
        run: RunId,
    },
    /// Values of the run are to be loaded from the store.
    LoadValues {
        /// Which run.
        run: RunId,
        /// Which values.
        hashes: Vec<Hash>,
    },
    /// The commit key is to be read, linearizably.
    ReadCommit,
    /// A run has a new durable record, or is held or let go.
    Changed {
        /// Which run.
        run: RunId,
        /// The sequence of its last durable record.
        sequence: u64,
        /// The run's state there.
        state: RunState,
    },
    /// A snapshot of a run is to be kept ([`crate::storage::keep_snapshot`]), or not: it is a cache.
    Snapshot {
        /// Which run.
        run: RunId,
        /// It.
        kept: Box<KeptSnapshot>,
    },
    /// The snapshots of a run that has ended are to be taken away
    /// ([`crate::storage::drop_snapshots`]), or not.
    DropSnapshots {
        /// Which run.
        run: RunId,
    },
    /// A session was silent for so long that nobody can be there: its connection is to be closed.
    Silent {
        /// Which.
        session: Arc<str>,
    },
    /// A session is over, and its id means nothing any more.
    SessionOver {
        /// Which.
        session: Arc<str>,
    },
    /// Another owner has committed: this one is over.
    Deposed,
}

/// What a request came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The run has started.
    Started {
        /// Whether an earlier try had started it.
        existed: bool,
    },
    /// What was asked is durable.
    Done,
    /// The report was taken, now or before.
    Taken {
        /// Whether it is an exact repeat.
        already: bool,
    },
    /// The report, or the checkpoint, is not of the current claim; nothing changed.
    Stale,
    /// Of the claims that were named, those that are over.
    Tokens {
        /// They.
        stale: Vec<Claimed>,
    },
}

/// A task to be started: its claim is durable.
#[derive(Clone, Debug)]
pub struct StartTask {
    /// The session that has it.
    pub session: Arc<str>,
    /// The claim.
    pub claimed: Claimed,
    /// Whether it was sent before, perhaps by an earlier process: its driver may have it.
    pub again: bool,
    /// What is to be done.
    pub spec: TaskSpec,
    /// The text of `spec.with`, where it was at hand.
    pub with: Option<Arc<[u8]>>,
    /// What the run is an execution of.
    pub plan: Arc<Plan>,
    /// Labels of the run.
    pub labels: BTreeMap<String, String>,
    /// Parameters of the instance; `None` for a plain step.
    pub parameters: Option<Item>,
    /// The version of a Resource that the run is for: an object.
    pub resource: Option<Value>,
}
