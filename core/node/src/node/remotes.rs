//! The connections of sessions in other processes, as the owner's thread sees them.

use crate::owner::StartTask;
use crate::reader::Reader;
use crate::session::{self, Directory, ToDriver};
use crate::token::Claimed;
use conveyor_engine::time::Duration;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::mpsc::UnboundedSender;

/// Where what a session is told goes.
pub(super) struct Remotes {
    directory: Arc<Directory>,
    reader: Reader,
    links: HashMap<Arc<str>, Link>,
    /// The last stream of each session, whether it is there or not: the highest wins.
    generations: HashMap<Arc<str>, u64>,
}

/// A connection, as far as the owner's thread knows it.
pub(super) struct Link {
    /// Which of the session's it is.
    pub(super) number: u64,
    pub(super) outbox: UnboundedSender<ToDriver>,
}

impl Remotes {
    pub(super) fn new(directory: Arc<Directory>, reader: Reader) -> Remotes {
        Remotes {
            directory,
            reader,
            links: HashMap::new(),
            generations: HashMap::new(),
        }
    }

    /// A session has a connection: a stream of a generation, or, where it has none, calls without one.
    ///
    /// # Errors
    /// When another connection has it.
    pub(super) fn link(
        &mut self,
        session: &Arc<str>,
        generation: Option<u64>,
        link: Link,
    ) -> Result<(), String> {
        match generation {
            None if self.links.contains_key(session) => {
                return Err(format!(
                    "a stream has the session {session}: it is not polled"
                ));
            }
            None => {}
            Some(generation) => {
                let last = self.generations.get(session);
                if last.is_some_and(|last| *last >= generation) {
                    return Err(format!("a newer connection has the session {session}"));
                }
                self.generations.insert(Arc::clone(session), generation);
            }
        }
        if let Some(older) = self.links.insert(Arc::clone(session), link) {
            // It may be broken already.
            let _ = older.outbox.send(ToDriver::Replaced);
        }
        if let Some(known) = self.directory.session(session) {
            known.comes_back();
        }
        Ok(())
    }

    /// A connection is broken. False when it was not the session's any more.
    pub(super) fn unlink(&mut self, session: &Arc<str>, number: u64) -> bool {
        let link = self.links.get(session);
        if link.is_none_or(|link| link.number != number) {
            return false;
        }
        self.links.remove(session);
        self.goes_away(session);
        true
    }

    fn goes_away(&self, session: &Arc<str>) {
        if let Some(known) = self.directory.session(session) {
            known.connected.store(false, Ordering::Relaxed);
        }
    }

    fn send(&self, session: &Arc<str>, message: ToDriver) {
        if let Some(link) = self.links.get(session) {
            // A broken connection is told soon; what was lost with it is sent again.
            let _ = link.outbox.send(message);
        }
    }

    pub(super) fn start(&self, task: Box<StartTask>) {
        let session = Arc::clone(&task.session);
        self.send(&session, ToDriver::Task(task));
    }

    pub(super) fn cancel(
        &self,
        session: &Arc<str>,
        claimed: Claimed,
        namespace: Arc<str>,
        reason: Arc<str>,
        grace: Duration,
    ) {
        let cancel = ToDriver::Cancel {
            claimed,
            namespace,
            reason,
            grace,
        };
        self.send(session, cancel);
    }

    /// Nobody was heard for long: the connection is closed; the session may come back.
    pub(super) fn silent(&mut self, session: &Arc<str>) {
        self.send(session, ToDriver::Over);
        self.links.remove(session);
        self.goes_away(session);
    }

    /// The session is over.
    pub(super) fn over(&mut self, session: &Arc<str>) {
        self.silent(session);
        self.generations.remove(session);
        self.directory.remove_session(session);
        let (reader, session) = (self.reader.clone(), Arc::clone(session));
        self.reader.workers().spawn(move || {
            if let Err(error) = session::remove(reader.store().as_ref(), &session) {
                // The next node finds it, waits for it in vain, and removes it then.
                tracing::debug!(%session, %error, "the row of a session was not removed");
            }
        });
    }
}
