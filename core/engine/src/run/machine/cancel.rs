//! Telling what runs to stop, and what becomes of it (SEMANTICS 12, 13, 18).

use super::Machine;
use super::attempts::{AttemptEnd, event_of};
use crate::plan::StepIndex;
use crate::run::state::{CancelEnd, Cancelling};
use crate::run::table::Event;
use crate::run::timers::Clock;
use crate::run::{AttemptState, Decision, Identity, StepState, TimerKind};
use std::sync::Arc;

impl Machine<'_> {
    /// Tells a started instance to stop; one that has no attempt ends at once.
    pub(super) fn cancel(
        &mut self,
        step: StepIndex,
        instance: u32,
        end: CancelEnd,
        reason: &Arc<str>,
    ) {
        let (now, grace) = (self.now, self.step_plan(step).grace);
        let Some(inst) = self.instance_mut(step, instance) else {
            return;
        };
        if inst.state.is_terminal() {
            return;
        }
        if inst.state != StepState::Running {
            let (event, to, triggers) = match end {
                CancelEnd::Cancelled => (Event::Cancel, StepState::Cancelled, false),
                _ => (Event::TimeOut, StepState::TimedOut, true),
            };
            return self.end_instance(
                step,
                instance,
                event,
                to,
                Some(Arc::clone(reason)),
                triggers,
            );
        }
        let id = Identity {
            step,
            instance,
            attempt: inst.attempt,
        };
        match &mut inst.cancel {
            Some(cancelling) => {
                // It was told already; a stop or `total` outweighs `attempt`.
                if cancelling.end == CancelEnd::TimedOutRetry && end != CancelEnd::TimedOutRetry {
                    cancelling.end = end;
                    cancelling.reason = Arc::clone(reason);
                }
            }
            none => {
                *none = Some(Box::new(Cancelling {
                    end,
                    reason: Arc::clone(reason),
                    since: now,
                }));
                self.disarm(step, instance, TimerKind::Attempt);
                self.arm(step, instance, TimerKind::Grace, Clock::Wall, grace);
                self.decisions.push(Decision::Cancel {
                    id,
                    reason: Arc::clone(reason),
                    grace,
                });
            }
        }
    }

    /// An attempt that was told to stop did not succeed within its grace.
    pub(super) fn cancelled(&mut self, id: Identity, cancelling: &Cancelling, end: AttemptEnd) {
        let reason = Some(Arc::clone(&cancelling.reason));
        let state = match cancelling.end {
            CancelEnd::TimedOutRetry | CancelEnd::TimedOut => AttemptState::TimedOut,
            CancelEnd::Cancelled => AttemptState::Cancelled,
        };
        let end = AttemptEnd {
            state,
            reason: reason.clone(),
            ..end
        };
        let (event, to, triggers) = match cancelling.end {
            CancelEnd::TimedOutRetry => return self.attempt_ended(id, end),
            CancelEnd::TimedOut => (Event::TimeOut, StepState::TimedOut, true),
            CancelEnd::Cancelled => (Event::Cancel, StepState::Cancelled, false),
        };
        self.close_attempt(id, &end);
        self.end_instance(id.step, id.instance, event, to, reason, triggers);
    }

    /// An instance that a drain keeps from its next attempt ends as its last one did (SEMANTICS 13).
    /// `triggers`: whether the attempt's own end came now, and not that of the drain (14).
    pub(super) fn end_as_last(
        &mut self,
        step: StepIndex,
        instance: u32,
        last: Option<StepState>,
        triggers: bool,
    ) {
        let to = last.unwrap_or(StepState::Errored);
        let reason = match last {
            Some(_) => "nothing is tried again after a stop",
            None => "lost, and nothing is tried again after a stop",
        };
        self.end_instance(
            step,
            instance,
            event_of(to),
            to,
            Some(Arc::from(reason)),
            triggers,
        );
    }
}
