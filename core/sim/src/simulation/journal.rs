//! What a run's journal says, and what no journal may say.

use conveyor_engine::plan::{Plan, StepIndex};
use conveyor_engine::run::{
    AttemptState, Decision, Fact, Failure, Identity, Record, Run, RunState, StepState, StopKind,
    TimerKey, TimerKind,
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
    /// How many attempts of each instance count against `retry.attempts`.
    tries: BTreeMap<(StepIndex, u32), u32>,
    /// Attempts that go on without their sessions.
    detached: BTreeSet<Identity>,
    /// Timers that were due. Each at most once.
    fired: BTreeSet<TimerKey>,
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
            tries: BTreeMap::new(),
            detached: BTreeSet::new(),
            fired: BTreeSet::new(),
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
                Fact::Detached(detached) => drop(self.detached.insert(detached.id)),
                Fact::Lost { id, cause } if self.detached.contains(id) => {
                    return Err(format!(
                        "{id} went on without its session and was lost: {cause:?}"
                    ));
                }
                Fact::TimerDue(key) if !self.fired.insert(*key) => {
                    return Err(format!("the timer {key:?} was due twice"));
                }
                _ => {}
            }
        }
        let mut told = BTreeSet::new();
        let mut failed: BTreeMap<Identity, &Option<Failure>> = BTreeMap::new();
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
                Decision::Attempt {
                    id, state, failure, ..
                } => {
                    if !self.claims.contains_key(id) {
                        return Err(format!("{id} ended and was never claimed"));
                    }
                    if self.ended.insert(*id, *state).is_some() {
                        return Err(format!("{id} ended twice"));
                    }
                    self.count_try(*id, *state)?;
                    if *state == AttemptState::Failed {
                        failed.insert(*id, failure);
                    }
                }
                Decision::Instance {
                    step,
                    instance,
                    attempt,
                    to: StepState::Failed,
                    ..
                } => {
                    let id = Identity {
                        step: *step,
                        instance: *instance,
                        attempt: *attempt,
                    };
                    if let Some(failure) = failed.get(&id) {
                        self.check_given_up(id, failure.as_ref())?;
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

    /// No instance is tried more often than `retry.attempts` says (SEMANTICS 10).
    fn count_try(&mut self, id: Identity, state: AttemptState) -> Result<(), String> {
        if matches!(state, AttemptState::Lost | AttemptState::Cancelled) {
            return Ok(());
        }
        let tries = self.tries.entry((id.step, id.instance)).or_default();
        *tries += 1;
        let retry = &self.run.plan().steps[id.step as usize].retry;
        let most = retry.as_ref().map_or(1, |retry| retry.attempts);
        if *tries > most {
            return Err(format!("{id} was try {tries}, `retry.attempts` is {most}"));
        }
        Ok(())
    }

    /// An instance that failed had no try left, whatever became of attempts that were lost. Where
    /// more than the count decides, the reference model says what is right.
    fn check_given_up(&self, id: Identity, failure: Option<&Failure>) -> Result<(), String> {
        let plan = self.run.plan();
        let step = &plan.steps[id.step as usize];
        let Some(retry) = &step.retry else {
            return Ok(());
        };
        let refused = failure.and_then(|failure| failure.retryable) == Some(false);
        let timed_out = self.fired.iter().any(|key| key.kind == TimerKind::Run);
        let stopping = !self.stops.is_empty() || timed_out;
        let open = retry.on_failure && retry.condition.is_none() && step.timeouts.total.is_none();
        let tries = self.tries.get(&(id.step, id.instance)).copied();
        if open && !refused && !stopping && tries < Some(retry.attempts) {
            return Err(format!(
                "{id} was the last try after {tries:?} of {} that count",
                retry.attempts
            ));
        }
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
