//! The verbs, their options and their help.

mod conformance;
mod contract;
mod follow;
mod fork;
mod objects;
mod offline;
mod operate;
mod output;
mod run;
mod runs;
mod serve;
mod shared;
mod stop;
mod tokens;

pub(crate) use conformance::ConformanceArgs;
pub(crate) use contract::{ContractArgs, ContractVerb, ExportArgs};
pub(crate) use follow::{EventsArgs, LogsArgs};
pub(crate) use fork::ForkArgs;
pub(crate) use objects::{
    ApplyArgs, DefinitionsArgs, DefinitionsVerb, DriversArgs, DriversVerb, ListedArgs, Made,
    MadeArgs, NamedArgs, NamespaceArgs, NamespacesArgs, NamespacesListArgs, NamespacesVerb,
    PipelineShowArgs, PipelinesArgs, PipelinesVerb, ResourceVersionArgs, ResourcesArgs,
    ResourcesListArgs, ResourcesVerb, StartArgs, VersionArgs,
};
pub(crate) use offline::{CheckArgs, CompletionArgs, PlanArgs, TestArgs};
pub(crate) use operate::{BackupArgs, DoctorArgs, RestoreArgs};
pub(crate) use output::{CheckOutput, Output, PlanOutput, ShowOutput};
pub(crate) use run::{Inputs, Local, Progress, RunArgs};
pub(crate) use runs::{DeleteArgs, ListArgs, ReleaseArgs, RunsArgs, RunsVerb, ShowArgs};
pub(crate) use serve::ServeArgs;
pub(crate) use shared::{Form, Place, Repeats, Server};
pub(crate) use stop::StopArgs;
pub(crate) use tokens::{TokenCreateArgs, TokenScope, TokensArgs, TokensListArgs, TokensVerb};

use crate::terminal::Colour;
use clap::{Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  conveyor run pipeline.yaml -i ref=main      Run a pipeline, with live progress
  conveyor run --continue RUN                 Go on with a run that a crash interrupted
  conveyor check pipeline.yaml                All mistakes of a document, with their places
  conveyor plan pipeline.yaml -o svg > p.svg  Draw the graph
  conveyor runs list                          What ran, and how it ended
  conveyor runs show latest --timeline        When each attempt ran
  conveyor logs latest test --follow          What a step says

RUN is a run's id, at least four characters of its beginning or end, or `latest`.

Exit status:
  0    succeeded
  1    failed
  2    refused, nothing was done
  3    the process that moves the run went away
  130  cancelled

NO_COLOR (any value) turns colours off.";

/// Run, check, draw and test pipelines.
#[derive(Debug, Parser)]
#[command(name = "conveyor", version, after_help = EXAMPLES, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
#[command(propagate_version = false, disable_help_subcommand = false)]
pub(crate) struct Cli {
    /// When to use colours: `auto` (on a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`),
    /// `always` or `never`.
    // Last in the help of every verb, in as few lines as can be: it is nobody's question.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "WHEN",
        display_order = 900,
        hide_possible_values = true,
        hide_default_value = true
    )]
    pub(crate) color: Colour,
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run a pipeline here, or go on with an interrupted run.
    Run(RunArgs),
    /// Run a server: drivers and clients connect to it.
    Serve(ServeArgs),
    /// Store pipelines, ResourceDefinitions and resources under their names.
    Apply(ApplyArgs),
    /// Start a run of a stored pipeline.
    Start(StartArgs),
    /// List, show and delete stored pipelines, and their revisions.
    Pipelines(PipelinesArgs),
    /// List, show and delete ResourceDefinitions.
    Definitions(DefinitionsArgs),
    /// List, show and delete resources.
    Resources(ResourcesArgs),
    /// List, show and forget the drivers that are, or were, connected.
    Drivers(DriversArgs),
    /// List, show, create and delete namespaces.
    Namespaces(NamespacesArgs),
    /// Check pipeline documents, and print every mistake.
    Check(CheckArgs),
    /// Show what a pipeline would do: order, instances, critical path.
    Plan(PlanArgs),
    /// Test a pipeline offline, with mocked results and a virtual clock.
    Test(TestArgs),
    /// List, show, release and delete runs.
    Runs(RunsArgs),
    /// Print the log of a run.
    Logs(LogsArgs),
    /// Print what happened to a run, event by event.
    Events(EventsArgs),
    /// Stop a run: cancel its steps, then run `finally`.
    #[command(after_help = stop::CANCEL)]
    Cancel(StopArgs),
    /// Stop a run gently: let what runs finish, start nothing, then run `finally`.
    #[command(after_help = stop::DRAIN)]
    Drain(StopArgs),
    /// Stop a run at once, without `finally`.
    #[command(after_help = stop::TERMINATE)]
    Terminate(StopArgs),
    /// Queue nothing new of a run until it is resumed.
    #[command(after_help = stop::PAUSE)]
    Pause(StopArgs),
    /// End a pause.
    #[command(after_help = stop::RESUME)]
    Resume(StopArgs),
    /// Run a pipeline again from a step on, with the results before it.
    Fork(ForkArgs),
    /// Make, list and revoke access tokens.
    Tokens(TokensArgs),
    /// Write the driver contract, or the REST API, out of the program alone.
    Contract(ContractArgs),
    /// Test a driver, or an engine, against the contract.
    Conformance(ConformanceArgs),
    /// Copy all that a data directory holds into a file, while runs go on.
    Backup(BackupArgs),
    /// Make a data directory of a backup.
    Restore(RestoreArgs),
    /// Say what is wrong with a setup, and what to do.
    Doctor(DoctorArgs),
    /// Print a completion script for a shell.
    Completion(CompletionArgs),
}
