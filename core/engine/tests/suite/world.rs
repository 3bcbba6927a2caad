//! One run under a test's hand: a virtual clock, drivers that do what the test says, and a journal
//! that is folded again at the end.

use conveyor_engine::document;
use conveyor_engine::plan::StepIndex;
use conveyor_engine::run::{
    AttemptState, Claim, Decision, Detached, EndedAttempt, Fact, Failure, Identity, LostCause,
    Record, Rejected, Report, Run, RunState, Started, StepState, Stop, StopKind, decode_record,
    encode_record,
};
use conveyor_engine::time::{Duration, Time};
use conveyor_engine::value::{Json, Texts, Value};
use serde_json::json;
use std::sync::Arc;

/// A run and its journal.
pub(crate) struct World {
    pub(crate) run: Run,
    pub(crate) canonical: Arc<[u8]>,
    pub(crate) now: Time,
    pub(crate) journal: Vec<Record>,
    pub(crate) decisions: Vec<Decision>,
    /// What records named by hash.
    pub(crate) values: Texts,
}

/// No record of any test is longer: what a turn may record, and one unit more.
const RECORD_BYTES: usize = 2 << 20;

/// Nor does it name more: what a turn may store, and the longest value.
const STORED_BYTES: usize = 10 << 20;

/// A run of the pipeline whose `spec` is given.
pub(crate) fn world(spec: &str) -> World {
    world_with(spec, &json!({}))
}

/// The same, with inputs.
pub(crate) fn world_with(spec: &str, inputs: &Json) -> World {
    let mut world = World::unstarted(spec);
    let inputs = world
        .run
        .plan()
        .resolve_inputs(inputs)
        .expect("the inputs fit");
    world.apply(Fact::Started(Box::new(Started {
        run: Arc::from("01890a5d-ac96-774b-bcce-b302099a8057"),
        document: world.run.plan().digest,
        semantics: 1,
        inputs: Value::inline(&inputs),
        labels: Default::default(),
        annotations: Default::default(),
        actor: Arc::from("tester"),
        forked_from: None,
        inherited: Vec::new(),
        resource: None,
        event: None,
    })));
    world
}

impl World {
    pub(crate) fn unstarted(spec: &str) -> World {
        let mut text =
            String::from("apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {name: t}\nspec:\n");
        for line in spec.lines() {
            text.push_str("  ");
            text.push_str(line);
            text.push('\n');
        }
        let document = document::load("t.yaml", text.as_bytes()).unwrap_or_else(|errors| {
            let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
            panic!("the document is refused:\n{}\n{text}", all.join("\n"))
        });
        let plan = document.plan();
        World {
            run: Run::new(plan),
            canonical: document.canonical,
            now: Time(1_700_000_000_000),
            journal: Vec::new(),
            decisions: Vec::new(),
            values: Texts::new(),
        }
    }

    /// Applies a fact and the turns that it leaves, each as a record of its own.
    #[track_caller]
    pub(crate) fn apply(&mut self, fact: Fact) -> &mut World {
        self.try_apply(fact).expect("the fact is taken");
        self
    }

    pub(crate) fn try_apply(&mut self, fact: Fact) -> Result<(), Rejected> {
        let mut fact = Some(fact);
        while let Some(next) = fact.take() {
            let decisions = self.run.apply(self.now, next, &self.values)?;
            self.decisions.extend(decisions);
            let sealed = self.run.take_record().expect("a fact makes a record");
            let bytes = encode_record(&sealed.record);
            let stored: usize = sealed.values.iter().map(|(_, text)| text.len()).sum();
            assert!(
                bytes.len() <= RECORD_BYTES && stored <= STORED_BYTES,
                "a record has {} bytes, and names {stored}",
                bytes.len()
            );
            self.values.extend(sealed.values);
            let read = decode_record(&bytes).expect("a record reads back");
            assert_eq!(read, sealed.record);
            self.journal.push(read);
            if self.run.wants_turn() {
                fact = Some(Fact::Turn);
            }
        }
        Ok(())
    }

    #[track_caller]
    fn find(&self, name: &str) -> (StepIndex, u32) {
        let (id, instance) = match name.split_once('[') {
            Some((id, rest)) => (id, rest.trim_end_matches(']').parse().expect("an index")),
            None => (name, 0),
        };
        let step = self.run.plan().index.get(id);
        (*step.unwrap_or_else(|| panic!("no step {id}")), instance)
    }

    #[track_caller]
    pub(crate) fn current(&self, name: &str) -> Identity {
        let (step, instance) = self.find(name);
        let attempt = self
            .run
            .instance(step, instance)
            .map_or(0, |inst| inst.attempt);
        Identity {
            step,
            instance,
            attempt,
        }
    }

    /// A session takes the next attempt.
    #[track_caller]
    pub(crate) fn claim(&mut self, name: &str) -> &mut World {
        let mut id = self.current(name);
        id.attempt += 1;
        self.apply(Fact::Claimed(Claim {
            id,
            nonce: 7,
            session: Arc::from("s1"),
            version: Arc::from("1"),
            schema: None,
        }))
    }

    /// Takes everything that is offered.
    pub(crate) fn claim_all(&mut self) -> &mut World {
        for id in self.run.pending().offers {
            self.apply(Fact::Claimed(Claim {
                id,
                nonce: 7,
                session: Arc::from("s1"),
                version: Arc::from("1"),
                schema: None,
            }));
        }
        self
    }

    #[track_caller]
    pub(crate) fn report(
        &mut self,
        name: &str,
        state: AttemptState,
        outputs: Option<Json>,
        failure: Option<Failure>,
    ) -> &mut World {
        let id = self.current(name);
        let outputs = outputs.map(|json| Value::inline(&json));
        self.apply(Fact::Reported(Report {
            id,
            result: EndedAttempt {
                state,
                outputs,
                failure,
            },
            last_log: None,
        }))
    }

    #[track_caller]
    pub(crate) fn succeed(&mut self, name: &str) -> &mut World {
        self.report(name, AttemptState::Succeeded, Some(json!({})), None)
    }

    #[track_caller]
    pub(crate) fn succeed_with(&mut self, name: &str, outputs: Json) -> &mut World {
        self.report(name, AttemptState::Succeeded, Some(outputs), None)
    }

    #[track_caller]
    pub(crate) fn fail(&mut self, name: &str) -> &mut World {
        self.report(name, AttemptState::Failed, None, Some(failure("no")))
    }

    #[track_caller]
    pub(crate) fn error(&mut self, name: &str) -> &mut World {
        self.report(name, AttemptState::Errored, None, Some(failure("broken")))
    }

    #[track_caller]
    pub(crate) fn acknowledge_cancel(&mut self, name: &str) -> &mut World {
        self.report(name, AttemptState::Cancelled, None, None)
    }

    #[track_caller]
    pub(crate) fn lose(&mut self, name: &str, cause: LostCause) -> &mut World {
        let id = self.current(name);
        self.apply(Fact::Lost { id, cause })
    }

    /// Goes on without its session, for so many seconds from now.
    #[track_caller]
    pub(crate) fn detach(&mut self, name: &str, seconds: u64) -> &mut World {
        let id = self.current(name);
        let until = self.now.after(Duration::secs(seconds));
        let principals = vec![Arc::from("ci"), Arc::from("job")];
        self.apply(Fact::Detached(Detached {
            id,
            until,
            principals,
        }))
    }

    /// Claims and succeeds, in one.
    #[track_caller]
    pub(crate) fn done(&mut self, name: &str) -> &mut World {
        self.claim(name).succeed(name)
    }

    pub(crate) fn stop(&mut self, kind: StopKind) -> &mut World {
        self.apply(Fact::Stopped(Stop {
            kind,
            actor: Arc::from("ann"),
            reason: Arc::from(""),
        }))
    }

    pub(crate) fn pause(&mut self) -> &mut World {
        self.apply(Fact::Paused {
            actor: Arc::from("ann"),
            reason: Arc::from(""),
        })
    }

    pub(crate) fn resume(&mut self) -> &mut World {
        self.apply(Fact::Resumed {
            actor: Arc::from("ann"),
            reason: Arc::from(""),
        })
    }

    /// Lets time pass; every timer that comes due on the way is applied at its instant.
    pub(crate) fn pass(&mut self, text: &str) -> &mut World {
        let until = self.now.after(Duration::parse(text).expect("a duration"));
        while let Some((due, key)) = self.run.next_timer().filter(|(due, _)| *due <= until) {
            self.now = self.now.max(due);
            self.apply(Fact::TimerDue(key));
        }
        self.now = until;
        self
    }

    /// The states of steps or instances, as `a=succeeded b[1]=failed`.
    #[track_caller]
    pub(crate) fn expect(&mut self, states: &str) -> &mut World {
        let found: Vec<String> = states
            .split_whitespace()
            .map(|pair| {
                let name = pair.split('=').next().unwrap_or_default();
                let (step, instance) = self.find(name);
                let state = if name.contains('[') {
                    self.run
                        .instance(step, instance)
                        .map_or(StepState::Pending, |inst| inst.state)
                } else {
                    self.run.step(step).state
                };
                format!("{name}={state}")
            })
            .collect();
        assert_eq!(found.join(" "), states);
        self
    }

    #[track_caller]
    pub(crate) fn reason(&mut self, name: &str, part: &str) -> &mut World {
        let (step, instance) = self.find(name);
        let reason = if name.contains('[') {
            self.run.instance(step, instance).map(|inst| inst.reason)
        } else {
            Some(self.run.step(step).reason)
        };
        let reason = reason.unwrap_or_else(|| Arc::from(""));
        assert!(
            reason.contains(part),
            "the reason of {name} is `{reason}`, not `{part}`"
        );
        self
    }

    /// The run's state; then the journal is folded from nothing, and must give the same.
    #[track_caller]
    pub(crate) fn ends(&mut self, state: RunState) {
        assert_eq!(self.run.state(), state);
        self.refold();
    }

    /// Folds the journal from nothing and compares.
    #[track_caller]
    /// Why the run is in its state.
    pub(crate) fn run_reason(&self) -> &str {
        let reasons = self.decisions.iter().rev();
        let mut reasons = reasons.filter_map(|decision| match decision {
            Decision::Run { reason, .. } => Some(&**reason),
            _ => None,
        });
        reasons.next().unwrap_or_default()
    }

    pub(crate) fn refold(&mut self) {
        crate::journals::keep(self);
        let mut again = Run::new(Arc::clone(self.run.plan()));
        let mut decisions = Vec::new();
        for record in &self.journal {
            decisions.extend(again.fold(record).expect("the journal folds"));
        }
        assert_eq!(decisions, self.decisions);
        assert_eq!(again.pending(), self.run.pending());
        assert_eq!(again.state(), self.run.state());
        for step in 0..again.plan().steps.len() as StepIndex {
            assert_eq!(again.step(step), self.run.step(step));
            for instance in 0..again.step(step).instances {
                assert_eq!(
                    again.instance(step, instance),
                    self.run.instance(step, instance)
                );
            }
        }
    }

    /// The ids of what is offered, in order.
    pub(crate) fn offered(&self) -> String {
        let name = |id: &Identity| {
            let step = &self.run.plan().steps[id.step as usize];
            match step.fan {
                Some(_) => format!("{}[{}]", step.id, id.instance),
                None => step.id.to_string(),
            }
        };
        self.run
            .pending()
            .offers
            .iter()
            .map(name)
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// The `with` of an instance that is queued or runs.
    #[track_caller]
    pub(crate) fn with(&self, name: &str) -> Json {
        let id = self.current(name);
        match self.run.task(id).expect("a task").with {
            Value::Inline(text) => serde_json::from_slice(&text).expect("JSON"),
            Value::Stored { .. } => panic!("the value is stored"),
        }
    }
}

pub(crate) fn failure(code: &str) -> Failure {
    Failure {
        code: Arc::from(code),
        message: Arc::from("it said no"),
        details: None,
        retryable: None,
        retry_after_millis: None,
    }
}
