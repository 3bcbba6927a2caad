//! `logs` and `events`.

use super::{Form, Place};
use clap::Args;

const LOGS: &str = "\
Examples:
  conveyor logs RUN
  conveyor logs RUN test --instance 2 --attempt 1
  conveyor logs RUN --follow --timestamps
  conveyor logs RUN test --attempt 1 --after 41   From the line 42 on";

/// `logs`.
#[derive(Debug, Args)]
#[command(after_help = LOGS)]
pub(crate) struct LogsArgs {
    /// The run: its id, a part of it, or `latest`.
    pub(crate) run: String,
    /// Only this step.
    pub(crate) step: Option<String>,
    /// Only this instance of the step, from 0.
    #[arg(long, value_name = "N", requires = "step")]
    pub(crate) instance: Option<u32>,
    /// Only this attempt, from 1. Default: all.
    #[arg(long, value_name = "N", requires = "step")]
    pub(crate) attempt: Option<u32>,
    /// Go on until the run ends. A server that goes away is tried again for 60 s.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only lines after the one with this offset, which `-o json` tells. Needs --attempt.
    #[arg(long, value_name = "OFFSET", requires = "attempt")]
    pub(crate) after: Option<u64>,
    /// Only the last lines of each attempt.
    #[arg(long, value_name = "N")]
    pub(crate) tail: Option<u64>,
    /// Put the time before each line.
    #[arg(short, long)]
    pub(crate) timestamps: bool,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) form: Form,
}

const EVENTS: &str = "\
Examples:
  conveyor events RUN
  conveyor events RUN --follow -o json
  conveyor events RUN --after 17.2       What came after that event";

/// `events`.
#[derive(Debug, Args)]
#[command(after_help = EVENTS)]
pub(crate) struct EventsArgs {
    /// The run: its id, a part of it, or `latest`.
    pub(crate) run: String,
    /// Only what came after this event.
    #[arg(long, value_name = "EVENT")]
    pub(crate) after: Option<String>,
    /// Go on until the run ends. A server that goes away is tried again for 60 s.
    #[arg(short, long)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) form: Form,
}
