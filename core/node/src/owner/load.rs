//! Runs come into memory: folded from the store, then asked what they still want (PROTOCOL P5).
//! Recovery, taking up a parked run and starting over after a failed commit are this one path.

use super::live::{Live, Slot};
use super::messages::{Answer, Control, Input, Loaded, LoadedRun, Output};
use super::quarantine::{ended_as, lifts, quarantined};
use super::sessions::Held;
use super::told::StateChange;
use super::{LOADS, Owner, Write, rows};
use crate::error::NodeError;
use crate::id::RunId;
use crate::token::Claimed;
use conveyor_engine::planted;
use conveyor_engine::run::{Identity, LostCause, RunState};
use conveyor_engine::time::{Duration, Time};
use std::collections::BTreeSet;
use std::sync::Arc;

/// So many runs are remembered as over; what is forgotten is read again.
const OVER: usize = 10_000;
/// How long after a failed read a run is loaded again.
pub(super) const RELOAD: Duration = Duration::secs(1);

impl Owner {
    /// Asks for a run; `waiting` goes on when it is there.
    pub(super) fn load(&mut self, run: RunId, waiting: Vec<Input>) {
        if let Some(Slot::Parked(Some(due))) = self.slots.get(&run) {
            self.timers.remove(&(*due, run));
        }
        self.slots.insert(run, Slot::Loading(waiting));
        self.loading += 1;
        if self.is_open(run) {
            self.unread.insert(run);
        } else {
            self.outputs.push(Output::Load { run });
        }
    }

    /// Asks for runs whose groups have met their fate.
    pub(super) fn load_unread(&mut self) {
        let open = |run: &RunId| self.is_open(*run);
        let (wait, read): (BTreeSet<RunId>, _) = self.unread.iter().copied().partition(open);
        self.unread = wait;
        let read: BTreeSet<RunId> = read;
        self.outputs
            .extend(read.into_iter().map(|run| Output::Load { run }));
    }

    /// Loads runs that wait for it: those that are due at once, others while the sessions do not
    /// have enough to do, so that new work does not queue up behind all of the old.
    pub(super) fn load_more(&mut self) {
        while self.loading < LOADS {
            let urgent = self.urgent.pop_front();
            let enough = (4 * self.sessions.capacity()).max(64);
            let next = urgent.or_else(|| {
                if self.adopt.is_empty() || self.queues.waiting() >= enough {
                    return None;
                }
                self.adopt.pop_first().map(|(_, run)| run)
            });
            let Some(run) = next else { return };
            if matches!(self.slots.get(&run), Some(Slot::Waiting)) {
                self.load(run, Vec::new());
            }
        }
    }

    pub(super) fn loaded(&mut self, now: Time, run: RunId, loaded: Loaded) {
        let waiting = match self.slots.remove(&run) {
            Some(Slot::Loading(waiting)) => waiting,
            Some(other) => {
                self.slots.insert(run, other);
                return;
            }
            None => return,
        };
        self.loading = self.loading.saturating_sub(1);
        self.unreadable.remove(&run);
        match loaded {
            Loaded::Missing => {
                self.is_over(run);
                self.missing(now, run, waiting);
            }
            Loaded::Run(loaded) => self.adopt(now, run, *loaded, waiting),
            Loaded::Broken { flaw, summary } => {
                self.broken(now, run, &flaw, summary.as_deref(), waiting);
            }
            Loaded::Failed(reason) => {
                let error = NodeError::Unavailable(format!("the store cannot be read: {reason}"));
                waiting
                    .into_iter()
                    .for_each(|input| self.refuse(&input, &error));
                self.unreadable.insert(run);
                let again = now.after(RELOAD);
                self.park(run, (!planted!(ReloadForgotten)).then_some(again));
            }
        }
    }

    fn missing(&mut self, now: Time, run: RunId, waiting: Vec<Input>) {
        for input in waiting {
            match input {
                Input::Start { ticket, start } if !self.slots.contains_key(&run) => {
                    self.create(now, ticket, *start);
                }
                Input::Start { ticket, start } => self.start(now, ticket, start),
                other if self.slots.contains_key(&run) => self.of_run(now, run, other),
                other => self.refuse(
                    &other,
                    &NodeError::NotFound(format!("there is no run {run}")),
                ),
            }
        }
    }

    fn adopt(&mut self, now: Time, run: RunId, loaded: LoadedRun, waiting: Vec<Input>) {
        let LoadedRun {
            run: machine,
            reason,
            summary,
            entry,
            quarantined: marked,
            snapshotted,
        } = loaded;
        let ended = machine.state().is_terminal();
        if !ended && let Some(state) = ended_as(summary.as_ref()) {
            // It was terminated while it did not fold; that it folds now does not undo it.
            self.is_over(run);
            return self.refuse_ended(run, state, waiting);
        }
        let moves = |control: &Control| matches!(control, Control::Continue | Control::Stop(_));
        let controls = || {
            waiting.iter().filter_map(|input| match input {
                Input::Control { control, .. } => Some(control),
                _ => None,
            })
        };
        if !ended && marked && !controls().any(lifts) {
            self.slots.insert(run, Slot::Quarantined);
            return waiting
                .into_iter()
                .for_each(|input| self.refuse_known(run, input, &quarantined(run)));
        }
        if !ended
            && !marked
            && !self.config.moves_all
            && !self.held.contains(&run)
            && !controls().any(moves)
        {
            let error = NodeError::Interrupted(format!(
                "run {run} was interrupted and nothing moves it: continue it first"
            ));
            return waiting
                .into_iter()
                .for_each(|input| self.refuse_known(run, input, &error));
        }
        let mut live = Box::new(Live::new(machine));
        live.reason = reason;
        live.snapshotted = snapshotted;
        rows::restore(&mut live, summary.as_ref(), entry);
        let lifted = marked && !ended;
        if lifted {
            // Its rows say that it is quarantined: they are made anew.
            (live.row, live.entry) = (None, None);
        }
        self.slots.insert(run, Slot::Live(live));
        if ended {
            self.is_over(run);
        }
        if lifted {
            let change = self.live(run).map(|live| StateChange {
                ordinal: None,
                time: now,
                from: RunState::Quarantined,
                to: live.run.state(),
                reason: Arc::clone(&live.reason),
            });
            let part = self.part(run);
            part.rows = true;
            part.changes.extend(change);
            part.writes.push(Write {
                key: crate::keys::quarantine(run),
                value: None,
            });
        }
        if !ended {
            self.hold(run);
            self.pick_up(now, run);
        }
        for input in waiting {
            match input {
                Input::Control {
                    ticket,
                    control: Control::Release,
                    ..
                } if lifted => {
                    self.answer_of(run, ticket, Ok(Answer::Done));
                }
                other => self.of_run(now, run, other),
            }
        }
        self.rest(now, run);
    }

    /// Whoever names a claim of this run may be told that it is over.
    fn is_over(&mut self, run: RunId) {
        if self.over.len() >= OVER {
            self.over.clear();
        }
        self.over.insert(run);
    }

    /// Remembers that this owner moves the run, where it does not move all.
    pub(super) fn hold(&mut self, run: RunId) {
        if !self.config.moves_all {
            self.held.insert(run);
        }
    }

    /// Asks a run that was just folded for everything that it still wants.
    fn pick_up(&mut self, now: Time, run: RunId) {
        let Some(live) = self.live(run) else { return };
        let pending = live.run.pending();
        live.claims = pending.claimed.len() as u32;
        let known = |(id, _): &(Identity, Arc<str>)| {
            (live.run.nonce(*id), live.run.detached(*id).is_some())
        };
        let known: Vec<_> = pending.claimed.iter().map(known).collect();
        for (claimed, held) in self.sessions.held_of(run) {
            if !pending.claimed.iter().any(|(id, _)| *id == claimed.id) && held.durable {
                self.attempt_ended(run, claimed.id);
            }
        }
        // First what is held, then what is lost: an end may mean that others are told to stop.
        let mut lost = Vec::new();
        for ((id, session), (nonce, detached)) in pending.claimed.into_iter().zip(known) {
            let held = self.sessions.holder(run, id);
            if let Some(held) = held.filter(|held| Some(held.nonce) == nonce) {
                // What a commit said that failed was not said.
                held.detached = detached;
                let taken_back = held.taken_back.filter(|_| !detached);
                lost.extend(taken_back.map(|cause| (id, cause)));
                continue;
            }
            let claimed = Claimed {
                run,
                id,
                nonce: nonce.unwrap_or_default(),
            };
            let cause = self.take_up(now, claimed, session, detached);
            lost.extend(
                cause
                    .filter(|_| !planted!(DeadClaimsKept))
                    .map(|cause| (id, cause)),
            );
        }
        for (id, cause) in lost {
            self.lost(now, run, id, cause);
        }
        for order in pending.cancels {
            self.cancel(run, order.id, order.reason, order.grace);
        }
        if !planted!(OffersLostInFold) {
            self.offer_all(run);
        }
        if !planted!(TimersUnwatchedAfterFold) {
            self.fire(now, run);
        }
        if !planted!(TurnsForgottenAfterFold) {
            self.watch_turn(run);
        }
    }

    /// A claim that the journal tells of, and that nobody holds in memory. Gives why it is over, if it
    /// is.
    fn take_up(
        &mut self,
        now: Time,
        claimed: Claimed,
        session: Arc<str>,
        detached: bool,
    ) -> Option<LostCause> {
        let Claimed { run, id, .. } = claimed;
        let adopter = self.adopted.get(&claimed).cloned();
        let session = adopter.unwrap_or(session);
        // One that goes on without its session asks for none.
        let alone = detached && !planted!(DetachedForgotten);
        let over = self.over_with(&session, &claimed).filter(|_| !alone);
        if over.is_some() {
            return over;
        }
        let known = self.sessions.get(&session);
        let named = known.and_then(|known| known.named.as_ref());
        // Where it has not said what it holds, nobody knows whether the task reached it.
        let accepted = named.is_some_and(|named| named.contains(&claimed));
        let connected = known.is_some_and(|known| known.connected);
        let held = Held {
            queued: 0,
            session: Arc::clone(&session),
            nonce: claimed.nonce,
            durable: true,
            returned: false,
            unsent: false,
            accepted,
            since: now,
            sent: now,
            lease: self.lease(run, id),
            taken_back: None,
            detached,
        };
        self.sessions.hold(claimed, held);
        if connected {
            self.send_anew(now, &session, claimed);
        }
        self.arm_session(now, &session);
        None
    }

    /// Why a claim of a session is over, as far as the session tells.
    fn over_with(&self, session: &str, claimed: &Claimed) -> Option<LostCause> {
        let Some(known) = self.sessions.get(session) else {
            return Some(LostCause::ProcessDead);
        };
        let named = known.named.as_ref();
        // It came back and did not name it.
        let unnamed = named.is_some_and(|named| !named.contains(claimed));
        if !known.info.remote || unnamed {
            return Some(LostCause::Undelivered);
        }
        planted!(RestoredClaimsLost).then_some(LostCause::ProcessDead)
    }
}
