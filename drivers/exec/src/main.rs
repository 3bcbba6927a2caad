//! `conveyor-driver-exec`: the `exec` driver as a program of its own.

use clap::Parser;
use conveyor_sdk::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

const EXAMPLES: &str = "\
Examples:
  conveyor-driver-exec
  conveyor-driver-exec --server http://127.0.0.1:7420 --capacity 4
  CONVEYOR_URL=unix:/var/lib/conveyor conveyor-driver-exec

SIGTERM or Ctrl-C once: it takes nothing new, finishes what it runs, and ends. Twice: it ends at once, and \
what it ran begins again elsewhere.

RUST_LOG=debug tells more. Exit status: 0 it was told to stop, 1 the server does not take it, 2 an option is \
wrong.";

/// Run commands and scripts for a Conveyor server.
#[derive(Debug, Parser)]
#[command(name = "conveyor-driver-exec", version, after_help = EXAMPLES, max_term_width = 100)]
struct Arguments {
    /// The server: `http://HOST:PORT`, `https://HOST:PORT` (CONVEYOR_CA, CONVEYOR_CLIENT_CERT and
    /// CONVEYOR_CLIENT_KEY name files), or `unix:PATH` of a data directory or a socket.
    #[arg(long, env = "CONVEYOR_URL", value_name = "URL", default_value = conveyor_sdk::DEFAULT_URL)]
    #[arg(value_parser = conveyor_sdk::server_address)]
    server: String,
    /// A file with the access token. Default: the token itself in CONVEYOR_TOKEN, else none.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    token_file: Option<PathBuf>,
    /// The namespace to publish the driver in. Default: the token's own, else `default`; all (`*`) where the
    /// server asks for no token, or for one of the scope `admin`.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    namespace: String,
    /// How many tasks it runs at once.
    #[arg(long, value_name = "N", default_value_t = 16)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    capacity: u32,
    /// How long tasks may go on once it is told to stop, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    drain: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        // A log that cannot be written ends nothing: the way to say so would be the same.
        .log_internal_errors(false)
        .with_writer(std::io::stderr)
        .init();
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Error> {
    let token = arguments
        .token_file
        .as_deref()
        .map(conveyor_sdk::token_file)
        .transpose()?;
    let driver = conveyor_driver_exec::driver().options(|options| {
        options.url = Some(arguments.server);
        options.token = token;
        options.namespace = arguments.namespace;
        options.capacity = arguments.capacity;
        options.drain = Duration::from_secs(arguments.drain);
    });
    driver.run().await
}
