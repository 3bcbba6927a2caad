//! A session without a stream: calls that stand in for one.
//!
//! The rest of the driver speaks as over a stream. Here each message becomes a call, which is repeated until it is
//! answered (R78), and each answer becomes what a stream would have said. Messages about one task keep their
//! order; those of others do not wait for them.

use crate::breaks::{Break, Breaks};
use crate::connect::{Client, is_final};
use crate::session::note;
use crate::wire::{Heard, Wire};
use conveyor_proto::v1;
use conveyor_proto::v1::session_request::Message as Tell;
use conveyor_proto::v1::session_response::Message as Told;
use prost::bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tonic::{Code, Response, Status};

/// How long a poll waits for a task. The contract allows a minute.
const POLL: Duration = Duration::from_secs(20);
/// How long the engine has to answer a call, besides what the call waits: what it cannot do for now it says
/// within half a minute (R77), and a repeat is safe.
const ANSWER: Duration = Duration::from_secs(5);
/// Between two polls of an engine that drains.
const DRAINING: Duration = Duration::from_secs(1);
/// The first pause before a repeat; it doubles up to [`MOST`].
const FIRST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(5);

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

/// A message and its number.
type Numbered = (u64, Tell);

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
                    drop(polls.take());
                    self.done(sequence);
                }
                Some(Tell::Leaving(leaving)) => return self.leave(leaving).await,
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
            places.send_modify(|places| *places = places.saturating_sub(answer.tasks.len() as u32));
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

    /// One message about a task.
    async fn one(&self, token: &Bytes, (sequence, message): Numbered) {
        match message {
            Tell::Answer(answer) => self.answer(sequence, answer).await,
            Tell::Logs(logs) => self.logs(logs).await,
            Tell::Checkpoint(checkpoint) => self.checkpoint(token, sequence, checkpoint).await,
            Tell::Report(report) => self.report(token, report).await,
            // No others are about a task.
            _ => {}
        }
        self.done(sequence);
    }

    async fn answer(&self, sequence: u64, answer: v1::TaskAnswer) {
        let request = v1::AnswerRequest {
            session: self.session.clone(),
            resume_secret: self.secret.clone(),
            answers: vec![answer],
        };
        let answered = self
            .repeated(ANSWER, |mut client| {
                let request = request.clone();
                async move { client.answer(request).await }
            })
            .await;
        match answered {
            Ok(mut answer) => {
                let stale_tokens = answer.stale_tokens;
                // Calls have no numbers: what is refused is what was said.
                for refused in &mut answer.refused {
                    (refused.sequence, refused.first_sequence) = (sequence, sequence);
                }
                let refused = answer.refused;
                self.say(Told::Acknowledgement(v1::Acknowledgement {
                    stale_tokens,
                    refused,
                    ..v1::Acknowledgement::default()
                }));
            }
            Err(status) => self.refused("an answer", &status),
        }
    }

    async fn logs(&self, logs: v1::LogBatch) {
        let bytes = logs
            .lines
            .iter()
            .map(|line| line.text.len() as u64 + 64)
            .sum();
        let token = logs.token.clone();
        let request = v1::AppendLogsRequest { logs: Some(logs) };
        let appended = self
            .repeated(ANSWER, |mut client| {
                let request = request.clone();
                async move { client.append_logs(request).await }
            })
            .await;
        // Without a stream there is no window: what was answered is not on its way any more.
        self.say(Told::LogWindow(v1::LogWindow { bytes }));
        match appended {
            // Nobody takes its lines any more.
            Ok(answer) if answer.status() == v1::ReportStatus::Stale => {
                self.stale(vec![token.clone()]);
                let (next_offset, sealed) = (0, true);
                let sealed = v1::LogAcknowledgement {
                    token,
                    next_offset,
                    sealed,
                };
                self.say(Told::Acknowledgement(v1::Acknowledgement {
                    logs: vec![sealed],
                    ..v1::Acknowledgement::default()
                }));
            }
            Ok(answer) => {
                let logs = answer.acknowledgement.into_iter().collect();
                self.say(Told::Acknowledgement(v1::Acknowledgement {
                    logs,
                    ..v1::Acknowledgement::default()
                }));
            }
            Err(status) => self.refused("log lines", &status),
        }
    }

    async fn checkpoint(&self, token: &Bytes, sequence: u64, checkpoint: v1::Checkpoint) {
        let request = v1::SaveCheckpointRequest {
            checkpoint: Some(checkpoint),
        };
        let saved = self
            .repeated(ANSWER, |mut client| {
                let request = request.clone();
                async move { client.save_checkpoint(request).await }
            })
            .await;
        let reason = match saved {
            Ok(answer) => match answer.status() {
                v1::ReportStatus::Stale => return self.stale(vec![token.clone()]),
                v1::ReportStatus::Invalid => answer.reason,
                _ => return,
            },
            Err(status) => {
                self.refused("a checkpoint", &status);
                status.message().to_owned()
            }
        };
        let refused = vec![v1::RefusedMessage {
            token: token.clone(),
            kind: v1::RefusedKind::Checkpoint.into(),
            reason,
            sequence,
            first_sequence: sequence,
        }];
        self.say(Told::Acknowledgement(v1::Acknowledgement {
            refused,
            ..v1::Acknowledgement::default()
        }));
    }

    async fn report(&self, token: &Bytes, report: v1::TaskReport) {
        let request = v1::ReportRequest {
            report: Some(report),
        };
        let reported = self
            .repeated(ANSWER, |mut client| {
                let request = request.clone();
                async move { client.report(request).await }
            })
            .await;
        let outcome = match reported {
            Ok(answer) => answer.outcome.unwrap_or_default(),
            Err(status) => {
                self.refused("a report", &status);
                v1::ReportOutcome {
                    token: token.clone(),
                    status: v1::ReportStatus::Invalid.into(),
                    reason: status.message().to_owned(),
                }
            }
        };
        self.say(Told::Outcome(outcome));
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

    fn is_repeated(&self, status: &Status) -> bool {
        match is_passing(status) {
            true => !self.breaks.has(Break::GivesUp),
            false => self.breaks.has(Break::RepeatsMistakes) && is_mistake(status),
        }
    }

    /// Makes a call until it is answered, with growing pauses, as it was (R78).
    async fn repeated<T, F>(&self, time: Duration, call: impl Fn(Client) -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let mut pause = FIRST;
        loop {
            match within(time, call(self.client.clone())).await {
                Err(status) if self.is_repeated(&status) && !self.heard.is_closed() => {
                    tokio::time::sleep(pause.max(retry_after(&status))).await;
                    if !self.breaks.has(Break::SteadyPauses) {
                        pause = (pause * 2).min(MOST);
                    }
                }
                answered => return answered,
            }
        }
    }
}

/// The tasks' own queues of messages.
#[derive(Default)]
struct Lanes(HashMap<Bytes, mpsc::UnboundedSender<Numbered>>);

impl Lanes {
    fn put(&mut self, calls: &Calls, token: &Bytes, message: Numbered) {
        let lane = self.0.entry(token.clone()).or_insert_with(|| {
            let (lane, messages) = mpsc::unbounded_channel();
            tokio::spawn(calls.clone().lane(token.clone(), messages));
            lane
        });
        let is_last = is_last(&message.1);
        // The lane is there as long as this.
        let _ = lane.send(message);
        if is_last {
            self.0.remove(token);
        }
    }
}

impl Calls {
    async fn lane(self, token: Bytes, mut messages: mpsc::UnboundedReceiver<Numbered>) {
        while let Some(message) = messages.recv().await {
            self.one(&token, message).await;
        }
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn token_of(message: &Tell) -> Option<Bytes> {
    match message {
        Tell::Answer(answer) => Some(answer.token.clone()),
        Tell::Logs(logs) => Some(logs.token.clone()),
        Tell::Checkpoint(checkpoint) => Some(checkpoint.token.clone()),
        Tell::Report(report) => Some(report.token.clone()),
        _ => None,
    }
}

/// Whether no message about the task has to come behind this one: its lane ends.
fn is_last(message: &Tell) -> bool {
    use v1::task_answer::Answer::{Detached, Refused};
    match message {
        Tell::Report(_) => true,
        Tell::Answer(answer) => matches!(answer.answer, Some(Refused(_) | Detached(_))),
        _ => false,
    }
}

/// The answer to a call, or `UNAVAILABLE` where none comes.
async fn within<T>(
    time: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Status> {
    match tokio::time::timeout(time, call).await {
        Ok(answered) => answered.map(Response::into_inner),
        Err(_) => Err(Status::unavailable(format!(
            "no answer came within {} s",
            time.as_secs()
        ))),
    }
}

/// Whether the same call may be answered later: all that is no mistake of the driver's.
fn is_passing(status: &Status) -> bool {
    !is_final(status) && !is_mistake(status) && status.code() != Code::NotFound
}

/// Whether a call is a mistake of the driver's.
fn is_mistake(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange
    )
}

fn retry_after(status: &Status) -> Duration {
    let seconds = status
        .metadata()
        .get("retry-after")
        .and_then(|value| value.to_str().ok());
    Duration::from_secs(
        seconds
            .and_then(|seconds| seconds.parse().ok())
            .unwrap_or(0),
    )
}
