//! The tasks that the driver holds, and those that it held.

use crate::breaks::{Break, Breaks};
use crate::logs::Lines;
use crate::says::Kept;
use conveyor_proto::v1;
use prost::bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// So many tasks that are over are remembered, so that none is started a second time (R13).
const REMEMBERED: usize = 100_000;
/// Of so many of them the report is, too, so that it can be told again.
const REPORTS: usize = 64;

/// A task, from its arrival until its report is answered and its log durable.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) grace: Duration,
    pub(crate) heartbeat_timeout: Duration,
    /// When it came: the engine was heard then.
    pub(crate) came: Instant,
    /// When its time is over (R17).
    pub(crate) deadline: Instant,
    pub(crate) cancel: watch::Sender<bool>,
    /// Ends its program at once.
    pub(crate) abort: AbortHandle,
    /// It was told to stop.
    pub(crate) stop: Option<Stop>,
    pub(crate) progress: Option<(u32, String)>,
    pub(crate) lines: Lines,
    pub(crate) checkpoint: Option<Saying<Bytes>>,
    pub(crate) detaching: Option<Saying<v1::Detached>>,
    pub(crate) stage: Stage,
}

/// A task was told to stop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop {
    pub(crate) why: Why,
    /// When its program is cut off (R34).
    pub(crate) cut_off: Instant,
}

/// Why a task was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The engine asked for it.
    Asked,
    /// Its time is over (R17).
    TimeOver,
    /// The engine was not heard (R22).
    Unheard,
}

/// How far a task is.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Its program runs.
    Runs,
    /// It has ended; the report is not answered.
    Ended(Box<Report>),
    /// Its end is told; lines of its log may be left.
    Told,
}

/// How a task ended, until that is answered.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) report: v1::TaskReport,
    /// The message that carried it last.
    pub(crate) sequence: Option<u64>,
    /// When it was sent over this connection.
    pub(crate) sent: Option<Instant>,
    /// Whether it is told once more when it is answered.
    pub(crate) twice: bool,
    /// Whether its last call was answered with nothing that says what became of it: no call repeats it any more.
    pub(crate) untold: bool,
}

impl Report {
    /// The success of a task that is another's to report.
    pub(crate) fn of_detached(token: Bytes) -> Box<Report> {
        let state = v1::AttemptState::Succeeded.into();
        let result = v1::Result {
            state,
            ..v1::Result::default()
        };
        let report = v1::TaskReport {
            token,
            result: Some(result),
        };
        Box::new(Report {
            report,
            sequence: None,
            sent: None,
            twice: false,
            untold: false,
        })
    }
}

/// Something that is said until the engine has it or refuses it.
#[derive(Debug)]
pub(crate) struct Saying<T> {
    pub(crate) what: T,
    /// The message that carries it; none while it was not sent over this connection.
    pub(crate) sequence: Option<u64>,
    pub(crate) reply: oneshot::Sender<Kept>,
}

impl Held {
    pub(crate) fn runs(&self) -> bool {
        matches!(self.stage, Stage::Runs)
    }

    /// Whether the engine is to hear of it: in heartbeats, in `resume` and in `adopts` (R21, R41).
    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.stage, Stage::Told)
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Told) && self.lines.is_told()
    }

    /// The connection is another: what was not acknowledged is sent again (R43).
    pub(crate) fn begin_again(&mut self, breaks: Breaks) {
        if !breaks.has(Break::NoLinesAnew) {
            self.lines.begin_again();
        }
        if let Some(checkpoint) = &mut self.checkpoint {
            checkpoint.sequence = None;
        }
        if let Some(detaching) = &mut self.detaching {
            detaching.sequence = None;
        }
        if let Stage::Ended(report) = &mut self.stage
            && !breaks.has(Break::NoReportAnew)
        {
            report.sent = None;
        }
    }
}

/// What is known of a task that is over.
#[derive(Clone, Debug)]
pub(crate) enum Past {
    /// It never started.
    Refused,
    /// Its end was told, and answered.
    Reported(Box<v1::TaskReport>),
    /// It is another's, or nobody's.
    Gone,
}

/// Tasks that are over.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    past: HashMap<Bytes, Past>,
    order: VecDeque<Bytes>,
    reports: VecDeque<Bytes>,
}

impl Memory {
    pub(crate) fn get(&self, token: &Bytes) -> Option<&Past> {
        self.past.get(token)
    }

    pub(crate) fn put(&mut self, token: Bytes, past: Past) {
        if let Past::Reported(_) = past {
            self.reports.push_back(token.clone());
            if self.reports.len() > REPORTS
                && let Some(oldest) = self.reports.pop_front()
            {
                self.past.insert(oldest, Past::Gone);
            }
        }
        if self.past.insert(token.clone(), past).is_none() {
            self.order.push_back(token);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.past.remove(&oldest);
        }
    }
}
