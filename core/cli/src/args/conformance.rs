use clap::Args;
use std::ffi::OsString;

const EXAMPLES: &str = "\
It is a program of its own, `conveyor-conformance`, beside this one or on PATH.
`conveyor conformance run --help` is its help.

Examples:
  conveyor conformance run -- ./my-driver     All cases that the driver declares
  conveyor conformance list engine            The cases of engines
  conveyor conformance describe results/success/outputs

Exit status:
  0  all came as expected
  1  something failed that is not known to fail, or passed that is
  2  the suite could not do its work";

/// `conveyor conformance`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ConformanceArgs {
    /// A command of the suite and its options.
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub(crate) arguments: Vec<OsString>,
}
