//! One helper per verb.

use conveyor_engine::run::Failure;
use conveyor_engine::time::{Duration, Time};
use conveyor_engine::value::{Json, Value};
use conveyor_node::driver::{
    Checkpoints, Context, Driver, Lines, LogLine, LogStream, Logs, Outcome, Task,
};
use rustix::process::{Pid, test_kill_process};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a condition may take before a test fails: far more than it does on a busy machine.
pub(crate) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// The driver as the engine's process has it.
pub(crate) fn exec() -> Arc<dyn Driver> {
    conveyor_sdk::embedded::in_process(conveyor_driver_exec::driver())
}

/// A task of step `build`, first attempt.
pub(crate) fn task(with: Json) -> Task {
    Task {
        run: "0197-run".into(),
        namespace: "default".into(),
        pipeline: "test".into(),
        step: "build".into(),
        instance: 2,
        attempt: 1,
        action: None,
        inputs: with,
        parameters: None,
        resource: None,
        secrets: Default::default(),
        deadline: Time(u64::MAX),
        grace: Duration::secs(30),
        checkpoint: None,
        labels: BTreeMap::new(),
    }
}

/// A task that runs.
pub(crate) struct Running {
    pub(crate) logs: Lines,
    pub(crate) cancel: watch::Sender<Option<Arc<str>>>,
    pub(crate) outcome: JoinHandle<Outcome>,
}

impl Running {
    /// The next log line's text.
    pub(crate) async fn line(&mut self) -> String {
        let line = tokio::time::timeout(PATIENCE, self.logs.recv())
            .await
            .expect("a log line in time");
        String::from_utf8_lossy(&line.expect("a log line").text).into_owned()
    }

    pub(crate) fn cancel(&self) {
        self.cancel.send_replace(Some("test".into()));
    }

    /// How it ended, and what it logged until then.
    pub(crate) async fn end(mut self) -> (Outcome, Vec<LogLine>) {
        let mut lines = Vec::new();
        let all = async {
            while let Some(line) = self.logs.recv().await {
                lines.push(line);
            }
            self.outcome.await.expect("no panic")
        };
        let outcome = tokio::time::timeout(PATIENCE, all)
            .await
            .expect("an end in time");
        (outcome, lines)
    }
}

pub(crate) fn submit(driver: &dyn Driver, task: Task) -> Running {
    let (sender, logs) = Logs::channel();
    let (cancel, cancelled) = watch::channel(None);
    // `exec` saves nothing.
    let (checkpoints, _) = Checkpoints::channel();
    let outcome = tokio::spawn(driver.run(
        task,
        Context {
            logs: sender,
            cancelled,
            checkpoints,
        },
    ));
    Running {
        logs,
        cancel,
        outcome,
    }
}

/// Runs one task to its end.
pub(crate) async fn run(with: Json) -> (Outcome, Vec<LogLine>) {
    submit(&*exec(), task(with)).end().await
}

/// The failure of a task that is to fail.
pub(crate) async fn failure(with: Json) -> Failure {
    match run(with).await.0 {
        Outcome::Failed(failure, _) | Outcome::Errored(failure) => failure,
        other => panic!("expected a failure, found {other:?}"),
    }
}

pub(crate) fn details(failure: &Failure) -> Json {
    match failure.details.as_ref().expect("details") {
        Value::Inline(text) => serde_json::from_slice(text).expect("JSON"),
        stored @ Value::Stored { .. } => panic!("{stored:?}"),
    }
}

/// The texts of one stream.
pub(crate) fn texts(lines: &[LogLine], stream: LogStream) -> Vec<String> {
    let lines = lines.iter().filter(|line| line.stream == stream);
    lines
        .map(|line| String::from_utf8_lossy(&line.text).into_owned())
        .collect()
}

/// Polls until `condition` holds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "not in {PATIENCE:?}: {what}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Whether a process is there and not only waiting to be reaped.
pub(crate) fn alive(pid: &str) -> bool {
    let id = Pid::from_raw(pid.trim().parse().expect("a process id")).expect("not 0");
    let zombie = std::fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat"))
        .is_ok_and(|stat| {
            stat.rsplit(')')
                .next()
                .is_some_and(|rest| rest.trim_start().starts_with('Z'))
        });
    test_kill_process(id).is_ok() && !zombie
}
