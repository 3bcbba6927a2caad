//! What the engine says.

use super::deadlines::{UNHEARD, draining};
use super::held::{Detaching, Held, LINE_BYTES, Saving};
use super::session::{End, Identity, Runtime, heartbeats};
use super::sink::{Event, SessionSink};
use crate::bounds;
use crate::log::Log;
use crate::sink::Sink;
use crate::{Error, Failure, Resource, SecretValues, Task};
use conveyor_proto::v1;
use conveyor_proto::v1::session_request::Message as Tell;
use conveyor_proto::v1::session_response::Message as Told;
use prost::bytes::Bytes;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// So many ended tasks are remembered, so that none is started a second time (R13).
const REMEMBERED: usize = 10_000;
/// Heartbeats come no faster than this, whatever is asked.
const SHORTEST_BEAT: Duration = Duration::from_millis(100);
/// How much of its grace an action has before it is cut off: the rest is for the report.
const OF_GRACE: f64 = 0.8;

impl Runtime {
    pub(super) fn take(
        &mut self,
        told: Result<Option<v1::SessionResponse>, tonic::Status>,
    ) -> Result<(), End> {
        let message = match told {
            Ok(Some(response)) => response.message,
            Ok(None) => {
                self.disconnect("the server closed it", Duration::ZERO);
                return Ok(());
            }
            Err(status) => {
                self.disconnect(status.message(), Duration::ZERO);
                return Ok(());
            }
        };
        match message {
            Some(Told::Welcome(welcome)) => self.welcome(welcome),
            Some(Told::Task(task)) => self.task(task),
            Some(Told::Cancel(cancel)) => self.cancel(&cancel),
            Some(Told::Acknowledgement(acknowledgement)) => self.acknowledged(acknowledgement),
            Some(Told::Outcome(outcome)) => self.outcome(&outcome),
            Some(Told::LogWindow(window)) => {
                if let Some(link) = &mut self.link {
                    link.window = link.window.saturating_add(window.bytes);
                }
            }
            Some(Told::Drain(drain)) => {
                tracing::info!(reason = drain.reason, "the engine drains");
                if let Some(link) = &mut self.link {
                    link.draining = true;
                }
            }
            Some(Told::Goodbye(goodbye)) => return self.goodbye(&goodbye),
            // Of a later contract (R5).
            None => tracing::debug!("a message of a kind that is not known here was left out"),
        }
        Ok(())
    }

    pub(super) fn welcome(&mut self, welcome: v1::Welcome) {
        let generation = match &self.identity {
            Some(identity) if identity.session == welcome.session => identity.generation,
            _ => 0,
        };
        tracing::info!(
            url = self.options.address(),
            driver = self.driver.name,
            session = welcome.session,
            engine = welcome.engine,
            "connected"
        );
        self.limits = bounds::known(welcome.limits.unwrap_or_default());
        for note in &welcome.notes {
            tracing::info!(note, "the engine notes");
        }
        self.identity = Some(Identity {
            session: welcome.session,
            secret: welcome.resume_secret,
            generation,
        });
        (self.failures, self.answered) = (0, Instant::now());
        (self.due, self.asked) = (self.answered, None);
        for token in &welcome.stale_tokens {
            self.stale(token);
        }
        // Not before: places of what is over are among those that are given below, all at once (R10).
        if let Some(link) = &mut self.link {
            (link.welcome, link.window) = (true, welcome.log_window);
        }
        let held = self.held.values().filter(|held| !held.answered);
        let shortest = held.map(|held| within(held.heartbeat_timeout)).min();
        let told = Duration::from_millis(welcome.heartbeat_interval_ms).max(SHORTEST_BEAT);
        self.interval = shortest.map_or(told, |shortest| shortest.min(told));
        self.beat = heartbeats(self.interval);
        for token in std::mem::take(&mut self.given_back) {
            self.refuse(token, UNHEARD);
        }
        let free = self.free();
        self.held.values_mut().for_each(Held::begin_again);
        if self.stopping.is_some() {
            self.tell(Tell::Drain(draining()));
        } else if free > 0 {
            self.credits(free);
        }
        let tokens: Vec<_> = self.held.keys().cloned().collect();
        for token in tokens {
            self.send_report(&token);
            self.send_checkpoints(&token);
            self.send_detached(&token);
        }
        self.heartbeat();
    }

    /// Three heartbeats fit into the shortest timeout of what is held over this connection: the usual interval
    /// would be silence to a task with a short one (R20).
    fn beat_within(&mut self, timeout: Duration) {
        let interval = within(timeout);
        if interval < self.interval {
            self.interval = interval;
            self.beat = heartbeats(interval);
            self.heartbeat();
        }
    }

    /// How many more tasks it takes.
    pub(super) fn free(&self) -> u32 {
        if self.stopping.is_some() {
            return 0;
        }
        let running = self.held.values().filter(|held| held.runs()).count() as u32;
        self.options.capacity.saturating_sub(running)
    }

    pub(super) fn credits(&mut self, count: u32) {
        let queue = String::new();
        self.tell(Tell::Credits(v1::Credits { count, queue }));
    }

    pub(super) fn task(&mut self, task: v1::Task) {
        let token = task.token.clone();
        if let Some(held) = self.held.get(&token) {
            // It was sent again: it runs, or has ended and is reported again (R13).
            if held.runs() {
                self.accepted(token);
            } else {
                self.send_report(&token);
            }
            return;
        }
        if self.ended.contains(&token) {
            return;
        }
        let timeout = Duration::from_millis(task.heartbeat_timeout_ms);
        let unheard = self.is_unheard(timeout);
        self.beat_within(timeout);
        // What is old may have been given to another meanwhile (R22).
        if self.free() == 0 || unheard {
            let reason = match (self.stopping.is_some(), unheard) {
                (true, _) => "the driver is about to stop",
                (_, true) => UNHEARD,
                _ => "the driver has no room",
            };
            return self.refuse(token, reason);
        }
        let (cancel, cancelled) = watch::channel(None);
        let line_bytes = self.limits.log_line_bytes.min(self.limits.log_batch_bytes);
        let mut held = Held::new(&task, cancel);
        let sink = Arc::new(SessionSink {
            token: token.clone(),
            events: self.to_events.clone(),
            room: Arc::clone(&held.room),
            line_bytes: line_bytes.min(LINE_BYTES) as usize,
            url: self.options.address(),
            came: (std::time::Instant::now(), engine_now(&task)),
        });
        self.accepted(token.clone());
        let task = made(task, sink, cancelled);
        let (driver, events, of) = (
            Arc::clone(&self.driver),
            self.to_events.clone(),
            token.clone(),
        );
        let limits = self.limits;
        let work = self.work.spawn(async move {
            let result = match task {
                Ok(task) => driver.perform(task).await,
                Err(failure) => Err(failure),
            };
            let result = bounds::held(result, &limits);
            // The runtime may have ended.
            let _ = events.send(Event::Done(of, result));
        });
        held.abort = Some(work.abort_handle());
        self.held.insert(token, held);
    }

    pub(super) fn accepted(&mut self, token: Bytes) {
        let answer = Some(v1::task_answer::Answer::Accepted(v1::Accepted {}));
        self.tell(Tell::Answer(v1::TaskAnswer { token, answer }));
    }

    pub(super) fn refuse(&mut self, token: Bytes, reason: &str) {
        let refused = v1::Refused {
            reason: reason.to_owned(),
        };
        let answer = Some(v1::task_answer::Answer::Refused(refused));
        self.tell(Tell::Answer(v1::TaskAnswer { token, answer }));
    }

    pub(super) fn cancel(&mut self, cancel: &v1::Cancel) {
        if cancel.grace_ms == 0 {
            // Its claim is over already (R33).
            return self.forget(&cancel.token);
        }
        self.cancel_held(
            &cancel.token,
            &cancel.reason,
            Duration::from_millis(cancel.grace_ms),
        );
        if let Some(held) = self.held.get_mut(&cancel.token) {
            // Now it is asked to, and says so.
            held.unheard = false;
        }
    }

    pub(super) fn cancel_held(&mut self, token: &Bytes, reason: &str, grace: Duration) {
        let Some(held) = self.held.get_mut(token).filter(|held| held.runs()) else {
            return;
        };
        if held.cut_off.is_none() {
            held.cut_off = Some(Instant::now() + grace.mul_f64(OF_GRACE));
            held.cancel.send_replace(Some(Arc::from(reason)));
        }
    }

    /// The engine holds that a claim is over. Where its action has ended, that is by the very report whose
    /// answer is on its way, was lost, or came before this: what it said before goes on to the log, until that
    /// has it (R24).
    fn stale(&mut self, token: &Bytes) {
        match self.held.get_mut(token).filter(|held| !held.runs()) {
            None => self.forget(token),
            Some(held) => {
                (held.answered, held.report) = (true, None);
                held.stale.get_or_insert_with(Instant::now);
                self.clear();
            }
        }
    }

    /// The task is nobody's any more: it stops at once, and nothing of it is told.
    pub(super) fn forget(&mut self, token: &Bytes) {
        if let Some(held) = self.held.remove(token) {
            let ran = held.runs();
            if let Some(abort) = &held.abort {
                abort.abort();
            }
            self.remember(token.clone());
            if ran && self.is_welcome() && self.stopping.is_none() {
                self.credits(1);
            }
        }
    }

    pub(super) fn remember(&mut self, token: Bytes) {
        if self.ended.insert(token.clone()) {
            self.ended_order.push_back(token);
        }
        if self.ended_order.len() > REMEMBERED
            && let Some(oldest) = self.ended_order.pop_front()
        {
            self.ended.remove(&oldest);
        }
    }

    pub(super) fn acknowledged(&mut self, acknowledgement: v1::Acknowledgement) {
        (self.answered, self.asked) = (Instant::now(), None);
        if let Some(link) = &mut self.link {
            link.acknowledged = link.acknowledged.max(acknowledgement.sequence);
        }
        for token in &acknowledgement.stale_tokens {
            self.stale(token);
        }
        for logs in acknowledgement.logs {
            if let Some(held) = self.held.get_mut(&logs.token) {
                held.kept(logs.next_offset, logs.sealed);
            }
        }
        for refused in acknowledgement.refused {
            if let Some(held) = self.held.get_mut(&refused.token) {
                held.refused(refused);
            }
        }
        let mut free = 0;
        for held in self.held.values_mut() {
            let saved = |saving: &Saving| {
                saving
                    .sequence
                    .is_some_and(|sequence| sequence <= acknowledgement.sequence)
            };
            while held.checkpoints.front().is_some_and(saved) {
                if let Some(saving) = held.checkpoints.pop_front() {
                    // Whoever saved it may have stopped waiting.
                    let _ = saving.reply.send(Ok(()));
                }
            }
            let gone = |detaching: &mut Detaching| {
                let sequence = detaching.sequence;
                sequence.is_some_and(|sequence| sequence <= acknowledgement.sequence)
            };
            if let Some(detaching) = held.detaching.take_if(gone)
                // An action that did not wait for this, and has ended, is reported as any other.
                && held.runs()
            {
                held.go_on_elsewhere(detaching);
                free += 1;
            }
        }
        if free > 0 && self.stopping.is_none() {
            self.credits(free);
        }
        self.clear();
    }

    pub(super) fn clear(&mut self) {
        let over = self.held.iter().filter(|(_, held)| held.is_over());
        let over: Vec<_> = over.map(|(token, _)| token.clone()).collect();
        for token in over {
            self.held.remove(&token);
            self.remember(token);
        }
    }

    pub(super) fn outcome(&mut self, outcome: &v1::ReportOutcome) {
        self.answered = Instant::now();
        let Some(held) = self.held.get_mut(&outcome.token) else {
            return;
        };
        match outcome.status() {
            // It is to be sent again (R25).
            v1::ReportStatus::Unspecified => return,
            v1::ReportStatus::Accepted | v1::ReportStatus::Already => {}
            v1::ReportStatus::Stale => tracing::info!("a report came too late: its claim is over"),
            v1::ReportStatus::Invalid => {
                tracing::warn!(reason = outcome.reason, "a report was not valid");
            }
        }
        (held.answered, held.report) = (true, None);
        self.clear();
    }

    pub(super) fn goodbye(&mut self, goodbye: &v1::Goodbye) -> Result<(), End> {
        let why = goodbye.message.as_str();
        let after = Duration::from_millis(goodbye.retry_after_ms.unwrap_or(0));
        match goodbye.reason() {
            v1::GoodbyeReason::Refused | v1::GoodbyeReason::Version => {
                return Err(End::Failed(Error::Refused(why.to_owned())));
            }
            v1::GoodbyeReason::UnknownSession => {
                // A new one adopts what is held.
                self.identity = None;
                self.disconnect(why, after);
            }
            v1::GoodbyeReason::Replaced => {
                // Somebody else goes on with the session: what it held is theirs.
                tracing::warn!(why, "the session has another connection");
                self.identity = None;
                let tokens: Vec<_> = self.held.keys().cloned().collect();
                tokens.iter().for_each(|token| self.forget(token));
                self.disconnect(why, after.max(Duration::from_secs(1)));
            }
            v1::GoodbyeReason::Limit => {
                tracing::error!(why, "the driver broke a limit");
                self.held.values_mut().for_each(|held| held.blame(why));
                self.disconnect(why, after.max(Duration::from_secs(1)));
            }
            v1::GoodbyeReason::Moved | v1::GoodbyeReason::Unspecified => {
                self.disconnect(why, after);
            }
        }
        Ok(())
    }
}

/// How often heartbeats come, so that three are within a task's timeout (R20).
fn within(timeout: Duration) -> Duration {
    (timeout / 3).max(SHORTEST_BEAT)
}

/// What the engine's clock said when it sent a task.
fn engine_now(task: &v1::Task) -> Duration {
    Duration::from_millis(task.deadline_ms.saturating_sub(task.time_left_ms))
}

/// JSON of a message; absent where it is empty.
fn json(name: &str, text: &[u8]) -> Result<Option<Value>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    let value = serde_json::from_slice(text);
    value.map(Some).map_err(|error| {
        let message = format!("the task's {name} cannot be read: {error}");
        Failure::errored(format!("no_{name}"), message)
    })
}

/// A task as its action sees it.
fn made(
    task: v1::Task,
    sink: Arc<SessionSink>,
    cancelled: watch::Receiver<Option<Arc<str>>>,
) -> Result<Task, Failure> {
    let inputs = json("inputs", &task.inputs)?;
    let resource = match task.resource {
        None => None,
        Some(resource) => Some(Resource {
            spec: json("resource", &resource.spec)?.unwrap_or_default(),
            definition: resource.definition,
            name: resource.name,
            version: resource.version,
        }),
    };
    let secrets = task.secrets.into_iter();
    let secrets: SecretValues = secrets
        .map(|(name, value)| (name, value.to_vec()))
        .collect();
    let id = task.id.unwrap_or_default();
    let sink: Arc<dyn Sink> = sink;
    Ok(Task {
        run: id.run,
        step: id.step,
        instance: id.instance,
        attempt: id.attempt,
        namespace: task.namespace,
        pipeline: task.pipeline,
        action: task.action,
        inputs: inputs.unwrap_or_else(|| Value::Object(serde_json::Map::new())),
        parameters: json("parameters", &task.parameters)?,
        resource,
        deadline: std::time::Instant::now() + Duration::from_millis(task.time_left_ms),
        grace: Duration::from_millis(task.grace_ms),
        checkpoint: task.checkpoint.map(|data| data.to_vec()),
        labels: task.labels,
        traceparent: task.traceparent,
        log: Log::new(Arc::clone(&sink), &secrets),
        secrets,
        sink,
        cancelled,
    })
}
