//! Attempts that wait for a driver, and the sessions that take them.

use super::sessions::Sessions;
use crate::id::RunId;
use conveyor_engine::plan::version_satisfies;
use conveyor_engine::run::Identity;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

/// What a session must have to take an attempt: a driver, where the run may use it, in a version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct QueueKey {
    pub(super) driver: Arc<str>,
    pub(super) version: Option<Arc<str>>,
    /// The run's namespace.
    pub(super) namespace: Arc<str>,
}

/// An attempt that waits, and since when, for [`crate::metrics`]. It may be out of date: the run decides
/// when it is taken.
pub(super) type Offer = (RunId, Identity, i64);

/// Waiting attempts of one key: the runs take turns, so that a fan-out of thousands does not hold up
/// a run of one step. The attempts of each run keep their order.
#[derive(Debug, Default)]
struct Line {
    order: VecDeque<RunId>,
    runs: BTreeMap<RunId, VecDeque<(Identity, i64)>>,
    waiting: usize,
}

impl Line {
    fn push(&mut self, (run, id, since): Offer) {
        self.waiting += 1;
        let offers = self.runs.entry(run).or_default();
        if offers.is_empty() {
            self.order.push_back(run);
        }
        offers.push_back((id, since));
    }

    fn pop(&mut self) -> Option<Offer> {
        let run = self.order.pop_front()?;
        let offers = self.runs.get_mut(&run)?;
        let (id, since) = offers.pop_front()?;
        self.waiting -= 1;
        if offers.is_empty() {
            self.runs.remove(&run);
        } else {
            self.order.push_back(run);
        }
        Some((run, id, since))
    }

    fn withdraw(&mut self, run: RunId) -> usize {
        let Some(offers) = self.runs.remove(&run) else {
            return 0;
        };
        self.order.retain(|other| *other != run);
        self.waiting -= offers.len();
        offers.len()
    }
}

/// Sessions of one driver in one version, published in one place: they are alike to a queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Class {
    /// The namespace that it is published in; `None` for all.
    scope: Option<Arc<str>>,
    version: Arc<str>,
}

/// The sessions of a class.
#[derive(Debug, Default)]
struct Members {
    all: BTreeSet<Arc<str>>,
    /// Those that may have room, in turn. One that has none is dropped when its turn comes.
    ready: VecDeque<Arc<str>>,
    listed: BTreeSet<Arc<str>>,
}

/// What waits for one driver, and who has it.
#[derive(Debug, Default)]
struct DriverQueue {
    lines: BTreeMap<QueueKey, Line>,
    waiting: usize,
    classes: BTreeMap<Class, Members>,
    /// The line after which the next search begins, so that namespaces take turns (PROTOCOL P28).
    turn: Option<QueueKey>,
}

impl DriverQueue {
    /// The classes that may take what the key asks for: a run's own namespace wins (PROTOCOL P27).
    fn serving(&self, key: &QueueKey) -> impl Iterator<Item = &Class> {
        let fits = |class: &&Class| {
            let wanted = key.version.as_ref();
            wanted.is_none_or(|wanted| version_satisfies(wanted, &class.version))
        };
        let own = |class: &&Class| class.scope.as_ref() == Some(&key.namespace);
        let has_own = self.classes.keys().any(|class| own(&class));
        self.classes
            .keys()
            .filter(move |class| match has_own {
                true => own(class),
                false => class.scope.is_none(),
            })
            .filter(fits)
    }

    /// The next session of a class that has room. It goes to the end of its line.
    fn next_of(&mut self, class: &Class, sessions: &Sessions) -> Option<Arc<str>> {
        let members = self.classes.get_mut(class)?;
        for _ in 0..members.ready.len() {
            let id = members.ready.pop_front()?;
            if sessions.has_room(&id) {
                members.ready.push_back(Arc::clone(&id));
                return Some(id);
            }
            members.listed.remove(&id);
        }
        None
    }

    fn take(&mut self, sessions: &Sessions) -> Option<(Arc<str>, Offer)> {
        if self.waiting == 0
            || self
                .classes
                .values()
                .all(|members| members.ready.is_empty())
        {
            return None;
        }
        // Kept where nobody has room: the next search goes on after it all the same.
        let after = match self.turn.clone() {
            Some(turn) => Bound::Excluded(turn),
            None => Bound::Unbounded,
        };
        let later = self.lines.range((after, Bound::Unbounded));
        let keys: Vec<QueueKey> = later
            .chain(&self.lines)
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            let classes: Vec<Class> = self.serving(&key).cloned().collect();
            let session = classes
                .iter()
                .find_map(|class| self.next_of(class, sessions));
            let Some(session) = session else { continue };
            let line = self.lines.get_mut(&key)?;
            let offer = line.pop();
            if line.waiting == 0 {
                self.lines.remove(&key);
            }
            self.waiting -= 1;
            self.turn = Some(key);
            return Some((session, offer?));
        }
        None
    }
}

/// All queues of an owner.
#[derive(Debug, Default)]
pub(super) struct Queues {
    drivers: BTreeMap<Arc<str>, DriverQueue>,
    waiting: usize,
    /// The driver after which the next search begins.
    turn: Option<Arc<str>>,
}

impl Queues {
    /// A session is there: its drivers are served from now on.
    pub(super) fn enter(&mut self, info: &super::SessionInfo) {
        for (driver, version) in &info.drivers {
            let queue = self.drivers.entry(Arc::clone(driver)).or_default();
            let class = Class {
                scope: info.scope.clone(),
                version: Arc::clone(version),
            };
            let members = queue.classes.entry(class).or_default();
            members.all.insert(Arc::clone(&info.id));
        }
        self.room(info);
    }

    /// A session has room again.
    pub(super) fn room(&mut self, info: &super::SessionInfo) {
        for (driver, version) in &info.drivers {
            let class = Class {
                scope: info.scope.clone(),
                version: Arc::clone(version),
            };
            let queue = self.drivers.get_mut(driver);
            if let Some(members) = queue.and_then(|queue| queue.classes.get_mut(&class))
                && members.listed.insert(Arc::clone(&info.id))
            {
                members.ready.push_back(Arc::clone(&info.id));
            }
        }
    }

    /// A session is gone. Gives what waits for drivers that nobody has any more, key by key, with the
    /// runs: it is in no queue from now on.
    pub(super) fn leave(&mut self, info: &super::SessionInfo) -> Vec<(QueueKey, Vec<RunId>)> {
        let mut orphans = Vec::new();
        for (driver, version) in &info.drivers {
            let Some(queue) = self.drivers.get_mut(driver) else {
                continue;
            };
            let class = Class {
                scope: info.scope.clone(),
                version: Arc::clone(version),
            };
            if let Some(members) = queue.classes.get_mut(&class) {
                members.all.remove(&info.id);
                members.ready.retain(|id| *id != info.id);
                members.listed.remove(&info.id);
                if members.all.is_empty() {
                    queue.classes.remove(&class);
                }
            }
            let lost = queue
                .lines
                .keys()
                .filter(|key| queue.serving(key).next().is_none());
            let lost: Vec<QueueKey> = lost.cloned().collect();
            for key in lost {
                let Some(line) = queue.lines.remove(&key) else {
                    continue;
                };
                queue.waiting -= line.waiting;
                self.waiting -= line.waiting;
                orphans.push((key, line.runs.into_keys().collect()));
            }
            if queue.classes.is_empty() && queue.lines.is_empty() {
                self.drivers.remove(driver);
            }
        }
        orphans
    }

    /// Puts an attempt at the end of its queue. Somebody has to serve it.
    pub(super) fn offer(&mut self, key: QueueKey, offer: Offer) {
        let queue = self.drivers.entry(Arc::clone(&key.driver)).or_default();
        queue.lines.entry(key).or_default().push(offer);
        queue.waiting += 1;
        self.waiting += 1;
    }

    /// Takes all attempts of a run out of the queues.
    pub(super) fn withdraw(&mut self, run: RunId) {
        for queue in self.drivers.values_mut() {
            let mut withdrawn = 0;
            queue.lines.retain(|_, line| {
                withdrawn += line.withdraw(run);
                line.waiting > 0
            });
            queue.waiting -= withdrawn;
            self.waiting -= withdrawn;
        }
    }

    /// How many attempts wait, those that are out of date included.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many attempts wait for each driver that somebody offers.
    pub(super) fn depths(&self) -> Vec<(String, u64)> {
        let drivers = self.drivers.iter();
        drivers
            .map(|(name, queue)| (name.to_string(), queue.waiting as u64))
            .collect()
    }

    /// Whether some session has what the key asks for.
    pub(super) fn served(&self, key: &QueueKey) -> bool {
        let queue = self.drivers.get(&key.driver);
        queue.is_some_and(|queue| queue.serving(key).next().is_some())
    }

    /// Takes the next attempt that a session has room for. The drivers take turns.
    pub(super) fn take(&mut self, sessions: &Sessions) -> Option<(Arc<str>, Offer)> {
        if self.waiting == 0 {
            return None;
        }
        // Kept where nobody has room: the next search goes on after it all the same.
        let after = match self.turn.clone() {
            Some(turn) => Bound::Excluded(turn),
            None => Bound::Unbounded,
        };
        let later = self.drivers.range((after, Bound::Unbounded));
        let all = later.chain(&self.drivers);
        let waiting = all.filter(|(_, queue)| queue.waiting > 0);
        let names: Vec<Arc<str>> = waiting.map(|(name, _)| Arc::clone(name)).collect();
        for name in names {
            let taken = self.drivers.get_mut(&name)?.take(sessions);
            if let Some(taken) = taken {
                self.waiting -= 1;
                self.turn = Some(name);
                return Some(taken);
            }
        }
        None
    }
}
