//! `apply`, `start`, and what lists, shows and deletes objects.

use super::run::pair;
use super::{Form, Inputs, Place, Progress};
use clap::{Args, Subcommand};
use std::path::PathBuf;

const APPLY: &str = "\
Examples:
  conveyor apply -f pipeline.yaml
  conveyor apply -f pipelines/              Every .yaml, .yml and .json file in it
  generate | conveyor apply -f -
  conveyor apply -f pipeline.yaml --check   What is wrong with it; nothing is stored

The same document twice is one revision. All files are checked before the first is stored.";

/// `apply`.
#[derive(Debug, Args)]
#[command(after_help = APPLY)]
pub(crate) struct ApplyArgs {
    /// A document, a directory of documents, or `-` for standard input; may be given several times.
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    #[arg(value_hint = clap::ValueHint::AnyPath)]
    pub(crate) files: Vec<PathBuf>,
    /// Check only.
    #[arg(long)]
    pub(crate) check: bool,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) form: Form,
}

const START: &str = "\
Examples:
  conveyor start release -i version=1.4.2
  conveyor start release --follow           Until it ends, with live progress; its exit status tells
  conveyor start release --digest 7c5e2f…   An earlier revision
  conveyor start -f pipeline.yaml           A document that is not stored

Exit status with --follow: 0 the run succeeded, 1 it failed, 130 cancelled. Without: 0 it was accepted.";

/// `start`.
#[derive(Debug, Args)]
#[command(after_help = START)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub(crate) struct StartArgs {
    /// The pipeline's name.
    #[arg(group = "what")]
    pub(crate) pipeline: Option<String>,
    /// A document that is not stored, or `-` for standard input.
    #[arg(short, long, value_name = "FILE", group = "what")]
    #[arg(value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    /// The revision, by its digest; the newest by default.
    #[arg(long, value_name = "DIGEST", requires = "pipeline")]
    pub(crate) digest: Option<String>,
    /// The pipeline's namespace.
    #[arg(short, long, value_name = "NAME", default_value = "")]
    #[arg(hide_default_value = true)]
    pub(crate) namespace: String,
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// A label of the run, `key=value`; may be given several times.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) labels: Vec<(String, String)>,
    /// The run's id, a UUIDv7 made before the first try: a repeat finds the first.
    #[arg(long, value_name = "ID")]
    pub(crate) run_id: Option<String>,
    /// Show the run until it ends.
    #[arg(long)]
    pub(crate) follow: bool,
    /// How progress is shown with --follow, on standard error.
    #[arg(long, value_enum, default_value = "auto", value_name = "HOW")]
    pub(crate) progress: Progress,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) form: Form,
}

/// Which object of a namespace.
#[derive(Debug, Args)]
pub(crate) struct NamedArgs {
    /// Its name.
    pub(crate) name: String,
    /// Its namespace.
    #[arg(short, long, value_name = "NAME", default_value = "default")]
    pub(crate) namespace: String,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) form: Form,
}

/// Which objects of a namespace.
#[derive(Debug, Args)]
pub(crate) struct ListedArgs {
    /// Their namespace.
    #[arg(short, long, value_name = "NAME", default_value = "default")]
    pub(crate) namespace: String,
    /// Only those with this label, `key=value`; may be given several times.
    #[arg(short = 'l', long = "label", value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) labels: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) form: Form,
}

const PIPELINES: &str = "\
Examples:
  conveyor pipelines list
  conveyor pipelines show release
  conveyor pipelines delete release";

/// `pipelines`.
#[derive(Debug, Args)]
#[command(after_help = PIPELINES)]
pub(crate) struct PipelinesArgs {
    /// What to do with pipelines.
    #[command(subcommand)]
    pub(crate) verb: PipelinesVerb,
}

/// What to do with pipelines.
#[derive(Debug, Subcommand)]
pub(crate) enum PipelinesVerb {
    /// List pipelines by name.
    List(ListedArgs),
    /// Show a pipeline's newest revision, with its document.
    Show(NamedArgs),
    /// Remove a pipeline. Runs of it go on.
    Delete(NamedArgs),
}

const DRIVERS: &str = "\
Examples:
  conveyor drivers list                     Who is connected, and what they take
  conveyor drivers list -o json             With the schemas of their actions";

/// `drivers`.
#[derive(Debug, Args)]
#[command(after_help = DRIVERS)]
pub(crate) struct DriversArgs {
    /// What to do with drivers.
    #[command(subcommand)]
    pub(crate) verb: DriversVerb,
}

/// What to do with drivers.
#[derive(Debug, Subcommand)]
pub(crate) enum DriversVerb {
    /// List drivers by name, with their versions, actions and sessions.
    List(ListedArgs),
}

const NAMESPACES: &str = "\
Examples:
  conveyor namespaces list
  conveyor namespaces create team-a
  conveyor namespaces delete team-a         It has to be empty";

/// `namespaces`.
#[derive(Debug, Args)]
#[command(after_help = NAMESPACES)]
pub(crate) struct NamespacesArgs {
    /// What to do with namespaces.
    #[command(subcommand)]
    pub(crate) verb: NamespacesVerb,
}

/// What to do with namespaces.
#[derive(Debug, Subcommand)]
pub(crate) enum NamespacesVerb {
    /// List namespaces by name.
    List(NamespacesListArgs),
    /// Make a namespace.
    Create(NamespaceArgs),
    /// Remove an empty namespace.
    Delete(NamespaceArgs),
}

/// `namespaces list`.
#[derive(Debug, Args)]
pub(crate) struct NamespacesListArgs {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) form: Form,
}

/// Which namespace.
#[derive(Debug, Args)]
pub(crate) struct NamespaceArgs {
    /// Its name.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) form: Form,
}
