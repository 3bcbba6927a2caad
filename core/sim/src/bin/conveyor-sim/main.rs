//! Replays and sweeps seeds of the simulator.

#[cfg(feature = "planted")]
mod planted;
mod tally;

use conveyor_sim::simulation::{self, Counts, Options, Violation};
use std::fmt::Write as _;
use std::process::ExitCode;

const HELP: &str = "\
Runs Conveyor's engine and node over a store and a clock that fail, from a seed.

Usage: conveyor-sim [--seed N | --seeds COUNT [--from N]] [--planted NAME] [--trace] [--json]

  --seed N       live through one seed, and print what happened
  --trace        print what led to a violation
  --seeds COUNT  live through so many seeds (default 2000) and print how often each fault was
                 injected, the process died at each point, and each row of the transition tables
                 was met; fails when any of them counts 0 over 2000 seeds or more
  --from N       the first of them (default 0)
  --planted all  plant every fault there is in the product's own code, one at a time, and live
                 through the seeds until one catches it; fails when a fault escapes
  --planted NAME plant this one
  --planted list print their names
  --json         print a line of JSON for each count instead of tables; `make faults` reads it

A seed that fails prints what must never be, and exits with status 1; the same seed fails again in
the same way. Faults can be planted only in a simulator that is built with the feature `planted`.

  conveyor-sim --seed 17
  conveyor-sim --seeds 10000 --from 5000
  conveyor-sim --planted timers-lost-in-fold --seed 3 --trace
";

/// So many seeds have to meet everything at least once.
const ENOUGH: u64 = 2000;

/// What was asked for.
struct Asked {
    seed: Option<u64>,
    count: u64,
    from: u64,
    planted: Option<String>,
    trace: bool,
    json: bool,
    help: bool,
}

impl Asked {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Asked, String> {
        let mut asked = Asked {
            seed: None,
            count: ENOUGH,
            from: 0,
            planted: None,
            trace: false,
            json: false,
            help: false,
        };
        while let Some(argument) = arguments.next() {
            let mut number = || {
                let text = arguments.next().unwrap_or_default();
                let wrong = |_| format!("{argument} takes a number, found {text:?}");
                text.parse::<u64>().map_err(wrong)
            };
            match argument.as_str() {
                "--seed" => asked.seed = Some(number()?),
                "--seeds" => asked.count = number()?,
                "--from" => asked.from = number()?,
                "--planted" => {
                    let name = arguments.next();
                    asked.planted = Some(name.ok_or("--planted takes a name, `all` or `list`")?);
                }
                "--trace" => asked.trace = true,
                "--json" => asked.json = true,
                "--help" | "-h" => asked.help = true,
                _ => return Err(format!("{argument}: not an option")),
            }
        }
        Ok(asked)
    }

    fn seeds(&self) -> std::ops::Range<u64> {
        self.seed
            .map_or(self.from..self.from + self.count, |seed| seed..seed + 1)
    }

    fn options(&self) -> Options {
        Options {
            trace: self.trace,
            ..Options::default()
        }
    }
}

fn main() -> ExitCode {
    let asked = match Asked::parse(std::env::args().skip(1)) {
        Ok(asked) => asked,
        Err(problem) => return refuse(&problem),
    };
    if asked.help {
        print(HELP);
        return ExitCode::SUCCESS;
    }
    match &asked.planted {
        None => sweep(&asked),
        #[cfg(feature = "planted")]
        Some(name) => planted::hunt(name, &asked),
        #[cfg(not(feature = "planted"))]
        Some(name) => refuse(&format!(
            "--planted {name}: this simulator was built without the feature `planted`; with it:\n\
             cargo run --release -p conveyor-sim --features planted -- --planted {name}"
        )),
    }
}

fn sweep(asked: &Asked) -> ExitCode {
    let (seeds, options) = (asked.seeds(), asked.options());
    let enough = asked.seed.is_none() && asked.count >= ENOUGH;
    match on_stack(move || simulation::sweep(seeds, &options)) {
        Some(Ok(counts)) => {
            print(&match asked.json {
                true => tally::counts(&counts, asked.count),
                false => table(&counts),
            });
            let missing = counts.missing();
            if enough && !missing.is_empty() {
                print(&format!("\nnever: {}\n", missing.join(", ")));
                return ExitCode::FAILURE;
            }
            ExitCode::SUCCESS
        }
        Some(Err(violation)) => {
            tell(&violation);
            ExitCode::FAILURE
        }
        None => ExitCode::FAILURE,
    }
}

/// Runs something on a stack that the engine fits in; `None` when it panics, which then was told.
fn on_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    std::thread::Builder::new()
        .stack_size(conveyor_engine::STACK_BYTES)
        .spawn(work)
        .ok()?
        .join()
        .ok()
}

fn tell(violation: &Violation) {
    for line in &violation.history {
        print(&format!("{line}\n"));
    }
    print(&format!("{violation}\n"));
}

fn table(counts: &Counts) -> String {
    let mut text = format!(
        "{} runs, {} attempts, {} crashes\n\n",
        counts.runs, counts.attempts, counts.crashes
    );
    for (heading, crashes) in [("injected errors", false), ("crash points", true)] {
        let _ = writeln!(text, "{heading}:");
        let names = counts.faults.iter();
        for (name, count) in names.filter(|(name, _)| name.starts_with("crash ") == crashes) {
            let _ = writeln!(text, "{count:>9}  {name}");
        }
        text.push('\n');
    }
    text.push_str("rows of the transition tables:\n");
    for ((from, event, to), count) in &counts.rows {
        let _ = writeln!(text, "{count:>9}  {from} --{}--> {to}", event.as_str());
    }
    for ((from, event, to), count) in &counts.run_rows {
        let _ = writeln!(text, "{count:>9}  run {from} --{}--> {to}", event.as_str());
    }
    text
}

fn refuse(problem: &str) -> ExitCode {
    print(&format!("{problem}\n\n{HELP}"));
    ExitCode::from(2)
}

fn print(text: &str) {
    use std::io::Write as _;
    // Nobody is left to be told that the terminal is gone.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}
