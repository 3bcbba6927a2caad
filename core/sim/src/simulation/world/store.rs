//! What the store must say: of every acknowledgement at once, of everything when all is quiet.

use super::super::client::{self, Request, Wish};
use super::super::driver;
use super::super::journal::Durable;
use super::super::process::Process;
use super::{Check, World};
use conveyor_engine::plan::{AllowFailure, Needs, StepIndex};
use conveyor_engine::run::{
    AttemptState, EndedAttempt, Fact, ForkFrom, Identity, Inherited, NoValues, RunState, StepState,
};
use conveyor_engine::value::{Hash, Json, Value};
use conveyor_node::owner::{Control, StartTask};
use conveyor_node::token::Claimed;
use conveyor_node::{NodeError, RunId, envelope, keys, storage};
use conveyor_proto::storage::v1::{RecordKind, RunSummary};
use conveyor_store::Store as _;
use prost::Message as _;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl World {
    /// Somebody releases what is quarantined, and resumes what is still paused: a resume may have
    /// come before its pause.
    pub(super) fn wake(&mut self) -> Result<bool, String> {
        self.repair();
        self.find_abandoned();
        let quarantined = self.quarantined()?;
        let mut any = false;
        for run in self.ledger.runs.clone() {
            let control = if quarantined.contains(&run) {
                self.counts.fault("a quarantined run was released");
                Control::Release
            } else if self.ledger.abandoned.contains(&run) {
                continue;
            } else if self.durable(run)?.run.state() == RunState::Paused {
                Control::Resume {
                    actor: Arc::from("ann"),
                    reason: Arc::from(""),
                }
            } else {
                continue;
            };
            self.requests.push(Request {
                at: self.now,
                wish: Wish::Control(run, control),
            });
            any = true;
        }
        if !any && self.has_objects {
            any = self.left_alone()?;
        }
        if !any && !self.forked {
            self.forked = true;
            any = self.fork()?;
        }
        Ok(any)
    }

    /// Somebody forks every run that has ended: half of them where they failed.
    fn fork(&mut self) -> Result<bool, String> {
        let before = self.requests.len();
        for start in self.starts.clone() {
            let abandoned = self.ledger.abandoned.contains(&start.run);
            if abandoned || !self.ledger.runs.contains(&start.run) {
                continue;
            }
            let old = self.durable(start.run)?.run;
            let step = self.random.below(start.plan.main as usize);
            let from = if self.random.percent(50) {
                ForkFrom::Failed
            } else {
                ForkFrom::Steps(vec![Arc::clone(&start.plan.steps[step].id)])
            };
            let fork = old.fork(&start.plan, &start.inputs, &from, &NoValues);
            let fork = fork.map_err(|error| format!("{} cannot be forked: {error}", start.run))?;
            let named = fork.inherited.iter().flat_map(Inherited::hashes);
            let hashes: BTreeSet<Hash> = named
                .filter(|hash| !fork.values.contains_key(hash))
                .collect();
            let hashes: Vec<Hash> = hashes.into_iter().collect();
            let values = storage::load_values(&self.disk.store, start.run, &hashes);
            let mut values = values.map_err(|error| format!("{}: {error}", start.run))?;
            values.extend(fork.values);
            let start = client::fork(&mut self.random, start, fork.inherited, values);
            self.requests.push(Request {
                at: self.now,
                wish: Wish::Start(Box::new(start)),
            });
        }
        Ok(self.requests.len() > before)
    }

    pub(super) fn quarantined(&self) -> Result<BTreeSet<RunId>, String> {
        let rows = storage::quarantines(&self.disk.store).map_err(|error| error.to_string())?;
        if !rows.is_empty() && !self.may_quarantine {
            return Err(format!("{rows:?} are quarantined"));
        }
        Ok(rows.into_iter().map(|(run, _)| run).collect())
    }

    pub(super) fn check_taken(&mut self, run: RunId, id: Identity, said: &EndedAttempt) -> Check {
        let durable = self.durable(run)?;
        match (durable.ended(id), said.state) {
            (None, _) => Err(format!(
                "the acknowledged result of {id} of {run} is not in the store"
            )),
            (Some(found), AttemptState::Succeeded) if found != AttemptState::Succeeded => Err(
                format!("{id} of {run} succeeded, and the store says {found}"),
            ),
            _ => Ok(()),
        }
    }

    /// What must hold of an attempt that a driver is about to start.
    pub(super) fn check_start(&mut self, task: &StartTask) -> Check {
        let Claimed { run, id, .. } = task.claimed;
        if !self.ledger.start(run, id) {
            return Err(format!("attempt {id} of {run} was started twice"));
        }
        let durable = self.durable(run)?;
        if !durable.was_claimed(id) {
            return Err(format!(
                "attempt {id} of {run} was started before its claim was durable"
            ));
        }
        let plan = durable.run.plan();
        let step = &plan.steps[id.step as usize];
        let open = step
            .parents
            .iter()
            .find(|parent| !durable.run.step(**parent).state.is_terminal());
        if let Some(parent) = open {
            let parent = &plan.steps[*parent as usize].id;
            return Err(format!(
                "{} of {run} was started before {parent} had ended",
                step.id
            ));
        }
        let met = |parent: &StepIndex| {
            let allowed = !matches!(
                plan.steps[*parent as usize].allow_failure,
                AllowFailure::Never
            );
            let state = durable.run.step(*parent).state;
            allowed || matches!(state, StepState::Succeeded | StepState::Skipped)
        };
        if matches!(step.needs, Needs::All)
            && let Some(parent) = step.parents.iter().find(|parent| !met(parent))
        {
            let parent = &plan.steps[*parent as usize].id;
            return Err(format!(
                "{} of {run} was started although {parent} had not succeeded",
                step.id
            ));
        }
        let main_open = || (0..plan.main).any(|at| !durable.run.step(at).state.is_terminal());
        if step.finally && main_open() {
            return Err(format!(
                "{} of {run} was started before all steps had ended",
                step.id
            ));
        }
        self.check_with(task, &durable)
    }

    /// What a task is given of other steps is what these gave when they succeeded.
    fn check_with(&self, task: &StartTask, durable: &Durable) -> Check {
        let Claimed { run, id, .. } = task.claimed;
        let text = match (&task.spec.with, &task.with) {
            (Value::Inline(text), _) | (_, Some(text)) => Arc::clone(text),
            (Value::Stored { hash, .. }, None) => {
                let mut values = storage::load_values(&self.disk.store, run, &[*hash])
                    .map_err(|error| format!("`with` of {id} of {run}: {error}"))?;
                values.swap_remove(0).1
            }
        };
        let with: BTreeMap<String, Json> = serde_json::from_slice(&text)
            .map_err(|error| format!("`with` of {id} of {run}: {error}"))?;
        let plan = durable.run.plan();
        for (name, found) in with {
            let parent = name.strip_prefix("from_").and_then(|id| plan.index.get(id));
            let Some(parent) = parent.filter(|parent| !durable.run.step(**parent).inherited) else {
                continue;
            };
            let succeeded = durable.succeeded(*parent).map(|id| driver::mark(run, id));
            let found = found.as_str().and_then(|text| text.split(';').next());
            if found != Some(succeeded.as_deref().unwrap_or("none")) {
                return Err(format!(
                    "{id} of {run} was given {found:?} as {name}, where {succeeded:?} succeeded"
                ));
            }
        }
        Ok(())
    }

    /// A task whose claim is over was told to stop before, where that was decided before.
    pub(super) fn check_told(&mut self, claimed: Claimed) -> Check {
        let Claimed { run, id, .. } = claimed;
        if self.may_quarantine {
            // What is set aside is ended at once.
            return Ok(());
        }
        let told = |world: &World| {
            let process = world.process.as_ref();
            process.is_some_and(|process| process.told.contains(&claimed))
        };
        if self.durable(run)?.told.contains(&id) && !told(self) {
            return Err(format!("{id} of {run} was ended and never told to stop"));
        }
        Ok(())
    }

    /// What a process that died had in memory and durable, against what the next one will find.
    pub(super) fn check_memory(&mut self, process: &Process) -> Check {
        self.find_abandoned();
        for run in self.ledger.runs.clone() {
            let durable = self.durable(run)?;
            if let Some(live) = process.owner.settled(run)
                && *live != durable.run
            {
                return Err(format!(
                    "a fold of {run} gives another state than its process had:\n{}\n{}",
                    durable.run.state_text(),
                    live.state_text()
                ));
            }
            self.check_rows(run, &durable)?;
        }
        Ok(())
    }

    /// The state in the run's row for listings.
    pub(super) fn listed(&self, run: RunId) -> Option<RunState> {
        let row = self.disk.store.get(&keys::summary(run)).ok()??;
        let row = envelope::unwrap(RecordKind::RunSummary, &row).ok()?;
        RunState::from_code(u8::try_from(RunSummary::decode(row).ok()?.state).ok()?)
    }

    /// Runs that were terminated while nobody could fold them: only their rows say so.
    pub(super) fn find_abandoned(&mut self) {
        for run in self.ledger.doomed.clone() {
            if self.listed(run) == Some(RunState::Cancelled) {
                self.ledger.abandoned.insert(run);
            }
        }
    }

    /// A run's rows say what its journal says.
    fn check_rows(&self, run: RunId, durable: &Durable) -> Check {
        let quarantined = self.disk.store.get(&keys::quarantine(run));
        if self.ledger.abandoned.contains(&run) || quarantined.is_ok_and(|row| row.is_some()) {
            return Ok(());
        }
        let state = durable.run.state();
        let listed = self.listed(run);
        if listed != Some(state) {
            return Err(format!("{run} is {state} and listed as {listed:?}"));
        }
        let live = storage::live_entries(&self.disk.store).map_err(|error| error.to_string())?;
        let entry = live
            .iter()
            .find(|(id, _)| *id == run)
            .map(|(_, entry)| entry);
        match (state.is_terminal(), entry) {
            (true, None) => return Ok(()),
            (true, Some(_)) => {
                return Err(format!("{run} has ended and is still among live work"));
            }
            (false, None) => return Err(format!("{run} is {state} and not among live work")),
            (false, Some(entry)) if entry.ready => return Ok(()),
            (false, Some(_)) => {}
        }
        let pending = durable.run.pending();
        let due = pending.timer.map(|(due, _)| due.0);
        let idle = !pending.turn && pending.offers.is_empty() && pending.claimed.is_empty();
        if !idle || entry.and_then(|entry| entry.due_ms) != due {
            return Err(format!(
                "{run} wants {pending:?}, and its row among live work says {entry:?}"
            ));
        }
        Ok(())
    }

    /// What the store says of a run now.
    pub(super) fn durable(&mut self, run: RunId) -> Result<Durable, String> {
        let mut durable: Option<Durable> = None;
        let (store, plans) = (&self.disk.store, &self.plans);
        let damage = self.damage.as_ref().filter(|damage| damage.run == run);
        storage::records(store, run, 0, |record| {
            // What was written is still known here.
            let written = damage.map(|damage| &damage.record);
            let record = match written {
                Some(written) if written.sequence == record.sequence => written,
                _ => &record,
            };
            if durable.is_none() {
                let Some(Fact::Started(started)) = record.entries.first().map(|entry| &entry.fact)
                else {
                    return Err(NodeError::Corrupt(
                        "the journal does not begin with a start".into(),
                    ));
                };
                if store.get(&keys::document(&started.document))?.is_none() {
                    return Err(NodeError::Corrupt("its document is not there".into()));
                }
                durable = Some(Durable::new(plans.get(store, &started.document)?));
            }
            if let Some(durable) = &mut durable {
                durable.take(record).map_err(NodeError::Corrupt)?;
            }
            Ok(true)
        })
        .map_err(|error| format!("{run} does not fold: {error}"))?;
        durable.ok_or_else(|| format!("{run} was acknowledged and is not in the store"))
    }

    /// Nothing is left to do: everything must have come to its end.
    pub(super) fn at_rest(&mut self) -> Check {
        for run in self.ledger.runs.clone() {
            if self.ledger.abandoned.contains(&run) {
                continue;
            }
            let durable = self.durable(run)?;
            let state = durable.run.state();
            if !state.is_terminal() {
                return Err(format!("{run} is {state} and nothing moves it"));
            }
            self.check_rows(run, &durable)?;
            self.check_steps(run, &durable)?;
            self.counts.runs += 1;
            self.counts.decisions(&durable.decisions);
        }
        for ((run, id), said) in self.ledger.taken.clone() {
            self.check_taken(run, id, &said)?;
        }
        self.check_secrets()?;
        self.check_once()
    }

    /// Every step has ended, `finally` and all. Every output that readers are shown is in the store, and of an instance that succeeded.
    fn check_steps(&self, run: RunId, durable: &Durable) -> Check {
        for step in 0..durable.run.plan().steps.len() as u32 {
            let state = durable.run.step(step).state;
            if !state.is_terminal() {
                return Err(format!("{run} has ended, and {step} is {state}"));
            }
            for instance in 0..durable.run.step(step).instances {
                let Some(view) = durable.run.instance(step, instance) else {
                    continue;
                };
                let Some(outputs) = &view.outputs else {
                    continue;
                };
                if view.state != StepState::Succeeded {
                    return Err(format!(
                        "{step}[{instance}] of {run} is {} and has outputs",
                        view.state
                    ));
                }
                let hashes: Vec<Hash> = stored(outputs).into_iter().collect();
                storage::load_values(&self.disk.store, run, &hashes)
                    .map_err(|error| format!("outputs of {step}[{instance}] of {run}: {error}"))?;
            }
        }
        Ok(())
    }
}

fn stored(value: &Value) -> Option<Hash> {
    match value {
        Value::Stored { hash, .. } => Some(*hash),
        Value::Inline(_) => None,
    }
}
