//! What expressions see of a run (SEMANTICS 23).

mod fan;
mod steps;

pub use fan::expand;
pub(crate) use steps::state_of;

use super::state::{Instance, State};
use super::values::{self, Values};
use crate::expr::Scope;
use crate::plan::{FanSource, Plan, StepIndex};
use crate::run::StepState;
use crate::time::Time;
use crate::value::{Json, Value};
use serde_json::json;
use std::sync::Arc;

/// The roots of an expression at one instance of one step.
pub(crate) struct RunScope<'a> {
    plan: &'a Plan,
    state: &'a State,
    step: StepIndex,
    instance: u32,
    now: Time,
    values: &'a dyn Values,
}

impl<'a> RunScope<'a> {
    pub(crate) fn new(
        plan: &'a Plan,
        state: &'a State,
        step: StepIndex,
        instance: u32,
        now: Time,
        values: &'a dyn Values,
    ) -> RunScope<'a> {
        RunScope {
            plan,
            state,
            step,
            instance,
            now,
            values,
        }
    }

    /// The JSON of a value; `None` when its text is not at hand.
    pub(crate) fn read(&self, value: &Value) -> Option<Json> {
        values::read(value, self.values)
    }

    fn current(&self) -> Option<&'a Instance> {
        self.state.instance(self.step, self.instance)
    }

    fn params(&self) -> Option<Arc<Json>> {
        let item = self.state.item(self.step, self.instance)?;
        item.read(self.values).map(Arc::new)
    }

    fn run(&self) -> Json {
        let state = self.state;
        let mut run = json!({
            "id": &*state.id,
            "pipeline": &*self.plan.name,
            "namespace": &*self.plan.namespace,
            "labels": &state.labels,
            "actor": &*state.actor,
            "started_at": state.started_at.to_string(),
        });
        if let Some(status) = state.status {
            run["status"] = json!(status.as_str());
        }
        if let Some(from) = &state.forked_from {
            run["forked_from"] = json!(&**from);
        }
        run
    }

    /// `attempt`: the one about to be queued; after it ended, how.
    fn attempt(&self) -> Json {
        let Some(inst) = self.current() else {
            return json!({"number": 1});
        };
        // Between the end of an attempt and what follows it the instance still is `running`.
        let Some(last) = inst.last.filter(|_| inst.state == StepState::Running) else {
            return json!({"number": inst.attempt + 1});
        };
        let mut attempt = json!({
            "number": inst.attempt,
            "state": last.as_str(),
            "duration": format!("{}", self.now.since(inst.claimed_at)),
        });
        if let Some(failure) = &inst.failure {
            attempt["failure"] = steps::failure(failure);
        }
        attempt
    }

    fn this_step(&self) -> Json {
        let plan = &self.plan.steps[self.step as usize];
        let mut step = json!({"id": &*plan.id});
        if let Some(inst) = self.current() {
            step["state"] = json!(inst.last.unwrap_or(inst.state).as_str());
            if let Some(failure) = &inst.failure {
                step["failure"] = steps::failure(failure);
            }
        } else {
            step["state"] = json!(self.state.step(self.step).state.as_str());
        }
        step
    }
}

impl Scope for RunScope<'_> {
    fn root(&self, name: &str) -> Option<Arc<Json>> {
        let fan = self
            .plan
            .steps
            .get(self.step as usize)
            .and_then(|step| step.fan.as_ref());
        match name {
            "inputs" => self.state.inputs.read(self.values, |json| {
                self.plan.declare_inputs(json);
            }),
            "vars" => self.state.vars.read(self.values, |_| {}),
            "resource" => self.state.resource.as_ref()?.read(self.values, |_| {}),
            "event" => self.state.event.as_ref()?.read(self.values, |_| {}),
            "run" => Some(Arc::new(self.run())),
            "attempt" => Some(Arc::new(self.attempt())),
            "step" => Some(Arc::new(self.this_step())),
            "matrix" => match fan?.source {
                FanSource::Matrix { .. } => self.params(),
                FanSource::Foreach { .. } => None,
            },
            item => match &fan?.source {
                FanSource::Foreach { name, .. } if **name == *item => self.params(),
                _ => None,
            },
        }
    }

    fn step(&self, id: &str) -> Option<Arc<Json>> {
        let step = *self.plan.index.get(id)?;
        Some(Arc::new(steps::view(self, step)))
    }

    fn lack(&self, root: &str) -> Option<Arc<str>> {
        (root == "vars").then(|| self.state.vars_error.clone())?
    }

    fn need(&self, id: &str) -> Option<Arc<Json>> {
        let step = *self.plan.index.get(id)?;
        Some(Arc::new(steps::predicates(self.plan, self.state, step)))
    }
}
