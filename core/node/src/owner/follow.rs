//! A fact is applied, and what it decides is followed: offers, claims, cancels, timers.

use super::Owner;
use super::live::Slot;
use super::messages::{Output, StartTask};
use super::queues::{QueueKey, Queues};
use super::sessions::Held;
use super::told::StateChange;
use crate::id::RunId;
use crate::token::Claimed;
use conveyor_engine::plan::{Kind, Plan, StepIndex};
use conveyor_engine::planted;
use conveyor_engine::run::{Claim, Decision, Fact, Identity, Rejected, RunState, StepState};
use conveyor_engine::time::{Duration, Time};
use conveyor_engine::value::{Hash, Value};
use std::sync::Arc;

impl Owner {
    /// Applies a fact to a run in memory. Its record joins the group that is being collected.
    ///
    /// # Errors
    /// When the run does not take it. One that is broken is quarantined before this returns.
    pub(super) fn apply(&mut self, now: Time, run: RunId, fact: Fact) -> Result<(), Rejected> {
        let Some(Slot::Live(live)) = self.slots.get_mut(&run) else {
            return Err(Rejected::Stale);
        };
        let (machine, values) = live.parts();
        match machine.apply(now, fact, values) {
            Ok(decisions) => {
                self.part(run).touched = true;
                let at = self.live(run).map_or(now, |live| live.run.time());
                self.follow(run, at, decisions);
                self.watch_timer(run);
                self.watch_turn(run);
                Ok(())
            }
            Err(Rejected::Broken(reason)) => {
                let sequence = self.live(run).map_or(0, |live| live.run.sequence());
                self.quarantine(now, run, &reason, sequence);
                Err(Rejected::Broken(reason))
            }
            Err(rejected) => Err(rejected),
        }
    }

    fn follow(&mut self, run: RunId, at: Time, decisions: Vec<Decision>) {
        let mut reoffer = false;
        let part = self.collecting.entry(run).or_default();
        let first = part.decided;
        part.decided += decisions.len() as u32;
        let (tally, changes) = (&mut part.tally, &mut part.changes);
        for (ordinal, decision) in (first..).zip(&decisions) {
            match decision {
                Decision::Run {
                    from, to, reason, ..
                } => changes.push(StateChange {
                    ordinal: Some(ordinal),
                    time: at,
                    from: *from,
                    to: *to,
                    reason: Arc::clone(reason),
                }),
                Decision::Instance { to, .. } if to.is_terminal() => {
                    tally.steps[usize::from(to.code())] += 1;
                }
                Decision::Attempt { state, .. } => {
                    tally.attempts[usize::from(state.code())] += 1;
                }
                _ => {}
            }
        }
        for decision in decisions {
            let Some(Slot::Live(live)) = self.slots.get_mut(&run) else {
                return;
            };
            match decision {
                Decision::Instance {
                    step,
                    instance,
                    attempt,
                    from,
                    to,
                    ..
                } => {
                    if from == StepState::Queued {
                        live.queued = live.queued.saturating_sub(1);
                    }
                    match to {
                        StepState::Queued => {
                            live.queued += 1;
                            let id = Identity {
                                step,
                                instance,
                                attempt: attempt + 1,
                            };
                            let plan = Arc::clone(live.run.plan());
                            let since = self.metrics.now() as i64;
                            self.offer(run, &plan, id, since);
                        }
                        StepState::Waiting => live.started = live.started.or(Some(at)),
                        _ => {}
                    }
                }
                Decision::Claimed { .. } => {
                    live.claims += 1;
                    live.started.get_or_insert(at);
                }
                Decision::Attempt { id, .. } => {
                    live.claims = live.claims.saturating_sub(1);
                    self.attempt_ended(run, id);
                }
                Decision::Cancel { .. } if planted!(CancelUnsent) => {}
                Decision::Cancel { id, reason, grace } => {
                    self.cancel(run, id, reason, grace);
                }
                Decision::Run {
                    from, to, reason, ..
                } => {
                    live.reason = reason;
                    reoffer = from == RunState::Paused && !to.is_terminal();
                }
                _ => {}
            }
        }
        if reoffer {
            self.offer_all(run);
        }
    }

    /// Asks whoever is at an attempt to stop.
    pub(super) fn cancel(&mut self, run: RunId, id: Identity, reason: Arc<str>, grace: Duration) {
        let Some(held) = self.sessions.held(run, id) else {
            return;
        };
        let (session, nonce) = (Arc::clone(&held.session), held.nonce);
        let namespace = self.namespace(run);
        self.stage(
            run,
            Output::Cancel {
                session,
                claimed: Claimed { run, id, nonce },
                namespace,
                reason,
                grace,
            },
        );
    }

    /// The session may still be at it: its place is given back when it says so, or reports. A claim in
    /// the group whose outcome is awaited is no different: its task is as good as sent.
    pub(super) fn attempt_ended(&mut self, run: RunId, id: Identity) {
        let Some(held) = self.sessions.held(run, id) else {
            return;
        };
        let session = Arc::clone(&held.session);
        let (nonce, returned) = (held.nonce, held.returned);
        let claimed = Claimed { run, id, nonce };
        let known = self.sessions.get(&session);
        // Another process gives no place back: it grants credits.
        let remote = known.is_none_or(|session| session.info.remote);
        let part = self.part(run);
        let of_claim =
            |output: &Output| matches!(output, Output::Start(task) if task.claimed == claimed);
        let unsent = part.outputs.iter().position(of_claim);
        if let Some(at) = unsent {
            // Claimed and ended in one record: nobody need ever hear of it.
            part.outputs.remove(at);
            if let Some(held) = self.sessions.holder(run, id) {
                held.unsent = true;
            }
        }
        let part = self.part(run);
        let over = returned || unsent.is_some() || planted!(AbortForgotten);
        if over || remote {
            part.ended.push(id);
        }
        if !over {
            let namespace = self.namespace(run);
            let abort = Output::Abort {
                session,
                claimed,
                namespace,
            };
            self.stage(run, abort);
        }
    }

    /// The namespace of a run in memory.
    fn namespace(&self, run: RunId) -> Arc<str> {
        match self.slots.get(&run) {
            Some(Slot::Live(live)) => Arc::clone(&live.run.plan().namespace),
            _ => Arc::from(""),
        }
    }

    fn offer(&mut self, run: RunId, plan: &Plan, id: Identity, since: i64) {
        let Some(key) = queue_key(plan, id.step) else {
            return;
        };
        if self.queues.served(&key) {
            return self.queues.offer(key, (run, id, since));
        }
        self.absent.entry(key).or_default().insert(run);
        if let Some(live) = self.live(run) {
            live.absent = true;
        }
    }

    /// Puts every attempt that may be claimed in its queue. What is there already is found out of
    /// date when its turn comes.
    pub(super) fn offer_all(&mut self, run: RunId) {
        let Some(live) = self.live(run) else { return };
        let plan = Arc::clone(live.run.plan());
        let offers = live.run.pending().offers;
        live.queued = offers.len() as u32;
        for id in offers {
            let since = self.queued_since(run, id);
            self.offer(run, &plan, id, since);
        }
    }

    /// Since when an attempt waits that was queued a while ago, as [`crate::metrics`] counts time.
    fn queued_since(&self, run: RunId, id: Identity) -> i64 {
        let queued = match self.slots.get(&run) {
            Some(Slot::Live(live)) => live.run.instance(id.step, id.instance),
            _ => None,
        };
        let queued = queued.and_then(|instance| instance.queued_at);
        let waited = queued.map_or(0, |at| self.present.since(at).0.min(u64::from(u32::MAX)));
        self.metrics.now() as i64 - waited as i64 * 1000
    }

    /// Gives waiting attempts to sessions that have room, in the record that is being collected: the
    /// claim of a step joins the commit that made it ready (PROTOCOL P20).
    pub(super) fn claim(&mut self, now: Time) {
        // Not in the pause after a failed commit: the commit that follows it, of nothing if need be,
        // comes here again.
        while self.claiming && self.hold_until.is_none() {
            let Some((session, (run, id, queued))) = self.queues.take(&self.sessions) else {
                return;
            };
            if !matches!(self.slots.get(&run), Some(Slot::Live(_))) {
                // It was dropped after a failed commit, or has ended: a fold offers it again.
                continue;
            }
            let nonce = (self.random)();
            let (version, schema) = self.taken_by(&session, run, id);
            let claim = Claim {
                id,
                nonce,
                session: Arc::clone(&session),
                version,
                schema,
            };
            if self.apply(now, run, Fact::Claimed(claim)).is_err() {
                continue;
            }
            let claimed = Claimed { run, id, nonce };
            let held = Held {
                session: Arc::clone(&session),
                nonce,
                durable: false,
                returned: false,
                unsent: false,
                accepted: false,
                queued,
                since: now,
                sent: now,
                lease: self.lease(run, id),
                taken_back: None,
                detached: false,
            };
            self.sessions.take_place(&session);
            self.sessions.hold(claimed, held);
            let Some(task) = self.task(&session, claimed) else {
                continue;
            };
            let part = self.part(run);
            part.claims.push(id);
            let start = Output::Start(Box::new(task));
            if planted!(StartBeforeDurable) {
                self.outputs.push(start);
                continue;
            }
            part.outputs.push(start);
        }
    }

    /// What a session is told of a claim.
    pub(super) fn task(&self, session: &Arc<str>, claimed: Claimed) -> Option<StartTask> {
        let Some(Slot::Live(live)) = self.slots.get(&claimed.run) else {
            return None;
        };
        let spec = live.run.task(claimed.id)?;
        let with = match &spec.with {
            Value::Inline(text) => Some(Arc::clone(text)),
            Value::Stored { hash, .. } => live.value(hash),
        };
        Some(StartTask {
            session: Arc::clone(session),
            claimed,
            again: false,
            with,
            plan: Arc::clone(live.run.plan()),
            labels: live.run.labels().clone(),
            resource: live.run.resource().cloned(),
            parameters: live
                .run
                .instance(claimed.id.step, claimed.id.instance)
                .and_then(|instance| instance.params),
            spec,
        })
    }

    /// How long the session of an attempt may be silent: the whole heartbeat timeout and the grace
    /// (PROTOCOL P22).
    pub(super) fn lease(&self, run: RunId, id: Identity) -> Duration {
        let Some(Slot::Live(live)) = self.slots.get(&run) else {
            return Duration::ZERO;
        };
        let step = live.run.plan().steps.get(id.step as usize);
        step.map_or(Duration::ZERO, |step| {
            Duration(step.timeouts.heartbeat.0.saturating_add(step.grace.0))
        })
    }

    /// The version of the session's driver for an attempt, and the digest of its schemas.
    fn taken_by(&self, session: &str, run: RunId, id: Identity) -> (Arc<str>, Option<Hash>) {
        let info = self.sessions.get(session);
        let (Some(Slot::Live(live)), Some(info)) =
            (self.slots.get(&run), info.map(|session| &session.info))
        else {
            return (Arc::from(""), None);
        };
        let Some(key) = queue_key(live.run.plan(), id.step) else {
            return (Arc::from(""), None);
        };
        let version = info.drivers.get(&key.driver).cloned();
        (
            version.unwrap_or_else(|| Arc::from("")),
            info.schemas.get(&key.driver).copied(),
        )
    }

    pub(super) fn watch_turn(&mut self, run: RunId) {
        let Some(Slot::Live(live)) = self.slots.get_mut(&run) else {
            return;
        };
        if !live.turning && !live.awaits_values && live.run.wants_turn() {
            live.turning = true;
            self.turns.push_back(run);
        }
    }
}

pub(super) fn queue_key(plan: &Plan, step: StepIndex) -> Option<QueueKey> {
    match &plan.steps.get(step as usize)?.kind {
        Kind::Driver {
            driver, version, ..
        } => Some(QueueKey {
            driver: Arc::clone(driver),
            version: version.clone(),
            namespace: Arc::clone(&plan.namespace),
        }),
        _ => None,
    }
}

/// Whether all that a run offers waits for drivers that nobody has.
pub(super) fn all_absent(queues: &Queues, plan: &Plan, offers: &[Identity]) -> bool {
    offers
        .iter()
        .all(|id| queue_key(plan, id.step).is_none_or(|key| !queues.served(&key)))
}
