//! Runs go from memory: those that have ended, and those of which nothing runs (DESIGN §5).

use super::Owner;
use super::follow::all_absent;
use super::live::Slot;
use crate::id::RunId;
use conveyor_engine::run::RunState;
use conveyor_engine::time::{Duration, Time};

impl Owner {
    /// Lets a run go from memory if nothing of it runs (DESIGN §5).
    pub(super) fn rest(&mut self, now: Time, run: RunId) {
        if self.is_open(run) {
            return;
        }
        let Some(Slot::Live(live)) = self.slots.get_mut(&run) else {
            return;
        };
        live.trim();
        if live.run.state().is_terminal() {
            if live.absent {
                for runs in self.absent.values_mut() {
                    runs.remove(&run);
                }
            }
            self.drop_live(run);
            self.slots.remove(&run);
            self.held.remove(&run);
            return;
        }
        if live.claims > 0 || live.awaits_values || live.run.wants_turn() {
            return;
        }
        let paused = live.run.state() == RunState::Paused;
        let idle = live.queued == 0
            || paused
            || live.absent && all_absent(&self.queues, live.run.plan(), &live.run.pending().offers);
        // Folding it again costs about as much as its journal is long: not for a moment's wait.
        let soon = now.after(Duration(1000 + live.run.sequence() / 8));
        let due = live.run.next_timer().map(|(due, _)| due);
        if idle && due.is_none_or(|due| due > soon) {
            self.drop_live(run);
            self.park(run, due);
        }
    }

    pub(super) fn park(&mut self, run: RunId, due: Option<Time>) {
        self.slots.insert(run, Slot::Parked(due));
        if let Some(due) = due {
            self.timers.insert((due, run));
        }
    }

    /// Forgets what the owner knows of a run in memory, but not its slot.
    pub(super) fn drop_live(&mut self, run: RunId) {
        let Some(Slot::Live(live)) = self.slots.get(&run) else {
            return;
        };
        if let Some(due) = live.due {
            self.timers.remove(&(due, run));
        }
        if live.queued > 0 {
            self.queues.withdraw(run);
        }
    }
}
