//! Heartbeats, and what the engine and a driver must agree on by them.

use super::super::super::process::Asker;
use super::super::super::remote::{BEAT, Outside};
use super::super::{Check, World};
use conveyor_engine::time::Duration;
use conveyor_node::NodeError;
use conveyor_node::owner::{Answer, Input, SessionEvent, SessionInfo};
use conveyor_node::token::Claimed;
use std::sync::Arc;

/// What was lost on its way comes again within this: it is unanswered for 5 s, and the owner may look at it
/// with the next heartbeat only, which may be lost too.
const AGAIN: Duration = Duration::secs(20);

impl World {
    /// What was lost on its way has come again, or its claim is over (PROTOCOL P21).
    pub(super) fn check_missing(&mut self, session: &Arc<str>, connection: u64) -> Check {
        let now = self.now;
        let Some(remote) = self.at(session, connection) else {
            return Ok(());
        };
        let due = remote
            .missing
            .iter()
            .filter(|(_, at)| at.after(AGAIN) <= now);
        let due: Vec<_> = due.map(|(claimed, _)| *claimed).collect();
        remote.missing.retain(|claimed, _| !due.contains(claimed));
        if due.is_empty() {
            return Ok(());
        }
        // Nothing of a run in quarantine is touched.
        let quarantined = self.quarantined()?;
        for claimed in due {
            let Claimed { run, id, .. } = claimed;
            let known = self.ledger.runs.contains(&run) && !self.ledger.abandoned.contains(&run);
            if !known || quarantined.contains(&run) {
                continue;
            }
            let durable = self.durable(run)?;
            let stands = durable.run.nonce(id) == Some(claimed.nonce);
            if stands && !durable.told.contains(&id) {
                return Err(format!(
                    "{id} of {run} was lost on its way, and not sent again"
                ));
            }
        }
        Ok(())
    }

    pub(super) fn beat(&mut self, session: &Arc<str>, connection: u64) -> Check {
        if self.strikes(25) {
            self.counts.fault("a connection broke");
            self.break_connection(session);
        }
        let Some(remote) = self.at(session, connection) else {
            return Ok(());
        };
        let free = remote.capacity.saturating_sub(remote.running()) as u32;
        let mut named = remote.claims();
        for (claimed, task) in &mut remote.tasks {
            if task.silent > 0 {
                task.silent -= 1;
                named.retain(|named| named != claimed);
            }
        }
        let ended: Vec<_> = remote
            .tasks
            .iter()
            .filter(|(_, task)| task.result.is_some())
            .collect();
        let again: Vec<_> = ended.into_iter().map(|(claimed, _)| *claimed).collect();
        let (polls, now) = (remote.polls && remote.tasks.is_empty(), self.now);
        self.outside(BEAT.0, Outside::Beat(Arc::clone(session), connection));
        if self.links.get(session) != Some(&connection) {
            return Ok(());
        }
        if polls {
            if let Some(remote) = self.remotes.get_mut(session) {
                remote.answered = now;
            }
            self.counts.fault("a driver polled, and named nothing");
            // Its next one comes with the next beat.
            let wait = BEAT;
            self.tell(session, SessionEvent::Polls { free, wait });
            return Ok(());
        }
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        let ticket = process.ticket(Asker::Beat(Arc::clone(session)));
        self.handle(Input::Heartbeat {
            ticket,
            session: Arc::clone(session),
            named,
            free: Some(free),
        });
        for claimed in again {
            self.report_outside(session, claimed)?;
        }
        Ok(())
    }

    /// The engine says which of a driver's claims are over.
    pub(in super::super) fn beat_answered(
        &mut self,
        session: &Arc<str>,
        answer: Result<Answer, NodeError>,
    ) -> Check {
        match answer {
            Ok(Answer::Tokens { stale }) => {
                if let Some(remote) = self.remotes.get_mut(session) {
                    remote.answered = self.now;
                }
                for claimed in &stale {
                    self.check_over(*claimed)?;
                }
                self.forget_outside(session, &stale);
            }
            Ok(other) => return Err(format!("a heartbeat was answered with {other:?}")),
            Err(_) => {}
        }
        Ok(())
    }

    /// A driver is told that a claim is over: then it is, in the store.
    fn check_over(&mut self, claimed: Claimed) -> Check {
        let Claimed { run, id, .. } = claimed;
        if !self.ledger.runs.contains(&run) || self.ledger.abandoned.contains(&run) {
            return Ok(());
        }
        let durable = self.durable(run)?;
        if durable.run.nonce(id) == Some(claimed.nonce) && self.adopter(claimed).is_none() {
            return Err(format!("{id} of {run} was told to be over, and is not"));
        }
        Ok(())
    }

    /// The session that went on with a claim of another.
    fn adopter(&self, claimed: Claimed) -> Option<&Arc<str>> {
        let adopts = |info: &&SessionInfo| info.adopted.contains(&claimed);
        self.rows.values().find(adopts).map(|info| &info.id)
    }
}
