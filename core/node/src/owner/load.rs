//! Runs come into memory: folded from the store, then asked what they still want (PROTOCOL P5).
//! Recovery, taking up a parked run and starting over after a failed commit are this one path.

use super::live::{Live, Slot};
use super::messages::{Answer, Control, Flaw, Input, Loaded, LoadedRun, Output};
use super::{LOADS, Owner, Write, quarantined, rows};
use crate::error::NodeError;
use crate::id::RunId;
use crate::token::Claimed;
use conveyor_engine::planted;
use conveyor_engine::run::{LostCause, RunState, Stop, StopKind};
use conveyor_engine::time::{Duration, Time};
use conveyor_proto::storage::v1::RunSummary;
use std::collections::BTreeSet;
use std::sync::Arc;

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
            let enough = (4 * self.queues.capacity()).max(64);
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
        match loaded {
            Loaded::Missing => self.missing(now, run, waiting),
            Loaded::Run(loaded) => self.adopt(now, run, *loaded, waiting),
            Loaded::Broken { flaw, summary } => {
                self.broken(now, run, &flaw, summary.as_deref(), waiting);
            }
            Loaded::Failed(reason) => {
                let error = NodeError::Unavailable(format!("the store cannot be read: {reason}"));
                waiting
                    .into_iter()
                    .for_each(|input| self.refuse(&input, &error));
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
        } = loaded;
        let ended = machine.state().is_terminal();
        if !ended && let Some(state) = ended_as(summary.as_ref()) {
            // It was terminated while it did not fold; that it folds now does not undo it.
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
        rows::restore(&mut live, summary.as_ref(), entry);
        let lifted = marked && !ended;
        if lifted {
            // Its rows say that it is quarantined: they are made anew.
            (live.row, live.entry) = (None, None);
        }
        self.slots.insert(run, Slot::Live(live));
        if lifted {
            let part = self.part(run);
            part.rows = true;
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
        let nonces: Vec<_> = pending
            .claimed
            .iter()
            .map(|(id, _)| live.run.nonce(*id))
            .collect();
        for (_, claimed, held) in self.queues.held_of(run) {
            if !pending.claimed.iter().any(|(id, _)| *id == claimed.id) && held.durable {
                self.attempt_ended(run, claimed.id);
            }
        }
        for ((id, session), nonce) in pending.claimed.into_iter().zip(nonces) {
            let known = self.session_known(&session);
            let held = self
                .queues
                .holder(run, id)
                .is_some_and(|(_, held)| Some(held.nonce) == nonce);
            if !held && !planted!(DeadClaimsKept) {
                let cause = if known {
                    LostCause::Undelivered
                } else {
                    LostCause::ProcessDead
                };
                self.lost(now, run, id, cause);
            }
        }
        for order in pending.cancels {
            if let Some((session, held)) = self.queues.holder(run, order.id) {
                let claimed = Claimed {
                    run,
                    id: order.id,
                    nonce: held.nonce,
                };
                let (reason, grace) = (order.reason, order.grace);
                self.stage(
                    run,
                    Output::Cancel {
                        session,
                        claimed,
                        reason,
                        grace,
                    },
                );
            }
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

    fn session_known(&self, session: &Arc<str>) -> bool {
        self.queues.sessions.contains_key(session)
    }

    /// Refuses a request of a run that exists. Starting it again finds it.
    fn refuse_known(&mut self, run: RunId, input: Input, error: &NodeError) {
        match input {
            Input::Start { ticket, .. } => {
                self.answer_of(run, ticket, Ok(Answer::Started { existed: true }));
            }
            other => self.refuse(&other, error),
        }
    }

    fn refuse_ended(&mut self, run: RunId, state: RunState, waiting: Vec<Input>) {
        let error = NodeError::Ended(state);
        waiting
            .into_iter()
            .for_each(|input| self.refuse_known(run, input, &error));
    }

    fn broken(
        &mut self,
        now: Time,
        run: RunId,
        flaw: &Flaw,
        summary: Option<&RunSummary>,
        waiting: Vec<Input>,
    ) {
        if let Some(state) = ended_as(summary) {
            return self.refuse_ended(run, state, waiting);
        }
        let terminate = waiting.iter().find_map(|input| match input {
            Input::Control {
                control: Control::Stop(stop),
                ..
            } if stop.kind == StopKind::Terminate => Some(stop.clone()),
            _ => None,
        });
        if let Some(stop) = terminate {
            return self.terminate_unfolded(now, run, summary, &stop, waiting);
        }
        self.slots.insert(run, Slot::Quarantined);
        let writes = rows::quarantine(now, run, flaw, summary.cloned());
        self.part(run).writes.extend(writes);
        let reason = &flaw.reason;
        let error = NodeError::Quarantined(format!("run {run} is quarantined: {reason}"));
        waiting
            .into_iter()
            .for_each(|input| self.refuse_known(run, input, &error));
    }

    /// Ends a run that does not fold: its rows say so, its journal stays as it is.
    fn terminate_unfolded(
        &mut self,
        now: Time,
        run: RunId,
        summary: Option<&RunSummary>,
        stop: &Stop,
        waiting: Vec<Input>,
    ) {
        let writes = rows::terminate(now, run, summary.cloned(), stop);
        self.part(run).writes.extend(writes);
        for input in waiting {
            match input {
                Input::Control {
                    ticket,
                    control: Control::Stop(_),
                    ..
                } => {
                    self.answer_of(run, ticket, Ok(Answer::Done));
                }
                other => self.refuse_known(run, other, &NodeError::Ended(RunState::Cancelled)),
            }
        }
        self.stage(
            run,
            Output::Changed {
                run,
                sequence: 0,
                state: RunState::Cancelled,
            },
        );
    }

    /// Sets a run aside: it alone, never the shard (PROTOCOL P4, P7, P13).
    pub(super) fn quarantine(&mut self, now: Time, run: RunId, reason: &str, sequence: u64) {
        let error = NodeError::Quarantined(format!("run {run} is quarantined: {reason}"));
        if let Some(part) = self.collecting.remove(&run) {
            self.undo(run, part, &error);
        }
        self.drop_live(run);
        let Some(Slot::Live(live)) = self.slots.remove(&run) else {
            return;
        };
        let stored = live.row.is_some();
        let summary = stored.then(|| rows::summary(run, &live));
        live.waiting
            .into_iter()
            .for_each(|input| self.refuse(&input, &error));
        if !stored {
            // Not even its start was taken.
            return;
        }
        for (session, claimed, held) in self.queues.held_of(run) {
            if held.returned {
                self.queues.forget(run, claimed.id);
            } else if held.durable {
                self.outputs.push(Output::Abort { session, claimed });
            } else {
                // Its group is in flight, and will send the task.
                self.stage(run, Output::Abort { session, claimed });
            }
        }
        self.slots.insert(run, Slot::Quarantined);
        let writes = rows::quarantine(now, run, &Flaw::at(sequence, reason), summary);
        self.part(run).writes.extend(writes);
        self.stage(
            run,
            Output::Changed {
                run,
                sequence,
                state: RunState::Quarantined,
            },
        );
    }
}

/// How a run ended, by its row.
fn ended_as(summary: Option<&RunSummary>) -> Option<RunState> {
    RunState::from_code(u8::try_from(summary?.state).ok()?).filter(|state| state.is_terminal())
}

/// Whether a request may take a run out of quarantine.
fn lifts(control: &Control) -> bool {
    match control {
        Control::Release => true,
        Control::Stop(stop) => stop.kind == StopKind::Terminate,
        _ => false,
    }
}
