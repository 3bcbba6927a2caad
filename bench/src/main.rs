//! Conveyor's benchmarks: each figure beside its budget and a calibration of the disk.

mod calibrate;
mod chains;
mod crowd;
mod driver;
mod external;
mod faults;
mod finished;
mod flood;
mod followers;
mod graphs;
mod idle;
mod load;
mod logs;
mod many;
mod program;
mod remote;
mod report;
mod server;
mod sessions;
mod sse;

use report::{Line, Results};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

const HELP: &str = "\
Measures Conveyor against its budgets, durably, on this machine.

Usage: conveyor-bench [run [--quick] | external [--quick] | faults DIR | render]

  run      measure, print one table, write docs/results/local.json, render docs/benchmarks.md
           --quick  a tenth of the work: to see that it runs, not to quote
  external measure only what needs `conveyor serve` in a process of its own; print, write nothing
           --quick  as above
  faults   write docs/results/faults.json from the counts that fault tests left in DIR, one line of
           JSON each, and render docs/faults.md; `make faults` runs the tests
  render   write docs/benchmarks.md and docs/faults.md from docs/results/*.json
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        [] | ["run"] => run(1),
        ["run", "--quick"] => run(10),
        ["external"] => external(1),
        ["external", "--quick"] => external(10),
        ["faults", folder] => faults::record(Path::new(folder)).and_then(|()| render()),
        ["render"] => render(),
        // The processes that `external` and its like let work, log and read.
        ["driver", url, capacity, sessions] => driver::driver(url, capacity, sessions),
        ["flood", url, tasks, rate] => flood::driver(url, tasks, rate),
        ["followers", url, run, count] => crowd::readers(url, run, count),
        // The process that `graphs` starts for each size.
        ["layered", folder, size] => graphs::layered(Path::new(folder), size),
        // The process that `many` kills.
        ["in-flight", folder, runs] => many::in_flight(Path::new(folder), runs),
        // The processes that `finished` compares.
        ["finished", folder, runs, seconds] => finished::part(Path::new(folder), runs, seconds),
        _ => {
            print(HELP);
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print(&format!("{error}\n"));
            ExitCode::FAILURE
        }
    }
}

type Done = Result<(), Box<dyn std::error::Error>>;

/// All benchmarks, with `part` of the work left out of each.
fn run(part: u32) -> Done {
    // Beside the build, so that it is on the disk that is measured.
    let target = report::docs().join("../target");
    std::fs::create_dir_all(&target)?;
    let folder = tempfile::tempdir_in(target)?;
    let calibration = calibrate::fdatasync(folder.path(), (2000 / part) as usize)?;
    let f = calibration.f_ms;
    let mut lines = Vec::new();
    show(&mut lines, calibration.lines);
    load::runtime()?.block_on(async {
        // First, while the process is small: what is resident later is what the allocator kept.
        show(
            &mut lines,
            many::parked(folder.path(), 100_000 / part).await?,
        );
        show(&mut lines, chains::one(folder.path(), f, 200 / part).await?);
        show(
            &mut lines,
            chains::many(folder.path(), 64, 40 / part.min(8)).await?,
        );
        show(
            &mut lines,
            graphs::fans(folder.path(), 1, 40 / part.min(8)).await?,
        );
        show(&mut lines, graphs::fans(folder.path(), 32, 5).await?);
        show(&mut lines, graphs::layers(folder.path(), part)?);
        for runs in [20_000, 100_000] {
            show(
                &mut lines,
                many::recovery(folder.path(), runs / part).await?,
            );
        }
        show(&mut lines, finished::lines(folder.path(), 100_000 / part)?);
        outside(&mut lines, folder.path(), f, part).await
    })?;
    show(&mut lines, program::lines(folder.path())?);
    let results = Results {
        command: if part == 1 {
            "make bench"
        } else {
            "make bench (quick)"
        }
        .to_owned(),
        commit: report::commit()?,
        machine: report::machine(),
        lines,
    };
    if part == 1 {
        std::fs::create_dir_all(report::docs().join("results"))?;
        let text = serde_json::to_string_pretty(&results)? + "\n";
        std::fs::write(report::docs().join("results/local.json"), text)?;
        render()?;
    }
    Ok(())
}

/// What has the server in a process of its own.
fn external(part: u32) -> Done {
    let target = report::docs().join("../target");
    std::fs::create_dir_all(&target)?;
    let folder = tempfile::tempdir_in(target)?;
    let calibration = calibrate::fdatasync(folder.path(), (2000 / part) as usize)?;
    let f = calibration.f_ms;
    let mut lines = Vec::new();
    show(&mut lines, calibration.lines);
    load::runtime()?.block_on(outside(&mut lines, folder.path(), f, part))
}

async fn outside(lines: &mut Vec<Line>, folder: &Path, f: f64, part: u32) -> Done {
    show(lines, idle::lines(folder)?);
    show(lines, external::one(folder, f, 200 / part).await?);
    let runs = 40 / part.min(8);
    show(lines, external::chains(folder, 64, runs).await?);
    show(lines, external::fans(folder, 32, 5).await?);
    let idle = Duration::from_secs(u64::from(20 / part));
    show(
        lines,
        sessions::lines(folder, 1_000 / part, idle, runs).await?,
    );
    let each = Duration::from_secs(u64::from(10 / part));
    show(lines, logs::lines(folder, 200 / part, each).await?);
    let wait_ms = 5_000 / part;
    show(
        lines,
        followers::lines(folder, 10_000 / part, wait_ms).await?,
    );
    Ok(())
}

/// Prints new lines, and keeps them.
fn show(lines: &mut Vec<Line>, new: Vec<Line>) {
    print(&report::table(&new));
    lines.extend(new);
}

fn render() -> Done {
    let page = report::page(&report::read_all()?);
    std::fs::write(report::docs().join("benchmarks.md"), page)?;
    faults::render()?;
    Ok(())
}

fn print(text: &str) {
    use std::io::Write as _;
    // Nobody is left to be told that the terminal is gone.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}
