//! Sessions without a stream: their ends of the links, between two polls.

use super::{DriverHandlers, convert};
use crate::caller::Caller;
use conveyor_node::NodeError;
use conveyor_node::owner::SessionEvent;
use conveyor_node::session::{Link, Ready, Session, ToDriver};
use conveyor_node::token::Claimed;
use conveyor_proto::v1;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tonic::Status;

/// The longest wait of a poll (R50).
pub const WAIT_MS: u64 = 60_000;

/// The polled sessions of this process.
#[derive(Debug, Default)]
pub(super) struct PolledSessions {
    sessions: std::sync::Mutex<HashMap<Arc<str>, Arc<Polled>>>,
    /// One at a time is taken up: who comes second finds it.
    taking_up: Mutex<()>,
}

/// One session without a stream.
#[derive(Debug)]
pub(super) struct Polled {
    /// A poll has it for as long as it waits.
    turn: Mutex<Turn>,
    /// Cancels that an answer had: each is in the answer to every heartbeat that names its task, since
    /// answers are lost (R52). Beside the turn, for heartbeats come while a poll waits.
    cancelled: std::sync::Mutex<HashMap<Claimed, v1::Cancel>>,
}

/// A session between two polls.
#[derive(Debug)]
struct Turn {
    link: Link,
    /// The last poll's id and answer, for its repeats.
    answered: Option<(String, v1::PollResponse)>,
    /// What was told and not polled yet.
    told: VecDeque<ToDriver>,
}

impl Polled {
    /// Tells a cancel, and keeps it to be told again.
    fn cancel(
        &self,
        session: &Session,
        claimed: Claimed,
        namespace: &str,
        reason: &str,
        grace: Duration,
    ) -> v1::Cancel {
        let cancel = v1::Cancel {
            token: session.seal(namespace, &claimed).into(),
            reason: reason.to_owned(),
            grace_ms: grace.as_millis() as u64,
        };
        self.told_cancels().insert(claimed, cancel.clone());
        cancel
    }

    fn told_cancels(&self) -> std::sync::MutexGuard<'_, HashMap<Claimed, v1::Cancel>> {
        self.cancelled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Cancels that no answer had yet. While a poll waits, it is the one that tells them.
    fn untold(&self, session: &Session) -> Vec<v1::Cancel> {
        let Ok(mut turn) = self.turn.try_lock() else {
            return Vec::new();
        };
        while let Some(told) = turn.link.try_next() {
            turn.told.push_back(told);
        }
        let mut cancels = Vec::new();
        for told in std::mem::take(&mut turn.told) {
            match told {
                ToDriver::Cancel {
                    claimed,
                    namespace,
                    reason,
                    grace,
                } => {
                    let grace = Duration::from_millis(grace.0);
                    cancels.push(self.cancel(session, claimed, &namespace, &reason, grace));
                }
                other => turn.told.push_back(other),
            }
        }
        cancels
    }
}

impl PolledSessions {
    pub(super) fn insert(&self, link: Link) {
        let id = Arc::clone(link.id());
        let turn = Turn {
            link,
            answered: None,
            told: VecDeque::new(),
        };
        let polled = Polled {
            turn: Mutex::new(turn),
            cancelled: std::sync::Mutex::default(),
        };
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.insert(id, Arc::new(polled));
    }

    fn get(&self, id: &str) -> Option<Arc<Polled>> {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.get(id).cloned()
    }

    pub(super) fn remove(&self, id: &str) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.remove(id);
    }
}

/// Tells the engine that a poll is over: it had its answer, or its caller has gone.
struct Over<'a>(&'a Session);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        // Where the node has ended there is nobody to tell.
        let _ = self.0.tell(SessionEvent::NoCredits);
    }
}

impl DriverHandlers {
    /// A session of the caller. The secret alone would let whoever has read it go on with somebody
    /// else's.
    pub(super) fn session_of(
        &self,
        caller: &Caller,
        id: &str,
        secret: &[u8],
    ) -> Result<Session, Status> {
        let session = self.node.session(id, secret);
        let session = session.map_err(|error| crate::refusal::status(&error))?;
        match *session.principal() == *caller.principal {
            true => Ok(session),
            false => Err(Status::not_found(format!(
                "there is no session {id} of `{}`",
                caller.principal
            ))),
        }
    }

    /// The polled session. One of an earlier process of this engine is taken up again; one that a stream has
    /// is FAILED_PRECONDITION.
    pub(super) async fn polled(
        &self,
        caller: &Caller,
        id: &str,
        secret: &[u8],
    ) -> Result<Arc<Polled>, Status> {
        self.session_of(caller, id, secret)?;
        if let Some(polled) = self.polled.get(id) {
            return Ok(polled);
        }
        let _turn = self.polled.taking_up.lock().await;
        if let Some(polled) = self.polled.get(id) {
            return Ok(polled);
        }
        let resumed = self.node.resume_session(id, secret, None, |_| None).await;
        let (link, _) = resumed.map_err(|error| match error {
            NodeError::Invalid(why) => Status::failed_precondition(why),
            error => crate::refusal::status(&error),
        })?;
        self.polled.insert(link);
        let missing = || Status::unavailable("the session is being taken up; poll again");
        self.polled.get(id).ok_or_else(missing)
    }

    pub(super) async fn take_tasks(
        &self,
        caller: &Caller,
        request: v1::PollRequest,
    ) -> Result<v1::PollResponse, Status> {
        if request.request_id.len() > 64 {
            return Err(crate::refusal::limit(
                "/request_id",
                "request_id",
                request.request_id.len(),
                64,
            ));
        }
        if request.wait_ms > WAIT_MS {
            let wait = request.wait_ms as usize;
            return Err(crate::refusal::limit(
                "/wait_ms",
                "wait_ms",
                wait,
                WAIT_MS as usize,
            ));
        }
        let polled = self
            .polled(caller, &request.session, &request.resume_secret)
            .await?;
        let deadline = Instant::now() + Duration::from_millis(request.wait_ms);
        // To wait for another poll of the session is to wait.
        let Ok(mut turn) = tokio::time::timeout_at(deadline, polled.turn.lock()).await else {
            return Ok(v1::PollResponse {
                drain: self.drain(),
                ..v1::PollResponse::default()
            });
        };
        if let Some((id, answer)) = &turn.answered
            && !request.request_id.is_empty()
            && *id == request.request_id
        {
            return Ok(answer.clone());
        }
        let most = request.max_tasks.clamp(1, turn.link.session().capacity());
        let answer = self.poll(&polled, &mut turn, most, deadline).await?;
        turn.answered = Some((request.request_id, answer.clone()));
        Ok(answer)
    }

    async fn poll(
        &self,
        polled: &Polled,
        turn: &mut Turn,
        most: u32,
        deadline: Instant,
    ) -> Result<v1::PollResponse, Status> {
        let session = turn.link.session();
        let tell = |event| {
            let told = session.tell(event);
            told.map_err(|error| crate::refusal::status(&error))
        };
        let (mut tasks, mut cancels) = (Vec::new(), Vec::new());
        while let Some(told) = turn.link.try_next() {
            turn.told.push_back(told);
        }
        // What came since the last poll, or comes again, has its place in this answer already.
        let there = turn
            .told
            .iter()
            .filter(|told| matches!(told, ToDriver::Task(_)));
        let free = most.saturating_sub(there.count() as u32);
        let wait = deadline.saturating_duration_since(Instant::now());
        let wait = conveyor_engine::time::Duration(wait.as_millis() as u64);
        tell(SessionEvent::Polls { free, wait })?;
        // Whatever is claimed once this call is over waits for the next: nothing, if it can be helped.
        let _over = Over(&session);
        let mut ending = self.ending.subscribe();
        while (tasks.len() as u32) < most {
            let there = turn.told.pop_front().or_else(|| turn.link.try_next());
            // What is there is enough.
            let next = match there {
                Some(told) => Some(told),
                None if !tasks.is_empty() || !cancels.is_empty() => None,
                None => tokio::select! {
                    told = tokio::time::timeout_at(deadline, turn.link.next()) => match told {
                        // Whoever takes a session away says so first.
                        Ok(None) => {
                            let why = "the engine stops; poll again".into();
                            return Err(crate::refusal::status(&NodeError::Unavailable(why)));
                        }
                        Ok(told) => told,
                        Err(_) => None,
                    },
                    _ = ending.changed() => None,
                },
            };
            match next {
                None => break,
                Some(ToDriver::Task(start)) => match session.task(*start).await {
                    Ready::Task(task) => {
                        let task = convert::task(&session, *task, self.node.now());
                        // One that is sent again comes once in an answer.
                        let same = |other: &v1::Task| other.token == task.token;
                        if !tasks.iter().any(same) {
                            tasks.push(task);
                        }
                    }
                    Ready::Ended => tell(SessionEvent::Credits(1))?,
                    Ready::Later => {}
                },
                Some(ToDriver::Cancel {
                    claimed,
                    namespace,
                    reason,
                    grace,
                }) => {
                    let grace = Duration::from_millis(grace.0);
                    cancels.push(polled.cancel(&session, claimed, &namespace, &reason, grace));
                }
                Some(ToDriver::Replaced | ToDriver::Over) => return Err(self.gone(&session)),
            }
        }
        Ok(v1::PollResponse {
            tasks,
            cancels,
            drain: self.drain(),
        })
    }

    /// What a poll is told where no task comes any more (R75).
    fn drain(&self) -> Option<v1::Drain> {
        (*self.ending.borrow() != super::Ending::No).then(|| v1::Drain {
            reason: "the engine is about to stop".to_owned(),
            deadline_ms: None,
        })
    }

    /// Tasks of a polled session that have to stop: what was not told yet, and of those that the driver
    /// names what was, but for those that are `over`, which it is told as stale.
    pub(super) async fn cancels(
        &self,
        session: &Session,
        named: &[Claimed],
        over: &[Claimed],
    ) -> Vec<v1::Cancel> {
        let Some(polled) = self.polled.get(session.id()) else {
            return Vec::new();
        };
        let mut cancels = polled.told_cancels().clone();
        let unnamed = cancels.keys().filter(|claimed| !named.contains(claimed));
        let unnamed: Vec<Claimed> = unnamed.copied().collect();
        cancels.retain(|claimed, _| named.contains(claimed) && !over.contains(claimed));
        // A heartbeat that does not name a task may be older than the task, and the next one names it. Where
        // the node has ended, all are kept: nobody is told anything more.
        let ended = match unnamed.is_empty() {
            true => Vec::new(),
            false => session.standing(unnamed).await.unwrap_or_default(),
        };
        polled
            .told_cancels()
            .retain(|claimed, _| !over.contains(claimed) && !ended.contains(claimed));
        let mut cancels: Vec<v1::Cancel> = cancels.into_values().collect();
        cancels.extend(polled.untold(session));
        cancels
    }

    fn gone(&self, session: &Session) -> Status {
        self.polled.remove(session.id());
        Status::not_found("the session is over, or another connection has it: register again")
    }
}
