//! What happened to a run, in a form that both the engine's decisions and a client's events have.

use super::FailureView;
use conveyor_engine::run::{AttemptState, Decision, Identity, RunState, StepState};
use conveyor_engine::time::{Duration, Time};
use conveyor_engine::value::{Json, Value};

/// Something that happened to a run, or a line of its log.
#[derive(Clone, Debug)]
pub(crate) struct ProgressEvent {
    /// When.
    pub(crate) time: Time,
    /// What.
    pub(crate) what: What,
}

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// The run's state changed.
    Run {
        /// Now.
        to: RunState,
        /// Why; may be empty.
        reason: String,
    },
    /// A fan-out has its instances.
    Expanded {
        /// The step.
        step: usize,
        /// The combinations or items; `None` where only the number is known.
        instances: Result<Vec<Json>, usize>,
    },
    /// An instance's state changed.
    Instance {
        /// The step.
        step: usize,
        /// The instance.
        instance: usize,
        /// Now.
        to: StepState,
        /// Whether the failure is allowed.
        allowed: bool,
        /// When what it waits for is due.
        due: Option<Time>,
        /// Why; may be empty.
        reason: String,
    },
    /// An attempt was taken by a driver.
    Claimed {
        /// Which.
        id: Identity,
    },
    /// An attempt has to stop.
    Cancel {
        /// Which.
        id: Identity,
        /// Why.
        reason: String,
        /// How long it has.
        grace: Duration,
    },
    /// An attempt ended.
    Attempt {
        /// Which.
        id: Identity,
        /// How.
        state: AttemptState,
        /// What went wrong.
        failure: Option<FailureView>,
        /// What it gave.
        outputs: Option<Json>,
        /// Why; may be empty.
        reason: String,
    },
    /// A step ended.
    Step {
        /// The step.
        step: usize,
        /// Its state.
        state: StepState,
        /// Whether others may count it as ok.
        ok: bool,
        /// Allowed failures among its instances.
        warnings: u32,
        /// Why, where it did not succeed.
        reason: String,
    },
    /// The run's outputs were evaluated.
    Outputs(Json),
    /// A request was recorded without effect.
    NoEffect(String),
    /// A line of an attempt's log.
    Log {
        /// Which attempt.
        id: Identity,
        /// Whether it came by standard error.
        stderr: bool,
        /// The line, without its line feed.
        text: String,
    },
}

impl ProgressEvent {
    /// A decision of the engine at its time.
    pub(crate) fn decided(time: Time, decision: &Decision) -> ProgressEvent {
        ProgressEvent {
            time,
            what: What::from(decision),
        }
    }
}

/// The JSON of a value; `None` for one that is kept elsewhere.
fn inline(value: &Value) -> Option<Json> {
    match value {
        Value::Inline(text) => serde_json::from_slice(text).ok(),
        Value::Stored { .. } => None,
    }
}

impl From<&Decision> for What {
    fn from(decision: &Decision) -> What {
        match decision {
            Decision::Run { to, reason, .. } => What::Run {
                to: *to,
                reason: reason.to_string(),
            },
            Decision::Expanded { step, instances } => What::Expanded {
                step: *step as usize,
                instances: Err(*instances as usize),
            },
            Decision::Instance {
                step,
                instance,
                to,
                allowed,
                due,
                reason,
                ..
            } => What::Instance {
                step: *step as usize,
                instance: *instance as usize,
                to: *to,
                allowed: *allowed,
                due: *due,
                reason: reason.to_string(),
            },
            Decision::Claimed { id, .. } => What::Claimed { id: *id },
            Decision::Cancel { id, reason, grace } => What::Cancel {
                id: *id,
                reason: reason.to_string(),
                grace: *grace,
            },
            Decision::Attempt {
                id,
                state,
                failure,
                outputs,
                reason,
            } => What::Attempt {
                id: *id,
                state: *state,
                failure: failure.as_ref().map(FailureView::from),
                outputs: outputs.as_ref().and_then(inline),
                reason: reason.to_string(),
            },
            Decision::Step {
                step,
                state,
                ok,
                warnings,
                reason,
            } => What::Step {
                step: *step as usize,
                state: *state,
                ok: *ok,
                warnings: *warnings,
                reason: reason.to_string(),
            },
            Decision::Outputs { outputs } => What::Outputs(inline(outputs).unwrap_or(Json::Null)),
            Decision::NoEffect { reason } => What::NoEffect(reason.to_string()),
        }
    }
}
