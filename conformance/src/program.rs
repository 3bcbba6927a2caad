//! The program: its commands, and what people see of them.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `args` | the commands, their options and their help |
//! | `run` | a driver is tested |
//! | `engine` | an engine is tested |
//! | `selftest` | the suite is tested |
//! | `show` | which cases there are, and what each does |
//! | `reports` | what is written of results |
//! | `page` | docs/conformance.md |
//! | `progress` | how far it is, while it runs |

#![expect(
    clippy::print_stderr,
    reason = "a program for people: this is its output"
)]

mod args;
mod engine;
mod page;
mod progress;
mod reports;
mod run;
mod selftest;
mod show;

use args::{Cli, Command};
use clap::Parser as _;
use conveyor_conformance::{Keeper, Status};
use std::io::Write as _;
use std::process::ExitCode;

/// Why the suite could not do its work, in sentences.
struct Refused(Vec<String>);

impl From<String> for Refused {
    fn from(why: String) -> Refused {
        Refused(vec![why])
    }
}

/// Runs what the command line says.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        Command::Run(args) => with_runtime(run::run(args)),
        Command::Engine(args) => with_runtime(engine::run(args)),
        Command::Selftest(args) => with_runtime(unless_stopped(selftest::run(args))),
        Command::Keeper(args) => keeper(args),
        Command::Page(args) => page::run(args),
        Command::List(args) => show::list(args),
        Command::Describe(args) => show::describe(args),
    };
    match done {
        Ok(status) => status.into(),
        Err(Refused(reasons)) => {
            for reason in reasons {
                eprintln!("conveyor-conformance: {reason}");
            }
            Status::CouldNot.into()
        }
    }
}

/// `keeper`.
fn keeper(args: &args::KeeperArgs) -> Result<Status, Refused> {
    let kept = conveyor_conformance::keep(&args.run, &args.root, args.suite);
    kept.map_err(|error| format!("keeper of {}: {error}", args.root.display()))?;
    Ok(Status::AsExpected)
}

/// Why what there is is a part.
const STOPPED: &str = "it was told to end by a signal";

/// Work that a signal ends; what it started ends with it.
async fn unless_stopped(
    work: impl Future<Output = Result<Status, Refused>>,
) -> Result<Status, Refused> {
    tokio::select! {
        done = work => done,
        () = stopped() => Err(Refused(vec![STOPPED.to_owned()])),
    }
}

/// Ready once no more cases are to be run; why.
async fn over(limit_seconds: u64) -> String {
    let limit = std::time::Duration::from_secs(limit_seconds);
    tokio::select! {
        () = stopped() => STOPPED.to_owned(),
        () = tokio::time::sleep(limit) => {
            format!("the time of all cases together, {limit_seconds} s, is over (--time-limit)")
        }
    }
}

/// Ready once somebody asks the process to end.
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    let (interrupt, terminate) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    );
    match (interrupt, terminate) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        // The system's own way to end it is left then.
        _ => std::future::pending().await,
    }
}

/// Tells people. Who does not read on, as `head` does, is told no more.
fn tell(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Does work that starts processes: whatever becomes of this one, a keeper ends them.
fn with_runtime(work: impl Future<Output = Result<Status, Refused>>) -> Result<Status, Refused> {
    let own = std::env::current_exe().map_err(|error| format!("where this program is: {error}"))?;
    // It ends behind all else.
    let _keeper = Keeper::start(&own).map_err(|error| format!("a keeper: {error}"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| format!("cannot start threads: {error}"))?;
    let done = runtime.block_on(work);
    // What of an engine still waits is not waited for.
    runtime.shutdown_background();
    done
}
