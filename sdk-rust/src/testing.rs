//! One task without a server: for tests of drivers.
//!
//! ```
//! use conveyor_sdk::{Driver, Failure, Task, testing::TestTask};
//! use serde_json::json;
//!
//! # #[tokio::main]
//! # async fn main() {
//! let driver = Driver::new("greet").action("say", async |task: Task| {
//!     task.log.info("about to greet");
//!     Ok(json!({ "text": format!("hello {}", task.inputs["name"].as_str().unwrap_or("you")) }))
//! });
//! let run = TestTask::new("say").inputs(json!({ "name": "Ada" })).run(&driver).await;
//! assert_eq!(run.result.unwrap(), json!({ "text": "hello Ada" }));
//! assert_eq!(run.lines, ["about to greet"]);
//! # }
//! ```
//!
//! A task ends as it would with an engine of the usual limits: outputs that are no object or over 8 MiB are
//! an error, and texts of a failure that are too long are cut. With the feature `test-schemas`, which
//! `embedded` has too, inputs and outputs are checked against the action's schemas.

mod judge;

use crate::detach::{Detach, Handover};
use crate::log::{Line, Log, Stream};
use crate::sink::{Later, NotKept, Sink};
use crate::{Driver, Failure, Resource, SecretValues, Task};
use judge::Judge;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{Notify, watch};

/// A task to be run.
#[derive(Clone, Debug)]
pub struct TestTask {
    action: String,
    pipeline: String,
    step: String,
    inputs: Value,
    parameters: Option<Value>,
    resource: Option<Resource>,
    secrets: SecretValues,
    labels: BTreeMap<String, String>,
    traceparent: String,
    grace: Duration,
    attempt: u32,
    time_left: Duration,
    checkpoint: Option<Vec<u8>>,
    cancel_after: Option<Duration>,
    cancel_on_line: Option<String>,
    cancel_with: Option<TestCancel>,
}

/// Why a test cancels its task.
const BY_TEST: &str = "the test cancels it";

/// Cancels the task of a test from elsewhere. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct TestCancel(Arc<Notify>);

impl TestCancel {
    /// Nobody has cancelled it yet.
    #[must_use]
    pub fn new() -> TestCancel {
        TestCancel::default()
    }

    /// Cancels it.
    pub fn cancel(&self) {
        self.0.notify_one();
    }

    async fn cancelled(self) {
        self.0.notified().await;
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct TestRun {
    /// The outputs, or the failure: as an engine keeps it.
    pub result: Result<Value, Failure>,
    /// The log, line by line; what is no UTF-8 has replacement characters.
    pub lines: Vec<String>,
    /// Where each of the lines comes from.
    pub streams: Vec<Stream>,
    /// Whether each of the lines goes on in the next one of its stream.
    pub go_on: Vec<bool>,
    /// The checkpoints, in order.
    pub checkpoints: Vec<Vec<u8>>,
    /// What it told of its progress, in order: thousandths, and words.
    pub progress: Vec<(Option<u32>, String)>,
    /// How it was handed over to the outside, if it was.
    pub detached: Option<Detach>,
}

impl TestRun {
    /// The lines of one stream, in order.
    #[must_use]
    pub fn lines_of(&self, stream: Stream) -> Vec<&str> {
        let each = self.lines.iter().zip(&self.streams);
        let those = each.filter(|(_, of)| **of == stream);
        those.map(|(line, _)| line.as_str()).collect()
    }
}

#[derive(Debug, Default)]
struct Recorded {
    detached: Option<Detach>,
    lines: Vec<String>,
    streams: Vec<Stream>,
    go_on: Vec<bool>,
    checkpoints: Vec<Vec<u8>>,
    progress: Vec<(Option<u32>, String)>,
}

#[derive(Debug)]
struct Recorder {
    recorded: Mutex<Recorded>,
    /// Cancels the task once a line has this.
    cancel_on_line: Option<String>,
    cancel: watch::Sender<Option<Arc<str>>>,
}

impl Recorder {
    fn record(&self, change: impl FnOnce(&mut Recorded)) {
        let mut recorded = self.recorded.lock();
        change(
            recorded
                .as_mut()
                .unwrap_or_else(|poisoned| poisoned.get_mut()),
        );
    }

    fn cancel(&self, why: &str) {
        self.cancel.send_replace(Some(Arc::from(why)));
    }
}

impl Sink for Recorder {
    fn line(&self, line: Line) -> bool {
        let text = String::from_utf8_lossy(&line.text).into_owned();
        let awaited = self.cancel_on_line.as_ref();
        let cancels = awaited.is_some_and(|part| text.contains(part));
        self.record(|recorded| {
            recorded.lines.push(text);
            recorded.streams.push(line.stream);
            recorded.go_on.push(line.goes_on);
        });
        if cancels {
            self.cancel(BY_TEST);
        }
        true
    }

    fn line_when_room(&self, line: Line) -> Later<()> {
        self.line(line);
        Box::pin(std::future::ready(()))
    }

    fn progress(&self, permille: Option<u32>, message: String) {
        self.record(|recorded| recorded.progress.push((permille, message)));
    }

    fn checkpoint(&self, data: Vec<u8>) -> Later<Result<(), NotKept>> {
        self.record(|recorded| recorded.checkpoints.push(data));
        Box::pin(std::future::ready(Ok(())))
    }

    fn detach(&self, detach: Detach) -> Later<Result<Handover, NotKept>> {
        let mut next_log_offset = 0;
        let handover = Handover {
            token: b"a token of the test".to_vec(),
            url: crate::DEFAULT_URL.to_owned(),
            until: SystemTime::now() + detach.within,
            next_log_offset: 0,
        };
        self.record(|recorded| {
            next_log_offset = recorded.lines.len() as u64;
            recorded.detached = Some(detach);
        });
        Box::pin(std::future::ready(Ok(Handover {
            next_log_offset,
            ..handover
        })))
    }
}

impl TestTask {
    /// A first attempt of an action, with no inputs.
    #[must_use]
    pub fn new(action: impl Into<String>) -> TestTask {
        TestTask {
            action: action.into(),
            pipeline: "test".to_owned(),
            step: "test".to_owned(),
            inputs: Value::Object(serde_json::Map::new()),
            parameters: None,
            resource: None,
            secrets: SecretValues::default(),
            labels: BTreeMap::new(),
            traceparent: String::new(),
            grace: Duration::from_secs(30),
            attempt: 1,
            time_left: Duration::from_secs(3600),
            checkpoint: None,
            cancel_after: None,
            cancel_on_line: None,
            cancel_with: None,
        }
    }

    /// The name of its run's pipeline. Default `test`.
    #[must_use]
    pub fn pipeline(mut self, name: impl Into<String>) -> TestTask {
        self.pipeline = name.into();
        self
    }

    /// Its step's id. Default `test`.
    #[must_use]
    pub fn step(mut self, id: impl Into<String>) -> TestTask {
        self.step = id.into();
        self
    }

    /// Its inputs: an object.
    #[must_use]
    pub fn inputs(mut self, inputs: Value) -> TestTask {
        self.inputs = inputs;
        self
    }

    /// A later attempt, with the checkpoint of the one before.
    #[must_use]
    pub fn attempt(mut self, number: u32, checkpoint: Option<Vec<u8>>) -> TestTask {
        (self.attempt, self.checkpoint) = (number, checkpoint);
        self
    }

    /// Parameters of its instance.
    #[must_use]
    pub fn parameters(mut self, parameters: Value) -> TestTask {
        self.parameters = Some(parameters);
        self
    }

    /// The Resource that its run is for.
    #[must_use]
    pub fn resource(mut self, resource: Resource) -> TestTask {
        self.resource = Some(resource);
        self
    }

    /// A secret, by the name that the step gives it.
    #[must_use]
    pub fn secret(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> TestTask {
        self.secrets.insert(name.into(), value.into());
        self
    }

    /// A label of its run.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> TestTask {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// Its W3C trace context. Default: empty, none.
    #[must_use]
    pub fn traceparent(mut self, traceparent: impl Into<String>) -> TestTask {
        self.traceparent = traceparent.into();
        self
    }

    /// How long it has to end once it is cancelled; then it is cut off. Default 30 s.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> TestTask {
        self.grace = grace;
        self
    }

    /// How long it has until it is cancelled, its time being over. Default an hour.
    #[must_use]
    pub fn time_left(mut self, time: Duration) -> TestTask {
        self.time_left = time;
        self
    }

    /// It is cancelled once it logs a line that has this text: no clock decides.
    #[must_use]
    pub fn cancel_on_line(mut self, part: impl Into<String>) -> TestTask {
        self.cancel_on_line = Some(part.into());
        self
    }

    /// It is cancelled when somebody says so.
    #[must_use]
    pub fn cancel_with(mut self, cancel: &TestCancel) -> TestTask {
        self.cancel_with = Some(cancel.clone());
        self
    }

    /// It is cancelled after a while.
    #[must_use]
    pub fn cancel_after(mut self, delay: Duration) -> TestTask {
        self.cancel_after = Some(delay);
        self
    }

    /// Runs it.
    pub async fn run(self, driver: &Driver) -> TestRun {
        let judge = Judge(driver.find(&self.action).map(|(action, _)| action));
        let accepted = judge.inputs(&self.inputs);
        let (cancel, cancelled) = watch::channel(None);
        let recorder = Arc::new(Recorder {
            recorded: Mutex::default(),
            cancel_on_line: self.cancel_on_line,
            cancel,
        });
        let sink: Arc<dyn Sink> = Arc::clone(&recorder) as Arc<dyn Sink>;
        let mut told = cancelled.clone();
        let grace = self.grace;
        let task = Task {
            run: "00000000-0000-7000-8000-000000000000".to_owned(),
            namespace: "default".to_owned(),
            pipeline: self.pipeline,
            step: self.step,
            instance: 0,
            attempt: self.attempt,
            action: self.action,
            inputs: self.inputs,
            parameters: self.parameters,
            resource: self.resource,
            log: Log::new(Arc::clone(&sink), &self.secrets),
            secrets: self.secrets,
            deadline: Instant::now() + self.time_left,
            grace,
            checkpoint: self.checkpoint,
            labels: self.labels,
            traceparent: self.traceparent,
            sink,
            cancelled,
        };
        let cancelling = async {
            let after = async {
                match self.cancel_after {
                    None => std::future::pending().await,
                    Some(delay) => tokio::time::sleep(delay).await,
                }
            };
            let with = async {
                match self.cancel_with {
                    None => std::future::pending().await,
                    Some(cancel) => cancel.cancelled().await,
                }
            };
            let why = tokio::select! {
                () = after => BY_TEST,
                () = with => BY_TEST,
                () = tokio::time::sleep(self.time_left) => "its time is over",
            };
            recorder.cancel(why);
            std::future::pending::<()>().await;
        };
        // As a runtime does with what does not end in its grace.
        let cut_off = async {
            // The recorder has its other end.
            let _ = told.wait_for(Option::is_some).await;
            tokio::time::sleep(grace).await;
        };
        let performed = async {
            accepted?;
            driver.perform(task).await
        };
        let result = tokio::select! {
            result = performed => result,
            () = cancelling => Err(Failure::cancelled()),
            () = cut_off => Err(Failure::cancelled()),
        };
        let mut recorded = Recorded::default();
        recorder.record(|all| recorded = std::mem::take(all));
        // What a task returns that goes on elsewhere is told to nobody.
        let result = match recorded.detached {
            None => judge.ended(result),
            Some(_) => result,
        };
        TestRun {
            result,
            lines: recorded.lines,
            streams: recorded.streams,
            go_on: recorded.go_on,
            checkpoints: recorded.checkpoints,
            progress: recorded.progress,
            detached: recorded.detached,
        }
    }
}
