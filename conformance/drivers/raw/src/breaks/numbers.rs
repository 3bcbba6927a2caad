//! Numbers of messages, and words, that are not as they should be.

use super::{Break, Breaks};
use conveyor_proto::v1;
use conveyor_proto::v1::session_response::Message as Told;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The last number that any connection of the process gave.
static LAST: AtomicU64 = AtomicU64::new(0);

impl Breaks {
    /// The number before the first of a connection: 0 (R6).
    pub(crate) fn number_before_first(self) -> u64 {
        match self.0 {
            Some(Break::NumbersFromTwo) => 1,
            Some(Break::NumbersGoOn) => LAST.load(Ordering::Relaxed),
            _ => 0,
        }
    }

    /// The number after this one: one more (R6).
    pub(crate) fn number_after(self, sequence: u64) -> u64 {
        let skipped = self.has(Break::SkipsNumber) && sequence % 10 == 9;
        let next = sequence + 1 + u64::from(skipped);
        LAST.store(next, Ordering::Relaxed);
        next
    }

    /// Whether a message has a value that is not known, for a driver that cannot bear that (R5).
    pub(crate) fn cannot_bear(self, message: Option<&Told>) -> bool {
        match message {
            None => self.has(Break::UnknownKind),
            Some(message) => self.has(Break::UnknownValue) && has_unknown_value(message),
        }
    }

    /// Does something later that was to be done now.
    pub(crate) fn later(self, delay: Duration, what: impl FnOnce() + Send + 'static) {
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            what();
        });
    }
}

fn has_unknown_value(message: &Told) -> bool {
    match message {
        Told::Outcome(outcome) => v1::ReportStatus::try_from(outcome.status).is_err(),
        Told::Goodbye(goodbye) => v1::GoodbyeReason::try_from(goodbye.reason).is_err(),
        Told::Acknowledgement(acknowledgement) => {
            let mut kinds = acknowledgement.refused.iter().map(|refused| refused.kind);
            kinds.any(|kind| v1::RefusedKind::try_from(kind).is_err())
        }
        _ => false,
    }
}
