//! What a driver in another process does with its tasks.

use super::super::super::driver;
use super::super::super::process::Asker;
use super::super::super::remote::{Outside, Task};
use super::super::{Check, World};
use conveyor_engine::run::AttemptState;
use conveyor_engine::time::Duration;
use conveyor_node::NodeError;
use conveyor_node::owner::{Answer, Input, SessionEvent, StartTask};
use conveyor_node::token::Claimed;
use std::sync::Arc;

impl World {
    pub(super) fn task_arrives(
        &mut self,
        session: &Arc<str>,
        connection: u64,
        start: &StartTask,
    ) -> Check {
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
                return self.report_outside(session, claimed);
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
        let mut result = driver::result(&mut self.random, claimed.run, claimed.id);
        self.may_tell(start, &mut result);
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
            unheard: false,
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
            if let Some(task) = self.task_of(session, claimed) {
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
    pub(in super::super) fn detached(
        &mut self,
        session: &Arc<str>,
        claimed: Claimed,
        answer: &Result<Answer, NodeError>,
    ) {
        let Some(remote) = self.remotes.get_mut(session) else {
            return;
        };
        // What has its result is reported where it is.
        let goes_on = |task: &Task| task.result.is_none();
        if !remote.tasks.get(&claimed).is_some_and(goes_on) {
            return;
        }
        if !matches!(answer, Ok(Answer::Done)) {
            // It goes on where it is, or is told to stop.
            return;
        }
        remote.tasks.remove(&claimed);
        remote.ended.insert(claimed);
        self.counts.fault("a driver went on elsewhere with a task");
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

    pub(super) fn cancel_arrives(
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
        if let Some(task) = self.task_of(session, claimed) {
            // Now it is asked to, and says so.
            task.unheard = false;
        }
    }

    fn task_of(&mut self, session: &Arc<str>, claimed: Claimed) -> Option<&mut Task> {
        let remote = self.remotes.get_mut(session);
        remote.and_then(|remote| remote.tasks.get_mut(&claimed))
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
    pub(super) fn forget_outside(&mut self, session: &Arc<str>, claims: &[Claimed]) {
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

    pub(super) fn task_ends(
        &mut self,
        session: &Arc<str>,
        claimed: Claimed,
        result: Box<driver::Result>,
    ) -> Check {
        let Some(remote) = self.remotes.get_mut(session) else {
            return Ok(());
        };
        let Some(task) = remote.tasks.get_mut(&claimed) else {
            return Ok(());
        };
        if task.result.is_some() {
            return Ok(());
        }
        if task.unheard && result.ended.state == AttemptState::Cancelled {
            self.give_back(session, claimed);
            return Ok(());
        }
        task.result = Some(result);
        self.tell(session, SessionEvent::Credits(1));
        self.report_outside(session, claimed)
    }

    /// Nobody asked for the end of a task: it is another attempt's. Where there is no connection, it is not named
    /// over the next one.
    fn give_back(&mut self, session: &Arc<str>, claimed: Claimed) {
        self.counts
            .fault("a driver gave a task back that nobody had cancelled");
        self.tell(session, SessionEvent::Refused(claimed));
        self.forget_outside(session, &[claimed]);
    }

    pub(super) fn report_outside(&mut self, session: &Arc<str>, claimed: Claimed) -> Check {
        let Some(remote) = self.remotes.get(session) else {
            return Ok(());
        };
        let (connection, task) = (remote.connection, remote.tasks.get(&claimed));
        let Some(result) = task.and_then(|task| task.result.clone()) else {
            return Ok(());
        };
        if connection.is_none() || self.links.get(session) != connection.as_ref() {
            return Ok(());
        }
        if self.strikes(15) {
            self.counts.fault("a report was lost with its connection");
            self.break_connection(session);
            return Ok(());
        }
        let session = Arc::clone(session);
        let asker = |result| Asker::Remote(session, claimed, result);
        self.report(asker, claimed, *result)
    }

    pub(in super::super) fn remote_answered(
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

    /// The runtime's clock: no answers for too long, time that is over, a grace that is over.
    pub(super) fn look(&mut self, session: &Arc<str>) -> Check {
        let now = self.now;
        let Some(remote) = self.remotes.get(session) else {
            return Ok(());
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
            if silence && let Some(task) = self.task_of(session, claimed) {
                task.unheard = true;
            }
        }
        for claimed in cut {
            let result = driver::cancelled(&mut self.random, claimed.run, claimed.id);
            self.task_ends(session, claimed, Box::new(result))?;
        }
        Ok(())
    }
}
