//! The state machine of one run: facts in, decisions out.
//!
//! [`Run`] holds a plan and the fold of a journal. Live, [`Run::apply`] takes a fact, evaluates what
//! it makes ready and says what changed; [`Run::take_record`] closes the record that the journal
//! keeps. After a crash, on another node, in a reader or in a test, [`Run::fold`] goes through the
//! same transitions from the records alone: what was evaluated is in them, and nothing is
//! evaluated twice.

mod decision;
mod fact;
mod identity;
mod record;
mod states;

pub use decision::Decision;
pub use fact::{
    Claim, EndedAttempt, Fact, Failure, Inherited, InheritedInstance, LostCause, Report, Started, Stop, StopKind,
};
pub use identity::{Identity, TimerKey, TimerKind};
pub use record::{Evaluated, Evaluation, Record, Site};
pub use states::{AttemptState, RunState, StepState};
