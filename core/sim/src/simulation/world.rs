//! The life of one store, and what must hold at every moment of it.

mod outside;
mod store;

use super::client::{self, Request, Wish};
use super::disk::{Disk, Fate};
use super::ledger::{Counts, Ledger};
use super::process::{Asker, Event, Process};
use crate::model::SplitMix64;
use conveyor_engine::run::EndedAttempt;
use conveyor_engine::time::{Duration, Time};
use conveyor_node::owner::{
    Config, Group, Input, Loaded, Outcome, Owner, Reported, SessionInfo, Start,
};
use conveyor_node::token::Claimed;
use conveyor_node::{NodeError, Plans, storage};
use std::collections::BTreeMap;
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
            schemas: BTreeMap::new(),
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

    fn commit(&mut self, group: &Arc<Group>) -> Check {
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
