//! What goes away: runs that somebody deletes, runs and logs that have come of age, documents that no run
//! needs any more, and the space that all of it took.
//!
//! A run goes away in two parts. One guarded commit takes its row and marks it: from then on nobody sees
//! it, and no line of log is taken for it. Then its logs, values, snapshots and records are deleted in
//! bounded turns, each a commit of its own, and the mark with the last of them. Whatever stops in between,
//! the next pass finds the mark and goes on.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `run` | one run goes away |
//! | `pass` | all that has come of age |
//! | `events` | events of namespaces that have come of age |
//! | `tokens` | access tokens whose time is over |
//! | `documents` | documents that no run needs |
//! | `space` | bounded turns, and files merged once enough was deleted |

mod documents;
mod events;
mod pass;
mod run;
mod space;
mod tokens;

pub(crate) use space::Sweeps;
pub use tokens::EXPIRED_TOKENS;

use conveyor_engine::run::RunState;
use conveyor_engine::time::{Duration, Time};

/// How long what has ended is kept; `None` for ever, which is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Runs that succeeded, from their end on.
    pub succeeded: Option<Duration>,
    /// Runs that failed.
    pub failed: Option<Duration>,
    /// Runs that were cancelled.
    pub cancelled: Option<Duration>,
    /// Logs of runs that have ended, from the run's end on. They go with the run at the latest.
    pub logs: Option<Duration>,
    /// Events of namespaces, from when they happened on. They outlive their runs.
    pub events: Option<Duration>,
}

impl Retention {
    /// Whether a run that ended so, then, has come of age.
    #[must_use]
    pub fn is_over(&self, state: RunState, ended: Time, now: Time) -> bool {
        let kept = match state {
            RunState::Succeeded => self.succeeded,
            RunState::Failed => self.failed,
            RunState::Cancelled => self.cancelled,
            _ => None,
        };
        kept.is_some_and(|kept| ended.after(kept) <= now)
    }
}

/// What a pass took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Runs, those whose deletion an earlier process began among them.
    pub runs: usize,
    /// Runs whose logs alone went away.
    pub logs: usize,
    /// Documents.
    pub documents: usize,
    /// Events of namespaces.
    pub events: usize,
    /// Access tokens.
    pub tokens: usize,
}
