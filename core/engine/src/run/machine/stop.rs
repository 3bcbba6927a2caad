//! Stops, the run's timeouts, pause and resume (SEMANTICS 18–20).

use super::Machine;
use super::attempts::AttemptEnd;
use crate::plan::StepIndex;
use crate::run::state::{CancelEnd, EndName};
use crate::run::table::{Event, RunEvent};
use crate::run::{AttemptState, Decision, Identity, RunState, StepState, Stop, StopKind};
use std::ops::Range;
use std::sync::Arc;

impl Machine<'_> {
    pub(super) fn stopped(&mut self, stop: &Stop) {
        let weaker = self
            .state
            .stop
            .as_ref()
            .is_some_and(|earlier| earlier.kind >= stop.kind);
        let late = self.state.finishing && stop.kind != StopKind::Terminate;
        if weaker || late {
            let why = if late {
                "`finally` runs"
            } else {
                "it is stopping already"
            };
            let reason = format!("{} has no effect: {why}", describe(stop)).into();
            return self.decisions.push(Decision::NoEffect { reason });
        }
        self.lift_pause();
        let timed_out = self.state.named_by == Some(EndName::Timeout);
        let cancelling = self.state.run == RunState::Cancelling;
        self.state.named_by.get_or_insert(EndName::Stop);
        self.state.stop = Some(stop.clone());
        let reason: Arc<str> = describe(stop).into();
        match stop.kind {
            StopKind::Drain if timed_out => {}
            StopKind::Drain => {
                self.transit_run(RunEvent::Drain, RunState::Draining, Arc::clone(&reason));
                self.stop_steps(&reason, false);
            }
            StopKind::Cancel => {
                if !cancelling {
                    self.transit_run(RunEvent::Cancel, RunState::Cancelling, Arc::clone(&reason));
                }
                self.stop_steps(&reason, true);
            }
            StopKind::Terminate => {
                // A run that its timeout names does not end `cancelled`, as a paused one else does.
                if self.state.run == RunState::Paused && timed_out {
                    self.transit_run(RunEvent::Resume, RunState::Finishing, Arc::from(""));
                }
                self.terminate(&reason);
            }
        }
    }

    pub(super) fn run_timed_out(&mut self) {
        if let Some(armed) = self.state.run_timer.take() {
            self.state.timers.disarm(&armed);
        }
        self.lift_pause();
        self.state.named_by.get_or_insert(EndName::Timeout);
        let reason: Arc<str> = Arc::from("run timeout");
        if self.state.run != RunState::Cancelling {
            self.transit_run(RunEvent::Cancel, RunState::Cancelling, Arc::clone(&reason));
        }
        self.stop_steps(&reason, true);
    }

    /// What has not started of `spec.steps` ends `cancelled`; what has, if `started`, is cancelled.
    fn stop_steps(&mut self, reason: &Arc<str>, started: bool) {
        self.stop_each(0..self.plan.main, reason, |machine, step, instance| {
            machine.stop_instance(step, instance, reason, started);
        });
    }

    /// Steps that were not expanded end `cancelled`; `stop` is asked of each instance of the others.
    fn stop_each(
        &mut self,
        steps: Range<StepIndex>,
        reason: &Arc<str>,
        stop: impl Fn(&mut Self, StepIndex, u32),
    ) {
        for step in steps {
            if self.state.step(step).ended() {
                continue;
            }
            if !self.state.step(step).expanded {
                self.end_bare(step, StepState::Cancelled, Some(Arc::clone(reason)));
                continue;
            }
            for instance in 0..self.state.step(step).instances.len() as u32 {
                stop(self, step, instance);
            }
        }
    }

    fn stop_instance(&mut self, step: StepIndex, instance: u32, reason: &Arc<str>, started: bool) {
        let Some(inst) = self.state.instance(step, instance) else {
            return;
        };
        if inst.state.is_terminal() {
            return;
        }
        if !inst.started {
            let reason = Some(Arc::clone(reason));
            self.end_instance(
                step,
                instance,
                Event::Cancel,
                StepState::Cancelled,
                reason,
                false,
            );
        } else if started {
            self.cancel(step, instance, CancelEnd::Cancelled, reason);
        } else if inst.state != StepState::Running
            && inst.timer(crate::run::TimerKind::Wait).is_none()
        {
            // Between two attempts: a drain lets no other follow.
            let last = inst.last;
            self.end_as_last(step, instance, last, false);
        }
    }

    fn terminate(&mut self, reason: &Arc<str>) {
        let all = 0..self.plan.steps.len() as StepIndex;
        self.stop_each(all, reason, |machine, step, instance| {
            machine.terminate_instance(step, instance, reason);
        });
        self.ended.clear();
        self.end_run();
    }

    fn terminate_instance(&mut self, step: StepIndex, instance: u32, reason: &Arc<str>) {
        let Some(inst) = self.state.instance(step, instance) else {
            return;
        };
        if inst.state.is_terminal() {
            return;
        }
        if inst.state == StepState::Running {
            let id = Identity {
                step,
                instance,
                attempt: inst.attempt,
            };
            let end = AttemptEnd {
                state: AttemptState::Cancelled,
                outputs: None,
                failure: None,
                reason: Some(Arc::clone(reason)),
            };
            self.close_attempt(id, &end);
        }
        let reason = Some(Arc::clone(reason));
        self.end_instance(
            step,
            instance,
            Event::Cancel,
            StepState::Cancelled,
            reason,
            false,
        );
    }

    pub(super) fn finally_timed_out(&mut self) {
        if let Some(armed) = self.state.finally_timer.take() {
            self.state.timers.disarm(&armed);
        }
        let reason: Arc<str> = Arc::from("`finally_timeout` has passed");
        for step in self.plan.main..self.plan.steps.len() as StepIndex {
            if self.state.step(step).ended() {
                continue;
            }
            if !self.state.step(step).expanded {
                self.end_bare(step, StepState::TimedOut, Some(Arc::clone(&reason)));
                continue;
            }
            for instance in 0..self.state.step(step).instances.len() as u32 {
                let Some(inst) = self.state.instance(step, instance) else {
                    continue;
                };
                if !inst.state.is_terminal() {
                    self.cancel(step, instance, CancelEnd::TimedOut, &reason);
                }
            }
        }
    }

    pub(super) fn paused(&mut self) {
        self.state.paused = true;
        self.state.timers.pause(self.now);
        self.transit_run(RunEvent::Pause, RunState::Paused, Arc::from(""));
    }

    pub(super) fn resumed(&mut self) {
        self.lift_pause();
        let to = if self.state.finishing {
            RunState::Finishing
        } else {
            RunState::Running
        };
        self.transit_run(RunEvent::Resume, to, Arc::from(""));
    }

    fn lift_pause(&mut self) {
        self.state.paused = false;
        self.state.timers.resume(self.now);
    }
}

/// A stop as people read it.
pub(super) fn describe(stop: &Stop) -> String {
    let verb = match stop.kind {
        StopKind::Drain => "drained",
        StopKind::Cancel => "cancelled",
        StopKind::Terminate => "terminated",
    };
    let who = if stop.actor.is_empty() {
        String::new()
    } else {
        format!(" by {}", stop.actor)
    };
    let why = if stop.reason.is_empty() {
        String::new()
    } else {
        format!(": {}", stop.reason)
    };
    format!("{verb}{who}{why}")
}
