//! `runs list|show|release|delete`.

use super::run::pair;
use super::{Form, Place, ShowOutput};
use clap::{Args, Subcommand};
use conveyor_engine::time::{Duration, Time};

const RUNS: &str = "\
Examples:
  conveyor runs list --state failed
  conveyor runs show latest";

/// `runs`.
#[derive(Debug, Args)]
#[command(after_help = RUNS)]
pub(crate) struct RunsArgs {
    /// What to do with runs.
    #[command(subcommand)]
    pub(crate) verb: RunsVerb,
}

/// What to do with runs.
#[derive(Debug, Subcommand)]
pub(crate) enum RunsVerb {
    /// List runs, newest first.
    List(ListArgs),
    /// Show a run: its steps, and why each that did not succeed did not.
    Show(ShowArgs),
    /// Fold a quarantined run again, after an upgrade.
    Release(ReleaseArgs),
    /// Delete runs that have ended, with their logs and values.
    Delete(DeleteArgs),
}

const LIST: &str = "\
Examples:
  conveyor runs list
  conveyor runs list --state failed --limit 5
  conveyor runs list --pipeline release -o json
  conveyor runs list --namespace default --label team=shop
  conveyor runs list --since 2h
  conveyor runs list --since 2026-01-01T00:00:00Z --until 2026-02-01T00:00:00Z

A run whose process died is shown as `interrupted`; `conveyor run --continue RUN` goes on with it.";

/// `runs list`.
#[derive(Debug, Args)]
#[command(after_help = LIST)]
pub(crate) struct ListArgs {
    /// Only runs in this state; may be given several times.
    #[arg(long, value_name = "STATE")]
    #[arg(value_parser = ["queued", "running", "paused", "cancelling", "draining", "finishing",
        "quarantined", "interrupted", "succeeded", "failed", "cancelled"])]
    pub(crate) state: Vec<String>,
    /// Only runs of this pipeline.
    #[arg(long, value_name = "NAME")]
    pub(crate) pipeline: Option<String>,
    /// Only runs of this namespace. Default: all that may be seen.
    #[arg(short, long, value_name = "NAME", default_value = "")]
    #[arg(hide_default_value = true)]
    pub(crate) namespace: String,
    /// Only runs with this label, `key=value`; may be given several times.
    #[arg(short = 'l', long = "label", value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) labels: Vec<(String, String)>,
    /// Only runs accepted at or after this: an instant (RFC 3339), or how long ago, such as `2h`.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) since: Option<Moment>,
    /// Only runs accepted before this. As --since.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) until: Option<Moment>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 50)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,
    /// Go on after this run, the last one of the page before.
    #[arg(long, value_name = "RUN")]
    pub(crate) after: Option<String>,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) form: Form,
}

/// An instant, or how long ago it was.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moment {
    At(Time),
    Ago(Duration),
}

impl Moment {
    /// In milliseconds since 1970.
    pub(crate) fn millis(self, now: Time) -> u64 {
        match self {
            Moment::At(at) => at.0,
            Moment::Ago(ago) => now.0.saturating_sub(ago.0),
        }
    }
}

pub(super) fn moment(text: &str) -> Result<Moment, String> {
    let ago = || Duration::parse(text).map(Moment::Ago);
    let read = Time::parse(text)
        .map(Moment::At)
        .ok()
        .or_else(|| ago().ok());
    read.ok_or_else(|| {
        "expected an instant such as 2026-01-31T09:00:00Z, or how long ago: 2h".to_owned()
    })
}

const SHOW: &str = "\
Examples:
  conveyor runs show RUN
  conveyor runs show RUN --timeline             A Gantt chart of its attempts
  conveyor runs show RUN -o svg > timeline.svg  The same as a picture
  conveyor runs show RUN -o json";

/// `runs show`.
#[derive(Debug, Args)]
#[command(after_help = SHOW)]
pub(crate) struct ShowArgs {
    /// The run: its id, a part of it, or `latest`.
    pub(crate) run: String,
    /// Draw when each attempt ran.
    #[arg(long)]
    pub(crate) timeline: bool,
    #[command(flatten)]
    pub(crate) place: Place,
    /// How to print.
    #[arg(
        short,
        long,
        value_enum,
        default_value = "table",
        value_name = "FORMAT"
    )]
    pub(crate) output: ShowOutput,
}

const RELEASE: &str = "\
Examples:
  conveyor runs release RUN

A run is quarantined when its journal does not fold to what it recorded. Nothing touches it until it \
is released, or ended by `conveyor terminate`.";

/// `runs release`.
#[derive(Debug, Args)]
#[command(after_help = RELEASE)]
pub(crate) struct ReleaseArgs {
    /// The run: its id, a part of it, or `latest`.
    pub(crate) run: String,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) form: Form,
}

const DELETE: &str = "\
Examples:
  conveyor runs delete RUN

A run that has not ended is refused: end it with `conveyor cancel` or `conveyor terminate`. `conveyor serve` \
deletes runs by their age where its configuration says so (`retention`).";

/// `runs delete`.
#[derive(Debug, Args)]
#[command(after_help = DELETE)]
pub(crate) struct DeleteArgs {
    /// The runs: their ids, parts of them, or `latest`.
    #[arg(required = true, value_name = "RUN")]
    pub(crate) runs: Vec<String>,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) form: Form,
}
