use crate::Failure;
use crate::log::Log;
use crate::sink::Sink;
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
        self.sink.progress(permille, message.into());
    }

    /// Saves what a next attempt of the instance should know: its [`Task::checkpoint`], whatever ends
    /// this one. Durable when this returns.
    ///
    /// # Errors
    /// When it is over the limit `checkpoint_bytes`, or the attempt is over.
    pub async fn save_checkpoint(&self, data: impl Into<Vec<u8>>) -> Result<(), Failure> {
        let kept = self.sink.checkpoint(data.into()).await;
        kept.map_err(|error| Failure::new("checkpoint", error.to_string()))
    }
}
