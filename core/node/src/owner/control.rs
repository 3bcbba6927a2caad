//! What people want of runs: start, stop, pause, resume, continue, release.

use super::live::{Live, Slot};
use super::messages::{Answer, Control, Input, Start, Ticket};
use super::{Owner, Write};
use crate::chunks;
use crate::error::NodeError;
use crate::id::RunId;
use crate::keys;
use conveyor_engine::planted;
use conveyor_engine::run::{Fact, Rejected, Run, RunState, SEMANTICS, Started};
use conveyor_engine::time::Time;
use conveyor_proto::storage::v1::RecordKind;
use std::sync::Arc;

impl Owner {
    pub(super) fn start(&mut self, now: Time, ticket: Ticket, start: Box<Start>) {
        let run = start.run;
        match self.slots.get_mut(&run) {
            None if start.fresh => self.create(now, ticket, *start),
            Some(Slot::Waiting | Slot::Parked(_)) if planted!(StartUnchecked) => {
                self.answer_of(run, ticket, Ok(Answer::Started { existed: true }));
            }
            // A run that waits to be read again may prove not to be there at all.
            None | Some(Slot::Waiting | Slot::Parked(_)) => {
                self.load(run, vec![Input::Start { ticket, start }]);
            }
            Some(Slot::Loading(waiting)) => waiting.push(Input::Start { ticket, start }),
            // What is collected or in flight decides when the answer may be given.
            Some(_) => self.answer_of(run, ticket, Ok(Answer::Started { existed: true })),
        }
    }

    pub(super) fn create(&mut self, now: Time, ticket: Ticket, start: Start) {
        let run = start.run;
        let digest = start.plan.digest;
        let mut live = Live::new(Run::new(Arc::clone(&start.plan)));
        live.resource = start.resource_name;
        start
            .values
            .iter()
            .for_each(|(hash, text)| live.keep(*hash, text));
        self.slots.insert(run, Slot::Live(Box::new(live)));
        // Where its caller chose its id, it was looked for, and not found.
        self.over.remove(&run);
        self.hold(run);
        let started = Started {
            run: run.text(),
            document: digest,
            semantics: SEMANTICS,
            inputs: start.inputs,
            labels: start.labels,
            annotations: start.annotations,
            actor: start.actor,
            forked_from: start.forked_from,
            inherited: start.inherited,
            resource: start.resource,
            event: start.event,
        };
        if let Err(rejected) = self.apply(now, run, Fact::Started(Box::new(started))) {
            self.collecting.remove(&run);
            self.drop_live(run);
            self.slots.remove(&run);
            self.held.remove(&run);
            return self.answer_now(ticket, Err(NodeError::Invalid(rejected.to_string())));
        }
        let known = start.document.is_empty() || self.documents.contains(&digest);
        let part = self.part(run);
        if !known {
            let key = keys::document(&digest);
            let puts = chunks::split(RecordKind::Document, 0, &key, &start.document);
            part.document = Some((digest, puts.map(Write::from).collect()));
        }
        let unstored = start.values.iter().filter(|_| !start.values_stored);
        for (hash, text) in unstored {
            let key = keys::value(run, hash);
            part.writes
                .extend(chunks::split(RecordKind::Value, 0, &key, text).map(Write::from));
        }
        self.answer_of(run, ticket, Ok(Answer::Started { existed: false }));
    }

    pub(super) fn control(&mut self, now: Time, ticket: Ticket, run: RunId, control: Control) {
        let Some(live) = self.live(run) else { return };
        let state = live.run.state();
        let outcome = match control {
            Control::Continue if state.is_terminal() => Err(NodeError::Ended(state)),
            Control::Continue => Ok(()),
            Control::Release => Err(NodeError::Invalid(format!("run {run} is not quarantined"))),
            Control::Stop(_) if planted!(StopUnstored) && state == RunState::Draining => Ok(()),
            Control::Stop(stop) => match self.apply(now, run, Fact::Stopped(stop.clone())) {
                // What it ends may have to be asked whether it is allowed.
                Err(Rejected::Missing(hashes)) => {
                    let control = Control::Stop(stop);
                    let again = Input::Control {
                        ticket,
                        run,
                        control,
                    };
                    return self.want_values(run, hashes, Some(again));
                }
                outcome => refused(run, state, "stopped", outcome),
            },
            Control::Pause { .. } if state == RunState::Paused => Ok(()),
            Control::Pause { actor, reason } => {
                let outcome = self.apply(now, run, Fact::Paused { actor, reason });
                refused(run, state, "paused", outcome)
            }
            Control::Resume { actor, reason } => {
                let outcome = self.apply(now, run, Fact::Resumed { actor, reason });
                refused(run, state, "resumed", outcome)
            }
        };
        self.answer_of(run, ticket, outcome.map(|()| Answer::Done));
        self.rest(now, run);
    }
}

/// What whoever asked is told of a fact that was not taken.
fn refused(
    run: RunId,
    state: RunState,
    verb: &str,
    outcome: Result<(), Rejected>,
) -> Result<(), NodeError> {
    outcome.map_err(|rejected| match rejected {
        Rejected::Ended(state) => NodeError::Ended(state),
        Rejected::Broken(reason) => NodeError::Quarantined(reason.to_string()),
        _ => NodeError::Invalid(format!("run {run} is {state} and cannot be {verb}")),
    })
}
