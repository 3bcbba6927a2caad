//! The store under the simulator's hand: every commit has a fate.

use crate::model::SplitMix64;
use conveyor_node::NodeError;
use conveyor_node::owner::{Group, Outcome};
use conveyor_node::storage;
use conveyor_store::{Memory, Store as _, Transaction};
use std::sync::Arc;

/// What becomes of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is made, and its maker hears so.
    Committed,
    /// It is not made: the disk is full.
    Full,
    /// It is made, and nobody knows.
    UnknownMade,
    /// It is not made, and nobody knows.
    UnknownNot,
    /// It is not made now, but a copy is on its way.
    UnknownLate,
    /// It is refused for its content.
    Refused,
}

impl Fate {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Fate::Committed => "commit",
            Fate::Full => "commit failed",
            Fate::UnknownMade => "outcome unknown, committed",
            Fate::UnknownNot => "outcome unknown, not committed",
            Fate::UnknownLate => "outcome unknown, a copy comes late",
            Fate::Refused => "commit refused for its content",
        }
    }
}

/// The durable state, which outlives every process.
pub(super) struct Disk {
    pub(super) store: Memory,
    /// Copies of transactions that are still on their way.
    late: Vec<Transaction>,
}

impl Disk {
    pub(super) fn new() -> Disk {
        Disk {
            store: Memory::new(),
            late: Vec::new(),
        }
    }

    /// Makes a commit meet its fate.
    pub(super) fn commit(&mut self, group: &Arc<Group>, fate: Fate, guarded: bool) -> Outcome {
        let mut transaction = storage::transaction(group);
        if !guarded {
            transaction = unguarded(group);
        }
        match fate {
            Fate::Committed => storage::outcome(group, self.store.commit(&transaction)),
            Fate::Full => Outcome::Failed(NodeError::Full("no space left on device".into())),
            Fate::UnknownMade => {
                // A conflict is as unknown to the caller as anything else.
                let _ = self.store.commit(&transaction);
                Outcome::Unknown
            }
            Fate::UnknownNot => Outcome::Unknown,
            Fate::UnknownLate => {
                self.late.push(transaction);
                Outcome::Unknown
            }
            Fate::Refused => Outcome::Refused("a value is larger than the store takes".into()),
        }
    }

    /// One of the late copies arrives.
    pub(super) fn arrive(&mut self, random: &mut SplitMix64) -> bool {
        if self.late.is_empty() {
            return false;
        }
        let at = random.below(self.late.len());
        let transaction = self.late.swap_remove(at);
        // What it came to, nobody waits for any more.
        let _ = self.store.commit(&transaction);
        true
    }
}

/// The same writes without the compare of the commit key: a planted fault.
fn unguarded(group: &Group) -> Transaction {
    Transaction {
        compares: Vec::new(),
        ..storage::transaction(group)
    }
}
