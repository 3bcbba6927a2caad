//! `logs` and `events`.

use super::run::pair;
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
  conveyor events RUN --after 17.2       What came after that event
  conveyor events --follow               Of all runs, resources, pipelines and definitions, from now on
  conveyor events --follow --state failed -l team=web
  conveyor events                        What is kept of them, and no more
  conveyor events --follow --after CURSOR -o json

Without a RUN, each event of the JSON form has a `cursor`: --after goes on there, without gap or repeat.";

/// `events`.
#[derive(Debug, Args)]
#[command(after_help = EVENTS)]
pub(crate) struct EventsArgs {
    /// The run: its id, a part of it, or `latest`. Without one: what happens to all runs and objects.
    pub(crate) run: Option<String>,
    /// Only what came after this event; without a run, after this cursor.
    #[arg(long, value_name = "EVENT")]
    pub(crate) after: Option<String>,
    /// Go on until the run ends; without a run, for ever. A server that goes away is tried again for 60 s.
    #[arg(short, long)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) only: EventFilter,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) form: Form,
}

/// Which events of many runs.
#[derive(Debug, Args)]
pub(crate) struct EventFilter {
    /// With --follow: first what is kept, then what comes.
    #[arg(long, conflicts_with_all = ["run", "after"], requires = "follow")]
    pub(crate) all: bool,
    /// Only of this namespace. Default: all that may be seen.
    #[arg(short, long, value_name = "NAME", conflicts_with = "run")]
    pub(crate) namespace: Option<String>,
    /// Only of what has this label, `key=value`; may be given several times.
    #[arg(short = 'l', long = "label", value_name = "KEY=VALUE", value_parser = pair, conflicts_with = "run")]
    pub(crate) labels: Vec<(String, String)>,
    /// Only of this pipeline and its runs.
    #[arg(long, value_name = "NAME", conflicts_with = "run")]
    pub(crate) pipeline: Option<String>,
    /// Only runs that come into this state; may be given several times.
    #[arg(long, value_name = "STATE", conflicts_with = "run")]
    #[arg(value_parser = ["queued", "running", "paused", "cancelling", "draining", "finishing",
        "quarantined", "succeeded", "failed", "cancelled"])]
    pub(crate) state: Vec<String>,
}
