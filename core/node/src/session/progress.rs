//! How far a task is.

use conveyor_engine::time::Time;
use conveyor_mask::Mask;

/// The longest text of a progress, in bytes; longer ones are cut.
const PROGRESS_BYTES: usize = 1 << 10;

/// How far a task is, as its driver told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Part done, in thousandths; `None` if unknown.
    pub permille: Option<u32>,
    /// For people.
    pub message: String,
    /// When it was told.
    pub at: Time,
}

impl Progress {
    /// As it is kept: without secrets, and within its limits.
    pub(crate) fn new(permille: Option<u32>, message: &str, mask: &Mask, at: Time) -> Progress {
        let mut message = mask.text(message).into_owned();
        message.truncate(message.floor_char_boundary(PROGRESS_BYTES));
        Progress {
            permille: permille.map(|permille| permille.min(1000)),
            message,
            at,
        }
    }
}
