//! The timers of a run's instances: armed, disarmed, due (SEMANTICS 12, 20).

use super::Machine;
use super::attempts::AttemptEnd;
use crate::plan::StepIndex;
use crate::planted;
use crate::run::state::{CancelEnd, Work};
use crate::run::table::Event;
use crate::run::timers::Clock;
use crate::run::{AttemptState, Identity, StepState, TimerKey, TimerKind};
use crate::time::{Duration, Time};
use crate::value::Value;
use std::sync::Arc;

impl Machine<'_> {
    /// Arms a timer of an instance; gives its instant by the wall's clock.
    pub(super) fn arm(
        &mut self,
        step: StepIndex,
        instance: u32,
        kind: TimerKind,
        clock: Clock,
        after: Duration,
    ) -> Time {
        self.disarm(step, instance, kind);
        let key = TimerKey {
            kind,
            step,
            instance,
            arming: 0,
        };
        let armed = self.state.timers.arm(key, clock, self.now, after);
        if planted!(TimersLostInFold) && self.oracle.folds()
            || planted!(GraceLostInFold) && self.oracle.folds() && kind == TimerKind::Grace
        {
            self.state.timers.disarm(&armed);
        }
        if let Some(inst) = self.instance_mut(step, instance) {
            inst.timers.push(armed);
        }
        self.state.timers.due(&armed).unwrap_or(armed.due)
    }

    pub(super) fn arm_total(&mut self, step: StepIndex, instance: u32) {
        let unarmed = self
            .state
            .instance(step, instance)
            .is_some_and(|inst| inst.timer(TimerKind::Total).is_none());
        if let (Some(after), true) = (self.step_plan(step).timeouts.total, unarmed) {
            self.arm(step, instance, TimerKind::Total, Clock::Active, after);
        }
    }

    pub(super) fn disarm(&mut self, step: StepIndex, instance: u32, kind: TimerKind) {
        let Some(inst) = self.instance_mut(step, instance) else {
            return;
        };
        let Some(at) = inst.timers.iter().position(|armed| armed.key.kind == kind) else {
            return;
        };
        let armed = inst.timers.swap_remove(at);
        self.state.timers.disarm(&armed);
    }

    /// `total` stands still in a pause, except during attempts (SEMANTICS 20).
    pub(super) fn rebase_total(&mut self, step: StepIndex, instance: u32, clock: Clock) {
        let armed = self
            .state
            .instance(step, instance)
            .and_then(|inst| inst.timer(TimerKind::Total));
        let Some(armed) = armed.copied().filter(|armed| armed.clock != clock) else {
            return;
        };
        let left = self.state.timers.left(&armed, self.now);
        self.arm(step, instance, TimerKind::Total, clock, left);
    }

    pub(super) fn timer_due(&mut self, key: TimerKey) {
        let TimerKey { step, instance, .. } = key;
        let timeout = |field: &str| -> Arc<str> { format!("`timeouts.{field}` has passed").into() };
        match key.kind {
            TimerKind::Run => return self.run_timed_out(),
            TimerKind::Finally => return self.finally_timed_out(),
            _ => self.disarm(step, instance, key.kind),
        }
        if planted!(TimerFiredTwice) {
            let after = Duration(1);
            let again = self.state.timers.arm(key, Clock::Wall, self.now, after);
            if let Some(inst) = self.instance_mut(step, instance) {
                inst.timers.push(again);
            }
        }
        match key.kind {
            TimerKind::Queue => {
                let reason = Some(timeout("queue"));
                self.end_instance(
                    step,
                    instance,
                    Event::TimeOut,
                    StepState::TimedOut,
                    reason,
                    true,
                );
            }
            TimerKind::Attempt => {
                let reason = match self.ends_detached(step, instance) {
                    true => Arc::from("`detached.until_ms` has passed"),
                    false => timeout("attempt"),
                };
                self.cancel(step, instance, CancelEnd::TimedOutRetry, &reason);
            }
            TimerKind::Total => self.cancel(step, instance, CancelEnd::TimedOut, &timeout("total")),
            TimerKind::Grace => {
                let Some(inst) = self.state.instance(step, instance) else {
                    return;
                };
                let id = Identity {
                    step,
                    instance,
                    attempt: inst.attempt,
                };
                if let Some(cancelling) = inst.cancel.clone() {
                    let end = AttemptEnd {
                        state: AttemptState::Cancelled,
                        outputs: None,
                        failure: None,
                        reason: None,
                    };
                    self.cancelled(id, &cancelling, end);
                }
            }
            TimerKind::Backoff => self.state.work.push_back(Work::Requeue(step, instance)),
            TimerKind::Wait => {
                if let Some(inst) = self.instance_mut(step, instance) {
                    inst.outputs = Some(Value::Inline(Arc::from(*b"{}")));
                }
                self.end_instance(
                    step,
                    instance,
                    Event::Succeed,
                    StepState::Succeeded,
                    None,
                    true,
                );
            }
            TimerKind::Run | TimerKind::Finally => {}
        }
    }
}
