//! What goes into an owner, and what comes out.

use crate::error::NodeError;
use crate::feed::RUNS;
use crate::id::RunId;
use crate::token::Claimed;
use conveyor_engine::plan::Plan;
use conveyor_engine::run::{
    EndedAttempt, Identity, Inherited, Item, LostCause, Run, RunState, Snapshot, Stop, TaskSpec,
};
use conveyor_engine::time::{Duration, Time};
use conveyor_engine::value::{Hash, Value};
use conveyor_proto::storage::v1::{LiveEntry, ResourceName, RunSummary};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Names a request, so that its caller finds the answer. Made by the caller; 0 wants no answer.
pub type Ticket = u64;

/// Values by hash, as they are handed in and stored.
pub type ValueTexts = Vec<(Hash, Arc<[u8]>)>;

/// One change of the store: a put, or a delete where there is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The key.
    pub key: Vec<u8>,
    /// The value; `None` deletes.
    pub value: Option<Vec<u8>>,
}

impl From<(Vec<u8>, Vec<u8>)> for Write {
    fn from((key, value): (Vec<u8>, Vec<u8>)) -> Write {
        Write {
            key,
            value: Some(value),
        }
    }
}

impl Write {
    /// How many bytes it has.
    pub(super) fn len(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Vec::len)
    }
}

/// Something that happened outside of the owner.
#[derive(Debug)]
pub enum Input {
    /// A run is to start.
    Start {
        /// Who asks.
        ticket: Ticket,
        /// What.
        start: Box<Start>,
    },
    /// Somebody wants something of a run.
    Control {
        /// Who asks.
        ticket: Ticket,
        /// Of which run.
        run: RunId,
        /// What.
        control: Control,
    },
    /// A session is there, with room for tasks.
    Register(SessionInfo),
    /// A session tells something that wants no answer.
    Session {
        /// Which.
        session: Arc<str>,
        /// What.
        event: SessionEvent,
    },
    /// A session tells which claims it holds, those whose task it has.
    Heartbeat {
        /// Who asks.
        ticket: Ticket,
        /// Which session.
        session: Arc<str>,
        /// Its claims.
        named: Vec<Claimed>,
        /// How many more tasks it takes now, where it tells.
        free: Option<u32>,
    },
    /// A session is there again over a new connection, and tells which claims it holds.
    Resume {
        /// Who asks.
        ticket: Ticket,
        /// Which session.
        session: Arc<str>,
        /// Its claims; `None` where it does not tell: none of them ends then.
        named: Option<Vec<Claimed>>,
    },
    /// A commit by somebody else failed: whether the store takes commits is to be found out.
    Doubt,
    /// Somebody asks which of these claims of a session are over.
    Standing {
        /// Who asks.
        ticket: Ticket,
        /// Which session.
        session: Arc<str>,
        /// The claims.
        named: Vec<Claimed>,
    },
    /// A driver tells how an attempt ended.
    Report {
        /// Who asks.
        ticket: Ticket,
        /// The report.
        report: Box<Reported>,
    },
    /// A session has a place free again whose attempt ended without its report.
    Released {
        /// Which session.
        session: Arc<str>,
        /// Which claim had the place.
        claimed: Claimed,
    },
    /// An attempt will never report.
    Lost {
        /// Of which run.
        run: RunId,
        /// Which.
        id: Identity,
        /// Why.
        cause: LostCause,
    },
    /// A driver hands over what a next attempt should know.
    Checkpoint {
        /// Who asks.
        ticket: Ticket,
        /// The claim that it is under.
        claimed: Claimed,
        /// Opaque bytes.
        data: Arc<[u8]>,
    },
    /// A driver goes on elsewhere with a task.
    Detach {
        /// Who asks.
        ticket: Ticket,
        /// The claim that it is under.
        claimed: Claimed,
        /// Until when it is waited for.
        until: Time,
        /// Who may end it: first whoever claimed it.
        principals: Vec<Arc<str>>,
    },
    /// What [`Output::Load`] asked for.
    Loaded {
        /// Which run.
        run: RunId,
        /// What was found.
        loaded: Loaded,
    },
    /// What [`Output::LoadValues`] asked for.
    Values {
        /// Which run.
        run: RunId,
        /// What was found; an error that is not temporary sets the run aside.
        values: Result<ValueTexts, NodeError>,
    },
    /// How a commit went.
    Committed(Outcome),
    /// What [`Output::ReadCommit`] asked for; `None` when the store could not be read.
    CommitKey(Option<CommitPoint>),
    /// Time has passed: see [`super::Owner::next_due`].
    Tick,
    /// Nothing more is to be claimed: the process is about to end.
    StopClaiming,
}

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
    /// It takes none until it says so.
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

/// A run as the store has it.
#[derive(Debug)]
pub enum Loaded {
    /// There is none.
    Missing,
    /// It folds.
    Run(Box<LoadedRun>),
    /// It does not fold.
    Broken {
        /// Why.
        flaw: Flaw,
        /// Its row, where it has one.
        summary: Option<Box<RunSummary>>,
    },
    /// The store could not be read. It is tried again.
    Failed(String),
}

/// Why a run is set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// A sentence for people.
    pub reason: String,
    /// The record at which the fold stopped; 0 where it is none.
    pub sequence: u64,
    /// The digest in that record and the one that the fold gave, where it is they that differ.
    pub digests: Option<(u64, u64)>,
}

impl Flaw {
    /// At a record, whatever its digest.
    #[must_use]
    pub fn at(sequence: u64, reason: &(impl ToString + ?Sized)) -> Flaw {
        Flaw {
            reason: reason.to_string(),
            sequence,
            digests: None,
        }
    }
}

/// A run that folds, and its rows.
#[derive(Debug)]
pub struct LoadedRun {
    /// The run.
    pub run: Run,
    /// Why it is in its state.
    pub reason: Arc<str>,
    /// Whether it has a snapshot.
    pub snapshotted: bool,
    /// Its row for listings.
    pub summary: Option<RunSummary>,
    /// Its row among live work.
    pub entry: Option<LiveEntry>,
    /// Whether it is quarantined.
    pub quarantined: bool,
}

/// What a commit came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable.
    Committed,
    /// It is not, and will never be.
    Failed(NodeError),
    /// It will never be, because of what is in it: too large, for instance.
    Refused(String),
    /// Another owner has committed.
    Deposed,
    /// Nobody knows.
    Unknown,
}

/// What the commit key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitPoint {
    /// The owner's epoch: a number that grows.
    pub epoch: u64,
    /// The random part of the epoch.
    pub epoch_nonce: u64,
    /// The number of the last commit in it.
    pub number: u64,
}

/// One transaction: it must be committed only where the commit key holds `from`, and makes it `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What the commit key must hold.
    pub from: CommitPoint,
    /// What it holds afterwards.
    pub to: CommitPoint,
    /// The rest. No key twice.
    pub writes: Vec<Write>,
}

impl Group {
    /// Whether it has something that followers of namespaces are told.
    #[must_use]
    pub fn tells(&self) -> bool {
        let last = self.writes.last();
        last.is_some_and(|write| write.key.starts_with(&crate::keys::events(RUNS)))
    }

    /// How many bytes it writes, keys included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.writes.iter().map(|write| write.len() as u64).sum()
    }
}

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
    /// A task's claim is over: whatever is left of it is to be ended, and [`Input::Released`] sent.
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

/// A snapshot of a run, and what is kept with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptSnapshot {
    /// The state.
    pub snapshot: Snapshot,
    /// The digest of the run's document.
    pub document: Hash,
    /// Why the run is in its state.
    pub reason: Arc<str>,
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
