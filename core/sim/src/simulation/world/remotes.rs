//! Drivers in other processes: what reaches them, what they do, and what becomes of connections.

use super::super::driver;
use super::super::process::Asker;
use super::super::remote::{BEAT, LOOK, Outside, Remote, Task};
use super::{Check, World};
use conveyor_engine::run::RunState;
use conveyor_engine::time::{Duration, Time};
use conveyor_node::NodeError;
use conveyor_node::owner::{Answer, Input, SessionEvent, SessionInfo, StartTask};
use conveyor_node::token::Claimed;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What was lost on its way comes again within this: it is unanswered for 5 s, and the owner may look at it
/// with the next heartbeat only, which may be lost too.
const AGAIN: Duration = Duration::secs(20);

impl World {
    /// Schedules something outside of the process.
    pub(super) fn outside(&mut self, after: u64, what: Outside) {
        self.outside_order += 1;
        let at = self.now.after(Duration(after));
        self.outside.insert((at, self.outside_order), what);
    }

    /// When the next thing outside happens; `None` where only what never ends is left, and nothing
    /// waits for it.
    pub(super) fn next_outside(&mut self) -> Option<Time> {
        let (first, _) = self.outside.keys().next().copied()?;
        let perpetual = self.outside.values().all(Outside::is_perpetual);
        let idle = || self.remotes.values().all(|remote| remote.tasks.is_empty());
        let rests = |world: &World| world.ledger.runs.iter().all(|run| world.rests(*run));
        (!perpetual || !idle() || !rests(self)).then_some(first)
    }

    /// Whether nothing is expected of a run by itself.
    fn rests(&self, run: conveyor_node::RunId) -> bool {
        self.listed(run).is_some_and(|state| {
            state.is_terminal() || matches!(state, RunState::Paused | RunState::Quarantined)
        })
    }

    /// Whether drivers in other processes are part of this life, and whether the process itself has
    /// the driver.
    pub(super) fn choose_drivers(&mut self) {
        let roll = self.random.below(3);
        self.has_driver = roll < 2;
        let remotes = if roll == 0 {
            0
        } else {
            1 + self.random.below(3)
        };
        for _ in 0..remotes {
            self.new_remote();
        }
    }

    fn new_remote(&mut self) {
        self.sessions += 1;
        let session: Arc<str> = format!("session-{}", self.sessions).into();
        let remote = Remote {
            session: Arc::clone(&session),
            capacity: 1 + self.random.below(4),
            polls: self.random.percent(30),
            connection: None,
            tasks: BTreeMap::new(),
            ended: BTreeSet::new(),
            answered: self.now,
            missing: BTreeMap::new(),
        };
        self.remotes.insert(Arc::clone(&session), remote);
        let after = self.random.below(200) as u64;
        self.outside(after, Outside::Connect(Arc::clone(&session)));
        self.outside(LOOK.0, Outside::Look(session));
    }

    pub(super) fn happen_outside(&mut self) -> Check {
        let Some((_, what)) = self.outside.pop_first() else {
            return Ok(());
        };
        self.note(|| format!("outside {what:?}"));
        match what {
            Outside::Task(session, connection, task) => {
                self.task_arrives(&session, connection, &task)
            }
            Outside::Cancel(session, connection, claimed, grace) => {
                self.cancel_arrives(&session, connection, claimed, grace);
                Ok(())
            }
            Outside::Beat(session, connection) => {
                self.check_missing(&session, connection)?;
                self.beat(&session, connection);
                Ok(())
            }
            Outside::Look(session) => {
                if !self.driver_dies(&session) {
                    self.look(&session);
                    // While it is connected, every answer resets what it looks for.
                    let remote = self.remotes.get(&session);
                    let connected = remote.is_some_and(|remote| remote.connection.is_some());
                    let after = if connected { BEAT } else { LOOK };
                    self.outside(after.0, Outside::Look(session));
                }
                Ok(())
            }
            Outside::Check(session) => {
                self.look(&session);
                Ok(())
            }
            Outside::Done(session, claimed, result) => {
                self.task_ends(&session, claimed, result);
                Ok(())
            }
            Outside::Connect(session) => self.connect(&session),
            Outside::Broken(session, connection) => {
                if self.links.get(&session) == Some(&connection) {
                    self.links.remove(&session);
                    let event = SessionEvent::Disconnected;
                    self.handle(Input::Session { session, event });
                }
                Ok(())
            }
        }
    }

    /// What the engine sends goes over the connection that it knows.
    pub(super) fn send_task(&mut self, task: StartTask) {
        if let Some(connection) = self.links.get(&task.session).copied() {
            let after = self.random.below(30) as u64;
            let session = Arc::clone(&task.session);
            self.outside(after, Outside::Task(session, connection, Box::new(task)));
        }
    }

    pub(super) fn send_cancel(&mut self, session: &Arc<str>, claimed: Claimed, grace: Duration) {
        if let Some(connection) = self.links.get(session).copied() {
            let after = self.random.below(30) as u64;
            let cancel = Outside::Cancel(Arc::clone(session), connection, claimed, grace);
            self.outside(after, cancel);
        }
    }

    /// The driver of a session over a connection, where both are there.
    fn at(&mut self, session: &str, connection: u64) -> Option<&mut Remote> {
        let remote = self.remotes.get_mut(session)?;
        (remote.connection == Some(connection)).then_some(remote)
    }

    /// Tells the engine something, if there is a connection that it knows too.
    fn tell(&mut self, session: &Arc<str>, event: SessionEvent) {
        let connection = self
            .remotes
            .get(session)
            .and_then(|remote| remote.connection);
        if connection.is_some() && self.links.get(session) == connection.as_ref() {
            let session = Arc::clone(session);
            self.handle(Input::Session { session, event });
        }
    }

    fn task_arrives(&mut self, session: &Arc<str>, connection: u64, start: &StartTask) -> Check {
        let claimed = start.claimed;
        let now = self.now;
        let Some(remote) = self.at(session, connection) else {
            self.counts.fault("a task was lost with its connection");
            // Whoever comes back and names what it has is given another instead.
            if let Some(remote) = self.remotes.get_mut(session)
                && remote.polls
                && !remote.tasks.contains_key(&claimed)
                && !remote.ended.contains(&claimed)
            {
                remote.missing.insert(claimed, now);
            }
            return Ok(());
        };
        remote.missing.remove(&claimed);
        // What comes again has a place in its next answer only, and it may have been given others before.
        let full = remote.polls && remote.running() >= remote.capacity;
        match remote.tasks.get(&claimed).map(|task| task.result.is_none()) {
            Some(true) => {
                self.counts.fault("a task was sent twice");
                self.tell(session, SessionEvent::Accepted(claimed));
                return Ok(());
            }
            Some(false) => {
                self.report_outside(session, claimed);
                return Ok(());
            }
            None if remote.ended.contains(&claimed) => return Ok(()),
            None => {}
        }
        if self.strikes(30) {
            // As an answer to a poll that never arrives.
            self.counts.fault("a task was lost on its way");
            if let Some(remote) = self.at(session, connection) {
                remote.missing.insert(claimed, now);
            }
            return Ok(());
        }
        if full || self.strikes(12) {
            self.counts.fault("a driver refused a task");
            if let Some(remote) = self.remotes.get_mut(session) {
                remote.ended.insert(claimed);
            }
            self.tell(session, SessionEvent::Refused(claimed));
            self.tell(session, SessionEvent::Credits(1));
            return Ok(());
        }
        self.counts.attempts += 1;
        self.check_start(start)?;
        self.check_alone(claimed)?;
        let result = driver::result(&mut self.random, claimed.run, claimed.id);
        let mut after = driver::duration(&mut self.random);
        if !self.stormy() {
            after = after.map(|after| after.min(2_000));
        }
        match after {
            Some(after) => {
                let done = Outside::Done(Arc::clone(session), claimed, Box::new(result));
                self.outside(after, done);
            }
            None => self.counts.fault("a driver never ended"),
        }
        let spec = &start.spec;
        let left = spec.deadline.since(self.now).0;
        self.outside(left, Outside::Check(Arc::clone(session)));
        let task = Task {
            result: None,
            deadline: spec.deadline,
            heartbeat: spec.heartbeat,
            grace: spec.grace,
            silent: 0,
            cut_off: None,
        };
        if let Some(remote) = self.remotes.get_mut(session) {
            remote.tasks.insert(claimed, task);
            let (running, capacity) = (remote.running(), remote.capacity);
            if running > capacity {
                return Err(format!(
                    "{session} runs {running} tasks, and takes {capacity}"
                ));
            }
        }
        if self.strikes(10) {
            self.counts.fault("a driver did not say that it has a task");
            let task = self
                .remotes
                .get_mut(session)
                .and_then(|remote| remote.tasks.get_mut(&claimed));
            if let Some(task) = task {
                task.silent = 2;
            }
        } else {
            self.tell(session, SessionEvent::Accepted(claimed));
        }
        if self.strikes(12) {
            self.detach(session, claimed);
        }
        Ok(())
    }

    /// The task goes on elsewhere, and is ended by its token (PROTOCOL P27a).
    fn detach(&mut self, session: &Arc<str>, claimed: Claimed) {
        let connection = self
            .remotes
            .get(session)
            .and_then(|remote| remote.connection);
        if connection.is_none() || self.links.get(session) != connection.as_ref() {
            return;
        }
        let until = self
            .now
            .after(Duration(1_000 + self.random.below(60_000) as u64));
        let Some(process) = &mut self.process else {
            return;
        };
        let ticket = process.ticket(Asker::Detach(Arc::clone(session), claimed));
        self.handle(Input::Detach {
            ticket,
            claimed,
            until,
            principals: vec!["driver".into()],
        });
    }

    /// From now on its driver does not know of it.
    pub(super) fn detached(
        &mut self,
        session: &Arc<str>,
        claimed: Claimed,
        answer: &Result<Answer, NodeError>,
    ) {
        let held = self
            .remotes
            .get_mut(session)
            .and_then(|remote| remote.tasks.remove(&claimed));
        let Some(held) = held.filter(|held| held.result.is_none()) else {
            return;
        };
        if !matches!(answer, Ok(Answer::Done)) {
            // It goes on where it is, or is told to stop.
            if let Some(remote) = self.remotes.get_mut(session) {
                remote.tasks.insert(claimed, held);
            }
            return;
        }
        self.counts.fault("a driver went on elsewhere with a task");
        if let Some(remote) = self.remotes.get_mut(session) {
            remote.ended.insert(claimed);
        }
        self.tell(session, SessionEvent::Credits(1));
        let result = driver::result(&mut self.random, claimed.run, claimed.id);
        self.late_report(claimed, Box::new(result), false);
    }

    /// No earlier attempt of the instance runs anywhere (PROTOCOL P22).
    fn check_alone(&self, claimed: Claimed) -> Check {
        for remote in self.remotes.values() {
            let other = remote.tasks.iter().find(|(other, task)| {
                task.result.is_none()
                    && other.run == claimed.run
                    && (other.id.step, other.id.instance) == (claimed.id.step, claimed.id.instance)
            });
            if let Some((other, _)) = other {
                return Err(format!(
                    "{} of {} was started while {} ran in {}",
                    claimed.id, claimed.run, other.id, remote.session
                ));
            }
        }
        Ok(())
    }

    fn cancel_arrives(
        &mut self,
        session: &Arc<str>,
        connection: u64,
        claimed: Claimed,
        grace: Duration,
    ) {
        if self.at(session, connection).is_none() {
            self.counts.fault("a cancel was lost with its connection");
            return;
        }
        if grace == Duration::ZERO {
            return self.forget_outside(session, &[claimed]);
        }
        self.cancel_outside(session, claimed, grace);
    }

    /// A task is told to stop: it heeds that, or is cut off.
    fn cancel_outside(&mut self, session: &Arc<str>, claimed: Claimed, grace: Duration) {
        let now = self.now;
        let Some(remote) = self.remotes.get_mut(session) else {
            return;
        };
        let Some(task) = remote.tasks.get_mut(&claimed) else {
            return;
        };
        if task.result.is_some() || task.cut_off.is_some() {
            return;
        }
        let left = Duration(grace.0 * 4 / 5);
        task.cut_off = Some(now.after(left));
        self.outside(left.0, Outside::Check(Arc::clone(session)));
        if self.random.percent(60) {
            let result = driver::cancelled(&mut self.random, claimed.run, claimed.id);
            let done = Outside::Done(Arc::clone(session), claimed, Box::new(result));
            let after = self.random.below(20) as u64;
            self.outside(after, done);
        } else {
            self.counts.fault("a driver did not heed a cancel");
        }
    }

    /// Tasks are nobody's any more: nothing of them is told.
    fn forget_outside(&mut self, session: &Arc<str>, claims: &[Claimed]) {
        let Some(remote) = self.remotes.get_mut(session) else {
            return;
        };
        let mut credits = 0;
        for claimed in claims {
            if let Some(task) = remote.tasks.remove(claimed) {
                remote.ended.insert(*claimed);
                credits += u32::from(task.result.is_none());
            }
        }
        if credits > 0 {
            self.tell(session, SessionEvent::Credits(credits));
        }
    }

    fn task_ends(&mut self, session: &Arc<str>, claimed: Claimed, result: Box<driver::Result>) {
        let Some(remote) = self.remotes.get_mut(session) else {
            return;
        };
        let Some(task) = remote.tasks.get_mut(&claimed) else {
            return;
        };
        if task.result.is_some() {
            return;
        }
        task.result = Some(result);
        self.tell(session, SessionEvent::Credits(1));
        self.report_outside(session, claimed);
    }

    fn report_outside(&mut self, session: &Arc<str>, claimed: Claimed) {
        let Some(remote) = self.remotes.get(session) else {
            return;
        };
        let (connection, task) = (remote.connection, remote.tasks.get(&claimed));
        let Some(result) = task.and_then(|task| task.result.clone()) else {
            return;
        };
        if connection.is_none() || self.links.get(session) != connection.as_ref() {
            return;
        }
        if self.strikes(15) {
            self.counts.fault("a report was lost with its connection");
            return self.break_connection(session);
        }
        let asker = Asker::Remote(Arc::clone(session), claimed, result.clone());
        self.report(asker, claimed, *result);
    }

    pub(super) fn remote_answered(
        &mut self,
        session: &Arc<str>,
        claimed: Claimed,
        result: &driver::Result,
        answer: Result<Answer, NodeError>,
    ) -> Check {
        match answer {
            Ok(Answer::Taken { .. }) => {
                self.forget_outside(session, &[claimed]);
                self.taken(claimed, result)
            }
            // It is sent again.
            Err(error) if error.is_temporary() => Ok(()),
            Ok(_) | Err(_) => {
                self.forget_outside(session, &[claimed]);
                Ok(())
            }
        }
    }

    /// What was lost on its way has come again, or its claim is over (PROTOCOL P21).
    fn check_missing(&mut self, session: &Arc<str>, connection: u64) -> Check {
        let now = self.now;
        let Some(remote) = self.at(session, connection) else {
            return Ok(());
        };
        let due = remote
            .missing
            .iter()
            .filter(|(_, at)| at.after(AGAIN) <= now);
        let due: Vec<_> = due.map(|(claimed, _)| *claimed).collect();
        remote.missing.retain(|claimed, _| !due.contains(claimed));
        if due.is_empty() {
            return Ok(());
        }
        // Nothing of a run in quarantine is touched.
        let quarantined = self.quarantined()?;
        for claimed in due {
            let Claimed { run, id, .. } = claimed;
            let known = self.ledger.runs.contains(&run) && !self.ledger.abandoned.contains(&run);
            if !known || quarantined.contains(&run) {
                continue;
            }
            let durable = self.durable(run)?;
            let stands = durable.run.nonce(id) == Some(claimed.nonce);
            if stands && !durable.told.contains(&id) {
                return Err(format!(
                    "{id} of {run} was lost on its way, and not sent again"
                ));
            }
        }
        Ok(())
    }

    fn beat(&mut self, session: &Arc<str>, connection: u64) {
        if self.strikes(25) {
            self.counts.fault("a connection broke");
            self.break_connection(session);
        }
        let Some(remote) = self.at(session, connection) else {
            return;
        };
        let free = remote.capacity.saturating_sub(remote.running()) as u32;
        let mut named = remote.claims();
        for (claimed, task) in &mut remote.tasks {
            if task.silent > 0 {
                task.silent -= 1;
                named.retain(|named| named != claimed);
            }
        }
        let ended: Vec<_> = remote
            .tasks
            .iter()
            .filter(|(_, task)| task.result.is_some())
            .collect();
        let again: Vec<_> = ended.into_iter().map(|(claimed, _)| *claimed).collect();
        let (polls, now) = (remote.polls && remote.tasks.is_empty(), self.now);
        self.outside(BEAT.0, Outside::Beat(Arc::clone(session), connection));
        if self.links.get(session) != Some(&connection) {
            return;
        }
        if polls {
            if let Some(remote) = self.remotes.get_mut(session) {
                remote.answered = now;
            }
            self.counts.fault("a driver polled, and named nothing");
            self.tell(session, SessionEvent::NoCredits);
            return self.tell(session, SessionEvent::Credits(free));
        }
        let Some(process) = &mut self.process else {
            return;
        };
        let ticket = process.ticket(Asker::Beat(Arc::clone(session)));
        self.handle(Input::Heartbeat {
            ticket,
            session: Arc::clone(session),
            named,
            free: Some(free),
        });
        again
            .into_iter()
            .for_each(|claimed| self.report_outside(session, claimed));
    }

    /// The engine says which of a driver's claims are over.
    pub(super) fn beat_answered(
        &mut self,
        session: &Arc<str>,
        answer: Result<Answer, NodeError>,
    ) -> Check {
        match answer {
            Ok(Answer::Tokens { stale }) => {
                if let Some(remote) = self.remotes.get_mut(session) {
                    remote.answered = self.now;
                }
                for claimed in &stale {
                    self.check_over(*claimed)?;
                }
                self.forget_outside(session, &stale);
            }
            Ok(other) => return Err(format!("a heartbeat was answered with {other:?}")),
            Err(_) => {}
        }
        Ok(())
    }

    /// A driver is told that a claim is over: then it is, in the store.
    fn check_over(&mut self, claimed: Claimed) -> Check {
        let Claimed { run, id, .. } = claimed;
        if !self.ledger.runs.contains(&run) || self.ledger.abandoned.contains(&run) {
            return Ok(());
        }
        let durable = self.durable(run)?;
        if durable.run.nonce(id) == Some(claimed.nonce) && self.adopter(claimed).is_none() {
            return Err(format!("{id} of {run} was told to be over, and is not"));
        }
        Ok(())
    }

    /// The session that went on with a claim of another.
    fn adopter(&self, claimed: Claimed) -> Option<&Arc<str>> {
        let adopts = |info: &&SessionInfo| info.adopted.contains(&claimed);
        self.rows.values().find(adopts).map(|info| &info.id)
    }

    /// A driver's process dies, and another comes.
    fn driver_dies(&mut self, session: &Arc<str>) -> bool {
        if self.remotes.len() < 2 || !self.strikes(300) {
            return !self.remotes.contains_key(session);
        }
        self.counts.fault("a driver's process died");
        if let Some(remote) = self.remotes.remove(session)
            && let Some(connection) = remote.connection
        {
            let after = self.random.below(3_000) as u64;
            self.outside(after, Outside::Broken(Arc::clone(session), connection));
        }
        self.new_remote();
        true
    }

    /// The runtime's clock: no answers for too long, time that is over, a grace that is over.
    fn look(&mut self, session: &Arc<str>) {
        let now = self.now;
        let Some(remote) = self.remotes.get(session) else {
            return;
        };
        let silent = Duration(now.0.saturating_sub(remote.answered.0));
        let (mut cancel, mut cut) = (Vec::new(), Vec::new());
        for (claimed, task) in &remote.tasks {
            if task.result.is_some() {
                continue;
            }
            match task.cut_off {
                Some(at) if at <= now => cut.push(*claimed),
                Some(_) => {}
                None if silent.0 > task.heartbeat.0 * 2 / 3 => {
                    cancel.push((*claimed, task.grace, true));
                }
                None if task.deadline <= now => cancel.push((*claimed, task.grace, false)),
                None => {}
            }
        }
        for (claimed, grace, silence) in cancel {
            if silence {
                self.counts
                    .fault("a driver stopped a task because nobody answered");
            }
            self.cancel_outside(session, claimed, grace);
        }
        for claimed in cut {
            let result = driver::cancelled(&mut self.random, claimed.run, claimed.id);
            self.task_ends(session, claimed, Box::new(result));
        }
    }

    /// The driver sees at once that its connection is gone, the engine perhaps much later.
    fn break_connection(&mut self, session: &Arc<str>) {
        let Some(remote) = self.remotes.get_mut(session) else {
            return;
        };
        let Some(connection) = remote.connection.take() else {
            return;
        };
        let late = self.random.percent(20);
        let heard = self.random.below(if late { 20_000 } else { 50 }) as u64;
        let long = self.random.percent(20);
        let back = self.random.below(if long { 90_000 } else { 500 }) as u64;
        self.outside(heard, Outside::Broken(Arc::clone(session), connection));
        self.outside(back, Outside::Connect(Arc::clone(session)));
    }

    /// The engine's process is gone: so are all connections.
    pub(super) fn break_all(&mut self) {
        self.links.clear();
        let sessions: Vec<_> = self.remotes.keys().cloned().collect();
        for session in sessions {
            let Some(remote) = self.remotes.get_mut(&session) else {
                continue;
            };
            if remote.connection.take().is_some() {
                let long = self.random.percent(10);
                let back = self.random.below(if long { 40_000 } else { 500 });
                self.outside(back as u64, Outside::Connect(session));
            }
        }
    }

    /// A driver connects: it goes on with its session, or begins one.
    fn connect(&mut self, session: &Arc<str>) -> Check {
        let Some(remote) = self.remotes.get(session) else {
            return Ok(());
        };
        if remote.connection.is_some() {
            return Ok(());
        }
        let (named, polls) = (remote.claims(), remote.polls);
        let Some(process) = &mut self.process else {
            let after = 1 + self.random.below(300) as u64;
            self.outside(after, Outside::Connect(Arc::clone(session)));
            return Ok(());
        };
        let ticket = process.ticket(Asker::Beat(Arc::clone(session)));
        self.connections += 1;
        let connection = self.connections;
        let known = self.rows.contains_key(session);
        self.links.insert(Arc::clone(session), connection);
        let mut id = Arc::clone(session);
        if known {
            self.counts.fault("a session came back");
            self.handle(Input::Resume {
                ticket,
                session: Arc::clone(&id),
                named: (!polls).then_some(named),
            });
        } else {
            id = self.begin_session(session, named.clone());
            self.links.remove(session);
            self.links.insert(Arc::clone(&id), connection);
            self.handle(Input::Heartbeat {
                ticket,
                session: Arc::clone(&id),
                named,
                free: None,
            });
        }
        let now = self.now;
        let Some(remote) = self.remotes.get_mut(&id) else {
            return Ok(());
        };
        remote.connection = Some(connection);
        if known && polls {
            // From now on it can be told. That it is heard keeps none of its tasks.
            remote.missing.values_mut().for_each(|at| *at = now);
        } else {
            remote.missing.clear();
        }
        if !polls || remote.tasks.is_empty() {
            remote.answered = now;
        }
        let free = remote.capacity.saturating_sub(remote.running()) as u32;
        let again: Vec<_> = remote
            .tasks
            .iter()
            .filter(|(_, task)| task.result.is_some())
            .collect();
        let again: Vec<_> = again.into_iter().map(|(claimed, _)| *claimed).collect();
        // What the answer says is over is no longer held by then.
        let outputs = self.process.as_mut().map(|process| process.owner.outputs());
        self.carry_out(outputs.unwrap_or_default())?;
        if free > 0 {
            self.tell(&id, SessionEvent::Credits(free));
        }
        again
            .into_iter()
            .for_each(|claimed| self.report_outside(&id, claimed));
        self.outside(BEAT.0, Outside::Beat(id, connection));
        Ok(())
    }

    /// The engine does not know the session: the driver begins another, and goes on with what it holds.
    fn begin_session(&mut self, session: &Arc<str>, adopts: Vec<Claimed>) -> Arc<str> {
        let Some(mut remote) = self.remotes.remove(session) else {
            return Arc::clone(session);
        };
        if !adopts.is_empty() {
            self.counts
                .fault("a new session went on with tasks of an earlier one");
        }
        self.sessions += 1;
        let id: Arc<str> = format!("session-{}", self.sessions).into();
        remote.session = Arc::clone(&id);
        let info = SessionInfo {
            id: Arc::clone(&id),
            drivers: [("d".into(), "1.0.0".into())].into(),
            schemas: BTreeMap::new(),
            capacity: remote.capacity as u32,
            scope: None,
            remote: true,
            restored: false,
            adopted: adopts,
        };
        // What ends by itself is known under the new name, too.
        for what in self.outside.values_mut() {
            match what {
                Outside::Done(of, ..) | Outside::Look(of) | Outside::Check(of) if of == session => {
                    *of = Arc::clone(&id);
                }
                _ => {}
            }
        }
        self.remotes.insert(Arc::clone(&id), remote);
        self.rows.insert(Arc::clone(&id), info.clone());
        self.handle(Input::Register(info));
        id
    }

    /// Sessions of an earlier process may come back.
    pub(super) fn restore_sessions(&mut self) {
        let ghosts = std::mem::take(&mut self.ghosts);
        for info in self
            .rows
            .values()
            .cloned()
            .chain(ghosts)
            .collect::<Vec<_>>()
        {
            let info = SessionInfo {
                restored: true,
                ..info
            };
            self.handle(Input::Register(info));
        }
    }

    /// The engine closes a silent session's connection, or forgets the session.
    pub(super) fn session_over(&mut self, session: &Arc<str>, forgotten: bool) {
        self.links.remove(session);
        if forgotten {
            self.counts.fault("a session was forgotten");
            // Its row may outlive a crash.
            let row = self.rows.remove(session);
            if self.strikes(4) {
                self.ghosts.extend(row);
            }
        }
        if let Some(remote) = self.remotes.get_mut(session)
            && remote.connection.take().is_some()
        {
            let after = self.random.below(500) as u64;
            self.outside(after, Outside::Connect(Arc::clone(session)));
        }
    }
}
