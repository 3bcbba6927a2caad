//! Attempts: claimed, reported, lost, tried again (SEMANTICS 9–11).

use super::Machine;
use super::check::report_hash;
use crate::plan::{OnLost, Retry, StepIndex};
use crate::planted;
use crate::run::record::Site;
use crate::run::state::Work;
use crate::run::table::Event;
use crate::run::timers::Clock;
use crate::run::{
    AttemptState, Claim, Decision, Detached, Failure, Identity, LostCause, Report, StepState,
    TimerKind, backoff,
};
use crate::time::Duration;
use crate::value::Value;
use std::sync::Arc;

/// So many ends by dead processes end an instance (SEMANTICS 11).
const DEAD_MAX: u32 = 100;

/// How an attempt ended, as far as what follows depends on it.
pub(super) struct AttemptEnd {
    pub(super) state: AttemptState,
    pub(super) outputs: Option<Value>,
    pub(super) failure: Option<Failure>,
    pub(super) reason: Option<Arc<str>>,
}

impl Machine<'_> {
    pub(super) fn claimed(&mut self, claim: &Claim) {
        let Identity {
            step,
            instance,
            attempt,
        } = claim.id;
        let now = self.now;
        self.disarm(step, instance, TimerKind::Queue);
        self.rebase_total(step, instance, Clock::Wall);
        let limit = self.step_plan(step).timeouts.attempt;
        let due = self.arm(step, instance, TimerKind::Attempt, Clock::Wall, limit);
        if let Some(inst) = self.instance_mut(step, instance) {
            inst.attempt = attempt;
            inst.detached = None;
            inst.claimed_at = now;
            inst.claim = Some(Box::new(claim.clone()));
        }
        self.mark_started(step, instance);
        let session = Arc::clone(&claim.session);
        self.decisions.push(Decision::Claimed {
            id: claim.id,
            session,
        });
        self.transit(
            step,
            instance,
            Event::Claim,
            StepState::Running,
            Some(due),
            None,
        );
    }

    /// The attempt lasts to the instant that it names, or to the end of its time (PROTOCOL P27a).
    pub(super) fn detached(&mut self, detached: &Detached) {
        let Identity { step, instance, .. } = detached.id;
        let (now, limit) = (self.now, self.step_plan(step).timeouts.attempt);
        let Some(inst) = self.instance_mut(step, instance) else {
            return;
        };
        let until = detached.until.min(inst.claimed_at.after(limit));
        let cancelling = inst.cancel.is_some();
        inst.detached = Some(Box::new(Detached {
            until,
            ..detached.clone()
        }));
        // One that was told to stop has its grace, whoever it is with.
        if !cancelling {
            self.arm(
                step,
                instance,
                TimerKind::Attempt,
                Clock::Wall,
                until.since(now),
            );
        }
    }

    /// Whether the attempt's time is that of its `detached`, and not all that it has.
    pub(super) fn ends_detached(&self, step: StepIndex, instance: u32) -> bool {
        let limit = self.step_plan(step).timeouts.attempt;
        self.state.instance(step, instance).is_some_and(|inst| {
            let detached = inst.detached.as_deref();
            detached.is_some_and(|detached| detached.until < inst.claimed_at.after(limit))
        })
    }

    pub(super) fn reported(&mut self, report: &Report) {
        let Identity {
            step,
            instance,
            attempt,
        } = report.id;
        let hash = report_hash(report);
        let mut end = AttemptEnd {
            state: report.result.state,
            outputs: report.result.outputs.clone(),
            failure: report.result.failure.clone(),
            reason: None,
        };
        if end.state == AttemptState::Succeeded {
            let outputs = end
                .outputs
                .get_or_insert_with(|| Value::Inline(Arc::from(*b"{}")))
                .clone();
            if let Err(message) = self.check_outputs(step, instance, &outputs) {
                end.state = AttemptState::Errored;
                end.failure = Some(failure("invalid_output", &message));
            }
        }
        let cancelling = self.instance_mut(step, instance).and_then(|inst| {
            inst.reported = Some((attempt, hash));
            inst.cancel.clone()
        });
        if end.state != AttemptState::Succeeded
            && let Some(cancelling) = cancelling
        {
            return self.cancelled(report.id, &cancelling, end);
        }
        if end.state == AttemptState::Cancelled {
            end.state = AttemptState::Errored;
            end.failure = Some(failure(
                "cancelled_unasked",
                "the driver cancelled a task that nobody had cancelled",
            ));
        }
        self.attempt_ended(report.id, end);
    }

    pub(super) fn lost(&mut self, id: Identity, cause: LostCause) {
        let Some(inst) = self.state.instance(id.step, id.instance) else {
            return;
        };
        let word = match cause {
            LostCause::Lease => "its lease was lost",
            LostCause::Refused => "the session refused it",
            LostCause::Undelivered => "it never reached its driver",
            LostCause::ProcessDead => "its process is dead",
        };
        let end = AttemptEnd {
            state: AttemptState::Lost,
            outputs: None,
            failure: None,
            reason: Some(Arc::from(word)),
        };
        if let Some(cancelling) = inst.cancel.clone() {
            return self.cancelled(id, &cancelling, end);
        }
        self.close_attempt(id, &end);
        let retry = self
            .step_plan(id.step)
            .retry
            .clone()
            .unwrap_or_else(Retry::none);
        let stopping = self.stops(id.step);
        let Some(inst) = self.instance_mut(id.step, id.instance) else {
            return;
        };
        match cause {
            LostCause::Lease => inst.lost += 1,
            LostCause::ProcessDead => inst.dead += 1,
            LostCause::Refused | LostCause::Undelivered => {}
        }
        if planted!(AttemptNumberReused) && cause != LostCause::Lease {
            inst.attempt -= 1;
        }
        inst.tries += u32::from(planted!(InterruptionCharged));
        let (lost, dead, last) = (inst.lost, inst.dead, inst.last);
        let counts = matches!(cause, LostCause::Lease | LostCause::ProcessDead);
        let reason: Arc<str> = if counts && retry.on_lost == OnLost::Fail {
            format!("{word}, and `retry.on_lost` is `fail`").into()
        } else if lost > retry.lost {
            format!("lost {lost} times").into()
        } else if dead >= DEAD_MAX {
            format!("its process died {dead} times").into()
        } else if stopping {
            return self.end_as_last(id.step, id.instance, last, true);
        } else {
            self.rebase_total(id.step, id.instance, Clock::Active);
            self.state
                .work
                .push_back(Work::Requeue(id.step, id.instance));
            return self.transit(
                id.step,
                id.instance,
                Event::Lose,
                StepState::Pending,
                None,
                Some(Arc::from(word)),
            );
        };
        self.end_instance(
            id.step,
            id.instance,
            Event::Err,
            StepState::Errored,
            Some(reason),
            true,
        );
    }

    /// An attempt ended otherwise than lost or cancelled.
    pub(super) fn attempt_ended(&mut self, id: Identity, end: AttemptEnd) {
        self.close_attempt(id, &end);
        let to = match end.state {
            AttemptState::Succeeded => StepState::Succeeded,
            AttemptState::Failed => StepState::Failed,
            AttemptState::TimedOut => StepState::TimedOut,
            _ => StepState::Errored,
        };
        let Some(inst) = self.instance_mut(id.step, id.instance) else {
            return;
        };
        inst.tries += 1;
        inst.last = Some(to);
        if planted!(FailedOutputsKept) {
            inst.outputs.clone_from(&end.outputs);
        }
        if to == StepState::Succeeded {
            inst.outputs = end.outputs;
            inst.failure = None;
            return self.end_instance(id.step, id.instance, Event::Succeed, to, None, true);
        }
        inst.failure = end.failure.map(Box::new);
        match self.next_delay(id, to) {
            Ok(delay) => self.back_off(id, delay),
            Err(note) => {
                let reason = match (end.reason, note) {
                    (Some(reason), Some(note)) => Some(format!("{reason}; {note}").into()),
                    (reason, note) => reason.or(note),
                };
                self.end_instance(id.step, id.instance, event_of(to), to, reason, true);
            }
        }
    }

    fn back_off(&mut self, id: Identity, delay: Duration) {
        let Identity { step, instance, .. } = id;
        self.rebase_total(step, instance, Clock::Active);
        let due = if delay == Duration::ZERO {
            self.state.work.push_back(Work::Requeue(step, instance));
            self.now
        } else {
            self.arm(step, instance, TimerKind::Backoff, Clock::Wall, delay)
        };
        let reason = Some(format!("tried again after {delay}").into());
        self.transit(
            step,
            instance,
            Event::BackOff,
            StepState::Waiting,
            Some(due),
            reason,
        );
    }

    /// The delay before the next try, or a note on why none follows (SEMANTICS 10).
    fn next_delay(&mut self, id: Identity, ended: StepState) -> Result<Duration, Option<Arc<str>>> {
        let plan = self.step_plan(id.step);
        let Some(retry) = &plan.retry else {
            return Err(None);
        };
        let listed = match ended {
            StepState::Failed => retry.on_failure,
            StepState::Errored => retry.on_error,
            _ => retry.on_timeout,
        };
        let Some(inst) = self.state.instance(id.step, id.instance) else {
            return Err(None);
        };
        let (tries, total) = (inst.tries, inst.timer(TimerKind::Total).copied());
        let failure = inst.failure.as_deref();
        let refused = failure.and_then(|failure| failure.retryable) == Some(false);
        let retry_after = failure.and_then(|failure| failure.retry_after_millis);
        let most = retry.attempts + u32::from(planted!(RetriesMiscounted));
        if !listed || tries >= most || refused || self.stops(id.step) {
            return Err(None);
        }
        if let Some(condition) = &retry.condition {
            match self.condition(Site::RetryIf, id.step, id.instance, condition) {
                Ok(true) => {}
                Ok(false) => return Err(None),
                Err(message) => {
                    return Err(Some(format!("not tried again: {message}").into()));
                }
            }
        }
        let seed = format!(
            "{}/{}/{}/{}",
            self.state.id, plan.id, id.instance, id.attempt
        );
        let delay = backoff::delay(&retry.backoff, tries, &seed, retry_after);
        match total {
            Some(total) if self.state.timers.left(&total, self.now) <= delay => Err(Some(
                Arc::from("not tried again: `timeouts.total` leaves no time"),
            )),
            _ => Ok(delay),
        }
    }

    /// Whether a stop keeps the step from another try. `finally` steps are tried again.
    fn stops(&self, step: StepIndex) -> bool {
        self.stopping() && !self.step_plan(step).finally
    }

    /// The claim is over: what followers see of the attempt.
    pub(super) fn close_attempt(&mut self, id: Identity, end: &AttemptEnd) {
        for kind in [TimerKind::Attempt, TimerKind::Grace] {
            self.disarm(id.step, id.instance, kind);
        }
        if let Some(inst) = self.instance_mut(id.step, id.instance) {
            inst.claim = None;
            inst.cancel = None;
        }
        self.decisions.push(Decision::Attempt {
            id,
            state: end.state,
            failure: end.failure.clone(),
            outputs: end.outputs.clone(),
            reason: end.reason.clone().unwrap_or_else(|| Arc::from("")),
        });
    }
}

pub(super) fn event_of(state: StepState) -> Event {
    match state {
        StepState::Succeeded => Event::Succeed,
        StepState::Failed => Event::Fail,
        StepState::TimedOut => Event::TimeOut,
        _ => Event::Err,
    }
}

fn failure(code: &str, message: &str) -> Failure {
    Failure {
        code: Arc::from(code),
        message: Arc::from(message),
        details: None,
        retryable: None,
        retry_after_millis: None,
    }
}
