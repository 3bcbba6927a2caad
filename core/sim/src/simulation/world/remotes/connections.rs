//! How drivers in other processes come and go.

use super::super::super::process::Asker;
use super::super::super::remote::{BEAT, Outside, Remote};
use super::super::{Check, World};
use conveyor_engine::time::Duration;
use conveyor_node::owner::{Input, SessionEvent, SessionInfo, StartTask};
use conveyor_node::token::Claimed;
use std::collections::BTreeMap;
use std::sync::Arc;

impl World {
    /// What the engine sends goes over the connection that it knows.
    pub(in super::super) fn send_task(&mut self, task: StartTask) {
        if let Some(connection) = self.links.get(&task.session).copied() {
            let after = self.random.below(30) as u64;
            let session = Arc::clone(&task.session);
            self.outside(after, Outside::Task(session, connection, Box::new(task)));
        }
    }

    pub(in super::super) fn send_cancel(
        &mut self,
        session: &Arc<str>,
        claimed: Claimed,
        grace: Duration,
    ) {
        if let Some(connection) = self.links.get(session).copied() {
            let after = self.random.below(30) as u64;
            let cancel = Outside::Cancel(Arc::clone(session), connection, claimed, grace);
            self.outside(after, cancel);
        }
    }

    /// The driver of a session over a connection, where both are there.
    pub(super) fn at(&mut self, session: &str, connection: u64) -> Option<&mut Remote> {
        let remote = self.remotes.get_mut(session)?;
        (remote.connection == Some(connection)).then_some(remote)
    }

    /// Tells the engine something, if there is a connection that it knows too.
    pub(super) fn tell(&mut self, session: &Arc<str>, event: SessionEvent) {
        let connection = self
            .remotes
            .get(session)
            .and_then(|remote| remote.connection);
        if connection.is_some() && self.links.get(session) == connection.as_ref() {
            let session = Arc::clone(session);
            self.handle(Input::Session { session, event });
        }
    }

    /// A driver's process dies, and another comes.
    pub(super) fn driver_dies(&mut self, session: &Arc<str>) -> bool {
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

    /// The driver sees at once that its connection is gone, the engine perhaps much later.
    pub(super) fn break_connection(&mut self, session: &Arc<str>) {
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
    pub(in super::super) fn break_all(&mut self) {
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
    pub(super) fn connect(&mut self, session: &Arc<str>) -> Check {
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
        for claimed in again {
            self.report_outside(&id, claimed)?;
        }
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
    pub(in super::super) fn restore_sessions(&mut self) {
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
    pub(in super::super) fn session_over(&mut self, session: &Arc<str>, forgotten: bool) {
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
