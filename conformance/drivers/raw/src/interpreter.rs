//! User code: performs the programs of `proto/conveyor/conformance/v1/interpreter.proto`.
//!
//! It knows nothing of the contract: what it says goes through [`Says`], a cancel is a word that it watches.

use crate::program::{Command, Exit, Fail, Milliseconds, Record, Return, What, stretched};
use crate::says::{End, Says};
use crate::template::{self, Names};
use conveyor_proto::v1;
use prost::bytes::Bytes;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::runtime::RuntimeFlavor;
use tokio::sync::watch;

/// How often it looks whether a file is there.
const LOOK: Duration = Duration::from_millis(10);
/// Memory is counted in pages: each is written to.
const PAGE: usize = 4096;

/// What it does with its task.
pub(crate) struct Interpreter {
    pub(crate) task: v1::Task,
    /// When the task came, by this clock.
    pub(crate) came: Instant,
    pub(crate) says: Says,
    pub(crate) secrets: BTreeMap<String, String>,
    /// Turns true once it is to stop.
    pub(crate) cancelled: watch::Receiver<bool>,
}

/// What a command leads to.
enum Next {
    Go,
    Cancelled,
    End(End),
}

impl Interpreter {
    /// Performs the task's program.
    pub(crate) async fn perform(mut self) -> End {
        match self.program().await {
            Ok(end) => end,
            Err(why) => End::Once(failed(v1::AttemptState::Errored, "program", why)),
        }
    }

    async fn program(&mut self) -> Result<End, String> {
        let inputs: Value = serde_json::from_slice(&self.task.inputs)
            .map_err(|error| format!("`with` cannot be read: {error}"))?;
        let commands = inputs["program"].as_array().cloned().unwrap_or_default();
        let attempt = self.attempt();
        let checkpoint = self.checkpoint().unwrap_or_default();
        let (mut heeds_cancel, mut keeps) = (true, Vec::new());
        for (number, mut command) in commands.into_iter().enumerate() {
            let names = Names {
                attempt,
                checkpoint: &checkpoint,
                secrets: &self.secrets,
            };
            let wrong = |why: String| format!("command {number} of the program: {why}");
            template::fill(&mut command, &names).map_err(wrong)?;
            let command = Command::read(command).map_err(wrong)?;
            if command.attempt != 0 && command.attempt != attempt {
                continue;
            }
            // A program that was cut off goes no further than here.
            tokio::task::yield_now().await;
            let stops = heeds_cancel && *self.cancelled.borrow();
            if stops && !matches!(command.what, What::AwaitCancel(_) | What::IgnoreCancel(_)) {
                return Ok(End::Once(cancelled()));
            }
            let next = self
                .command(command.what, &mut heeds_cancel, &mut keeps)
                .await;
            match next.map_err(wrong)? {
                Next::Go => {}
                Next::Cancelled => return Ok(End::Once(cancelled())),
                Next::End(end) => return Ok(end),
            }
        }
        Ok(End::Once(match *self.cancelled.borrow() {
            true => cancelled(),
            false => succeeded(&json!({})),
        }))
    }

    async fn command(
        &mut self,
        what: What,
        heeds_cancel: &mut bool,
        keeps: &mut Vec<Vec<u8>>,
    ) -> Result<Next, String> {
        match what {
            What::Log(log) => {
                let stream = match log.stream.as_str() {
                    "" | "stdout" => v1::LogStream::Stdout,
                    "stderr" => v1::LogStream::Stderr,
                    other => return Err(format!("a log has no stream `{other}`")),
                };
                for line in log.lines() {
                    let said = self.says.line(stream, &line);
                    if let Next::Cancelled =
                        unless_cancelled(&self.cancelled, *heeds_cancel, said).await
                    {
                        return Ok(Next::Cancelled);
                    }
                }
            }
            What::Sleep(sleep) => {
                let pause = tokio::time::sleep(Duration::from_millis(sleep.ms));
                return Ok(unless_cancelled(&self.cancelled, *heeds_cancel, pause).await);
            }
            What::WaitFor(wait) => {
                let there = async {
                    while !Path::new(&wait.file).exists() {
                        tokio::time::sleep(LOOK).await;
                    }
                };
                return Ok(unless_cancelled(&self.cancelled, *heeds_cancel, there).await);
            }
            What::Progress(progress) => self.says.progress(progress.permille, &progress.message),
            What::Checkpoint(checkpoint) => {
                let data = Bytes::from(stretched(&checkpoint.text, checkpoint.length));
                // Kept or refused, it goes on.
                let kept = async { drop(self.says.checkpoint(data).await) };
                return Ok(unless_cancelled(&self.cancelled, *heeds_cancel, kept).await);
            }
            What::Return(with) => return Ok(Next::End(End::Once(returned(with)?))),
            What::Fail(fail) => return Ok(Next::End(End::Once(self.failed(fail)))),
            // As a panic, but without a word on standard error: its sentence may hold a secret.
            What::Throw(throw) => std::panic::resume_unwind(Box::new(throw.message)),
            What::AwaitCancel(_) => {
                let mut cancelled = self.cancelled.clone();
                // Nobody can cancel any more where the other end is gone: then this is aborted, too.
                let _ = cancelled.wait_for(|cancelled| *cancelled).await;
                *heeds_cancel = false;
            }
            What::IgnoreCancel(_) => *heeds_cancel = false,
            What::Spin(spin) => spin_for(&spin),
            What::Allocate(allocate) => {
                let mut memory = vec![0; allocate.bytes];
                memory.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
                keeps.push(std::hint::black_box(memory));
            }
            What::Exit(Exit { code }) => std::process::exit(code),
            What::Record(record) => append(&record)?,
            What::Echo(_) => return Ok(Next::End(End::Once(succeeded(&self.carried()?)))),
            What::Detach(detach) => {
                let detached = v1::Detached {
                    until_ms: self.engine_now_ms() + detach.within_ms,
                    principals: detach.principals,
                };
                if self.says.detach(detached).await.is_ok() {
                    return Ok(Next::End(End::Elsewhere));
                }
            }
            What::ReportTwice(report) => {
                let outputs = report.outputs.unwrap_or_else(|| json!({}));
                return Ok(Next::End(End::Twice(succeeded(&outputs))));
            }
        }
        Ok(Next::Go)
    }

    fn attempt(&self) -> u32 {
        self.task.id.as_ref().map_or(0, |id| id.attempt)
    }

    fn checkpoint(&self) -> Option<String> {
        let data = self.task.checkpoint.as_ref()?;
        Some(String::from_utf8_lossy(data).into_owned())
    }

    /// What the engine's clock says, as far as it can be known: no clocks are in step.
    fn engine_now_ms(&self) -> u64 {
        let sent = self.task.deadline_ms.saturating_sub(self.task.time_left_ms);
        sent + self.came.elapsed().as_millis() as u64
    }

    /// What user code sees of its task: `Carried`.
    fn carried(&self) -> Result<Value, String> {
        let task = &self.task;
        let id = task.id.clone().unwrap_or_default();
        let left = Duration::from_millis(task.time_left_ms).saturating_sub(self.came.elapsed());
        let mut carried = json!({
            "run": id.run,
            "namespace": task.namespace,
            "pipeline": task.pipeline,
            "step": id.step,
            "instance": id.instance,
            "attempt": id.attempt,
            "action": task.action,
            "inputs": read(&task.inputs)?,
            "labels": task.labels,
            "traceparent": task.traceparent,
            "time_left_ms": left.as_millis() as u64,
            "grace_ms": task.grace_ms,
            "secrets": self.secrets.keys().collect::<Vec<_>>(),
        });
        if let Some(checkpoint) = self.checkpoint() {
            carried["checkpoint"] = checkpoint.into();
        }
        if !task.parameters.is_empty() {
            carried["parameters"] = read(&task.parameters)?;
        }
        Ok(carried)
    }

    fn failed(&self, fail: Fail) -> v1::Result {
        let state = match fail.errored {
            true => v1::AttemptState::Errored,
            false => v1::AttemptState::Failed,
        };
        let failure = v1::Failure {
            code: fail.code,
            message: self.says.mask.text(&fail.message),
            details: fail
                .details
                .map(|details| self.says.mask.text(&details.to_string()).into())
                .unwrap_or_default(),
            retryable: fail.retryable,
            retry_after_ms: fail.retry_after_ms,
        };
        v1::Result {
            state: state.into(),
            failure: Some(failure),
            ..v1::Result::default()
        }
    }
}

/// Waits for the work, or for a cancel where those are heeded.
async fn unless_cancelled(
    cancelled: &watch::Receiver<bool>,
    heeded: bool,
    work: impl Future<Output = ()>,
) -> Next {
    let mut cancelled = cancelled.clone();
    tokio::select! {
        biased;
        () = work => Next::Go,
        Ok(_) = cancelled.wait_for(|cancelled| *cancelled), if heeded => Next::Cancelled,
    }
}

/// Computes in this thread. What else waits for it is given to others, where there are others.
fn spin_for(spin: &Milliseconds) {
    let until = Instant::now() + Duration::from_millis(spin.ms);
    let compute = || {
        while Instant::now() < until {
            std::hint::spin_loop();
        }
    };
    match tokio::runtime::Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => compute(),
        _ => tokio::task::block_in_place(compute),
    }
}

fn append(record: &Record) -> Result<(), String> {
    let line = format!("{}\n", record.text);
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&record.file);
    let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
    written.map_err(|error| format!("{}: {error}", record.file))
}

fn read(json: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(json)
        .map_err(|error| format!("what the task came with is no JSON: {error}"))
}

fn returned(with: Return) -> Result<v1::Result, String> {
    let mut outputs = with.outputs.unwrap_or_else(|| Value::Object(Map::new()));
    if with.length > 0 {
        let fields = outputs
            .as_object_mut()
            .ok_or("`length` wants `outputs` that are an object")?;
        fields.insert("text".to_owned(), "x".repeat(with.length).into());
    }
    Ok(succeeded(&outputs))
}

fn succeeded(outputs: &Value) -> v1::Result {
    v1::Result {
        state: v1::AttemptState::Succeeded.into(),
        outputs: outputs.to_string().into(),
        ..v1::Result::default()
    }
}

/// The result of what was told to stop, and did.
pub(crate) fn cancelled() -> v1::Result {
    v1::Result {
        state: v1::AttemptState::Cancelled.into(),
        ..v1::Result::default()
    }
}

/// A result that is a failure.
pub(crate) fn failed(state: v1::AttemptState, code: &str, message: String) -> v1::Result {
    let failure = v1::Failure {
        code: code.to_owned(),
        message,
        ..v1::Failure::default()
    };
    v1::Result {
        state: state.into(),
        failure: Some(failure),
        ..v1::Result::default()
    }
}
