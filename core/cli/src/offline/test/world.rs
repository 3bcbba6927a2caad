//! Stands in for node, drivers and clock: time goes to the next thing that happens.

use super::cases::{ActionVerb, Case};
use super::mocks::Mock;
use crate::render::view::{ProgressEvent, RunView, What};
use conveyor_engine::plan::Plan;
use conveyor_engine::run::{
    AttemptState, Claim, Decision, EndedAttempt, Fact, Identity, Record, Rejected, Report, Run,
    RunState, SEMANTICS, Started, StepState, Stop, StopKind, Values, Waiting,
};
use conveyor_engine::time::Time;
use conveyor_engine::value::{Hash, Json, Value};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

/// Facts that a case may take. A pipeline that retries for ever would take more.
const MOST_FACTS: usize = 2_000_000;

/// A run that was played to its end, or to where nothing more happens.
#[derive(Debug)]
pub(super) struct Played {
    /// The run.
    pub(super) run: Run,
    /// The same as people see it.
    pub(super) view: RunView,
    /// `with` of the last attempt of each instance.
    pub(super) with: BTreeMap<(u32, u32), Json>,
    /// Steps in the order in which they began.
    pub(super) order: Vec<u32>,
    /// When it ended.
    pub(super) now: Time,
    /// What of the case was for nothing that came, a sentence each.
    pub(super) unused: Vec<String>,
    stored: Stored,
}

impl Played {
    /// The JSON of a value of the run.
    pub(super) fn read(&self, value: &Value) -> Json {
        self.stored.read(value)
    }
}

/// Values that the run's records name by hash.
#[derive(Debug, Default)]
struct Stored(BTreeMap<Hash, Arc<[u8]>>);

impl Values for Stored {
    fn get(&self, hash: &Hash) -> Option<Arc<[u8]>> {
        self.0.get(hash).cloned()
    }
}

impl Stored {
    fn read(&self, value: &Value) -> Json {
        let text = match value {
            Value::Inline(text) => Some(Arc::clone(text)),
            Value::Stored { hash, .. } => self.get(hash),
        };
        text.and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or(Json::Null)
    }
}

/// What will happen at an instant; among equal instants the order in which it was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Coming {
    End(Identity),
    Act(usize),
}

struct World<'a> {
    case: &'a Case,
    plan: &'a Arc<Plan>,
    played: Played,
    coming: BinaryHeap<Reverse<(Time, u64, Coming)>>,
    /// Attempts that go on, with what each gives.
    running: BTreeMap<Identity, Mock>,
    records: Vec<Record>,
    count: u64,
    facts: usize,
    /// Whether `pending` may have something new.
    stale: bool,
    /// Steps that began.
    began: BTreeSet<u32>,
}

/// Plays a case to its end.
///
/// # Errors
/// A sentence, when the engine does not take what it is told, or nothing moves the run.
pub(super) fn play(case: &Case, plan: &Arc<Plan>, inputs: &Json) -> Result<Played, String> {
    let id = "01941f29-7c00-7000-8000-000000000000";
    let mut view = RunView::new(id, plan);
    view.inputs = inputs.clone();
    let mut world = World {
        case,
        plan,
        played: Played {
            run: Run::new(Arc::clone(plan)),
            view,
            with: BTreeMap::new(),
            order: Vec::new(),
            now: case.at,
            unused: Vec::new(),
            stored: Stored::default(),
        },
        coming: BinaryHeap::new(),
        running: BTreeMap::new(),
        records: Vec::new(),
        count: 0,
        facts: 0,
        stale: true,
        began: BTreeSet::new(),
    };
    for (index, action) in case.actions.iter().enumerate() {
        world.expect(case.at.after(action.after), Coming::Act(index));
    }
    world.take(Fact::Started(Box::new(Started {
        run: Arc::from(id),
        document: plan.digest,
        semantics: SEMANTICS,
        inputs: Value::inline(inputs),
        labels: case.labels.clone(),
        annotations: Default::default(),
        actor: Arc::from("conveyor test"),
        forked_from: None,
        inherited: Vec::new(),
        resource: None,
        event: None,
    })))?;
    world.go_on()?;
    world.fold_again()?;
    world.played.unused = world.unused();
    Ok(world.played)
}

impl World<'_> {
    fn expect(&mut self, at: Time, what: Coming) {
        self.count += 1;
        self.coming.push(Reverse((at, self.count, what)));
    }

    /// One thing after the other, until the run has ended.
    fn go_on(&mut self) -> Result<(), String> {
        loop {
            while self.played.run.wants_turn() && !self.ended() {
                self.take(Fact::Turn)?;
            }
            if self.ended() {
                return Ok(());
            }
            if std::mem::take(&mut self.stale) {
                self.obey()?;
                continue;
            }
            let timer = self.played.run.next_timer();
            let coming = self
                .coming
                .peek()
                .map(|Reverse((at, _, what))| (*at, *what));
            match (coming, timer) {
                // A result that comes with the end of its time still counts.
                (Some((at, what)), timer) if timer.is_none_or(|(due, _)| at <= due) => {
                    self.coming.pop();
                    self.played.now = self.played.now.max(at);
                    self.happens(what)?;
                }
                (_, Some((due, key))) => {
                    self.played.now = self.played.now.max(due);
                    self.stale = true;
                    self.take(Fact::TimerDue(key))?;
                }
                (_, None) => return Err(self.stuck()),
            }
        }
    }

    fn ended(&self) -> bool {
        self.played.run.state().is_terminal()
    }

    /// Claims what is offered, in order, and stops what is to stop.
    fn obey(&mut self) -> Result<(), String> {
        let pending = self.played.run.pending();
        for order in &pending.cancels {
            let Some(mock) = self.running.get(&order.id) else {
                continue;
            };
            if mock.ignores_cancel {
                continue;
            }
            self.running.remove(&order.id);
            let result = EndedAttempt {
                state: AttemptState::Cancelled,
                outputs: None,
                failure: None,
            };
            let report = Report {
                id: order.id,
                result,
                last_log: None,
            };
            self.take(Fact::Reported(report))?;
            self.stale = true;
        }
        for id in pending.offers {
            if self.ended() || self.stale {
                // What was offered may be so no longer; `pending` is asked again.
                return Ok(());
            }
            self.claim(id)?;
        }
        Ok(())
    }

    fn claim(&mut self, id: Identity) -> Result<(), String> {
        let run = &self.played.run;
        let params = self.params(id.step, id.instance);
        if let Some(task) = run.task(id) {
            let with = self.played.stored.read(&task.with);
            self.played.with.insert((id.step, id.instance), with);
        }
        let step = &self.plan.steps[id.step as usize];
        let mock = match self.case.steps.get(&*step.id) {
            Some(mock) => mock.attempt(id.attempt, id.instance, params.as_ref()),
            None => Mock::default(),
        };
        if !mock.hangs {
            self.expect(self.played.now.after(mock.duration), Coming::End(id));
        }
        self.running.insert(id, mock);
        let stale = self.stale;
        self.take(Fact::Claimed(Claim {
            id,
            nonce: self.count,
            session: Arc::from("test"),
            version: Arc::from("test"),
            schema: None,
        }))?;
        // A claim by itself makes nothing new.
        self.stale = stale;
        Ok(())
    }

    fn happens(&mut self, what: Coming) -> Result<(), String> {
        match what {
            Coming::End(id) => match self.running.remove(&id) {
                Some(mock) => self.take(mock.fact(id)),
                // It was stopped before.
                None => Ok(()),
            },
            Coming::Act(index) => {
                let action = &self.case.actions[index];
                let (actor, reason) = (Arc::from("somebody"), Arc::from(action.reason.as_str()));
                let stop = |kind| {
                    Fact::Stopped(Stop {
                        kind,
                        actor: Arc::clone(&actor),
                        reason: Arc::clone(&reason),
                    })
                };
                let fact = match action.verb {
                    ActionVerb::Cancel => stop(StopKind::Cancel),
                    ActionVerb::Drain => stop(StopKind::Drain),
                    ActionVerb::Terminate => stop(StopKind::Terminate),
                    ActionVerb::Pause => Fact::Paused { actor, reason },
                    ActionVerb::Resume => Fact::Resumed { actor, reason },
                };
                self.stale = true;
                self.take(fact).map_err(|rejected| {
                    let state = self.played.run.state();
                    format!(
                        "{}: {rejected}: the run is {state}",
                        action.described(index)
                    )
                })
            }
        }
    }

    /// Hands the engine a fact and keeps its record.
    fn take(&mut self, fact: Fact) -> Result<(), String> {
        self.facts += 1;
        if self.facts > MOST_FACTS {
            return Err(format!("the case takes more than {MOST_FACTS} facts"));
        }
        let Played {
            run, stored, now, ..
        } = &mut self.played;
        let decisions = match run.apply(*now, fact, stored) {
            Ok(decisions) => decisions,
            // Late for a claim that is over: what a node answers STALE, too.
            Err(Rejected::Stale | Rejected::Already) => return Ok(()),
            Err(rejected) => return Err(rejected.to_string()),
        };
        if let Some(sealed) = run.take_record() {
            stored.0.extend(sealed.values);
            self.records.push(sealed.record);
        }
        decisions.iter().for_each(|decision| self.see(decision));
        Ok(())
    }

    fn see(&mut self, decision: &Decision) {
        let mut event = ProgressEvent::decided(self.played.now, decision);
        match decision {
            Decision::Instance { step, to, .. } => {
                let began = matches!(
                    to,
                    StepState::Queued | StepState::Running | StepState::Waiting
                );
                self.stale |= *to == StepState::Queued;
                if began && self.began.insert(*step) {
                    self.played.order.push(*step);
                }
            }
            Decision::Run { .. } | Decision::Cancel { .. } => self.stale = true,
            Decision::Expanded { step, instances } => {
                let params = (0..*instances)
                    .map(|instance| self.params(*step, instance).unwrap_or(Json::Null));
                let instances = Ok(params.collect());
                event.what = What::Expanded {
                    step: *step as usize,
                    instances,
                };
            }
            _ => {}
        }
        self.played.view.apply(&event);
    }

    /// Mocks of instances that there were not, and actions after the end: a typing error in a case
    /// must not pass for a test.
    fn unused(&self) -> Vec<String> {
        let mut unused = Vec::new();
        let run = &self.played.run;
        for (id, mock) in &self.case.steps {
            let Some(step) = self.plan.step(id) else {
                continue;
            };
            // A step that was left out has no instances to compare.
            let count = run.step(step).instances;
            let params: Vec<_> = (0..count)
                .map(|instance| self.params(step, instance).unwrap_or(Json::Null))
                .collect();
            if count > 0 {
                unused.extend(mock.strays(&params).map(|(at, said)| {
                    format!("steps.{id}.instances[{at}]: {said}, and none of the {count} instances is that")
                }));
            }
        }
        let mut late: Vec<usize> = self
            .coming
            .iter()
            .filter_map(|Reverse((_, _, what))| match what {
                Coming::Act(index) => Some(*index),
                Coming::End(_) => None,
            })
            .collect();
        late.sort_unstable();
        let ended = self.played.now.since(self.case.at);
        unused.extend(late.into_iter().map(|index| {
            let action = self.case.actions[index].described(index);
            format!("{action}: the run had ended after {ended}")
        }));
        unused
    }

    /// The parameters of an instance.
    fn params(&self, step: u32, instance: u32) -> Option<Json> {
        let item = self.played.run.instance(step, instance)?.params?;
        item.read(&self.played.stored)
    }

    /// Why nothing happens any more.
    fn stuck(&self) -> String {
        let run = &self.played.run;
        if run.state() == RunState::Paused {
            return "the run is paused and no action resumes it".to_owned();
        }
        let mut open = BTreeSet::new();
        for (index, step) in self.plan.steps.iter().enumerate() {
            match run.waiting(index as u32) {
                Some(Waiting::Driver(driver, _)) => {
                    open.insert(format!("`{}` waits for the driver {driver}", step.id));
                }
                Some(_) => {}
                None if run.step(index as u32).state == StepState::Running => {
                    open.insert(format!("`{}` hangs and has no timeout", step.id));
                }
                None => {}
            }
        }
        format!(
            "nothing moves the run: {}",
            open.into_iter().collect::<Vec<_>>().join(", ")
        )
    }

    /// Folds the journal: a run is what its records say, here as after a crash.
    fn fold_again(&self) -> Result<(), String> {
        let mut again = Run::new(Arc::clone(self.plan));
        for record in &self.records {
            again
                .fold(record)
                .map_err(|error| format!("the journal does not fold: {error}"))?;
        }
        for step in 0..self.plan.steps.len() as u32 {
            if again.step(step) != self.played.run.step(step) {
                let id = &self.plan.steps[step as usize].id;
                return Err(format!("the journal folds to another state of `{id}`"));
            }
        }
        Ok(())
    }
}
