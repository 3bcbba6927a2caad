//! `conveyor-driver-http`: the `http` driver as a program of its own.

use clap::Parser;
use conveyor_driver_http::{Policy, Trust};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

const EXAMPLES: &str = "\
Examples:
  conveyor-driver-http
  conveyor-driver-http --server http://127.0.0.1:7420 --capacity 64
  conveyor-driver-http --allow-host intranet.example --allow-net 10.20.0.0/16
  conveyor-driver-http --ca-file company.pem

Loopback, link-local, private and other addresses that are not public are connected to only where they are \
allowed by name. No proxy is used, whatever the environment says.

SIGTERM or Ctrl-C once: it takes nothing new, finishes what it asks, and ends. Twice: it ends at once, and \
what it asked is asked again elsewhere.

RUST_LOG=debug tells more. Exit status: 0 it was told to stop, 1 the server does not take it, 2 an option is \
wrong.";

/// Make HTTP requests for a Conveyor server.
#[derive(Debug, Parser)]
#[command(name = "conveyor-driver-http", version, after_help = EXAMPLES, max_term_width = 100)]
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
    /// How many requests it makes at once.
    #[arg(long, value_name = "N", default_value_t = 16)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    capacity: u32,
    /// How long requests may go on once it is told to stop, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    drain: u64,
    /// A host that may be connected to wherever it is, `NAME` or `NAME:PORT`; may be given several times.
    #[arg(long = "allow-host", value_name = "HOST")]
    hosts: Vec<String>,
    /// A range of addresses that may be connected to, `ADDRESS/BITS`; may be given several times.
    #[arg(long = "allow-net", value_name = "NET")]
    nets: Vec<String>,
    /// Certificates of authorities that are believed besides the public ones, PEM; may be given several
    /// times.
    #[arg(long = "ca-file", value_name = "FILE")]
    #[arg(value_hint = clap::ValueHint::FilePath)]
    authorities: Vec<PathBuf>,
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
    let driver = match driver(&arguments) {
        Ok(driver) => driver,
        Err(why) => {
            tracing::error!("{why}");
            return ExitCode::from(2);
        }
    };
    let token = arguments.token_file.as_deref();
    let token = match token.map(conveyor_sdk::token_file).transpose() {
        Ok(token) => token,
        Err(error) => {
            tracing::error!("{error}");
            return ExitCode::from(2);
        }
    };
    let driver = driver.options(|options| {
        options.url = Some(arguments.server);
        options.token = token;
        options.namespace = arguments.namespace;
        options.capacity = arguments.capacity;
        options.drain = Duration::from_secs(arguments.drain);
    });
    match driver.run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn driver(arguments: &Arguments) -> Result<conveyor_sdk::Driver, String> {
    let mut policy = Policy::default();
    for host in &arguments.hosts {
        let allowed = policy.allow_host(host);
        policy = allowed.map_err(|error| format!("--allow-host: {error}"))?;
    }
    for net in &arguments.nets {
        let allowed = policy.allow_net(net);
        policy = allowed.map_err(|error| format!("--allow-net: {error}"))?;
    }
    let mut trust = Trust::default();
    for file in &arguments.authorities {
        let more = trust.file(file);
        trust = more.map_err(|error| format!("--ca-file: {error}"))?;
    }
    conveyor_driver_http::driver(policy, trust).map_err(|failure| failure.to_string())
}
