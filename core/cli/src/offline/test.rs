//! `conveyor test`: the engine itself, with mocked results and a virtual clock.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `cases` | the file of cases, and what may be wrong with it |
//! | `world` | stands in for node, drivers and clock |
//! | `mocks` | what an attempt of a case gives |
//! | `expect` | what a case asks of the run |
//! | `report` | what is printed |

mod cases;
mod expect;
mod mocks;
mod report;
mod world;

use crate::args::{CheckOutput, TestArgs};
use crate::exit::{Exit, refuse};
use crate::render::data;
use crate::render::style::Style;
use crate::source;
use crate::terminal;
use cases::Case;
use conveyor_engine::plan::Plan;
use report::{CaseReport, Report};
use std::path::PathBuf;
use std::sync::Arc;

/// Runs the cases of a pipeline, and prints what each gave.
pub(crate) fn test(args: &TestArgs) -> Exit {
    let document = match source::document(&args.file) {
        Ok(document) => document,
        Err(unusable) => {
            terminal::print_err(&unusable.text());
            return Exit::Refused;
        }
    };
    let path = args.cases.clone().unwrap_or_else(|| default_cases(args));
    let plan = document.plan();
    if args.cases.is_none() && !path.exists() {
        return refuse(format!(
            "there are no cases beside {}: {} does not exist; write one, or name another by --cases",
            source::name(&args.file),
            path.display()
        ));
    }
    let cases = match source::located(&path).and_then(|file| cases::read(&file, &plan, &path)) {
        Ok(cases) => cases,
        Err(message) => return refuse(message),
    };
    let filter = args.filter.as_deref().unwrap_or_default();
    let chosen: Vec<_> = cases
        .iter()
        .filter(|case| case.name.contains(filter))
        .collect();
    if chosen.is_empty() {
        return refuse(format!(
            "{}: no case's name contains `{filter}`",
            path.display()
        ));
    }
    let report = Report {
        pipeline: plan.name.to_string(),
        cases: chosen
            .into_iter()
            .map(|case| run_case(case, &plan))
            .collect(),
    };
    if let Some(junit) = &args.junit
        && let Err(error) = std::fs::write(junit, report.junit())
    {
        return refuse(format!("cannot write {}: {error}", junit.display()));
    }
    let text = match args.output {
        CheckOutput::Text => Ok(report.text(Style {
            colour: terminal::colours_out(),
        })),
        CheckOutput::Json => data::json(&report),
        CheckOutput::Yaml => data::yaml(&report),
    };
    match text {
        Ok(text) => terminal::print(&text),
        Err(message) => return refuse(message),
    }
    if report.failed() == 0 {
        Exit::Succeeded
    } else {
        Exit::Failed
    }
}

fn default_cases(args: &TestArgs) -> PathBuf {
    args.file.with_extension("test.yaml")
}

fn run_case(case: &Case, plan: &Arc<Plan>) -> CaseReport {
    let inputs = match plan.resolve_inputs(&case.inputs_json()) {
        Ok(inputs) => inputs,
        Err(violations) => {
            let told = violations
                .iter()
                .map(|v| format!("{}: {}", v.pointer, v.message));
            return CaseReport::refused(case, &told.collect::<Vec<_>>().join("; "));
        }
    };
    match world::play(case, plan, &inputs) {
        Ok(played) => CaseReport::played(case, &played),
        Err(message) => CaseReport::broken(case, message),
    }
}
