//! Attempts that wait for a driver, and the sessions that take them.

use super::messages::SessionInfo;
use crate::id::RunId;
use crate::token::Claimed;
use conveyor_engine::plan::version_satisfies;
use conveyor_engine::run::Identity;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What a session must have to take an attempt: a driver, in a version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct QueueKey {
    pub(super) driver: Arc<str>,
    pub(super) version: Option<Arc<str>>,
}

/// An attempt that waits. It may be out of date: the run decides when it is taken.
pub(super) type Offer = (RunId, Identity);

/// Waiting attempts of one driver: the namespaces take turns (PROTOCOL P28), and within each the
/// runs, so that a fan-out of thousands does not hold up a run of one step.
#[derive(Debug, Default)]
struct Queue {
    namespaces: VecDeque<(Arc<str>, Line)>,
}

/// The runs of one namespace, in turn, with the waiting attempts of each in order.
#[derive(Debug, Default)]
struct Line {
    order: VecDeque<RunId>,
    runs: BTreeMap<RunId, VecDeque<Identity>>,
    waiting: usize,
}

impl Line {
    fn push(&mut self, (run, id): Offer) {
        self.waiting += 1;
        let offers = self.runs.entry(run).or_default();
        if offers.is_empty() {
            self.order.push_back(run);
        }
        offers.push_back(id);
    }

    fn pop(&mut self) -> Option<Offer> {
        let run = self.order.pop_front()?;
        let offers = self.runs.get_mut(&run)?;
        let id = offers.pop_front()?;
        self.waiting -= 1;
        if offers.is_empty() {
            self.runs.remove(&run);
        } else {
            self.order.push_back(run);
        }
        Some((run, id))
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

/// A session and what it holds.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) info: SessionInfo,
    pub(super) free: u32,
    pub(super) held: BTreeMap<(RunId, Identity), Held>,
}

/// A claim that a session holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) nonce: u64,
    /// Whether the claim is durable, and the task on its way.
    pub(super) durable: bool,
    /// Whether its place was given back.
    pub(super) returned: bool,
}

/// All queues and sessions of an owner.
#[derive(Debug, Default)]
pub(super) struct Queues {
    queues: BTreeMap<QueueKey, Queue>,
    waiting: usize,
    pub(super) sessions: BTreeMap<Arc<str>, Session>,
    /// The queue after which the next search begins.
    turn: Option<QueueKey>,
}

impl Queues {
    pub(super) fn register(&mut self, info: SessionInfo) {
        let session = Session {
            free: info.capacity,
            held: BTreeMap::new(),
            info,
        };
        self.sessions.insert(Arc::clone(&session.info.id), session);
    }

    /// Puts an attempt at the end of its queue.
    pub(super) fn offer(&mut self, key: QueueKey, namespace: &Arc<str>, offer: Offer) {
        self.waiting += 1;
        let queue = self.queues.entry(key).or_default();
        let found = queue
            .namespaces
            .iter()
            .position(|(name, _)| name == namespace);
        let at = found.unwrap_or_else(|| {
            queue
                .namespaces
                .push_back((Arc::clone(namespace), Line::default()));
            queue.namespaces.len() - 1
        });
        queue.namespaces[at].1.push(offer);
    }

    /// Takes all attempts of a run out of the queues.
    pub(super) fn withdraw(&mut self, run: RunId) {
        for queue in self.queues.values_mut() {
            for (_, line) in &mut queue.namespaces {
                self.waiting -= line.withdraw(run);
            }
            queue.namespaces.retain(|(_, line)| line.waiting > 0);
        }
        self.queues.retain(|_, queue| !queue.namespaces.is_empty());
    }

    /// How many attempts wait for a session that is there, those that are out of date included.
    pub(super) fn waiting(&self) -> usize {
        let served = self.queues.iter().filter(|(key, _)| self.served(key));
        served
            .flat_map(|(_, queue)| &queue.namespaces)
            .map(|(_, line)| line.waiting)
            .sum()
    }

    /// How many tasks all sessions take at once.
    pub(super) fn capacity(&self) -> usize {
        self.sessions
            .values()
            .map(|session| session.info.capacity as usize)
            .sum()
    }

    /// Whether some session has what the key asks for.
    pub(super) fn served(&self, key: &QueueKey) -> bool {
        self.sessions.values().any(|session| session.serves(key))
    }

    /// Takes the next attempt that a session has room for.
    pub(super) fn take(&mut self) -> Option<(Arc<str>, Offer)> {
        if self.waiting == 0 || self.sessions.values().all(|session| session.free == 0) {
            return None;
        }
        let room = |key: &QueueKey| {
            self.sessions
                .values()
                .find(|session| session.free > 0 && session.serves(key))
        };
        let start = self.turn.take();
        let later = self
            .queues
            .keys()
            .filter(|key| start.as_ref().is_none_or(|turn| *key > turn));
        let (key, session) = later
            .chain(self.queues.keys())
            .find_map(|key| room(key).map(|session| (key.clone(), Arc::clone(&session.info.id))))?;
        let queue = self.queues.get_mut(&key)?;
        let (namespace, mut line) = queue.namespaces.pop_front()?;
        let offer = line.pop();
        if line.waiting > 0 {
            queue.namespaces.push_back((namespace, line));
        } else if queue.namespaces.is_empty() {
            self.queues.remove(&key);
        }
        self.turn = Some(key);
        self.waiting -= 1;
        Some((session, offer?))
    }

    /// The claim of an attempt, and who holds it.
    pub(super) fn holder(&mut self, run: RunId, id: Identity) -> Option<(Arc<str>, &mut Held)> {
        self.sessions.values_mut().find_map(|session| {
            let held = session.held.get_mut(&(run, id))?;
            Some((Arc::clone(&session.info.id), held))
        })
    }

    /// Claims of a run that sessions hold.
    pub(super) fn held_of(&self, run: RunId) -> Vec<(Arc<str>, Claimed, Held)> {
        let zero = Identity {
            step: 0,
            instance: 0,
            attempt: 0,
        };
        let mut all = Vec::new();
        for session in self.sessions.values() {
            for ((of, id), held) in session.held.range((run, zero)..) {
                if *of != run {
                    break;
                }
                let claimed = Claimed {
                    run,
                    id: *id,
                    nonce: held.nonce,
                };
                all.push((Arc::clone(&session.info.id), claimed, *held));
            }
        }
        all
    }

    /// A session took an attempt.
    pub(super) fn hold(&mut self, session: &str, claimed: Claimed) {
        if let Some(session) = self.sessions.get_mut(session) {
            session.free = session.free.saturating_sub(1);
            let held = Held {
                nonce: claimed.nonce,
                durable: false,
                returned: false,
            };
            session.held.insert((claimed.run, claimed.id), held);
        }
    }

    /// The place of a claim is free again; the claim is still known until [`Queues::forget`].
    pub(super) fn give_back(&mut self, run: RunId, id: Identity) {
        for session in self.sessions.values_mut() {
            if let Some(held) = session.held.get_mut(&(run, id))
                && !held.returned
            {
                held.returned = true;
                session.free += 1;
            }
        }
    }

    /// A claim is over, and durably so.
    pub(super) fn forget(&mut self, run: RunId, id: Identity) {
        self.give_back(run, id);
        for session in self.sessions.values_mut() {
            session.held.remove(&(run, id));
        }
    }
}

impl Session {
    fn serves(&self, key: &QueueKey) -> bool {
        let Some(version) = self.info.drivers.get(&key.driver) else {
            return false;
        };
        key.version
            .as_ref()
            .is_none_or(|wanted| version_satisfies(wanted, version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(driver: &str) -> QueueKey {
        QueueKey {
            driver: driver.into(),
            version: None,
        }
    }

    fn offer(run: u8, instance: u32) -> Offer {
        (
            RunId([run; 16]),
            Identity {
                step: 0,
                instance,
                attempt: 1,
            },
        )
    }

    fn session(capacity: u32) -> SessionInfo {
        let drivers = ["a", "b"].map(|name| (Arc::from(name), Arc::from("1.4.2")));
        SessionInfo {
            id: "s".into(),
            drivers: drivers.into(),
            schemas: BTreeMap::new(),
            capacity,
        }
    }

    #[test]
    fn namespaces_take_turns_and_each_keeps_its_order() {
        let mut queues = Queues::default();
        queues.register(session(9));
        let (one, two) = (Arc::from("one"), Arc::from("two"));
        for instance in 0..3 {
            queues.offer(key("a"), &one, offer(1, instance));
        }
        queues.offer(key("a"), &two, offer(2, 0));
        let order: Vec<_> = std::iter::from_fn(|| queues.take().map(|(_, offer)| offer)).collect();
        assert_eq!(order, [offer(1, 0), offer(2, 0), offer(1, 1), offer(1, 2)]);
    }

    #[test]
    fn runs_take_turns_and_can_be_withdrawn() {
        let mut queues = Queues::default();
        queues.register(session(9));
        let namespace = Arc::from("default");
        for (run, instance) in [(1, 0), (1, 1), (1, 2), (2, 0), (3, 0), (3, 1)] {
            queues.offer(key("a"), &namespace, offer(run, instance));
        }
        queues.withdraw(RunId([3; 16]));
        assert_eq!(queues.waiting(), 4);
        let order: Vec<_> = std::iter::from_fn(|| queues.take().map(|(_, offer)| offer)).collect();
        assert_eq!(order, [offer(1, 0), offer(2, 0), offer(1, 1), offer(1, 2)]);
        assert_eq!(queues.waiting(), 0);
    }

    #[test]
    fn drivers_take_turns() {
        let mut queues = Queues::default();
        queues.register(session(9));
        let namespace = Arc::from("default");
        queues.offer(key("a"), &namespace, offer(1, 0));
        queues.offer(key("a"), &namespace, offer(1, 1));
        queues.offer(key("b"), &namespace, offer(2, 0));
        let order: Vec<_> = std::iter::from_fn(|| queues.take().map(|(_, offer)| offer)).collect();
        assert_eq!(order, [offer(1, 0), offer(2, 0), offer(1, 1)]);
    }

    #[test]
    fn a_full_session_takes_nothing_until_a_place_is_given_back_once() {
        let mut queues = Queues::default();
        queues.register(session(1));
        let namespace = Arc::from("default");
        queues.offer(key("a"), &namespace, offer(1, 0));
        queues.offer(key("a"), &namespace, offer(1, 1));
        let (session, (run, id)) = queues.take().unwrap();
        queues.hold(&session, Claimed { run, id, nonce: 7 });
        assert!(queues.take().is_none());
        queues.give_back(run, id);
        queues.forget(run, id);
        assert_eq!(queues.sessions["s"].free, 1);
        assert!(queues.take().is_some());
    }

    #[test]
    fn what_nobody_serves_stays() {
        let mut queues = Queues::default();
        queues.register(session(1));
        queues.offer(key("c"), &Arc::from("default"), offer(1, 0));
        assert!(queues.take().is_none());
        assert!(!queues.served(&key("c")));
        assert_eq!(queues.waiting(), 0);
        queues.offer(key("a"), &Arc::from("default"), offer(1, 0));
        assert_eq!(queues.waiting(), 1);
        assert!(version_satisfies("1.4", "1.4.2") && version_satisfies("1.4.2", "1.4.2"));
        assert!(!version_satisfies("1.4", "1.40.2") && !version_satisfies("1", "2.0.0"));
    }
}
