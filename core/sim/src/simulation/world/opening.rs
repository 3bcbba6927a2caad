//! The process dies, and another opens the store.

use super::super::client::{self, Wish};
use super::super::disk::Fate;
use super::super::driver;
use super::super::process::{Asker, Letter, Process};
use super::{Check, Damage, World};
use crate::model::SplitMix64;
use conveyor_engine::run::{SEMANTICS, StopKind, encode_record};
use conveyor_engine::time::Duration;
use conveyor_node::envelope;
use conveyor_node::owner::{Config, Control, Input, Owner, SessionInfo};
use conveyor_node::{NodeError, keys, storage};
use conveyor_proto::storage::v1::RecordKind;
use conveyor_store::{Direction, KeyRange, Store as _, Transaction};
use std::collections::BTreeMap;
use std::sync::Arc;

impl World {
    /// Lets the process die here, in one of so many cases.
    pub(super) fn dies(&mut self, of: usize, point: &'static str) -> Result<bool, String> {
        if !self.strikes(of) {
            return Ok(false);
        }
        self.note(|| point.to_owned());
        self.counts.fault(point);
        self.counts.crashes += 1;
        let Some(process) = self.process.take() else {
            return Ok(true);
        };
        self.break_all();
        self.check_memory(&process)?;
        // Clients keep what was not answered, and ask again.
        for asker in process.askers.into_values() {
            match asker {
                Asker::Client(request) => self.ask_again(request),
                Asker::Late(letter) if self.random.percent(50) => self.letters.push(letter),
                Asker::Driver(claimed, result) if self.random.percent(30) => {
                    self.late_report(claimed, result, false);
                }
                Asker::Late(_)
                | Asker::Driver(..)
                | Asker::Remote(..)
                | Asker::Beat(_)
                | Asker::Firing(_)
                | Asker::Unsent(..)
                | Asker::Detach(..) => {}
            }
        }
        // A driver that outlived its process reports all the same.
        for claimed in process.working {
            if self.random.percent(20) {
                let result = driver::result(&mut self.random, claimed.run, claimed.id);
                self.late_report(claimed, Box::new(result), false);
            }
        }
        Ok(true)
    }

    /// A report is on its way to whatever process there will be.
    pub(super) fn late_report(
        &mut self,
        claimed: conveyor_node::token::Claimed,
        result: Box<driver::Result>,
        repeat: bool,
    ) {
        let most = if self.random.percent(30) { 30 } else { 3_000 };
        let at = self.now.after(Duration(self.random.below(most) as u64));
        self.letters.push(Letter {
            at,
            claimed,
            result,
            repeat,
        });
    }

    /// A process opens the store, if it gets that far.
    pub(super) fn open(&mut self) -> Check {
        self.generation += 1;
        self.now = self.now.after(Duration(self.random.below(50) as u64));
        if self.may_quarantine {
            self.damage()?;
        } else if self.strikes(4) {
            self.damage_snapshot()?;
        }
        if self.dies(50, "crash before the shard is acquired")? {
            return Ok(());
        }
        let (reads, fate) = (self.reads(3), self.fate_of_opening());
        let view = self.disk.view(reads, fate);
        let point = match storage::acquire(&view, self.random.next_u64()) {
            Ok(point) => point,
            Err(error) if reads.is_some() || fate != Fate::Committed => {
                return self.not_opened("the shard could not be acquired", &error);
            }
            Err(error) => return Err(format!("the shard cannot be acquired: {error}")),
        };
        if self.dies(50, "crash after the shard was acquired")? {
            return Ok(());
        }
        let mut nonces = SplitMix64::new(self.random.next_u64());
        let random = Box::new(move || nonces.next_u64());
        let snapshot_facts = match self.may_quarantine {
            // What is wrong with a record that a snapshot follows, nobody need notice.
            true => u64::MAX,
            false => [0, 3, 10, 2_000][self.random.below(4)],
        };
        let config = Config {
            snapshot_facts,
            ..Config::default()
        };
        let mut owner = Owner::new(config, point, random);
        if self.dies(50, "crash before live work is listed")? {
            return Ok(());
        }
        let reads = self.reads(2);
        let view = self.disk.view(reads, Fate::Committed);
        let listed = storage::quarantines(&view)
            .and_then(|marked| Ok((marked, storage::live_entries(&view)?)));
        let (marked, live) = match listed {
            Ok(listed) => listed,
            Err(error) if reads.is_some() => {
                return self.not_opened("live work could not be listed", &error);
            }
            Err(error) => return Err(format!("live work cannot be listed: {error}")),
        };
        marked
            .iter()
            .for_each(|(run, _)| owner.recover_quarantined(*run));
        live.iter()
            .for_each(|(run, entry)| owner.recover(*run, entry));
        let session: Arc<str> = format!("process-{}", self.generation).into();
        let name = if self.has_driver { "d" } else { "other" };
        let drivers = BTreeMap::from([(Arc::from(name), Arc::from("1.0.0"))]);
        let capacity = 1 + self.random.below(6) as u32;
        let info = SessionInfo::in_process(&session, drivers, BTreeMap::new(), capacity);
        self.note(|| format!("{session} opens the store at {point:?}"));
        self.process = Some(Process::new(owner, session, info.capacity as usize));
        self.restore_sessions();
        self.handle(Input::Register(info));
        if self.has_objects {
            self.look_for_left(0);
        }
        Ok(())
    }

    /// After how many of a call's reads the disk cannot be read, if it cannot.
    pub(super) fn reads(&mut self, most: usize) -> Option<u32> {
        self.strikes(20).then(|| self.random.below(most) as u32)
    }

    pub(super) fn fate_of_opening(&mut self) -> Fate {
        if !self.strikes(12) {
            return Fate::Committed;
        }
        [
            Fate::Full,
            Fate::UnknownMade,
            Fate::UnknownNot,
            Fate::UnknownLate,
        ][self.random.below(4)]
    }

    fn not_opened(&mut self, fault: &'static str, error: &NodeError) -> Check {
        self.note(|| format!("{fault}: {error}"));
        self.counts.fault(fault);
        Ok(())
    }

    /// Between two processes, a record of a run that goes on becomes another, or is itself again.
    fn damage(&mut self) -> Check {
        if self.damage.is_some() {
            if self.random.percent(50) {
                self.repair();
            }
            return Ok(());
        }
        if !self.strikes(4) || self.ledger.runs.is_empty() {
            return Ok(());
        }
        let at = self.random.below(self.ledger.runs.len());
        let Some(run) = self.ledger.runs.iter().nth(at).copied() else {
            return Ok(());
        };
        let durable = self.durable(run)?;
        if durable.run.state().is_terminal() || self.ledger.abandoned.contains(&run) {
            return Ok(());
        }
        let at = self.random.below(durable.run.sequence() as usize) as u64;
        let mut found = None;
        let read = storage::records(&self.disk.store, run, at, |record| {
            found = Some(record);
            Ok(false)
        });
        read.map_err(|error| error.to_string())?;
        let key = keys::record(run, at + 1);
        let value = self.disk.store.get(&key).map_err(|e| e.to_string())?;
        let (Some(record), Some(value)) = (found, value) else {
            return Err(format!("record {} of {run} is not there", at + 1));
        };
        let mut other = record.clone();
        other.digest ^= 1;
        let bytes = envelope::wrap(RecordKind::Journal, SEMANTICS, &encode_record(&other));
        self.put(&key, bytes);
        self.counts.fault("a journal was damaged");
        self.note(|| format!("record {} of {run} is damaged", record.sequence));
        if self.random.percent(30) {
            self.requests
                .push(client::stop(run, self.now, StopKind::Terminate));
        }
        self.damage = Some(Damage {
            run,
            key,
            value,
            record,
        });
        Ok(())
    }

    /// Between two processes, a byte of a snapshot changes: it is passed over then.
    fn damage_snapshot(&mut self) -> Check {
        if self.ledger.runs.is_empty() {
            return Ok(());
        }
        let at = self.random.below(self.ledger.runs.len());
        let Some(run) = self.ledger.runs.iter().nth(at).copied() else {
            return Ok(());
        };
        let pieces = KeyRange::prefix(keys::snapshots(run));
        let pieces = self.disk.store.scan(&pieces, Direction::Reverse, 1);
        let pieces = pieces.map_err(|error| error.to_string())?;
        if let Some((key, value)) = pieces.entries.first() {
            let mut value = value.to_vec();
            let at = self.random.below(value.len());
            value[at] ^= 1 << self.random.below(8);
            self.put(key, value);
            self.counts.fault("a snapshot was damaged");
        }
        Ok(())
    }

    /// The damaged record is again what was written.
    pub(super) fn repair(&mut self) {
        if let Some(damage) = self.damage.take() {
            self.counts.fault("a damaged journal was repaired");
            self.note(|| format!("{} is repaired", damage.run));
            self.put(&damage.key, damage.value.to_vec());
        }
    }

    fn put(&mut self, key: &[u8], value: Vec<u8>) {
        let mut transaction = Transaction::new();
        transaction.put(key.to_vec(), value);
        // A store in memory takes one small put.
        let _ = self.disk.store.commit(&transaction);
    }

    /// Whether this ends a run that nobody can fold, in its rows alone.
    pub(super) fn abandons(&self, wish: &Wish) -> bool {
        match (wish, &self.damage) {
            (Wish::Control(run, Control::Stop(stop)), Some(damage)) => {
                damage.run == *run && stop.kind == StopKind::Terminate
            }
            _ => false,
        }
    }
}
