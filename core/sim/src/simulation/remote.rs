//! Drivers in other processes, and the connections that they come by.

use super::driver;
use conveyor_engine::time::{Duration, Time};
use conveyor_node::owner::StartTask;
use conveyor_node::token::Claimed;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How often a driver sends heartbeats.
pub(super) const BEAT: Duration = Duration::secs(5);
/// How often its runtime looks at its deadlines.
pub(super) const LOOK: Duration = Duration::secs(1);

/// One driver's process.
#[derive(Debug)]
pub(super) struct Remote {
    pub(super) session: Arc<str>,
    pub(super) capacity: usize,
    /// Whether it holds no connection: it comes back without naming what it holds, asks for tasks again and
    /// again, and sends heartbeats only while it has some.
    pub(super) polls: bool,
    /// Its connection, if it has one. None has the same number.
    pub(super) connection: Option<u64>,
    /// What it holds: until its report is answered.
    pub(super) tasks: BTreeMap<Claimed, Task>,
    /// What it had: it starts none a second time.
    pub(super) ended: BTreeSet<Claimed>,
    /// When the engine last answered a heartbeat.
    pub(super) answered: Time,
    /// What was lost on its way over this connection, and when: it has to come again.
    pub(super) missing: BTreeMap<Claimed, Time>,
}

/// A task that a driver holds.
#[derive(Debug)]
pub(super) struct Task {
    /// How it ended; `None` while it runs.
    pub(super) result: Option<Box<driver::Result>>,
    pub(super) deadline: Time,
    pub(super) heartbeat: Duration,
    pub(super) grace: Duration,
    /// How many heartbeats still leave it out.
    pub(super) silent: u32,
    /// When the runtime cuts it off.
    pub(super) cut_off: Option<Time>,
    /// Whether it was told to stop because nobody answered, and by nobody else.
    pub(super) unheard: bool,
}

impl Remote {
    pub(super) fn running(&self) -> usize {
        let running = self.tasks.values().filter(|task| task.result.is_none());
        running.count()
    }

    pub(super) fn claims(&self) -> Vec<Claimed> {
        self.tasks.keys().copied().collect()
    }
}

/// Something that happens outside of the engine's process. What comes over a connection that is gone
/// is lost.
#[derive(Debug)]
pub(super) enum Outside {
    /// A task reaches its driver.
    Task(Arc<str>, u64, Box<StartTask>),
    /// A cancel reaches its driver.
    Cancel(Arc<str>, u64, Claimed, Duration),
    /// A driver's heartbeat reaches the engine.
    Beat(Arc<str>, u64),
    /// A driver's runtime looks at its deadlines.
    Look(Arc<str>),
    /// An instant that a task's runtime waits for.
    Check(Arc<str>),
    /// A task ends by itself.
    Done(Arc<str>, Claimed, Box<driver::Result>),
    /// A driver comes back, or comes.
    Connect(Arc<str>),
    /// The engine hears that a connection is broken.
    Broken(Arc<str>, u64),
}

impl Outside {
    /// Whether it comes again and again, whether or not anything is left to do.
    pub(super) fn is_perpetual(&self) -> bool {
        matches!(self, Outside::Beat(..) | Outside::Look(_))
    }
}
