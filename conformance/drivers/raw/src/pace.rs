//! When heartbeats go out, and whether the engine answers them (R20, R22).

use crate::breaks::{Break, Breaks};
use conveyor_proto::contract::UNHEARD;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// No more than ten heartbeats a second, whatever is asked.
const SHORTEST: Duration = Duration::from_millis(100);
/// What a welcome means that does not say.
const USUAL: Duration = Duration::from_secs(5);

/// Which messages are done with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Settled {
    /// All up to this number: a stream says so.
    UpTo(u64),
    /// This one: its call was answered.
    One(u64),
}

impl Settled {
    pub(crate) fn has(self, sequence: u64) -> bool {
        match self {
            Settled::UpTo(last) => sequence <= last,
            Settled::One(one) => sequence == one,
        }
    }
}

/// The heartbeats of a session.
#[derive(Debug)]
pub(crate) struct Pace {
    breaks: Breaks,
    /// What the welcome asks for.
    interval: Duration,
    /// The shortest `heartbeat_timeout_ms` of any task so far.
    shortest: Option<Duration>,
    last: Instant,
    /// When the next one was to follow, as it was known then.
    planned: Instant,
    /// Those that are not answered, by number, and when they went out.
    open: BTreeMap<u64, Instant>,
    /// When one was answered, or the welcome came.
    pub(crate) answered: Instant,
}

impl Pace {
    pub(crate) fn new(breaks: Breaks) -> Pace {
        let now = Instant::now();
        Pace {
            breaks,
            interval: USUAL,
            shortest: None,
            last: now,
            planned: now + USUAL,
            open: BTreeMap::new(),
            answered: now,
        }
    }

    /// A connection is open: its first heartbeat goes out at once.
    pub(crate) fn begin_again(&mut self, interval_ms: u64) {
        let now = Instant::now();
        if interval_ms > 0 {
            self.interval = Duration::from_millis(interval_ms);
        }
        self.open.clear();
        (self.answered, self.planned) = (now, now);
        self.last = now - self.period();
    }

    /// A task came that wants to be named within this.
    pub(crate) fn task(&mut self, timeout: Duration) {
        let shortest = self.shortest.unwrap_or(timeout);
        self.shortest = Some(shortest.min(timeout));
    }

    /// How long it is from one to the next: three come within the shortest timeout, with a tenth to spare.
    pub(crate) fn period(&self) -> Duration {
        let slow = self.breaks.has(Break::SlowForShort);
        let tenths = if slow { 6 } else { 3 };
        let interval = match self.breaks.has(Break::HalfAsOften) {
            true => self.interval * 2,
            false => self.interval,
        };
        let three_within = self
            .shortest
            .map_or(interval, |timeout| timeout * tenths / 10);
        match self.breaks.has(Break::TooOften) {
            true => SHORTEST / 2,
            false => interval.min(three_within).max(SHORTEST),
        }
    }

    pub(crate) fn next(&self) -> Instant {
        self.last + self.period()
    }

    pub(crate) fn sent(&mut self, sequence: u64) {
        self.skipped();
        self.open.insert(sequence, self.last);
    }

    /// None went out, though it was its time.
    pub(crate) fn skipped(&mut self) {
        self.last = Instant::now();
        self.planned = self.last + self.period();
    }

    pub(crate) fn settled(&mut self, settled: Settled) {
        let answered = |(&sequence, _): (&u64, &Instant)| settled.has(sequence).then_some(sequence);
        if let Some(newest) = self.open.iter().rev().find_map(answered) {
            // An answer that was lost is not waited for any more.
            self.open.retain(|&sequence, _| sequence > newest);
            self.answered = Instant::now();
        }
    }

    /// Whether a heartbeat, or its answer, is overdue: then a task that comes may be old, and another's already
    /// (R22). A machine that stood still sent none.
    pub(crate) fn is_overdue(&self, timeout: Duration, now: Instant) -> bool {
        let waits_since = self.open.values().next().copied().unwrap_or(self.planned);
        waits_since + unheard_after(timeout) < now
    }
}

/// How long the engine may be unheard before a task is stopped (R22).
pub(crate) fn unheard_after(timeout: Duration) -> Duration {
    let (part, of) = UNHEARD;
    timeout * part / of
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_heartbeats_come_within_the_shortest_timeout_and_no_more_than_ten_a_second() {
        let mut pace = Pace::new(Breaks::default());
        assert_eq!(pace.period(), USUAL);
        pace.task(Duration::from_secs(3));
        pace.task(Duration::from_secs(30));
        assert_eq!(pace.period(), Duration::from_millis(900));
        pace.task(Duration::from_millis(20));
        assert_eq!(pace.period(), SHORTEST);
    }

    #[test]
    fn an_answer_to_a_heartbeat_counts_and_no_other() {
        let (mut pace, timeout) = (Pace::new(Breaks::default()), Duration::from_secs(3));
        pace.sent(3);
        let later = Instant::now() + timeout;
        pace.settled(Settled::UpTo(2));
        assert!(pace.is_overdue(timeout, later));
        pace.settled(Settled::UpTo(4));
        assert!(!pace.is_overdue(timeout, later));
        assert!(
            pace.is_overdue(timeout, later + USUAL),
            "none was sent for too long"
        );
    }

    #[test]
    fn an_answer_stands_for_those_that_were_lost_before_it() {
        let (mut pace, timeout) = (Pace::new(Breaks::default()), Duration::from_secs(3));
        pace.sent(1);
        pace.sent(2);
        pace.settled(Settled::One(2));
        assert!(!pace.is_overdue(timeout, Instant::now() + timeout));
    }

    #[test]
    fn a_task_with_a_short_timeout_is_no_reason_to_think_that_a_heartbeat_is_overdue() {
        let (mut pace, timeout) = (Pace::new(Breaks::default()), Duration::from_secs(1));
        pace.sent(1);
        pace.settled(Settled::One(1));
        pace.task(timeout);
        assert!(!pace.is_overdue(timeout, Instant::now() + Duration::from_secs(4)));
    }
}
