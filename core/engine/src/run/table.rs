//! The transition tables: every change of state of an instance and of a run is a row here.
//!
//! The machine asks before each change; a change that is no row is a fault, which quarantines the
//! run. `docs/states.md` is generated from these tables, and the simulator counts that it met every
//! row.

use super::{RunState, StepState};

macro_rules! events {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$doc])* $variant),+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The word in tables.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }
        }
    };
}

events! {
    /// What changes an instance's state.
    Event {
        /// Its turn has come and a driver may take it.
        Queue = "queue",
        /// A session took it.
        Claim = "claim",
        /// A `wait` began.
        Begin = "begin",
        /// Its last attempt, transform or wait gave its outputs.
        Succeed = "succeed",
        /// Its last attempt ended `failed` and no other follows.
        Fail = "fail",
        /// An evaluation, a check or too many losses ended it.
        Err = "err",
        /// A timeout ended it.
        TimeOut = "time out",
        /// Another attempt follows after a delay.
        BackOff = "back off",
        /// The attempt was lost and another follows.
        Lose = "lose",
        /// A stop, a failing sibling or a failing run ended it.
        Cancel = "cancel",
        /// Its `when` was false.
        Skip = "skip",
        /// The run failed before it started.
        Omit = "omit",
        /// The result was copied from the run that this one was forked from.
        Inherit = "inherit",
    }
}

events! {
    /// What changes a run's state.
    RunEvent {
        /// It was accepted.
        Start = "start",
        /// Somebody paused it.
        Pause = "pause",
        /// Somebody resumed it.
        Resume = "resume",
        /// A cancel, or its timeout.
        Cancel = "cancel",
        /// A drain.
        Drain = "drain",
        /// All steps ended and `finally` begins.
        Finish = "finish",
        /// It ended `succeeded`.
        Succeed = "succeed",
        /// It ended `failed`.
        Fail = "fail",
        /// It ended `cancelled`.
        Stop = "stop",
    }
}

/// A row of the instance table.
pub type Row = (StepState, Event, StepState);

/// A row of the run table.
pub type RunRow = (RunState, RunEvent, RunState);

/// The instance table.
pub const INSTANCE: &[Row] = {
    use Event as E;
    use StepState::{
        Cancelled, Errored, Failed, Omitted, Pending, Queued, Running, Skipped, Succeeded,
        TimedOut, Waiting,
    };
    &[
        (Pending, E::Queue, Queued),
        (Pending, E::Begin, Waiting),
        (Pending, E::Succeed, Succeeded),
        (Pending, E::Err, Errored),
        (Pending, E::TimeOut, TimedOut),
        (Pending, E::Cancel, Cancelled),
        (Pending, E::Skip, Skipped),
        (Pending, E::Omit, Omitted),
        (Pending, E::Inherit, Succeeded),
        (Pending, E::Inherit, Failed),
        (Pending, E::Inherit, Errored),
        (Pending, E::Inherit, TimedOut),
        (Pending, E::Inherit, Skipped),
        (Queued, E::Claim, Running),
        (Queued, E::Fail, Failed),
        (Queued, E::Err, Errored),
        (Queued, E::TimeOut, TimedOut),
        (Queued, E::Cancel, Cancelled),
        (Queued, E::Omit, Omitted),
        (Running, E::Succeed, Succeeded),
        (Running, E::Fail, Failed),
        (Running, E::Err, Errored),
        (Running, E::TimeOut, TimedOut),
        (Running, E::BackOff, Waiting),
        (Running, E::Lose, Pending),
        (Running, E::Cancel, Cancelled),
        (Waiting, E::Queue, Queued),
        (Waiting, E::Succeed, Succeeded),
        (Waiting, E::Fail, Failed),
        (Waiting, E::Err, Errored),
        (Waiting, E::TimeOut, TimedOut),
        (Waiting, E::Cancel, Cancelled),
    ]
};

/// The run table.
pub const RUN: &[RunRow] = {
    use RunEvent as E;
    use RunState::{
        Cancelled, Cancelling, Draining, Failed, Finishing, Paused, Queued, Running, Succeeded,
    };
    &[
        (Queued, E::Start, Running),
        (Running, E::Pause, Paused),
        (Running, E::Cancel, Cancelling),
        (Running, E::Drain, Draining),
        (Running, E::Finish, Finishing),
        (Running, E::Succeed, Succeeded),
        (Running, E::Fail, Failed),
        (Running, E::Stop, Cancelled),
        (Paused, E::Resume, Running),
        (Paused, E::Cancel, Cancelling),
        (Paused, E::Drain, Draining),
        (Paused, E::Stop, Cancelled),
        (Draining, E::Cancel, Cancelling),
        (Draining, E::Finish, Finishing),
        (Draining, E::Stop, Cancelled),
        (Cancelling, E::Finish, Finishing),
        (Cancelling, E::Fail, Failed),
        (Cancelling, E::Stop, Cancelled),
        (Finishing, E::Pause, Paused),
        (Paused, E::Resume, Finishing),
        (Finishing, E::Succeed, Succeeded),
        (Finishing, E::Fail, Failed),
        (Finishing, E::Stop, Cancelled),
    ]
};

/// Whether the instance table has that row.
#[must_use]
pub fn allows(from: StepState, event: Event, to: StepState) -> bool {
    INSTANCE.contains(&(from, event, to))
}

/// Whether the run table has that row.
#[must_use]
pub fn allows_run(from: RunState, event: RunEvent, to: RunState) -> bool {
    RUN.contains(&(from, event, to))
}
