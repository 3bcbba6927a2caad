//! What a fact sets off: the cascade, rules, the failing pass, bounded work, the end.

use super::Machine;
use crate::expr::EvalError;
use crate::plan::Needs;
use crate::planted;
use crate::run::oracle::{Fresh, Oracle};
use crate::run::record::{Evaluated, Site};
use crate::run::scope::RunScope;
use crate::run::state::{Exempt, Failing, Work};
use crate::run::{StepState, needs};
use std::sync::Arc;

impl Machine<'_> {
    /// Goes on until nothing is left to do, or the turn's budget is spent.
    pub(super) fn settle(&mut self) {
        while self.fault.is_none() {
            self.cascade();
            if self.state.run.is_terminal() {
                return;
            }
            if let Some(step) = self.state.rules.front().copied() {
                let needed = needs::of_rule(self.plan, self.state, step);
                if !self.oracle.has(&needed) || !self.oracle.take_unit() {
                    return;
                }
                self.state.rules.pop_front();
                self.decide_rule(step);
            } else if let Failing::Due(at) = self.state.failing {
                self.fail_at(at);
            } else if !self.state.paused
                && let Some(work) = self.state.work.front().copied()
            {
                if !self.at_hand(work) || !self.oracle.take_unit() {
                    if planted!(WorkLostBetweenTurns) {
                        self.state.work.pop_front();
                    }
                    return;
                }
                self.state.work.pop_front();
                self.work(work);
            } else if !self.finish() {
                return;
            }
        }
    }

    /// Whether the stored values that a unit reads are loaded. A fold reads none.
    fn at_hand(&self, work: Work) -> bool {
        matches!(self.oracle, Oracle::Fold { .. })
            || self
                .oracle
                .has(&needs::of_work(self.plan, self.state, work))
    }

    fn work(&mut self, work: Work) {
        match work {
            Work::Step(step) => self.begin_step(step),
            Work::Fill(step) => self.fill(step),
            Work::Requeue(step, instance) => self.requeue(step, instance),
            Work::Outputs => self.evaluate_outputs(),
        }
    }

    fn decide_rule(&mut self, step: u32) {
        if self.state.step(step).ended() || self.state.step(step).exempt == Exempt::Deferred {
            return;
        }
        let Needs::Rule { rule, .. } = &self.step_plan(step).needs else {
            return self.break_off(format!("step {step} has no rule to decide"));
        };
        let outcome = self.ask(Site::Rule, step, 0, |scope| {
            rule.evaluate(scope).map(Fresh::Bool)
        });
        match outcome {
            Ok(Evaluated::Bool(true)) => self.make_ready(step),
            Ok(Evaluated::Bool(false)) => {
                self.end_bare(
                    step,
                    StepState::Omitted,
                    Some(Arc::from("its rule was not met")),
                );
            }
            Ok(other) => self.break_off(format!("a rule gave {other:?}")),
            Err(message) => self.end_bare(step, StepState::Errored, Some(message)),
        }
    }

    /// An evaluation for an instance, live or from the record.
    pub(super) fn ask(
        &mut self,
        site: Site,
        step: u32,
        instance: u32,
        evaluate: impl FnOnce(&RunScope<'_>) -> Result<Fresh, EvalError>,
    ) -> Result<Evaluated, Arc<str>> {
        let (plan, state, now) = (self.plan, &*self.state, self.now);
        let outcome = self.oracle.ask(plan, site, step, instance, |values| {
            evaluate(&RunScope::new(plan, state, step, instance, now, values))
        });
        outcome.unwrap_or_else(|fault| {
            self.break_off(fault);
            Err(Arc::from("the record does not fit"))
        })
    }

    /// An evaluation that gives a value to keep.
    pub(super) fn ask_value(
        &mut self,
        site: Site,
        step: u32,
        instance: u32,
        evaluate: impl FnOnce(&RunScope<'_>) -> Result<crate::value::Json, EvalError>,
    ) -> Result<crate::value::Value, Arc<str>> {
        let fresh = match site {
            Site::Vars => Fresh::Root,
            _ => Fresh::Value,
        };
        match self.ask(site, step, instance, |scope| evaluate(scope).map(fresh))? {
            Evaluated::Value(value) => Ok(value),
            other => {
                self.break_off(format!("{site:?} gave {other:?}"));
                Err(Arc::from("the record does not fit"))
            }
        }
    }
}
