//! Leases of what sessions in other processes hold: how long they may be silent, and what is sent to them
//! again (PROTOCOL P21–P23).

use super::Owner;
use super::messages::Output;
use super::sessions::{Held, Session};
use crate::id::RunId;
use crate::token::Claimed;
use conveyor_engine::planted;
use conveyor_engine::run::{Identity, LostCause};
use conveyor_engine::time::{Duration, Time};
use std::sync::Arc;

/// A task that is not accepted for so long is sent again (PROTOCOL P21).
pub const UNANSWERED: Duration = Duration::secs(5);
/// A session without claims that is not heard for so long is closed, and after as long again
/// forgotten. Heartbeats come every 5 s.
pub const SESSION_WINDOW: Duration = Duration::secs(30);
/// A session that is away without claims is forgotten once it was not heard for so long.
pub const FORGOTTEN: Duration = Duration(2 * SESSION_WINDOW.0);
/// A session that is heard and lets a task's lease pass without taking it gets no other for so long: the next
/// would be lost as that one.
pub const NOT_TAKEN: Duration = Duration::secs(30);
/// Whoever looks so late at its leases may not have heard what came in time (PROTOCOL P23).
const LATE: Duration = Duration::secs(1);
/// A session that refused a task gets no other for so long: it would only turn in a circle.
pub const REFUSED: Duration = Duration::secs(1);

impl Owner {
    /// The task of a claim that an earlier process, or an earlier connection, may not have brought to its
    /// driver. Its lease begins.
    pub(super) fn send_anew(&mut self, now: Time, session: &Arc<str>, claimed: Claimed) {
        if let Some(held) = self.sessions.holder(claimed.run, claimed.id)
            && held.durable
            && !held.detached
            && !held.accepted
        {
            held.since = now;
            self.send_again(now, session, claimed);
        }
    }

    pub(super) fn send_again(&mut self, now: Time, session: &Arc<str>, claimed: Claimed) {
        // It may have ended in a group that is not durable yet.
        let nonce = self
            .live(claimed.run)
            .and_then(|live| live.run.nonce(claimed.id));
        if nonce != Some(claimed.nonce) {
            return;
        }
        let Some(mut task) = self
            .task(session, claimed)
            .filter(|_| !planted!(LostTaskForgotten))
        else {
            return;
        };
        task.again = true;
        if let Some(held) = self.sessions.holder(claimed.run, claimed.id) {
            held.sent = now;
        }
        // At once: its claim is durable, and what ends it is told later.
        self.outputs.push(Output::Start(Box::new(task)));
    }

    /// A claim is durable: its lease begins.
    pub(super) fn claim_durable(&mut self, now: Time, run: RunId, id: Identity) {
        let Some(held) = self.sessions.holder(run, id) else {
            return;
        };
        held.durable = true;
        (held.since, held.sent) = (now, now);
        let (session, lease) = (Arc::clone(&held.session), held.lease);
        self.metrics.started(held.queued);
        self.arm_session_at(&session, now.after(lease.min(UNANSWERED)));
    }

    /// Keeps the owner's leases in step with what a session holds. One that is armed too early looks
    /// again when it is due, so that a heartbeat costs nothing here.
    pub(super) fn arm_session(&mut self, now: Time, id: &Arc<str>) {
        if let Some(session) = self.sessions.get(id) {
            let due = self.session_due(now, session);
            self.arm_session_at(id, due);
        }
    }

    pub(super) fn arm_session_at(&mut self, id: &Arc<str>, due: Time) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        if !session.info.remote || session.due.is_some_and(|armed| armed <= due) {
            return;
        }
        if let Some(armed) = session.due.replace(due) {
            self.leases.remove(&(armed, Arc::clone(id)));
        }
        self.leases.insert((due, Arc::clone(id)));
    }

    /// When something of a session is due.
    fn session_due(&self, now: Time, session: &Session) -> Time {
        let silent = session.there().max(self.fresh);
        let window = match session.connected {
            true => SESSION_WINDOW,
            false => FORGOTTEN,
        };
        let mut due = session.refused.unwrap_or(Time(u64::MAX));
        let mut held = false;
        for (_, claim) in self.sessions.held_by(&session.info.id) {
            if !claim.durable || claim.detached {
                continue;
            }
            held = true;
            due = due.min(self.lease_end(&claim));
            if !claim.accepted && session.connected {
                due = due.min(claim.sent.after(UNANSWERED));
            }
        }
        if !held {
            due = due.min(silent.after(window));
        }
        due.max(now)
    }

    /// When a claim's lease is over: its driver did not name it for so long. That its session is heard keeps
    /// none: it may be deaf, or hold nothing any more and go on asking for tasks.
    fn lease_end(&self, claim: &Held) -> Time {
        claim.since.max(self.fresh).after(claim.lease)
    }

    /// Looks at the sessions whose time has come.
    pub(super) fn tick_sessions(&mut self, now: Time) {
        let Some((first, _)) = self.leases.first() else {
            return;
        };
        if now > first.after(LATE) {
            self.fresh = now;
        }
        while let Some((due, id)) = self.leases.first().cloned() {
            if due > now {
                return;
            }
            self.leases.remove(&(due, Arc::clone(&id)));
            if let Some(session) = self.sessions.get_mut(&id) {
                session.due = None;
            }
            self.look_after(now, &id);
            self.arm_session(Time(now.0 + 1), &id);
        }
    }

    fn look_after(&mut self, now: Time, id: &Arc<str>) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        if session.refused.is_some_and(|until| until <= now) {
            session.refused = None;
            if session.has_room() {
                self.queues.room(&session.info);
            }
        }
        let silent = session.there().max(self.fresh);
        let (connected, heard) = (session.connected, session.heard);
        let mut held = false;
        for (claimed, claim) in self.sessions.held_by(id) {
            if claim.detached {
                continue;
            }
            held = true;
            if !claim.durable {
                continue;
            }
            if self.lease_end(&claim) <= now {
                if planted!(LeaseForgotten) {
                    continue;
                }
                self.take_back(now, claimed, LostCause::Lease);
                // The next task would be lost as this one: it gets none until it is heard, or, where it
                // is heard and takes nothing, for a while.
                let silent = heard.max(claim.since).after(claim.lease) <= now;
                if let Some(session) = self.sessions.get_mut(id) {
                    session.deaf |= silent;
                    if !claim.accepted && connected {
                        session.refused = Some(now.after(NOT_TAKEN));
                    }
                }
            } else if connected && !claim.accepted && claim.sent.after(UNANSWERED) <= now {
                if heard <= claim.sent
                    && let Some(session) = self.sessions.get_mut(id)
                {
                    session.deaf = true;
                }
                self.send_again(now, id, claimed);
            }
        }
        if held || silent.after(SESSION_WINDOW) > now {
            return;
        }
        if connected {
            // Nobody is at the other end.
            if let Some(session) = self.sessions.get_mut(id) {
                (session.connected, session.free) = (false, 0);
            }
            let session = Arc::clone(id);
            self.outputs.push(Output::Silent { session });
        } else if silent.after(FORGOTTEN) <= now {
            self.forget_session(now, id);
        }
    }
}
