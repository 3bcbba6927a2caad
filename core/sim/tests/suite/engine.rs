//! The engine behind the model's inputs and views.

use crate::plan::plan_of;
use conveyor_engine::run::{
    AttemptState, Claim, EndedAttempt, Fact, Failure, Identity, LostCause, NoValues, Rejected,
    Report, Run, SEMANTICS, Started, Stop, StopKind,
};
use conveyor_engine::time::Time;
use conveyor_engine::value::Value;
use conveyor_sim::model::{AttemptResult, Input, InstanceView, Pipeline, StepView, View};
use std::collections::BTreeMap;
use std::sync::Arc;

/// When every run here starts: any instant does, but 0 would hide a missing addition.
const START: u64 = 1_000_000;

/// A run of the engine, and a second one that only ever folds the records of the first.
pub(crate) struct Engine {
    run: Run,
    fold: Run,
    now: u64,
    nonce: u64,
}

impl Engine {
    pub(crate) fn new(pipeline: &Pipeline) -> Engine {
        let (plan, inputs) = plan_of(pipeline);
        let digest = plan.digest;
        let mut engine = Engine {
            run: Run::new(Arc::clone(&plan)),
            fold: Run::new(plan),
            now: 0,
            nonce: 0,
        };
        engine.take(Fact::Started(Box::new(Started {
            run: Arc::from("0190a6f0-0000-7000-8000-000000000000"),
            document: digest,
            semantics: SEMANTICS,
            inputs: Value::inline(&inputs),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            actor: Arc::from("test"),
            forked_from: None,
            inherited: Vec::new(),
            resource: None,
            event: None,
        })));
        engine
    }

    /// One input, all turns that it asks for, and one record, folded by the other run.
    pub(crate) fn apply(&mut self, input: &Input) {
        match input {
            Input::Advance(millis) => self.advance(self.now + millis),
            Input::Claim { step, instance } => {
                let id = self.identity(*step, *instance, 1);
                self.nonce += 1;
                self.take(Fact::Claimed(Claim {
                    id,
                    nonce: self.nonce,
                    session: Arc::from("session"),
                    version: Arc::from("1.0.0"),
                    schema: None,
                }));
            }
            Input::Report {
                step,
                instance,
                result,
            } => {
                let id = self.identity(*step, *instance, 0);
                let result = ended(*result);
                self.take(Fact::Reported(Report {
                    id,
                    result,
                    last_log: None,
                }));
            }
            Input::Lost {
                step,
                instance,
                cause,
            } => {
                self.lose(*step, *instance, *cause);
            }
            Input::Stop(kind) => self.stop(*kind),
            Input::Pause => self.take(Fact::Paused {
                actor: actor(),
                reason: Arc::from(""),
            }),
            Input::Resume => self.take(Fact::Resumed {
                actor: actor(),
                reason: Arc::from(""),
            }),
        }
    }

    fn lose(&mut self, step: usize, instance: usize, cause: LostCause) {
        let id = self.identity(step, instance, 0);
        self.take(Fact::Lost { id, cause });
    }

    fn stop(&mut self, kind: StopKind) {
        self.take(Fact::Stopped(Stop {
            kind,
            actor: actor(),
            reason: Arc::from(""),
        }));
    }

    fn advance(&mut self, to: u64) {
        while let Some((due, key)) = self.run.next_timer() {
            let due = due.0.saturating_sub(START).max(self.now);
            if due > to {
                break;
            }
            self.now = due;
            self.take(Fact::TimerDue(key));
        }
        self.now = to;
    }

    fn take(&mut self, fact: Fact) {
        let now = Time(START + self.now);
        let said = format!("{fact:?}");
        match self.run.apply(now, fact, &NoValues) {
            // Requests that change nothing are refused or recorded, as the engine likes.
            Ok(_) | Err(Rejected::NoChange | Rejected::Ended(_)) => {}
            Err(rejected) => panic!("{said} at {}: {rejected}", self.now),
        }
        while self.run.wants_turn() {
            self.run
                .apply(now, Fact::Turn, &NoValues)
                .expect("a turn that the run wants");
        }
        if let Some(sealed) = self.run.take_record() {
            self.fold.fold(&sealed.record).expect("a record folds");
        }
        assert_eq!(
            view(&self.run),
            view(&self.fold),
            "the fold agrees with the live run"
        );
    }

    fn identity(&self, step: usize, instance: usize, next: u32) -> Identity {
        let (step, instance) = (number(step), number(instance));
        let attempt = self
            .run
            .instance(step, instance)
            .map_or(0, |view| view.attempt);
        Identity {
            step,
            instance,
            attempt: attempt + next,
        }
    }

    pub(crate) fn view(&self) -> View {
        view(&self.run)
    }
}

fn view(run: &Run) -> View {
    let pending = run.pending();
    let place = |id: Identity| (id.step as usize, id.instance as usize, id.attempt);
    View {
        run: run.state(),
        steps: (0..run.plan().steps.len())
            .map(|step| step_view(run, number(step)))
            .collect(),
        offered: pending.offers.iter().map(|id| place(*id)).collect(),
        cancels: pending
            .cancels
            .iter()
            .map(|order| place(order.id))
            .collect(),
        due: pending.timer.map(|(due, _)| due.0.saturating_sub(START)),
        warnings: run.warnings(),
    }
}

fn step_view(run: &Run, step: u32) -> StepView {
    let seen = run.step(step);
    let ended = seen.state.is_terminal();
    let bad = !matches!(seen.state.as_str(), "succeeded" | "skipped");
    let allowed = ended && bad && seen.ok;
    let mut instances = (0..seen.instances)
        .filter_map(|at| run.instance(step, at))
        .map(|view| InstanceView {
            state: view.state,
            allowed: view.allowed,
            started: view.started,
            attempts: view.attempt,
            reason: view.reason.to_string(),
        })
        .collect::<Vec<_>>();
    // The engine makes a plain step's instance when its needs are met; it has no other state than
    // the step's before that.
    if instances.is_empty() && run.plan().steps[step as usize].fan.is_none() {
        instances.push(InstanceView {
            state: seen.state,
            allowed,
            started: false,
            attempts: 0,
            reason: seen.reason.to_string(),
        });
    }
    StepView {
        ended: ended.then_some(seen.state),
        allowed,
        reason: seen.reason.to_string(),
        instances: Some(instances),
    }
}

fn ended(result: AttemptResult) -> EndedAttempt {
    let failure = |code: &str, retryable, retry_after_millis| {
        Some(Failure {
            code: Arc::from(code),
            message: Arc::from("said the schedule"),
            details: None,
            retryable,
            retry_after_millis,
        })
    };
    let (state, failure) = match result {
        AttemptResult::Succeeded => (AttemptState::Succeeded, None),
        AttemptResult::Failed {
            retryable,
            retry_after,
        } => (AttemptState::Failed, failure("no", retryable, retry_after)),
        AttemptResult::Errored => (AttemptState::Errored, failure("output", None, None)),
        AttemptResult::Cancelled => (AttemptState::Cancelled, None),
    };
    let outputs =
        (result == AttemptResult::Succeeded).then(|| Value::inline(&serde_json::json!({})));
    EndedAttempt {
        state,
        outputs,
        failure,
    }
}

fn actor() -> Arc<str> {
    Arc::from("test")
}

fn number(at: usize) -> u32 {
    u32::try_from(at).expect("small")
}
