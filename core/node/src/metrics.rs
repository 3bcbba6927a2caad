//! What a node counts while it works: atomics alone, so that counting costs some nanoseconds and no lock.
//! Whoever shows the figures reads them here; [`Figures`] are those that the owner tells when asked.

use conveyor_engine::run::{AttemptState, RunState, StepState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A figure that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// As it is now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of lengths of time, in microseconds: from an SSD's commit to an hour's wait for a driver.
pub const MICROSECONDS: [u64; 16] = [
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    1_000_000,
    5_000_000,
    30_000_000,
    300_000_000,
    3_600_000_000,
];
/// Upper bounds of sizes, in bytes: a group is closed at 8 MiB.
pub const BYTES: [u64; 16] = [
    256,
    512,
    1 << 10,
    2 << 10,
    4 << 10,
    8 << 10,
    16 << 10,
    32 << 10,
    64 << 10,
    128 << 10,
    256 << 10,
    512 << 10,
    1 << 20,
    4 << 20,
    16 << 20,
    64 << 20,
];

/// How often values fell between bounds.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64; 16],
    /// Not cumulative; the last is for what is above all bounds.
    buckets: [AtomicU64; 17],
    sum: AtomicU64,
}

impl Histogram {
    /// With these upper bounds, each of them included.
    #[must_use]
    pub fn new(bounds: &'static [u64; 16]) -> Histogram {
        Histogram {
            bounds,
            buckets: Default::default(),
            sum: AtomicU64::new(0),
        }
    }

    /// Counts a value.
    pub fn observe(&self, value: u64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        self.buckets[at].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// The upper bounds, how many values were at most that, how many there were, and their sum.
    #[must_use]
    pub fn read(&self) -> (Vec<(u64, u64)>, u64, u64) {
        let mut count = 0;
        let mut below = |bucket: &AtomicU64| {
            count += bucket.load(Ordering::Relaxed);
            count
        };
        let counts: Vec<u64> = self.buckets.iter().map(&mut below).collect();
        let cumulative = self.bounds.iter().copied().zip(counts.iter().copied());
        let all = counts.last().copied().unwrap_or_default();
        (cumulative.collect(), all, self.sum.load(Ordering::Relaxed))
    }
}

/// What a node counts since it was opened.
#[derive(Debug)]
pub struct Metrics {
    opened: Instant,
    /// The present for the owner, which has no clock of this kind: microseconds since the node was opened.
    now: AtomicU64,
    /// Runs that were accepted.
    pub runs_started: Counter,
    runs_ended: [Counter; 11],
    steps_ended: [Counter; 12],
    attempts_ended: [Counter; 7],
    /// From queued to claimed, durably: microseconds.
    pub schedule_to_start: Histogram,
    /// From a report to the next task of its run, both durable in one commit: microseconds.
    pub step_to_step: Histogram,
    /// Bytes of each commit of runs.
    pub commit_bytes: Histogram,
    /// How long each took: microseconds.
    pub commit_time: Histogram,
    /// Commits that failed, or whose outcome was not known.
    pub commits_failed: Counter,
    /// Log lines that are durable.
    pub log_lines: Counter,
    /// Their bytes.
    pub log_bytes: Counter,
    /// How long each commit of log lines took: microseconds.
    pub log_commit_time: Histogram,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics {
            opened: Instant::now(),
            now: AtomicU64::new(0),
            runs_started: Counter::default(),
            runs_ended: Default::default(),
            steps_ended: Default::default(),
            attempts_ended: Default::default(),
            schedule_to_start: Histogram::new(&MICROSECONDS),
            step_to_step: Histogram::new(&MICROSECONDS),
            commit_bytes: Histogram::new(&BYTES),
            commit_time: Histogram::new(&MICROSECONDS),
            commits_failed: Counter::default(),
            log_lines: Counter::default(),
            log_bytes: Counter::default(),
            log_commit_time: Histogram::new(&MICROSECONDS),
        }
    }
}

impl Metrics {
    /// Tells the owner the present.
    pub(crate) fn tick(&self) {
        let now = self.opened.elapsed().as_micros() as u64;
        self.now.store(now, Ordering::Relaxed);
    }

    /// The present as it was told last; 0 where nobody tells it.
    pub(crate) fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// Runs that ended in a state.
    #[must_use]
    pub fn runs_ended(&self, state: RunState) -> &Counter {
        &self.runs_ended[usize::from(state.code()) % 11]
    }

    /// Instances of steps that ended in a state.
    #[must_use]
    pub fn steps_ended(&self, state: StepState) -> &Counter {
        &self.steps_ended[usize::from(state.code()) % 12]
    }

    /// Attempts that ended in a state.
    #[must_use]
    pub fn attempts_ended(&self, state: AttemptState) -> &Counter {
        &self.attempts_ended[usize::from(state.code()) % 7]
    }
}

/// How an owner is, at one instant.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Runs that have not ended, by state.
    pub runs: Vec<(RunState, u64)>,
    /// Those among them that are in memory.
    pub runs_in_memory: u64,
    /// Attempts that wait for a session, by the driver's name. Drivers that nobody offers are not here.
    pub queues: Vec<(String, u64)>,
    /// Runs that wait for a driver which nobody offers.
    pub runs_without_driver: u64,
    /// Sessions in other processes whose connection is there, and those that may come back.
    pub sessions: (u64, u64),
    /// Tasks that sessions hold, those in this process included.
    pub claimed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_falls_at_or_below_its_bound() {
        let histogram = Histogram::new(&MICROSECONDS);
        for value in [100, 101, 7_200_000_000] {
            histogram.observe(value);
        }
        let (buckets, count, sum) = histogram.read();
        assert_eq!(buckets[0], (100, 1));
        assert_eq!(buckets[1], (250, 2));
        assert_eq!(buckets[15], (3_600_000_000, 2));
        assert_eq!((count, sum), (3, 7_200_000_201));
    }
}
