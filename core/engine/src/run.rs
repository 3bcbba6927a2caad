//! The state machine of one run: facts in, decisions out.
//!
//! [`Run`] holds a plan and the fold of a journal. Live, [`Run::apply`] takes a fact, evaluates what
//! it makes ready and says what changed; [`Run::take_record`] closes the record that the journal
//! keeps. After a crash, on another node, in a reader or in a test, [`Run::fold`] goes through the
//! same transitions from the records alone: what was evaluated is in them, and nothing is
//! evaluated twice.
//!
//! A fact is applied in three movements: the transition it stands for; the cascade of steps that end
//! by it; and bounded work, the units that became ready, at most [`TURN_UNITS`] at once. What is
//! left over is in [`Pending::turn`], and goes on with [`Fact::Turn`].

mod backoff;
mod codec;
mod decision;
mod digest;
mod fact;
mod identity;
mod items;
mod machine;
mod needs;
mod oracle;
mod pending;
mod record;
mod root;
mod scope;
mod snapshot;
mod state;
mod states;
pub mod table;
mod timers;
mod values;
mod view;

pub use codec::{DecodeError, decode_record, encode_record};
pub use decision::Decision;
pub use fact::{
    Claim, Detached, EndedAttempt, Fact, Failure, Inherited, InheritedInstance, LostCause, Report,
    Started, Stop, StopKind,
};
pub use identity::{Identity, TimerKey, TimerKind};
pub use items::{Item, Items};
pub use machine::{FoldError, Fork, ForkError, ForkFrom, Rejected, Run, Sealed, TURN_UNITS};
pub use pending::{CancelOrder, Pending, TaskSpec};
pub use record::{Entry, Evaluated, Evaluation, Record, Site};
pub use scope::expand;
pub use snapshot::{SNAPSHOT_FACTS, SNAPSHOT_FORMAT, Snapshot};
pub use states::{AttemptState, RunState, StepState};
pub use values::{NoValues, Values};
pub use view::{InstanceView, StepView, Waiting};

/// The number of the semantics that this release gives new runs (PROTOCOL P35).
pub const SEMANTICS: u32 = conveyor_proto::storage::envelope::SEMANTICS;
