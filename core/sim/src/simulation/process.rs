//! One life of the process: its owner, its tasks, and what is on its way to it. All of it is gone
//! with a crash.

use super::client::Request;
use conveyor_engine::run::EndedAttempt;
use conveyor_engine::time::Time;
use conveyor_node::RunId;
use conveyor_node::owner::{Group, Input, Owner, Ticket};
use conveyor_node::token::Claimed;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Something that is on its way to the owner.
pub(super) enum Event {
    /// A commit reaches the disk.
    Commit(Arc<Group>),
    /// A driver is done.
    Done(Claimed, EndedAttempt),
    /// A driver reports once more what it had reported.
    Again(Claimed, EndedAttempt),
    /// A run is folded.
    Load(RunId),
    /// Anything else.
    Input(Box<Input>),
}

/// Whom a ticket belongs to.
pub(super) enum Asker {
    Client(Request),
    Driver(Claimed, EndedAttempt),
    Repeat,
}

pub(super) struct Process {
    pub(super) owner: Owner,
    /// Tasks that run, and whether their end was reported.
    pub(super) tasks: BTreeMap<Claimed, bool>,
    pub(super) askers: BTreeMap<Ticket, Asker>,
    events: BTreeMap<(Time, u64), Event>,
    order: u64,
    tickets: Ticket,
}

impl Process {
    pub(super) fn new(owner: Owner) -> Process {
        Process {
            owner,
            tasks: BTreeMap::new(),
            askers: BTreeMap::new(),
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

    pub(super) fn pop(&mut self) -> Option<Event> {
        self.events.pop_first().map(|(_, event)| event)
    }

    pub(super) fn ticket(&mut self, asker: Asker) -> Ticket {
        self.tickets += 1;
        self.askers.insert(self.tickets, asker);
        self.tickets
    }
}
