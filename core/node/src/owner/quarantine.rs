//! Runs that are set aside: each alone, never the shard (PROTOCOL P4, P7, P13).

use super::live::Slot;
use super::messages::{Answer, Control, Flaw, Input, Output};
use super::told::{self, StateChange};
use super::{Owner, rows};
use crate::error::NodeError;
use crate::id::RunId;
use conveyor_engine::run::{RunState, Stop, StopKind};
use conveyor_engine::time::Time;
use conveyor_proto::storage::v1::RunSummary;
use std::sync::Arc;

impl Owner {
    pub(super) fn broken(
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
        let event = told_of(now, summary, RunState::Quarantined, &flaw.reason);
        let part = self.part(run);
        part.writes.extend(writes);
        part.events.extend(event);
        part.moved = Some((state_of(summary), RunState::Quarantined));
        let reason = &flaw.reason;
        let error = NodeError::Quarantined(format!("run {run} is quarantined: {reason}"));
        waiting
            .into_iter()
            .for_each(|input| self.refuse_known(run, input, &error));
    }

    /// Ends a run that does not fold: its rows say so, its journal stays as it is.
    pub(super) fn terminate_unfolded(
        &mut self,
        now: Time,
        run: RunId,
        summary: Option<&RunSummary>,
        stop: &Stop,
        waiting: Vec<Input>,
    ) {
        let (ended, writes) = rows::terminate(now, run, summary.cloned(), stop);
        let change = state_of(summary).map(|from| StateChange {
            ordinal: None,
            time: now,
            from,
            to: RunState::Cancelled,
            reason: ended.reason.as_str().into(),
        });
        let event = change.map(|change| told::event(ended, 0, &change));
        let part = self.part(run);
        part.writes.extend(writes);
        part.events.extend(event);
        part.moved = Some((state_of(summary), RunState::Cancelled));
        self.stage(run, Output::DropSnapshots { run });
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
        let namespace = Arc::clone(&live.run.plan().namespace);
        let stored = live.row.is_some();
        let was = live.row.as_ref().map(|row| row.state);
        let summary = stored.then(|| rows::summary(run, &live));
        live.waiting
            .into_iter()
            .for_each(|input| self.refuse(&input, &error));
        if !stored {
            // Not even its start was taken.
            return;
        }
        for (claimed, held) in self.sessions.held_of(run) {
            let session = held.session;
            let abort = |session| Output::Abort {
                session,
                claimed,
                namespace: Arc::clone(&namespace),
            };
            let known = self.sessions.get(&session);
            if held.returned {
                self.forget(run, claimed.id);
            } else if held.durable {
                if known.is_none_or(|session| session.info.remote) {
                    self.forget(run, claimed.id);
                }
                self.outputs.push(abort(session));
            } else {
                // Its group is in flight, and will send the task.
                self.stage(run, abort(session));
            }
        }
        self.slots.insert(run, Slot::Quarantined);
        let event = told_of(now, summary.as_ref(), RunState::Quarantined, reason);
        let writes = rows::quarantine(now, run, &Flaw::at(sequence, reason), summary);
        let part = self.part(run);
        part.writes.extend(writes);
        part.events.extend(event);
        part.moved = Some((was, RunState::Quarantined));
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

/// The event of a change that no record decides; `None` where the run has no row to tell of it by.
fn told_of(now: Time, row: Option<&RunSummary>, to: RunState, reason: &str) -> Option<Vec<u8>> {
    let change = StateChange {
        ordinal: None,
        time: now,
        from: state_of(row)?,
        to,
        reason: reason.into(),
    };
    Some(told::event(row?.clone(), 0, &change))
}

/// A run's state, by its row.
fn state_of(summary: Option<&RunSummary>) -> Option<RunState> {
    RunState::from_code(u8::try_from(summary?.state).ok()?)
}

/// How a run ended, by its row.
pub(super) fn ended_as(summary: Option<&RunSummary>) -> Option<RunState> {
    state_of(summary).filter(|state| state.is_terminal())
}

/// Whether a request may take a run out of quarantine.
pub(super) fn lifts(control: &Control) -> bool {
    match control {
        Control::Release => true,
        Control::Stop(stop) => stop.kind == StopKind::Terminate,
        _ => false,
    }
}

pub(super) fn quarantined(run: RunId) -> NodeError {
    NodeError::Quarantined(format!(
        "run {run} is quarantined: `runs show {run}` says why"
    ))
}
