//! What is written of results.

use super::args::Output;
use super::{Refused, tell};
use conveyor_conformance::{
    Results, Rule, Status, TextOptions, badge, json_report, junit_report, known_failing, profile,
    sentence_of, text_report,
};
use std::io::{IsTerminal as _, stdout};
use std::path::PathBuf;

/// Kinds of reports, with the names that they have in a directory.
const KINDS: [(&str, &str); 6] = [
    ("text", "report.txt"),
    ("junit", "junit.xml"),
    ("json", "report.json"),
    ("profile", "profile.md"),
    ("badge", "badge.svg"),
    ("known-failing", "known-failing.new.txt"),
];

/// Where reports go.
pub(super) struct Reports {
    files: Vec<(&'static str, PathBuf)>,
    verbose: bool,
}

impl Reports {
    /// Looks at what was asked for, before anything is run.
    pub(super) fn new(output: &Output) -> Result<Reports, Refused> {
        let mut files = Vec::new();
        let mut wrong = Vec::new();
        for text in &output.report {
            let kind = text.split_once('=').and_then(|(kind, file)| {
                let known = KINDS.iter().find(|(name, _)| *name == kind)?;
                (!file.is_empty()).then(|| (known.0, PathBuf::from(file)))
            });
            match kind {
                Some(kind) => files.push(kind),
                None => wrong.push(format!(
                    "--report {text}: it is KIND=FILE, and kinds are text, junit, json, profile, badge, known-failing"
                )),
            }
        }
        if let Some(directory) = &output.report_dir {
            if let Err(error) = std::fs::create_dir_all(directory) {
                wrong.push(format!("--report-dir {}: {error}", directory.display()));
            }
            let all = KINDS
                .iter()
                .map(|(kind, file)| (*kind, directory.join(file)));
            files.extend(all);
        }
        match wrong.is_empty() {
            true => Ok(Reports {
                files,
                verbose: output.verbose,
            }),
            false => Err(Refused(wrong)),
        }
    }

    /// Tells people, and writes the files.
    pub(super) fn write(&self, results: &Results) -> Result<Status, Refused> {
        let options = TextOptions {
            colour: stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
            all: self.verbose,
        };
        tell(&text_report(results, options));
        let sentences = |rule: &Rule| sentence_of(rule);
        let mut wrong = Vec::new();
        for (kind, file) in &self.files {
            let text = match *kind {
                "junit" => junit_report(results),
                "json" => json_report(results, &sentences),
                "profile" => profile(results, &sentences),
                "badge" => badge(results),
                "known-failing" => known_failing(results),
                _ => text_report(
                    results,
                    TextOptions {
                        colour: false,
                        all: true,
                    },
                ),
            };
            if let Err(error) = std::fs::write(file, text) {
                wrong.push(format!("the report {}: {error}", file.display()));
            }
        }
        match wrong.is_empty() {
            true => Ok(results.status()),
            false => Err(Refused(wrong)),
        }
    }
}
