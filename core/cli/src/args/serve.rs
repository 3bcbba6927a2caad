//! `serve`.

use clap::{Args, ValueEnum};
use std::net::SocketAddr;

const SERVE: &str = "\
Examples:
  conveyor serve
  conveyor serve --data-dir /var/lib/conveyor --listen 127.0.0.1:7420
  conveyor serve --listen 127.0.0.1:0          A free port; the first line says which

Drivers and clients reach it at http://ADDRESS, and on this machine by its data directory:
  CONVEYOR_URL=http://127.0.0.1:7420 conveyor-driver-exec
  conveyor runs list --server http://127.0.0.1:7420

SIGTERM or Ctrl-C: it takes nothing new, tells its drivers to come back later, and ends. What runs goes on
in its drivers, and they report to the server that is started next over the same data directory.

Exit status: 0 it was told to end, 2 it could not start.";

/// `serve`.
#[derive(Debug, Args)]
#[command(after_help = SERVE)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) place: DataDir,
    /// Where to listen. Other addresses than those of this machine alone need --insecure.
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "CONVEYOR_LISTEN",
        default_value = "127.0.0.1:7420"
    )]
    pub(crate) listen: SocketAddr,
    /// Listen on an address that other machines reach, though anybody there may do anything: there is
    /// neither TLS nor a check of who asks.
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Also run `exec` steps in this process, so many at once. Whoever may start a run may then run
    /// any command as this user.
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) exec: Option<u32>,
    /// How long tasks of this process may go on once it is told to end, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) drain: u64,
    /// How its log is written, on standard error.
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
}

/// Where a server keeps everything.
#[derive(Debug, Clone, Args)]
pub(crate) struct DataDir {
    /// Where everything is kept. Default: `$XDG_STATE_HOME/conveyor`, else `~/.local/state/conveyor`.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(crate) data_dir: Option<std::path::PathBuf>,
}

/// `--log-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}
