//! A new run from one that has ended: which results it inherits, and why the others run (SEMANTICS 27).

use super::{Machine, Run};
use crate::expr::EvalError;
use crate::plan::{Kind, Plan, StepIndex};
use crate::run::fact::{Inherited, InheritedInstance};
use crate::run::items::Items;
use crate::run::oracle::{Oracle, TURN_BYTES};
use crate::run::record::Site;
use crate::run::root::Root;
use crate::run::scope::{RunScope, expand};
use crate::run::state::{Instance, State};
use crate::run::values::{AtHand, Values};
use crate::value::{INLINE_BYTES, Texts, Value};
use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

/// Where a fork begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForkFrom {
    /// At these steps, and all that follows them.
    Steps(Vec<Arc<str>>),
    /// At every step that did not end ok.
    Failed,
}

/// What a fork would do.
#[derive(Clone, Debug, PartialEq)]
pub struct Fork {
    /// What the new run starts with.
    pub inherited: Vec<Inherited>,
    /// Steps that run again, with the reason of each.
    pub runs: Vec<(Arc<str>, Arc<str>)>,
    /// Texts that `inherited` names by hash and the old run had inline: so many of them would make
    /// the new run's first record too long.
    pub values: Texts,
}

/// Why there is no fork.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForkError {
    /// The old run goes on.
    NotEnded,
    /// The new revision has no such step.
    NoSuchStep(Arc<str>),
    /// `vars` cannot be evaluated with the new inputs.
    Vars(Arc<str>),
}

impl fmt::Display for ForkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ForkError::NotEnded => f.write_str("the run has not ended; stop it first, or wait"),
            ForkError::NoSuchStep(step) => write!(f, "the pipeline has no step `{step}`"),
            ForkError::Vars(message) => write!(f, "vars: {message}"),
        }
    }
}

impl std::error::Error for ForkError {}

impl Run {
    /// What a run of `plan` with `inputs` would inherit from this one, which has ended.
    ///
    /// # Errors
    /// When this run goes on, a named step does not exist, or `vars` cannot be evaluated.
    pub fn fork(
        &self,
        plan: &Plan,
        inputs: &Value,
        from: &ForkFrom,
        values: &dyn Values,
    ) -> Result<Fork, ForkError> {
        if !self.state.run.is_terminal() {
            return Err(ForkError::NotEnded);
        }
        let mut named = BTreeSet::new();
        if let ForkFrom::Steps(steps) = from {
            for id in steps {
                let step = plan
                    .index
                    .get(id)
                    .ok_or_else(|| ForkError::NoSuchStep(Arc::clone(id)))?;
                named.insert(*step);
            }
        }
        let mut state = State::new(plan);
        state.inputs = Root::new(inputs.clone(), |json| plan.declare_inputs(json));
        state.resource.clone_from(&self.state.resource);
        state.event.clone_from(&self.state.event);
        state.labels = self.state.labels.clone();
        state.actor = Arc::clone(&self.state.actor);
        let vars = match plan.vars.constant() {
            Some(vars) => vars.clone(),
            None => {
                let scope = RunScope::new(plan, &state, 0, 0, self.state.time, values);
                let vars = plan.vars.evaluate_object(&scope);
                vars.map_err(|error| ForkError::Vars(Site::Vars.complaint(plan, 0, &error)))?
            }
        };
        state.vars = Root::known(vars);
        let mut fork = Fork {
            inherited: Vec::new(),
            runs: Vec::new(),
            values: Texts::new(),
        };
        for step in plan.topological.iter().copied() {
            let id = &plan.steps[step as usize].id;
            match self.inherits(plan, &mut state, step, named.contains(&step), values) {
                Ok(inherited) => {
                    adopt(plan, &mut state, step, &inherited);
                    fork.inherited.push(inherited);
                }
                Err(reason) => fork.runs.push((Arc::clone(id), reason.into())),
            }
        }
        let mut bytes = 0;
        for step in &mut fork.inherited {
            offload(step, &mut bytes, &mut fork.values);
        }
        Ok(fork)
    }

    /// A step's result for the new run, or why it runs again.
    fn inherits(
        &self,
        plan: &Plan,
        state: &mut State,
        step: StepIndex,
        named: bool,
        values: &dyn Values,
    ) -> Result<Inherited, String> {
        let new = &plan.steps[step as usize];
        if named {
            return Err("the fork starts here".into());
        }
        let again = new
            .parents
            .iter()
            .find(|parent| !state.step(**parent).inherited);
        if let Some(parent) = again {
            return Err(format!("`{}` runs again", plan.steps[*parent as usize].id));
        }
        let Some(old_step) = self.plan.index.get(&new.id).copied() else {
            return Err("it is new".into());
        };
        let old = self.state.step(old_step);
        if !old.ok {
            return Err(format!("it ended {}", old.state));
        }
        if self.plan.steps[old_step as usize].definition != new.definition {
            return Err("its definition has changed".into());
        }
        self.same_evaluation(plan, state, step, old_step, values)?;
        let instances = old
            .expanded
            .then(|| old.instances.iter().map(copy).collect());
        Ok(Inherited {
            step: Arc::clone(&new.id),
            state: old.state,
            allowed: old.warnings > 0,
            instances,
            items: old.items.clone(),
            reason: old.reason.clone(),
        })
    }

    /// Whether `when`, items and `with` come out as they did.
    fn same_evaluation(
        &self,
        plan: &Plan,
        state: &mut State,
        step: StepIndex,
        old_step: StepIndex,
        values: &dyn Values,
    ) -> Result<(), String> {
        let new = &plan.steps[step as usize];
        let old = self.state.step(old_step);
        let now = self.state.time;
        let complaint =
            |site: Site, error: &EvalError| site.complaint(plan, step, error).to_string();
        if let Some(when) = new.when.as_ref().filter(|when| !when.per_instance) {
            let scope = RunScope::new(plan, state, step, 0, now, values);
            let holds = when
                .condition
                .evaluate(&scope)
                .map_err(|error| complaint(Site::When, &error))?;
            if holds != old.expanded {
                return Err("its `when` comes out differently".into());
            }
        }
        if !old.expanded {
            return Ok(());
        }
        // The scope reads items and the attempts' numbers from the step.
        let run = &mut state.steps[step as usize];
        run.instances = old
            .instances
            .iter()
            .map(|inst| Instance {
                attempt: inst.attempt.saturating_sub(1),
                ..Instance::new()
            })
            .collect();
        let mut texts = Texts::new();
        if let Some(fan) = &new.fan {
            let scope = RunScope::new(plan, state, step, 0, now, values);
            let items = Arc::new(Items::keep(
                &expand(fan, &scope).map_err(|error| complaint(Site::Items, &error))?,
                &mut texts,
            )?);
            if old.items.as_ref() != Some(&items) {
                return Err("its items come out differently".into());
            }
            state.steps[step as usize].items = Some(items);
        }
        let at_hand = AtHand {
            values,
            stored: &texts,
        };
        let outcome = old.instances.iter().enumerate().try_for_each(|(at, inst)| {
            let scope = RunScope::new(plan, state, step, at as u32, now, &at_hand);
            same_instance(&new.kind, &scope, inst, complaint)
        });
        state.steps[step as usize].instances.clear();
        outcome
    }
}

/// Puts outputs and details by hash once the first record has enough of them inline.
fn offload(step: &mut Inherited, bytes: &mut usize, texts: &mut Texts) {
    let instances = step.instances.iter_mut().flatten();
    let values = instances.flat_map(|instance| {
        let details = instance
            .failure
            .as_mut()
            .map(|failure| &mut failure.details);
        let own = [Some(&mut instance.outputs), Some(&mut instance.with)];
        own.into_iter().chain([details]).flatten()
    });
    for value in values.flatten() {
        if let Value::Inline(text) = value {
            // A hash takes about as much as a short text.
            let inline = if *bytes < TURN_BYTES {
                INLINE_BYTES
            } else {
                64
            };
            *value = Value::keep_text(Arc::clone(text), inline, texts);
        }
        *bytes += value.recorded();
    }
}

fn same_instance(
    kind: &Kind,
    scope: &RunScope<'_>,
    old: &Instance,
    complaint: impl Fn(Site, &EvalError) -> String,
) -> Result<(), String> {
    let (what, site, template, recorded) = match kind {
        Kind::Driver { with, .. } => ("with", Site::With, with, &old.with),
        Kind::Transform { outputs } => ("transform", Site::Transform, outputs, &old.outputs),
        Kind::Wait(crate::plan::Wait::Duration(length) | crate::plan::Wait::Until(length)) => {
            ("wait", Site::Wait, length, &old.with)
        }
    };
    // A skipped instance evaluated nothing.
    if template.constant().is_some() || recorded.is_none() {
        return Ok(());
    }
    let json = template
        .evaluate(scope)
        .map_err(|error| complaint(site, &error))?;
    let fresh = Value::keep(&json, &mut Texts::new());
    // One of both may have been moved out of a record that grew too long.
    if recorded
        .as_ref()
        .is_some_and(|old| old.digest() == fresh.digest())
    {
        Ok(())
    } else {
        Err(format!("its `{what}` comes out differently"))
    }
}

fn copy(old: &Instance) -> InheritedInstance {
    InheritedInstance {
        state: old.state,
        allowed: old.allowed,
        outputs: old.outputs.clone(),
        failure: old.failure.as_deref().cloned(),
        attempts: old.attempt,
        with: old.with.clone(),
        reason: old.reason.clone(),
    }
}

/// Later steps see the result as the new run will.
fn adopt(plan: &Plan, state: &mut State, step: StepIndex, inherited: &Inherited) {
    let now = state.time;
    let mut machine = Machine {
        plan,
        state,
        oracle: Oracle::Fold {
            evaluations: [].iter(),
            units: 0,
        },
        decisions: Vec::new(),
        now,
        fault: None,
        ended: VecDeque::new(),
    };
    machine.inherit(step, inherited);
}
