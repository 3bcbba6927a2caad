//! The owner of a shard: one deterministic machine over all its runs, without threads, clocks,
//! randomness or I/O of its own.
//!
//! [`Owner::handle`] takes what happened, [`Owner::turn`] does bounded work, [`Owner::next_group`]
//! hands out one transaction at a time, and [`Owner::outputs`] what is to be done outside. What
//! depends on a run's uncommitted facts is held back until they are durable (PROTOCOL P13). The node
//! drives an owner with threads; the simulator with a seed.

mod answers;
mod commit;
mod control;
mod count;
mod follow;
mod heard;
mod leases;
mod live;
mod load;
mod messages;
mod part;
mod quarantine;
mod queues;
mod report;
mod rest;
mod rows;
mod sessions;
mod timers;
mod told;
mod values;

pub use messages::{
    Answer, CommitPoint, Control, Flaw, Group, Input, KeptSnapshot, Loaded, LoadedRun, Outcome,
    Output, Reported, SessionEvent, SessionInfo, Start, StartTask, Ticket, ValueTexts, Write,
};

pub use count::Standing;
pub use leases::{FORGOTTEN, NOT_TAKEN, REFUSED, SESSION_WINDOW, UNANSWERED};

use crate::error::NodeError;
use crate::id::RunId;
use crate::metrics::Metrics;
use crate::token::Claimed;
use conveyor_engine::run::{Fact, Identity, Run, RunState, SNAPSHOT_FACTS};
use conveyor_engine::time::{Duration, Time};
use conveyor_engine::value::Hash;
use conveyor_proto::storage::v1::LiveEntry;
use live::{Live, Slot};
use part::{Flight, Part};
use quarantine::quarantined;
use queues::{QueueKey, Queues};
use sessions::Sessions;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// How many runs are loaded at once.
const LOADS: usize = 32;
/// How many turns of a run may join one record: 4 × 256 units (PROTOCOL P7).
const TURNS: u32 = 4;
/// A run that has so many bytes beside its record in a group takes no more values and checkpoints
/// into it: 2 MiB, so that with one more of the longest outputs it stays far below what a store takes.
const PART_BYTES: usize = 2 << 20;
/// The first pause after a failed commit; it doubles up to [`RETRY_MAX`].
const RETRY: Duration = Duration::millis(20);
/// The longest pause after failed commits.
const RETRY_MAX: Duration = Duration::secs(2);

/// What an owner is told once.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Whether it moves every run of its store that has not ended. Without, only those that were
    /// started or continued here. Default true.
    pub moves_all: bool,
    /// A group is closed once its writes have this many bytes. Default 8 MiB: a commit then takes
    /// tens of milliseconds on a slow disk.
    pub group_bytes: usize,
    /// A group is closed once it has this many writes. Default 20,000.
    pub group_writes: usize,
    /// A run has a snapshot once so many facts came since its last one, or as many as it has instances
    /// where those are more (PROTOCOL P8). Default [`SNAPSHOT_FACTS`].
    pub snapshot_facts: u64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            moves_all: true,
            group_bytes: 8 << 20,
            group_writes: 20_000,
            snapshot_facts: SNAPSHOT_FACTS,
        }
    }
}

/// The owner of a shard. See the module.
pub struct Owner {
    config: Config,
    /// Makes nonces.
    random: Box<dyn FnMut() -> u64 + Send>,
    slots: BTreeMap<RunId, Slot>,
    timers: BTreeSet<(Time, RunId)>,
    /// Runs that wait to be loaded, the most urgent first.
    adopt: BTreeSet<(Time, RunId)>,
    /// Runs whose timer is due.
    urgent: VecDeque<RunId>,
    loading: usize,
    /// Those among them that are read only once their groups have met their fate.
    unread: BTreeSet<RunId>,
    /// Runs that sessions named and that have ended, or are not there.
    over: BTreeSet<RunId>,
    /// Runs that could not be read, and are read again.
    unreadable: BTreeSet<RunId>,
    /// Runs that this owner moves, where it does not move all.
    held: BTreeSet<RunId>,
    turns: VecDeque<RunId>,
    queues: Queues,
    sessions: Sessions,
    /// When something of a session in another process is due.
    leases: BTreeSet<(Time, Arc<str>)>,
    /// Claims that another session than the journal names goes on with.
    adopted: BTreeMap<Claimed, Arc<str>>,
    /// Silence counts from here on: before, this owner may not have listened (PROTOCOL P23).
    fresh: Time,
    /// Runs with attempts for drivers that nobody has.
    absent: BTreeMap<QueueKey, BTreeSet<RunId>>,
    /// Documents that are known durable.
    documents: BTreeSet<Hash>,
    collecting: BTreeMap<RunId, Part>,
    flight: Option<Flight>,
    splits: VecDeque<BTreeMap<RunId, Part>>,
    /// The last run whose record was closed.
    sealed_last: RunId,
    outputs: Vec<Output>,
    point: CommitPoint,
    failures: u32,
    hold_until: Option<Time>,
    claiming: bool,
    deposed: bool,
    /// Reports and checkpoints of runs that have much in the group already: they join the
    /// next.
    deferred: Vec<Input>,
    metrics: Arc<Metrics>,
    /// Runs that have not ended, by the code of their state.
    states: [u64; 11],
    /// When it was last told something.
    present: Time,
}

impl std::fmt::Debug for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Owner")
            .field("runs", &self.slots.len())
            .field("point", &self.point)
            .finish()
    }
}

impl Owner {
    /// An owner whose epoch was acquired: the commit key holds `point`. `random` makes the nonces of
    /// claims.
    #[must_use]
    pub fn new(
        config: Config,
        point: CommitPoint,
        random: Box<dyn FnMut() -> u64 + Send>,
    ) -> Owner {
        Owner {
            config,
            random,
            slots: BTreeMap::new(),
            timers: BTreeSet::new(),
            adopt: BTreeSet::new(),
            urgent: VecDeque::new(),
            loading: 0,
            unread: BTreeSet::new(),
            over: BTreeSet::new(),
            unreadable: BTreeSet::new(),
            held: BTreeSet::new(),
            turns: VecDeque::new(),
            queues: Queues::default(),
            sessions: Sessions::default(),
            leases: BTreeSet::new(),
            adopted: BTreeMap::new(),
            fresh: Time(0),
            absent: BTreeMap::new(),
            documents: BTreeSet::new(),
            collecting: BTreeMap::new(),
            flight: None,
            splits: VecDeque::new(),
            sealed_last: RunId([0; 16]),
            outputs: Vec::new(),
            point,
            failures: 0,
            hold_until: None,
            claiming: true,
            deposed: false,
            deferred: Vec::new(),
            metrics: Arc::default(),
            states: [0; 11],
            present: Time(0),
        }
    }

    /// Tells of a run that was live when the owner began: it is loaded when it is due, or when there
    /// is room if something of it wants doing.
    pub fn recover(&mut self, run: RunId, entry: &LiveEntry) {
        self.counted(u8::try_from(entry.state).ok().and_then(RunState::from_code));
        let due = entry.due_ms.map(Time);
        if entry.ready {
            self.slots.insert(run, Slot::Waiting);
            self.adopt.insert((due.unwrap_or(Time(u64::MAX)), run));
        } else {
            self.park(run, due);
        }
    }

    /// Tells of a run that is quarantined.
    pub fn recover_quarantined(&mut self, run: RunId) {
        self.counted(Some(RunState::Quarantined));
        self.slots.insert(run, Slot::Quarantined);
    }

    /// Takes something that happened at `now`.
    pub fn handle(&mut self, now: Time, input: Input) {
        self.present = now;
        if self.deposed {
            return self.refuse(
                &input,
                &NodeError::Unavailable("another owner has taken over".into()),
            );
        }
        if let Input::Report { report, .. } = &input {
            // The session is done with it, whatever becomes of the report, and however long its run
            // takes to be read.
            self.give_back(report.claimed.run, report.claimed.id);
        }
        match input {
            Input::Start { ticket, start } => self.start(now, ticket, start),
            Input::Control { run, .. } => self.of_run(now, run, input),
            Input::Checkpoint { ref claimed, .. } | Input::Detach { ref claimed, .. }
                if self.is_full(claimed.run) =>
            {
                self.deferred.push(input);
            }
            Input::Report { ref report, .. } if self.is_full(report.claimed.run) => {
                self.deferred.push(input);
            }
            Input::Report { ref report, .. } => self.of_run(now, report.claimed.run, input),
            Input::Checkpoint { ref claimed, .. } | Input::Detach { ref claimed, .. } => {
                self.of_run(now, claimed.run, input);
            }
            Input::Register(info) => self.register(now, info),
            Input::Session { session, event } => self.session(now, &session, event),
            Input::Heartbeat {
                ticket,
                session,
                named,
                free,
            } => self.heartbeat(now, ticket, &session, &named, free),
            Input::Resume {
                ticket,
                session,
                named,
            } => self.resume(now, ticket, &session, named.as_deref()),
            Input::Standing {
                ticket,
                session,
                named,
            } => {
                let stale = self.stale(&session, &named);
                self.answer_now(ticket, Ok(Answer::Tokens { stale }));
            }
            Input::Lost { run, .. } => self.of_run(now, run, input),
            Input::Released { claimed, .. } => self.forget(claimed.run, claimed.id),
            Input::Loaded { run, loaded } => self.loaded(now, run, loaded),
            Input::Values { run, values } => self.values_loaded(now, run, values),
            Input::Committed(outcome) => self.committed(now, outcome),
            Input::CommitKey(point) => self.commit_key(now, point),
            Input::Tick => self.tick(now),
            Input::Doubt => self.failures = self.failures.max(1),
            Input::StopClaiming => self.claiming = false,
        }
        self.claim(now);
        self.load_unread();
        self.load_more();
    }

    /// Lets one run that has bounded work left go on. False when none has.
    pub fn turn(&mut self, now: Time) -> bool {
        for _ in 0..self.turns.len() {
            let Some(run) = self.turns.pop_front() else {
                return false;
            };
            let Some(Slot::Live(live)) = self.slots.get_mut(&run) else {
                continue;
            };
            if live.awaits_values || !live.run.wants_turn() {
                live.turning = false;
                continue;
            }
            let turns = self.collecting.get(&run).map_or(0, |part| part.turns);
            // What no longer fits goes on in the next record.
            if turns >= TURNS || live.run.is_full() {
                self.turns.push_back(run);
                continue;
            }
            let missing = live.missing(&live.run.needs());
            if !missing.is_empty() {
                live.awaits_values = true;
                live.turning = false;
                self.outputs.push(Output::LoadValues {
                    run,
                    hashes: missing,
                });
                continue;
            }
            live.turning = false;
            self.collecting.entry(run).or_default().turns += 1;
            // A refusal is only `NoChange`, or a broken run, which `apply` has dealt with.
            let _ = self.apply(now, run, Fact::Turn);
            self.claim(now);
            self.load_more();
            return true;
        }
        false
    }

    /// Whether [`Owner::turn`] has something to do.
    #[must_use]
    pub fn wants_turn(&self) -> bool {
        self.turns.iter().any(|run| {
            let turns = self.collecting.get(run).map_or(0, |part| part.turns);
            let full = matches!(self.slots.get(run), Some(Slot::Live(live)) if live.run.is_full());
            turns < TURNS && !full
        })
    }

    /// What is to be done outside, in order.
    pub fn outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    /// When [`Input::Tick`] is wanted next.
    #[must_use]
    pub fn next_due(&self) -> Option<Time> {
        let timer = self.timers.first().map(|(due, _)| *due);
        let lease = self.leases.first().map(|(due, _)| *due);
        [timer, lease, self.hold_until].into_iter().flatten().min()
    }

    /// Whether nothing waits for a commit.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.flight.is_none()
            && self.splits.is_empty()
            && self.collecting.is_empty()
            && self.deferred.is_empty()
    }

    /// How many runs are in memory, and how many are only known.
    #[must_use]
    pub fn census(&self) -> (usize, usize) {
        let live = self
            .slots
            .values()
            .filter(|slot| matches!(slot, Slot::Live(_)))
            .count();
        (live, self.slots.len() - live)
    }

    /// A run that is in memory and all of which is durable: a fold of its journal must equal it.
    #[must_use]
    pub fn settled(&self, run: RunId) -> Option<&Run> {
        let flight = self.flight.iter().map(Flight::parts);
        let mut open = flight
            .chain(&self.splits)
            .chain(std::iter::once(&self.collecting));
        match self.slots.get(&run) {
            Some(Slot::Live(live)) if !open.any(|parts| parts.contains_key(&run)) => {
                Some(&live.run)
            }
            _ => None,
        }
    }

    /// Whether this owner moves the run.
    #[must_use]
    pub fn holds(&self, run: RunId) -> bool {
        self.slots.contains_key(&run)
    }

    /// Whether it pauses after a failed commit, and claims and commits nothing.
    #[must_use]
    pub fn is_pausing(&self) -> bool {
        self.hold_until.is_some()
    }

    /// Why commits fail, as far as one may tell: whether the last one did.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.failures > 0
    }

    fn is_full(&self, run: RunId) -> bool {
        let part = self.collecting.get(&run);
        part.is_some_and(|part| part.bytes > PART_BYTES)
            || matches!(self.slots.get(&run), Some(Slot::Live(live)) if live.run.is_full())
    }

    /// Puts a request to a run, loading it first where it is not in memory.
    fn of_run(&mut self, now: Time, run: RunId, input: Input) {
        match self.slots.get_mut(&run) {
            Some(Slot::Live(_)) => self.take_live(now, run, input),
            Some(Slot::Loading(waiting)) => waiting.push(input),
            Some(Slot::Quarantined) if !matches!(input, Input::Control { .. }) => {
                self.refuse(&input, &quarantined(run));
            }
            _ => self.load(run, vec![input]),
        }
    }

    fn take_live(&mut self, now: Time, run: RunId, input: Input) {
        match input {
            Input::Control {
                ticket, control, ..
            } => self.control(now, ticket, run, control),
            Input::Report { ticket, report } => self.report(now, ticket, report),
            Input::Checkpoint {
                ticket,
                claimed,
                data,
            } => self.checkpoint(now, ticket, claimed, data),
            Input::Detach {
                ticket,
                claimed,
                until,
                principals,
            } => self.detach(now, ticket, claimed, until, principals),
            Input::Start { ticket, .. } => {
                self.answer_of(run, ticket, Ok(Answer::Started { existed: true }));
            }
            Input::Lost { id, cause, .. } => self.lost(now, run, id, cause),
            _ => {}
        }
    }

    /// The place of a claim is free again.
    fn give_back(&mut self, run: RunId, id: Identity) {
        if let Some(info) = self.sessions.give_back(run, id) {
            self.queues.room(info);
        }
    }

    /// A claim is over, and durably so.
    fn forget(&mut self, run: RunId, id: Identity) {
        if let Some(info) = self.sessions.forget(run, id) {
            self.queues.room(info);
        }
    }

    fn live(&mut self, run: RunId) -> Option<&mut Live> {
        match self.slots.get_mut(&run) {
            Some(Slot::Live(live)) => Some(live),
            _ => None,
        }
    }
}
