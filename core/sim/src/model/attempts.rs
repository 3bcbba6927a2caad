//! SEMANTICS 9–12 and 20: attempts, retries, losses and timers.

use super::pipeline::BackoffKind;
use super::state::{Ending, Model, Result};
use conveyor_engine::run::{LostCause, StepState};

/// A driver's `retry_after` counts for at most an hour (SEMANTICS 10).
const RETRY_AFTER_MOST: u64 = 3_600_000;
/// So many ends by dead processes end an instance (SEMANTICS 11).
const DEAD_MOST: u32 = 100;

/// What a timer is for; the order decides between two of one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Run,
    Finally,
    Queue(usize, usize),
    Total(usize, usize),
    Attempt(usize, usize),
    Grace(usize, usize),
    Due(usize, usize),
}

impl Model {
    /// 12: each queueing starts `queue` anew, the first one starts `total`.
    pub(super) fn queue(&mut self, step: usize, at: usize) {
        if self.paused {
            // 20: nothing is queued. It has started, and waits for the resume.
            self.instance_mut(step, at).state = StepState::Pending;
            return;
        }
        let instance = self.instance_mut(step, at);
        instance.state = StepState::Queued;
        instance.queue_used = 0;
        instance.counting = true;
    }

    pub(super) fn claim(&mut self, step: usize, at: usize) {
        let now = self.now;
        let instance = self.instance_mut(step, at);
        instance.state = StepState::Running;
        instance.started = true;
        instance.attempts += 1;
        instance.claimed_at = now;
        instance.ending = None;
    }

    pub(super) fn report(&mut self, step: usize, at: usize, result: Result) {
        self.instance_mut(step, at).tries += 1;
        let ending = self
            .instance_mut(step, at)
            .ending
            .take()
            .map(|(ending, _)| ending);
        // 12: within any grace a success counts.
        if result == Result::Succeeded {
            return self.end_instance(step, at, StepState::Succeeded, "", false);
        }
        if let Some(ending) = ending {
            return self.end_stopped(step, at, &ending, result);
        }
        match result {
            Result::Failed {
                retryable,
                retry_after,
            } => {
                let may = retryable != Some(false);
                self.ended_badly(step, at, StepState::Failed, may, retry_after);
            }
            Result::Errored => self.ended_badly(step, at, StepState::Errored, true, None),
            // 10 does not name `cancelled`: no retry.
            Result::Succeeded | Result::Cancelled => {
                self.end_instance(step, at, StepState::Cancelled, "", false);
            }
        }
    }

    /// 12: any other end within a grace is as the stop says.
    fn end_stopped(&mut self, step: usize, at: usize, ending: &Ending, said: Result) {
        match ending {
            // 10 applies, with what the driver said of another try.
            Ending::AttemptTimeout => {
                let (may, after) = match said {
                    Result::Failed {
                        retryable,
                        retry_after,
                    } => (retryable, retry_after),
                    _ => (None, None),
                };
                let may = may != Some(false);
                self.ended_badly(step, at, StepState::TimedOut, may, after);
            }
            Ending::Total => self.end_instance(step, at, StepState::TimedOut, "", false),
            Ending::Finally => self.end_instance(step, at, StepState::TimedOut, "", true),
            Ending::Cancelled(reason) => {
                self.end_instance(step, at, StepState::Cancelled, reason, true);
            }
        }
    }

    /// 10: whether a next attempt follows an end that was not a loss.
    fn ended_badly(
        &mut self,
        step: usize,
        at: usize,
        state: StepState,
        retryable: bool,
        retry_after: Option<u64>,
    ) {
        let retry = self.retry_of(step);
        let (now, instance) = (self.now, self.instance(step, at));
        let in_class = match state {
            StepState::Failed => retry.on_failure,
            StepState::Errored => retry.on_error,
            _ => retry.on_timeout,
        };
        let condition = retry.below.is_none_or(|below| instance.attempts < below);
        let n = instance.tries;
        let delay = match retry_after {
            Some(wish) => wish.min(RETRY_AFTER_MOST),
            None => self.delay(step, n),
        };
        let total = self.pipeline.step(step).timeouts.total;
        let time_left = total.is_none_or(|total| instance.total_used + delay < total);
        self.instance_mut(step, at).last = state;
        if in_class
            && condition
            && n < retry.attempts
            && retryable
            && time_left
            && self.may_retry(step)
        {
            let instance = self.instance_mut(step, at);
            instance.state = StepState::Waiting;
            instance.due = now + delay;
        } else {
            self.end_instance(step, at, state, "", false);
        }
    }

    /// 18: after a stop nothing but `finally` steps is retried. 19: nor those after their timeout.
    fn may_retry(&self, step: usize) -> bool {
        if self.pipeline.is_finally(step) {
            !self.finally_over
        } else {
            !self.stopped()
        }
    }

    /// 10: delay n. Jitter is 0 here.
    fn delay(&self, step: usize, n: u32) -> u64 {
        let retry = self.retry_of(step);
        let plain = match retry.kind {
            BackoffKind::Fixed => retry.initial,
            BackoffKind::Linear => retry.initial.saturating_mul(u64::from(n)),
            BackoffKind::Exponential => (1..n).fold(retry.initial, |delay, _| {
                retry
                    .max
                    .min(delay.saturating_mul(retry.factor_milli) / 1000)
            }),
        };
        retry.max.min(plain)
    }

    /// 11: an attempt that will never report.
    pub(super) fn lost(&mut self, step: usize, at: usize, cause: LostCause) {
        if let Some((ending, _)) = self.instance_mut(step, at).ending.take() {
            // It was told to stop, and it has.
            self.instance_mut(step, at).tries += 1;
            return self.end_stopped(step, at, &ending, Result::Cancelled);
        }
        let retry = self.retry_of(step);
        let may_retry = self.may_retry(step);
        let instance = self.instance_mut(step, at);
        let (over, reason) = match cause {
            LostCause::Lease => {
                instance.lost += 1;
                let over = retry.on_lost_fail || instance.lost > retry.lost;
                (over, format!("lost {} times", instance.lost))
            }
            LostCause::ProcessDead => {
                instance.dead += 1;
                (
                    retry.on_lost_fail || instance.dead >= DEAD_MOST,
                    String::new(),
                )
            }
            LostCause::Refused | LostCause::Undelivered => (false, String::new()),
        };
        // 13: what the last attempt that was not lost ended as; `errored` where there is none.
        if instance.last == StepState::Pending {
            instance.last = StepState::Errored;
        }
        let last = instance.last;
        if over {
            let reason = if retry.on_lost_fail { "" } else { &reason };
            self.end_instance(step, at, StepState::Errored, reason, false);
        } else if may_retry {
            self.queue(step, at);
        } else {
            self.end_instance(step, at, last, "", false);
        }
    }

    /// Time passes; timers are served in order.
    pub(super) fn advance(&mut self, to: u64) {
        while let Some((due, timer)) = self.timers().first().copied().filter(|t| t.0 <= to) {
            self.pass(due);
            self.fire(timer);
            self.settle();
        }
        self.pass(to);
    }

    /// 20: `queue`, and `total` outside attempts, stand still while paused.
    fn pass(&mut self, to: u64) {
        let by = to.saturating_sub(self.now);
        self.now = self.now.max(to);
        if self.ended.is_some() {
            return;
        }
        let paused = self.paused;
        for (step, at) in self.all() {
            let instance = self.instance_mut(step, at);
            if instance.ended().is_some() {
                continue;
            }
            if instance.state == StepState::Queued && !paused {
                instance.queue_used += by;
            }
            if instance.counting && (!paused || instance.state == StepState::Running) {
                instance.total_used += by;
            }
        }
    }

    /// All armed timers, the earliest first.
    pub(super) fn timers(&self) -> Vec<(u64, Timer)> {
        let mut timers = Vec::new();
        if self.ended.is_some() {
            return timers;
        }
        match (self.finally_at, self.pipeline.timeout) {
            // 19: once `finally` runs, its own timeout counts.
            (Some(at), _) if !self.finally_over => {
                timers.push((at + self.pipeline.finally_timeout, Timer::Finally));
            }
            // A run that is cancelled already has nothing more to lose by it.
            (None, Some(timeout)) if !self.cancelling() => timers.push((timeout, Timer::Run)),
            _ => {}
        }
        for (step, at) in self.all() {
            self.instance_timers(step, at, &mut timers);
        }
        timers.sort();
        timers
    }

    fn instance_timers(&self, step: usize, at: usize, timers: &mut Vec<(u64, Timer)>) {
        let of = self.pipeline.step(step);
        let instance = self.instance(step, at);
        if instance.ended().is_some() {
            return;
        }
        let ending = instance.ending.as_ref();
        let stopping = ending.is_some_and(|(ending, _)| *ending != Ending::AttemptTimeout);
        let runs = instance.state == StepState::Running;
        if let Some(total) = of.timeouts.total
            && instance.counting
            && !stopping
            && (runs || !self.paused)
        {
            timers.push((
                self.now + total - instance.total_used,
                Timer::Total(step, at),
            ));
        }
        match (instance.state, ending) {
            (StepState::Queued, _) if !self.paused => {
                if let Some(queue) = of.timeouts.queue {
                    timers.push((
                        self.now + queue - instance.queue_used,
                        Timer::Queue(step, at),
                    ));
                }
            }
            (StepState::Running, None) => {
                timers.push((
                    instance.claimed_at + of.timeouts.attempt,
                    Timer::Attempt(step, at),
                ));
            }
            (StepState::Running, Some((_, since))) => {
                timers.push((since + of.grace, Timer::Grace(step, at)));
            }
            // 20: what comes out of its backoff in a pause waits for the resume.
            (StepState::Waiting, _) if !self.held(step, at) => {
                timers.push((instance.due, Timer::Due(step, at)));
            }
            _ => {}
        }
    }

    /// Whether a backoff is over, and only a pause is in the way.
    fn held(&self, step: usize, at: usize) -> bool {
        self.paused && !self.is_wait(step) && self.instance(step, at).due <= self.now
    }

    fn fire(&mut self, timer: Timer) {
        let now = self.now;
        match timer {
            Timer::Run => self.run_timeout(),
            Timer::Finally => self.finally_timeout(),
            // 12: ends the step `timed_out`, no retry.
            Timer::Queue(step, at) => {
                self.end_instance(step, at, StepState::TimedOut, "", false);
            }
            Timer::Total(step, at) => {
                if self.instance(step, at).state == StepState::Running {
                    let ending = &mut self.instance_mut(step, at).ending;
                    let since = ending.as_ref().map_or(now, |(_, since)| *since);
                    *ending = Some((Ending::Total, since));
                } else {
                    self.end_instance(step, at, StepState::TimedOut, "", false);
                }
            }
            Timer::Attempt(step, at) => {
                self.instance_mut(step, at).ending = Some((Ending::AttemptTimeout, now));
            }
            Timer::Grace(step, at) => {
                self.instance_mut(step, at).tries += 1;
                if let Some((ending, _)) = self.instance_mut(step, at).ending.take() {
                    self.end_stopped(step, at, &ending, Result::Cancelled);
                }
            }
            Timer::Due(step, at) if self.is_wait(step) => {
                self.end_instance(step, at, StepState::Succeeded, "", false);
            }
            Timer::Due(step, at) if !self.paused => self.queue(step, at),
            Timer::Due(..) => {}
        }
    }
}
