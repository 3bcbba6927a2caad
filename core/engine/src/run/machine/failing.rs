//! A run fails: nothing new starts but its error branches (SEMANTICS 16).

use super::Machine;
use crate::plan::{FailFast, Kind, StepIndex};
use crate::run::StepState;
use crate::run::state::{self, CancelEnd, Exempt, Failing};
use crate::run::table::Event;
use std::sync::Arc;

impl Machine<'_> {
    /// The pass over the graph, once in a run's life.
    pub(super) fn fail_at(&mut self, at: StepIndex) {
        self.state.failing = Failing::At(at);
        if self.stopping() || self.state.finishing {
            return;
        }
        for step in &self.plan.topological {
            let verdict = self.verdict(*step);
            self.state.steps[*step as usize].exempt = verdict;
            if verdict == Exempt::No && !self.state.step(*step).ended() {
                self.leave_out(*step);
            }
        }
    }

    /// Whether a step is an error branch. Its parents were judged before it.
    fn verdict(&self, step: StepIndex) -> Exempt {
        let parents = || {
            self.step_plan(step)
                .parents
                .iter()
                .map(|parent| self.state.step(*parent))
        };
        let rule = state::is_rule(self.plan, step);
        if rule && parents().any(|parent| parent.ended() && !parent.ok) {
            return Exempt::Yes;
        }
        let exempt = |parent: &state::StepRun| parent.exempt == Exempt::Yes;
        if parents().any(exempt) && parents().all(|parent| exempt(parent) || parent.ended()) {
            return Exempt::Yes;
        }
        if self.state.step(step).ended() {
            return Exempt::No;
        }
        if rule && parents().any(|parent| parent.started() && !parent.ended()) {
            return Exempt::Deferred;
        }
        let deferred = |parent: &state::StepRun| parent.exempt == Exempt::Deferred;
        if parents().any(|parent| deferred(parent) && !parent.ended())
            && parents().all(|parent| exempt(parent) || deferred(parent) || parent.ended())
        {
            return Exempt::Deferred;
        }
        Exempt::No
    }

    /// Judges a deferred step again, now that a parent ended or was judged.
    pub(super) fn judge(&mut self, step: StepIndex) {
        let mut stack = vec![step];
        while let Some(step) = stack.pop() {
            let run = self.state.step(step);
            if run.ended() || run.exempt != Exempt::Deferred {
                continue;
            }
            let verdict = self.verdict(step);
            self.state.steps[step as usize].exempt = verdict;
            match verdict {
                Exempt::Deferred => continue,
                Exempt::No => self.leave_out(step),
                Exempt::Yes if self.state.step(step).blocked == 0 => self.unblocked(step),
                Exempt::Yes => {}
            }
            stack.extend(self.step_plan(step).children.iter().rev());
        }
    }

    /// A step that is no error branch: what has not started is omitted.
    fn leave_out(&mut self, step: StepIndex) {
        let at = match self.state.failing {
            Failing::Due(at) | Failing::At(at) => at,
            Failing::No => return,
        };
        let reason: Arc<str> = format!("run failed at `{}`", self.step_plan(at).id).into();
        if !self.state.step(step).expanded {
            return self.end_bare(step, StepState::Omitted, Some(reason));
        }
        let plan = self.step_plan(step);
        let cancels = self.plan.fail_fast == FailFast::Cancel || matches!(plan.kind, Kind::Wait(_));
        for instance in 0..self.state.step(step).instances.len() as u32 {
            let Some(inst) = self.state.instance(step, instance) else {
                continue;
            };
            if inst.state.is_terminal() {
                continue;
            }
            if !inst.started {
                self.end_instance(
                    step,
                    instance,
                    Event::Omit,
                    StepState::Omitted,
                    Some(Arc::clone(&reason)),
                    false,
                );
            } else if cancels {
                self.cancel(step, instance, CancelEnd::Cancelled, &reason);
            }
        }
    }
}
