//! SEMANTICS 14 and 16–20: what stops before its time.

use super::pipeline::{FailFast, Needs};
use super::rule::Ended;
use super::state::{Ending, Model};
use conveyor_engine::run::{RunState, StepState, StopKind};

/// What SEMANTICS 16 makes of a step.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Judgement {
    /// An error branch: goes on.
    Exempt,
    /// Cannot be told before a parent that has started ends.
    Later,
    /// What has not started is omitted.
    Not,
}

impl Model {
    /// Cancels one instance: at once, or by a push where an attempt runs.
    pub(super) fn cancel_instance(&mut self, step: usize, at: usize, reason: &str) {
        let now = self.now;
        let instance = self.instance_mut(step, at);
        if instance.ended().is_some() {
            return;
        }
        if instance.state != StepState::Running {
            return self.end_instance(step, at, StepState::Cancelled, reason, true);
        }
        match &instance.ending {
            // A cancel overrides the attempt's own timeout, after which 10 would try again; the
            // grace began with the first push.
            None => instance.ending = Some((Ending::Cancelled(reason.to_owned()), now)),
            Some((Ending::AttemptTimeout, since)) => {
                instance.ending = Some((Ending::Cancelled(reason.to_owned()), *since));
            }
            Some(_) => {}
        }
    }

    /// *Cause*, and not handled (17).
    fn is_cause(&self, step: usize) -> bool {
        let bad = |end: Ended| {
            !end.ok()
                && matches!(
                    end.state,
                    StepState::Failed
                        | StepState::Errored
                        | StepState::TimedOut
                        | StepState::Cancelled
                )
        };
        self.end(step).is_some_and(bad)
            && !self.pipeline.handlers(step).iter().any(|h| {
                self.end(*h)
                    .is_some_and(|end| end.state == StepState::Succeeded)
            })
    }

    /// The causes among some steps that nothing handled.
    pub(super) fn causes(&self, steps: std::ops::Range<usize>) -> Vec<usize> {
        steps.filter(|step| self.is_cause(*step)).collect()
    }

    /// SEMANTICS 16.
    pub(super) fn fail_fast(&mut self) -> bool {
        let main = self.pipeline.steps.len();
        if self.pipeline.fail_fast == FailFast::Off || self.stopped() {
            return false;
        }
        if self.failed_at.is_none() {
            // 17: while an undecided step handles a cause, 16 waits for it.
            self.failed_at = self.causes(0..main).into_iter().find(|cause| {
                self.pipeline
                    .handlers(*cause)
                    .iter()
                    .all(|h| self.end(*h).is_some())
            });
        }
        let Some(cause) = self.failed_at else {
            return false;
        };
        let reason = format!("run failed at {}", self.pipeline.step(cause).id);

        // Parents come before children in the list: a topological order.
        let mut judged = Vec::new();
        let mut changed = false;
        for step in 0..main {
            let judgement = self.judge(step, &judged);
            judged.push(judgement);
            if judgement != Judgement::Not || self.end(step).is_some() {
                continue;
            }
            changed |= self.omit_unstarted(step, &reason);
            for at in 0..self.count(step) {
                let instance = self.instance(step, at);
                let goes = self.is_wait(step) || self.pipeline.fail_fast == FailFast::Cancel;
                let told = matches!(instance.ending, Some((Ending::Cancelled(_), _)));
                if instance.started && instance.ended().is_none() && goes && !told {
                    self.cancel_instance(step, at, &reason);
                    changed |= self.instance(step, at).ended().is_some();
                }
            }
            // What this rule omitted counts as ended for the steps after it.
            while self.close_steps() {
                changed = true;
            }
        }
        changed
    }

    fn judge(&self, step: usize, judged: &[Judgement]) -> Judgement {
        let parents = self.pipeline.parents(step);
        let rule_form = matches!(self.pipeline.needs(step), Needs::Rule { .. });
        if rule_form
            && parents
                .iter()
                .any(|p| self.end(*p).is_some_and(|end| !end.ok()))
        {
            return Judgement::Exempt;
        }
        let exempt = |p: &usize| judged[*p] == Judgement::Exempt;
        let settled = |p: &usize| exempt(p) || self.end(*p).is_some();
        if parents.iter().any(exempt) && parents.iter().all(settled) {
            return Judgement::Exempt;
        }
        let started = |p: &usize| {
            self.end(*p).is_none() && (0..self.count(*p)).any(|at| self.instance(*p, at).started)
        };
        // A step that hangs on one which is judged later cannot be judged before it.
        let later = |p: &usize| judged[*p] == Judgement::Later && self.end(*p).is_none();
        let hangs = parents.iter().any(later) && parents.iter().all(|p| later(p) || settled(p));
        if self.end(step).is_none() && (rule_form && parents.iter().any(started) || hangs) {
            return Judgement::Later;
        }
        Judgement::Not
    }

    fn omit_unstarted(&mut self, step: usize, reason: &str) -> bool {
        let some = match &self.steps[step].instances {
            None => true,
            Some(instances) => instances.iter().any(|i| i.ended().is_none() && !i.started),
        };
        if some {
            self.end_unstarted(step, StepState::Omitted, reason);
        }
        some
    }

    /// SEMANTICS 18.
    pub(super) fn request_stop(&mut self, kind: StopKind) {
        if self.ended.is_some() || self.stop.is_some_and(|now| now >= kind) {
            return; // Repeating a stop is a no-op.
        }
        if kind != StopKind::Terminate && (self.finally_at.is_some() || self.cancelling()) {
            return; // Without effect once `finally` runs, and under a run timeout.
        }
        self.stop = Some(kind);
        self.named.get_or_insert(RunState::Cancelled);
        self.paused = false; // A stop lifts a pause.
        match kind {
            StopKind::Drain => self.drain(),
            StopKind::Cancel => self.cancel_main(""),
            StopKind::Terminate => self.terminate(),
        }
    }

    /// Whether `cancel`, or a run timeout, has been accepted.
    pub(super) fn cancelling(&self) -> bool {
        self.timed_out || self.stop.is_some_and(|stop| stop >= StopKind::Cancel)
    }

    /// 18, `cancel`: not started → cancelled; started → cancel pushed.
    fn cancel_main(&mut self, reason: &str) {
        for step in 0..self.pipeline.steps.len() {
            self.end_unstarted(step, StepState::Cancelled, reason);
            for at in 0..self.count(step) {
                self.cancel_instance(step, at, reason);
            }
        }
    }

    /// 18, `drain`: not started → cancelled, started ones finish, nothing is retried.
    fn drain(&mut self) {
        for step in 0..self.pipeline.steps.len() {
            self.end_unstarted(step, StepState::Cancelled, "");
            for at in 0..self.count(step) {
                let instance = self.instance(step, at);
                let between = match instance.state {
                    StepState::Queued => true,
                    StepState::Pending => instance.started,
                    StepState::Waiting => !self.is_wait(step),
                    _ => false,
                };
                if between {
                    // 13: its state is its last attempt's, now that no other follows.
                    let last = instance.last;
                    self.end_instance(step, at, last, "", true);
                }
            }
        }
    }

    /// 18, `terminate`: everything ends `cancelled` now.
    fn terminate(&mut self) {
        for step in 0..self.steps.len() {
            self.end_unstarted(step, StepState::Cancelled, "");
            for at in 0..self.count(step) {
                if self.instance(step, at).ended().is_none() {
                    self.end_instance(step, at, StepState::Cancelled, "", true);
                }
            }
        }
    }

    /// 19: like `cancel`, and the run ends `failed` unless a stop came first.
    pub(super) fn run_timeout(&mut self) {
        self.timed_out = true;
        self.named.get_or_insert(RunState::Failed);
        self.paused = false;
        self.cancel_main("run timeout");
    }

    /// 19: what is left of `finally` ends `timed_out`.
    pub(super) fn finally_timeout(&mut self) {
        self.finally_over = true;
        let now = self.now;
        for step in self.pipeline.steps.len()..self.steps.len() {
            self.end_unstarted(step, StepState::TimedOut, "");
            for at in 0..self.count(step) {
                let instance = self.instance_mut(step, at);
                if instance.ended().is_some() {
                    continue;
                }
                if instance.state != StepState::Running {
                    self.end_instance(step, at, StepState::TimedOut, "", true);
                } else if matches!(instance.ending, None | Some((Ending::AttemptTimeout, _))) {
                    let since = instance.ending.as_ref().map_or(now, |(_, since)| *since);
                    instance.ending = Some((Ending::Finally, since));
                }
            }
        }
    }

    /// SEMANTICS 20. A stop lifts a pause, and none holds up the way to `finally` after it.
    pub(super) fn pause(&mut self) {
        if self.ended.is_none() && (!self.stopped() || self.finally_at.is_some()) {
            self.paused = true;
        }
    }
}
