//! Replays and sweeps seeds of the simulator.

use conveyor_sim::simulation::{self, Counts, Options};
use std::fmt::Write as _;
use std::process::ExitCode;

const HELP: &str = "\
Runs Conveyor's engine and node over a store and a clock that fail, from a seed.

Usage: conveyor-sim [--seed N | --seeds COUNT [--from N]] [--trace]

  --seed N       live through one seed, and print what happened
  --trace        print what led to a violation
  --seeds COUNT  live through so many seeds (default 2000) and print how often each fault was
                 injected and each row of the transition tables was met
  --from N       the first of them (default 0)

A seed that fails prints what must never be, and exits with status 1; the same seed fails again in
the same way.

  conveyor-sim --seed 17
  conveyor-sim --seeds 10000 --from 5000
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut seed, mut count, mut from) = (None, 2000, 0);
    let mut options = Options::default();
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse().ok());
        let taken = match argument.as_str() {
            "--seed" => number().map(|n| seed = Some(n)),
            "--seeds" => number().map(|n| count = n),
            "--from" => number().map(|n| from = n),
            "--trace" => {
                options.trace = true;
                Some(())
            }
            "--help" | "-h" => {
                print(HELP);
                return ExitCode::SUCCESS;
            }
            _ => None,
        };
        if taken.is_none() {
            print(&format!(
                "{argument}: not an option, or its number is missing\n\n{HELP}"
            ));
            return ExitCode::from(2);
        }
    }
    let seeds = seed.map_or(from..from + count, |seed| seed..seed + 1);
    let sweep = std::thread::Builder::new()
        .stack_size(conveyor_engine::STACK_BYTES)
        .spawn(move || simulation::sweep(seeds, &options))
        .map(std::thread::JoinHandle::join);
    match sweep {
        Ok(Ok(Ok(counts))) => {
            print(&table(&counts));
            ExitCode::SUCCESS
        }
        Ok(Ok(Err(violation))) => {
            violation
                .history
                .iter()
                .for_each(|line| print(&format!("{line}\n")));
            print(&format!("{violation}\n"));
            ExitCode::FAILURE
        }
        Ok(Err(_)) | Err(_) => ExitCode::FAILURE,
    }
}

fn table(counts: &Counts) -> String {
    let mut text = format!(
        "{} runs, {} attempts, {} crashes\n\n",
        counts.runs, counts.attempts, counts.crashes
    );
    for (name, count) in &counts.faults {
        let _ = writeln!(text, "{count:>9}  {name}");
    }
    text.push('\n');
    for row in conveyor_engine::run::table::INSTANCE {
        let count = counts.rows.get(row).copied().unwrap_or(0);
        let _ = writeln!(
            text,
            "{count:>9}  {} --{}--> {}",
            row.0,
            row.1.as_str(),
            row.2
        );
    }
    text.push('\n');
    for row in conveyor_engine::run::table::RUN {
        let count = counts.run_rows.get(row).copied().unwrap_or(0);
        let _ = writeln!(
            text,
            "{count:>9}  run {} --{}--> {}",
            row.0,
            row.1.as_str(),
            row.2
        );
    }
    text
}

fn print(text: &str) {
    use std::io::Write as _;
    // Nobody is left to be told that the terminal is gone.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}
