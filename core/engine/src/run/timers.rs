//! The timers of one run, on two clocks: the wall's, and one that stands still while the run is
//! paused (SEMANTICS 20).

use super::TimerKey;
use crate::time::{Duration, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Which clock a timer runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Clock {
    /// Goes on while the run is paused.
    Wall,
    /// Stands still while the run is paused.
    Active,
}

/// An armed timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Armed {
    pub(crate) key: TimerKey,
    pub(crate) clock: Clock,
    /// On its own clock.
    pub(crate) due: Time,
}

/// All armed timers of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Timers {
    wall: BTreeSet<(Time, TimerKey)>,
    active: BTreeSet<(Time, TimerKey)>,
    armings: u64,
    /// How long the run has been paused, without the current pause.
    paused: Duration,
    paused_since: Option<Time>,
}

impl Timers {
    /// What `clock` shows at `now`.
    pub(crate) fn read(&self, clock: Clock, now: Time) -> Time {
        match clock {
            Clock::Wall => now,
            Clock::Active => Time(
                self.paused_since
                    .unwrap_or(now)
                    .since(Time(self.paused.0))
                    .0,
            ),
        }
    }

    pub(crate) fn arm(
        &mut self,
        mut key: TimerKey,
        clock: Clock,
        now: Time,
        after: Duration,
    ) -> Armed {
        self.armings += 1;
        key.arming = self.armings;
        let due = self.read(clock, now).after(after);
        self.set(clock).insert((due, key));
        Armed { key, clock, due }
    }

    pub(crate) fn disarm(&mut self, armed: &Armed) {
        self.set(armed.clock).remove(&(armed.due, armed.key));
    }

    fn set(&mut self, clock: Clock) -> &mut BTreeSet<(Time, TimerKey)> {
        match clock {
            Clock::Wall => &mut self.wall,
            Clock::Active => &mut self.active,
        }
    }

    /// How much time an armed timer has left.
    pub(crate) fn left(&self, armed: &Armed, now: Time) -> Duration {
        armed.due.since(self.read(armed.clock, now))
    }

    /// When a timer is due by the wall's clock; `None` while its clock stands still.
    pub(crate) fn due(&self, armed: &Armed) -> Option<Time> {
        match armed.clock {
            Clock::Wall => Some(armed.due),
            Clock::Active if self.paused_since.is_some() => None,
            Clock::Active => Some(armed.due.after(self.paused)),
        }
    }

    /// The earliest timer and its instant by the wall's clock.
    pub(crate) fn earliest(&self) -> Option<(Time, TimerKey)> {
        let wall = self.wall.first().copied();
        let active = match self.paused_since {
            Some(_) => None,
            None => self
                .active
                .first()
                .map(|(due, key)| (due.after(self.paused), *key)),
        };
        match (wall, active) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    pub(crate) fn pause(&mut self, now: Time) {
        self.paused_since.get_or_insert(now);
    }

    pub(crate) fn resume(&mut self, now: Time) {
        if let Some(since) = self.paused_since.take() {
            self.paused = Duration(self.paused.0 + now.since(since).0);
        }
    }
}
