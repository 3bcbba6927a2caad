//! What happens outside of an owner.

use super::{CommitPoint, Control, Loaded, Outcome, Reported, SessionEvent, SessionInfo, Start};
use super::{Ticket, ValueTexts};
use crate::error::NodeError;
use crate::id::RunId;
use crate::token::Claimed;
use conveyor_engine::run::{Identity, LostCause};
use conveyor_engine::time::Time;
use std::sync::Arc;

/// Something that happened outside of the owner.
#[derive(Debug)]
pub enum Input {
    /// A run is to start.
    Start {
        /// Who asks.
        ticket: Ticket,
        /// What.
        start: Box<Start>,
    },
    /// Somebody wants something of a run.
    Control {
        /// Who asks.
        ticket: Ticket,
        /// Of which run.
        run: RunId,
        /// What.
        control: Control,
    },
    /// A session is there, with room for tasks.
    Register(SessionInfo),
    /// A session tells something that wants no answer.
    Session {
        /// Which.
        session: Arc<str>,
        /// What.
        event: SessionEvent,
    },
    /// A session tells which claims it holds, those whose task it has.
    Heartbeat {
        /// Who asks.
        ticket: Ticket,
        /// Which session.
        session: Arc<str>,
        /// Its claims.
        named: Vec<Claimed>,
        /// How many more tasks it takes now, where it tells.
        free: Option<u32>,
    },
    /// A session is there again over a new connection, and tells which claims it holds.
    Resume {
        /// Who asks.
        ticket: Ticket,
        /// Which session.
        session: Arc<str>,
        /// Its claims; `None` where it does not tell: none of them ends then.
        named: Option<Vec<Claimed>>,
    },
    /// A commit by somebody else failed: whether the store takes commits is to be found out.
    Doubt,
    /// Somebody asks which of these claims of a session are over.
    Standing {
        /// Who asks.
        ticket: Ticket,
        /// Which session.
        session: Arc<str>,
        /// The claims.
        named: Vec<Claimed>,
    },
    /// A driver tells how an attempt ended.
    Report {
        /// Who asks.
        ticket: Ticket,
        /// The report.
        report: Box<Reported>,
    },
    /// A session has a place free again whose attempt ended without its report.
    Released {
        /// Which session.
        session: Arc<str>,
        /// Which claim had the place.
        claimed: Claimed,
    },
    /// An attempt will never report.
    Lost {
        /// Of which run.
        run: RunId,
        /// Which.
        id: Identity,
        /// Why.
        cause: LostCause,
    },
    /// A driver hands over what a next attempt should know.
    Checkpoint {
        /// Who asks.
        ticket: Ticket,
        /// The claim that it is under.
        claimed: Claimed,
        /// Opaque bytes.
        data: Arc<[u8]>,
    },
    /// A driver goes on elsewhere with a task.
    Detach {
        /// Who asks.
        ticket: Ticket,
        /// The claim that it is under.
        claimed: Claimed,
        /// Until when it is waited for.
        until: Time,
        /// Who may end it: first whoever claimed it.
        principals: Vec<Arc<str>>,
    },
    /// What [`super::Output::Load`] asked for.
    Loaded {
        /// Which run.
        run: RunId,
        /// What was found.
        loaded: Loaded,
    },
    /// What [`super::Output::LoadValues`] asked for.
    Values {
        /// Which run.
        run: RunId,
        /// What was found; an error that is not temporary sets the run aside.
        values: Result<ValueTexts, NodeError>,
    },
    /// How a commit went.
    Committed(Outcome),
    /// What [`super::Output::ReadCommit`] asked for; `None` when the store could not be read.
    CommitKey(Option<CommitPoint>),
    /// Time has passed: see [`crate::owner::Owner::next_due`].
    Tick,
    /// Nothing more is to be claimed: the process is about to end.
    StopClaiming,
}
