//! What the tasks of a process and its callers tell the owner's thread.

use crate::error::NodeError;
use crate::owner::{Answer, Input, Reported, Ticket};
use crate::token::Claimed;
use std::time::Duration;
use tokio::sync::oneshot;

/// Who waits for an answer.
pub(super) type Reply = oneshot::Sender<Result<Answer, NodeError>>;
type MakeInput = Box<dyn FnOnce(Ticket) -> Input + Send>;

/// The first pause before a report is sent again; it doubles up to a second.
pub(super) const RESEND: Duration = Duration::from_millis(20);

/// What the owner's thread is told.
pub(super) enum Message {
    /// Something happened.
    Input(Input),
    /// Somebody asks and waits.
    Request(MakeInput, Reply),
    /// A task of this process ended.
    Report(Box<Reported>, Reply),
    /// A task of this process was dropped without a report.
    Released(Claimed),
    /// Commit what was accepted, and end.
    Shutdown(oneshot::Sender<()>),
    /// End at once.
    Abandon(oneshot::Sender<()>),
}
