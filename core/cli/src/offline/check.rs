//! `conveyor check`.

use crate::args::{CheckArgs, CheckOutput};
use crate::exit::{Exit, refuse};
use crate::render::{data, human};
use crate::source::{self, Unusable};
use crate::terminal;
use conveyor_engine::document::Diagnostic;
use serde::Serialize;

/// What is said of one file.
#[derive(Debug, Serialize)]
struct FileReport {
    file: String,
    ok: bool,
    /// Where it was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pipeline: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<usize>,
    /// Where it cannot be read at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
    /// Drivers that `conveyor run` does not have are warnings among them.
    diagnostics: Vec<DiagnosticReport>,
    #[serde(skip)]
    text: String,
}

impl FileReport {
    /// Errors and warnings.
    fn counts(&self) -> (usize, usize) {
        let of = |severity| {
            let of = self.diagnostics.iter().filter(|d| d.severity == severity);
            of.map(|told| told.unlisted.max(1)).sum::<usize>()
        };
        let unreadable = usize::from(self.unreadable.is_some());
        (of("error") + unreadable, of("warning"))
    }
}

#[derive(Debug, Serialize)]
struct DiagnosticReport {
    severity: String,
    line: u32,
    column: u32,
    pointer: String,
    message: String,
    /// How many it stands for that are only counted.
    #[serde(skip_serializing_if = "is_zero")]
    unlisted: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nearest: Option<String>,
}

#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    errors: usize,
    warnings: usize,
    files: Vec<FileReport>,
}

/// Checks documents, each to its end, and prints every mistake.
pub(crate) fn check(args: &CheckArgs) -> Exit {
    let files: Vec<_> = args
        .files
        .iter()
        .map(|file| check_file(file, args.strict))
        .collect();
    let counts = files.iter().map(FileReport::counts);
    let (errors, warnings) = counts.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    let report = Report {
        ok: files.iter().all(|file| file.ok),
        errors,
        warnings,
        files,
    };
    let text = match args.output {
        CheckOutput::Text => Ok(texts(&report)),
        CheckOutput::Json => data::json(&report),
        CheckOutput::Yaml => data::yaml(&report),
    };
    match text {
        Ok(text) => terminal::print(&text),
        Err(message) => return refuse(message),
    }
    if report.ok {
        Exit::Succeeded
    } else {
        Exit::Refused
    }
}

fn check_file(path: &std::path::Path, strict: bool) -> FileReport {
    let mut report = FileReport {
        file: source::name(path),
        ok: false,
        pipeline: None,
        digest: None,
        steps: None,
        unreadable: None,
        diagnostics: Vec::new(),
        text: String::new(),
    };
    match source::document(path) {
        Ok(document) => {
            let plan = document.plan();
            report.pipeline = Some(plan.name.to_string());
            report.digest = Some(plan.digest.to_string());
            report.steps = Some(plan.steps.len());
            let mut told = source::foreign_drivers(&document, path);
            told.extend(document.diagnostics.iter().cloned());
            told.sort_by_key(|one| (one.line, one.column));
            report.text = source::diagnostics_text(&told);
            report.diagnostics = told.iter().map(diagnostic).collect();
            report.ok = !strict || told.is_empty();
        }
        Err(unusable) => {
            report.text = unusable.text();
            match &unusable {
                Unusable::Unread(message) => report.unreadable = Some(message.clone()),
                Unusable::Wrong(wrong) => {
                    report.diagnostics = wrong.iter().map(diagnostic).collect();
                }
            }
        }
    }
    report
}

fn diagnostic(from: &Diagnostic) -> DiagnosticReport {
    DiagnosticReport {
        severity: from.severity.to_string(),
        line: from.line,
        column: from.column,
        pointer: from.pointer.clone(),
        message: from.message.clone(),
        unlisted: from.unlisted,
        found: from.found.clone(),
        allowed: from.allowed.clone(),
        nearest: from.nearest.clone(),
    }
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Each file's text, and for several the count of all.
fn texts(report: &Report) -> String {
    let mut all: String = report.files.iter().map(text).collect();
    if report.files.len() > 1 {
        let refused = report.files.iter().filter(|file| !file.ok).count();
        all.push_str(&format!(
            "{}: {refused} refused, {}, {}\n",
            human::count(report.files.len(), "file"),
            human::count(report.errors, "error"),
            human::count(report.warnings, "warning"),
        ));
    }
    all
}

fn text(report: &FileReport) -> String {
    let FileReport { file, text, .. } = report;
    let mut text = text.clone();
    let verdict = match (report.ok, &report.pipeline, report.steps) {
        (true, Some(pipeline), Some(steps)) => {
            format!("ok: pipeline {pipeline}, {}", human::count(steps, "step"))
        }
        _ => {
            let (errors, warnings) = report.counts();
            match errors {
                0 => format!("refused: {}", human::count(warnings, "warning")),
                errors => format!("refused: {}", human::count(errors, "error")),
            }
        }
    };
    text.push_str(&format!("{file}: {verdict}\n"));
    text
}
