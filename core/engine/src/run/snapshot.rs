//! A run's state in bytes, so that a long journal need not be folded from its first record
//! (PROTOCOL P8).
//!
//! A snapshot is a cache: what it says, the journal says too. It is read by the release that wrote it
//! and by no other, so that its layout is that of the state, and an upgrade folds whole journals once.

use super::machine::Run;
use super::root::Root;
use super::state::State;
use crate::plan::Plan;
use crate::planted;
use crate::value::Hash;
use std::sync::Arc;

/// So many facts are folded sooner than a snapshot is read, and anything less is not worth one.
pub const SNAPSHOT_FACTS: u64 = 2_000;

/// What tells whether this release can read a snapshot: its version, and a number that changes with the
/// state's layout between releases (`tests/suite/snapshots.rs` tells when).
pub const SNAPSHOT_FORMAT: &str = concat!(env!("CARGO_PKG_VERSION"), "/5");

/// The state of a run after one of its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The record.
    pub sequence: u64,
    /// The state, in the layout of [`SNAPSHOT_FORMAT`].
    pub bytes: Arc<[u8]>,
}

impl Run {
    /// A snapshot, when it is time for one: no record is open, the run has not ended, and more facts came since the last one
    /// than `facts` and than the run has instances. That makes its cost a share of theirs, whatever the
    /// size of the run.
    pub fn take_snapshot(&mut self, facts: u64) -> Option<Snapshot> {
        if self.state.run.is_terminal() || self.unsaved <= facts.max(self.instances_seen) {
            return None;
        }
        // Counted again only after as many facts: what is between costs nothing.
        let steps = self.state.steps.iter();
        self.instances_seen = steps.map(|step| step.instances.len() as u64).sum();
        if self.unsaved <= self.instances_seen {
            return None;
        }
        let snapshot = self.snapshot()?;
        self.unsaved = 0;
        Some(snapshot)
    }

    /// A snapshot; `None` while a record is open.
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot> {
        if !self.is_closed() {
            return None;
        }
        // It has no part that cannot be written; were there one, there is no snapshot.
        let bytes = postcard::to_allocvec(&self.state).ok()?;
        Some(Snapshot {
            sequence: self.state.sequence,
            bytes: bytes.into(),
        })
    }

    /// A run as a snapshot of this release has it; the records that follow are folded onto it. `None`
    /// when it cannot be read, or is not of this plan.
    #[must_use]
    pub fn restore(plan: Arc<Plan>, snapshot: &Snapshot) -> Option<Run> {
        let (mut state, rest): (State, _) = postcard::take_from_bytes(&snapshot.bytes).ok()?;
        let fits = rest.is_empty()
            && state.steps.len() == plan.steps.len()
            && state.sequence == snapshot.sequence;
        if !fits {
            return None;
        }
        if planted!(SnapshotWithoutTimers) {
            state.timers = super::timers::Timers::default();
        }
        state.inputs = Root::new(state.inputs.value().clone(), |json| {
            plan.declare_inputs(json);
        });
        state.vars = match plan.vars.constant() {
            Some(constant) => Root::known(constant.clone()),
            None => Root::new(state.vars.value().clone(), |_| {}),
        };
        for root in [&mut state.resource, &mut state.event] {
            let known = root.take();
            *root = known.map(|root| Root::new(root.value().clone(), |_| {}));
        }
        let mut run = Run::new(plan);
        run.state = state;
        Some(run)
    }
}

impl Snapshot {
    /// SHA-256 of its bytes.
    #[must_use]
    pub fn digest(&self) -> Hash {
        Hash::of(&self.bytes)
    }
}
