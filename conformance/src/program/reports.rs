//! What is written of results.

use super::args::Output;
use super::{Refused, tell};
use conveyor_conformance::{
    Results, Rule, Status, TextOptions, badge, json_report, junit_report, known_failing, profile,
    sentence_of, text_report,
};
use std::collections::BTreeMap;
use std::io::{IsTerminal as _, stdout};
use std::path::{Path, PathBuf};

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
    /// Looks at what was asked for, and makes the directories, before anything is run.
    pub(super) fn new(output: &Output) -> Result<Reports, Refused> {
        let mut files = Vec::new();
        let mut wrong = Vec::new();
        for text in &output.report {
            let kind = text.split_once('=').and_then(|(kind, file)| {
                let known = KINDS.iter().find(|(name, _)| *name == kind)?;
                (!file.is_empty()).then(|| (known.0, PathBuf::from(file)))
            });
            match kind {
                Some(kind) => files.push((format!("--report {text}"), kind)),
                None => wrong.push(format!(
                    "--report {text}: it is KIND=FILE, and kinds are text, junit, json, profile, badge, known-failing"
                )),
            }
        }
        if let Some(directory) = &output.report_dir {
            let option = format!("--report-dir {}", directory.display());
            let all = KINDS
                .iter()
                .map(|(kind, file)| (*kind, directory.join(file)));
            files.extend(all.map(|file| (option.clone(), file)));
        }
        let mut places: BTreeMap<PathBuf, &str> = BTreeMap::new();
        for (option, (_, file)) in &files {
            match place(file) {
                Err(why) => wrong.push(format!("{option}: {why}")),
                Ok(place) => {
                    if let Some(other) = places.insert(place, option) {
                        wrong.push(format!(
                            "{option}: {} is the file of {other}, too: each report has one of its own",
                            file.display()
                        ));
                    }
                }
            }
        }
        // All files of a directory have the same mistake.
        wrong.dedup();
        match wrong.is_empty() {
            true => Ok(Reports {
                files: files.into_iter().map(|(_, file)| file).collect(),
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

/// The file's place, by whatever name; its directory is made.
fn place(file: &Path) -> Result<PathBuf, String> {
    let Some(name) = file.file_name() else {
        return Err(format!("{} is no file's name", file.display()));
    };
    if file.is_dir() {
        return Err(format!("{} is a directory", file.display()));
    }
    let directory = match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let made = std::fs::create_dir_all(directory).and_then(|()| directory.canonicalize());
    let made = made.map_err(|error| {
        format!(
            "the directory {} cannot be made: {error}",
            directory.display()
        )
    })?;
    let place = made.join(name);
    // A link leads to where the report is written.
    Ok(place.canonicalize().unwrap_or(place))
}
