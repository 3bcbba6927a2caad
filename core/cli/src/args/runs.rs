//! `runs list|show|release|delete`.

use super::{Form, Place, ShowOutput};
use clap::{Args, Subcommand};

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

A run is quarantined when its journal does not fold to what it recorded. Nothing touches it until it
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

A run that has not ended is refused: end it with `conveyor cancel` or `conveyor terminate`. `conveyor serve`
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
