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

use crate::log::{Line, Log};
use crate::sink::{Later, NotKept, Sink};
use crate::{Driver, Failure, Task};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A task to be run.
#[derive(Clone, Debug)]
pub struct TestTask {
    action: String,
    inputs: Value,
    attempt: u32,
    checkpoint: Option<Vec<u8>>,
    cancel_after: Option<Duration>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct TestRun {
    /// The outputs, or the failure.
    pub result: Result<Value, Failure>,
    /// The log, line by line; what is no UTF-8 has replacement characters.
    pub lines: Vec<String>,
    /// The checkpoints, in order.
    pub checkpoints: Vec<Vec<u8>>,
    /// What it told of its progress, in order: thousandths, and words.
    pub progress: Vec<(Option<u32>, String)>,
}

#[derive(Debug, Default)]
struct Recorded {
    lines: Vec<String>,
    checkpoints: Vec<Vec<u8>>,
    progress: Vec<(Option<u32>, String)>,
}

#[derive(Debug, Default)]
struct Recorder(Mutex<Recorded>);

impl Recorder {
    fn record(&self, change: impl FnOnce(&mut Recorded)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Sink for Recorder {
    fn line(&self, line: Line) -> bool {
        let text = String::from_utf8_lossy(&line.text).into_owned();
        self.record(|recorded| recorded.lines.push(text));
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
}

impl TestTask {
    /// A first attempt of an action, with no inputs.
    #[must_use]
    pub fn new(action: impl Into<String>) -> TestTask {
        TestTask {
            action: action.into(),
            inputs: Value::Object(serde_json::Map::new()),
            attempt: 1,
            checkpoint: None,
            cancel_after: None,
        }
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

    /// It is cancelled after a while.
    #[must_use]
    pub fn cancel_after(mut self, delay: Duration) -> TestTask {
        self.cancel_after = Some(delay);
        self
    }

    /// Runs it.
    pub async fn run(self, driver: &Driver) -> TestRun {
        let recorder = Arc::new(Recorder::default());
        let sink: Arc<dyn Sink> = Arc::clone(&recorder) as Arc<dyn Sink>;
        let (cancel, cancelled) = watch::channel(None);
        let task = Task {
            run: "00000000-0000-7000-8000-000000000000".to_owned(),
            namespace: "default".to_owned(),
            pipeline: "test".to_owned(),
            step: "test".to_owned(),
            instance: 0,
            attempt: self.attempt,
            action: self.action,
            inputs: self.inputs,
            deadline: Instant::now() + Duration::from_secs(3600),
            grace: Duration::from_secs(30),
            checkpoint: self.checkpoint,
            labels: BTreeMap::new(),
            traceparent: String::new(),
            log: Log::new(Arc::clone(&sink)),
            sink,
            cancelled,
        };
        let cancelling = async {
            match self.cancel_after {
                None => std::future::pending().await,
                Some(delay) => tokio::time::sleep(delay).await,
            }
            cancel.send_replace(Some(Arc::from("the test cancels it")));
            std::future::pending::<()>().await;
        };
        let result = tokio::select! {
            result = driver.perform(task) => result,
            () = cancelling => Err(Failure::cancelled()),
        };
        let mut recorded = Recorded::default();
        recorder.record(|all| recorded = std::mem::take(all));
        TestRun {
            result,
            lines: recorded.lines,
            checkpoints: recorded.checkpoints,
            progress: recorded.progress,
        }
    }
}
