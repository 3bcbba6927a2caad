//! What reaches the process: outcomes, what was read, reports.

use super::super::disk::Fate;
use super::super::driver;
use super::super::process::{Asker, Event, Letter};
use super::super::vault;
use super::{Check, World};
use conveyor_engine::run::{Fact, TimerKind, decode_record};
use conveyor_node::owner::{Group, Input, Loaded, Outcome, Reported, Write};
use conveyor_node::token::Claimed;
use conveyor_node::{NodeError, RunId, envelope, keys, storage};
use conveyor_proto::storage::v1::RecordKind;
use conveyor_store::{Store as _, Transaction};
use std::sync::Arc;

impl World {
    pub(super) fn happen(&mut self, event: Event) -> Check {
        match event {
            Event::Commit(group) => self.commit(&group),
            Event::Done(claimed, result) => {
                self.note(|| format!("done {claimed:?} {:?}", result.ended.state));
                if self.dies(150, "crash before a report is taken")? {
                    return Ok(());
                }
                let Some(process) = &mut self.process else {
                    return Ok(());
                };
                if process.tasks.get(&claimed) != Some(&false) {
                    return Ok(());
                }
                process.tasks.insert(claimed, true);
                process.working.remove(&claimed);
                self.report(|result| Asker::Driver(claimed, result), claimed, *result)
            }
            Event::Load(run) => {
                if let Some(process) = &mut self.process {
                    process.runs.insert(run);
                }
                self.load(run)
            }
            Event::Values(run, hashes) => {
                if self.dies(8, "crash before values are read")? {
                    return Ok(());
                }
                let reads = self.strikes(3).then_some(0);
                let values =
                    storage::load_values(&self.disk.view(reads, Fate::Committed), run, &hashes);
                match &values {
                    Err(error) if error.is_temporary() => {
                        self.counts.fault("values could not be read");
                    }
                    Err(error) => return Err(format!("a value of {run}: {error}")),
                    Ok(_) => {}
                }
                if !self.dies(8, "crash after values were read")? {
                    self.handle(Input::Values { run, values });
                }
                Ok(())
            }
            Event::CommitKey => {
                if self.dies(30, "crash before the commit key is read")? {
                    return Ok(());
                }
                let reads = self.strikes(5).then_some(0);
                let point = storage::commit_point(&self.disk.view(reads, Fate::Committed));
                if point.is_err() {
                    self.counts.fault("the commit key could not be read");
                }
                self.handle(Input::CommitKey(point.ok().flatten()));
                Ok(())
            }
            Event::Snapshot(run, kept) => {
                let reads = self.strikes(10).then(|| self.random.below(2) as u32);
                let view = self.disk.view(reads, Fate::Committed);
                let transactions = storage::keep_snapshot(&view, run, &kept);
                self.cache(transactions)
            }
            Event::DropSnapshots(run) => {
                let reads = self.strikes(10).then_some(0);
                let view = self.disk.view(reads, Fate::Committed);
                let transaction = storage::drop_snapshots(&view, run);
                self.cache(transaction.map(|one| vec![one]))
            }
            Event::Change(decided) => self.commit_change(*decided),
            Event::Fire(firings) => self.fire_next(*firings),
            Event::StrikeOff(firings) => self.strike_off(&firings),
            Event::Left => self.take_up_left(),
            Event::Released(claimed) => {
                if self.dies(10, "crash before a place is given back")? {
                    return Ok(());
                }
                if let Some(process) = &mut self.process {
                    process.releasing -= 1;
                    let session = Arc::clone(&process.session);
                    self.handle(Input::Released { session, claimed });
                }
                Ok(())
            }
        }
    }

    /// What is kept beside a journal is changed, if it gets that far: whatever becomes of it is right.
    fn cache(&mut self, transactions: Result<Vec<Transaction>, NodeError>) -> Check {
        let Ok(transactions) = transactions else {
            self.counts
                .fault("the store could not be read for a snapshot");
            return Ok(());
        };
        for transaction in transactions {
            if self.dies(60, "crash between two parts of a snapshot")? {
                return Ok(());
            }
            let fate = self.fate_of_opening();
            if self.disk.view(None, fate).commit(&transaction).is_err() {
                self.counts
                    .fault("a part of a snapshot may not have been kept");
                return Ok(());
            }
        }
        self.counts.fault("a snapshot was kept or taken away");
        Ok(())
    }

    fn load(&mut self, run: RunId) -> Check {
        if self.dies(100, "crash before a run is read")? {
            return Ok(());
        }
        let reads = self.reads(10);
        let view = self.disk.view(reads, Fate::Committed);
        let loaded = storage::load(&view, &self.plans, run);
        if let Loaded::Failed(_) = loaded {
            self.counts.fault("a run could not be read");
        }
        self.note(|| format!("loaded {run} {loaded:?}"));
        if !self.dies(100, "crash after a run was read")? {
            self.handle(Input::Loaded { run, loaded });
        }
        Ok(())
    }

    /// A report is handed over as it is kept; not while nobody knows what of it is secret.
    pub(super) fn report(
        &mut self,
        asker: impl FnOnce(Box<driver::Result>) -> Asker,
        claimed: Claimed,
        result: driver::Result,
    ) -> Check {
        let result = match self.mask(claimed) {
            Ok(mask) => vault::kept(&mask, result),
            Err(error) => return self.answered(asker(Box::new(result)), Err(error)),
        };
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        let ticket = process.ticket(asker(Box::new(result.clone())));
        self.handle(Input::Report {
            ticket,
            report: Box::new(Reported {
                claimed,
                result: result.ended,
                last_log: None,
                values: result.values,
            }),
        });
        Ok(())
    }

    /// The next late report arrives.
    pub(super) fn deliver(&mut self) -> Check {
        let at = self.letters.iter().map(|letter| letter.at).min();
        let Some(place) = self.letters.iter().position(|letter| Some(letter.at) == at) else {
            return Ok(());
        };
        let letter = self.letters.swap_remove(place);
        self.counts.fault(match letter.repeat {
            true => "a report came twice",
            false => "a report came from a dead process",
        });
        self.note(|| format!("late {:?} {:?}", letter.claimed, letter.result.ended.state));
        let result = driver::Result::clone(&letter.result);
        let claimed = letter.claimed;
        self.report(
            |result| Asker::Late(Letter { result, ..letter }),
            claimed,
            result,
        )
    }

    fn fate(&mut self) -> Fate {
        if !self.stormy() {
            return Fate::Committed;
        }
        match self.random.below(100) {
            0..4 => Fate::Full,
            4..8 => Fate::UnknownMade,
            8..11 => Fate::UnknownNot,
            11..14 => Fate::UnknownLate,
            14..18 if self.may_quarantine => Fate::Refused,
            _ => Fate::Committed,
        }
    }

    fn commit(&mut self, group: &Arc<Group>) -> Check {
        self.check_group(group)?;
        if self.dies(50, "crash before a commit")? {
            return Ok(());
        }
        let mut fate = self.fate();
        // Only what a run brought along can be too much for a store, never the mark of quarantine.
        if fate == Fate::Refused && !group.writes.iter().any(|write| record_of(write).is_some()) {
            fate = Fate::Committed;
        }
        self.counts.fault(fate.name());
        let outcome = self.disk.commit(group, fate);
        self.note(|| {
            let writes = group.writes.len();
            format!(
                "commit {} of {writes} writes: {fate:?}, {outcome:?}",
                group.to.number
            )
        });
        if self.dies(50, "crash after a commit, before its outcome is known")? {
            return Ok(());
        }
        if outcome == Outcome::Deposed {
            return Err("the only process was deposed".into());
        }
        self.handle(Input::Committed(outcome));
        self.dies(100, "crash after an outcome, before what it lets go")?;
        Ok(())
    }

    /// What no process may want to write.
    fn check_group(&mut self, group: &Group) -> Check {
        for write in &group.writes {
            let Some((run, record)) = record_of(write) else {
                continue;
            };
            if self.ledger.abandoned.contains(&run) {
                return Err(format!("{run} was terminated, and goes on"));
            }
            if self.damage.as_ref().is_some_and(|damage| damage.run == run) {
                return Err(format!("{run} goes on although its journal is damaged"));
            }
            for entry in &record.entries {
                if let Fact::TimerDue(key) = &entry.fact
                    && matches!(key.kind, TimerKind::Attempt | TimerKind::Grace)
                {
                    self.check_alive(run, key.step, key.instance)?;
                }
            }
        }
        Ok(())
    }

    /// An attempt whose process is dead ends at once: its time does not run out (PROTOCOL P26).
    fn check_alive(&mut self, run: RunId, step: u32, instance: u32) -> Check {
        let durable = self.durable(run)?;
        let of = |id: &conveyor_engine::run::Identity| (id.step, id.instance) == (step, instance);
        let last = durable.claims.iter().rfind(|(id, _)| of(id));
        let (Some((id, session)), Some(process)) = (last, &self.process) else {
            return Ok(());
        };
        let remote = session.starts_with("session-");
        if !remote && *session != process.session && durable.ended(*id).is_none() {
            return Err(format!(
                "{id} of {run} waited for its time to run out although {session} was dead"
            ));
        }
        Ok(())
    }
}

/// The record that a write puts into a journal.
fn record_of(write: &Write) -> Option<(RunId, conveyor_engine::run::Record)> {
    let run = RunId(write.key.get(2..18)?.try_into().ok()?);
    if !write.key.starts_with(&keys::records(run)) {
        return None;
    }
    let payload = envelope::unwrap(RecordKind::Journal, write.value.as_ref()?).ok()?;
    Some((run, decode_record(payload).ok()?))
}
