//! Drivers in this process: what one is, what a task looks like to it, and how it answers.

use crate::error::NodeError;
use crate::secrets::SecretValues;
use bytes::Bytes;
use conveyor_engine::plan::{DriverContract, Drivers};
use conveyor_engine::run::Failure;
use conveyor_engine::time::{Duration, Time};
use conveyor_engine::value::Json;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

mod lines;
mod progress;

pub use lines::{Full, Lines, Logs};
pub use progress::Teller;

pub(crate) use progress::Tellers;

/// A driver that lives in the engine's process.
pub trait Driver: Send + Sync + 'static {
    /// What it is called and what it can do. Asked once.
    fn info(&self) -> DriverInfo;

    /// Does one task. A panic counts as failure code `exception`, retryable.
    fn run(&self, task: Task, context: Context) -> Pin<Box<dyn Future<Output = Outcome> + Send>>;
}

/// A driver's name, version and actions.
#[derive(Clone, Debug)]
pub struct DriverInfo {
    /// The word before `@` in a document.
    pub name: Arc<str>,
    /// Its version.
    pub version: Arc<str>,
    /// Its actions; the first is the default one.
    pub actions: Vec<ActionInfo>,
}

/// One action of a driver.
#[derive(Clone, Debug)]
pub struct ActionInfo {
    /// Its name.
    pub name: Arc<str>,
    /// JSON Schema 2020-12 of `with`.
    pub inputs: Option<Json>,
    /// JSON Schema 2020-12 of the outputs.
    pub outputs: Option<Json>,
}

/// What drivers say of themselves, ready to check documents and tasks against.
///
/// # Errors
/// [`NodeError::Invalid`], naming driver and action, when a schema cannot be used.
pub fn contracts(drivers: &[Arc<dyn Driver>]) -> Result<Drivers, NodeError> {
    let mut contracts = Drivers::default();
    for driver in drivers {
        let info = driver.info();
        let actions = info.actions.iter();
        let actions = actions.map(|of| (&*of.name, of.inputs.as_ref(), of.outputs.as_ref()));
        let contract = DriverContract::new(&info.name, &info.version, actions);
        contracts.insert(contract.map_err(NodeError::Invalid)?);
    }
    Ok(contracts)
}

/// An attempt as its driver sees it.
#[derive(Clone, Debug)]
pub struct Task {
    /// The run's id.
    pub run: Arc<str>,
    /// The run's namespace.
    pub namespace: Arc<str>,
    /// The pipeline's name.
    pub pipeline: Arc<str>,
    /// The step's id.
    pub step: Arc<str>,
    /// The instance's position; 0 for a plain step.
    pub instance: u32,
    /// The attempt's number, from 1.
    pub attempt: u32,
    /// The action; `None` means the driver's default one.
    pub action: Option<Arc<str>>,
    /// `with`, evaluated: an object.
    pub inputs: Json,
    /// Parameters of the instance: for a matrix an object of the axes, for a foreach the item; `None`
    /// for a plain step.
    pub parameters: Option<Json>,
    /// The version of a Resource that the run is for: an object with `definition`, `name`, `version` and
    /// `spec`; `None` where it is for none.
    pub resource: Option<Json>,
    /// Secrets by the name that the step gives them.
    pub secrets: SecretValues,
    /// When the attempt's time is over.
    pub deadline: Time,
    /// From cancel to the end of the lease.
    pub grace: Duration,
    /// What an earlier attempt of the instance saved last.
    pub checkpoint: Option<Bytes>,
    /// Labels of the run.
    pub labels: BTreeMap<String, String>,
    /// W3C trace context: the value of a `traceparent` header.
    pub traceparent: String,
}

/// What a driver may do besides returning.
#[derive(Clone, Debug)]
pub struct Context {
    /// Where log lines go. Bounded: a driver that floods waits here, and slows nobody else.
    pub logs: Logs,
    /// `Some` once the task is to stop, with the reason.
    pub cancelled: watch::Receiver<Option<Arc<str>>>,
    /// Where checkpoints go.
    pub checkpoints: Checkpoints,
    /// Where it tells how far the task is.
    pub progress: Teller,
}

/// Keeps what a next attempt of the instance should know: the last one saved is its
/// [`Task::checkpoint`], whatever ended this attempt, the death of the process included.
#[derive(Clone, Debug)]
pub struct Checkpoints(mpsc::Sender<Checkpoint>);

/// One checkpoint on its way.
#[derive(Debug)]
pub struct Checkpoint {
    /// Opaque bytes.
    pub data: Bytes,
    /// Told once it is durable, or that it is refused.
    pub saved: oneshot::Sender<Result<(), NodeError>>,
}

impl Checkpoints {
    /// Both ends: a node's, and a test's of a driver.
    #[must_use]
    pub fn channel() -> (Checkpoints, mpsc::Receiver<Checkpoint>) {
        // Each is awaited, so more than one is under way only where a driver saves from several tasks.
        let (sender, receiver) = mpsc::channel(1);
        (Checkpoints(sender), receiver)
    }

    /// Saves opaque bytes, at most [`Limits::checkpoint_bytes`](crate::node::Limits). Durable when
    /// this returns.
    ///
    /// # Errors
    /// [`NodeError::Invalid`] when they are over the limit, or the attempt's claim is over. A store
    /// that fails for now is waited for.
    pub async fn save(&self, data: impl Into<Bytes>) -> Result<(), NodeError> {
        let over = || NodeError::Invalid("the attempt is over: nothing more is saved".into());
        let (saved, answer) = oneshot::channel();
        let data = data.into();
        let sent = self.0.send(Checkpoint { data, saved }).await;
        sent.map_err(|_| over())?;
        answer.await.map_err(|_| over())?
    }
}

/// Where a log line comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStream {
    /// The driver itself.
    Log,
    /// A process's standard output.
    Stdout,
    /// A process's standard error.
    Stderr,
}

/// One log line, without its line feed. Its offset is its place among the lines sent; one of more than 64 KiB is
/// as many as it has pieces, each of which but the last is marked as truncated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written, by the driver's clock.
    pub time: Time,
    /// Where from.
    pub stream: LogStream,
    /// The line; UTF-8 where the writer wrote UTF-8.
    pub text: Bytes,
    /// Whether it goes on in the next line of its stream.
    pub goes_on: bool,
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// With these outputs: an object.
    Succeeded(Json),
    /// The driver says no. Outputs are kept for reading.
    Failed(Failure, Option<Json>),
    /// Not the task's fault: outputs that cannot be read, no such action.
    Errored(Failure),
    /// It stopped because it was told to.
    Cancelled,
}

/// A failure as facts hold it.
#[must_use]
pub fn failure(
    code: &str,
    message: &str,
    details: Option<&Json>,
    retryable: Option<bool>,
    retry_after_millis: Option<u64>,
) -> Failure {
    Failure {
        code: code.into(),
        message: message.into(),
        details: details.map(conveyor_engine::value::Value::inline),
        retryable,
        retry_after_millis,
    }
}

/// An instant: milliseconds since 1970.
#[must_use]
pub fn time(millis: u64) -> Time {
    Time(millis)
}
