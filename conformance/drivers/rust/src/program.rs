//! The interpreter: one command after the other.

use conveyor_sdk::{Detach, Failure, Stream, Task};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, Instant};

/// How often it is looked whether a file is there.
const LOOK: Duration = Duration::from_millis(10);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    #[serde(default)]
    attempt: u32,
    #[serde(flatten)]
    command: Command,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Command {
    Log(Log),
    Sleep { ms: u64 },
    Progress(Progress),
    Checkpoint(Checkpoint),
    Return(Return),
    Fail(Fail),
    Throw { message: String },
    AwaitCancel {},
    IgnoreCancel {},
    Spin { ms: u64 },
    Allocate { bytes: usize },
    Exit { code: i32 },
    Record { file: PathBuf, text: String },
    WaitFor { file: PathBuf },
    Echo {},
    Detach(Handover),
}

#[derive(Deserialize)]
#[serde(default)]
struct Log {
    text: String,
    stream: String,
    times: u32,
    length: usize,
}

impl Default for Log {
    fn default() -> Log {
        Log {
            text: String::new(),
            stream: String::new(),
            times: 1,
            length: 0,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Progress {
    permille: u32,
    message: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Checkpoint {
    text: String,
    length: usize,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Return {
    outputs: Option<Value>,
    length: usize,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fail {
    code: String,
    message: String,
    retryable: Option<bool>,
    retry_after_ms: Option<u64>,
    details: Option<Value>,
    errored: bool,
}

#[derive(Deserialize)]
struct Handover {
    within_ms: u64,
    #[serde(default)]
    principals: Vec<String>,
}

/// Whether the program goes on.
enum Next {
    On,
    End(Value),
}

/// Performs the program that the task brings.
pub(crate) async fn perform(task: Task) -> Result<Value, Failure> {
    let program = filled(&task, &task.inputs["program"]);
    let steps: Vec<Step> = Vec::deserialize(program).map_err(|error| {
        Failure::new("invalid_input", format!("no program: {error}")).permanent()
    })?;
    let mut ignores = false;
    let mut kept = Vec::new();
    for step in steps {
        if step.attempt != 0 && step.attempt != task.attempt {
            continue;
        }
        match command(&task, step.command, &mut ignores, &mut kept).await? {
            Next::On => {}
            Next::End(outputs) => return Ok(outputs),
        }
    }
    match task.is_cancelled() {
        true => Err(Failure::cancelled()),
        false => Ok(json!({})),
    }
}

async fn command(
    task: &Task,
    command: Command,
    ignores: &mut bool,
    kept: &mut Vec<Vec<u8>>,
) -> Result<Next, Failure> {
    match command {
        Command::Log(log) => say(task, &log).await,
        Command::Sleep { ms } => {
            let slept = tokio::time::sleep(Duration::from_millis(ms));
            unless_cancelled(task, *ignores, slept).await?;
        }
        Command::Progress(progress) => {
            task.progress(f64::from(progress.permille) / 1000.0, progress.message);
        }
        Command::Checkpoint(checkpoint) => {
            let data = repeated(&checkpoint.text, checkpoint.length);
            // What is refused is seen by whoever looks at what is said: the program goes on.
            let _ = task.save_checkpoint(data).await;
        }
        Command::Return(result) => return Ok(Next::End(outputs(result))),
        Command::Fail(fail) => return Err(failure(fail)),
        Command::Throw { message } => panic!("{message}"),
        Command::AwaitCancel {} => {
            let _ = task.cancelled().await;
            *ignores = true;
        }
        Command::IgnoreCancel {} => *ignores = true,
        Command::Spin { ms } => {
            let until = Instant::now() + Duration::from_millis(ms);
            while Instant::now() < until {
                std::hint::spin_loop();
            }
        }
        Command::Allocate { bytes } => kept.push(vec![1; bytes]),
        Command::Exit { code } => process::exit(code),
        Command::Record { file, text } => record(&file, &text)?,
        Command::WaitFor { file } => {
            let there = async {
                while !file.exists() {
                    tokio::time::sleep(LOOK).await;
                }
            };
            unless_cancelled(task, *ignores, there).await?;
        }
        Command::Echo {} => return Ok(Next::End(carried(task))),
        Command::Detach(handover) => {
            let mut detach = Detach::within(Duration::from_millis(handover.within_ms));
            for principal in handover.principals {
                detach = detach.principal(principal);
            }
            // What is refused is seen by whoever looks at what is said: the program goes on.
            if task.detach(detach).await.is_ok() {
                return Ok(Next::End(json!({})));
            }
        }
    }
    Ok(Next::On)
}

async fn unless_cancelled(
    task: &Task,
    ignores: bool,
    work: impl Future<Output = ()>,
) -> Result<(), Failure> {
    if ignores {
        work.await;
        return Ok(());
    }
    tokio::select! {
        () = work => Ok(()),
        _ = task.cancelled() => Err(Failure::cancelled()),
    }
}

async fn say(task: &Task, log: &Log) {
    let stream = match log.stream.as_str() {
        "stderr" => Stream::Stderr,
        _ => Stream::Stdout,
    };
    for line in lines(log) {
        task.log.line(stream, line).await;
    }
}

/// Its lines, without their ends, each with its number where they are said more than once.
fn lines(log: &Log) -> impl Iterator<Item = String> {
    let text = repeated(&log.text, log.length);
    let lines = text.strip_suffix('\n').unwrap_or(&text).split('\n');
    let lines: Vec<String> = lines
        .map(|line| line.strip_suffix('\r').unwrap_or(line).to_owned())
        .collect();
    let times = log.times.max(1);
    (0..times).flat_map(move |number| {
        let numbered = move |line: &String| match times {
            1 => line.clone(),
            _ => format!("{line} {number}"),
        };
        lines.iter().map(numbered).collect::<Vec<_>>()
    })
}

/// The text again and again up to a length, or a little before where a letter would be cut; as it is where that is 0.
fn repeated(text: &str, length: usize) -> String {
    if length == 0 {
        return text.to_owned();
    }
    let all = text.len().max(1);
    let mut repeated = text.repeat(length.div_ceil(all));
    repeated.truncate(repeated.floor_char_boundary(length));
    repeated
}

fn outputs(result: Return) -> Value {
    let mut outputs = result.outputs.unwrap_or_else(|| json!({}));
    if result.length > 0 {
        outputs["text"] = "x".repeat(result.length).into();
    }
    outputs
}

fn failure(fail: Fail) -> Failure {
    let mut failure = match fail.errored {
        true => Failure::errored(fail.code, fail.message),
        false => Failure::new(fail.code, fail.message),
    };
    failure = match fail.retryable {
        Some(true) => failure.retryable(),
        Some(false) => failure.permanent(),
        None => failure,
    };
    if let Some(after) = fail.retry_after_ms {
        failure = failure.retry_after(Duration::from_millis(after));
    }
    match fail.details {
        Some(details) => failure.details(details),
        None => failure,
    }
}

fn record(file: &Path, text: &str) -> Result<(), Failure> {
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    file.write_all(format!("{text}\n").as_bytes())?;
    Ok(())
}

fn carried(task: &Task) -> Value {
    let left = task.deadline.saturating_duration_since(Instant::now());
    let mut carried = json!({
        "run": task.run,
        "namespace": task.namespace,
        "pipeline": task.pipeline,
        "step": task.step,
        "instance": task.instance,
        "attempt": task.attempt,
        "action": task.action,
        "inputs": task.inputs,
        "labels": task.labels,
        "traceparent": task.traceparent,
        "time_left_ms": left.as_millis() as u64,
        "grace_ms": task.grace.as_millis() as u64,
        "secrets": task.secrets.names().collect::<Vec<_>>(),
    });
    if let Some(parameters) = &task.parameters {
        carried["parameters"] = parameters.clone();
    }
    if let Some(checkpoint) = &task.checkpoint {
        carried["checkpoint"] = String::from_utf8_lossy(checkpoint).into();
    }
    carried
}

/// A program with what its strings name of the task.
fn filled(task: &Task, value: &Value) -> Value {
    match value {
        Value::String(text) => filled_text(task, text).into(),
        Value::Array(items) => items.iter().map(|item| filled(task, item)).collect(),
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields = fields.map(|(key, value)| (key.clone(), filled(task, value)));
            Value::Object(fields.collect())
        }
        _ => value.clone(),
    }
}

fn filled_text(task: &Task, text: &str) -> String {
    let checkpoint = task.checkpoint.as_deref().unwrap_or_default();
    let mut text = text
        .replace("${attempt}", &task.attempt.to_string())
        .replace("${checkpoint}", &String::from_utf8_lossy(checkpoint));
    for name in task.secrets.names() {
        if let Some(value) = task.secrets.get(name) {
            let value = String::from_utf8_lossy(value);
            text = text.replace(&format!("${{secret:{name}}}"), &value);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, times: u32) -> Vec<String> {
        let log = Log {
            text: text.to_owned(),
            times,
            ..Log::default()
        };
        lines(&log).collect()
    }

    #[test]
    fn each_line_is_numbered_where_they_are_said_more_than_once() {
        assert_eq!(said("one\n\ntwo\r\n", 1), ["one", "", "two"]);
        assert_eq!(said("one\ntwo", 2), ["one 0", "two 0", "one 1", "two 1"]);
        assert_eq!(said("one\n", 2), ["one 0", "one 1"]);
        // An empty line is a line; and not to say how often is to say it once.
        assert_eq!(said("", 0), [""]);
    }
}
