//! What a run's journal says, and what no journal may say.

use conveyor_engine::plan::{Plan, StepIndex};
use conveyor_engine::run::{
    AttemptState, Decision, Fact, Identity, Record, Run, RunState, StopKind,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What the store says of a run.
pub(super) struct Durable {
    pub(super) run: Run,
    pub(super) decisions: Vec<Decision>,
    /// Stops that are recorded.
    pub(super) stops: BTreeSet<StopKind>,
    /// The session of each claim.
    pub(super) claims: BTreeMap<Identity, Arc<str>>,
    ended: BTreeMap<Identity, AttemptState>,
    /// Attempts that were told to stop, in an earlier record than the one that ended them.
    pub(super) told: BTreeSet<Identity>,
    /// The attempt of each instance that was reported last.
    reported: BTreeMap<(StepIndex, u32), u32>,
    paused: bool,
}

impl Durable {
    pub(super) fn new(plan: Arc<Plan>) -> Durable {
        Durable {
            run: Run::new(plan),
            decisions: Vec::new(),
            stops: BTreeSet::new(),
            claims: BTreeMap::new(),
            ended: BTreeMap::new(),
            told: BTreeSet::new(),
            reported: BTreeMap::new(),
            paused: false,
        }
    }

    /// Folds the next record.
    pub(super) fn take(&mut self, record: &Record) -> Result<(), String> {
        let folded = self.run.fold(record).map_err(|error| error.to_string())?;
        for entry in &record.entries {
            match &entry.fact {
                Fact::Stopped(stop) => drop(self.stops.insert(stop.kind)),
                Fact::Reported(report) => {
                    let instance = (report.id.step, report.id.instance);
                    self.reported.insert(instance, report.id.attempt);
                }
                _ => {}
            }
        }
        let mut told = BTreeSet::new();
        for decision in &folded {
            match decision {
                Decision::Claimed { id, session } => {
                    if self.paused {
                        return Err(format!("{id} was claimed in a pause"));
                    }
                    if self.claims.insert(*id, Arc::clone(session)).is_some() {
                        return Err(format!("{id} was claimed twice"));
                    }
                }
                Decision::Attempt { id, state, .. } => {
                    if !self.claims.contains_key(id) {
                        return Err(format!("{id} ended and was never claimed"));
                    }
                    if self.ended.insert(*id, *state).is_some() {
                        return Err(format!("{id} ended twice"));
                    }
                }
                Decision::Cancel { id, .. } => drop(told.insert(*id)),
                Decision::Run { to, .. } => self.paused = *to == RunState::Paused,
                _ => {}
            }
        }
        told.retain(|id| !self.ended.contains_key(id));
        self.told.append(&mut told);
        self.decisions.extend(folded);
        Ok(())
    }

    pub(super) fn was_claimed(&self, id: Identity) -> bool {
        self.claims.contains_key(&id)
    }

    /// How an attempt ended.
    pub(super) fn ended(&self, id: Identity) -> Option<AttemptState> {
        self.ended.get(&id).copied()
    }

    /// Whether the attempt's report is the last of its instance: a repeat must be known as such.
    pub(super) fn reported_last(&self, id: Identity) -> bool {
        self.reported.get(&(id.step, id.instance)) == Some(&id.attempt)
    }

    /// The attempt of a plain step that succeeded.
    pub(super) fn succeeded(&self, step: StepIndex) -> Option<Identity> {
        let succeeded = |(id, state): (&Identity, &AttemptState)| {
            (id.step == step && *state == AttemptState::Succeeded).then_some(*id)
        };
        self.ended.iter().find_map(succeeded)
    }
}
