//! SEMANTICS 21 and 22: `finally`, and how a run ends.

use super::state::{Instance, Model};
use conveyor_engine::run::{RunState, StopKind};

impl Model {
    /// 21: `finally` steps become ready when all others have ended.
    pub(super) fn begin_finally(&mut self) -> bool {
        let main = self.pipeline.steps.len();
        if self.paused
            || self.finally_at.is_some()
            || self.pipeline.finally.is_empty()
            || self.stop == Some(StopKind::Terminate)
            || (0..main).any(|step| self.end(step).is_none())
        {
            return false;
        }
        self.finally_at = Some(self.now);
        true
    }

    /// 22: the run ends when nothing of it runs.
    pub(super) fn end_run(&mut self) -> bool {
        // 20: a paused run goes on, to its end too, with `resume`.
        if self.paused || (0..self.steps.len()).any(|step| self.end(step).is_none()) {
            return false;
        }
        let failed = if self.causes(0..self.steps.len()).is_empty() {
            RunState::Succeeded
        } else {
            RunState::Failed
        };
        self.ended = Some(self.named.unwrap_or(failed));
        true
    }

    pub(super) fn run_state(&self) -> RunState {
        if let Some(ended) = self.ended {
            ended
        } else if self.paused {
            RunState::Paused
        } else if self.finally_at.is_some() {
            RunState::Finishing
        } else if self.cancelling() {
            RunState::Cancelling
        } else if self.stop.is_some() {
            RunState::Draining
        } else {
            RunState::Running
        }
    }

    /// 15: allowed failures, over all instances.
    pub(super) fn warnings(&self) -> u32 {
        let allowed = |instances: &Vec<Instance>| instances.iter().filter(|i| i.allowed).count();
        let count: usize = self
            .steps
            .iter()
            .map(|step| match &step.instances {
                Some(instances) => allowed(instances),
                None => usize::from(step.end.as_ref().is_some_and(|end| end.as_.allowed)),
            })
            .sum();
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}
