//! What sessions in other processes tell: that they are there, what they hold, and what they do with what
//! they are given (PROTOCOL P19, P21, P24–P26).

use super::leases::{REFUSED, UNANSWERED};
use super::live::Slot;
use super::messages::{Answer, Input, Output, SessionEvent, Ticket};
use super::sessions::Held;
use super::{Owner, SessionInfo};
use crate::id::RunId;
use crate::token::Claimed;
use conveyor_engine::planted;
use conveyor_engine::run::{Identity, LostCause};
use conveyor_engine::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a token that a session names is worth.
enum Standing {
    Valid,
    Stale,
    /// Its run is not in memory, or not all of it is durable: it is told later.
    Unknown,
}

impl Owner {
    pub(super) fn register(&mut self, now: Time, info: SessionInfo) {
        let id = Arc::clone(&info.id);
        let adopted = info.adopted.clone();
        self.queues.enter(&info);
        self.sessions.insert(now, info);
        for claimed in adopted {
            self.sessions.hand_over(now, &claimed, &id);
            self.adopted.insert(claimed, Arc::clone(&id));
        }
        self.arm_session(now, &id);
        self.serve_absent();
    }

    /// Attempts whose driver nobody had wait in its queue from now on.
    fn serve_absent(&mut self) {
        let keys = self.absent.keys();
        let served: Vec<_> = keys
            .filter(|key| self.queues.served(key))
            .cloned()
            .collect();
        let absent = &mut self.absent;
        let runs: BTreeSet<RunId> = served
            .iter()
            .flat_map(|key| absent.remove(key).unwrap_or_default())
            .collect();
        for run in runs {
            match self.slots.get_mut(&run) {
                Some(Slot::Live(_)) => self.offer_all(run),
                Some(slot @ Slot::Parked(_)) => {
                    if let Slot::Parked(Some(due)) = slot {
                        self.timers.remove(&(*due, run));
                    }
                    *slot = Slot::Waiting;
                    self.adopt.insert((Time(u64::MAX), run));
                }
                _ => {}
            }
        }
    }

    /// What waited for a driver that is gone waits for it to come back.
    fn leave_queues(&mut self, now: Time, info: &SessionInfo) {
        for (key, runs) in self.queues.leave(info) {
            for run in &runs {
                if let Some(live) = self.live(*run) {
                    live.absent = true;
                }
            }
            let absent = self.absent.entry(key).or_default();
            absent.extend(runs.iter().copied());
            runs.into_iter().for_each(|run| self.rest(now, run));
        }
    }

    pub(super) fn session(&mut self, now: Time, id: &Arc<str>, event: SessionEvent) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        match event {
            SessionEvent::Disconnected => {
                session.connected = false;
                session.free = 0;
                return self.arm_session(now, id);
            }
            SessionEvent::Credits(count) => {
                let most = session.info.capacity;
                let owed = session.debt.min(count);
                session.debt -= owed;
                let count = count - owed;
                session.free = session.free.saturating_add(count).min(most);
            }
            SessionEvent::Polls { free, wait } => {
                (session.free, session.debt) = (free.min(session.info.capacity), 0);
                session.waits = now.after(wait);
            }
            SessionEvent::NoCredits => {
                (session.free, session.debt) = (0, 0);
                session.waits = now;
            }
            SessionEvent::Draining => session.draining = true,
            SessionEvent::Accepted(claimed) => {
                if let Some(held) = self.sessions.holder(claimed.run, claimed.id)
                    && held.nonce == claimed.nonce
                {
                    held.named(now);
                }
            }
            SessionEvent::Refused(claimed) => {
                let until = now.after(REFUSED);
                session.refused = Some(until);
                self.arm_session_at(id, until);
                if matches!(self.standing(id, &claimed), Standing::Valid) {
                    self.take_back(now, claimed, LostCause::Refused);
                }
            }
            SessionEvent::Left => return self.left(now, id),
        }
        self.heard(now, id);
    }

    /// Something came from a session.
    fn heard(&mut self, now: Time, id: &str) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        session.heard = now;
        session.deaf = false;
        if session.has_room() {
            self.queues.room(&session.info);
        }
    }

    /// The session holds nothing any more: its claims end at once (PROTOCOL P26).
    fn left(&mut self, now: Time, id: &Arc<str>) {
        for (claimed, held) in self.sessions.held_by(id) {
            if !held.detached {
                self.take_back(now, claimed, LostCause::ProcessDead);
            }
        }
        self.forget_session(now, id);
    }

    pub(super) fn forget_session(&mut self, now: Time, id: &Arc<str>) {
        let Some(session) = self.sessions.remove(id) else {
            return;
        };
        if let Some(due) = session.due {
            self.leases.remove(&(due, Arc::clone(id)));
        }
        self.adopted.retain(|_, adopter| adopter != id);
        self.leave_queues(now, &session.info);
        let session = Arc::clone(id);
        self.outputs.push(Output::SessionOver { session });
    }

    pub(super) fn take_back(&mut self, now: Time, claimed: Claimed, cause: LostCause) {
        let Claimed { run, id, .. } = claimed;
        if let Some(held) = self.sessions.holder(run, id) {
            held.taken_back = Some(cause);
        }
        self.of_run(now, run, Input::Lost { run, id, cause });
    }

    /// A session tells what it holds. What it does not name though it was sent is sent again; what it
    /// names in vain is told.
    pub(super) fn heartbeat(
        &mut self,
        now: Time,
        ticket: Ticket,
        id: &Arc<str>,
        named: &[Claimed],
        free: Option<u32>,
    ) {
        let set: BTreeSet<&Claimed> = named.iter().collect();
        let held = self.sessions.held_by(id);
        if let (Some(free), Some(session)) = (free, self.sessions.get_mut(id)) {
            // What it does not name is on its way, and takes a place; not what it refused, or has left to
            // something elsewhere.
            let comes = |held: &Held| {
                !held.detached && !matches!(held.taken_back, Some(LostCause::Refused))
            };
            let on_their_way = held
                .iter()
                .filter(|(claimed, held)| !set.contains(claimed) && comes(held))
                .count();
            let free = free.saturating_sub(on_their_way as u32);
            (session.free, session.debt) = (free.min(session.info.capacity), 0);
        }
        self.heard(now, id);
        for (claimed, held) in held {
            if !held.durable || held.detached {
                continue;
            }
            if set.contains(&claimed) {
                if let Some(held) = self.sessions.holder(claimed.run, claimed.id) {
                    held.named(now);
                }
            } else if held.sent.after(UNANSWERED) <= now {
                self.unnamed(now, id, claimed);
                self.send_again(now, id, claimed);
            }
        }
        let stale = self.stale(id, named);
        self.answer_now(ticket, Ok(Answer::Tokens { stale }));
    }

    /// A heartbeat does not name what was accepted: its lease runs until it is accepted anew.
    fn unnamed(&mut self, now: Time, id: &Arc<str>, claimed: Claimed) {
        if let Some(held) = self.sessions.holder(claimed.run, claimed.id)
            && std::mem::take(&mut held.accepted)
        {
            held.since = now;
            let due = now.after(held.lease.min(UNANSWERED));
            self.arm_session_at(id, due);
        }
    }

    /// A session comes back over a new connection. Its claims that it does not name end (PROTOCOL P26). Where
    /// it does not tell what it holds (`None`), what it has not accepted may not have reached it, and is sent.
    pub(super) fn resume(
        &mut self,
        now: Time,
        ticket: Ticket,
        id: &Arc<str>,
        named: Option<&[Claimed]>,
    ) {
        let held = self.sessions.held_by(id);
        let on_their_way = held.iter().filter(|(_, held)| !held.durable).count();
        let Some(session) = self.sessions.get_mut(id) else {
            let error = crate::NodeError::NotFound(format!("there is no session {id}"));
            return self.answer_now(ticket, Err(error));
        };
        session.connected = true;
        session.draining = false;
        (session.free, session.debt) = (0, on_their_way as u32);
        let set: BTreeSet<Claimed> = named.into_iter().flatten().copied().collect();
        if named.is_some() {
            session.named = Some(set.clone());
        }
        self.heard(now, id);
        let stale = named.map(|named| self.stale(id, named));
        if named.is_some() {
            self.take_stock(now, id, &set);
        } else {
            let mut held_by_run: BTreeMap<RunId, BTreeSet<Identity>> = BTreeMap::new();
            for (claimed, held) in held {
                self.send_anew(now, id, claimed);
                if held.durable && !held.detached {
                    let of_run = held_by_run.entry(claimed.run).or_default();
                    of_run.insert(claimed.id);
                }
            }
            self.cancel_anew(held_by_run);
        }
        self.arm_session(now, id);
        let stale = stale.unwrap_or_default();
        self.answer_now(ticket, Ok(Answer::Tokens { stale }));
    }

    /// A session tells all that it holds: what it does not name ends, what it names goes on.
    fn take_stock(&mut self, now: Time, id: &Arc<str>, set: &BTreeSet<Claimed>) {
        let mut held_by_run: BTreeMap<RunId, BTreeSet<Identity>> = BTreeMap::new();
        for (claimed, held) in self.sessions.held_by(id) {
            if !held.durable || held.detached {
                continue;
            }
            if !set.contains(&claimed) {
                if planted!(UnnamedClaimsKept) {
                    continue;
                }
                let cause = match held.accepted {
                    true => LostCause::ProcessDead,
                    false => LostCause::Undelivered,
                };
                self.take_back(now, claimed, cause);
                continue;
            }
            if let Some(held) = self.sessions.holder(claimed.run, claimed.id) {
                held.named(now);
            }
            held_by_run
                .entry(claimed.run)
                .or_default()
                .insert(claimed.id);
        }
        self.cancel_anew(held_by_run);
    }

    /// What is to stop is told anew: a session may not have heard of what was told while it was away.
    fn cancel_anew(&mut self, held_by_run: BTreeMap<RunId, BTreeSet<Identity>>) {
        for (run, ids) in held_by_run {
            let Some(live) = self.live(run) else { continue };
            let orders = live.run.pending().cancels.into_iter();
            let orders: Vec<_> = orders.filter(|order| ids.contains(&order.id)).collect();
            for order in orders {
                self.cancel(run, order.id, order.reason, order.grace);
            }
        }
    }

    /// Those claims that are not the session's, or are over.
    pub(super) fn stale(&mut self, session: &str, named: &[Claimed]) -> Vec<Claimed> {
        let stale = |claimed: &&Claimed| matches!(self.standing(session, claimed), Standing::Stale);
        let stale = named.iter().filter(stale).copied().collect();
        // A run that is not in memory may have ended, or wait to be asked for: reading it tells, and the
        // next heartbeat hears of it.
        for Claimed { run, .. } in named {
            if !self.slots.contains_key(run) && !self.over.contains(run) {
                self.load(*run, Vec::new());
            }
        }
        stale
    }

    fn standing(&self, session: &str, claimed: &Claimed) -> Standing {
        let Claimed { run, id, nonce } = *claimed;
        if let Some(held) = self.sessions.held(run, id)
            && held.nonce == nonce
        {
            return match *held.session == *session {
                true => Standing::Valid,
                false => Standing::Stale,
            };
        }
        match self.slots.get(&run) {
            Some(Slot::Parked(_)) if self.unreadable.contains(&run) => Standing::Unknown,
            None if !self.over.contains(&run) => Standing::Unknown,
            None | Some(Slot::Parked(_)) => Standing::Stale,
            Some(Slot::Live(_)) if self.is_open(run) => Standing::Unknown,
            Some(Slot::Live(_)) => Standing::Stale,
            Some(Slot::Loading(_) | Slot::Waiting | Slot::Quarantined) => Standing::Unknown,
        }
    }
}
