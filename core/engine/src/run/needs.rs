//! Which stored values a fact or a unit of work reads, so that they are at hand before it is taken
//! (PROTOCOL P5).

use super::root::Root;
use super::state::{State, Work};
use super::{Fact, Report, TimerKind};
use crate::expr::References;
use crate::plan::{AllowFailure, FanSource, Kind, Needs, Plan, StepIndex, Wait};
use crate::value::{Hash, Value};

/// The stored values that a unit of work reads.
pub(crate) fn of_work(plan: &Plan, state: &State, work: Work) -> Vec<Hash> {
    let mut needed = Needed::new(plan, state);
    let (step, instance) = match work {
        Work::Outputs => {
            if let Some(outputs) = &plan.outputs {
                needed.names(outputs.references());
            }
            return needed.hashes;
        }
        Work::Step(step) => (step, 0),
        Work::Fill(step) => (step, state.step(step).next()),
        Work::Requeue(step, instance) => (step, instance),
    };
    let step_plan = &plan.steps[step as usize];
    if let Some(when) = &step_plan.when {
        needed.names(when.condition.references());
    }
    needed.end(step, instance);
    if let (Some(fan), Work::Step(_)) = (&step_plan.fan, work) {
        match &fan.source {
            FanSource::Foreach { items, .. } => needed.names(items.references()),
            FanSource::Matrix {
                axes,
                include,
                exclude,
            } => {
                axes.iter()
                    .for_each(|(_, axis)| needed.names(axis.references()));
                needed.names(include.references());
                needed.names(exclude.references());
            }
        }
        return needed.hashes;
    }
    match &step_plan.kind {
        Kind::Driver { with, .. } => needed.names(with.references()),
        Kind::Transform { outputs } => needed.names(outputs.references()),
        Kind::Wait(Wait::Duration(template) | Wait::Until(template)) => {
            needed.names(template.references());
        }
    }
    let item = state.item(step, instance).and_then(|item| item.hash());
    let with = state
        .instance(step, instance)
        .and_then(|inst| inst.with.as_ref()?.hash());
    needed.hashes.extend(item.into_iter().chain(with));
    needed.hashes
}

/// The stored values that a rule reads.
pub(crate) fn of_rule(plan: &Plan, state: &State, step: StepIndex) -> Vec<Hash> {
    let mut needed = Needed::new(plan, state);
    if let Needs::Rule { rule, .. } = &plan.steps[step as usize].needs {
        needed.names(rule.references());
    }
    needed.end(step, 0);
    needed.hashes
}

/// The stored values that a fact itself reads, apart from the units that follow it (PROTOCOL P5).
pub(crate) fn of_fact(plan: &Plan, state: &State, fact: &Fact) -> Vec<Hash> {
    let mut needed = Needed::new(plan, state);
    match fact {
        Fact::Started(started) => {
            let roots = [
                ("inputs", Some(&started.inputs)),
                ("resource", started.resource.as_ref()),
                ("event", started.event.as_ref()),
            ];
            let named = |(name, value): (&str, Option<&Value>)| {
                let named = plan.vars.references().names(name);
                value.filter(|_| named).and_then(Value::hash)
            };
            needed.hashes.extend(roots.into_iter().filter_map(named));
        }
        Fact::Reported(Report { id, .. }) | Fact::Lost { id, .. } => {
            needed.end(id.step, id.instance);
        }
        Fact::TimerDue(key) if !matches!(key.kind, TimerKind::Run | TimerKind::Finally) => {
            needed.end(key.step, key.instance);
        }
        // Either may end many instances at once.
        Fact::TimerDue(_) | Fact::Stopped(_) => {
            for step in 0..plan.steps.len() as StepIndex {
                if matches!(plan.steps[step as usize].allow_failure, AllowFailure::If(_))
                    && !state.step(step).ended()
                {
                    let instances = state.step(step).instances.len().max(1) as u32;
                    (0..instances).for_each(|instance| needed.end(step, instance));
                }
            }
            needed.hashes.sort_unstable();
            needed.hashes.dedup();
        }
        _ => {}
    }
    needed.hashes
}

/// Collects the hashes of stored values.
struct Needed<'a> {
    plan: &'a Plan,
    state: &'a State,
    hashes: Vec<Hash>,
}

impl<'a> Needed<'a> {
    fn new(plan: &'a Plan, state: &'a State) -> Needed<'a> {
        Needed {
            plan,
            state,
            hashes: Vec::new(),
        }
    }

    /// What an expression names, the instance's own parameters apart.
    fn names(&mut self, references: &References) {
        if references.names("inputs") {
            self.hashes.extend(self.state.inputs.missing());
        }
        if references.names("vars") {
            self.hashes.extend(self.state.vars.missing());
        }
        for (name, root) in [
            ("resource", &self.state.resource),
            ("event", &self.state.event),
        ] {
            if references.names(name) {
                self.hashes.extend(root.as_ref().and_then(Root::missing));
            }
        }
        for id in references.steps() {
            let Some(step) = self.plan.index.get(id) else {
                continue;
            };
            let instances = self.state.step(*step).instances.iter();
            let outputs = instances.filter_map(|inst| inst.outputs.as_ref()?.hash());
            self.hashes.extend(outputs);
        }
    }

    /// What the end of an instance, or of one of its attempts, asks.
    fn end(&mut self, step: StepIndex, instance: u32) {
        let plan = &self.plan.steps[step as usize];
        let retry = plan
            .retry
            .as_ref()
            .and_then(|retry| retry.condition.as_deref());
        let allow = match &plan.allow_failure {
            AllowFailure::If(condition) => Some(condition),
            _ => None,
        };
        let mut any = false;
        for condition in retry.into_iter().chain(allow) {
            self.names(condition.references());
            any = true;
        }
        if any {
            let item = self.state.item(step, instance);
            self.hashes.extend(item.and_then(|item| item.hash()));
        }
    }
}
