//! What people and drivers bring along.

use super::ValueTexts;
use crate::id::RunId;
use crate::token::Claimed;
use conveyor_engine::plan::Plan;
use conveyor_engine::run::{EndedAttempt, Inherited, Stop};
use conveyor_engine::time::Duration;
use conveyor_engine::value::{Hash, Value};
use conveyor_proto::storage::v1::ResourceName;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A run to start.
#[derive(Clone, Debug)]
pub struct Start {
    /// Its id, made before the first try.
    pub run: RunId,
    /// Whether the id was made just now, so that no earlier try can have used it.
    pub fresh: bool,
    /// What it runs.
    pub plan: Arc<Plan>,
    /// The stored form of the plan's document, for a store that may not have it yet; empty where it
    /// surely has.
    pub document: Arc<[u8]>,
    /// Inputs with defaults filled in, already validated: a JSON object.
    pub inputs: Value,
    /// Labels of the run.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the run, over those of the document.
    pub annotations: BTreeMap<String, String>,
    /// Who starts it.
    pub actor: Arc<str>,
    /// The run that it is forked from.
    pub forked_from: Option<Arc<str>>,
    /// Steps whose results it inherits from there.
    pub inherited: Vec<Inherited>,
    /// The version of a Resource that it is for: an object.
    pub resource: Option<Value>,
    /// Which that is, for listings.
    pub resource_name: Option<ResourceName>,
    /// What triggered it: an object.
    pub event: Option<Value>,
    /// Texts of values that the above names by hash.
    pub values: ValueTexts,
    /// Whether the store has these texts already: all of them may be too much for one transaction.
    pub values_stored: bool,
}

/// What people want of a run that is there.
#[derive(Clone, Debug)]
pub enum Control {
    /// Move it, though another process began it.
    Continue,
    /// Stop it.
    Stop(Stop),
    /// Queue and claim nothing.
    Pause {
        /// Who asks.
        actor: Arc<str>,
        /// Why; may be empty.
        reason: Arc<str>,
    },
    /// End a pause.
    Resume {
        /// Who asks.
        actor: Arc<str>,
        /// Why; may be empty.
        reason: Arc<str>,
    },
    /// Fold a quarantined run again.
    Release,
}

/// What a session tells.
#[derive(Clone, Copy, Debug)]
pub enum SessionEvent {
    /// It takes so many more tasks, up to its capacity.
    Credits(u32),
    /// A call of it waits for tasks, and takes at most so many: it is there until the wait is over.
    Polls {
        /// How many tasks, whatever it said before.
        free: u32,
        /// How long it waits at most.
        wait: Duration,
    },
    /// It takes none until it says so, and no call of it waits.
    NoCredits,
    /// It has a task.
    Accepted(Claimed),
    /// It does not take a task.
    Refused(Claimed),
    /// It takes nothing new, and finishes what it holds.
    Draining,
    /// Its connection is broken. Ends no claim.
    Disconnected,
    /// It holds nothing any more, and does not come back.
    Left,
}

/// A session as the owner knows it.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    /// Its id, never used before.
    pub id: Arc<str>,
    /// Drivers by name, with the version of each.
    pub drivers: BTreeMap<Arc<str>, Arc<str>>,
    /// The digests of their actions and schemas, as far as they are known.
    pub schemas: BTreeMap<Arc<str>, Hash>,
    /// How many tasks it takes at once.
    pub capacity: u32,
    /// The namespace that its drivers are published in (PROTOCOL P27); `None` for all.
    pub scope: Option<Arc<str>>,
    /// Whether it is another process: it grants credits, and its claims have leases.
    pub remote: bool,
    /// Whether an earlier owner had it: it is not connected yet.
    pub restored: bool,
    /// Claims of other sessions that it goes on with (PROTOCOL P25).
    pub adopted: Vec<Claimed>,
}

impl SessionInfo {
    /// The drivers of the owner's own process.
    #[must_use]
    pub fn in_process(
        id: &str,
        drivers: BTreeMap<Arc<str>, Arc<str>>,
        schemas: BTreeMap<Arc<str>, Hash>,
        capacity: u32,
    ) -> SessionInfo {
        SessionInfo {
            id: id.into(),
            drivers,
            schemas,
            capacity,
            scope: None,
            remote: false,
            restored: false,
            adopted: Vec::new(),
        }
    }
}

/// A driver's report, as the session hands it over.
#[derive(Clone, Debug)]
pub struct Reported {
    /// The claim that it is under.
    pub claimed: Claimed,
    /// How the attempt ended.
    pub result: EndedAttempt,
    /// The last log offset, if it logged.
    pub last_log: Option<u64>,
    /// Texts of values that the result names by hash.
    pub values: ValueTexts,
}
