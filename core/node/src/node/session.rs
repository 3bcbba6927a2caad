//! Drivers in this process: one session, one task of the runtime for each claim.

use super::Config;
use super::logs::LogBuffer;
use super::runtime::Message;
use super::start::inline_or_stored;
use crate::driver::{Context, Driver, LogLine, Outcome, Task};
use crate::error::NodeError;
use crate::owner::{Answer, Input, Reported, StartTask};
use crate::reader::Reader;
use crate::token::Claimed;
use conveyor_engine::run::{AttemptState, EndedAttempt, Failure};
use conveyor_engine::value::{Json, Value};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

/// Lines that a driver may be ahead of its log: beyond them it waits, and slows nobody else.
const LINES: usize = 4096;
/// The longest outputs of an attempt, as JSON: 8 MiB.
const OUTPUT_BYTES: u64 = 8 << 20;
/// The first pause before a report is sent again; it doubles up to a second.
const RESEND: Duration = Duration::from_millis(20);

/// The drivers of this process, as one session.
pub(super) struct Session {
    pub(super) id: Arc<str>,
    drivers: BTreeMap<Arc<str>, Arc<dyn Driver>>,
    known: BTreeMap<Arc<str>, Known>,
}

/// What a driver says of itself.
struct Known {
    version: Arc<str>,
    actions: Vec<Arc<str>>,
}

impl Session {
    pub(super) fn new(config: &Config) -> Session {
        let mut drivers = BTreeMap::new();
        let mut known = BTreeMap::new();
        for driver in &config.drivers {
            let info = driver.info();
            let actions = info.actions.into_iter().map(|action| action.name).collect();
            drivers.insert(Arc::clone(&info.name), Arc::clone(driver));
            known.insert(
                info.name,
                Known {
                    version: info.version,
                    actions,
                },
            );
        }
        let id = format!("in-process-{}", uuid::Uuid::now_v7()).into();
        Session { id, drivers, known }
    }

    /// Drivers by name, with the version of each.
    pub(super) fn versions(&self) -> BTreeMap<Arc<str>, Arc<str>> {
        let each = self.known.iter();
        each.map(|(name, known)| (Arc::clone(name), Arc::clone(&known.version)))
            .collect()
    }
}

/// The tasks that run in this process.
pub(super) struct Tasks {
    session: Session,
    runtime: Handle,
    reader: Reader,
    messages: Sender<Message>,
    running: HashMap<Claimed, Running>,
}

/// Dropping it ends the task.
struct Running {
    cancel: watch::Sender<Option<Arc<str>>>,
    _abort: oneshot::Sender<()>,
}

impl Tasks {
    pub(super) fn new(
        session: Session,
        runtime: Handle,
        reader: Reader,
        messages: Sender<Message>,
    ) -> Tasks {
        Tasks {
            session,
            runtime,
            reader,
            messages,
            running: HashMap::new(),
        }
    }

    pub(super) fn session(&self) -> &Arc<str> {
        &self.session.id
    }

    pub(super) fn start(&mut self, start: StartTask) {
        let (cancel, cancelled) = watch::channel(None);
        let (abort, aborted) = oneshot::channel();
        self.running.insert(
            start.claimed,
            Running {
                cancel,
                _abort: abort,
            },
        );
        let (lines, logs) = mpsc::channel(LINES);
        let driver = self.driver(&start);
        let attempt = Attempt {
            claimed: start.claimed,
            reader: self.reader.clone(),
            messages: self.messages.clone(),
            log: LogBuffer::new(&start.claimed),
        };
        self.runtime.spawn(async move {
            let context = Context {
                logs: lines,
                cancelled,
            };
            attempt.run(driver, start, context, logs, aborted).await;
        });
    }

    fn driver(&self, start: &StartTask) -> Result<Arc<dyn Driver>, Failure> {
        let name = &start.spec.driver;
        let missing = || {
            failure(
                "no_such_driver",
                format!("this process has no driver `{name}`"),
                false,
            )
        };
        let driver = self.session.drivers.get(name).ok_or_else(missing)?;
        let actions = &self.session.known.get(name).ok_or_else(missing)?.actions;
        match &start.spec.action {
            Some(action) if !actions.contains(action) => {
                let known: Vec<_> = actions.iter().map(|known| format!("`{known}`")).collect();
                let known = known.join(", ");
                let message = format!("driver `{name}` has no action `{action}`; it has {known}");
                Err(failure("no_such_action", message, false))
            }
            _ => Ok(Arc::clone(driver)),
        }
    }

    pub(super) fn cancel(&self, claimed: &Claimed, reason: Arc<str>) {
        if let Some(running) = self.running.get(claimed) {
            running.cancel.send_replace(Some(reason));
        }
    }

    /// Ends a task whose claim is over; false when it has ended.
    pub(super) fn abort(&mut self, claimed: &Claimed) -> bool {
        self.running.remove(claimed).is_some()
    }

    pub(super) fn ended(&mut self, claimed: &Claimed) {
        self.running.remove(claimed);
    }
}

/// One claim, from its task to its report.
struct Attempt {
    claimed: Claimed,
    reader: Reader,
    messages: Sender<Message>,
    log: LogBuffer,
}

impl Attempt {
    async fn run(
        mut self,
        driver: Result<Arc<dyn Driver>, Failure>,
        start: StartTask,
        context: Context,
        logs: mpsc::Receiver<LogLine>,
        mut aborted: oneshot::Receiver<()>,
    ) {
        let ready = match driver {
            Ok(driver) => self.task(&start).await.map(|task| (driver, task)),
            Err(failure) => Err(failure),
        };
        let outcome = match ready {
            Err(failure) => Some(Outcome::Errored(failure)),
            Ok((driver, task)) => {
                self.drive(&*driver, task, context, logs, &mut aborted)
                    .await
            }
        };
        let Some(outcome) = outcome else {
            self.give_up().await;
            return;
        };
        self.report(outcome).await;
    }

    async fn task(&self, start: &StartTask) -> Result<Task, Failure> {
        let (plan, spec) = (&start.plan, &start.spec);
        let text = match (&start.with, &spec.with) {
            (Some(text), _) | (None, Value::Inline(text)) => Arc::clone(text),
            (None, Value::Stored { hash, .. }) => self
                .reader
                .value(self.claimed.run, *hash)
                .await
                .map_err(|error| {
                    failure(
                        "no_inputs",
                        format!("the task's inputs cannot be read: {error}"),
                        true,
                    )
                })?,
        };
        let inputs = serde_json::from_slice(&text).map_err(|error| {
            failure(
                "no_inputs",
                format!("the task's inputs cannot be read: {error}"),
                false,
            )
        })?;
        let id = self.claimed.id;
        Ok(Task {
            run: self.claimed.run.text(),
            namespace: Arc::clone(&plan.namespace),
            pipeline: Arc::clone(&plan.name),
            step: Arc::clone(&plan.steps[id.step as usize].id),
            instance: id.instance,
            attempt: id.attempt,
            action: spec.action.clone(),
            inputs,
            deadline: spec.deadline,
            grace: spec.grace,
            checkpoint: spec
                .checkpoint
                .as_ref()
                .map(|data| bytes::Bytes::copy_from_slice(data)),
            labels: start.labels.clone(),
        })
    }

    /// Runs the driver and keeps its log; `None` when the claim ended first.
    async fn drive(
        &mut self,
        driver: &dyn Driver,
        task: Task,
        context: Context,
        mut lines: mpsc::Receiver<LogLine>,
        aborted: &mut oneshot::Receiver<()>,
    ) -> Option<Outcome> {
        // A panic may come from `run` itself, before there is a future.
        let made = std::panic::AssertUnwindSafe(|| driver.run(task, context));
        let mut work = match std::panic::catch_unwind(made) {
            Ok(future) => AbortOnDrop(tokio::spawn(future)),
            Err(panic) => return Some(Outcome::Failed(exception(&*panic), None)),
        };
        let mut batch = Vec::new();
        let mut acknowledged: Option<oneshot::Receiver<Result<Answer, NodeError>>> = None;
        let outcome = loop {
            tokio::select! {
                ended = &mut work.0 => break Some(ended),
                // Its sender is dropped when the claim is over.
                _ = &mut *aborted => break None,
                count = lines.recv_many(&mut batch, LINES), if acknowledged.is_none() => {
                    if count == 0 {
                        // The driver has closed its log; its result is still to come.
                        tokio::select! {
                            ended = &mut work.0 => break Some(ended),
                            _ = &mut *aborted => break None,
                        }
                    }
                    self.log.add(batch.drain(..));
                    acknowledged = self.send_logs();
                }
                answer = wait(&mut acknowledged) => {
                    acknowledged = None;
                    if matches!(answer, Some(Ok(_))) {
                        self.log.kept();
                    } else {
                        tokio::time::sleep(RESEND).await;
                        acknowledged = self.send_logs();
                    }
                }
            }
        };
        drop(work);
        lines.close();
        while let Some(line) = lines.recv().await {
            self.log.add(std::iter::once(line));
        }
        Some(match outcome? {
            Ok(outcome) => outcome,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => Outcome::Failed(exception(&*panic), None),
                Err(_) => return None,
            },
        })
    }

    fn send_logs(&mut self) -> Option<oneshot::Receiver<Result<Answer, NodeError>>> {
        let (run, writes) = (self.claimed.run, self.log.writes());
        let (reply, answer) = oneshot::channel();
        let make = Box::new(move |ticket| Input::Logs {
            ticket,
            run,
            writes,
        });
        self.messages.send(Message::Request(make, reply)).ok()?;
        Some(answer)
    }

    /// The claim is over: what was logged is kept, and the place given back. The owner may be gone.
    async fn give_up(mut self) {
        let (run, writes) = (self.claimed.run, self.log.finish());
        let (reply, answer) = oneshot::channel();
        let make = Box::new(move |ticket| Input::Logs {
            ticket,
            run,
            writes,
        });
        if self.log.last().is_some() && self.messages.send(Message::Request(make, reply)).is_ok() {
            // Lines of an attempt that was thrown away are not worth a second try.
            let _ = answer.await;
        }
        let _ = self.messages.send(Message::Released(self.claimed));
    }

    /// Reports until it is answered. Lines that are not acknowledged go in the same commit.
    async fn report(mut self, outcome: Outcome) {
        let mut values = Vec::new();
        let result = ended(outcome, &mut values);
        let logs = self.log.finish();
        let report = Reported {
            claimed: self.claimed,
            result,
            last_log: self.log.last(),
            values,
            logs,
        };
        let mut pause = RESEND;
        loop {
            let (reply, answer) = oneshot::channel();
            if self
                .messages
                .send(Message::Report(Box::new(report.clone()), reply))
                .is_err()
            {
                return;
            }
            match answer.await {
                Ok(Err(error)) if error.is_temporary() => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
                Ok(Err(error)) => {
                    tracing::warn!(run = %self.claimed.run, id = %self.claimed.id, %error, "a report was refused");
                    return;
                }
                Ok(Ok(_)) | Err(_) => return,
            }
        }
    }
}

async fn wait(
    answer: &mut Option<oneshot::Receiver<Result<Answer, NodeError>>>,
) -> Option<Result<Answer, NodeError>> {
    match answer {
        Some(answer) => answer.await.ok(),
        None => std::future::pending().await,
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<Outcome>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn ended(outcome: Outcome, values: &mut crate::owner::ValueTexts) -> EndedAttempt {
    let mut keep = |outputs: &Json| {
        let value = inline_or_stored(outputs, values);
        if value.len() > OUTPUT_BYTES {
            values.pop();
            let len = value.len();
            let message =
                format!("the outputs have {len} bytes; the limit `output_bytes` is {OUTPUT_BYTES}");
            return Err(failure("output_too_large", message, false));
        }
        Ok(value)
    };
    let end = |state, outputs, failure| EndedAttempt {
        state,
        outputs,
        failure,
    };
    match outcome {
        Outcome::Succeeded(outputs) if !outputs.is_object() => {
            let message = "the outputs are not a JSON object".to_owned();
            end(
                AttemptState::Errored,
                None,
                Some(failure("invalid_output", message, false)),
            )
        }
        Outcome::Succeeded(outputs) => match keep(&outputs) {
            Ok(value) => end(AttemptState::Succeeded, Some(value), None),
            Err(failure) => end(AttemptState::Errored, None, Some(failure)),
        },
        Outcome::Failed(failure, outputs) => {
            // Outputs of a failure are only for reading: too long ones are left out.
            let outputs = outputs.and_then(|outputs| keep(&outputs).ok());
            end(AttemptState::Failed, outputs, Some(failure))
        }
        Outcome::Errored(failure) => end(AttemptState::Errored, None, Some(failure)),
        Outcome::Cancelled => end(AttemptState::Cancelled, None, None),
    }
}

fn exception(panic: &(dyn std::any::Any + Send)) -> Failure {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let message = format!(
        "the driver panicked: {}",
        text.unwrap_or("without a message")
    );
    failure("exception", message, true)
}

fn failure(code: &str, message: String, retryable: bool) -> Failure {
    Failure {
        code: code.into(),
        message: message.into(),
        details: None,
        retryable: Some(retryable),
        retry_after_millis: None,
    }
}
