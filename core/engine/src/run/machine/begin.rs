//! Steps and instances whose turn has come: `when`, expansion, `with`, queueing (SEMANTICS 5–8).

use super::Machine;
use crate::expr::EvalError;
use crate::plan::{Fan, Kind, StepIndex, Wait};
use crate::run::oracle::Fresh;
use crate::run::record::{Evaluated, Site};
use crate::run::scope::expand;
use crate::run::state::{Instance, Work};
use crate::run::table::Event;
use crate::run::timers::Clock;
use crate::run::{Decision, StepState, TimerKind};
use crate::time::{Duration, Time};
use crate::value::{INLINE_BYTES, Json, Value};
use std::sync::Arc;

impl Machine<'_> {
    /// A step whose needs are met.
    pub(super) fn begin_step(&mut self, step: StepIndex) {
        if self.state.step(step).ended() || self.state.step(step).expanded {
            return;
        }
        let plan = self.step_plan(step);
        if let Some(when) = &plan.when
            && !when.per_instance
        {
            match self.condition(Site::When, step, 0, &when.condition) {
                Ok(true) => {}
                Ok(false) => return self.end_bare(step, StepState::Skipped, when_false()),
                Err(message) => return self.end_bare(step, StepState::Errored, Some(message)),
            }
        }
        match &plan.fan {
            None => {
                let run = &mut self.state.steps[step as usize];
                run.expanded = true;
                run.instances.push(Instance::new());
                // A plain step begins in the same unit.
                self.fill(step);
            }
            Some(fan) => self.expand(step, fan),
        }
    }

    fn expand(&mut self, step: StepIndex, fan: &Fan) {
        let outcome = self.ask(Site::Items, step, 0, |scope| {
            expand(fan, scope).map(Fresh::Items)
        });
        let items = match outcome {
            Ok(Evaluated::Items(items)) => items,
            Err(message) => return self.end_bare(step, StepState::Errored, Some(message)),
            Ok(other) => return self.break_off(format!("items gave {other:?}")),
        };
        let count = items.len();
        let run = &mut self.state.steps[step as usize];
        run.expanded = true;
        run.instances = (0..count).map(|_| Instance::new()).collect();
        run.items = Some(items);
        self.decisions.push(Decision::Expanded {
            step,
            instances: count,
        });
        if count == 0 {
            return self.end_bare(step, StepState::Succeeded, Some(Arc::from("no items")));
        }
        self.refill(step);
    }

    /// Asks for a turn of the fan-out, if none is asked for.
    pub(super) fn refill(&mut self, step: StepIndex) {
        let run = &mut self.state.steps[step as usize];
        if !run.filling && !run.ended() && (run.cursor as usize) < run.instances.len() {
            run.filling = true;
            self.state.work.push_back(Work::Fill(step));
        }
    }

    /// Begins the next instance of a step, if one may begin.
    pub(super) fn fill(&mut self, step: StepIndex) {
        self.state.steps[step as usize].filling = false;
        let limit = self
            .step_plan(step)
            .fan
            .as_ref()
            .and_then(|fan| fan.max_parallel);
        let run = &mut self.state.steps[step as usize];
        if run.ended() || limit.is_some_and(|limit| run.begun >= limit) {
            return;
        }
        while let Some(instance) = run.instances.get(run.cursor as usize) {
            let at = run.cursor;
            run.cursor += 1;
            // A failing sibling or run may have ended it before its turn.
            if instance.state == StepState::Pending {
                run.begun += 1;
                self.begin_instance(step, at);
                return self.refill(step);
            }
        }
    }

    fn begin_instance(&mut self, step: StepIndex, instance: u32) {
        let plan = self.step_plan(step);
        if let Some(when) = &plan.when
            && when.per_instance
        {
            match self.condition(Site::When, step, instance, &when.condition) {
                Ok(true) => {}
                Ok(false) => {
                    let (event, to) = (Event::Skip, StepState::Skipped);
                    return self.end_instance(step, instance, event, to, when_false(), false);
                }
                Err(message) => return self.errs(step, instance, message),
            }
        }
        match &plan.kind {
            Kind::Driver { with, .. } => {
                let with = match with.constant() {
                    Some(_) => None,
                    None => {
                        let evaluated = self.ask_value(Site::With, step, instance, |scope| {
                            with.evaluate_object(scope)
                        });
                        match evaluated {
                            Ok(value) => Some(value),
                            Err(message) => return self.errs(step, instance, message),
                        }
                    }
                };
                if let Some(inst) = self.instance_mut(step, instance) {
                    inst.with = with;
                }
                self.queue(step, instance);
            }
            Kind::Transform { outputs } => {
                let value = self.ask_value(Site::Transform, step, instance, |scope| {
                    outputs.evaluate_object(scope)
                });
                match value {
                    Ok(value) => self.transformed(step, instance, value),
                    Err(message) => self.errs(step, instance, message),
                }
            }
            Kind::Wait(wait) => self.begin_wait(step, instance, wait),
        }
    }

    fn transformed(&mut self, step: StepIndex, instance: u32, value: Value) {
        match self.check_outputs(step, instance, &value) {
            Ok(()) => {
                if let Some(inst) = self.instance_mut(step, instance) {
                    inst.outputs = Some(value);
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
            Err(message) => self.errs(step, instance, message),
        }
    }

    fn begin_wait(&mut self, step: StepIndex, instance: u32, wait: &Wait) {
        let template = match wait {
            Wait::Duration(template) | Wait::Until(template) => template,
        };
        let text = match template.constant() {
            Some(text) => Ok(Value::inline(text)),
            None => self.ask_value(Site::Wait, step, instance, |scope| template.evaluate(scope)),
        };
        if let (None, Ok(text), Some(inst)) = (
            template.constant(),
            &text,
            self.instance_mut(step, instance),
        ) {
            // A fork compares it (SEMANTICS 27).
            inst.with = Some(text.clone());
        }
        let after = text.and_then(|text| {
            wait_length(wait, &text, self.now).map_err(|message| {
                let error = EvalError::new("", message);
                Site::Wait.complaint(self.plan, step, &error)
            })
        });
        let after = match after {
            Ok(after) => after,
            Err(message) => return self.errs(step, instance, message),
        };
        let armed = self.arm(step, instance, TimerKind::Wait, Clock::Wall, after);
        self.arm_total(step, instance);
        self.mark_started(step, instance);
        self.transit(
            step,
            instance,
            Event::Begin,
            StepState::Waiting,
            Some(armed),
            None,
        );
    }

    /// An evaluation for the instance failed: it ends without an attempt (SEMANTICS 7).
    pub(super) fn errs(&mut self, step: StepIndex, instance: u32, message: Arc<str>) {
        self.end_instance(
            step,
            instance,
            Event::Err,
            StepState::Errored,
            Some(message),
            true,
        );
    }

    /// The instance waits for a driver.
    pub(super) fn queue(&mut self, step: StepIndex, instance: u32) {
        let now = self.now;
        if let Some(inst) = self.instance_mut(step, instance) {
            inst.queued_at = Some(now);
        }
        if let Some(after) = self.step_plan(step).timeouts.queue {
            self.arm(step, instance, TimerKind::Queue, Clock::Active, after);
        }
        self.arm_total(step, instance);
        self.transit(step, instance, Event::Queue, StepState::Queued, None, None);
    }

    /// A further attempt: only what names `attempt` in `with` is evaluated again (PROTOCOL P4).
    pub(super) fn requeue(&mut self, step: StepIndex, instance: u32) {
        let waits = self.state.instance(step, instance).is_some_and(|inst| {
            inst.started && matches!(inst.state, StepState::Pending | StepState::Waiting)
        });
        if !waits {
            return;
        }
        if let Kind::Driver { with, .. } = &self.step_plan(step).kind
            && with.names_attempt()
        {
            let previous = self
                .state
                .instance(step, instance)
                .and_then(|inst| inst.with.clone());
            let value = self.ask_value(Site::Rewith, step, instance, |scope| {
                let previous = previous.as_ref().and_then(|value| scope.read(value));
                let previous = previous.ok_or_else(|| {
                    EvalError::new("", "the value of an earlier attempt is not at hand")
                })?;
                with.reevaluate(&previous, scope)
            });
            match value {
                Ok(value) => {
                    if let Some(inst) = self.instance_mut(step, instance) {
                        inst.with = Some(value);
                    }
                }
                Err(message) => return self.errs(step, instance, message),
            }
        }
        self.queue(step, instance);
    }

    pub(super) fn mark_started(&mut self, step: StepIndex, instance: u32) {
        if let Some(inst) = self.instance_mut(step, instance)
            && !inst.started
        {
            inst.started = true;
        }
    }

    pub(super) fn condition(
        &mut self,
        site: Site,
        step: StepIndex,
        instance: u32,
        condition: &crate::expr::Condition,
    ) -> Result<bool, Arc<str>> {
        let outcome = self.ask(site, step, instance, |scope| {
            condition.evaluate(scope).map(Fresh::Bool)
        });
        match outcome {
            Ok(Evaluated::Bool(truth)) => Ok(truth),
            Ok(other) => {
                self.break_off(format!("{site:?} gave {other:?}"));
                Ok(false)
            }
            Err(message) => Err(message),
        }
    }

    /// Outputs against the step's declaration (SEMANTICS 9).
    pub(super) fn check_outputs(
        &mut self,
        step: StepIndex,
        instance: u32,
        value: &Value,
    ) -> Result<(), Arc<str>> {
        let plan = self.step_plan(step);
        if plan
            .outputs
            .values()
            .all(|declaration| declaration.schema.is_none())
        {
            return Ok(());
        }
        let outcome = self.ask(Site::OutputCheck, step, instance, |scope| {
            let json = scope.read(value);
            json.ok_or_else(|| "the outputs are not at hand".to_owned())
                .and_then(|json| plan.check_outputs(&json))
                .map(|()| Fresh::Bool(true))
                .map_err(|message| EvalError::new("", message))
        });
        outcome.map(|_| ())
    }
}

fn when_false() -> Option<Arc<str>> {
    Some(Arc::from("`when` is false"))
}

/// How long a wait takes from `now`.
fn wait_length(wait: &Wait, text: &Value, now: Time) -> Result<Duration, String> {
    let json = match text {
        Value::Inline(text) => serde_json::from_slice(text).unwrap_or(Json::Null),
        Value::Stored { len, .. } => {
            return Err(format!(
                "a text of {len} bytes; the limit `inline_bytes` is {INLINE_BYTES}"
            ));
        }
    };
    let found = |error: &dyn std::fmt::Display| format!("{error}, found {json}");
    let text = json.as_str().unwrap_or_default();
    match wait {
        Wait::Duration(_) => Duration::parse(text).map_err(|error| found(&error)),
        Wait::Until(_) => Time::parse(text)
            .map(|time| time.since(now))
            .map_err(|error| found(&error)),
    }
}
