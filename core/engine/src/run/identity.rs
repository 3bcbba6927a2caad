use crate::plan::StepIndex;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An attempt within its run (PROTOCOL P1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The step's index in the plan.
    pub step: StepIndex,
    /// The instance's position in the expansion; 0 for a plain step.
    pub instance: u32,
    /// The attempt's number, from 1.
    pub attempt: u32,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.step, self.instance, self.attempt)
    }
}

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TimerKind {
    /// `timeouts.queue`.
    Queue,
    /// `timeouts.attempt`.
    Attempt,
    /// The grace after a cancel was pushed.
    Grace,
    /// `timeouts.total`.
    Total,
    /// The delay before the next attempt.
    Backoff,
    /// A `wait` step.
    Wait,
    /// The run's `timeout`.
    Run,
    /// The run's `finally_timeout`.
    Finally,
}

impl TimerKind {
    /// All of them.
    pub const ALL: &'static [TimerKind] = &[
        TimerKind::Queue,
        TimerKind::Attempt,
        TimerKind::Grace,
        TimerKind::Total,
        TimerKind::Backoff,
        TimerKind::Wait,
        TimerKind::Run,
        TimerKind::Finally,
    ];
}

/// One arming of a timer. A `timer due` that names another arming than the current one is ignored
/// (PROTOCOL P9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TimerKey {
    /// What it is for.
    pub kind: TimerKind,
    /// The step, 0 for the run's own timers.
    pub step: StepIndex,
    /// The instance, 0 for the run's own timers.
    pub instance: u32,
    /// The number of the arming, unique in the run.
    pub arming: u64,
}
