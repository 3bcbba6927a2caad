//! Timers: when each run is due, and what happens then.

use super::Owner;
use super::live::Slot;
use crate::id::RunId;
use conveyor_engine::run::{Fact, Rejected};
use conveyor_engine::time::Time;

/// How many timers one tick fires, so that a burst of them does not hold up reports.
const TIMERS: usize = 1024;

impl Owner {
    pub(super) fn tick(&mut self, now: Time) {
        if self.hold_until.is_some_and(|until| until <= now) {
            self.hold_until = None;
            self.retry();
        }
        self.tick_sessions(now);
        for _ in 0..TIMERS {
            let Some((due, run)) = self.timers.first().copied().filter(|(due, _)| *due <= now)
            else {
                return;
            };
            self.timers.remove(&(due, run));
            match self.slots.get_mut(&run) {
                Some(Slot::Live(live)) => {
                    if live.due == Some(due) {
                        live.due = None;
                    }
                    if live.awaits_values {
                        self.go_on(now, run);
                    } else {
                        self.fire(now, run);
                    }
                }
                Some(slot @ Slot::Parked(_)) => {
                    *slot = Slot::Waiting;
                    self.urgent.push_back(run);
                }
                _ => {}
            }
        }
    }

    /// Fires what is due of a run that is in memory.
    pub(super) fn fire(&mut self, now: Time, run: RunId) {
        // Each firing disarms its timer or arms it later, so this ends; the bound keeps one run with
        // thousands of equal timers from holding up the others.
        for _ in 0..64 {
            let Some(Slot::Live(live)) = self.slots.get(&run) else {
                return;
            };
            let Some((due, key)) = live.run.next_timer() else {
                break;
            };
            if due > now {
                break;
            }
            match self.apply(now, run, Fact::TimerDue(key)) {
                Ok(()) => {}
                Err(Rejected::Missing(hashes)) => return self.want_values(run, hashes, None),
                // The run was set aside.
                Err(Rejected::Broken(_)) => return,
                // It names a timer and does not take it: it would be asked for ever.
                Err(rejected) => {
                    let sequence = self.live(run).map_or(0, |live| live.run.sequence());
                    let reason = format!("its timer {key:?} is not taken: {rejected}");
                    return self.quarantine(now, run, &reason, sequence);
                }
            }
        }
        self.watch_timer(run);
    }

    /// Keeps the owner's timers in step with the run's earliest one.
    pub(super) fn watch_timer(&mut self, run: RunId) {
        let Some(Slot::Live(live)) = self.slots.get_mut(&run) else {
            return;
        };
        let due = live.run.next_timer().map(|(due, _)| due);
        if due == live.due {
            return;
        }
        if let Some(old) = live.due {
            self.timers.remove(&(old, run));
        }
        live.due = due;
        if let Some(due) = due {
            self.timers.insert((due, run));
        }
    }
}
