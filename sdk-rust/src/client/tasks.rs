use super::again::Twice;
use super::{Client, Transport};
use crate::bounds;
use crate::runtime::result_of;
use crate::{Error, ErrorKind, Failure};
use conveyor_proto::v1;
use conveyor_proto::v1::driver_service_client::DriverServiceClient;
use prost::bytes::Bytes;
use serde_json::Value;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What became of something that was told of a detached task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It counts, and is durable.
    Accepted,
    /// The same was told before, and counts.
    Already,
    /// The task is over, or another attempt has its place. Nothing changed.
    Stale,
    /// It broke a limit: the attempt ended `errored` with this reason.
    Invalid(String),
}

/// How far the log of a task is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The offset that is expected next: lines before it are durable. After a gap, the line to go on from.
    pub next_offset: u64,
    /// The log is closed, 5 minutes after its attempt's end: lines that it does not have are discarded.
    pub sealed: bool,
}

/// Tasks that go on outside of their drivers: see [`crate::Task::detach`]. Whoever has a task's token, and
/// is the principal that claimed it or one that was named, may end it, from any process.
impl Client {
    /// Ends a detached task: with its outputs, an object, or with a failure. `last_log_offset` is the
    /// offset of the last line of the attempt's log, `None` if it has none.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the server is away for too long: tell it again. [`ErrorKind::Invalid`]
    /// when the outputs are more than one message has, 64 MiB: the task goes on. A failure's code, message
    /// and details that are over their limits are shortened, as a driver's are.
    pub async fn complete(
        &self,
        token: impl Into<Bytes>,
        result: Result<Value, Failure>,
        last_log_offset: Option<u64>,
    ) -> Result<Told, Error> {
        let token = token.into();
        // How much the server takes of outputs, it says itself: here is known what a message has.
        let usual = bounds::known(v1::Limits::default());
        let most = v1::Limits {
            outputs_bytes: usual.message_bytes,
            ..usual
        };
        let result = match result {
            Ok(outputs) => match bounds::too_long(&outputs, &most) {
                Some(why) => return Err(Error::answer(ErrorKind::Invalid, why)),
                None => Ok(outputs),
            },
            Err(failure) => Err(bounds::failed(failure, &most)),
        };
        let mut result = result_of(result);
        result.last_log_offset = last_log_offset;
        let report = v1::TaskReport {
            token,
            result: Some(result),
        };
        let request = v1::CompleteTaskRequest {
            report: Some(report),
        };
        let send = |mut client: DriverServiceClient<Transport>, request| async move {
            client.complete_task(request).await
        };
        let answer = self.unary(&self.driver, Twice::Safe, request, send).await?;
        let outcome = answer.outcome.unwrap_or_default();
        Ok(match outcome.status() {
            v1::ReportStatus::Accepted => Told::Accepted,
            v1::ReportStatus::Already => Told::Already,
            v1::ReportStatus::Invalid => Told::Invalid(outcome.reason),
            v1::ReportStatus::Stale | v1::ReportStatus::Unspecified => Told::Stale,
        })
    }

    /// Gives a detached task more time, until the instant or the end of its `timeouts.attempt`. Gives until
    /// when it is waited for; `None` when it is over.
    ///
    /// # Errors
    /// As [`Client::complete`].
    pub async fn extend(
        &self,
        token: impl Into<Bytes>,
        until: SystemTime,
    ) -> Result<Option<SystemTime>, Error> {
        let since = until.duration_since(UNIX_EPOCH).unwrap_or_default();
        let request = v1::ExtendTaskRequest {
            token: token.into(),
            until_ms: since.as_millis() as u64,
        };
        let send = |mut client: DriverServiceClient<Transport>, request| async move {
            client.extend_task(request).await
        };
        let answer = self.unary(&self.driver, Twice::Safe, request, send).await?;
        let accepted = answer.status() == v1::ReportStatus::Accepted;
        Ok(accepted.then(|| UNIX_EPOCH + Duration::from_millis(answer.until_ms)))
    }

    /// Appends lines to a detached task's log, the first of which has the offset; a repeat changes
    /// nothing. Gives how far the log is kept, and whether it takes no more.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] when the task is not the caller's, or gone.
    pub async fn append_logs(
        &self,
        token: impl Into<Bytes>,
        first_offset: u64,
        lines: Vec<v1::LogLine>,
    ) -> Result<Appended, Error> {
        let logs = v1::LogBatch {
            token: token.into(),
            first_offset,
            lines,
        };
        let request = v1::AppendLogsRequest { logs: Some(logs) };
        let send = |mut client: DriverServiceClient<Transport>, request| async move {
            client.append_logs(request).await
        };
        let answer = self.unary(&self.driver, Twice::Safe, request, send).await?;
        if answer.status() == v1::ReportStatus::Stale {
            let why = "the task is not yours, or gone: nothing of its log was kept";
            return Err(Error::answer(crate::ErrorKind::NotFound, why));
        }
        let kept = answer.acknowledgement.unwrap_or_default();
        Ok(Appended {
            next_offset: kept.next_offset,
            sealed: kept.sealed,
        })
    }
}
