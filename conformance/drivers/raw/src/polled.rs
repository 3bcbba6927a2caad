//! A session without a stream: calls that stand in for one.
//!
//! The rest of the driver speaks as over a stream. Here each message becomes a call, which is repeated until it is
//! answered (R78), and each answer becomes what a stream would have said. Messages about one task keep their
//! order; those of others do not wait for them.

mod about;
mod again;

use self::about::{Lanes, token_of};
use self::again::{ANSWER, is_passing, within};
use crate::breaks::{Break, Breaks};
use crate::connect::{Client, is_final};
use crate::session::note;
use crate::wire::{Heard, Wire};
use conveyor_proto::v1;
use conveyor_proto::v1::session_request::Message as Tell;
use conveyor_proto::v1::session_response::Message as Told;
use prost::bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tonic::{Code, Status};

/// How long a poll waits for a task. The contract allows a minute.
const POLL: Duration = Duration::from_secs(20);
/// Between two polls of an engine that drains.
const DRAINING: Duration = Duration::from_secs(1);
/// What makes calls of messages.
pub(crate) fn open(client: Client, breaks: Breaks) -> Wire {
    let (outgoing, messages) = mpsc::unbounded_channel();
    let (heard, incoming) = mpsc::unbounded_channel();
    let calls = Calls {
        client,
        heard,
        breaks,
        session: String::new(),
        secret: Bytes::new(),
    };
    tokio::spawn(calls.carry(messages));
    Wire::calls(outgoing, incoming)
}

/// What calls are made with.
#[derive(Clone)]
struct Calls {
    client: Client,
    heard: mpsc::UnboundedSender<Result<Heard, Status>>,
    breaks: Breaks,
    session: String,
    secret: Bytes,
}

impl Calls {
    async fn carry(mut self, mut messages: mpsc::UnboundedReceiver<v1::SessionRequest>) {
        let mut lanes = Lanes::default();
        let (places, _) = watch::channel(0);
        let places = Arc::new(places);
        let mut polls = None;
        while let Some(request) = messages.recv().await {
            let sequence = request.sequence;
            match request.message {
                Some(Tell::Hello(hello)) => {
                    if !self.register(hello).await {
                        return;
                    }
                    polls = Some(AbortOnDrop(tokio::spawn(
                        self.clone().poll(Arc::clone(&places)),
                    )));
                    self.done(sequence);
                }
                // Only a stream can be resumed.
                Some(Tell::Resume(_)) => {
                    let reason = v1::GoodbyeReason::UnknownSession.into();
                    self.say(Told::Goodbye(v1::Goodbye {
                        reason,
                        ..v1::Goodbye::default()
                    }));
                    return;
                }
                Some(Tell::Credits(credits)) => {
                    places.send_modify(|places| *places += credits.count);
                    self.done(sequence);
                }
                Some(Tell::Heartbeat(beat)) => {
                    tokio::spawn(self.clone().beat(sequence, beat));
                }
                Some(Tell::Drain(_)) => {
                    // What a poll that waits still brings is refused.
                    places.send_replace(0);
                    self.done(sequence);
                }
                Some(Tell::Leaving(leaving)) => {
                    // A poll of a session that is over is a mistake.
                    drop(polls);
                    return self.leave(leaving).await;
                }
                Some(message) => {
                    if let Some(token) = token_of(&message) {
                        lanes.put(&self, &token, (sequence, message));
                    }
                }
                None => {}
            }
        }
    }

    fn say(&self, message: Told) {
        // The session may have come to an end.
        let _ = self.heard.send(Ok(Heard::Message(Some(message))));
    }

    fn done(&self, sequence: u64) {
        let _ = self.heard.send(Ok(Heard::Done(sequence)));
    }

    /// A call is refused for good. What it was for is as the contract's table of errors says.
    fn refused(&self, what: &str, status: &Status) {
        note(&format!(
            "{what} is refused: {}: {}",
            status.code(),
            status.message()
        ));
        if is_final(status) {
            let _ = self.heard.send(Err(status.clone()));
        }
        if status.code() == Code::NotFound {
            let reason = v1::GoodbyeReason::UnknownSession.into();
            let message = status.message().to_owned();
            self.say(Told::Goodbye(v1::Goodbye {
                reason,
                message,
                ..v1::Goodbye::default()
            }));
        }
    }

    /// Opens a session; a repeat makes another, so it is tried once, and again by whoever connects again.
    async fn register(&mut self, hello: v1::Hello) -> bool {
        let request = v1::RegisterRequest { hello: Some(hello) };
        let welcome = match within(ANSWER, self.client.register(request)).await {
            Ok(answer) => answer.welcome.unwrap_or_default(),
            Err(status)
                if matches!(
                    status.code(),
                    Code::InvalidArgument | Code::FailedPrecondition
                ) =>
            {
                let (reason, message) = (
                    v1::GoodbyeReason::Refused.into(),
                    status.message().to_owned(),
                );
                self.say(Told::Goodbye(v1::Goodbye {
                    reason,
                    message,
                    ..v1::Goodbye::default()
                }));
                return false;
            }
            Err(status) => {
                let _ = self.heard.send(Err(status));
                return false;
            }
        };
        (self.session, self.secret) = (welcome.session.clone(), welcome.resume_secret.clone());
        self.say(Told::Welcome(welcome));
        true
    }

    /// Asks for as many tasks as there are places for.
    async fn poll(self, places: Arc<watch::Sender<u32>>) {
        let mut changes = places.subscribe();
        let mut came = BTreeSet::new();
        loop {
            // The other end is held here, so it is there.
            let Ok(max_tasks) = changes
                .wait_for(|&places| places > 0)
                .await
                .map(|places| *places)
            else {
                return;
            };
            let request = v1::PollRequest {
                session: self.session.clone(),
                resume_secret: self.secret.clone(),
                request_id: uuid::Uuid::new_v4().to_string(),
                max_tasks,
                wait_ms: POLL.as_millis() as u64,
            };
            let polled = self
                .repeated(POLL + ANSWER, |mut client| {
                    let mut request = request.clone();
                    if self.breaks.has(Break::RepeatsOtherwise) {
                        request.request_id = uuid::Uuid::new_v4().to_string();
                    }
                    async move { client.poll(request).await }
                })
                .await;
            let answer = match polled {
                Ok(answer) => answer,
                // A driver that gives up asks for others.
                Err(status) if is_passing(&status) => continue,
                Err(status) => return self.refused("a poll", &status),
            };
            // One that comes again has its place, or had it.
            let tasks = answer.tasks.iter();
            let new = tasks.filter(|task| came.insert(task.token.clone())).count() as u32;
            places.send_modify(|places| *places = places.saturating_sub(new));
            answer
                .cancels
                .into_iter()
                .for_each(|cancel| self.say(Told::Cancel(cancel)));
            answer
                .tasks
                .into_iter()
                .for_each(|task| self.say(Told::Task(task)));
            if let Some(drain) = answer.drain {
                self.say(Told::Drain(drain));
                // No task comes before the engine's next start, and none of the waits of polls.
                tokio::time::sleep(DRAINING).await;
            }
        }
    }

    /// Says once what is held: the next heartbeat is the repeat.
    async fn beat(mut self, sequence: u64, beat: v1::SessionHeartbeat) {
        let request = v1::HeartbeatRequest {
            session: self.session.clone(),
            resume_secret: self.secret.clone(),
            tasks: beat.tasks,
        };
        if self.breaks.has(Break::PollsAlone) {
            return self.done(sequence);
        }
        match within(ANSWER, self.client.heartbeat(request)).await {
            Ok(answer) => {
                self.stale(answer.stale_tokens);
                answer
                    .cancels
                    .into_iter()
                    .for_each(|cancel| self.say(Told::Cancel(cancel)));
                self.done(sequence);
            }
            Err(status) if is_passing(&status) => note(&format!(
                "a heartbeat was not answered: {}",
                status.message()
            )),
            Err(status) => self.refused("a heartbeat", &status),
        }
    }

    fn stale(&self, stale_tokens: Vec<Bytes>) {
        self.say(Told::Acknowledgement(v1::Acknowledgement {
            stale_tokens,
            ..v1::Acknowledgement::default()
        }));
    }

    async fn leave(mut self, leaving: v1::Leaving) {
        let request = v1::LeaveRequest {
            session: self.session.clone(),
            resume_secret: self.secret.clone(),
            reason: leaving.reason,
        };
        if let Err(status) = within(ANSWER, self.client.leave(request)).await {
            note(&format!(
                "the engine did not hear that the driver leaves: {}",
                status.message()
            ));
        }
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
