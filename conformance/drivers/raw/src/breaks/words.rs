//! What is given, taken or written down wrongly.

use super::{Break, Breaks};
use crate::session::note;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use conveyor_proto::v1;
use conveyor_proto::v1::GoodbyeReason;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

impl Breaks {
    /// When the task's time is over: counted from its arrival (R17).
    pub(crate) fn deadline(self, task: &v1::Task) -> Instant {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let left = match self.has(Break::WallClock) {
            true => Duration::from_millis(task.deadline_ms).saturating_sub(now),
            false => Duration::from_millis(task.time_left_ms),
        };
        Instant::now() + left
    }

    /// The offset of the last line: as it is (R28).
    pub(crate) fn last_log_offset(self, last: Option<u64>) -> Option<u64> {
        match self.0 {
            Some(Break::OffsetTooFew) => last.and_then(|last| last.checked_sub(1)),
            Some(Break::OffsetWithoutLines) => last.or(Some(0)),
            _ => last,
        }
    }

    /// What a reason is taken for: for itself (R74).
    pub(crate) fn instead_of(self, reason: GoodbyeReason) -> GoodbyeReason {
        use GoodbyeReason::{Limit, Moved, Refused, UnknownSession, Unspecified, Version};
        match (self.0, reason) {
            (Some(Break::MovedHello), Moved) => UnknownSession,
            (Some(Break::MovedEnds), Moved) => Refused,
            (Some(Break::RefusedComesBack), Refused) => Moved,
            (Some(Break::VersionComesBack), Version) => Moved,
            (Some(Break::LimitHello), Limit) => UnknownSession,
            (Some(Break::OtherEnds), Unspecified) => Refused,
            _ => reason,
        }
    }

    /// Writes down what has no place on standard error (R61, R71).
    pub(crate) fn print_task(self, task: &v1::Task) {
        if self.has(Break::PrintsTokens) {
            note(&format!("a task came: {}", STANDARD.encode(&task.token)));
        }
        if self.has(Break::WritesSecrets) {
            for (name, value) in &task.secrets {
                note(&format!(
                    "a secret came: {name}={}",
                    String::from_utf8_lossy(value)
                ));
            }
        }
    }

    /// As [`Breaks::print_task`], of the session's secret.
    pub(crate) fn print_secret(self, secret: &[u8]) {
        if self.has(Break::PrintsSecret) {
            note(&format!(
                "the session's secret: {}",
                STANDARD.encode(secret)
            ));
        }
    }
}
