//! SEMANTICS 1–8 and 13: what becomes ready, and how it begins.

use super::pipeline::{Allow, FanSource, Kind, Needs, When};
use super::rule::Ended;
use super::state::{Instance, Model, StepEnd};
use conveyor_engine::run::StepState;

impl Model {
    /// A step ends when all its instances have (SEMANTICS 13).
    pub(super) fn close_steps(&mut self) -> bool {
        for step in 0..self.steps.len() {
            let Some(instances) = &self.steps[step].instances else {
                continue;
            };
            if self.steps[step].end.is_some() || instances.iter().any(|i| i.ended().is_none()) {
                continue;
            }
            let ended: Vec<Ended> = instances.iter().filter_map(Instance::ended).collect();
            let end = if self.pipeline.step(step).fan.is_none() {
                StepEnd {
                    as_: ended[0],
                    reason: instances[0].reason.clone(),
                }
            } else if ended.is_empty() {
                // 6: no instance at all.
                let as_ = Ended {
                    state: StepState::Succeeded,
                    allowed: false,
                };
                StepEnd {
                    as_,
                    reason: "no items".to_owned(),
                }
            } else {
                let worst = [
                    StepState::Failed,
                    StepState::Errored,
                    StepState::TimedOut,
                    StepState::Cancelled,
                    StepState::Omitted,
                ]
                .into_iter()
                .find(|state| ended.iter().any(|e| !e.ok() && e.state == *state));
                let state = worst.unwrap_or_else(|| {
                    if ended.iter().all(|e| e.state == StepState::Skipped) {
                        StepState::Skipped
                    } else {
                        StepState::Succeeded
                    }
                });
                StepEnd {
                    as_: Ended {
                        state,
                        allowed: false,
                    },
                    reason: String::new(),
                }
            };
            self.steps[step].end = Some(end);
            return true;
        }
        false
    }

    /// SEMANTICS 2 and 3: steps whose needs can no longer be met.
    pub(super) fn omit(&mut self) -> bool {
        for step in 0..self.steps.len() {
            if self.steps[step].end.is_some() || self.steps[step].open {
                continue;
            }
            let reason = match self.pipeline.needs(step) {
                // 2: as soon as one parent has ended and is not ok.
                Needs::All(parents) => parents.iter().find_map(|parent| {
                    let end = self.end(*parent)?;
                    (!end.ok()).then(|| format!("{} {}", self.pipeline.step(*parent).id, end.state))
                }),
                // 3: when all of them have ended.
                Needs::Rule { .. } => (self.rule_holds(step) == Some(false)).then(String::new),
            };
            if let Some(reason) = reason {
                self.end_unstarted(step, StepState::Omitted, &reason);
                return true;
            }
        }
        false
    }

    /// What a rule comes to; `None` before all its parents have ended.
    fn rule_holds(&self, step: usize) -> Option<bool> {
        let Needs::Rule { rule, .. } = self.pipeline.needs(step) else {
            return None;
        };
        if self
            .pipeline
            .parents(step)
            .iter()
            .any(|parent| self.end(*parent).is_none())
        {
            return None;
        }
        Some(rule.holds(&|at| {
            let instances = match &self.steps[at].instances {
                Some(instances) => instances.iter().filter_map(Instance::ended).collect(),
                None => Vec::new(),
            };
            (self.end(at).expect("all parents have ended"), instances)
        }))
    }

    fn needs_met(&self, step: usize) -> bool {
        if self.pipeline.is_finally(step) {
            // 21: when all others have ended.
            return self.finally_at.is_some();
        }
        match self.pipeline.needs(step) {
            Needs::All(parents) => parents
                .iter()
                .all(|parent| self.end(*parent).is_some_and(Ended::ok)),
            Needs::Rule { .. } => self.rule_holds(step) == Some(true),
        }
    }

    /// The first thing, in the order of steps and instances, that may begin now.
    pub(super) fn begin(&mut self) -> bool {
        // 20: nothing is queued while paused, so nothing is asked or expanded for it either.
        if self.paused {
            return false;
        }
        for step in 0..self.steps.len() {
            if self.steps[step].end.is_some() {
                continue;
            }
            if !self.steps[step].open {
                if self.needs_met(step) {
                    self.open(step);
                    return true;
                }
                continue;
            }
            if self.begin_instance(step) {
                return true;
            }
        }
        false
    }

    /// SEMANTICS 5 and 6: `when`, then expansion.
    fn open(&mut self, step: usize) {
        self.steps[step].open = true;
        let fan = self.pipeline.step(step).fan.clone();
        match self.pipeline.step(step).when {
            When::Is(false) => return self.end_unstarted(step, StepState::Skipped, ""),
            When::Error => return self.end_unstarted(step, StepState::Errored, ""),
            When::Absent | When::Is(true) | When::Each(_) => {}
        }
        match fan.map(|fan| fan.source) {
            None => {}
            Some(FanSource::Error) => self.end_unstarted(step, StepState::Errored, ""),
            Some(FanSource::Matrix(count) | FanSource::Foreach(count)) => {
                self.steps[step].instances = Some(vec![Instance::new(); count]);
            }
        }
    }

    /// 8: the next instance in order, if `max_parallel` leaves room.
    fn begin_instance(&mut self, step: usize) -> bool {
        let Some(instances) = &self.steps[step].instances else {
            return false;
        };
        // What started and had to wait for the end of a pause holds its place.
        let held = |i: &Instance| match i.state {
            StepState::Pending => i.started,
            StepState::Waiting => !self.is_wait(step) && i.due <= self.now,
            _ => false,
        };
        if let Some(at) = instances.iter().position(held) {
            self.queue(step, at);
            return true;
        }
        let busy = instances
            .iter()
            .filter(|i| i.ended().is_none() && i.state != StepState::Pending)
            .count();
        let most = self
            .pipeline
            .step(step)
            .fan
            .as_ref()
            .and_then(|fan| fan.max_parallel);
        let next = instances
            .iter()
            .position(|i| i.state == StepState::Pending && !i.started);
        let Some(at) = next.filter(|_| most.is_none_or(|most| busy < most)) else {
            return false;
        };

        // 5: a `when` that mentions the item is asked for each instance, when its turn comes.
        if let When::Each(answers) = &self.pipeline.step(step).when {
            match answers[at] {
                Some(true) => {}
                Some(false) => {
                    self.end_instance(step, at, StepState::Skipped, "", true);
                    return true;
                }
                // 7: an error in `when` ends it without an attempt.
                None => {
                    self.end_instance(step, at, StepState::Errored, "", false);
                    return true;
                }
            }
        }
        // 7: `with` is evaluated when the instance is about to be queued.
        if self.pipeline.step(step).with_error {
            self.end_instance(step, at, StepState::Errored, "", false);
            return true;
        }
        match self.pipeline.step(step).kind {
            Kind::Driver => self.queue(step, at),
            Kind::Transform => self.end_instance(step, at, StepState::Succeeded, "", false),
            Kind::Wait(duration) => {
                let due = self.now + duration;
                let instance = self.instance_mut(step, at);
                instance.state = StepState::Waiting;
                instance.started = true;
                instance.counting = true;
                instance.due = due;
            }
        }
        true
    }

    /// Ends all of a step that has not started. A fan-out without instances ends as it is.
    pub(super) fn end_unstarted(&mut self, step: usize, state: StepState, reason: &str) {
        if self.steps[step].end.is_some() {
            return;
        }
        if self.steps[step].instances.is_none() {
            // 15: a step that was stopped did not fail; nothing is there to allow.
            let stopped = state == StepState::Cancelled;
            let as_ = Ended {
                state,
                allowed: !stopped && self.allows(step, None, state),
            };
            self.steps[step].end = Some(StepEnd {
                as_,
                reason: reason.to_owned(),
            });
            return;
        }
        for at in 0..self.count(step) {
            let instance = self.instance(step, at);
            if instance.ended().is_none() && !instance.started {
                // An error of a plain step has no siblings to cancel.
                self.end_instance(step, at, state, reason, true);
            }
        }
    }

    /// SEMANTICS 15: whether such an end is allowed. `None`: a fan-out that was not expanded.
    pub(super) fn allows(&self, step: usize, at: Option<usize>, state: StepState) -> bool {
        let failure = matches!(
            state,
            StepState::Failed | StepState::Errored | StepState::TimedOut | StepState::Cancelled
        );
        failure
            && match &self.pipeline.step(step).allow {
                Allow::Never => false,
                Allow::Always => true,
                Allow::State(only) => state == *only,
                // 7: without an item it is an error, which means not allowed.
                Allow::Each(items) => at.is_some_and(|at| items[at]),
            }
    }

    /// Ends one instance. `quiet`: a stop or SEMANTICS 16 did it, which triggers nothing.
    pub(super) fn end_instance(
        &mut self,
        step: usize,
        at: usize,
        state: StepState,
        reason: &str,
        quiet: bool,
    ) {
        // 15: an instance that was stopped did not fail; nothing is there to allow.
        let stopped = quiet && state == StepState::Cancelled;
        let allowed = !stopped && self.allows(step, Some(at), state);
        let instance = self.instance_mut(step, at);
        instance.state = state;
        instance.allowed = allowed;
        instance.reason = reason.to_owned();
        instance.ending = None;
        let bad = matches!(
            state,
            StepState::Failed | StepState::Errored | StepState::TimedOut
        );
        let fail_fast = self
            .pipeline
            .step(step)
            .fan
            .as_ref()
            .is_some_and(|fan| fan.fail_fast);
        if bad && !allowed && !quiet && fail_fast {
            // 14: siblings that have not started are cancelled, and so are started ones.
            for sibling in 0..self.count(step) {
                self.cancel_instance(step, sibling, "");
            }
        }
    }
}
