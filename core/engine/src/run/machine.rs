//! One run as its owner holds it: apply, record, fold.

mod attempts;
mod begin;
mod cancel;
mod cascade;
mod check;
mod clocks;
mod end;
mod failing;
mod fork;
mod settle;
mod start;
mod stop;

pub use fork::{Fork, ForkError, ForkFrom};

use super::oracle::{Open, Oracle};
use super::record::{Entry, Record};
use super::state::State;
use super::table::{self, Event, RunEvent};
use super::values::Values;
use super::{Decision, Fact, RunState, StepState, digest};
use crate::plan::{Plan, Step, StepIndex};
use crate::planted;
use crate::time::Time;
use crate::value::{Hash, Texts};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

/// How many units of bounded work one fact may set off: instances that begin, rules that are decided
/// (PROTOCOL P7).
pub const TURN_UNITS: u32 = 256;

/// One run: its plan and the fold of its journal.
pub struct Run {
    pub(crate) plan: Arc<Plan>,
    pub(crate) state: State,
    entries: Vec<Entry>,
    pub(crate) stored: Texts,
    open: Open,
    hasher: Box<Xxh3>,
    broken: Option<Arc<str>>,
    /// Facts since the last snapshot.
    pub(crate) unsaved: u64,
    /// How many instances there were when they were last counted.
    pub(crate) instances_seen: u64,
}

/// A closed record, and the values that it names by hash. They must be durable with it or before it.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The record.
    pub record: Record,
    /// Texts by hash.
    pub values: Vec<(Hash, Arc<[u8]>)>,
}

/// Why a fact was not taken. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// It is not about the current claim.
    Stale,
    /// An exact repeat of a report that was taken.
    Already,
    /// The run has ended.
    Ended(RunState),
    /// The run has not started, or starts a second time.
    OutOfOrder,
    /// The instance cannot be claimed now.
    NotQueued,
    /// The run is paused already, or is not paused.
    NoChange,
    /// Values that must be handed in first.
    Missing(Vec<Hash>),
    /// The machine met a state that its tables do not have. The run is to be quarantined.
    Broken(Arc<str>),
}

/// Why a record does not fold. The run is to be quarantined (PROTOCOL P4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoldError {
    /// The record.
    pub sequence: u64,
    /// What is wrong with it.
    pub reason: Arc<str>,
    /// The digest in the record and the one of the fold, where it is they that differ.
    pub digests: Option<(u64, u64)>,
}

impl fmt::Display for FoldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {} does not fold: {}", self.sequence, self.reason)
    }
}

impl std::error::Error for FoldError {}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rejected::Stale => f.write_str("the token is not of the current claim"),
            Rejected::Already => f.write_str("this report was taken before"),
            Rejected::Ended(state) => write!(f, "the run has ended: {state}"),
            Rejected::OutOfOrder => f.write_str("a run starts once, before anything else"),
            Rejected::NotQueued => f.write_str("the instance is not waiting for a driver"),
            Rejected::NoChange => f.write_str("nothing to change"),
            Rejected::Missing(hashes) => write!(f, "{} stored values are not loaded", hashes.len()),
            Rejected::Broken(reason) => write!(f, "the run is to be quarantined: {reason}"),
        }
    }
}

impl std::error::Error for Rejected {}

/// Runs are equal when whatever happens to them has the same outcome: the same revision, in the same
/// state in all its parts.
impl PartialEq for Run {
    fn eq(&self, other: &Run) -> bool {
        self.plan.digest == other.plan.digest
            && self.state == other.state
            && self.entries == other.entries
            && self.broken == other.broken
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("id", &self.state.id)
            .field("state", &self.state.run)
            .finish_non_exhaustive()
    }
}

impl Run {
    /// A run before its first record.
    #[must_use]
    pub fn new(plan: Arc<Plan>) -> Run {
        let state = State::new(&plan);
        Run {
            plan,
            state,
            entries: Vec::new(),
            stored: Texts::new(),
            open: Open::default(),
            hasher: Box::new(Xxh3::new()),
            broken: None,
            unsaved: 0,
            instances_seen: 0,
        }
    }

    /// Whether no record is open.
    pub(crate) fn is_closed(&self) -> bool {
        self.entries.is_empty() && self.broken.is_none()
    }

    /// Takes a fact: live. What it decides is durable once the record that [`Run::take_record`]
    /// closes is.
    ///
    /// # Errors
    /// When the fact does not fit; nothing has changed then, except after [`Rejected::Broken`].
    pub fn apply(
        &mut self,
        now: Time,
        fact: Fact,
        values: &dyn Values,
    ) -> Result<Vec<Decision>, Rejected> {
        if let Some(reason) = &self.broken {
            return Err(Rejected::Broken(Arc::clone(reason)));
        }
        let now = now.max(self.state.time);
        check::check_fold(&self.state, &fact)?;
        if fact == Fact::Turn && self.open.is_full() {
            return Err(Rejected::NoChange);
        }
        let missing = self.missing(
            super::needs::of_fact(&self.plan, &self.state, &fact),
            values,
        );
        if !missing.is_empty() {
            return Err(Rejected::Missing(missing));
        }
        self.open.bytes += fact.recorded();
        self.open.stored += fact.stored();
        let mut evaluations = Vec::new();
        let mut machine = Machine {
            plan: &self.plan,
            state: &mut self.state,
            oracle: Oracle::Live {
                values,
                evaluations: &mut evaluations,
                stored: &mut self.stored,
                units: TURN_UNITS,
                open: &mut self.open,
            },
            decisions: Vec::new(),
            now,
            fault: None,
            ended: VecDeque::new(),
        };
        machine.take(&fact);
        let units = match &machine.oracle {
            Oracle::Live { units, .. } | Oracle::Fold { units, .. } => TURN_UNITS - units,
        };
        let (decisions, fault) = (machine.decisions, machine.fault);
        if let Some(reason) = fault {
            self.broken = Some(Arc::clone(&reason));
            return Err(Rejected::Broken(reason));
        }
        for decision in &decisions {
            digest::add(&mut self.hasher, decision);
        }
        self.unsaved += 1;
        self.entries.push(Entry {
            time: now,
            fact,
            units,
            evaluations,
        });
        Ok(decisions)
    }

    /// Closes the record of what was applied since the last one; `None` when nothing was.
    pub fn take_record(&mut self) -> Option<Sealed> {
        if self.entries.is_empty() {
            return None;
        }
        self.state.sequence += 1;
        self.open = Open::default();
        let digest = self.hasher.digest();
        self.hasher.reset();
        Some(Sealed {
            record: Record {
                sequence: self.state.sequence,
                entries: std::mem::take(&mut self.entries),
                digest,
            },
            values: std::mem::take(&mut self.stored).into_iter().collect(),
        })
    }

    /// How many bytes the record that is open has, about, with the values that it names.
    #[must_use]
    pub fn open_bytes(&self) -> usize {
        self.open.bytes + self.open.stored
    }

    /// Whether the open record is full: a [`Fact::Turn`] is taken when it is closed.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.open.is_full()
    }

    /// Those that neither are at hand nor were made by the open record.
    fn missing(&self, mut hashes: Vec<Hash>, values: &dyn Values) -> Vec<Hash> {
        hashes.retain(|hash| !self.stored.contains_key(hash) && values.get(hash).is_none());
        hashes
    }

    /// Takes the next record of the journal: evaluates nothing, and checks that the record decides
    /// what it decided when it was written.
    ///
    /// # Errors
    /// When it is not the next record, or decides something else. The run must then be left alone.
    pub fn fold(&mut self, record: &Record) -> Result<Vec<Decision>, FoldError> {
        let error = |reason: String| FoldError {
            sequence: record.sequence,
            reason: reason.into(),
            digests: None,
        };
        if record.sequence != self.state.sequence + 1 {
            return Err(error(format!(
                "expected record {}",
                self.state.sequence + 1
            )));
        }
        let mut all = Vec::new();
        let mut hasher = Xxh3::new();
        for entry in &record.entries {
            if entry.time < self.state.time {
                return Err(error(format!("its time {} goes back", entry.time)));
            }
            check::check_fold(&self.state, &entry.fact)
                .map_err(|rejected| error(rejected.to_string()))?;
            let mut machine = Machine {
                plan: &self.plan,
                state: &mut self.state,
                oracle: Oracle::Fold {
                    evaluations: entry.evaluations.iter(),
                    units: entry.units,
                },
                decisions: Vec::new(),
                now: entry.time,
                fault: None,
                ended: VecDeque::new(),
            };
            machine.take(&entry.fact);
            if let Some(fault) = machine.fault {
                return Err(error(fault.to_string()));
            }
            if let Oracle::Fold { evaluations, units } = machine.oracle
                && (units > 0 || evaluations.len() > 0)
            {
                return Err(error(format!(
                    "{units} units and {} evaluations were not asked for",
                    evaluations.len()
                )));
            }
            all.append(&mut machine.decisions);
        }
        for decision in &all {
            digest::add(&mut hasher, decision);
        }
        let digest = hasher.digest();
        if digest != record.digest && !planted!(DigestUnchecked) {
            let reason = format!(
                "its decisions have the digest {digest:016x}, recorded is {:016x}",
                record.digest
            );
            return Err(FoldError {
                digests: Some((record.digest, digest)),
                ..error(reason)
            });
        }
        self.state.sequence = record.sequence;
        self.unsaved += record.entries.len() as u64;
        Ok(all)
    }
}

/// One fact being applied.
pub(super) struct Machine<'a> {
    pub(super) plan: &'a Plan,
    pub(super) state: &'a mut State,
    pub(super) oracle: Oracle<'a>,
    pub(super) decisions: Vec<Decision>,
    pub(super) now: Time,
    pub(super) fault: Option<Arc<str>>,
    /// Steps that ended and whose children do not know yet.
    pub(super) ended: VecDeque<StepIndex>,
}

impl<'a> Machine<'a> {
    fn take(&mut self, fact: &Fact) {
        self.state.time = self.now;
        self.fact(fact);
        self.settle();
    }

    fn fact(&mut self, fact: &Fact) {
        match fact {
            Fact::Started(started) => self.started(started),
            Fact::Claimed(claim) => self.claimed(claim),
            Fact::Reported(report) => self.reported(report),
            Fact::Lost { id, cause } => self.lost(*id, *cause),
            Fact::Checkpointed { id, data } => {
                if let Some(instance) = self.instance_mut(id.step, id.instance) {
                    instance.checkpoint = Some(Arc::clone(data));
                }
            }
            Fact::Detached(detached) => self.detached(detached),
            Fact::TimerDue(key) => self.timer_due(*key),
            Fact::Stopped(stop) => self.stopped(stop),
            Fact::Paused { .. } => self.paused(),
            Fact::Resumed { .. } => self.resumed(),
            Fact::Turn => {}
        }
    }

    fn step_plan(&self, step: StepIndex) -> &'a Step {
        &self.plan.steps[step as usize]
    }

    fn instance_mut(
        &mut self,
        step: StepIndex,
        instance: u32,
    ) -> Option<&mut super::state::Instance> {
        self.state
            .steps
            .get_mut(step as usize)?
            .instances
            .get_mut(instance as usize)
    }

    fn break_off(&mut self, reason: String) {
        self.fault.get_or_insert_with(|| reason.into());
    }

    /// Changes an instance's state by a row of the table.
    fn transit(
        &mut self,
        step: StepIndex,
        instance: u32,
        event: Event,
        to: StepState,
        due: Option<Time>,
        reason: Option<Arc<str>>,
    ) {
        let Some(inst) = self.instance_mut(step, instance) else {
            return self.break_off(format!("step {step} has no instance {instance}"));
        };
        let from = inst.state;
        if !table::allows(from, event, to) {
            let id = &self.step_plan(step).id;
            return self.break_off(format!(
                "no row {from} --{}--> {to} for {id}[{instance}]",
                event.as_str()
            ));
        }
        inst.state = to;
        inst.reason.clone_from(&reason);
        let (attempt, allowed) = (inst.attempt, inst.allowed);
        if to.is_terminal() || to == StepState::Pending {
            self.state.active.remove(&(step, instance));
        } else {
            self.state.active.insert((step, instance));
        }
        let reason = reason.unwrap_or_else(|| Arc::from(""));
        self.decisions.push(Decision::Instance {
            step,
            instance,
            attempt,
            from,
            to,
            event,
            allowed,
            due,
            reason,
        });
    }

    /// Changes the run's state by a row of the table.
    fn transit_run(&mut self, event: RunEvent, to: RunState, reason: Arc<str>) {
        let from = self.state.run;
        if !table::allows_run(from, event, to) {
            return self.break_off(format!("no row {from} --{}--> {to}", event.as_str()));
        }
        self.state.run = to;
        self.decisions.push(Decision::Run {
            from,
            to,
            event,
            reason,
        });
    }
}
