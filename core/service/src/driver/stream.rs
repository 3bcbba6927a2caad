//! A session over a stream.

use super::logs::{Batch, Kept};
use super::pending::{self, Kind, Pending, Turn};
use super::{DriverHandlers, Ending, LOG_WINDOW, convert, driving, hello, logs};
use crate::caller::Caller;
use conveyor_engine::time::Time;
use conveyor_node::NodeError;
use conveyor_node::owner::SessionEvent;
use conveyor_node::session::{HelloError, Link, Session, ToDriver};
use conveyor_node::token::Claimed;
use conveyor_proto::v1::session_request::Message as Told;
use conveyor_proto::v1::session_response::Message as Tell;
use conveyor_proto::{contract, v1};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use prost::bytes::Bytes;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// How long a driver has for its first message (R2).
const FIRST: Duration = Duration::from_millis(contract::FIRST_MESSAGE_MS);
/// Answers on their way to a driver. One that does not read them is not read from.
const BUFFER: usize = 64;

/// The pauses before something is handed over again that the store did not take.
const PAUSE: Duration = Duration::from_millis(20);
const MOST_PAUSE: Duration = Duration::from_secs(1);

/// What the stream answers with.
pub(super) type Answers = ReceiverStream<Result<v1::SessionResponse, Status>>;

type Later = Pin<Box<dyn Future<Output = Done> + Send>>;

/// Something that a driver sent is done.
struct Done {
    what: What,
    answer: Answer,
}

/// What a driver sent.
enum What {
    /// What is done with as soon as it is read.
    Read,
    /// A heartbeat.
    Beat,
    /// Messages before it that want no answer.
    Told,
    /// What is to be durable before its message is acknowledged.
    Durable(Kind, Claimed, u64),
}

enum Answer {
    Nothing,
    Tell(Box<Tell>),
    Acknowledge(Vec<Bytes>),
}

/// Why a session's stream ends.
enum End {
    /// The driver is gone, or does not read.
    Gone,
    /// The driver holds nothing any more.
    Left,
    /// It is told why.
    Goodbye(v1::Goodbye),
}

fn goodbye(reason: v1::GoodbyeReason, message: impl Into<String>) -> End {
    End::Goodbye(v1::Goodbye {
        reason: reason.into(),
        message: message.into(),
        retry_after_ms: None,
    })
}

impl DriverHandlers {
    pub(super) fn open_stream(
        &self,
        request: Request<Streaming<v1::SessionRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let caller = driving("session", request.extensions())?;
        let incoming = request.into_inner();
        let (sender, receiver) = mpsc::channel(BUFFER);
        let handlers = self.clone();
        // The answer's headers go out at once; what is refused is told on the stream.
        tokio::spawn(async move {
            let mut stream = Outgoing {
                sender,
                sequence: 0,
            };
            if let End::Goodbye(goodbye) = handlers.converse(&caller, incoming, &mut stream).await {
                let _ = stream.send(Tell::Goodbye(goodbye)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn converse(
        &self,
        caller: &Caller,
        mut incoming: Streaming<v1::SessionRequest>,
        stream: &mut Outgoing,
    ) -> End {
        let first = match tokio::time::timeout(FIRST, incoming.message()).await {
            Ok(Ok(Some(first))) => first,
            Ok(Ok(None) | Err(_)) => return End::Gone,
            Err(_) => {
                let why = format!("no message came in {FIRST:?}; the first is `hello` or `resume`");
                return goodbye(v1::GoodbyeReason::Limit, why);
            }
        };
        let opened = match first.message {
            Some(Told::Hello(hello)) => self.greet(caller, &hello).await,
            Some(Told::Resume(resume)) => self.resume(caller, &resume).await,
            _ => Err(goodbye(
                v1::GoodbyeReason::Refused,
                "the first message of a session is `hello` or `resume`",
            )),
        };
        let (link, welcome) = match opened {
            Ok(opened) => opened,
            Err(end) => return end,
        };
        if stream.send(Tell::Welcome(welcome)).await.is_err() {
            return End::Gone;
        }
        let session = link.session();
        let conversation = Conversation::new(self.clone(), session.clone(), first.sequence);
        let end = conversation.run(link, incoming, stream).await;
        if matches!(end, End::Left) {
            // The node may have ended: its next opening finds the session gone silent.
            let _ = session.tell(SessionEvent::Left);
        }
        end
    }

    /// A new session.
    async fn greet(&self, caller: &Caller, said: &v1::Hello) -> Result<(Link, v1::Welcome), End> {
        let read = hello::read(said, caller);
        let (mut read, version, notes) =
            read.map_err(|refused| goodbye(refused.reason, refused.message))?;
        let there = hello::is_somewhere(&self.node, &read).await;
        there.map_err(|error| match error {
            NodeError::NotFound(why) => goodbye(v1::GoodbyeReason::Refused, why),
            error => unavailable(&error),
        })?;
        let mut stale = Vec::new();
        for token in &said.adopts {
            match self.node.claim(&caller.principal, token) {
                Some(claimed) => read.adopts.push(claimed),
                None => stale.push(token.clone()),
            }
        }
        let adopted = read.adopts.clone();
        let (link, over) = self
            .node
            .open_session(read)
            .await
            .map_err(|error| match error {
                HelloError::Refused(reason) => goodbye(v1::GoodbyeReason::Refused, reason),
                HelloError::Node(error) => unavailable(&error),
            })?;
        let named = said.adopts.iter().filter(|token| !stale.contains(token));
        let over = tokens_of(&adopted, named, &over);
        stale.extend(over);
        let welcome = self.welcome(&link.session(), version, stale, notes);
        Ok((link, welcome))
    }

    /// An earlier session over this stream (R41).
    async fn resume(
        &self,
        caller: &Caller,
        resume: &v1::Resume,
    ) -> Result<(Link, v1::Welcome), End> {
        self.session_of(caller, &resume.session, &resume.resume_secret)
            .map_err(|status| goodbye(v1::GoodbyeReason::UnknownSession, status.message()))?;
        let mut stale = Vec::new();
        let mut named = (Vec::new(), Vec::new());
        let resumed = self.node.resume_session(
            &resume.session,
            &resume.resume_secret,
            resume.generation,
            |session| {
                for token in &resume.tokens {
                    match session.open(token) {
                        Some(claimed) => {
                            named.0.push(claimed);
                            named.1.push(token.clone());
                        }
                        None => stale.push(token.clone()),
                    }
                }
                Some(named.0.clone())
            },
        );
        let (link, over) = resumed.await.map_err(|error| match error {
            NodeError::NotFound(why) => goodbye(v1::GoodbyeReason::UnknownSession, why),
            NodeError::Invalid(why) => goodbye(v1::GoodbyeReason::Replaced, why),
            error => unavailable(&error),
        })?;
        stale.extend(tokens_of(&named.0, named.1.iter(), &over));
        let version = super::CONTRACT_VERSIONS[0];
        let welcome = self.welcome(&link.session(), version, stale, Vec::new());
        Ok((link, welcome))
    }
}

/// The tokens, as they were given, of claims that are over.
pub(super) fn tokens_of<'a>(
    claims: &[Claimed],
    tokens: impl Iterator<Item = &'a Bytes>,
    over: &[Claimed],
) -> Vec<Bytes> {
    let each = claims.iter().zip(tokens);
    each.filter(|(claimed, _)| over.contains(claimed))
        .map(|(_, token)| token.clone())
        .collect()
}

fn unavailable(error: &NodeError) -> End {
    End::Goodbye(v1::Goodbye {
        reason: v1::GoodbyeReason::Moved.into(),
        message: error.to_string(),
        retry_after_ms: Some(1000),
    })
}

/// The engine's end of a stream.
struct Outgoing {
    sender: mpsc::Sender<Result<v1::SessionResponse, Status>>,
    sequence: u64,
}

impl Outgoing {
    async fn send(&mut self, message: Tell) -> Result<(), End> {
        self.sequence += 1;
        let response = v1::SessionResponse {
            sequence: self.sequence,
            message: Some(message),
        };
        let sent = self.sender.send(Ok(response)).await;
        sent.map_err(|_| End::Gone)
    }
}

/// One stream, from its welcome to its end.
struct Conversation {
    handlers: DriverHandlers,
    session: Session,
    /// The last message of the driver.
    received: u64,
    pending: Pending,
    /// What is being done, and answered when it is durable.
    later: FuturesUnordered<Later>,
    batches: mpsc::UnboundedSender<Batch>,
    kept: mpsc::UnboundedReceiver<Kept>,
    /// Bytes of log text that it may still send.
    window: u64,
}

impl Conversation {
    fn new(handlers: DriverHandlers, session: Session, received: u64) -> Conversation {
        let (batches, inbox) = mpsc::unbounded_channel();
        let (done, kept) = mpsc::unbounded_channel();
        let keeper = logs::keep(handlers.node.clone(), inbox, done);
        tokio::spawn(keeper);
        Conversation {
            handlers,
            pending: Pending::new(pending::most(session.capacity())),
            session,
            received,
            later: FuturesUnordered::new(),
            batches,
            kept,
            window: LOG_WINDOW,
        }
    }

    async fn run(
        mut self,
        mut link: Link,
        mut incoming: Streaming<v1::SessionRequest>,
        stream: &mut Outgoing,
    ) -> End {
        let mut ending = self.handlers.ending.subscribe();
        ending.mark_changed();
        loop {
            // What comes in is last: a driver that does not read its answers is not read from.
            let step = tokio::select! {
                biased;
                Some(done) = self.later.next(), if !self.later.is_empty() => {
                    self.done(done, stream).await
                }
                told = link.next() => self.tell(told, stream).await,
                Some(kept) = self.kept.recv() => self.kept(kept, stream).await,
                Ok(()) = ending.changed() => {
                    let now = ending.borrow_and_update().clone();
                    self.ending(now, stream).await
                }
                told = incoming.message() => match told {
                    Ok(Some(request)) => self.take(request),
                    Ok(None) | Err(_) => return End::Gone,
                },
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// What the engine tells the driver.
    async fn tell(&mut self, told: Option<ToDriver>, stream: &mut Outgoing) -> Result<(), End> {
        let message = match told {
            Some(ToDriver::Task(start)) => {
                let Some(task) = self.session.task(*start).await else {
                    // It ended before it was sent: the place that it took is free again.
                    return self.told(SessionEvent::Credits(1));
                };
                let now = self.handlers.node.now();
                Tell::Task(convert::task(&self.session, task, now))
            }
            Some(ToDriver::Cancel {
                claimed,
                namespace,
                reason,
                grace,
            }) => Tell::Cancel(v1::Cancel {
                token: self.session.seal(&namespace, &claimed).into(),
                reason: reason.to_string(),
                grace_ms: grace.0,
            }),
            Some(ToDriver::Replaced) => {
                let why = "a newer connection has this session";
                return Err(goodbye(v1::GoodbyeReason::Replaced, why));
            }
            Some(ToDriver::Over) => {
                let why = "the session was silent for too long";
                return Err(goodbye(v1::GoodbyeReason::UnknownSession, why));
            }
            None => {
                return Err(unavailable(&NodeError::Unavailable(
                    "the engine stops".into(),
                )));
            }
        };
        stream.send(message).await
    }

    fn told(&mut self, event: SessionEvent) -> Result<(), End> {
        let told = self.session.tell(event);
        told.map_err(|error| unavailable(&error))?;
        if self.pending.tell() {
            let session = self.session.clone();
            self.later.push(Box::pin(async move {
                // It has come so far, or has ended.
                let _ = session.standing(Vec::new()).await;
                Done {
                    what: What::Told,
                    answer: Answer::Nothing,
                }
            }));
        }
        Ok(())
    }

    /// What the driver tells the engine. What it tells is handed over in its order.
    fn take(&mut self, request: v1::SessionRequest) -> Result<(), End> {
        self.received = self.received.max(request.sequence);
        if self.pending.is_over() {
            let most = self.pending.most();
            let why = format!("more than `unanswered_messages`, {most}, are under way");
            return Err(goodbye(v1::GoodbyeReason::Limit, why));
        }
        match request.message {
            Some(Told::Credits(credits)) => self.told(SessionEvent::Credits(credits.count)),
            Some(Told::Answer(answer)) => self.answer(answer),
            Some(Told::Heartbeat(heartbeat)) => {
                self.heartbeat(heartbeat);
                Ok(())
            }
            Some(Told::Report(report)) => {
                self.report(report);
                Ok(())
            }
            Some(Told::Logs(logs)) => self.logs(logs),
            Some(Told::Checkpoint(checkpoint)) => self.checkpoint(checkpoint),
            Some(Told::Drain(_)) => self.told(SessionEvent::Draining),
            Some(Told::Leaving(_)) => Err(End::Left),
            Some(Told::Hello(_) | Told::Resume(_)) => Err(goodbye(
                v1::GoodbyeReason::Refused,
                "`hello` and `resume` are the first message of a stream, and no other",
            )),
            // Of a later contract (R5).
            None => Ok(()),
        }
    }

    async fn done(&mut self, done: Done, stream: &mut Outgoing) -> Result<(), End> {
        match done.what {
            What::Read => {}
            What::Told => self.pending.passed(),
            What::Beat => {
                if let Some(next) = self.pending.beaten() {
                    self.heartbeat(next);
                }
            }
            What::Durable(kind, claimed, sequence) => {
                if let Some((sequence, next)) = self.pending.end(kind, claimed, sequence) {
                    self.save(claimed, sequence, next);
                }
            }
        }
        let told = match done.answer {
            Answer::Nothing => return Ok(()),
            Answer::Tell(told) => *told,
            Answer::Acknowledge(stale_tokens) => Tell::Acknowledgement(v1::Acknowledgement {
                sequence: self.acknowledged(),
                stale_tokens,
                logs: Vec::new(),
            }),
        };
        stream.send(told).await
    }

    /// All messages up to this one are done with (R7).
    fn acknowledged(&self) -> u64 {
        self.pending.acknowledged(self.received)
    }

    fn at_once(&mut self, answer: Answer) {
        let what = What::Read;
        let done = Done { what, answer };
        self.later.push(Box::pin(std::future::ready(done)));
    }

    fn stale(&mut self, token: Bytes) {
        self.at_once(Answer::Acknowledge(vec![token]));
    }

    fn answer(&mut self, answer: v1::TaskAnswer) -> Result<(), End> {
        let Some(claimed) = self.session.open(&answer.token) else {
            self.stale(answer.token);
            return Ok(());
        };
        match answer.answer {
            Some(v1::task_answer::Answer::Accepted(_)) => {
                self.told(SessionEvent::Accepted(claimed))
            }
            // Its reason is a driver's words, which may hold a secret: they go nowhere.
            Some(v1::task_answer::Answer::Refused(_)) => {
                tracing::info!(run = %claimed.run, session = %self.session.id(), "a task was refused");
                self.told(SessionEvent::Refused(claimed))
            }
            Some(v1::task_answer::Answer::Detached(detached)) => {
                self.detach(claimed, answer.token, detached)
            }
            None => Ok(()),
        }
    }

    fn detach(
        &mut self,
        claimed: Claimed,
        token: Bytes,
        detached: v1::Detached,
    ) -> Result<(), End> {
        if detached.principals.len() > super::PRINCIPALS {
            let most = super::PRINCIPALS;
            let why = format!("`detached.principals` has at most {most} names");
            return Err(goodbye(v1::GoodbyeReason::Limit, why));
        }
        let sequence = self.received;
        if self.pending.begin(Kind::Detach, claimed, sequence) == Turn::Later {
            return Ok(());
        }
        let (node, session) = (self.handlers.node.clone(), self.session.clone());
        self.later.push(Box::pin(async move {
            let until = Time(detached.until_ms);
            let mut pause = PAUSE;
            let stale = loop {
                let told = node.detach(claimed, until, session.principal(), &detached.principals);
                match told.await {
                    Ok(Some(_)) => break Vec::new(),
                    Ok(None) => break vec![token],
                    Err(error) if error.is_temporary() => {
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(MOST_PAUSE);
                    }
                    Err(error) => {
                        tracing::info!(run = %claimed.run, %error, "a task was not handed over");
                        break vec![token];
                    }
                }
            };
            Done {
                what: What::Durable(Kind::Detach, claimed, sequence),
                answer: Answer::Acknowledge(stale),
            }
        }));
        Ok(())
    }

    fn heartbeat(&mut self, heartbeat: v1::SessionHeartbeat) {
        let Some(heartbeat) = self.pending.beat(heartbeat) else {
            return;
        };
        let (mut named, mut tokens, mut stale) = (Vec::new(), Vec::new(), Vec::new());
        let (mut progress, now) = (Vec::new(), self.handlers.node.now());
        for task in heartbeat.tasks {
            match self.session.open(&task.token) {
                Some(claimed) => {
                    progress.extend(convert::progress(&task, now).map(|told| (claimed, told)));
                    named.push(claimed);
                    tokens.push(task.token);
                }
                None => stale.push(task.token),
            }
        }
        self.session.progress(progress);
        let (session, free) = (self.session.clone(), heartbeat.free);
        self.later.push(Box::pin(async move {
            let answer = match session.heartbeat(named.clone(), free).await {
                Ok(over) => {
                    stale.extend(tokens_of(&named, tokens.iter(), &over));
                    Answer::Acknowledge(stale)
                }
                // A heartbeat that nobody answers is what the driver is to see.
                Err(_) => Answer::Nothing,
            };
            Done {
                what: What::Beat,
                answer,
            }
        }));
    }

    fn report(&mut self, report: v1::TaskReport) {
        let most = self.handlers.node.limits().output_bytes;
        let Some(claimed) = self.session.open(&report.token) else {
            let told = v1::ReportOutcome {
                token: report.token,
                status: v1::ReportStatus::Stale.into(),
                reason: String::new(),
            };
            return self.at_once(Answer::Tell(Box::new(Tell::Outcome(told))));
        };
        let sequence = self.received;
        if self.pending.begin(Kind::Report, claimed, sequence) == Turn::Later {
            return;
        }
        let (outcome, last) = convert::outcome(report.result, most);
        let (node, token) = (self.handlers.node.clone(), report.token);
        self.later.push(Box::pin(async move {
            let answer = match node.report(claimed, outcome, last).await {
                Ok(reported) => {
                    let told = convert::report_outcome(token, reported);
                    Answer::Tell(Box::new(Tell::Outcome(told)))
                }
                // Not answered: the driver sends it again (R25).
                Err(error) => {
                    tracing::debug!(run = %claimed.run, %error, "a report was not taken");
                    Answer::Nothing
                }
            };
            Done {
                what: What::Durable(Kind::Report, claimed, sequence),
                answer,
            }
        }));
    }

    fn checkpoint(&mut self, checkpoint: v1::Checkpoint) -> Result<(), End> {
        let Some(claimed) = self.session.open(&checkpoint.token) else {
            self.stale(checkpoint.token);
            return Ok(());
        };
        let most = self.handlers.node.limits().checkpoint_bytes as usize;
        if checkpoint.data.len() > most {
            let bytes = checkpoint.data.len();
            let why =
                format!("a checkpoint has {bytes} bytes; the limit `checkpoint_bytes` is {most}");
            return Err(goodbye(v1::GoodbyeReason::Limit, why));
        }
        let sequence = self.received;
        if let Some(checkpoint) = self.pending.save(claimed, sequence, checkpoint) {
            self.save(claimed, sequence, checkpoint);
        }
        Ok(())
    }

    fn save(&mut self, claimed: Claimed, sequence: u64, checkpoint: v1::Checkpoint) {
        let node = self.handlers.node.clone();
        self.later.push(Box::pin(async move {
            let data: std::sync::Arc<[u8]> = checkpoint.data.to_vec().into();
            let mut pause = PAUSE;
            let stale = loop {
                match node.checkpoint(claimed, data.clone()).await {
                    Ok(true) => break Vec::new(),
                    Ok(false) => break vec![checkpoint.token],
                    Err(error) if error.is_temporary() => {
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(MOST_PAUSE);
                    }
                    Err(error) => {
                        tracing::info!(run = %claimed.run, %error, "a checkpoint was not kept");
                        break Vec::new();
                    }
                }
            };
            Done {
                what: What::Durable(Kind::Checkpoint, claimed, sequence),
                answer: Answer::Acknowledge(stale),
            }
        }));
    }

    fn logs(&mut self, logs: v1::LogBatch) -> Result<(), End> {
        let bytes = logs::check(&logs).map_err(|why| goodbye(v1::GoodbyeReason::Limit, why))?;
        if bytes > self.window {
            let window = self.window;
            let why = format!(
                "a log batch takes {bytes} bytes, {} for each line and its text; `log_window` has \
                 {window} left",
                logs::LINE_COST
            );
            return Err(goodbye(v1::GoodbyeReason::Limit, why));
        }
        self.window -= bytes;
        let Some(claimed) = self.session.open(&logs.token) else {
            self.window += bytes;
            self.stale(logs.token);
            return Ok(());
        };
        let batch = Batch {
            claimed,
            logs,
            bytes,
        };
        // Its task lives as long as this sender.
        let _ = self.batches.send(batch);
        Ok(())
    }

    /// Lines are durable: their driver may send as many more.
    async fn kept(&mut self, first: Kept, stream: &mut Outgoing) -> Result<(), End> {
        let mut bytes = first.bytes;
        let mut logs: Vec<v1::LogAcknowledgement> = first.acknowledgement.into_iter().collect();
        while let Ok(next) = self.kept.try_recv() {
            bytes += next.bytes;
            if let Some(next) = next.acknowledgement {
                // The last one says all.
                logs.retain(|earlier| earlier.token != next.token);
                logs.push(next);
            }
        }
        self.window += bytes;
        stream
            .send(Tell::Acknowledgement(v1::Acknowledgement {
                sequence: self.acknowledged(),
                stale_tokens: Vec::new(),
                logs,
            }))
            .await?;
        if bytes > 0 {
            stream
                .send(Tell::LogWindow(v1::LogWindow { bytes }))
                .await?;
        }
        Ok(())
    }

    /// The process is about to end.
    async fn ending(&mut self, ending: Ending, stream: &mut Outgoing) -> Result<(), End> {
        match ending {
            Ending::No => Ok(()),
            Ending::Draining(deadline) => {
                let drain = v1::Drain {
                    reason: "the engine is about to stop".to_owned(),
                    deadline_ms: Some(deadline),
                };
                stream.send(Tell::Drain(drain)).await
            }
            Ending::Goodbye => Err(End::Goodbye(v1::Goodbye {
                reason: v1::GoodbyeReason::Moved.into(),
                message: "the engine stops; come back with `resume`".to_owned(),
                retry_after_ms: None,
            })),
        }
    }
}
