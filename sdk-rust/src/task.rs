use crate::Failure;
use crate::detach::{Detach, Handover};
use crate::log::Log;
use crate::secrets::SecretValues;
use crate::sink::Sink;
use conveyor_proto::contract::PRINCIPALS;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// An attempt, as its action sees it.
#[derive(Clone)]
pub struct Task {
    /// The run's id.
    pub run: String,
    /// The run's namespace.
    pub namespace: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// The step's id.
    pub step: String,
    /// The instance's position; 0 for a plain step.
    pub instance: u32,
    /// The attempt's number, from 1.
    pub attempt: u32,
    /// The action's name.
    pub action: String,
    /// `with`, evaluated: a JSON object. Integers have 64 bits.
    pub inputs: Value,
    /// Parameters of the instance: for a matrix an object of the axes, for a foreach the item; `None` for
    /// a plain step.
    pub parameters: Option<Value>,
    /// The version of a Resource that the run was started for.
    pub resource: Option<Resource>,
    /// Secrets by the name that the step gives them: not to be logged, nor put into outputs.
    /// [`Task::secret`] takes one.
    pub secrets: SecretValues,
    /// When the attempt's time is over.
    pub deadline: Instant,
    /// How long it has to end once it is cancelled.
    pub grace: Duration,
    /// What an earlier attempt of the instance saved last.
    pub checkpoint: Option<Vec<u8>>,
    /// Labels of the run.
    pub labels: BTreeMap<String, String>,
    /// W3C trace context: the value of a `traceparent` header.
    pub traceparent: String,
    /// The task's part of the run's log.
    pub log: Log,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) cancelled: watch::Receiver<Option<Arc<str>>>,
}

/// A version of a Resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// The ResourceDefinition's name.
    pub definition: String,
    /// The Resource's name.
    pub name: String,
    /// Its version, from 1.
    pub version: u64,
    /// Its `spec`: a JSON object.
    pub spec: Value,
}

/// A task is to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancelled {
    /// Why.
    pub reason: Arc<str>,
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Inputs may be anything: they have no place in a log by accident.
        f.debug_struct("Task")
            .field("run", &self.run)
            .field("step", &self.step)
            .field("instance", &self.instance)
            .field("attempt", &self.attempt)
            .field("action", &self.action)
            .finish_non_exhaustive()
    }
}

impl Task {
    /// The inputs as a type of the driver's own.
    ///
    /// # Errors
    /// A failure with code `invalid_input`, not to be tried again.
    pub fn inputs_as<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        T::deserialize(&self.inputs).map_err(|error| {
            Failure::new(
                "invalid_input",
                format!("the inputs are not what is expected: {error}"),
            )
            .permanent()
        })
    }

    /// The value of a secret, by the name that the step gives it. It is masked in what the task logs
    /// and in its failures; outputs and checkpoints that contain it are refused.
    ///
    /// # Errors
    /// A failure with code `no_secret`, not to be tried again.
    pub fn secret(&self, name: &str) -> Result<&[u8], Failure> {
        self.secrets.get(name).ok_or_else(|| {
            let known = self.secrets.names().map(|name| format!("`{name}`"));
            let known: Vec<_> = known.collect();
            let known = match known.is_empty() {
                true => "none".to_owned(),
                false => known.join(", "),
            };
            let message = format!("the step has no secret `{name}`; it has: {known}");
            Failure::new("no_secret", message).permanent()
        })
    }

    /// Ready once the task is to stop. Whatever it still does is cut off after [`Task::grace`].
    pub async fn cancelled(&self) -> Cancelled {
        let mut cancelled = self.cancelled.clone();
        let reason = match cancelled.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone(),
            Err(_) => None,
        };
        match reason {
            Some(reason) => Cancelled { reason },
            // Nobody will cancel it any more.
            None => std::future::pending().await,
        }
    }

    /// Whether the task is to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.borrow().is_some()
    }

    /// Tells how far the task is: a part between 0 and 1, and words for people.
    pub fn progress(&self, part: impl Into<Option<f64>>, message: impl Into<String>) {
        let permille = part
            .into()
            .map(|part| (part.clamp(0.0, 1.0) * 1000.0).round() as u32);
        let message = message.into();
        let message = self.log.mask().text(&message).into_owned();
        self.sink.progress(permille, message);
    }

    /// Saves what a next attempt of the instance should know: its [`Task::checkpoint`], whatever ends
    /// this one. Durable when this returns.
    ///
    /// # Errors
    /// When it is over the limit `checkpoint_bytes`, the attempt is over, or a secret is in it.
    pub async fn save_checkpoint(&self, data: impl Into<Vec<u8>>) -> Result<(), Failure> {
        let data = data.into();
        if let Some(name) = self.log.mask().find(&data) {
            let message =
                format!("the checkpoint contains the secret `{name}`: save what names it");
            return Err(Failure::new("checkpoint", message).permanent());
        }
        let kept = self.sink.checkpoint(data).await;
        kept.map_err(|error| Failure::new("checkpoint", error.to_string()))
    }

    /// Hands the task over to the outside (a cluster's job, a person's answer): its place here is free, no
    /// heartbeat is sent for it, and it lasts until somebody ends it by [`crate::Client::complete`] or
    /// `POST /v1/driver/complete`, or its time is over. Durable when this returns; tell the outside only
    /// then. What the action returns, logs or saves afterwards is told to nobody.
    ///
    /// ```
    /// use conveyor_sdk::{Detach, Driver, Failure, Task};
    /// use serde_json::{Value, json};
    /// use std::time::Duration;
    ///
    /// async fn approve(task: Task) -> Result<Value, Failure> {
    ///     task.log.info("somebody has to approve this");
    ///     let day = Duration::from_secs(24 * 3600);
    ///     let handover = task.detach(Detach::within(day).principal("approvals")).await?;
    ///     post_to_the_approvals_service(handover.to_json()).await?;
    ///     Ok(json!({}))
    /// }
    /// # async fn post_to_the_approvals_service(_: Value) -> Result<(), std::io::Error> { Ok(()) }
    /// # let _ = Driver::new("people").action("approve", approve);
    /// ```
    ///
    /// # Errors
    /// A failure with code `detach`: the attempt is over, more than 16 principals were named, or the driver
    /// runs in the engine's own process, which it cannot outlive.
    pub async fn detach(&self, detach: Detach) -> Result<Handover, Failure> {
        let named = detach.principals.len();
        if named > PRINCIPALS {
            let message = format!(
                "the limit `principals` of a detached task is {PRINCIPALS}; {named} are named"
            );
            return Err(Failure::new("detach", message).permanent());
        }
        let handed = self.sink.detach(detach).await;
        handed.map_err(|error| Failure::new("detach", error.to_string()))
    }
}
