//! What can be said of a plan without running it: for `conveyor plan` and `conveyor check`.

use super::types::{FanSource, Kind, Plan, StepIndex};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Plan {
    /// The steps of a name.
    #[must_use]
    pub fn step(&self, id: &str) -> Option<StepIndex> {
        self.index.get(id).copied()
    }

    /// The drivers that the plan names, each with the first step that does.
    #[must_use]
    pub fn drivers(&self) -> BTreeMap<Arc<str>, StepIndex> {
        let mut out = BTreeMap::new();
        for (index, step) in self.steps.iter().enumerate() {
            if let Kind::Driver { driver, .. } = &step.kind {
                out.entry(Arc::clone(driver)).or_insert(index as StepIndex);
            }
        }
        out
    }

    /// A longest path through `spec.steps` from a root to a leaf, where `weight` says how long each
    /// step takes; the first in document order among equals. With a weight of 1 it is the path of
    /// the most steps.
    #[must_use]
    pub fn critical_path(&self, weight: impl Fn(StepIndex) -> u64) -> Vec<StepIndex> {
        let mut best: Vec<(u64, Option<StepIndex>)> = vec![(0, None); self.main as usize];
        let mut last: Option<StepIndex> = None;
        for index in &self.topological {
            let mut longest: (u64, Option<StepIndex>) = (0, None);
            for parent in &self.steps[*index as usize].parents {
                let through = best[*parent as usize].0;
                if longest.1.is_none() || through > longest.0 {
                    longest = (through, Some(*parent));
                }
            }
            let own = longest.0.saturating_add(weight(*index));
            best[*index as usize] = (own, longest.1);
            if last.is_none_or(|last| own > best[last as usize].0) {
                last = Some(*index);
            }
        }
        let mut path = Vec::new();
        while let Some(step) = last {
            path.push(step);
            last = best[step as usize].1;
        }
        path.reverse();
        path
    }

    /// Whether a step's instances can be listed before a run: a matrix whose axes, `include` and
    /// `exclude` name nothing, or a `foreach` over written items.
    #[must_use]
    pub fn is_static_fan(&self, step: StepIndex) -> bool {
        let Some(fan) = self
            .steps
            .get(step as usize)
            .and_then(|step| step.fan.as_ref())
        else {
            return false;
        };
        match &fan.source {
            FanSource::Matrix {
                axes,
                include,
                exclude,
            } => {
                axes.iter().all(|(_, values)| values.constant().is_some())
                    && include.constant().is_some()
                    && exclude.constant().is_some()
            }
            FanSource::Foreach { items, .. } => items.constant().is_some(),
        }
    }
}
