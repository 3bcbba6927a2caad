//! The engine's words as messages.
//!
//! States have the same numbers in both (`conveyor-proto` has a test of that), so that they are
//! taken over as numbers.

mod event;
mod history;
mod planned;
mod run;
mod step;
mod told;
mod waiting;

pub(crate) use event::event;
pub(crate) use history::History;
pub use planned::plan;
pub(crate) use run::{flaw, listed, quarantine};
pub(crate) use step::{Page, Shown, step_counts};
pub(crate) use told::told;
pub(crate) use waiting::{Around, Offered};

use crate::values::StoredValues;
use conveyor_engine::run::Failure;
use conveyor_proto::v1;

pub(crate) fn failure(failure: &Failure, values: &StoredValues) -> v1::Failure {
    v1::Failure {
        code: failure.code.to_string(),
        message: failure.message.to_string(),
        details: failure
            .details
            .as_ref()
            .map(|value| values.text(value))
            .unwrap_or_default(),
        retryable: failure.retryable,
        retry_after_ms: failure.retry_after_millis,
    }
}
