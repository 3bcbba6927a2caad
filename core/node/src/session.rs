//! Drivers in other processes: who said hello, what it may touch, and what is sent to it.
//!
//! The owner decides ([`crate::owner`]); this is what lies between it and a connection, whatever the
//! connection is. A [`Link`] is one connection's end of a session: what it receives is to be sent to
//! the driver, and what the driver sends goes into its methods.

mod assigned;
mod cut;
mod detached;
mod directory;
mod progress;
mod registration;
mod repeat;
mod rows;
mod task;

pub use assigned::SEALED_AFTER;
pub use directory::{DriverRecord, Forgotten, SessionRecord};
pub use progress::Progress;
pub use registration::{Hello, HelloError};
pub use task::{DriverTask, INVALID_REPORT, Ready, ToDriver};

pub(crate) use assigned::Assignments;
pub(crate) use directory::Directory;
pub(crate) use rows::remove;

use crate::driver::Outcome;
use crate::error::NodeError;
use crate::id::RunId;
use crate::node::{Message, Node, ended, judge, unexpected};
use crate::owner::{Answer, Input, SessionEvent};
use crate::token::Claimed;
use conveyor_bus::{LogState, Refused};
use conveyor_engine::run::Identity;
use conveyor_mask::Mask;
use conveyor_proto::storage::v1::LogLine;
use directory::Known;
use std::sync::Arc;
use tokio::sync::mpsc;

/// One connection of a session. Dropping it breaks the connection: the session may come back.
#[derive(Debug)]
pub struct Link {
    node: Node,
    known: Arc<Known>,
    /// Which of the session's it is.
    number: u64,
    inbox: mpsc::UnboundedReceiver<ToDriver>,
    /// Whether it was refused: then the session has another connection, perhaps under this very
    /// generation, which is not to be broken.
    refused: bool,
}

/// What a report came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reported {
    /// It counts, and is durable.
    Accepted,
    /// It is an exact repeat of a durable report.
    Already,
    /// Its token is not that of the current claim. Nothing changed.
    Stale,
    /// It broke a limit or the contract: the attempt ended `errored` with this reason.
    Invalid(String),
}

impl Link {
    /// The session's id.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.known.id
    }

    /// The session's own ends for what needs no connection.
    #[must_use]
    pub fn session(&self) -> Session {
        Session {
            node: self.node.clone(),
            known: Arc::clone(&self.known),
        }
    }

    /// What is to be sent to the driver next; `None` once this connection is no longer the
    /// session's. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<ToDriver> {
        self.inbox.recv().await
    }

    /// What is to be sent to the driver and is there already.
    pub fn try_next(&mut self) -> Option<ToDriver> {
        self.inbox.try_recv().ok()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if self.refused {
            return;
        }
        // The node may have ended.
        let _ = self.node.send(Message::Unlink {
            session: Arc::clone(&self.known.id),
            number: self.number,
        });
    }
}

/// A session, whatever its connection. Clones are the same.
#[derive(Clone, Debug)]
pub struct Session {
    node: Node,
    known: Arc<Known>,
}

impl Session {
    /// The session's id.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.known.id
    }

    /// Who it belongs to.
    #[must_use]
    pub fn principal(&self) -> &str {
        &self.known.principal
    }

    /// How many tasks it takes at once.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.known.capacity
    }

    /// Tells the owner something that wants no answer.
    ///
    /// # Errors
    /// [`NodeError::Unavailable`] when the node has ended.
    pub fn tell(&self, event: SessionEvent) -> Result<(), NodeError> {
        let session = Arc::clone(&self.known.id);
        self.known.heard(self.node.now());
        if matches!(event, SessionEvent::Draining) {
            self.known.drain();
        }
        self.node
            .send(Message::Input(Input::Session { session, event }))
    }

    /// Tells the owner which claims the session holds, and how many more tasks it takes where it says
    /// so. Gives those that are over.
    ///
    /// # Errors
    /// [`NodeError::Unavailable`] when the node has ended.
    pub async fn heartbeat(
        &self,
        named: Vec<Claimed>,
        free: Option<u32>,
    ) -> Result<Vec<Claimed>, NodeError> {
        let session = Arc::clone(&self.known.id);
        self.known.heard(self.node.now());
        let asked = move |ticket| Input::Heartbeat {
            ticket,
            session,
            named,
            free,
        };
        match self.node.ask(asked).await? {
            Answer::Tokens { stale } => Ok(stale),
            other => Err(unexpected(&other)),
        }
    }

    /// Keeps how far the session's tasks are, in place of what it told before.
    pub fn progress(&self, told: Vec<(Claimed, Progress)>) {
        let masked = told.into_iter().map(|(claimed, progress)| {
            let mask = self.node.assignments().mask(&claimed);
            if mask.is_none() && !progress.message.is_empty() {
                // Sent by an earlier process: its words are left out until its secrets are known again.
                let node = self.node.clone();
                tokio::spawn(async move {
                    if let Err(error) = assigned::assigned(&node, claimed).await {
                        tracing::debug!(run = %claimed.run, %error, "an attempt's progress has no words");
                    }
                });
            }
            let (message, mask) = match &mask {
                Some(mask) => (&*progress.message, mask),
                None => ("", &Mask::default()),
            };
            let progress = Progress::new(progress.permille, message, mask, progress.at);
            (claimed, progress)
        });
        self.known.progresses(masked.collect());
    }

    /// Which of these claims are over, or not the session's.
    ///
    /// # Errors
    /// [`NodeError::Unavailable`] when the node has ended.
    pub async fn standing(&self, named: Vec<Claimed>) -> Result<Vec<Claimed>, NodeError> {
        let session = Arc::clone(&self.known.id);
        let asked = move |ticket| Input::Standing {
            ticket,
            session,
            named,
        };
        match self.node.ask(asked).await? {
            Answer::Tokens { stale } => Ok(stale),
            other => Err(unexpected(&other)),
        }
    }

    /// What a token names, if it is one of this session's principal.
    #[must_use]
    pub fn open(&self, token: &[u8]) -> Option<Claimed> {
        self.node
            .tokens()
            .open(&self.known.principal, token)
            .map(|(_, claimed)| claimed)
    }

    /// The token of a claim of a run in the namespace.
    #[must_use]
    pub fn seal(&self, namespace: &str, claimed: &Claimed) -> Vec<u8> {
        let tokens = self.node.tokens();
        tokens.seal(namespace, &self.known.principal, claimed)
    }

    /// The task of a claim as its driver is to see it.
    pub async fn task(&self, start: crate::owner::StartTask) -> Ready {
        task::prepare(&self.node, &self.known, start).await
    }
}

impl Node {
    /// How far the tasks of a run are, as far as their drivers told.
    #[must_use]
    pub fn progress(&self, run: RunId) -> Vec<(Identity, Progress)> {
        self.directory().progress(run)
    }

    /// Opens a session for a driver in another process. Durable when this returns: it can be resumed
    /// after the engine's restart. With it, those of the claims that it adopts which are over.
    ///
    /// # Errors
    /// [`HelloError`].
    pub async fn open_session(&self, hello: Hello) -> Result<(Link, Vec<Claimed>), HelloError> {
        registration::open(self, hello).await
    }

    /// Goes on with a session over a new stream, of a `generation`; the older one is closed. With it, those of
    /// the claims that it names which are over; its claims that it does not name end. Where it does not tell
    /// (`None`), none ends. Without a generation it goes on by calls alone, unless a connection has it.
    ///
    /// # Errors
    /// [`NodeError::NotFound`] when the session is not known, or the secret is not its own;
    /// [`NodeError::Invalid`] when another connection has it.
    pub async fn resume_session(
        &self,
        id: &str,
        secret: &[u8],
        generation: Option<u64>,
        named: impl FnOnce(&Session) -> Option<Vec<Claimed>>,
    ) -> Result<(Link, Vec<Claimed>), NodeError> {
        let known = self.directory().authentic(self, id, secret)?;
        let session = Session {
            node: self.clone(),
            known: Arc::clone(&known),
        };
        let named = named(&session);
        let number = known.next_link();
        let (outbox, inbox) = mpsc::unbounded_channel();
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.send(Message::Link {
            session: Arc::clone(&known.id),
            number,
            generation,
            named,
            outbox,
            reply,
        })?;
        let mut link = Link {
            node: self.clone(),
            known,
            number,
            inbox,
            refused: false,
        };
        let answer = answer.await.map_err(|_| ended())?;
        link.refused = matches!(answer, Err(NodeError::Invalid(_)));
        match answer? {
            Answer::Tokens { stale } => Ok((link, stale)),
            other => Err(unexpected(&other)),
        }
    }

    /// A session by its id and its secret, for calls that hold no connection.
    ///
    /// # Errors
    /// [`NodeError::NotFound`] when it is not known, or the secret is not its own.
    pub fn session(&self, id: &str, secret: &[u8]) -> Result<Session, NodeError> {
        let known = self.directory().authentic(self, id, secret)?;
        Ok(Session {
            node: self.clone(),
            known,
        })
    }

    /// Proves that a resume comes from whoever was welcomed.
    #[must_use]
    pub fn resume_secret(&self, session: &Session) -> Vec<u8> {
        self.tokens().session_secret(&session.known.id)
    }

    /// What a token names, if it was made for the principal.
    #[must_use]
    pub fn claim(&self, principal: &str, token: &[u8]) -> Option<Claimed> {
        self.tokens()
            .open(principal, token)
            .map(|(_, claimed)| claimed)
    }

    /// Takes a driver's report.
    ///
    /// # Errors
    /// [`NodeError::Unavailable`] and the like when it could not be stored: it is to be sent again.
    pub async fn report(
        &self,
        claimed: Claimed,
        outcome: Outcome,
        last_log: Option<u64>,
    ) -> Result<Reported, NodeError> {
        task::report(self, claimed, outcome, last_log).await
    }

    /// Keeps what a next attempt of the instance should know. False when the claim is over.
    ///
    /// # Errors
    /// [`NodeError::Invalid`] when it is over the limit `checkpoint_bytes`, or a secret is in it; [`NodeError::Unavailable`]
    /// and the like when it could not be stored.
    pub async fn checkpoint(&self, claimed: Claimed, data: Arc<[u8]>) -> Result<bool, NodeError> {
        let (len, most) = (data.len() as u64, self.limits().checkpoint_bytes);
        if len > most {
            return Err(NodeError::Invalid(format!(
                "the checkpoint has {len} bytes; the limit `checkpoint_bytes` is {most}"
            )));
        }
        if let Some(assigned) = assigned::assigned(self, claimed).await?
            && let Some(why) = judge::secret_in_checkpoint(assigned.mask(), &data)
        {
            return Err(NodeError::Invalid(why));
        }
        let asked = move |ticket| Input::Checkpoint {
            ticket,
            claimed,
            data,
        };
        Ok(self.ask(asked).await? != Answer::Stale)
    }

    /// Keeps log lines of an attempt, the first of which has the offset `first`; durable when this
    /// returns.
    ///
    /// # Errors
    /// When they could not be stored: they are to be sent again.
    pub async fn append_logs(
        &self,
        claimed: Claimed,
        first: u64,
        lines: Vec<LogLine>,
    ) -> Result<Result<LogState, Refused>, NodeError> {
        assigned::append_logs(self, claimed, first, lines).await
    }

    /// Drivers that are, or were, registered in other processes.
    #[must_use]
    pub fn registered_drivers(&self) -> Vec<DriverRecord> {
        self.directory().drivers()
    }

    /// Forgets a driver that was registered in other processes, in all of its versions, where no session
    /// of it is left. Durable when this returns. What waits for it goes on waiting; a detached attempt of
    /// it ends as it is reported, its outputs unchecked. An empty scope means all namespaces.
    ///
    /// # Errors
    /// When the store fails: ask again.
    pub async fn forget_driver(&self, name: &str, scope: &str) -> Result<Forgotten, NodeError> {
        let (store, directory) = (Arc::clone(self.reader().store()), self.shared_directory());
        let (name, scope) = (name.to_owned(), scope.to_owned());
        let forget = move || directory.forget(store.as_ref(), &name, &scope);
        let done = self.reader().workers().run(forget).await;
        self.doubt(
            done.ok_or_else(|| NodeError::Unavailable("forgetting a driver panicked".into()))?,
        )
    }

    /// Sessions of drivers in other processes.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionRecord> {
        self.directory().sessions()
    }
}

/// The run of a claim, for messages.
pub(crate) fn of(claimed: &Claimed) -> RunId {
    claimed.run
}
