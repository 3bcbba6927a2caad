//! `run`, and what other verbs share with it.

use super::{Form, Place};
use clap::{Args, ValueEnum};
use conveyor_node::Secrets;
use std::path::PathBuf;
use std::sync::Arc;

const RUN: &str = "\
Examples:
  conveyor run pipeline.yaml
  conveyor run pipeline.yaml -i ref=main -i dryRun=true
  conveyor run pipeline.yaml --inputs prod.yaml -o json
  conveyor run --continue 0198f5c2-…     A run that a crash interrupted: finished steps are not
                                         run again

Ctrl-C once cancels the run and lets `finally` run, twice terminates it.

Exit status: 0 the run succeeded, 1 it failed, 2 refused and nothing was started, 3 the process that \
moves the run went away, 130 cancelled.";

/// `run`.
#[derive(Debug, Args)]
#[command(after_help = RUN)]
pub(crate) struct RunArgs {
    /// The document, YAML or JSON; `-` is standard input.
    #[arg(value_name = "FILE", required_unless_present = "continue_run")]
    #[arg(conflicts_with = "continue_run", value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    /// Go on with this run, which a crash interrupted.
    #[arg(long = "continue", value_name = "RUN")]
    #[arg(conflicts_with_all = ["input", "inputs", "labels"])]
    pub(crate) continue_run: Option<String>,
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// A label of the run, `key=value`; may be given several times.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) labels: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) local: Local,
    /// How progress is shown, on standard error.
    #[arg(long, value_enum, default_value = "auto", value_name = "HOW")]
    pub(crate) progress: Progress,
    #[command(flatten)]
    pub(crate) form: Form,
}

/// What a run is given.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Inputs {
    /// An input, `key=value`: read as the type that the document's schema gives it, else as a
    /// string; may be given several times.
    #[arg(short, long = "input", value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) input: Vec<(String, String)>,
    /// A YAML or JSON file with an object of inputs, `-` for standard input; `-i` wins over it.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) inputs: Option<PathBuf>,
}

/// The engine of this process.
#[derive(Debug, Clone, Args)]
pub(crate) struct Local {
    #[command(flatten)]
    pub(crate) place: Place,
    /// How many `exec` tasks run at once.
    #[arg(long, value_name = "N", default_value_t = 16)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) capacity: u32,
    /// Where files lie that steps may name as secrets (`file:NAME`). Default: none may.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(crate) secrets_dir: Option<PathBuf>,
    /// What variables of this process begin with that steps may name as secrets (`env:NAME`). Default:
    /// none may.
    #[arg(
        long,
        value_name = "PREFIX",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) secrets_env: String,
}

impl Local {
    /// Where this process finds secrets, where it is this process that runs the steps.
    pub(crate) fn secrets(&self) -> Arc<Secrets> {
        Arc::new(Secrets::new(
            self.secrets_dir.clone(),
            self.secrets_env.clone(),
        ))
    }
}

/// `--progress`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Progress {
    /// `tree` on a terminal, else `plain`.
    Auto,
    /// A tree of steps that is drawn again as it changes.
    Tree,
    /// One line for each event and log line, with its time.
    Plain,
    /// Nothing.
    None,
}

/// Reads `key=value`; the value may be empty.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected key=value".to_owned()),
    }
}
