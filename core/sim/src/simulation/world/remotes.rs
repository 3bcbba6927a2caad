//! Drivers in other processes: what reaches them, what they do, and what becomes of connections.

mod beats;
mod connections;
mod tasks;

use super::super::remote::{BEAT, LOOK, Outside, Remote};
use super::{Check, World};
use conveyor_engine::run::RunState;
use conveyor_engine::time::{Duration, Time};
use conveyor_node::owner::{Input, SessionEvent};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl World {
    /// Schedules something outside of the process.
    pub(super) fn outside(&mut self, after: u64, what: Outside) {
        self.outside_order += 1;
        let at = self.now.after(Duration(after));
        self.outside.insert((at, self.outside_order), what);
    }

    /// When the next thing outside happens; `None` where only what never ends is left, and nothing
    /// waits for it.
    pub(super) fn next_outside(&mut self) -> Option<Time> {
        let (first, _) = self.outside.keys().next().copied()?;
        let perpetual = self.outside.values().all(Outside::is_perpetual);
        let idle = || self.remotes.values().all(|remote| remote.tasks.is_empty());
        let rests = |world: &World| world.ledger.runs.iter().all(|run| world.rests(*run));
        (!perpetual || !idle() || !rests(self)).then_some(first)
    }

    /// Whether nothing is expected of a run by itself.
    fn rests(&self, run: conveyor_node::RunId) -> bool {
        self.listed(run).is_some_and(|state| {
            state.is_terminal() || matches!(state, RunState::Paused | RunState::Quarantined)
        })
    }

    /// Whether drivers in other processes are part of this life, and whether the process itself has
    /// the driver.
    pub(super) fn choose_drivers(&mut self) {
        let roll = self.random.below(3);
        self.has_driver = roll < 2;
        let remotes = if roll == 0 {
            0
        } else {
            1 + self.random.below(3)
        };
        for _ in 0..remotes {
            self.new_remote();
        }
    }

    fn new_remote(&mut self) {
        self.sessions += 1;
        let session: Arc<str> = format!("session-{}", self.sessions).into();
        let remote = Remote {
            session: Arc::clone(&session),
            capacity: 1 + self.random.below(4),
            polls: self.random.percent(30),
            connection: None,
            tasks: BTreeMap::new(),
            ended: BTreeSet::new(),
            answered: self.now,
            missing: BTreeMap::new(),
        };
        self.remotes.insert(Arc::clone(&session), remote);
        let after = self.random.below(200) as u64;
        self.outside(after, Outside::Connect(Arc::clone(&session)));
        self.outside(LOOK.0, Outside::Look(session));
    }

    pub(super) fn happen_outside(&mut self) -> Check {
        let Some((_, what)) = self.outside.pop_first() else {
            return Ok(());
        };
        self.note(|| format!("outside {what:?}"));
        match what {
            Outside::Task(session, connection, task) => {
                self.task_arrives(&session, connection, &task)
            }
            Outside::Cancel(session, connection, claimed, grace) => {
                self.cancel_arrives(&session, connection, claimed, grace);
                Ok(())
            }
            Outside::Beat(session, connection) => {
                self.check_missing(&session, connection)?;
                self.beat(&session, connection)
            }
            Outside::Look(session) => {
                if !self.driver_dies(&session) {
                    self.look(&session)?;
                    // While it is connected, every answer resets what it looks for.
                    let remote = self.remotes.get(&session);
                    let connected = remote.is_some_and(|remote| remote.connection.is_some());
                    let after = if connected { BEAT } else { LOOK };
                    self.outside(after.0, Outside::Look(session));
                }
                Ok(())
            }
            Outside::Check(session) => self.look(&session),
            Outside::Done(session, claimed, result) => self.task_ends(&session, claimed, result),
            Outside::Connect(session) => self.connect(&session),
            Outside::Broken(session, connection) => {
                if self.links.get(&session) == Some(&connection) {
                    self.links.remove(&session);
                    let event = SessionEvent::Disconnected;
                    self.handle(Input::Session { session, event });
                }
                Ok(())
            }
        }
    }
}
