//! One life of the process: its owner, its tasks, and what is on its way to it. All of it is gone
//! with a crash.

use super::changing::Decided;
use super::client::Request;
use super::driver;
use conveyor_engine::time::Time;
use conveyor_engine::value::Hash;
use conveyor_mask::Mask;
use conveyor_node::RunId;
use conveyor_node::owner::{Group, KeptSnapshot, Owner, Ticket};
use conveyor_node::resources::Firings;
use conveyor_node::token::Claimed;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Something that is on its way to the owner.
pub(super) enum Event {
    /// A commit reaches the disk.
    Commit(Arc<Group>),
    /// A driver is done.
    Done(Claimed, Box<driver::Result>),
    /// A run is folded.
    Load(RunId),
    /// Values are read.
    Values(RunId, Vec<Hash>),
    /// The commit key is read.
    CommitKey,
    /// A snapshot is kept.
    Snapshot(RunId, Box<KeptSnapshot>),
    /// The snapshots of a run are taken away.
    DropSnapshots(RunId),
    /// A change of an object reaches the disk.
    Change(Box<Decided>),
    /// The next run of a change is started.
    Fire(Box<Firings>),
    /// A change is struck off, as far as its runs are there.
    StrikeOff(Box<Firings>),
    /// It is looked which changes have runs left.
    Left,
    /// A place is free again.
    Released(Claimed),
}

/// Whom a ticket belongs to.
pub(super) enum Asker {
    Client(Request),
    Driver(Claimed, Box<driver::Result>),
    /// A report that comes again, or from a process that is dead.
    Late(Letter),
    /// A driver in another process reports.
    Remote(Arc<str>, Claimed, Box<driver::Result>),
    /// A driver in another process tells what it holds.
    Beat(Arc<str>),
    /// A change of a Resource starts a run.
    Firing(Box<Firings>),
    /// A task that could not be sent over a session's connection is ended by the engine: then its place is free.
    Unsent(Arc<str>, Option<u64>),
    /// A driver goes on elsewhere with a task.
    Detach(Arc<str>, Claimed),
}

/// A report that no process can stop any more.
#[derive(Clone)]
pub(super) struct Letter {
    pub(super) at: Time,
    pub(super) claimed: Claimed,
    pub(super) result: Box<driver::Result>,
    /// Whether it was answered as taken before.
    pub(super) repeat: bool,
}

pub(super) struct Process {
    pub(super) owner: Owner,
    pub(super) session: Arc<str>,
    pub(super) capacity: usize,
    /// Tasks that run, and whether their end was reported.
    pub(super) tasks: BTreeMap<Claimed, bool>,
    /// Tasks that take a place: from their start to their end, whoever hears of it.
    pub(super) working: BTreeSet<Claimed>,
    /// Places whose task was ended, on their way back.
    pub(super) releasing: usize,
    /// Runs that something was heard of.
    pub(super) runs: BTreeSet<RunId>,
    /// Tasks that were told to stop.
    pub(super) told: BTreeSet<Claimed>,
    pub(super) askers: BTreeMap<Ticket, Asker>,
    /// What masks the secrets of tasks that this process has sent.
    pub(super) masks: BTreeMap<Claimed, Mask>,
    /// Whether a change of an object is being made: one at a time.
    pub(super) changing: bool,
    events: BTreeMap<(Time, u64), Event>,
    order: u64,
    tickets: Ticket,
}

impl Process {
    pub(super) fn new(owner: Owner, session: Arc<str>, capacity: usize) -> Process {
        Process {
            owner,
            session,
            capacity,
            tasks: BTreeMap::new(),
            working: BTreeSet::new(),
            releasing: 0,
            runs: BTreeSet::new(),
            told: BTreeSet::new(),
            askers: BTreeMap::new(),
            masks: BTreeMap::new(),
            changing: false,
            events: BTreeMap::new(),
            order: 0,
            tickets: 0,
        }
    }

    pub(super) fn at(&mut self, time: Time, event: Event) {
        self.order += 1;
        self.events.insert((time, self.order), event);
    }

    /// When the next event is due.
    pub(super) fn next(&self) -> Option<Time> {
        self.events.keys().next().map(|(time, _)| *time)
    }

    /// Whether a commit is on its way, or its outcome is looked for.
    pub(super) fn commits(&self) -> bool {
        let commits = |event: &Event| matches!(event, Event::Commit(_) | Event::CommitKey);
        self.events.values().any(commits)
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        self.events.pop_first().map(|(_, event)| event)
    }

    pub(super) fn ticket(&mut self, asker: Asker) -> Ticket {
        self.tickets += 1;
        self.askers.insert(self.tickets, asker);
        self.tickets
    }
}
