//! `apply`, `start`, and what lists, shows and deletes objects.

use super::run::pair;
use super::runs::moment;
use super::{Form, Inputs, Place, Progress, Repeats};
use clap::{Args, Subcommand};
use conveyor_engine::time::Time;
use conveyor_node::{Clock as _, SystemClock};
use std::path::PathBuf;

const APPLY: &str = "\
Examples:
  conveyor apply -f pipeline.yaml
  conveyor apply -f pipelines/              Every .yaml, .yml and .json file in it
  conveyor apply -f site.yaml               Definitions, pipelines and resources, `---` between them
  generate | conveyor apply -f -
  conveyor apply -f pipeline.yaml --check   What is wrong with it; nothing is stored

The same document twice is one revision. Definitions come first, then pipelines, then resources, in \
whatever order they are given. What can be checked is, in all files, before the first is stored; a \
resource is checked against its definition as the server has it, or else when its turn comes.";

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
  conveyor start release --digest 7c5e2f1a  An earlier revision
  conveyor start release --resource application/web   For its newest version; `@3` names another
  conveyor start release --idempotency-key build-812   Twice is once, for a day
  conveyor start -f pipeline.yaml           A document that is not stored

Ctrl-C with --follow cancels the run, also one of a server, and its `finally` runs; a second one terminates it. \
Without --follow the run goes on.

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
    /// The revision, by its digest or at least 8 digits of its beginning; the newest by default.
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
    /// An annotation of the run, `key=value`; may be given several times.
    #[arg(long = "annotation", value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) annotations: Vec<(String, String)>,
    /// The run's id, a UUIDv7 made before the first try: a repeat finds the first.
    #[arg(long, value_name = "ID")]
    pub(crate) run_id: Option<String>,
    /// The Resource to run for, in this version or its newest.
    #[arg(long, value_name = "DEFINITION/NAME[@VERSION]", value_parser = resource)]
    pub(crate) resource: Option<ResourceOf>,
    #[command(flatten)]
    pub(crate) repeats: Repeats,
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

/// A Resource in one of its versions; 0 is the newest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResourceOf {
    pub(crate) definition: String,
    pub(crate) name: String,
    pub(crate) version: u64,
}

fn resource(text: &str) -> Result<ResourceOf, String> {
    let read = || {
        let (definition, rest) = text.split_once('/')?;
        let (name, version) = match rest.split_once('@') {
            Some((name, version)) => (name, version.parse().ok().filter(|version| *version > 0)?),
            None => (rest, 0),
        };
        let named = !definition.is_empty() && !name.is_empty();
        named.then(|| ResourceOf {
            definition: definition.to_owned(),
            name: name.to_owned(),
            version,
        })
    };
    read().ok_or_else(|| "expected DEFINITION/NAME, or DEFINITION/NAME@VERSION".to_owned())
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

/// When objects were made.
#[derive(Debug, Args)]
pub(crate) struct Made {
    /// Only those made at or after this: an instant (RFC 3339), or how long ago, such as `2h`.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(crate) since: Option<Time>,
    /// Only those made before this. As --since.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(crate) until: Option<Time>,
}

/// The instant that is meant: for all pages of a listing the same.
fn instant(text: &str) -> Result<Time, String> {
    let now = SystemClock::new().now();
    moment(text).map(|moment| Time(moment.millis(now)))
}

/// Which objects of a namespace, that were made at some time.
#[derive(Debug, Args)]
pub(crate) struct MadeArgs {
    #[command(flatten)]
    pub(crate) listed: ListedArgs,
    #[command(flatten)]
    pub(crate) made: Made,
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
  conveyor pipelines list --since 24h       Those first applied since then
  conveyor pipelines show release
  conveyor pipelines show --digest 7c5e2f1a  A revision by its digest, or at least 8 digits of it
  conveyor pipelines revisions release
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
    List(MadeArgs),
    /// Show a pipeline's newest revision, or another, with its document.
    Show(PipelineShowArgs),
    /// List the revisions of a pipeline, newest first.
    Revisions(NamedArgs),
    /// Remove a pipeline. Runs of it go on, and its revisions can still be read.
    Delete(NamedArgs),
}

/// `pipelines show`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true))]
pub(crate) struct PipelineShowArgs {
    /// Its name; not needed with --digest.
    #[arg(group = "which")]
    pub(crate) name: Option<String>,
    /// The revision, by its digest or at least 8 digits of its beginning; the newest by default.
    #[arg(long, value_name = "DIGEST", group = "which")]
    pub(crate) digest: Option<String>,
    /// Its namespace.
    #[arg(short, long, value_name = "NAME", default_value = "default")]
    pub(crate) namespace: String,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) form: Form,
}

const DEFINITIONS: &str = "\
Examples:
  conveyor definitions list
  conveyor definitions show application     With its schema
  conveyor definitions delete application   There must be no resource of it";

/// `definitions`.
#[derive(Debug, Args)]
#[command(after_help = DEFINITIONS)]
pub(crate) struct DefinitionsArgs {
    /// What to do with definitions.
    #[command(subcommand)]
    pub(crate) verb: DefinitionsVerb,
}

/// What to do with definitions.
#[derive(Debug, Subcommand)]
pub(crate) enum DefinitionsVerb {
    /// List ResourceDefinitions by name.
    List(MadeArgs),
    /// Show a definition in one of its versions, with its schema.
    Show(VersionArgs),
    /// Remove a definition that has no resources.
    Delete(NamedArgs),
}

/// Which definition, and which version of it.
#[derive(Debug, Args)]
pub(crate) struct VersionArgs {
    #[command(flatten)]
    pub(crate) named: NamedArgs,
    /// The version; the newest by default.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) version: Option<u64>,
}

const RESOURCES: &str = "\
Examples:
  conveyor resources list                   Of all definitions
  conveyor resources list -d application
  conveyor resources show application web   In its newest version
  conveyor resources show application web --version 3
  conveyor resources delete application web";

/// `resources`.
#[derive(Debug, Args)]
#[command(after_help = RESOURCES)]
pub(crate) struct ResourcesArgs {
    /// What to do with resources.
    #[command(subcommand)]
    pub(crate) verb: ResourcesVerb,
}

/// What to do with resources.
#[derive(Debug, Subcommand)]
pub(crate) enum ResourcesVerb {
    /// List resources by definition and name.
    List(ResourcesListArgs),
    /// Show a resource in one of its versions.
    Show(ResourceVersionArgs),
    /// Remove a resource. Its versions stay for the runs that name them.
    Delete(ResourceArgs),
}

/// `resources list`.
#[derive(Debug, Args)]
pub(crate) struct ResourcesListArgs {
    /// Only those of this definition.
    #[arg(short, long, value_name = "NAME", default_value = "")]
    #[arg(hide_default_value = true)]
    pub(crate) definition: String,
    #[command(flatten)]
    pub(crate) of: MadeArgs,
}

/// Which resource.
#[derive(Debug, Args)]
pub(crate) struct ResourceArgs {
    /// Its ResourceDefinition.
    pub(crate) definition: String,
    #[command(flatten)]
    pub(crate) named: NamedArgs,
}

/// Which resource, and which version of it.
#[derive(Debug, Args)]
pub(crate) struct ResourceVersionArgs {
    #[command(flatten)]
    pub(crate) resource: ResourceArgs,
    /// The version; the newest by default.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) version: Option<u64>,
}

const DRIVERS: &str = "\
Examples:
  conveyor drivers list                     Who is connected, and what they take
  conveyor drivers list -o json             With the schemas of their actions
  conveyor drivers show exec                Its versions, actions and sessions
  conveyor drivers list --namespace '*'     Those of all namespaces alone
  conveyor drivers delete old               Nobody may be connected with it";

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
    /// Show a driver: its versions, their actions, and who is connected.
    Show(NamedArgs),
    /// Forget a driver that nobody is connected with. Its tasks wait for whoever registers it next. One for all
    /// namespaces is meant by `--namespace '*'`, as in the other verbs, and where the namespace has none.
    Delete(NamedArgs),
}

const NAMESPACES: &str = "\
Examples:
  conveyor namespaces list -l of=shop
  conveyor namespaces create team-a -l of=shop --annotation contact=ann
  conveyor namespaces set team-a -l of=office   These, in the place of all that it has
  conveyor namespaces show team-a
  conveyor namespaces delete team-a         It has to be empty, and no token for it";

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
    /// Show a namespace.
    Show(NamespaceArgs),
    /// Make a namespace.
    Create(NamespaceMetaArgs),
    /// Give a namespace other labels and annotations, in the place of all that it has.
    Set(NamespaceMetaArgs),
    /// Remove an empty namespace.
    Delete(NamespaceArgs),
}

/// `namespaces list`.
#[derive(Debug, Args)]
pub(crate) struct NamespacesListArgs {
    /// Only those with this label, `key=value`; may be given several times.
    #[arg(short = 'l', long = "label", value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) labels: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) made: Made,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) form: Form,
}

/// Which namespace, and what it has.
#[derive(Debug, Args)]
pub(crate) struct NamespaceMetaArgs {
    #[command(flatten)]
    pub(crate) of: NamespaceArgs,
    /// A label of it, `key=value`; may be given several times.
    #[arg(short = 'l', long = "label", value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) labels: Vec<(String, String)>,
    /// An annotation of it, `key=value`; may be given several times.
    #[arg(long = "annotation", value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) annotations: Vec<(String, String)>,
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
