//! The program: `conveyor-conformance-raw`, started by the conformance suite or by hand.

use conveyor_conformance_raw::breaks::{Break, Breaks, SWITCHES, Switch};
use conveyor_conformance_raw::launch;
use conveyor_conformance_raw::session::{Session, note};
use std::io::Write;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

const USAGE: &str = "\
A driver over the contract's generated stubs alone, for the conformance suite.

Usage: conveyor-conformance-raw [--break SWITCH] [--list-switches]

  --break SWITCH    Violate one requirement, as the switch says. Default: CONVEYOR_CONFORMANCE_BREAK, else none
  --list-switches   Print each switch, its requirement and what it does, with tabs between, and end

How to connect stands on standard input, or in the environment: CONVEYOR_URL, CONVEYOR_TOKEN, CONVEYOR_CA, and
CONVEYOR_CONFORMANCE_ TRANSPORT (stream, unary or rest), DRIVER, VERSION, CAPACITY and DRAIN_MS.

Exit status: 0 it was told to stop, 1 it could not go on, 2 it could not start.
";

fn main() -> ExitCode {
    let breaks = match arguments(std::env::args().skip(1)) {
        Ok(Asked::Run(breaks)) => breaks,
        Ok(Asked::Print(text)) => {
            // Whoever reads may have read enough.
            let _ = std::io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            note(&why);
            return ExitCode::from(2);
        }
    };
    match run(breaks) {
        Ok(()) => ExitCode::SUCCESS,
        Err((status, why)) => {
            note(&why);
            ExitCode::from(status)
        }
    }
}

enum Asked {
    Run(Breaks),
    Print(String),
}

fn arguments(mut arguments: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut switch = std::env::var("CONVEYOR_CONFORMANCE_BREAK").unwrap_or_default();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--break" => {
                let named = arguments.next();
                switch = named.ok_or("--break wants a switch: see --list-switches")?;
            }
            "--list-switches" => {
                let line = |switch: &Switch| {
                    let Switch {
                        name,
                        requirement,
                        sentence,
                        ..
                    } = switch;
                    format!("{name}\t{requirement}\t{sentence}\n")
                };
                return Ok(Asked::Print(SWITCHES.iter().map(line).collect()));
            }
            "--help" | "-h" => return Ok(Asked::Print(USAGE.to_owned())),
            other => {
                return Err(format!(
                    "`{other}` is no argument of this program\n\n{USAGE}"
                ));
            }
        }
    }
    Breaks::named(&switch).map(Asked::Run)
}

/// Runs the driver. User code has threads of its own, so that the session is never held up by it (R20).
fn run(breaks: Breaks) -> Result<(), (u8, String)> {
    let wrong = |why: std::io::Error| (2, why.to_string());
    let launch = launch::launched().map_err(|why| (2, why))?;
    let programs = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(wrong)?;
    let session = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(wrong)?;
    let ended = session.block_on(async {
        let (stop, stopped) = watch::channel(false);
        let mut terminate = signal(SignalKind::terminate()).map_err(wrong)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(wrong)?;
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            stop.send_replace(true);
            // The channel stays open: a session that is told once goes on watching.
            stop.closed().await;
        });
        let handle = match breaks.has(Break::WaitsForUserCode) {
            true => tokio::runtime::Handle::current(),
            false => programs.handle().clone(),
        };
        Session::new(launch, breaks, handle)
            .run(stopped)
            .await
            .map_err(|why| (1, why))
    });
    // What still computes ends with the process.
    programs.shutdown_background();
    ended
}
