//! Reports and checkpoints of attempts: taken under the current claim, a report once (PROTOCOL P24).

use super::messages::{Answer, Input, Reported, Ticket};
use super::{Owner, Write, quarantined};
use crate::chunks;
use crate::keys;
use crate::token::Claimed;
use conveyor_engine::planted;
use conveyor_engine::run::{AttemptState, Detached, Fact, Identity, LostCause, Rejected, Report};
use conveyor_engine::time::Time;
use conveyor_proto::storage::v1::RecordKind;
use std::sync::Arc;

impl Owner {
    pub(super) fn report(&mut self, now: Time, ticket: Ticket, report: Box<Reported>) {
        let (run, id) = (report.claimed.run, report.claimed.id);
        let Some(live) = self.live(run) else { return };
        if live
            .run
            .nonce(id)
            .is_some_and(|nonce| nonce != report.claimed.nonce)
        {
            return self.answer_of(run, ticket, Ok(Answer::Stale));
        }
        report
            .values
            .iter()
            .for_each(|(hash, text)| live.keep(*hash, text));
        if report.result.state == AttemptState::Cancelled {
            // What its driver stopped since its time was over has timed out, also where this process slept.
            self.fire(now, run);
        }
        let fact = Fact::Reported(Report {
            id,
            result: report.result.clone(),
            last_log: report.last_log,
        });
        match self.apply(now, run, fact) {
            Ok(()) => {
                let came = self.metrics.now();
                let part = self.part(run);
                if part.reported == 0 {
                    part.reported = came;
                }
                for (hash, text) in report.values.iter().filter(|_| !planted!(ValueUnstored)) {
                    let key = keys::value(run, hash);
                    let chunks = chunks::split(RecordKind::Value, 0, &key, text);
                    part.put(chunks.map(Write::from).collect());
                }
                self.answer_of(run, ticket, Ok(Answer::Taken { already: false }));
            }
            Err(Rejected::Already) => {
                self.answer_of(run, ticket, Ok(Answer::Taken { already: true }));
            }
            Err(Rejected::Missing(hashes)) => {
                self.want_values(run, hashes, Some(Input::Report { ticket, report }));
            }
            Err(Rejected::Broken(_)) => self.answer_now(ticket, Err(quarantined(run))),
            Err(_) => {
                self.forget(run, id);
                self.answer_of(run, ticket, Ok(Answer::Stale));
            }
        }
        self.rest(now, run);
    }

    pub(super) fn checkpoint(
        &mut self,
        now: Time,
        ticket: Ticket,
        claimed: Claimed,
        data: Arc<[u8]>,
    ) {
        let Claimed { run, id, nonce } = claimed;
        let Some(live) = self.live(run) else { return };
        if live.run.nonce(id) != Some(nonce) {
            return self.answer_of(run, ticket, Ok(Answer::Stale));
        }
        let bytes = data.len();
        match self.apply(now, run, Fact::Checkpointed { id, data }) {
            Ok(()) => {
                self.part(run).bytes += bytes;
                self.answer_of(run, ticket, Ok(Answer::Done));
            }
            Err(Rejected::Broken(_)) => self.answer_now(ticket, Err(quarantined(run))),
            Err(_) => self.answer_of(run, ticket, Ok(Answer::Stale)),
        }
    }

    /// The attempt needs no session any more: no lease ends it, and its place is its driver's to give.
    pub(super) fn detach(
        &mut self,
        now: Time,
        ticket: Ticket,
        claimed: Claimed,
        until: Time,
        principals: Vec<Arc<str>>,
    ) {
        let Claimed { run, id, nonce } = claimed;
        let Some(live) = self.live(run) else { return };
        if live.run.nonce(id) != Some(nonce) {
            return self.answer_of(run, ticket, Ok(Answer::Stale));
        }
        let detached = Detached {
            id,
            until,
            principals,
        };
        match self.apply(now, run, Fact::Detached(detached)) {
            Ok(()) => {
                if let Some(held) = self.sessions.holder(run, id) {
                    held.detached = true;
                }
                self.answer_of(run, ticket, Ok(Answer::Done));
            }
            Err(Rejected::Broken(_)) => self.answer_now(ticket, Err(quarantined(run))),
            Err(_) => self.answer_of(run, ticket, Ok(Answer::Stale)),
        }
    }

    pub(super) fn lost(&mut self, now: Time, run: super::RunId, id: Identity, cause: LostCause) {
        let lost = self.apply(now, run, Fact::Lost { id, cause });
        // Any other refusal: it ended otherwise meanwhile, or the run is quarantined.
        if let Err(Rejected::Missing(hashes)) = lost {
            self.want_values(run, hashes, Some(Input::Lost { run, id, cause }));
        }
    }
}
