//! Secrets of tasks: looked up when a task is sent, and where what its driver tells is to be kept.

use super::super::driver;
use super::super::process::Asker;
use super::super::vault;
use super::{Check, World};
use conveyor_engine::run::{AttemptState, EndedAttempt, Failure};
use conveyor_mask::Mask;
use conveyor_node::NodeError;
use conveyor_node::owner::{Input, Reported, StartTask};
use conveyor_node::token::Claimed;
use conveyor_store::{Direction, KeyRange, Store as _};
use std::sync::Arc;

impl World {
    /// Finds the secrets of a task that is about to be sent. False where they are away: then the engine
    /// ends the attempt.
    pub(super) fn equip(&mut self, task: &StartTask) -> bool {
        let Claimed { id, .. } = task.claimed;
        match vault::mask(self.vault_away, &task.plan, id.step) {
            Ok(mask) => {
                if let Some(process) = &mut self.process {
                    process.masks.insert(task.claimed, mask);
                }
                true
            }
            Err(failure) => {
                self.counts
                    .fault("a secret was away when its task was sent");
                // What was sent before may be with its driver: it comes again.
                if !task.again {
                    self.unsent(task, failure);
                }
                false
            }
        }
    }

    fn unsent(&mut self, task: &StartTask, failure: Failure) {
        let claimed = task.claimed;
        let ended = EndedAttempt {
            state: AttemptState::Errored,
            outputs: None,
            failure: Some(failure),
        };
        let Some(process) = &mut self.process else {
            return;
        };
        let own = task.session == process.session;
        let asker = if own {
            process.tasks.insert(claimed, true);
            // Its words are the engine's own.
            process.masks.insert(claimed, Mask::default());
            let (ended, values) = (ended.clone(), Vec::new());
            let result = driver::Result { ended, values };
            Asker::Driver(claimed, Box::new(result))
        } else {
            let connection = self.links.get(&task.session).copied();
            Asker::Unsent(Arc::clone(&task.session), connection)
        };
        let ticket = process.ticket(asker);
        let report = Box::new(Reported {
            claimed,
            result: ended,
            last_log: None,
            values: Vec::new(),
        });
        self.handle(Input::Report { ticket, report });
    }

    /// What a driver that has a secret may tell of it.
    pub(super) fn may_tell(&mut self, task: &StartTask, result: &mut driver::Result) {
        let step = task.claimed.id.step;
        if vault::has(&task.plan, step) && vault::tell(&mut self.random, result) {
            self.counts.fault("a driver told its secret");
        }
    }

    /// What masks the secrets of an attempt: as they were sent, or, after a crash, as they are found
    /// again.
    ///
    /// # Errors
    /// While they are not: nothing of the attempt is kept.
    pub(super) fn mask(&mut self, claimed: Claimed) -> Result<Mask, NodeError> {
        let process = self.process.as_ref();
        if let Some(mask) = process.and_then(|process| process.masks.get(&claimed)) {
            return Ok(mask.clone());
        }
        // Of a run that is not there, nothing is kept.
        let Ok(durable) = self.durable(claimed.run) else {
            return Ok(Mask::default());
        };
        let found = vault::mask(self.vault_away, durable.run.plan(), claimed.id.step);
        found.map_err(|failure| {
            self.counts
                .fault("a secret was away when its task was reported");
            NodeError::Unavailable(failure.message.to_string())
        })
    }

    /// No value of a secret is in the store.
    pub(super) fn check_secrets(&self) -> Check {
        let mut rest = Some(KeyRange::all());
        while let Some(range) = rest {
            let page = self.disk.store.scan(&range, Direction::Forward, 1_000);
            let page = page.map_err(|error| error.to_string())?;
            let shows = |bytes: &[u8]| vault::shows(bytes);
            if let Some((key, _)) = page
                .entries
                .iter()
                .find(|(key, value)| shows(key) || shows(value))
            {
                return Err(format!("a secret is in the store, under {key:?}"));
            }
            rest = page.rest(&range, Direction::Forward);
        }
        Ok(())
    }
}
