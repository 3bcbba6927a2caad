//! `cancel`, `drain`, `terminate`, `pause`, `resume`: they differ in nothing but what they do.

use super::{Form, Place};
use clap::Args;

pub(super) const CANCEL: &str = "\
Examples:
  conveyor cancel RUN
  conveyor cancel RUN --reason 'wrong branch'

Steps that run are told to stop and have their `grace`; those that have not started end `cancelled`. \
Repeating it changes nothing. `drain` is weaker, `terminate` is stronger.";

pub(super) const DRAIN: &str = "\
Examples:
  conveyor drain RUN --reason 'maintenance at ten'";

pub(super) const TERMINATE: &str = "\
Examples:
  conveyor terminate RUN --reason 'the cluster is gone'

`finally` does not run. Prefer `cancel`.";

pub(super) const PAUSE: &str = "\
Examples:
  conveyor pause RUN --reason 'looking at it'

What runs finishes. The run's own timeout goes on.";

pub(super) const RESUME: &str = "\
Examples:
  conveyor resume RUN

For a run that a crash interrupted, see `conveyor run --continue`.";

/// `cancel`, `drain`, `terminate`, `pause`, `resume`.
#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// The run: its id, a part of it, or `latest`.
    pub(crate) run: String,
    /// Why; recorded, and shown to everyone who looks at the run.
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) form: Form,
}
