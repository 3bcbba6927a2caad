use super::state::Model;
use conveyor_engine::run::{RunState, StepState};
use std::collections::BTreeSet;

/// What can be seen of a run after an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The run's state.
    pub run: RunState,
    /// The steps in their order, `finally` included.
    pub steps: Vec<StepView>,
    /// What may be claimed: step, instance, number of the attempt.
    pub offered: BTreeSet<(usize, usize, u32)>,
    /// Attempts that have to be told to stop.
    pub cancels: BTreeSet<(usize, usize, u32)>,
    /// When the next timer is due, in milliseconds since the run started.
    pub due: Option<u64>,
    /// Allowed failures.
    pub warnings: u32,
}

/// What can be seen of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepView {
    /// Its state, once it has ended.
    pub ended: Option<StepState>,
    /// Whether its failure was allowed; of a fan-out that has instances, never.
    pub allowed: bool,
    /// Why it ended so, where SEMANTICS gives the words; else empty.
    pub reason: String,
    /// Its instances; `None` where it was not expanded.
    pub instances: Option<Vec<InstanceView>>,
}

/// What can be seen of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceView {
    /// Its state.
    pub state: StepState,
    /// Whether its failure was allowed.
    pub allowed: bool,
    /// Whether it was claimed once, or its wait began.
    pub started: bool,
    /// How many attempts were claimed.
    pub attempts: u32,
    /// Why it ended so, where SEMANTICS gives the words; else empty.
    pub reason: String,
}

impl Model {
    /// What can be seen of the run now.
    #[must_use]
    pub fn view(&self) -> View {
        let mut offered = BTreeSet::new();
        let mut cancels = BTreeSet::new();
        for (step, at) in self.all() {
            let instance = self.instance(step, at);
            // SEMANTICS 20: while paused nothing is claimed.
            if instance.state == StepState::Queued && !self.paused {
                offered.insert((step, at, instance.attempts + 1));
            }
            if instance.state == StepState::Running && instance.ending.is_some() {
                cancels.insert((step, at, instance.attempts));
            }
        }
        View {
            run: self.run_state(),
            steps: (0..self.steps.len())
                .map(|step| self.step_view(step))
                .collect(),
            offered,
            cancels,
            due: self.timers().first().map(|timer| timer.0),
            warnings: self.warnings(),
        }
    }

    fn step_view(&self, step: usize) -> StepView {
        let run = &self.steps[step];
        StepView {
            ended: run.end.as_ref().map(|end| end.as_.state),
            allowed: run.end.as_ref().is_some_and(|end| end.as_.allowed),
            reason: run
                .end
                .as_ref()
                .map(|end| end.reason.clone())
                .unwrap_or_default(),
            instances: run.instances.as_ref().map(|instances| {
                instances
                    .iter()
                    .map(|instance| InstanceView {
                        state: instance.state,
                        allowed: instance.allowed,
                        started: instance.started,
                        attempts: instance.attempts,
                        reason: instance.reason.clone(),
                    })
                    .collect()
            }),
        }
    }
}
