//! The life of one store, and what must hold at every moment of it.

mod arrivals;
mod asking;
mod objects;
mod once;
mod opening;
mod outside;
mod publishing;
mod remotes;
mod secrets;
mod store;

use super::client::{self, Request};
use super::disk::Disk;
use super::ledger::{Counts, Ledger};
use super::process::{Event, Letter, Process};
use super::remote::{Outside, Remote};
use crate::model::SplitMix64;
use conveyor_engine::run::{Record, Run};
use conveyor_engine::time::{Duration, Time};
use conveyor_node::owner::{Input, SessionInfo, Start};
use conveyor_node::{Plans, RunId};
use conveyor_store::Bytes;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What a seed is run with.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The seed.
    pub seed: u64,
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
/// The first thing that must never be; a panic of the product is one.
pub fn run(options: &Options) -> Result<Counts, Violation> {
    let mut world = World::new(options);
    let lived = catch_unwind(AssertUnwindSafe(|| world.live()));
    let lived = lived.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!(
            "it panicked: {}",
            text.unwrap_or("without a message")
        ))
    });
    lived.map_err(|what| Violation {
        seed: options.seed,
        action: world.actions,
        what,
        history: world.history,
    })?;
    Ok(world.counts)
}

/// What was claimed is given, and what waits is claimed, whenever nothing happens for so long: longer
/// than the owner's pause after failed commits. At once where it neither pauses nor commits.
const RESTLESS: Duration = Duration::secs(3);

/// Nothing happens for a while: no attempt may wait while its session has room.
fn check_idle(process: &Process) -> Check {
    let full = process.working.len() + process.releasing >= process.capacity;
    let run = |run: &RunId| process.owner.settled(*run);
    let waits = |run: &Run| !run.pending().offers.is_empty();
    match process.runs.iter().filter_map(run).find(|run| waits(run)) {
        Some(run) if !full => Err(format!(
            "{} waits for a driver although the session has room",
            run.id()
        )),
        _ => Ok(()),
    }
}

struct World {
    random: SplitMix64,
    now: Time,
    disk: Disk,
    plans: Plans,
    process: Option<Process>,
    generation: u32,
    requests: Vec<Request>,
    /// Reports that arrive whatever process there is.
    letters: Vec<Letter>,
    /// What the clients start, to be forked from later.
    starts: Vec<Start>,
    forked: bool,
    ledger: Ledger,
    counts: Counts,
    actions: u64,
    /// Whether runs may come into quarantine: commits are refused, journals damaged.
    may_quarantine: bool,
    /// A record that is not what was written.
    damage: Option<Damage>,
    /// Whether nobody finds secrets now.
    vault_away: bool,
    /// Whether people make Resources, whose changes start runs.
    has_objects: bool,
    /// Whether the process has the driver itself.
    has_driver: bool,
    /// Drivers in other processes, by session.
    remotes: BTreeMap<Arc<str>, Remote>,
    /// What happens outside of the process.
    outside: BTreeMap<(Time, u64), Outside>,
    outside_order: u64,
    /// The connection of each session, as the process knows it.
    links: BTreeMap<Arc<str>, u64>,
    /// What the store keeps of sessions.
    rows: BTreeMap<Arc<str>, SessionInfo>,
    /// Rows of sessions that were forgotten, and that the store has all the same.
    ghosts: Vec<SessionInfo>,
    sessions: u64,
    connections: u64,
    trace: bool,
    history: Vec<String>,
}

/// A record that is not what was written, and what was.
struct Damage {
    run: RunId,
    key: Vec<u8>,
    value: Bytes,
    record: Record,
}

impl World {
    fn new(options: &Options) -> World {
        let mut random = SplitMix64::new(options.seed);
        let now = Time(1_800_000_000_000);
        let requests = client::requests(&mut random, now);
        let starts = client::starts(&requests);
        let may_quarantine = random.percent(8);
        let mut world = World {
            random,
            now,
            disk: Disk::new(),
            plans: Plans::new(),
            process: None,
            generation: 0,
            requests,
            letters: Vec::new(),
            starts,
            forked: false,
            ledger: Ledger::default(),
            counts: Counts::default(),
            actions: 0,
            may_quarantine,
            damage: None,
            vault_away: false,
            has_objects: false,
            has_driver: true,
            remotes: BTreeMap::new(),
            outside: BTreeMap::new(),
            outside_order: 0,
            links: BTreeMap::new(),
            rows: BTreeMap::new(),
            ghosts: Vec::new(),
            sessions: 0,
            connections: 0,
            trace: options.trace,
            history: Vec::new(),
        };
        world.choose_drivers();
        // What a quarantined run's changes come to, nobody need wait for.
        world.has_objects = !may_quarantine && world.random.percent(40);
        if world.has_objects {
            let objects = client::objects(&mut world.random, now);
            world.requests.extend(objects);
        }
        world
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        if self.trace {
            let what: String = what().chars().take(240).collect();
            self.history
                .push(format!("{:>6} {} {what}", self.actions, self.now));
        }
    }

    fn stormy(&self) -> bool {
        self.actions < STORM
    }

    /// Whether one of so many cases has come, while faults are injected.
    fn strikes(&mut self, of: usize) -> bool {
        self.stormy() && self.random.below(of) == 0
    }

    fn live(&mut self) -> Check {
        if self.has_objects {
            self.furnish()?;
        }
        while self.actions < MOST {
            self.actions += 1;
            if self.process.is_none() {
                self.open()?;
                continue;
            }
            if self.strikes(33) && self.disk.arrive(&mut self.random) {
                self.counts.fault("a late copy arrived");
            }
            if !self.act()? && !self.wake()? {
                return self.at_rest();
            }
        }
        Err(format!("nothing comes to rest after {MOST} actions"))
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
        if self.dies(100, "crash between two inputs")? {
            return Ok(true);
        }
        // The clock does not wait: what is due is then late.
        if self.random.percent(5) {
            self.now = self.now.after(Duration(self.random.below(40) as u64));
        }
        let (turn, group) = (self.random.percent(60), self.random.percent(70));
        if turn && self.turn()? || group && self.send_group()? {
            return Ok(true);
        }
        self.next_event()
    }

    /// Bounded work goes on. False when there is none.
    fn turn(&mut self) -> Result<bool, String> {
        let wanted = |world: &World| world.process.as_ref().is_some_and(|p| p.owner.wants_turn());
        if !wanted(self) {
            return Ok(false);
        }
        if self.dies(10, "crash before a turn")? {
            return Ok(true);
        }
        if let Some(process) = &mut self.process {
            process.owner.turn(self.now);
        }
        Ok(true)
    }

    /// The next group goes on its way to the disk. False when there was nothing to do.
    fn send_group(&mut self) -> Result<bool, String> {
        let now = self.now;
        let Some(process) = &mut self.process else {
            return Ok(false);
        };
        let Some(group) = process.owner.next_group(now) else {
            // The end of a pause may want something done without a group.
            let outputs = process.owner.outputs();
            let some = !outputs.is_empty();
            self.carry_out(outputs)?;
            return Ok(some);
        };
        if self.dies(100, "crash before a group is sent")? {
            return Ok(true);
        }
        let delay = if self.random.percent(10) { 300 } else { 5 };
        let at = now.after(Duration(self.random.below(delay) as u64));
        if let Some(process) = &mut self.process {
            process.at(at, Event::Commit(group));
        }
        Ok(true)
    }

    /// The next thing that happens: an event, a timer, a client, a report that comes late.
    fn next_event(&mut self) -> Result<bool, String> {
        if self.turn()? || self.send_group()? {
            return Ok(true);
        }
        let outside = self.next_outside();
        let Some(process) = &mut self.process else {
            return Ok(true);
        };
        let event = process.next();
        let timer = process.owner.next_due();
        let client = self.requests.iter().map(|request| request.at).min();
        let letter = self.letters.iter().map(|letter| letter.at).min();
        // Sessions have leases and heartbeats for ever: they are nothing to wait for.
        let rests = !self.remotes.is_empty() && outside.is_none();
        let timer = timer.filter(|_| !rests || event.or(client).or(letter).is_some());
        let firsts = [event, timer, client, letter, outside];
        let Some(first) = firsts.into_iter().flatten().min() else {
            return Ok(false);
        };
        let Some(process) = &self.process else {
            return Ok(true);
        };
        let still = !process.owner.is_pausing() && !process.commits();
        let quiet = if still { Duration::ZERO } else { RESTLESS };
        if first > self.now.after(quiet) && self.has_driver {
            check_idle(process)?;
        }
        self.now = self.now.max(first);
        if client == Some(first) {
            self.ask()?;
        } else if letter == Some(first) {
            self.deliver()?;
        } else if outside == Some(first) {
            self.happen_outside()?;
        } else if event == Some(first) {
            let event = self.process.as_mut().and_then(Process::pop);
            if let Some(event) = event {
                self.happen(event)?;
            }
        } else if self.random.percent(20) {
            // Whoever commits looks at the clock, too, and may be the first to see that it is time.
            self.send_group()?;
        } else if !self.dies(100, "crash before a timer is taken")? {
            self.handle(Input::Tick);
        }
        Ok(true)
    }

    fn handle(&mut self, input: Input) {
        if let Some(process) = &mut self.process {
            process.owner.handle(self.now, input);
        }
    }
}
