//! Sessions, and the claims that they hold.

use super::SessionInfo;
use super::count::Standing;
use crate::id::RunId;
use crate::token::Claimed;
use conveyor_engine::planted;
use conveyor_engine::run::{Identity, LostCause};
use conveyor_engine::time::{Duration, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A session, as its owner knows it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) info: SessionInfo,
    /// How many tasks it takes now: free places of a session in this process, credits of another.
    pub(super) free: u32,
    pub(super) claims: BTreeSet<(RunId, Identity)>,
    /// Claims that were on their way into the store when it came back: their tasks are sent over the
    /// new connection, and take places that it does not know of yet.
    pub(super) debt: u32,
    /// When it was heard last.
    pub(super) heard: Time,
    /// Until when a call of it waits for tasks.
    pub(super) waits: Time,
    /// Whether its connection is there.
    pub(super) connected: bool,
    /// Whether it takes nothing new.
    pub(super) draining: bool,
    /// Whether a task was sent to it and is not answered: it gets no other before it is heard.
    pub(super) deaf: bool,
    /// Until when it gets nothing because it refused a task.
    pub(super) refused: Option<Time>,
    /// What it is among the owner's leases.
    pub(super) due: Option<Time>,
    /// The claims that it named when it came back; `None` while it has not.
    pub(super) named: Option<BTreeSet<Claimed>>,
}

/// A claim that a session holds.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) session: Arc<str>,
    pub(super) nonce: u64,
    /// Whether the claim is durable, and the task on its way.
    pub(super) durable: bool,
    /// Whether its place was given back.
    pub(super) returned: bool,
    /// Whether its task is never sent: it ended in the record that claimed it.
    pub(super) unsent: bool,
    /// Whether the session said that it has the task.
    pub(super) accepted: bool,
    /// When its attempt was queued, for [`crate::metrics`].
    pub(super) queued: i64,
    /// When its lease began: when the claim became durable, and whenever its session named it.
    pub(super) since: Time,
    /// When the task was sent last.
    pub(super) sent: Time,
    /// How long its session may be silent about it: heartbeat timeout and grace (PROTOCOL P22).
    pub(super) lease: Duration,
    /// Why it was taken back: it is again, where the commit that said so failed.
    pub(super) taken_back: Option<LostCause>,
    /// Whether it goes on without its session (PROTOCOL P27a).
    pub(super) detached: bool,
}

impl Held {
    /// Its session says that it has the task.
    pub(super) fn named(&mut self, now: Time) {
        (self.accepted, self.since) = (true, now);
    }
}

/// All sessions of an owner and their claims.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    sessions: BTreeMap<Arc<str>, Session>,
    claims: BTreeMap<(RunId, Identity), Held>,
    capacity: usize,
}

impl Sessions {
    pub(super) fn insert(&mut self, now: Time, info: SessionInfo) {
        self.capacity += info.capacity as usize;
        let session = Session {
            // Another process tells its credits itself.
            free: if info.remote { 0 } else { info.capacity },
            claims: BTreeSet::new(),
            debt: 0,
            heard: now,
            waits: now,
            connected: !info.restored,
            draining: false,
            deaf: false,
            refused: None,
            due: None,
            named: (!info.restored).then(|| info.adopted.iter().copied().collect()),
            info,
        };
        self.sessions.insert(Arc::clone(&session.info.id), session);
    }

    /// Forgets a session; its claims stay until they are ended.
    pub(super) fn remove(&mut self, id: &str) -> Option<Session> {
        let session = self.sessions.remove(id)?;
        self.capacity -= session.info.capacity as usize;
        Some(session)
    }

    pub(super) fn get(&self, id: &str) -> Option<&Session> {
        self.sessions.get(id)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Session> {
        self.sessions.get_mut(id)
    }

    /// How many tasks all sessions take at once.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Sessions in other processes that are connected, and those that are not.
    pub(super) fn remote(&self) -> (u64, u64) {
        let remote = self.sessions.values().filter(|session| session.info.remote);
        let (there, gone): (Vec<_>, Vec<_>) = remote.partition(|session| session.connected);
        (there.len() as u64, gone.len() as u64)
    }

    /// How many claims are held.
    pub(super) fn claimed(&self) -> u64 {
        self.claims.len() as u64
    }

    pub(super) fn has_room(&self, id: &str) -> bool {
        self.sessions.get(id).is_some_and(Session::has_room)
    }

    /// The claim of an attempt, and who holds it.
    pub(super) fn holder(&mut self, run: RunId, id: Identity) -> Option<&mut Held> {
        self.claims.get_mut(&(run, id))
    }

    /// The claim of an attempt.
    pub(super) fn held(&self, run: RunId, id: Identity) -> Option<&Held> {
        self.claims.get(&(run, id))
    }

    /// What each holds and takes.
    pub(super) fn standings(&self) -> BTreeMap<Arc<str>, Standing> {
        let each = self.sessions.iter().map(|(id, session)| {
            let claims = session.claims.iter();
            let held = claims
                .filter(|claim| self.claims.get(*claim).is_some_and(|held| !held.detached))
                .count();
            let standing = Standing {
                remote: session.info.remote,
                held: held as u32,
                free: session.free,
                connected: session.connected,
                draining: session.draining,
                refused: session.refused,
            };
            (Arc::clone(id), standing)
        });
        each.collect()
    }

    /// Claims of a run that sessions hold.
    pub(super) fn held_of(&self, run: RunId) -> Vec<(Claimed, Held)> {
        let zero = Identity {
            step: 0,
            instance: 0,
            attempt: 0,
        };
        let from = self.claims.range((run, zero)..);
        let of_run = from.take_while(|((of, _), _)| *of == run);
        let claim = |((run, id), held): (&(RunId, Identity), &Held)| {
            let claimed = Claimed {
                run: *run,
                id: *id,
                nonce: held.nonce,
            };
            (claimed, held.clone())
        };
        of_run.map(claim).collect()
    }

    /// Claims that a session holds.
    pub(super) fn held_by(&self, session: &str) -> Vec<(Claimed, Held)> {
        let claims = self.sessions.get(session).map(|session| &session.claims);
        let claims = claims.into_iter().flatten();
        let claim = |(run, id): &(RunId, Identity)| {
            let held = self.claims.get(&(*run, *id))?;
            let claimed = Claimed {
                run: *run,
                id: *id,
                nonce: held.nonce,
            };
            Some((claimed, held.clone()))
        };
        claims.filter_map(claim).collect()
    }

    /// A session took an attempt.
    pub(super) fn hold(&mut self, claimed: Claimed, held: Held) {
        if let Some(session) = self.sessions.get_mut(&held.session) {
            session.claims.insert((claimed.run, claimed.id));
        }
        self.claims.insert((claimed.run, claimed.id), held);
    }

    /// Another session goes on with a claim, where it is still held.
    pub(super) fn hand_over(&mut self, now: Time, claimed: &Claimed, to: &Arc<str>) {
        let key = (claimed.run, claimed.id);
        let Some(held) = self.claims.get_mut(&key) else {
            return;
        };
        if held.nonce != claimed.nonce || !held.durable {
            return;
        }
        let from = std::mem::replace(&mut held.session, Arc::clone(to));
        held.named(now);
        if let Some(session) = self.sessions.get_mut(&from) {
            session.claims.remove(&key);
        }
        if let Some(session) = self.sessions.get_mut(to) {
            session.claims.insert(key);
        }
    }

    /// A place of a session is taken.
    pub(super) fn take_place(&mut self, session: &str) {
        if let Some(session) = self.sessions.get_mut(session) {
            session.free = session.free.saturating_sub(1);
        }
    }

    /// The place of a claim is free again; the claim is still known until [`Sessions::forget`]. Gives
    /// the session that has room by it.
    pub(super) fn give_back(&mut self, run: RunId, id: Identity) -> Option<&SessionInfo> {
        let held = self.claims.get_mut(&(run, id))?;
        if held.returned && !planted!(PlaceGivenBackTwice) {
            return None;
        }
        held.returned = true;
        let session = self.sessions.get_mut(&held.session)?;
        // Another process grants credits; what it never heard of took none.
        let heard_of = held.durable && !held.unsent;
        if session.info.remote && (heard_of || !session.connected) {
            return None;
        }
        session.free += 1;
        Some(&session.info)
    }

    /// A claim is over, and durably so. Gives the session that has room by it.
    pub(super) fn forget(&mut self, run: RunId, id: Identity) -> Option<&SessionInfo> {
        let held = self.claims.get(&(run, id))?;
        let holder = Arc::clone(&held.session);
        let room = self.give_back(run, id).is_some();
        self.claims.remove(&(run, id));
        let session = self.sessions.get_mut(&holder)?;
        session.claims.remove(&(run, id));
        room.then_some(&session.info)
    }
}

impl Session {
    /// When it was there last, as far as is known.
    pub(super) fn there(&self) -> Time {
        self.heard.max(self.waits)
    }

    pub(super) fn has_room(&self) -> bool {
        self.free > 0 && self.connected && !self.draining && !self.deaf && self.refused.is_none()
    }
}
