//! How events change a view.

use super::{AttemptView, Counts, InstanceView, ProgressEvent, RunView, StepView, What};
use conveyor_engine::run::{AttemptState, Identity, StepState};

/// More instances than a plan may have; an event that names a later one is not of this run.
const MOST_INSTANCES: usize = 1 << 20;

impl RunView {
    /// Takes an event. One that names a step which the view does not have changes nothing: a client
    /// may be older than the engine it follows.
    pub(crate) fn apply(&mut self, event: &ProgressEvent) {
        let time = event.time;
        match &event.what {
            What::Run { to, reason } => {
                self.started_at.get_or_insert(time);
                self.state = *to;
                self.interrupted = false;
                self.reason.clone_from(reason);
                if to.is_terminal() {
                    self.ended_at = Some(time);
                }
            }
            What::Expanded { step, instances } => {
                let Some(step) = self.steps.get_mut(*step) else {
                    return;
                };
                match instances {
                    Ok(params) => {
                        let named = params.iter().map(|p| InstanceView::new(Some(p.clone())));
                        step.instances = named.collect();
                    }
                    Err(count) => {
                        let blank = InstanceView::new(None);
                        step.instances.resize((*count).min(MOST_INSTANCES), blank);
                    }
                }
                step.counts = Counts::of(&step.instances);
            }
            What::Instance {
                step,
                instance,
                to,
                allowed,
                due,
                reason,
            } => {
                let Some(view) = self.instance_mut(*step, *instance) else {
                    return;
                };
                let from = std::mem::replace(&mut view.state, *to);
                view.allowed = *allowed;
                view.due = *due;
                view.reason.clone_from(reason);
                if matches!(
                    to,
                    StepState::Queued | StepState::Running | StepState::Waiting
                ) {
                    view.began_at.get_or_insert(time);
                }
                if to.is_terminal() {
                    view.ended_at = Some(time);
                }
                self.steps[*step].moved(from, *to);
            }
            What::Claimed { id } => {
                if let Some(attempt) = self.attempt_mut(*id) {
                    attempt.claimed_at = Some(time);
                }
            }
            What::Cancel { id, reason, .. } => {
                if let Some(view) = self.instance_mut(id.step as usize, id.instance as usize) {
                    view.reason.clone_from(reason);
                }
            }
            What::Attempt {
                id,
                state,
                failure,
                outputs,
                reason,
            } => {
                let Some(attempt) = self.attempt_mut(*id) else {
                    return;
                };
                attempt.state = Some(*state);
                attempt.ended_at = Some(time);
                attempt.failure.clone_from(failure);
                attempt.reason.clone_from(reason);
                if *state == AttemptState::Succeeded
                    && let Some(view) = self.instance_mut(id.step as usize, id.instance as usize)
                {
                    view.outputs.clone_from(outputs);
                }
            }
            What::Step {
                step,
                state,
                ok,
                warnings,
                reason,
            } => {
                let Some(view) = self.steps.get_mut(*step) else {
                    return;
                };
                view.state = *state;
                view.ok = *ok;
                view.warnings = *warnings;
                view.reason.clone_from(reason);
                view.waiting_for = None;
                view.ended_at = Some(time);
                self.warnings += warnings;
            }
            What::Outputs(outputs) => self.outputs = Some(outputs.clone()),
            What::NoEffect(_) | What::Log { .. } => {}
        }
    }

    fn instance_mut(&mut self, step: usize, instance: usize) -> Option<&mut InstanceView> {
        let step = self.steps.get_mut(step)?;
        // A plain step has its one instance from its first event on.
        if instance >= step.instances.len() && instance < MOST_INSTANCES {
            step.instances.resize(instance + 1, InstanceView::new(None));
            step.counts = Counts::of(&step.instances);
        }
        step.instances.get_mut(instance)
    }

    fn attempt_mut(&mut self, id: Identity) -> Option<&mut AttemptView> {
        let attempts = &mut self
            .instance_mut(id.step as usize, id.instance as usize)?
            .attempts;
        let at = attempts
            .iter()
            .rposition(|attempt| attempt.number == id.attempt);
        let at = at.unwrap_or_else(|| {
            attempts.push(AttemptView {
                number: id.attempt,
                ..AttemptView::default()
            });
            attempts.len() - 1
        });
        attempts.get_mut(at)
    }
}

impl StepView {
    /// An instance went from one state to another.
    fn moved(&mut self, from: StepState, to: StepState) {
        self.counts.remove(from);
        self.counts.add(to);
        // The end of a step is an event of its own; until it comes, the liveliest instance names it.
        if self.ended_at.is_none() {
            let live = [StepState::Running, StepState::Waiting, StepState::Queued];
            let live = live.into_iter().find(|state| self.counts.get(*state) > 0);
            self.state = live.unwrap_or(StepState::Pending);
        }
    }
}
