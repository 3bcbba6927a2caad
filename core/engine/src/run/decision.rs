use super::table::{Event, RunEvent};
use super::{AttemptState, Failure, Identity, RunState, StepState};
use crate::plan::StepIndex;
use crate::time::{Duration, Time};
use crate::value::Value;
use std::sync::Arc;

/// What a fact changed. Decisions are what followers of a run see as its events, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// The run's state changed. The first is from `queued`.
    Run {
        /// Before.
        from: RunState,
        /// Now.
        to: RunState,
        /// The row of the transition table between the two.
        event: RunEvent,
        /// Why; empty where the states say it.
        reason: Arc<str>,
    },
    /// A fan-out has its instances.
    Expanded {
        /// The step.
        step: StepIndex,
        /// How many.
        instances: u32,
    },
    /// An instance's state changed. Plain steps have the one instance 0.
    Instance {
        /// The step.
        step: StepIndex,
        /// The instance.
        instance: u32,
        /// The attempt that this is about: the current one, or the last; 0 before the first.
        attempt: u32,
        /// Before.
        from: StepState,
        /// Now.
        to: StepState,
        /// The row of the transition table between the two.
        event: Event,
        /// Whether the failure is allowed.
        allowed: bool,
        /// When what it waits for is due.
        due: Option<Time>,
        /// Why; empty where the states say it.
        reason: Arc<str>,
    },
    /// An attempt was claimed.
    Claimed {
        /// Which.
        id: Identity,
        /// The session that took it.
        session: Arc<str>,
    },
    /// An attempt has to stop. Repeated by `pending` until it has.
    Cancel {
        /// Which.
        id: Identity,
        /// Why.
        reason: Arc<str>,
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
        failure: Option<Failure>,
        /// What it gave; kept for reading where it did not succeed.
        outputs: Option<Value>,
        /// Why; empty where the rest says it.
        reason: Arc<str>,
    },
    /// A step ended: all its instances have.
    Step {
        /// The step.
        step: StepIndex,
        /// Its state.
        state: StepState,
        /// Whether others may count it as ok.
        ok: bool,
        /// Allowed failures among its instances.
        warnings: u32,
        /// Why, where it did not succeed.
        reason: Arc<str>,
    },
    /// The run's outputs were evaluated.
    Outputs {
        /// An object.
        outputs: Value,
    },
    /// A request was recorded without effect, such as a second cancel.
    NoEffect {
        /// What, and why it has none.
        reason: Arc<str>,
    },
}
