//! Steps that ended tell their children (SEMANTICS 2, 3), and causes their handlers (17).

use super::Machine;
use crate::plan::{Needs, StepIndex};
use crate::planted;
use crate::run::state::{Exempt, Failing, Work};
use crate::run::{StepState, state};
use std::sync::Arc;

impl Machine<'_> {
    /// Until no ended step has children that do not know.
    pub(super) fn cascade(&mut self) {
        while let Some(step) = self.ended.pop_front() {
            for child in &self.step_plan(step).children {
                self.parent_ended(*child, step);
            }
            self.handler_ended(step);
        }
    }

    fn parent_ended(&mut self, child: StepIndex, parent: StepIndex) {
        let (ok, parent_state) = {
            let parent = self.state.step(parent);
            (parent.ok, parent.state)
        };
        if planted!(SkippedParentUncounted) && parent_state == StepState::Skipped {
            return;
        }
        let rule = state::is_rule(self.plan, child);
        let step = &mut self.state.steps[child as usize];
        let counted = 1 + u32::from(planted!(ParentCountedTwice));
        step.blocked = step.blocked.saturating_sub(counted);
        if step.ended() {
            return;
        }
        if !rule && !ok && !planted!(NeedsIgnored) {
            let reason = format!("`{}` {}", self.step_plan(parent).id, parent_state);
            return self.end_bare(child, StepState::Omitted, Some(reason.into()));
        }
        if step.exempt == Exempt::Deferred {
            return self.judge(child);
        }
        if step.blocked == 0 {
            self.unblocked(child);
        }
    }

    /// All parents have ended, and nothing stands in the way.
    pub(super) fn unblocked(&mut self, step: StepIndex) {
        match self.step_plan(step).needs {
            Needs::All => self.make_ready(step),
            Needs::Rule { .. } => self.state.rules.push_back(step),
        }
    }

    /// The needs are met.
    pub(super) fn make_ready(&mut self, step: StepIndex) {
        let run = &mut self.state.steps[step as usize];
        if !run.ended() && !run.ready {
            run.ready = true;
            self.state.work.push_back(Work::Step(step));
        }
    }

    /// A step of `spec.steps` ended as a cause.
    pub(super) fn cause(&mut self, step: StepIndex) {
        self.state.causes.insert(step, false);
        if !self.has_undecided_handler(step) {
            self.fails_run(step);
        }
    }

    fn has_undecided_handler(&self, cause: StepIndex) -> bool {
        self.step_plan(cause)
            .handlers
            .iter()
            .any(|handler| !self.state.step(*handler).ended())
    }

    fn handler_ended(&mut self, step: StepIndex) {
        let Needs::Rule { handles, .. } = &self.step_plan(step).needs else {
            return;
        };
        let succeeded = self.state.step(step).state == StepState::Succeeded;
        for cause in handles {
            let Some(handled) = self.state.causes.get_mut(cause) else {
                continue;
            };
            *handled |= succeeded;
            if !*handled && !self.has_undecided_handler(*cause) {
                self.fails_run(*cause);
            }
        }
    }

    fn fails_run(&mut self, cause: StepIndex) {
        let off = self.plan.fail_fast == crate::plan::FailFast::Off;
        if !off && self.state.failing == Failing::No && !self.state.finishing && !self.stopping() {
            self.state.failing = Failing::Due(cause);
        }
    }

    /// Whether a stop or the run's timeout is in force: nothing but `finally` begins any more.
    pub(super) fn stopping(&self) -> bool {
        self.state.named_by.is_some()
    }

    /// Ends a step that has no instances.
    pub(super) fn end_bare(&mut self, step: StepIndex, state: StepState, reason: Option<Arc<str>>) {
        if self.state.step(step).ended() {
            return;
        }
        let (allowed, reason) = self.judged(step, 0, state, reason);
        let run = &mut self.state.steps[step as usize];
        run.ok = allowed || matches!(state, StepState::Skipped | StepState::Succeeded);
        run.warnings = u32::from(allowed);
        self.state.warnings += u32::from(allowed);
        self.step_ended(step, state, reason);
    }
}
