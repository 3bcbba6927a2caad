//! `fork`.

use super::run::pair;
use super::{Form, Inputs, Local, Progress, Repeats};
use clap::Args;
use std::path::PathBuf;

const FORK: &str = "\
Examples:
  conveyor fork RUN --from deploy                      Again from `deploy` on
  conveyor fork RUN --from-failed                      Again from what did not succeed
  conveyor fork RUN --from-failed --pipeline fixed.yaml
  conveyor fork RUN --from-failed --label why=outage --annotation ticket=OPS-7
  conveyor fork RUN --from-failed --idempotency-key retry-1   Twice is once, for a day
  conveyor fork RUN --from deploy --preview            What would be inherited, and why

The old run never changes. A step is inherited when it ended ok, comes before the fork, and would be \
given the same as then; everything else runs, `finally` always.";

/// `fork`.
#[derive(Debug, Args)]
#[command(after_help = FORK)]
#[command(group = clap::ArgGroup::new("place").required(true))]
pub(crate) struct ForkArgs {
    /// A run that has ended: its id, a part of it, or `latest`.
    pub(crate) run: String,
    /// Run this step and all that come after it; may be given several times.
    #[arg(long, value_name = "STEP", group = "place")]
    pub(crate) from: Vec<String>,
    /// Run the steps that did not end ok and all that come after them.
    #[arg(long, group = "place")]
    pub(crate) from_failed: bool,
    /// Run this document in the place of the old run's.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) pipeline: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// A label of the new run over those of the old one, `key=value`; may be given several times.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) labels: Vec<(String, String)>,
    /// An annotation of the new run over those of the old one, `key=value`; may be given several times.
    #[arg(long = "annotation", value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) annotations: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) repeats: Repeats,
    /// Only say what would be inherited and what would run.
    #[arg(long)]
    pub(crate) preview: bool,
    #[command(flatten)]
    pub(crate) local: Local,
    /// How progress is shown, on standard error.
    #[arg(long, value_enum, default_value = "auto", value_name = "HOW")]
    pub(crate) progress: Progress,
    #[command(flatten)]
    pub(crate) form: Form,
}
