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
    diagnostics: Vec<DiagnosticReport>,
    /// What holds for `conveyor run` only.
    warnings: Vec<String>,
    #[serde(skip)]
    text: String,
}

#[derive(Debug, Serialize)]
struct DiagnosticReport {
    severity: String,
    line: u32,
    column: u32,
    pointer: String,
    message: String,
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
    files: Vec<FileReport>,
}

/// Checks documents, each to its end, and prints every mistake.
pub(crate) fn check(args: &CheckArgs) -> Exit {
    let files: Vec<_> = args
        .files
        .iter()
        .map(|file| check_file(file, args.strict))
        .collect();
    let report = Report {
        ok: files.iter().all(|file| file.ok),
        files,
    };
    let text = match args.output {
        CheckOutput::Text => Ok(report.files.iter().map(text).collect()),
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
        file: path.display().to_string(),
        ok: false,
        pipeline: None,
        digest: None,
        steps: None,
        unreadable: None,
        diagnostics: Vec::new(),
        warnings: Vec::new(),
        text: String::new(),
    };
    match source::document(path) {
        Ok(document) => {
            let plan = document.plan();
            report.pipeline = Some(plan.name.to_string());
            report.digest = Some(plan.digest.to_string());
            report.steps = Some(plan.steps.len());
            report.warnings = source::foreign_drivers(&plan);
            report.text = source::diagnostics_text(&document.diagnostics);
            report.diagnostics = document.diagnostics.iter().map(diagnostic).collect();
            report.ok = !strict || (report.warnings.is_empty() && report.diagnostics.is_empty());
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
        found: from.found.clone(),
        allowed: from.allowed.clone(),
        nearest: from.nearest.clone(),
    }
}

fn text(report: &FileReport) -> String {
    let FileReport { file, text, .. } = report;
    let mut text = text.clone();
    for warning in &report.warnings {
        text.push_str(&format!("{file}: warning: {warning}\n"));
    }
    let verdict = match (report.ok, &report.pipeline, report.steps) {
        (true, Some(pipeline), Some(steps)) => {
            format!("ok: pipeline {pipeline}, {}", human::count(steps, "step"))
        }
        _ => {
            let of = |severity| {
                report
                    .diagnostics
                    .iter()
                    .filter(|d| d.severity == severity)
                    .count()
            };
            let errors = of("error") + usize::from(report.unreadable.is_some());
            let warnings = of("warning") + report.warnings.len();
            match errors {
                0 => format!("refused: {}", human::count(warnings, "warning")),
                errors => format!("refused: {}", human::count(errors, "error")),
            }
        }
    };
    text.push_str(&format!("{file}: {verdict}\n"));
    text
}
