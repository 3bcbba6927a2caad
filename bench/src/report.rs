//! What a benchmark run leaves: a JSON file, and the page that shows it.

use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// One run of the benchmarks, as `docs/results/*.json` holds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    /// The command that made it.
    pub(crate) command: String,
    /// The commit that it measured.
    pub(crate) commit: String,
    /// The machine that it ran on.
    pub(crate) machine: Machine,
    /// What was measured, in order.
    pub(crate) lines: Vec<Line>,
}

/// A machine, as far as figures depend on it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
}

/// One figure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    /// What was done.
    pub(crate) name: String,
    /// What was read off.
    pub(crate) figure: String,
    /// The figure.
    pub(crate) value: f64,
    pub(crate) unit: String,
    /// What DESIGN's budget says, in words; empty where there is none.
    pub(crate) budget: String,
    /// Whether it is met; `None` where there is none.
    pub(crate) met: Option<bool>,
    /// What the figure was made from, at most 1,000 of them.
    pub(crate) samples: Vec<f64>,
}

impl Line {
    /// A figure without a budget.
    pub(crate) fn plain(name: &str, figure: &str, value: f64, unit: &str) -> Line {
        Line {
            name: name.to_owned(),
            figure: figure.to_owned(),
            value,
            unit: unit.to_owned(),
            budget: String::new(),
            met: None,
            samples: Vec::new(),
        }
    }

    /// A figure that may be at most so much.
    pub(crate) fn at_most(mut self, most: f64, words: &str) -> Line {
        self.met = Some(self.value <= most);
        self.budget = format!("≤ {} {}{words}", number(most), self.unit);
        self
    }

    /// A figure that has to be at least so much.
    pub(crate) fn at_least(mut self, least: f64, words: &str) -> Line {
        self.met = Some(self.value >= least);
        self.budget = format!("≥ {} {}{words}", number(least), self.unit);
        self
    }

    pub(crate) fn samples(mut self, samples: &[f64]) -> Line {
        let step = samples.len().div_ceil(1000).max(1);
        self.samples = samples
            .iter()
            .step_by(step)
            .map(|x| (x * 1e3).round() / 1e3)
            .collect();
        self
    }

    fn verdict(&self) -> &'static str {
        match self.met {
            Some(true) => "met",
            Some(false) => "missed",
            None => "",
        }
    }
}

/// The value at a part of sorted samples.
pub(crate) fn percentile(samples: &mut [f64], part: f64) -> f64 {
    if samples.is_empty() {
        return f64::NAN;
    }
    samples.sort_by(f64::total_cmp);
    let at = ((samples.len() - 1) as f64 * part).round() as usize;
    samples[at]
}

/// Three significant digits.
pub(crate) fn number(value: f64) -> String {
    if value >= 100.0 || value == 0.0 {
        return thousands(value.round() as i64);
    }
    let places = (2 - value.abs().log10().floor() as i32).clamp(0, 6) as usize;
    format!("{value:.places$}")
}

pub(crate) fn thousands(value: i64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && digit.is_ascii_digit() {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The lines as a table for a terminal.
pub(crate) fn table(lines: &[Line]) -> String {
    let mut out = String::new();
    for line in lines {
        let _ = writeln!(
            out,
            "{:<57} {:<26} {:>12} {:<8} {:<34} {}",
            line.name,
            line.figure,
            number(line.value),
            line.unit,
            line.budget,
            line.verdict()
        );
    }
    out
}

/// `docs/benchmarks.md`, from all results.
pub(crate) fn page(all: &[(String, Results)]) -> String {
    let mut out = String::from(
        "# Benchmarks\n\nRendered from `docs/results/*.json` by `cargo run --release -p conveyor-bench -- render`; \
         a test compares the two. F is the median of `fdatasync` after a small append, measured in the \
         same run. A budget's words and the way it is measured are those of the project's design.\n",
    );
    for (file, results) in all {
        let machine = &results.machine;
        let _ = write!(
            out,
            "\n## {file}\n\n`{}` at {}, on {} ({} cores, {} GiB, Linux {}).\n\n\
             | what | figure | value | budget | |\n| --- | --- | ---: | --- | --- |\n",
            results.command,
            results.commit,
            machine.cpu,
            machine.cores,
            machine.memory_gib,
            machine.kernel
        );
        for line in &results.lines {
            let _ = writeln!(
                out,
                "| {} | {} | {} {} | {} | {} |",
                line.name,
                line.figure,
                number(line.value),
                line.unit,
                line.budget,
                line.verdict()
            );
        }
    }
    out
}

/// The repository's `docs`.
pub(crate) fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// The file in `docs/results` that is no benchmark's.
pub(crate) const FAULTS: &str = "faults.json";

/// All results of benchmarks in `docs/results`, by file name.
pub(crate) fn read_all() -> std::io::Result<Vec<(String, Results)>> {
    let mut all = Vec::new();
    let Ok(folder) = std::fs::read_dir(docs().join("results")) else {
        return Ok(all);
    };
    for entry in folder {
        let path = entry?.path();
        let results = path
            .extension()
            .is_some_and(|extension| extension == "json");
        if results && !path.ends_with(FAULTS) {
            let results = serde_json::from_slice(&std::fs::read(&path)?)?;
            let name = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            all.push((name, results));
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(all)
}

/// The commit that is checked out.
pub(crate) fn commit() -> std::io::Result<String> {
    let head = std::process::Command::new("git")
        .args(["rev-parse", "--short", "HEAD"])
        .output()?;
    Ok(String::from_utf8_lossy(&head.stdout).trim().to_owned())
}

/// This machine.
pub(crate) fn machine() -> Machine {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default();
        line.split(':').nth(1).unwrap_or_default().trim().to_owned()
    };
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let kib: u64 = memory
        .split(' ')
        .next()
        .and_then(|kib| kib.parse().ok())
        .unwrap_or(0);
    Machine {
        cpu: field(&read("/proc/cpuinfo"), "model name"),
        cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        memory_gib: kib >> 20,
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_significant_digits() {
        for (value, text) in [
            (0.0, "0"),
            (0.01234, "0.0123"),
            (1.5, "1.50"),
            (99.94, "99.9"),
            (12345.6, "12,346"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn the_page_shows_the_results() {
        let all = read_all().expect("docs/results reads");
        let found =
            std::fs::read_to_string(docs().join("benchmarks.md")).expect("docs/benchmarks.md");
        assert_eq!(
            found,
            page(&all),
            "run `cargo run --release -p conveyor-bench -- render`"
        );
    }
}
