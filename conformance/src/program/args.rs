//! The commands, their options and their help.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  conveyor-conformance run -- ./my-driver                     All cases that the driver declares
  conveyor-conformance run --include 'cancel/**' -- ./my-driver
  conveyor-conformance run --endpoint 127.0.0.1:7421          A driver that somebody holds in a debugger
  conveyor-conformance run --profile driver --config c.yaml -- ./my-driver
  conveyor-conformance list --requirement R34                 The cases of a requirement
  conveyor-conformance describe cancel/during/reaches-user-code
  conveyor-conformance engine --endpoint http://127.0.0.1:7420

Exit status:
  0  all came as expected
  1  something failed that is not known to fail, or passed that is
  2  the suite could not do its work";

/// Whether a driver, or an engine, keeps Conveyor's contract.
#[derive(Debug, Parser)]
#[command(name = "conveyor-conformance", version, after_help = EXAMPLES, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Test a driver.
    Run(RunArgs),
    /// Test an engine from outside.
    Engine(EngineArgs),
    /// Test the suite itself, by a driver that breaks one rule after the other.
    #[command(hide = true)]
    Selftest(SelftestArgs),
    /// End what a suite leaves once its standard input ends: the suite starts it by itself.
    #[command(hide = true)]
    Keeper(KeeperArgs),
    /// Render docs/conformance.md from reports.
    #[command(hide = true)]
    Page(PageArgs),
    /// List cases.
    List(ListArgs),
    /// Tell what a case is for, what it tests, and what it does.
    Describe(DescribeArgs),
}

/// What kind of cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Profile {
    /// A driver runtime, by programs that its action `interpret` performs.
    #[default]
    Contract,
    /// Any finished driver, by samples that its author gives.
    Driver,
    /// An engine.
    Engine,
}

/// What kind of cases a driver is tested by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum DriverProfile {
    /// A driver runtime, by programs that its action `interpret` performs.
    #[default]
    Contract,
    /// Any finished driver, by samples that its author gives.
    Driver,
}

impl From<DriverProfile> for Profile {
    fn from(profile: DriverProfile) -> Profile {
        match profile {
            DriverProfile::Contract => Profile::Contract,
            DriverProfile::Driver => Profile::Driver,
        }
    }
}

impl Profile {
    pub(super) fn name(self) -> &'static str {
        match self {
            Profile::Contract => "contract",
            Profile::Driver => "driver",
            Profile::Engine => "engine",
        }
    }
}

/// The engine on the other side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum BackendName {
    /// In this process, over memory.
    #[default]
    Embedded,
    /// A `conveyor serve` process.
    Server,
    /// Several nodes: comes with a later release.
    Cluster,
}

/// Which of the values that a case can be run with are run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum AxesName {
    /// Each case once.
    One,
    /// Each case about once, with all values among them.
    Few,
    /// So many runs of each that all pairs of values are among them.
    #[default]
    Pairs,
    /// All combinations.
    All,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The driver and its arguments.
    #[arg(last = true, value_name = "DRIVER")]
    pub(super) command: Vec<String>,
    /// Listen here, and wait for a driver that somebody else starts with this as CONVEYOR_URL, one case after the other.
    #[arg(
        long,
        value_name = "HOST:PORT",
        value_parser = address,
        conflicts_with_all = ["command", "parallel"]
    )]
    pub(super) endpoint: Option<SocketAddr>,
    /// Which kind of cases.
    #[arg(long, value_enum, default_value = "contract")]
    pub(super) profile: DriverProfile,
    /// What the driver's author says of it: features, samples, environment. YAML.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    #[command(flatten)]
    pub(super) choice: Choice,
    #[command(flatten)]
    pub(super) cases: CaseArgs,
    #[command(flatten)]
    pub(super) backend: BackendArgs,
    /// Which values of transport, concurrency and fault are run.
    #[arg(long, value_enum, default_value = "pairs")]
    pub(super) axes: AxesName,
    /// With which the runs are chosen where not all are run. Default: the day's.
    #[arg(long, value_name = "NUMBER")]
    pub(super) seed: Option<u64>,
    #[command(flatten)]
    pub(super) output: Output,
}

/// Which cases there are, and what is known of them.
#[derive(Debug, Args)]
pub(super) struct CaseArgs {
    /// Known to fail: patterns, one a line; they are run, and have to fail. Can be repeated.
    #[arg(long, value_name = "FILE")]
    pub(super) known_failing: Vec<PathBuf>,
    /// Known to be unsteady: patterns, one a line; they may do either. Can be repeated.
    #[arg(long, value_name = "FILE")]
    pub(super) known_flaky: Vec<PathBuf>,
    /// Cases of a file besides; those of a name that there is are taken in its place. Can be repeated.
    #[arg(long, value_name = "FILE")]
    pub(super) case_file: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Choice {
    /// Only these: a pattern of names; `*` within a part, `**` for any parts, `[transport:rest]` behind.
    /// Can be repeated.
    #[arg(long, value_name = "PATTERN")]
    pub(super) include: Vec<String>,
    /// Not these. Can be repeated.
    #[arg(long, value_name = "PATTERN")]
    pub(super) exclude: Vec<String>,
    /// How many at once: 1 to 256.
    #[arg(long, value_name = "COUNT", default_value_t = 8, value_parser = at_once)]
    pub(super) parallel: usize,
    /// How long all cases together may take. What was not run by then is not, and the status is 2.
    #[arg(long, value_name = "SECONDS", default_value_t = 7200, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) time_limit: u64,
}

/// As many cases at once as there are: each has an engine, a driver and connections, and a process has so many files.
const AT_ONCE: usize = 256;

/// How many cases run at once.
fn at_once(text: &str) -> Result<usize, String> {
    let count = text.parse::<usize>().ok();
    count
        .filter(|count| (1..=AT_ONCE).contains(count))
        .ok_or_else(|| format!("it is a number from 1 to {AT_ONCE}"))
}

/// An address to listen at: of those that a name has the first of IPv4, which any driver can come to.
fn address(text: &str) -> Result<SocketAddr, String> {
    const LIKE: &str = "it is HOST:PORT, such as 127.0.0.1:7420";
    let parts = text.rsplit_once(':');
    let fits = |(host, port): &(&str, &str)| {
        !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok()
    };
    let (host, _) = parts.filter(fits).ok_or(LIKE)?;
    let found = text.to_socket_addrs();
    let found = found.map_err(|error| format!("`{host}` is no host ({error}): {LIKE}"))?;
    let found: Vec<SocketAddr> = found.collect();
    let first = found.iter().find(|one| one.is_ipv4()).or(found.first());
    first
        .copied()
        .ok_or_else(|| format!("`{host}` has no address: {LIKE}"))
}

#[derive(Debug, Args)]
pub(super) struct BackendArgs {
    /// The engine on the other side.
    #[arg(long, value_enum, default_value = "embedded")]
    pub(super) backend: BackendName,
    /// The `conveyor` program for `--backend server`. Default: beside this program, else on PATH.
    #[arg(long, value_name = "FILE")]
    pub(super) conveyor: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Output {
    /// Write a report: KIND=FILE; kinds are text, junit, json, profile, badge, known-failing. The file's directory
    /// is made where it is not there. Can be repeated, each time with a file of its own.
    #[arg(long, value_name = "KIND=FILE")]
    pub(super) report: Vec<String>,
    /// Write all reports into a directory, which is made.
    #[arg(long, value_name = "DIRECTORY")]
    pub(super) report_dir: Option<PathBuf>,
    /// Tell what passed and what is not declared, too.
    #[arg(long, short)]
    pub(super) verbose: bool,
    /// Tell all that was said in the runs that did not come as expected.
    #[arg(long)]
    pub(super) trace: bool,
}

#[derive(Debug, Args)]
pub(super) struct EngineArgs {
    #[command(flatten)]
    pub(super) backend: BackendArgs,
    /// The address of an engine that runs. It is neither restarted nor arranged.
    #[arg(long, value_name = "URL", conflicts_with_all = ["backend", "conveyor"])]
    pub(super) endpoint: Option<String>,
    /// Who signed the certificate of an `https` `--endpoint` (PEM). Default: CONVEYOR_CA, else the authorities of the
    /// system.
    // The variable is read where it is wanted: with an engine of the suite's own it may be there for others.
    #[arg(long, value_name = "FILE", requires = "endpoint")]
    pub(super) ca: Option<PathBuf>,
    /// An access token with the scope `admin`, for `--endpoint`. Default: CONVEYOR_TOKEN.
    #[arg(long, value_name = "TOKEN", requires = "endpoint")]
    pub(super) token: Option<String>,
    /// What the reports call the engine. Default: conveyor, or the address of `--endpoint`.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    pub(super) name: String,
    #[command(flatten)]
    pub(super) choice: Choice,
    #[command(flatten)]
    pub(super) cases: CaseArgs,
    #[command(flatten)]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Which kind of cases.
    #[arg(value_enum, default_value = "contract")]
    pub(super) profile: Profile,
    /// Only those that cite this requirement.
    #[arg(long, value_name = "NUMBER")]
    pub(super) requirement: Option<String>,
    /// Only those that need this feature; `core` for those that need none.
    #[arg(long, value_name = "FEATURE")]
    pub(super) feature: Option<String>,
    /// Only those that are run over this: tcp, tls, unix, unary, rest.
    #[arg(long, value_name = "TRANSPORT")]
    pub(super) transport: Option<String>,
    /// Only these. Can be repeated.
    #[arg(long, value_name = "PATTERN")]
    pub(super) include: Vec<String>,
    /// Cases of a file besides, as `run` takes them. Can be repeated.
    #[arg(long, value_name = "FILE")]
    pub(super) case_file: Vec<PathBuf>,
    /// As JSON: an array of objects.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct DescribeArgs {
    /// A case's name, or a run's: `area/feature/scenario[transport:rest]`.
    #[arg(value_name = "CASE")]
    pub(super) case: String,
    /// Cases of a file besides, as `run` takes them. Can be repeated.
    #[arg(long, value_name = "FILE")]
    pub(super) case_file: Vec<PathBuf>,
    /// As a JSON object.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct SelftestArgs {
    /// The broken driver: it tells its switches with `--list-switches`, and breaks what
    /// CONVEYOR_CONFORMANCE_BREAK names.
    #[arg(last = true, value_name = "DRIVER", required = true)]
    pub(super) command: Vec<String>,
    /// Only this switch. Can be repeated.
    #[arg(long, value_name = "SWITCH")]
    pub(super) switch: Vec<String>,
    /// Run all cases for each switch, not only those that cite its requirement.
    #[arg(long)]
    pub(super) all: bool,
    /// A requirement that no driver can break alone. Can be repeated.
    #[arg(long, value_name = "NUMBER")]
    pub(super) exempt: Vec<String>,
    /// How many cases at once: 1 to 256.
    #[arg(long, value_name = "COUNT", default_value_t = 8, value_parser = at_once)]
    pub(super) parallel: usize,
    #[command(flatten)]
    pub(super) backend: BackendArgs,
}

#[derive(Debug, Args)]
pub(super) struct KeeperArgs {
    /// What its processes are known by.
    #[arg(value_name = "RUN")]
    pub(super) run: String,
    /// The directory of all that it writes, which is made and removed.
    #[arg(value_name = "DIRECTORY")]
    pub(super) root: PathBuf,
    /// The suite's process.
    #[arg(value_name = "NUMBER")]
    pub(super) suite: u32,
}

#[derive(Debug, Args)]
pub(super) struct PageArgs {
    /// The JSON reports, in the order of the page.
    #[arg(value_name = "TITLE=FILE", required = true)]
    pub(super) reports: Vec<String>,
    /// Where the page lies, and its results below `results`.
    #[arg(long, value_name = "DIRECTORY", default_value = "docs")]
    pub(super) docs: PathBuf,
}
