//! Instances, steps and the run end (SEMANTICS 13–15, 21, 22).

use super::Machine;
use crate::plan::{AllowFailure, StepIndex};
use crate::planted;
use crate::run::record::Site;
use crate::run::state::{CancelEnd, EndName, Work};
use crate::run::table::{Event, RunEvent};
use crate::run::timers::Clock;
use crate::run::{Decision, RunState, StepState, TimerKey, TimerKind};
use std::sync::Arc;

impl Machine<'_> {
    /// An instance ends. `triggers`: whether it may make its siblings fail (SEMANTICS 14).
    pub(super) fn end_instance(
        &mut self,
        step: StepIndex,
        instance: u32,
        event: Event,
        to: StepState,
        reason: Option<Arc<str>>,
        triggers: bool,
    ) {
        let now = self.now;
        let (allowed, reason) = self.judged(step, instance, to, reason);
        let Some(inst) = self.state.steps[step as usize]
            .instances
            .get_mut(instance as usize)
        else {
            return self.break_off(format!("step {step} has no instance {instance}"));
        };
        inst.allowed = allowed;
        inst.ended_at = Some(now);
        inst.claim = None;
        inst.cancel = None;
        for armed in std::mem::take(&mut inst.timers) {
            self.state.timers.disarm(&armed);
        }
        self.transit(step, instance, event, to, None, reason);
        let run = &mut self.state.steps[step as usize];
        run.ended += 1;
        if instance < run.cursor {
            run.begun = run.begun.saturating_sub(1);
        }
        if allowed {
            run.warnings += 1;
            self.state.warnings += 1;
        }
        if run.ended as usize == run.instances.len() {
            return self.aggregate(step);
        }
        let fails = matches!(
            to,
            StepState::Failed | StepState::Errored | StepState::TimedOut
        ) && !allowed;
        let fan_fails = self
            .step_plan(step)
            .fan
            .as_ref()
            .is_some_and(|fan| fan.fail_fast);
        // What `finally_timeout` ended triggers nothing: the siblings are its to end (19).
        let over = self.step_plan(step).finally && self.state.finally_timer.is_none();
        if fails && triggers && !over && fan_fails {
            self.fail_siblings(step, instance);
        } else {
            self.refill(step);
        }
    }

    fn fail_siblings(&mut self, step: StepIndex, failed: u32) {
        let id = &self.step_plan(step).id;
        let reason: Arc<str> = format!("`{id}[{failed}]` did not succeed").into();
        for sibling in 0..self.state.step(step).instances.len() as u32 {
            let Some(inst) = self.state.instance(step, sibling) else {
                continue;
            };
            if inst.state.is_terminal() {
                continue;
            }
            if inst.started {
                self.cancel(step, sibling, CancelEnd::Cancelled, &reason);
            } else {
                let reason = Some(Arc::clone(&reason));
                self.end_instance(
                    step,
                    sibling,
                    Event::Cancel,
                    StepState::Cancelled,
                    reason,
                    false,
                );
            }
        }
    }

    /// Whether an end is an allowed failure, and its reason. Where the question has no answer it is
    /// not, and says so (SEMANTICS 7).
    pub(super) fn judged(
        &mut self,
        step: StepIndex,
        instance: u32,
        to: StepState,
        reason: Option<Arc<str>>,
    ) -> (bool, Option<Arc<str>>) {
        match self.allowed(step, instance, to) {
            Ok(allowed) => (allowed, reason),
            Err(message) => {
                let note = format!("not allowed: {message}");
                let reason = reason.map_or(note.clone(), |reason| format!("{reason}; {note}"));
                (false, Some(reason.into()))
            }
        }
    }

    /// Whether the failure of an instance is allowed (SEMANTICS 15).
    fn allowed(&mut self, step: StepIndex, instance: u32, to: StepState) -> Result<bool, Arc<str>> {
        if !matches!(
            to,
            StepState::Failed | StepState::Errored | StepState::TimedOut
        ) {
            return Ok(false);
        }
        match &self.step_plan(step).allow_failure {
            AllowFailure::Never => Ok(false),
            AllowFailure::Always => Ok(true),
            AllowFailure::If(condition) => {
                // What the expression sees as `step.state` is how it ends.
                let before = self
                    .instance_mut(step, instance)
                    .map(|inst| inst.last.replace(to));
                // A step without instances has only its own.
                let bare = std::mem::replace(&mut self.state.steps[step as usize].state, to);
                let verdict = self.condition(Site::AllowFailure, step, instance, condition);
                self.state.steps[step as usize].state = bare;
                if let (Some(inst), Some(before)) = (self.instance_mut(step, instance), before) {
                    inst.last = before;
                }
                verdict
            }
        }
    }

    /// A step ends with its last instance: as the worst of those that are not ok (SEMANTICS 13).
    fn aggregate(&mut self, step: StepIndex) {
        const WORST: [StepState; 5] = [
            StepState::Failed,
            StepState::Errored,
            StepState::TimedOut,
            StepState::Cancelled,
            StepState::Omitted,
        ];
        let plan = self.step_plan(step);
        let run = self.state.step(step);
        if plan.fan.is_none() {
            let Some(inst) = run.instances.first() else {
                return;
            };
            let (state, ok, reason) = (inst.state, inst.ok(), inst.reason.clone());
            self.state.steps[step as usize].ok = ok;
            return self.step_ended(step, state, reason);
        }
        let worst = run
            .instances
            .iter()
            .enumerate()
            .filter(|(_, inst)| !inst.ok())
            .min_by_key(|(_, inst)| WORST.iter().position(|state| *state == inst.state));
        let (state, ok, reason) = match worst {
            Some((at, inst)) => {
                let why = inst
                    .reason
                    .as_deref()
                    .map_or(String::new(), |why| format!(": {why}"));
                let count = run
                    .instances
                    .iter()
                    .filter(|other| other.state == inst.state)
                    .count();
                let reason = format!(
                    "{count} of {} {}, first [{at}]{why}",
                    run.instances.len(),
                    inst.state
                );
                (inst.state, false, Some(reason.into()))
            }
            None if run
                .instances
                .iter()
                .all(|inst| inst.state == StepState::Skipped) =>
            {
                (
                    StepState::Skipped,
                    true,
                    Some(Arc::from("all instances were skipped")),
                )
            }
            None => (StepState::Succeeded, true, None),
        };
        self.state.steps[step as usize].ok = ok;
        self.step_ended(step, state, reason);
    }

    /// A step has its final state; `ok` and `warnings` are set.
    pub(super) fn step_ended(
        &mut self,
        step: StepIndex,
        state: StepState,
        reason: Option<Arc<str>>,
    ) {
        let now = self.now;
        let finally = self.step_plan(step).finally;
        let run = &mut self.state.steps[step as usize];
        run.state = state;
        run.reason.clone_from(&reason);
        run.ended_at = Some(now);
        let (ok, warnings) = (run.ok, run.warnings);
        let open = if finally {
            &mut self.state.open_finally
        } else {
            &mut self.state.open_main
        };
        *open = open.saturating_sub(1);
        self.decisions.push(Decision::Step {
            step,
            state,
            ok,
            warnings,
            reason: reason.unwrap_or_else(|| Arc::from("")),
        });
        self.ended.push_back(step);
        let is_cause = matches!(
            state,
            StepState::Failed | StepState::Errored | StepState::TimedOut | StepState::Cancelled
        );
        if is_cause && !ok {
            self.cause(step);
        }
    }

    fn unhandled(&self) -> bool {
        self.state.causes.values().any(|handled| !handled)
    }

    /// What the run ends as, by what is known now (SEMANTICS 22).
    fn verdict_of_run(&self) -> RunState {
        match self.state.named_by {
            Some(EndName::Stop) => RunState::Cancelled,
            Some(EndName::Timeout) => RunState::Failed,
            None if self.unhandled()
                || self.state.outputs_error.is_some()
                || self.state.vars_error.is_some() =>
            {
                RunState::Failed
            }
            None => RunState::Succeeded,
        }
    }

    /// Goes towards the end, when all that can run has. Gives whether anything changed.
    pub(super) fn finish(&mut self) -> bool {
        let open = self.state.open_main > u32::from(planted!(FinallyTooEarly));
        if self.state.paused || open {
            return false;
        }
        if self.state.finishing {
            if self.state.open_finally == 0 {
                self.end_run();
                return true;
            }
            return false;
        }
        let wants_outputs = self.plan.outputs.is_some()
            && self.state.outputs.is_none()
            && self.state.outputs_error.is_none()
            && self.state.vars_error.is_none()
            && !self.unhandled();
        if wants_outputs {
            self.state.work.push_back(Work::Outputs);
            return true;
        }
        self.state.status = Some(self.verdict_of_run());
        if let Some(armed) = self.state.run_timer.take() {
            self.state.timers.disarm(&armed);
        }
        if self.state.open_finally == 0 || planted!(FinallySkipped) {
            self.end_run();
        } else {
            self.begin_finally();
        }
        true
    }

    fn begin_finally(&mut self) {
        self.state.finishing = true;
        let key = TimerKey {
            kind: TimerKind::Finally,
            step: 0,
            instance: 0,
            arming: 0,
        };
        let after = self.plan.finally_timeout;
        self.state.finally_timer = Some(self.state.timers.arm(key, Clock::Wall, self.now, after));
        self.transit_run(RunEvent::Finish, RunState::Finishing, Arc::from(""));
        for step in self.plan.main..self.plan.steps.len() as StepIndex {
            self.make_ready(step);
        }
    }

    pub(super) fn evaluate_outputs(&mut self) {
        let Some(outputs) = &self.plan.outputs else {
            return;
        };
        let value = self.ask_value(Site::RunOutputs, 0, 0, |scope| {
            outputs.evaluate_object(scope)
        });
        match value {
            Ok(outputs) => {
                self.state.outputs = Some(outputs.clone());
                self.decisions.push(Decision::Outputs { outputs });
            }
            Err(message) => self.state.outputs_error = Some(message),
        }
    }

    /// Nothing of the run is left.
    pub(super) fn end_run(&mut self) {
        let timers = [self.state.run_timer.take(), self.state.finally_timer.take()];
        for armed in timers.into_iter().flatten() {
            self.state.timers.disarm(&armed);
        }
        self.state.ended_at = Some(self.now);
        let to = self.verdict_of_run();
        let event = match to {
            RunState::Succeeded => RunEvent::Succeed,
            RunState::Failed => RunEvent::Fail,
            _ => RunEvent::Stop,
        };
        self.transit_run(event, to, self.reason_of_end(to));
    }

    fn reason_of_end(&self, to: RunState) -> Arc<str> {
        let cause = self
            .state
            .causes
            .iter()
            .find(|(_, handled)| !**handled)
            .map(|(step, _)| *step);
        match (to, self.state.named_by, cause) {
            (RunState::Succeeded, ..) => Arc::from(""),
            // What fails after it, in `finally`, may do so because of it.
            (_, None, _) if let Some(error) = &self.state.vars_error => Arc::clone(error),
            (_, Some(EndName::Timeout), _) => Arc::from("run timeout"),
            (_, Some(EndName::Stop), _) => self.state.stop.as_ref().map_or_else(
                || Arc::from("stopped"),
                |stop| super::stop::describe(stop).into(),
            ),
            (_, None, Some(step)) => {
                let run = self.state.step(step);
                let why = run
                    .reason
                    .as_deref()
                    .map_or(String::new(), |why| format!(": {why}"));
                format!("`{}` {}{why}", self.step_plan(step).id, run.state).into()
            }
            (_, None, None) => {
                let error = self.state.outputs_error.as_ref();
                error.map_or_else(|| Arc::from(""), Arc::clone)
            }
        }
    }
}
