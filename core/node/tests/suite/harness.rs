//! An owner driven by hand: the store is in memory, time is what the test says, and every commit goes
//! as the test wants.

use conveyor_engine::document;
use conveyor_engine::plan::Plan;
use conveyor_engine::run::{
    AttemptState, EndedAttempt, Failure, Run, RunState, SNAPSHOT_FACTS, Stop, StopKind,
};
use conveyor_engine::time::{Duration, Time};
use conveyor_engine::value::{Value, canonical_bytes};
use conveyor_node::owner::{
    Answer, Config, Control, Group, Input, Outcome, Output, Owner, Reported, SessionInfo, Start,
    StartTask,
};
use conveyor_node::token::Claimed;
use conveyor_node::{NodeError, Plans, RunId, envelope, keys, storage};
use conveyor_proto::storage::v1::{RecordKind, RunSummary, StoredDocument};
use conveyor_store::{Memory, Store as _};
use prost::Message as _;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where the tests' time begins.
pub const START: Time = Time(1_800_000_000_000);

pub struct Harness {
    pub store: Arc<Memory>,
    pub plans: Plans,
    pub owner: Owner,
    pub now: Time,
    /// Tasks that were handed out and not reported.
    pub tasks: Vec<StartTask>,
    pub cancels: Vec<(Claimed, Arc<str>)>,
    pub aborts: Vec<Claimed>,
    /// Sessions whose connections were given up for their silence.
    pub silent: Vec<String>,
    pub answers: BTreeMap<u64, Result<Answer, NodeError>>,
    /// Every group that was committed.
    pub groups: Vec<Arc<Group>>,
    pub loads: usize,
    snapshot_facts: u64,
    ticket: u64,
    made: u8,
}

impl Harness {
    pub fn new(capacity: u32) -> Harness {
        Harness::over(
            Arc::new(Memory::new()),
            capacity,
            true,
            (1, SNAPSHOT_FACTS),
            START,
            &[],
        )
    }

    /// A process whose runs have snapshots after so many facts.
    pub fn with_snapshots(facts: u64) -> Harness {
        Harness::over(Arc::new(Memory::new()), 16, true, (1, facts), START, &[])
    }

    /// A new process over the store: what was in memory is gone.
    pub fn reopen(self, moves_all: bool) -> Harness {
        self.reopen_with(moves_all, &[])
    }

    /// A new process that finds these sessions.
    pub fn reopen_with(self, moves_all: bool, sessions: &[SessionInfo]) -> Harness {
        let how = (100, self.snapshot_facts);
        let mut next = Harness::over(self.store, 16, moves_all, how, self.now, sessions);
        next.made = self.made;
        next.ticket = self.ticket;
        next.answers = self.answers;
        next
    }

    fn over(
        store: Arc<Memory>,
        capacity: u32,
        moves_all: bool,
        (seed, snapshot_facts): (u64, u64),
        now: Time,
        sessions: &[SessionInfo],
    ) -> Harness {
        let point = storage::acquire(store.as_ref(), seed).unwrap();
        let mut nonce = seed * 1000 + point.epoch;
        let config = Config {
            moves_all,
            snapshot_facts,
            ..Config::default()
        };
        let mut owner = Owner::new(
            config,
            point,
            Box::new(move || {
                nonce += 1;
                nonce
            }),
        );
        let drivers = ["exec", "other"].map(|name| (Arc::from(name), Arc::from("1.2.3")));
        let id = format!("session-{}", point.epoch);
        let schemas = std::collections::BTreeMap::new();
        let info = SessionInfo::in_process(&id, drivers.into(), schemas, capacity);
        for session in sessions {
            owner.handle(now, Input::Register(session.clone()));
        }
        owner.handle(now, Input::Register(info));
        if moves_all {
            for (run, _) in storage::quarantines(store.as_ref()).unwrap() {
                owner.recover_quarantined(run);
            }
            for (run, entry) in storage::live_entries(store.as_ref()).unwrap() {
                owner.recover(run, &entry);
            }
        }
        let mut harness = Harness {
            store,
            plans: Plans::new(),
            owner,
            now,
            tasks: Vec::new(),
            cancels: Vec::new(),
            aborts: Vec::new(),
            silent: Vec::new(),
            answers: BTreeMap::new(),
            groups: Vec::new(),
            loads: 0,
            snapshot_facts,
            ticket: 0,
            made: 0,
        };
        harness.tick();
        harness
    }

    /// Takes what happened, without committing anything.
    pub fn handle(&mut self, input: Input) {
        self.owner.handle(self.now, input);
        self.outputs();
    }

    fn outputs(&mut self) {
        loop {
            let outputs = self.owner.outputs();
            if outputs.is_empty() {
                return;
            }
            for output in outputs {
                self.output(output);
            }
        }
    }

    fn output(&mut self, output: Output) {
        match output {
            Output::Answer { ticket, answer } => {
                assert!(
                    self.answers.insert(ticket, answer).is_none(),
                    "answered twice"
                );
            }
            Output::Start(task) => self.tasks.push(*task),
            Output::Cancel {
                claimed, reason, ..
            } => self.cancels.push((claimed, reason)),
            Output::Abort {
                claimed, session, ..
            } => {
                self.tasks.retain(|task| task.claimed != claimed);
                self.aborts.push(claimed);
                self.owner
                    .handle(self.now, Input::Released { session, claimed });
            }
            Output::Load { run } => {
                self.loads += 1;
                let loaded = storage::load(self.store.as_ref(), &self.plans, run);
                self.owner.handle(self.now, Input::Loaded { run, loaded });
            }
            Output::LoadValues { run, hashes } => {
                let values = storage::load_values(self.store.as_ref(), run, &hashes);
                self.owner.handle(self.now, Input::Values { run, values });
            }
            Output::ReadCommit => {
                let point = storage::commit_point(self.store.as_ref()).unwrap();
                self.owner.handle(self.now, Input::CommitKey(point));
            }
            Output::Snapshot { run, kept } => {
                let kept = storage::keep_snapshot(self.store.as_ref(), run, &kept).unwrap();
                kept.iter().for_each(|one| self.store.commit(one).unwrap());
            }
            Output::DropSnapshots { run } => {
                let gone = storage::drop_snapshots(self.store.as_ref(), run).unwrap();
                self.store.commit(&gone).unwrap();
            }
            Output::Silent { session } => self.silent.push(session.to_string()),
            Output::Changed { .. } | Output::SessionOver { .. } | Output::Deposed => {}
        }
    }

    /// Commits one group as a store would, if there is one.
    pub fn commit(&mut self) -> bool {
        self.commit_as(|store, group| {
            storage::outcome(group, store.commit(&storage::transaction(group)))
        })
    }

    /// Commits one group as the test says, if there is one.
    pub fn commit_as(&mut self, commit: impl FnOnce(&Memory, &Group) -> Outcome) -> bool {
        let Some(group) = self.owner.next_group(self.now) else {
            return false;
        };
        let outcome = commit(&self.store, &group);
        if outcome == Outcome::Committed {
            self.groups.push(group);
        }
        self.handle(Input::Committed(outcome));
        true
    }

    /// Goes on until nothing is left to do now.
    pub fn settle(&mut self) {
        self.outputs();
        loop {
            let committed = self.commit();
            let turned = self.owner.turn(self.now);
            self.outputs();
            if !committed && !turned {
                return;
            }
        }
    }

    /// Lets time pass, timers fire, and everything settle.
    pub fn pass(&mut self, duration: Duration) {
        let end = self.now.after(duration);
        while let Some(due) = self.owner.next_due().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.tick();
        }
        self.now = end;
        self.tick();
    }

    fn tick(&mut self) {
        self.handle(Input::Tick);
        self.settle();
    }

    pub fn ask(&mut self, input: impl FnOnce(u64) -> Input) -> u64 {
        self.ticket += 1;
        let input = input(self.ticket);
        self.handle(input);
        self.ticket
    }

    /// Starts a run and settles.
    pub fn start(&mut self, yaml: &str) -> RunId {
        let (run, ticket) = self.submit(yaml);
        self.settle();
        assert_eq!(
            self.answers[&ticket],
            Ok(Answer::Started { existed: false })
        );
        run
    }

    /// Asks for a run to start.
    pub fn submit(&mut self, yaml: &str) -> (RunId, u64) {
        self.made += 1;
        // Version 7, variant 2, as the tests' ids in order.
        let mut id = [0; 16];
        (id[5], id[6], id[8]) = (self.made, 0x70, 0x80);
        let run = RunId(id);
        let start = start(run, yaml);
        let ticket = self.ask(|ticket| Input::Start {
            ticket,
            start: Box::new(start),
        });
        (run, ticket)
    }

    pub fn control(&mut self, run: RunId, control: Control) -> Result<Answer, NodeError> {
        let ticket = self.ask(|ticket| Input::Control {
            ticket,
            run,
            control,
        });
        self.settle();
        self.answers[&ticket].clone()
    }

    pub fn stop(&mut self, run: RunId, kind: StopKind) -> Result<Answer, NodeError> {
        let stop = Stop {
            kind,
            actor: "test".into(),
            reason: "because".into(),
        };
        self.control(run, Control::Stop(stop))
    }

    /// The task of a step, taken from those that were handed out.
    pub fn take(&mut self, step: &str) -> StartTask {
        let at = self.tasks.iter().position(|task| step_of(task) == step);
        let known: Vec<_> = self.tasks.iter().map(step_of).collect();
        self.tasks
            .remove(at.unwrap_or_else(|| panic!("no task of {step}, only {known:?}")))
    }

    /// Reports a step as succeeded, without committing.
    pub fn succeed(&mut self, step: &str) -> u64 {
        let task = self.take(step);
        self.report(&task, succeeded())
    }

    pub fn report(&mut self, task: &StartTask, result: EndedAttempt) -> u64 {
        let report = Reported {
            claimed: task.claimed,
            result,
            last_log: None,
            values: Vec::new(),
        };
        self.ask(|ticket| Input::Report {
            ticket,
            report: Box::new(report),
        })
    }

    /// The run as the store has it.
    pub fn stored(&self, run: RunId) -> Run {
        match storage::load(self.store.as_ref(), &self.plans, run) {
            conveyor_node::owner::Loaded::Run(loaded) => loaded.run,
            other => panic!("{other:?}"),
        }
    }

    /// The run's row for listings.
    pub fn listed(&self, run: RunId) -> RunSummary {
        let bytes = self.store.get(&keys::summary(run)).unwrap().unwrap();
        RunSummary::decode(envelope::unwrap(RecordKind::RunSummary, &bytes).unwrap()).unwrap()
    }

    pub fn state(&self, run: RunId) -> RunState {
        self.stored(run).state()
    }
}

pub fn step_of(task: &StartTask) -> String {
    task.plan.steps[task.claimed.id.step as usize]
        .id
        .to_string()
}

pub fn succeeded() -> EndedAttempt {
    let outputs = Value::Inline(canonical_bytes(&serde_json::json!({ "n": 1 })).into());
    EndedAttempt {
        state: AttemptState::Succeeded,
        outputs: Some(outputs),
        failure: None,
    }
}

pub fn failed() -> EndedAttempt {
    let failure = Failure {
        code: "no".into(),
        message: "it said no".into(),
        details: None,
        retryable: None,
        retry_after_millis: None,
    };
    EndedAttempt {
        state: AttemptState::Failed,
        outputs: None,
        failure: Some(failure),
    }
}

/// A document of this YAML, compiled.
pub fn compile(yaml: &str) -> (Arc<Plan>, Arc<[u8]>) {
    let document = document::load("test.yaml", yaml.as_bytes());
    let document = document.unwrap_or_else(|errors| {
        panic!(
            "{}",
            errors.iter().map(|e| format!("{e}\n")).collect::<String>()
        )
    });
    (document.plan(), Arc::clone(&document.canonical))
}

pub fn start(run: RunId, yaml: &str) -> Start {
    let (plan, canonical) = compile(yaml);
    let document = StoredDocument {
        canonical: canonical.to_vec().into(),
        ..Default::default()
    };
    Start {
        run,
        fresh: true,
        plan,
        document: document.encode_to_vec().into(),
        inputs: Value::inline(&serde_json::json!({})),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        actor: "test".into(),
        forked_from: None,
        inherited: Vec::new(),
        resource: None,
        event: None,
        resource_name: None,
        values: Vec::new(),
        values_stored: false,
    }
}

/// A pipeline of these steps.
pub fn pipeline(steps: &str) -> String {
    format!(
        "apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {{ name: test }}\nspec:\n  steps:\n{steps}"
    )
}

/// A chain of steps for the driver `exec`.
pub fn chain(names: &[&str]) -> String {
    pipeline(
        &names
            .iter()
            .map(|name| format!("    - {{ id: {name}, driver: exec }}\n"))
            .collect::<String>(),
    )
}
