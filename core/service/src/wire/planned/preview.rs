//! What can be evaluated before a run: expressions over inputs and vars.

use conveyor_engine::expr::{References, Scope, Template};
use conveyor_engine::plan::{Fan, FanSource, Plan};
use conveyor_engine::run::expand;
use conveyor_engine::value::Json;
use std::sync::Arc;

/// The roots that are known before a run.
#[derive(Debug)]
pub(super) struct Preview {
    inputs: Option<Arc<Json>>,
    vars: Option<Arc<Json>>,
}

/// The instances of a fan-out, as far as they are known.
#[derive(Clone, Debug)]
pub(super) enum Instances {
    /// The combinations or items.
    Known(Vec<Json>),
    /// What they depend on.
    DependOn(Vec<String>),
    /// The step would end `errored`, for this reason.
    Wrong(String),
}

impl Preview {
    /// What is known of a plan with these inputs; `None` where they are not known.
    pub(super) fn new(plan: &Plan, inputs: Option<Json>) -> Preview {
        let mut preview = Preview {
            inputs: inputs.map(Arc::new),
            vars: None,
        };
        preview.vars = match plan.vars.constant() {
            Some(vars) => Some(Arc::new(vars.clone())),
            // One that names the run, or is wrong, leaves all vars unknown: `run` says why.
            None => plan.vars.evaluate(&preview).ok().map(Arc::new),
        };
        preview
    }

    /// The instances of a fan-out.
    pub(super) fn instances(&self, fan: &Fan) -> Instances {
        let mut unknown = Vec::new();
        for template in templates(fan) {
            self.add_unknown(template.references(), &mut unknown);
        }
        if !unknown.is_empty() {
            return Instances::DependOn(unknown);
        }
        match expand(fan, self) {
            Ok(instances) => Instances::Known(instances),
            Err(error) => Instances::Wrong(error.to_string()),
        }
    }

    fn add_unknown(&self, references: &References, unknown: &mut Vec<String>) {
        let roots = references.roots().filter(|root| self.root(root).is_none());
        let steps = references.steps().map(|step| format!("steps.{step}"));
        for name in roots.map(str::to_owned).chain(steps) {
            if !unknown.contains(&name) {
                unknown.push(name);
            }
        }
    }
}

fn templates(fan: &Fan) -> Vec<&Template> {
    match &fan.source {
        FanSource::Matrix {
            axes,
            include,
            exclude,
        } => axes
            .iter()
            .map(|(_, axis)| axis)
            .chain([include, exclude])
            .collect(),
        FanSource::Foreach { items, .. } => vec![items],
    }
}

impl Scope for Preview {
    fn root(&self, name: &str) -> Option<Arc<Json>> {
        match name {
            "inputs" => self.inputs.clone(),
            "vars" => self.vars.clone(),
            _ => None,
        }
    }

    fn step(&self, _id: &str) -> Option<Arc<Json>> {
        None
    }

    fn need(&self, _id: &str) -> Option<Arc<Json>> {
        None
    }
}
