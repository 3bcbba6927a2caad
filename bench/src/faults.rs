//! What the tests of faults did and found: docs/results/faults.json, and the page that shows it.

use crate::report::{FAULTS, Machine, commit, docs, machine, thousands};
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

/// One run of `make faults`.
#[derive(Debug, Serialize, Deserialize)]
struct Faults {
    /// The command that made it.
    command: String,
    /// The commit that it tested.
    commit: String,
    machine: Machine,
    lines: Vec<Line>,
}

/// One line of a test: what it did so often, or what it asserted.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    name: String,
    figure: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<i64>,
    /// Whether what must be was; `None` where it is a count alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held: Option<bool>,
}

/// Collects what the tests left in a folder, a line of JSON each.
pub(crate) fn record(folder: &Path) -> Result<(), Box<dyn Error>> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .map_err(|error| format!("{}: {error}", folder.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    let mut lines: Vec<Line> = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file)?;
        for (at, line) in (1..).zip(text.lines()) {
            let read = serde_json::from_str(line);
            lines.push(read.map_err(|error| format!("{}:{at}: {error}", file.display()))?);
        }
    }
    if lines.is_empty() {
        return Err(format!("{}: no test left a count", folder.display()).into());
    }
    let faults = Faults {
        command: "make faults".to_owned(),
        commit: commit()?,
        machine: machine(),
        lines,
    };
    let mut text = serde_json::to_string_pretty(&faults)?;
    text.push('\n');
    std::fs::write(results(), text)?;
    Ok(())
}

/// Writes `docs/faults.md`.
pub(crate) fn render() -> Result<(), Box<dyn Error>> {
    std::fs::write(docs().join("faults.md"), page(&read()?))?;
    Ok(())
}

fn results() -> std::path::PathBuf {
    docs().join("results").join(FAULTS)
}

fn read() -> Result<Faults, Box<dyn Error>> {
    Ok(serde_json::from_slice(&std::fs::read(results())?)?)
}

fn page(faults: &Faults) -> String {
    let machine = &faults.machine;
    let mut out = format!(
        "# Faults\n\n\
         Rendered from `docs/results/faults.json`, which `{}` writes; a test compares the two. Each part is a \
         test that injects faults: how often it did what, and what it asserted afterwards (*held*; the test fails \
         at the first exception). [simulator.md](simulator.md) says what the simulator plays and looks at.\n\n\
         At {}, on {} ({} cores, {} GiB, Linux {}).\n",
        faults.command,
        faults.commit,
        machine.cpu,
        machine.cores,
        machine.memory_gib,
        machine.kernel
    );
    let mut names: Vec<&str> = Vec::new();
    for line in &faults.lines {
        if !names.contains(&line.name.as_str()) {
            names.push(&line.name);
        }
    }
    for name in names {
        let _ = write!(
            out,
            "\n## {}\n\n| what | count | |\n| --- | ---: | --- |\n",
            heading(name)
        );
        for line in faults.lines.iter().filter(|line| line.name == name) {
            let _ = writeln!(
                out,
                "| {} | {} | {} |",
                line.figure,
                line.value.map(thousands).unwrap_or_default(),
                match line.held {
                    Some(true) => "held",
                    Some(false) => "**did not hold**",
                    None => "",
                }
            );
        }
    }
    out
}

/// With a capital.
fn heading(name: &str) -> String {
    let mut rest = name.chars();
    let first = rest.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + rest.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_the_counts() {
        let faults = read().expect("docs/results/faults.json reads");
        let found = std::fs::read_to_string(docs().join("faults.md")).expect("docs/faults.md");
        assert_eq!(
            found,
            page(&faults),
            "run `cargo run --release -p conveyor-bench -- render`"
        );
    }

    #[test]
    fn all_that_was_asserted_held() {
        let faults = read().expect("docs/results/faults.json reads");
        assert!(faults.lines.iter().all(|line| line.held != Some(false)));
    }
}
