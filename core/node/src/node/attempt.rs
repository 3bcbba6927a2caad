//! One attempt of a driver in this process, from its task to its report.

use super::checkpoint::Saver;
use super::config::Limits;
use super::judge::{self, exception};
use super::logs::AttemptLines;
use super::messages::{Message, RESEND};
use super::parameters::{parameters, resource};
use crate::driver::{Checkpoint, Context, Driver, Lines, Outcome, Task};
use crate::owner::{Reported, StartTask};
use crate::reader::Reader;
use crate::secrets::Secrets;
use crate::token::Claimed;
use conveyor_engine::plan::ActionContract;
use conveyor_engine::run::Failure;
use conveyor_engine::value::{Json, Value};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// One claim, from its task to its report.
pub(super) struct Attempt {
    pub(super) claimed: Claimed,
    pub(super) reader: Reader,
    pub(super) messages: Sender<Message>,
    pub(super) log: AttemptLines,
    pub(super) limits: Limits,
    pub(super) secrets: Arc<Secrets>,
}

/// What a driver sends besides its result.
pub(super) struct Sent {
    pub(super) lines: Lines,
    pub(super) checkpoints: mpsc::Receiver<Checkpoint>,
}

impl Attempt {
    pub(super) async fn run(
        mut self,
        driver: Result<(Arc<dyn Driver>, ActionContract), Failure>,
        start: StartTask,
        context: Context,
        sent: Sent,
        mut aborted: oneshot::Receiver<()>,
    ) {
        let (outcome, action) = match driver {
            Err(failure) => (Some(Outcome::Errored(failure)), None),
            Ok((driver, action)) => {
                let outcome = match self.task(&start, &action).await {
                    Err(failure) => Some(Outcome::Errored(failure)),
                    Ok(task) => {
                        self.drive(&*driver, task, context, sent, &mut aborted)
                            .await
                    }
                };
                (outcome, Some(action))
            }
        };
        let Some(outcome) = outcome else {
            self.give_up();
            return;
        };
        self.report(action.as_ref(), outcome).await;
    }

    async fn task(&mut self, start: &StartTask, action: &ActionContract) -> Result<Task, Failure> {
        let (plan, spec) = (&start.plan, &start.spec);
        let text = match (&start.with, &spec.with) {
            (Some(text), _) | (None, Value::Inline(text)) => Arc::clone(text),
            (None, Value::Stored { hash, .. }) => self
                .reader
                .value(self.claimed.run, *hash)
                .await
                .map_err(|error| judge::no_inputs(&error, true))?,
        };
        let inputs: Json =
            serde_json::from_slice(&text).map_err(|error| judge::no_inputs(&error, false))?;
        let id = self.claimed.id;
        let step = &plan.steps[id.step as usize];
        judge::inputs(action, step, &inputs)?;
        let item = start.parameters.as_ref();
        let text = parameters(&self.reader, self.claimed.run, item).await?;
        let parameters = text.map(|text| serde_json::from_slice(&text));
        let parameters = parameters.transpose();
        let resource = resource(&self.reader, start).await?;
        let resource = resource.map(|text| serde_json::from_slice(&text));
        let resource = resource.transpose();
        let workers = self.reader.workers();
        let resolved = self.secrets.resolve(workers, plan, id.step).await?;
        self.log.mask = resolved.mask;
        Ok(Task {
            secrets: resolved.values,
            parameters: parameters.map_err(|error| judge::no_inputs(&error, false))?,
            resource: resource.map_err(|error| judge::no_inputs(&error, false))?,
            run: self.claimed.run.text(),
            namespace: Arc::clone(&plan.namespace),
            pipeline: Arc::clone(&plan.name),
            step: Arc::clone(&step.id),
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
        sent: Sent,
        aborted: &mut oneshot::Receiver<()>,
    ) -> Option<Outcome> {
        // A panic may come from `run` itself, before there is a future.
        let made = std::panic::AssertUnwindSafe(|| driver.run(task, context));
        let mut work = match std::panic::catch_unwind(made) {
            Ok(future) => AbortOnDrop(tokio::spawn(future)),
            Err(panic) => return Some(Outcome::Failed(exception(&*panic), None)),
        };
        let Sent {
            mut lines,
            checkpoints,
        } = sent;
        let saver = Saver {
            claimed: self.claimed,
            messages: self.messages.clone(),
            most: self.limits.checkpoint_bytes,
            mask: self.log.mask.clone(),
        };
        let mut saving = std::pin::pin!(saver.all(checkpoints));
        let mut saves = true;
        let mut batch = Vec::new();
        // Lines on their way to the log store. The driver waits for them once it is far ahead.
        let mut keeping = None;
        let outcome = loop {
            tokio::select! {
                ended = &mut work.0 => break Some(ended),
                // Its sender is dropped when the claim is over.
                _ = &mut *aborted => break None,
                count = lines.recv_some(&mut batch), if keeping.is_none() => {
                    if count == 0 {
                        // The driver has closed its log; its result is still to come.
                        tokio::select! {
                            ended = &mut work.0 => break Some(ended),
                            _ = &mut *aborted => break None,
                            () = &mut saving, if saves => {
                                saves = false;
                                continue;
                            }
                        }
                    }
                    keeping = Some(Box::pin(self.log.keep(std::mem::take(&mut batch), false)));
                }
                () = &mut saving, if saves => saves = false,
                () = wait(&mut keeping) => keeping = None,
            }
        };
        drop(work);
        let rest = lines.rest().await;
        let rest = self.log.keep(rest, true);
        let kept = tokio::spawn(async move {
            wait_for(keeping).await;
            rest.await;
        });
        // Whatever becomes of its log, a claim that is over holds no place.
        let outcome = outcome?;
        tokio::select! {
            _ = kept => {}
            _ = &mut *aborted => return None,
        }
        Some(match outcome {
            Ok(outcome) => outcome,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => Outcome::Failed(exception(&*panic), None),
                Err(_) => return None,
            },
        })
    }

    /// The claim is over: the place is given back. The owner may be gone.
    fn give_up(self) {
        let _ = self.messages.send(Message::Released(self.claimed));
    }

    /// Reports until it is answered.
    async fn report(self, action: Option<&ActionContract>, outcome: Outcome) {
        let mut values = Vec::new();
        let result = judge::ended(
            action,
            &self.log.mask,
            outcome,
            self.limits.output_bytes,
            &mut values,
        );
        let report = Reported {
            claimed: self.claimed,
            result,
            last_log: self.log.last(),
            values,
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

async fn wait<F: Future<Output = ()> + Unpin>(keeping: &mut Option<F>) {
    match keeping {
        Some(keeping) => keeping.await,
        None => std::future::pending().await,
    }
}

async fn wait_for<F: Future<Output = ()>>(keeping: Option<F>) {
    if let Some(keeping) = keeping {
        keeping.await;
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<Outcome>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
