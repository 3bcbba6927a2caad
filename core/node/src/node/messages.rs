//! What the tasks of a process and its callers tell the owner's thread.

use crate::error::NodeError;
use crate::metrics::Figures;
use crate::owner::{Answer, Input, Reported, SessionInfo, Standing, Ticket};
use crate::session::ToDriver;
use crate::token::Claimed;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Who waits for an answer.
pub(crate) type Reply = oneshot::Sender<Result<Answer, NodeError>>;
type MakeInput = Box<dyn FnOnce(Ticket) -> Input + Send>;

/// The first pause before a report is sent again; it doubles up to a second.
pub(super) const RESEND: Duration = Duration::from_millis(20);

/// What the owner's thread is told.
pub(crate) enum Message {
    /// Something happened.
    Input(Input),
    /// Somebody asks and waits.
    Request(MakeInput, Reply),
    /// A task of this process ended.
    Report(Box<Reported>, Reply),
    /// A task of this process was dropped without a report.
    Released(Claimed),
    /// A driver in another process said hello.
    Open {
        info: SessionInfo,
        number: u64,
        adopts: Vec<Claimed>,
        outbox: mpsc::UnboundedSender<ToDriver>,
        reply: Reply,
    },
    /// A session is there again, over another connection.
    Link {
        session: Arc<str>,
        /// Which of the session's connections it is.
        number: u64,
        /// Of streams the highest wins. What is no stream (`None`) waits for there to be none.
        generation: Option<u64>,
        /// The claims that it holds; `None` where it does not tell.
        named: Option<Vec<Claimed>>,
        outbox: mpsc::UnboundedSender<ToDriver>,
        reply: Reply,
    },
    /// A connection of a session is broken.
    Unlink { session: Arc<str>, number: u64 },
    /// Somebody asks how the owner is.
    Figures(oneshot::Sender<Figures>),
    /// Somebody asks what each session holds.
    Standings(oneshot::Sender<BTreeMap<Arc<str>, Standing>>),
    /// Commit what was accepted, and end.
    Shutdown(oneshot::Sender<()>),
    /// End at once.
    Abandon(oneshot::Sender<()>),
}
