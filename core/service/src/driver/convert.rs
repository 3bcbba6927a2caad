//! The contract's messages in the node's words, and back.

use super::DETAILS_BYTES;
use conveyor_bus::LOG_LINES;
use conveyor_engine::run::Failure;
use conveyor_engine::time::Time;
use conveyor_engine::value::{Json, Value, canonical_bytes, parse_json};
use conveyor_node::NodeError;
use conveyor_node::driver::Outcome;
use conveyor_node::session::{DriverTask, INVALID_REPORT, Progress, Reported, Session};
use conveyor_proto::storage::v1 as stored;
use conveyor_proto::v1;
use prost::bytes::Bytes;

/// The longest code of a failure, in bytes.
const CODE_BYTES: usize = 128;
/// The longest message of a failure, in bytes.
const MESSAGE_BYTES: usize = 64 << 10;

/// How far a task is; `None` where the heartbeat does not tell.
pub(super) fn progress(task: &v1::TaskProgress, now: Time) -> Option<Progress> {
    if task.permille.is_none() && task.message.is_empty() {
        return None;
    }
    Some(Progress {
        permille: task.permille.map(|permille| permille.min(1000)),
        message: task.message.clone(),
        at: now,
    })
}

/// A task as it is sent.
pub(super) fn task(session: &Session, task: DriverTask, now: Time) -> v1::Task {
    let id = task.claimed.id;
    v1::Task {
        token: session.seal(&task.namespace, &task.claimed).into(),
        traceparent: task.claimed.traceparent(),
        id: Some(v1::AttemptId {
            run: task.run.to_string(),
            step: task.step.to_string(),
            instance: id.instance,
            attempt: id.attempt,
        }),
        namespace: task.namespace.to_string(),
        pipeline: task.pipeline.to_string(),
        action: task.action.to_string(),
        inputs: Bytes::from_owner(task.inputs),
        resource: task.resource.as_deref().map(resource),
        secrets: task
            .secrets
            .iter()
            .map(|(name, value)| (name.to_string(), value.clone()))
            .collect(),
        deadline_ms: task.deadline.0,
        time_left_ms: task.deadline.since(now).0,
        grace_ms: task.grace.0,
        heartbeat_timeout_ms: task.heartbeat.0,
        checkpoint: task.checkpoint.map(Bytes::from_owner),
        labels: task.labels,
        parameters: task.parameters.map(Bytes::from_owner).unwrap_or_default(),
    }
}

/// The version of a Resource, as its object says it.
fn resource(text: &[u8]) -> v1::ResourceVersion {
    let json = parse_json(text).unwrap_or_default();
    let word = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
    v1::ResourceVersion {
        definition: word("definition"),
        name: word("name"),
        version: json["version"].as_u64().unwrap_or_default(),
        spec: canonical_bytes(&json["spec"]).into(),
    }
}

/// How a driver says that an attempt ended. What cannot be is the attempt's end too (R26).
pub(super) fn outcome(result: Option<v1::Result>, most: u64) -> (Outcome, Option<u64>) {
    let Some(result) = result else {
        return (invalid("the report has no `result`".to_owned()), None);
    };
    let last = result.last_log_offset;
    match last {
        Some(last) if last >= LOG_LINES => {
            let most = LOG_LINES - 1;
            let why = format!("`last_log_offset` is {last}; the limit is {most}");
            (invalid(why), None)
        }
        _ => (ended(result, most).unwrap_or_else(invalid), last),
    }
}

fn ended(result: v1::Result, most: u64) -> Result<Outcome, String> {
    if !result.artifacts.is_empty() {
        return Err("`artifacts` come with a later release".to_owned());
    }
    let state = result.state();
    if result.outputs.len() as u64 > most {
        let len = result.outputs.len();
        return Err(format!(
            "the outputs have {len} bytes; the limit `outputs_bytes` is {most}"
        ));
    }
    let outputs = match &result.outputs[..] {
        [] => None,
        text => Some(parse_json(text).map_err(|error| format!("`outputs`: {error}"))?),
    };
    let failure = result.failure.map(failure).transpose()?;
    let why = || {
        format!(
            "`failure` is missing: the result is {}",
            state.as_str_name()
        )
    };
    match state {
        v1::AttemptState::Succeeded => Ok(Outcome::Succeeded(
            outputs.unwrap_or_else(|| Json::Object(Default::default())),
        )),
        v1::AttemptState::Failed => Ok(Outcome::Failed(failure.ok_or_else(why)?, outputs)),
        v1::AttemptState::Errored => Ok(Outcome::Errored(failure.ok_or_else(why)?)),
        v1::AttemptState::Cancelled => Ok(Outcome::Cancelled),
        _ => Err(format!(
            "the state of a result is succeeded, failed, errored or cancelled, not {}",
            result.state
        )),
    }
}

fn failure(failure: v1::Failure) -> Result<Failure, String> {
    let bounded = |name: &str, len: usize, most: usize| match len > most {
        true => Err(format!(
            "`failure.{name}` has {len} bytes; the limit is {most}"
        )),
        false => Ok(()),
    };
    bounded("code", failure.code.len(), CODE_BYTES)?;
    bounded("message", failure.message.len(), MESSAGE_BYTES)?;
    bounded("details", failure.details.len(), DETAILS_BYTES as usize)?;
    let details = match &failure.details[..] {
        [] => None,
        text => {
            let json = parse_json(text).map_err(|error| format!("`failure.details`: {error}"))?;
            Some(Value::inline(&json))
        }
    };
    Ok(Failure {
        code: match failure.code.as_str() {
            "" => "failed".into(),
            code => code.into(),
        },
        message: failure.message.into(),
        details,
        retryable: failure.retryable,
        retry_after_millis: failure.retry_after_ms,
    })
}

fn invalid(reason: String) -> Outcome {
    Outcome::Errored(Failure {
        code: INVALID_REPORT.into(),
        message: reason.into(),
        details: None,
        retryable: None,
        retry_after_millis: None,
    })
}

/// What became of a report.
pub(super) fn report_outcome(token: Bytes, reported: Reported) -> v1::ReportOutcome {
    let (status, reason) = match reported {
        Reported::Accepted => (v1::ReportStatus::Accepted, String::new()),
        Reported::Invalid(reason) => (v1::ReportStatus::Invalid, reason),
        Reported::Already => (v1::ReportStatus::Already, String::new()),
        Reported::Stale => (v1::ReportStatus::Stale, String::new()),
    };
    v1::ReportOutcome {
        token,
        status: status.into(),
        reason,
    }
}

/// What is never taken of a task that goes on (R63). Then the numbers of the first message that it
/// replaced and of its own, zeros for none.
pub(super) fn refused(
    token: Bytes,
    kind: v1::RefusedKind,
    (first_sequence, sequence): (u64, u64),
    error: &NodeError,
) -> v1::RefusedMessage {
    v1::RefusedMessage {
        token,
        kind: kind.into(),
        reason: error.to_string(),
        sequence,
        first_sequence,
    }
}

/// Log lines as they are stored.
pub(super) fn lines(lines: Vec<v1::LogLine>) -> Vec<stored::LogLine> {
    let line = |line: v1::LogLine| stored::LogLine {
        time_ms: line.time_ms,
        stream: match line.stream() {
            v1::LogStream::Stdout => stored::LogStream::Stdout,
            v1::LogStream::Stderr => stored::LogStream::Stderr,
            v1::LogStream::Driver | v1::LogStream::Unspecified => stored::LogStream::Driver,
        }
        .into(),
        text: line.text,
        truncated: line.truncated,
    };
    lines.into_iter().map(line).collect()
}
