//! The life of one store, and what must hold at every moment of it.

use super::client::{self, Request, Wish};
use super::disk::{Disk, Fate};
use super::driver;
use super::ledger::{Counts, Ledger};
use super::process::{Asker, Event, Process};
use crate::model::SplitMix64;
use conveyor_engine::run::{
    AttemptState, Decision, EndedAttempt, Fact, ForkFrom, Identity, NoValues, Run, RunState,
};
use conveyor_engine::time::{Duration, Time};
use conveyor_node::NodeError;
use conveyor_node::Plans;
use conveyor_node::RunId;
use conveyor_node::owner::{
    Answer, Config, Control, Input, Loaded, Outcome, Output, Owner, Reported, SessionInfo, Start,
    StartTask,
};
use conveyor_node::storage;
use conveyor_node::token::Claimed;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// What a seed is run with.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The seed.
    pub seed: u64,
    /// Whether commits are guarded by the commit key. False is a planted fault.
    pub unguarded: bool,
    /// Whether a violation comes with what led to it.
    pub trace: bool,
}

/// Something that must never be.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The seed that shows it: `conveyor-sim --seed N`.
    pub seed: u64,
    /// After so many actions.
    pub action: u64,
    /// What.
    pub what: String,
    /// What led to it, with [`Options::trace`].
    pub history: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed {}, action {}: {}",
            self.seed, self.action, self.what
        )
    }
}

impl std::error::Error for Violation {}

/// Faults are injected for so many actions; then all must come to rest.
const STORM: u64 = 400;
/// A life that takes more actions than this does not come to rest.
const MOST: u64 = 60_000;

type Check = Result<(), String>;

/// Lives through one seed. Call it on a stack of [`conveyor_engine::STACK_BYTES`].
///
/// # Errors
/// The first thing that must never be.
pub fn run(options: &Options) -> Result<Counts, Violation> {
    let mut world = World::new(options);
    let lived = world.live();
    let action = world.actions;
    let history = world.history;
    lived.map_err(|what| Violation {
        seed: options.seed,
        action,
        what,
        history,
    })?;
    Ok(world.counts)
}

struct World {
    random: SplitMix64,
    now: Time,
    disk: Disk,
    plans: Plans,
    process: Option<Process>,
    generation: u32,
    requests: Vec<Request>,
    /// What the clients start, to be forked from later.
    starts: Vec<Start>,
    forked: bool,
    ledger: Ledger,
    counts: Counts,
    actions: u64,
    /// Runs that a refused commit may have quarantined.
    may_quarantine: bool,
    guarded: bool,
    trace: bool,
    history: Vec<String>,
}

/// What the store says of a run.
struct Durable {
    run: Run,
    decisions: Vec<Decision>,
}

impl World {
    fn new(options: &Options) -> World {
        let mut random = SplitMix64::new(options.seed);
        let now = Time(1_800_000_000_000);
        let requests = client::requests(&mut random, now);
        let starts = client::starts(&requests);
        let may_quarantine = random.percent(5);
        World {
            random,
            now,
            disk: Disk::new(),
            plans: Plans::new(),
            process: None,
            generation: 0,
            requests,
            starts,
            forked: false,
            ledger: Ledger::default(),
            counts: Counts::default(),
            actions: 0,
            may_quarantine,
            guarded: !options.unguarded,
            trace: options.trace,
            history: Vec::new(),
        }
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        if self.trace {
            let what = what();
            self.history
                .push(format!("{:>6} {} {what}", self.actions, self.now));
        }
    }

    fn stormy(&self) -> bool {
        self.actions < STORM
    }

    fn live(&mut self) -> Check {
        while self.actions < MOST {
            self.actions += 1;
            if self.process.is_none() {
                self.restart()?;
            }
            if self.stormy() && self.random.percent(3) && self.disk.arrive(&mut self.random) {
                self.counts.fault("a late copy arrived");
            }
            if !self.act()? && !self.wake()? {
                return self.at_rest();
            }
        }
        Err(format!("nothing comes to rest after {MOST} actions"))
    }

    /// Somebody releases what is quarantined, and resumes what is still paused: a resume may have
    /// come before its pause.
    fn wake(&mut self) -> Result<bool, String> {
        let quarantined = self.quarantined()?;
        let mut any = false;
        for run in self.ledger.runs.clone() {
            let control = if quarantined.contains(&run) {
                self.counts.fault("a quarantined run was released");
                Control::Release
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
            if !self.ledger.runs.contains(&start.run) {
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
            let start = client::fork(&mut self.random, start, fork.inherited);
            self.requests.push(Request {
                at: self.now,
                wish: Wish::Start(Box::new(start)),
            });
        }
        Ok(self.requests.len() > before)
    }

    fn quarantined(&self) -> Result<BTreeSet<RunId>, String> {
        let rows = storage::quarantines(&self.disk.store).map_err(|error| error.to_string())?;
        if !rows.is_empty() && !self.may_quarantine {
            return Err(format!("{rows:?} are quarantined"));
        }
        Ok(rows.into_iter().map(|(run, _)| run).collect())
    }

    /// The process dies.
    fn crash(&mut self, point: &'static str) {
        self.note(|| point.to_owned());
        if let Some(process) = self.process.take() {
            // Clients keep what was not answered, and ask again.
            for asker in process.askers.into_values() {
                if let Asker::Client(request) = asker {
                    self.ask_again(request);
                }
            }
            self.counts.fault(point);
            self.counts.crashes += 1;
        }
    }

    fn ask_again(&mut self, mut request: Request) {
        if let Wish::Start(start) = &mut request.wish {
            start.fresh = false;
        }
        request.at = self
            .now
            .after(Duration(1 + self.random.below(2_000) as u64));
        self.requests.push(request);
    }

    fn restart(&mut self) -> Check {
        self.generation += 1;
        let failed = |error: NodeError| error.to_string();
        let point = storage::acquire(&self.disk.store, self.random.next_u64()).map_err(failed)?;
        let mut nonces = SplitMix64::new(self.random.next_u64());
        let random = Box::new(move || nonces.next_u64());
        let mut owner = Owner::new(Config::default(), point, random);
        for (run, entry) in storage::live_entries(&self.disk.store).map_err(failed)? {
            owner.recover(run, &entry);
        }
        for (run, _) in storage::quarantines(&self.disk.store).map_err(failed)? {
            owner.recover_quarantined(run);
        }
        let session: Arc<str> = format!("process-{}", self.generation).into();
        let mut process = Process::new(owner);
        let info = SessionInfo {
            id: session,
            drivers: BTreeMap::from([(Arc::from("d"), Arc::from("1.0.0"))]),
            capacity: 1 + self.random.below(6) as u32,
        };
        process.owner.handle(self.now, Input::Register(info));
        self.process = Some(process);
        Ok(())
    }

    /// One action. False when there is nothing left to do.
    fn act(&mut self) -> Result<bool, String> {
        let Some(process) = &mut self.process else {
            return Ok(true);
        };
        let outputs = process.owner.outputs();
        if !outputs.is_empty() {
            self.carry_out(outputs)?;
            return Ok(true);
        }
        let crashes = self.stormy() && self.random.percent(1);
        if crashes {
            self.crash("crash between two inputs");
            return Ok(true);
        }
        let now = self.now;
        let Some(process) = &mut self.process else {
            return Ok(true);
        };
        if process.owner.wants_turn() && self.random.percent(60) {
            process.owner.turn(now);
            return Ok(true);
        }
        if self.random.percent(70)
            && let Some(group) = process.owner.next_group(now)
        {
            let delay = if self.random.percent(10) { 300 } else { 5 };
            let at = now.after(Duration(self.random.below(delay) as u64));
            process.at(at, Event::Commit(group));
            return Ok(true);
        }
        self.next_event()
    }

    /// The next thing that happens: an event, a timer, a client.
    fn next_event(&mut self) -> Result<bool, String> {
        let Some(process) = &mut self.process else {
            return Ok(true);
        };
        if process.owner.wants_turn() {
            process.owner.turn(self.now);
            return Ok(true);
        }
        if let Some(group) = process.owner.next_group(self.now) {
            process.at(self.now, Event::Commit(group));
            return Ok(true);
        }
        let event = process.next();
        let timer = process.owner.next_due();
        let client = self.requests.iter().map(|request| request.at).min();
        let Some(first) = [event, timer, client].into_iter().flatten().min() else {
            return Ok(false);
        };
        self.now = self.now.max(first);
        if client == Some(first) {
            self.ask();
        } else if event == Some(first) {
            if let Some(event) = process.pop() {
                self.happen(event)?;
            }
        } else {
            process.owner.handle(self.now, Input::Tick);
        }
        Ok(true)
    }

    fn ask(&mut self) {
        let Some(at) = self.requests.iter().map(|request| request.at).min() else {
            return;
        };
        let Some(place) = self.requests.iter().position(|request| request.at == at) else {
            return;
        };
        let request = self.requests.swap_remove(place);
        let Some(process) = &mut self.process else {
            return;
        };
        let ticket = process.ticket(Asker::Client(request.clone()));
        if self.trace {
            let what = format!("ask {:?}", request.wish)
                .chars()
                .take(160)
                .collect::<String>();
            self.history.push(format!(
                "{:>6} {} ticket {ticket} {what}",
                self.actions, self.now
            ));
        }
        let input = match request.wish {
            Wish::Start(start) => Input::Start { ticket, start },
            Wish::Control(run, control) => Input::Control {
                ticket,
                run,
                control,
            },
        };
        process.owner.handle(self.now, input);
    }

    fn happen(&mut self, event: Event) -> Check {
        let now = self.now;
        match event {
            Event::Commit(group) => return self.commit(&group),
            Event::Done(claimed, result) => {
                self.note(|| format!("done {claimed:?} {:?}", result.state));
                let Some(process) = &mut self.process else {
                    return Ok(());
                };
                if process.tasks.get(&claimed) != Some(&false) {
                    return Ok(());
                }
                process.tasks.insert(claimed, true);
                self.report(claimed, result);
            }
            Event::Again(claimed, result) => {
                self.counts.fault("a report came twice");
                let Some(process) = &mut self.process else {
                    return Ok(());
                };
                let ticket = process.ticket(Asker::Repeat);
                process.owner.handle(now, report(ticket, claimed, result));
            }
            Event::Load(run) => {
                let unreadable = self.stormy() && self.random.percent(5);
                let loaded = if unreadable {
                    self.counts.fault("a run could not be read");
                    Loaded::Failed("input/output error".into())
                } else {
                    storage::load(&self.disk.store, &self.plans, run)
                };
                self.note(|| {
                    format!("loaded {run} {loaded:?}")
                        .chars()
                        .take(200)
                        .collect()
                });
                if let Some(process) = &mut self.process {
                    process.owner.handle(now, Input::Loaded { run, loaded });
                }
            }
            Event::Input(input) => {
                if let Some(process) = &mut self.process {
                    process.owner.handle(now, *input);
                }
            }
        }
        Ok(())
    }

    fn report(&mut self, claimed: Claimed, result: EndedAttempt) {
        let Some(process) = &mut self.process else {
            return;
        };
        let ticket = process.ticket(Asker::Driver(claimed, result.clone()));
        process
            .owner
            .handle(self.now, report(ticket, claimed, result));
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
            14 if self.may_quarantine => Fate::Refused,
            _ => Fate::Committed,
        }
    }

    fn commit(&mut self, group: &Arc<conveyor_node::owner::Group>) -> Check {
        if self.stormy() && self.random.percent(3) {
            self.crash("crash before a commit");
            return Ok(());
        }
        let fate = self.fate();
        self.counts.fault(fate.name());
        let outcome = self.disk.commit(group, fate, self.guarded);
        self.note(|| {
            format!(
                "commit {} of {} writes: {fate:?}, {outcome:?}",
                group.to.number,
                group.writes.len()
            )
        });
        if self.stormy() && self.random.percent(3) {
            self.crash("crash after a commit, before its outcome is known");
            return Ok(());
        }
        if outcome == Outcome::Deposed {
            return Err("the only process was deposed".into());
        }
        if let Some(process) = &mut self.process {
            process.owner.handle(self.now, Input::Committed(outcome));
        }
        Ok(())
    }

    fn carry_out(&mut self, outputs: Vec<Output>) -> Check {
        for output in outputs {
            if self.stormy() && self.random.below(400) == 0 {
                self.crash("crash between two outputs");
                return Ok(());
            }
            self.output(output)?;
            if self.process.is_none() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn output(&mut self, output: Output) -> Check {
        self.note(|| format!("out {output:?}").chars().take(240).collect());
        let soon = self.now.after(Duration(self.random.below(20) as u64));
        let stormy = self.stormy();
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        match output {
            Output::Answer { ticket, answer } => {
                if let Some(asker) = process.askers.remove(&ticket) {
                    return self.answered(asker, answer);
                }
            }
            Output::Start(task) => return self.started(&task),
            Output::Cancel { claimed, .. } => {
                if process.tasks.get(&claimed) == Some(&false) && self.random.percent(60) {
                    let result = driver::cancelled(&mut self.random);
                    process.at(soon, Event::Done(claimed, result));
                }
            }
            Output::Abort { session, claimed } => {
                process.tasks.remove(&claimed);
                let released = Input::Released { session, claimed };
                process.at(soon, Event::Input(Box::new(released)));
            }
            Output::Load { run } => process.at(soon, Event::Load(run)),
            Output::LoadValues { run, hashes } => {
                let values = storage::load_values(&self.disk.store, run, &hashes);
                process.at(soon, Event::Input(Box::new(Input::Values { run, values })));
            }
            Output::ReadCommit => {
                let point = if stormy && self.random.percent(20) {
                    self.counts.fault("the commit key could not be read");
                    None
                } else {
                    storage::commit_point(&self.disk.store).map_err(|error| error.to_string())?
                };
                process.at(soon, Event::Input(Box::new(Input::CommitKey(point))));
            }
            Output::Changed { .. } | Output::Logged { .. } => {}
            Output::Deposed => return Err("the only process was deposed".into()),
        }
        Ok(())
    }

    /// A driver starts an attempt.
    fn started(&mut self, task: &StartTask) -> Check {
        let Claimed { run, id, .. } = task.claimed;
        self.counts.attempts += 1;
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
        let main_open = || (0..plan.main).any(|at| !durable.run.step(at).state.is_terminal());
        if step.finally && main_open() {
            return Err(format!(
                "{} of {run} was started before all steps had ended",
                step.id
            ));
        }
        let result = driver::result(&mut self.random);
        let mut after = driver::duration(&mut self.random);
        if !self.stormy() {
            after = after.min(2_000);
        }
        let at = self.now.after(Duration(after));
        if let Some(process) = &mut self.process {
            process.tasks.insert(task.claimed, false);
            process.at(at, Event::Done(task.claimed, result));
        }
        Ok(())
    }

    fn answered(&mut self, asker: Asker, answer: Result<Answer, NodeError>) -> Check {
        match asker {
            Asker::Client(request) => self.client_answered(request, answer),
            Asker::Driver(claimed, result) => self.driver_answered(claimed, result, answer),
            Asker::Repeat => match answer {
                Ok(Answer::Taken { already: false }) => {
                    Err("a repeated report was taken as a new one".into())
                }
                _ => Ok(()),
            },
        }
    }

    fn client_answered(&mut self, request: Request, answer: Result<Answer, NodeError>) -> Check {
        match (&request.wish, answer) {
            (Wish::Start(start), Ok(_)) => {
                self.ledger.runs.insert(start.run);
                self.durable(start.run).map(|_| ())
            }
            (Wish::Control(run, Control::Stop(_)), Ok(_)) => {
                self.ledger.stopped.insert(*run);
                Ok(())
            }
            (_, Ok(_)) => Ok(()),
            (_, Err(error)) if error.is_temporary() => {
                self.ask_again(request);
                Ok(())
            }
            // A control may come before its run; the run then still is to be started.
            (Wish::Control(..), Err(NodeError::NotFound(_))) if !self.requests.is_empty() => {
                self.ask_again(request);
                Ok(())
            }
            (Wish::Start(start), Err(error)) if !self.may_quarantine => {
                Err(format!("{} was not started: {error}", start.run))
            }
            (_, Err(_)) => Ok(()),
        }
    }

    fn driver_answered(
        &mut self,
        claimed: Claimed,
        result: EndedAttempt,
        answer: Result<Answer, NodeError>,
    ) -> Check {
        let Claimed { run, id, .. } = claimed;
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        match answer {
            Ok(Answer::Taken { .. }) => {
                process.tasks.remove(&claimed);
                if self.random.percent(15) {
                    let at = self.now.after(Duration(self.random.below(3_000) as u64));
                    process.at(at, Event::Again(claimed, result.clone()));
                }
                self.ledger.taken.insert((run, id), result.state);
                self.check_taken(run, id, result.state)
            }
            Err(error) if error.is_temporary() => {
                process.tasks.insert(claimed, false);
                let at = self.now.after(Duration(1 + self.random.below(500) as u64));
                process.at(at, Event::Done(claimed, result));
                Ok(())
            }
            Ok(_) | Err(_) => {
                process.tasks.remove(&claimed);
                Ok(())
            }
        }
    }

    fn check_taken(&mut self, run: RunId, id: Identity, state: AttemptState) -> Check {
        let durable = self.durable(run)?;
        match (durable.ended(id), state) {
            (None, _) => Err(format!(
                "the acknowledged result of {id} of {run} is not in the store"
            )),
            (Some(found), AttemptState::Succeeded) if found != AttemptState::Succeeded => Err(
                format!("{id} of {run} succeeded, and the store says {found}"),
            ),
            _ => Ok(()),
        }
    }

    /// What the store says of a run now.
    fn durable(&mut self, run: RunId) -> Result<Durable, String> {
        let mut durable: Option<Durable> = None;
        let (store, plans) = (&self.disk.store, &self.plans);
        storage::records(store, run, 0, |record| {
            if durable.is_none() {
                let Some(Fact::Started(started)) = record.entries.first().map(|entry| &entry.fact)
                else {
                    return Err(NodeError::Corrupt(
                        "the journal does not begin with a start".into(),
                    ));
                };
                let run = Run::new(plans.get(store, &started.document)?);
                durable = Some(Durable {
                    run,
                    decisions: Vec::new(),
                });
            }
            if let Some(durable) = &mut durable {
                let folded = durable.run.fold(&record);
                let folded = folded.map_err(|error| NodeError::Corrupt(error.to_string()))?;
                durable.decisions.extend(folded);
            }
            Ok(true)
        })
        .map_err(|error| format!("{run} does not fold: {error}"))?;
        durable.ok_or_else(|| format!("{run} was acknowledged and is not in the store"))
    }

    /// Nothing is left to do: everything must have come to its end.
    fn at_rest(&mut self) -> Check {
        let live = storage::live_entries(&self.disk.store).map_err(|error| error.to_string())?;
        for run in self.ledger.runs.clone() {
            let durable = self.durable(run)?;
            let state = durable.run.state();
            if !state.is_terminal() {
                return Err(format!("{run} is {state} and nothing moves it"));
            }
            if live.iter().any(|(id, _)| *id == run) {
                return Err(format!("{run} has ended and is still among live work"));
            }
            self.counts.runs += 1;
            self.counts.decisions(&durable.decisions);
        }
        for ((run, id), state) in self.ledger.taken.clone() {
            self.check_taken(run, id, state)?;
        }
        Ok(())
    }
}

impl Durable {
    fn was_claimed(&self, id: Identity) -> bool {
        let is_claim =
            |decision: &Decision| matches!(decision, Decision::Claimed { id: of, .. } if *of == id);
        self.decisions.iter().any(is_claim)
    }

    /// How an attempt ended.
    fn ended(&self, id: Identity) -> Option<AttemptState> {
        self.decisions.iter().find_map(|decision| match decision {
            Decision::Attempt { id: of, state, .. } if *of == id => Some(*state),
            _ => None,
        })
    }
}

fn report(ticket: u64, claimed: Claimed, result: EndedAttempt) -> Input {
    Input::Report {
        ticket,
        report: Box::new(Reported {
            claimed,
            result,
            last_log: None,
            values: Vec::new(),
            logs: Vec::new(),
        }),
    }
}
