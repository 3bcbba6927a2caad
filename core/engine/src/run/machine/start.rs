//! A run starts: inputs, vars, inherited results, roots.

use super::Machine;
use crate::plan::{Needs, StepIndex};
use crate::run::fact::{Inherited, Started};
use crate::run::record::Site;
use crate::run::root::Root;
use crate::run::state::Instance;
use crate::run::table::{Event, RunEvent};
use crate::run::timers::Clock;
use crate::run::{RunState, StepState, TimerKey, TimerKind};
use crate::value::Value;
use std::sync::Arc;

impl Machine<'_> {
    pub(super) fn started(&mut self, started: &Started) {
        self.state.id = Arc::clone(&started.run);
        self.state.actor = Arc::clone(&started.actor);
        self.state.labels = started.labels.clone();
        self.state.annotations = started.annotations.clone();
        self.state.forked_from = started.forked_from.clone();
        self.state.started_at = self.now;
        let plan = self.plan;
        self.state.inputs = Root::new(started.inputs.clone(), |json| plan.declare_inputs(json));
        let root = |value: &Option<Value>| value.clone().map(|value| Root::new(value, |_| {}));
        self.state.resource = root(&started.resource);
        self.state.event = root(&started.event);
        self.transit_run(RunEvent::Start, RunState::Running, Arc::from(""));
        if let Some(after) = self.plan.timeout {
            let key = TimerKey {
                kind: TimerKind::Run,
                step: 0,
                instance: 0,
                arming: 0,
            };
            self.state.run_timer = Some(self.state.timers.arm(key, Clock::Wall, self.now, after));
        }
        self.evaluate_vars();
        if let Some(message) = self.state.vars_error.clone() {
            let reason: Arc<str> = format!("vars: {message}").into();
            for step in 0..self.plan.main {
                self.end_bare(step, StepState::Omitted, Some(Arc::clone(&reason)));
            }
            return;
        }
        for inherited in &started.inherited {
            match self.plan.index.get(&inherited.step) {
                Some(step) => self.inherit(*step, inherited),
                None => self.break_off(format!("inherits `{}`, which is no step", inherited.step)),
            }
        }
        for step in 0..self.plan.main {
            let root = self.step_plan(step).parents.is_empty();
            if root && !self.state.step(step).ended() {
                match self.step_plan(step).needs {
                    Needs::All => self.make_ready(step),
                    Needs::Rule { .. } => self.state.rules.push_back(step),
                }
            }
        }
    }

    fn evaluate_vars(&mut self) {
        let vars = &self.plan.vars;
        if let Some(constant) = vars.constant() {
            self.state.vars = Root::known(constant.clone());
            return;
        }
        let outcome = self.ask_value(Site::Vars, 0, 0, |scope| vars.evaluate_object(scope));
        match outcome {
            Ok(value) => self.state.vars = Root::new(value, |_| {}),
            Err(message) => self.state.vars_error = Some(message),
        }
    }

    /// Copies a step's result from the run that this one was forked from (SEMANTICS 27).
    pub(super) fn inherit(&mut self, step: StepIndex, from: &Inherited) {
        self.state.steps[step as usize].inherited = true;
        let Some(instances) = &from.instances else {
            let run = &mut self.state.steps[step as usize];
            run.ok = true;
            run.warnings = u32::from(from.allowed);
            self.state.warnings += u32::from(from.allowed);
            return self.step_ended(step, from.state, inherited(from.reason.as_ref()));
        };
        let run = &mut self.state.steps[step as usize];
        run.expanded = true;
        run.ready = true;
        run.cursor = instances.len() as u32;
        run.items.clone_from(&from.items);
        run.instances = instances
            .iter()
            .map(|old| Instance {
                with: old.with.clone(),
                allowed: old.allowed,
                attempt: old.attempts,
                outputs: old.outputs.clone(),
                failure: old.failure.clone().map(Box::new),
                ..Instance::new()
            })
            .collect();
        for (at, old) in instances.iter().enumerate() {
            let reason = inherited(old.reason.as_ref());
            self.transit(step, at as u32, Event::Inherit, old.state, None, reason);
            let now = self.now;
            let run = &mut self.state.steps[step as usize];
            run.instances[at].ended_at = Some(now);
            run.ended += 1;
            run.warnings += u32::from(old.allowed);
            self.state.warnings += u32::from(old.allowed);
        }
        self.state.steps[step as usize].ok = true;
        self.step_ended(step, from.state, inherited(from.reason.as_ref()));
    }
}

/// The reason of a result that was inherited: that, and the one it had where it ended.
fn inherited(reason: Option<&Arc<str>>) -> Option<Arc<str>> {
    const INHERITED: &str = "inherited";
    Some(match reason {
        Some(reason) if reason.starts_with(INHERITED) => Arc::clone(reason),
        Some(reason) => format!("{INHERITED}: {reason}").into(),
        None => Arc::from(INHERITED),
    })
}
