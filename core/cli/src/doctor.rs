//! `conveyor doctor`: what is wrong with a setup, one line each, and what to do.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `finding` | a line of the report |
//! | `place` | the data directory, its disk, and what the process may use |
//! | `server` | whoever answers: version, readiness, drivers, runs |

mod finding;
mod place;
mod server;

use crate::args::{DoctorArgs, Output};
use crate::client::{Problem, data_dir, with_runtime};
use crate::config::{Config, Given, resolve, strangers};
use crate::exit::Exit;
use crate::render::data;
use crate::terminal;
use finding::{Finding, State};
use serde_json::json;

/// `conveyor doctor`.
pub(crate) fn doctor(args: &DoctorArgs) -> Exit {
    with_runtime(Some(2), async {
        match look(args).await {
            Ok(findings) => report(args, &findings),
            Err(problem) => problem.tell(),
        }
    })
}

async fn look(args: &DoctorArgs) -> Result<Vec<Finding>, Problem> {
    let mut findings = Vec::new();
    let config = configuration(args, &mut findings)?;
    findings.extend(strangers().into_iter().map(|name| {
        Finding::doubtful(
            "environment",
            format!("{name} is no setting, and counts for nothing"),
            "correct its name: `conveyor serve --print-config` has all settings",
        )
    }));
    findings.push(place::clock());
    findings.push(place::open_files(&config));
    findings.extend(place::named_paths(&config));
    findings.extend(place::door(&config));
    if let Some(url) = args.place.server() {
        findings.extend(server::at(&url).await);
        return Ok(findings);
    }
    let path = args
        .place
        .data_dir
        .clone()
        .or_else(|| config.data_dir.clone());
    let path = data_dir(path).map_err(Problem::refused)?;
    let (found, holder) = place::directory(&path);
    findings.extend(found);
    match holder {
        place::Holder::Somebody => findings.extend(server::over(&path).await),
        place::Holder::Nobody => findings.push(place::port(config.listen).await),
    }
    Ok(findings)
}

/// The configuration, or the defaults where it is wrong: the rest is looked at all the same.
fn configuration(args: &DoctorArgs, findings: &mut Vec<Finding>) -> Result<Config, Problem> {
    let given = Given {
        file: args.config.clone(),
        ..Given::default()
    };
    match resolve(given, |name| std::env::var(name).ok()) {
        Ok(resolved) => {
            let from = match &resolved.file {
                Some(file) => format!("{} is valid", file.display()),
                None => "no file: defaults and the environment".to_owned(),
            };
            findings.push(Finding::good("configuration", from));
            Ok(resolved.config)
        }
        Err(problems) => {
            let lines = problems.lines();
            findings.extend(lines.map(|line| {
                Finding::wrong(
                    "configuration",
                    line,
                    "correct it; the server does not start with it",
                )
            }));
            let defaults = resolve(Given::default(), |_| None);
            Ok(defaults.map_err(Problem::refused)?.config)
        }
    }
}

fn report(args: &DoctorArgs, findings: &[Finding]) -> Exit {
    let wrong = findings.iter().any(|finding| finding.state == State::Wrong);
    let rows = || {
        let rows = findings.iter().map(|finding| {
            json!({
                "check": finding.check,
                "state": finding.state.word(),
                "found": finding.found,
                "advice": finding.advice,
            })
        });
        json!({ "ok": !wrong, "findings": rows.collect::<Vec<_>>() })
    };
    let text = match args.form.output {
        Output::Json => data::json(&rows()),
        Output::Yaml => data::yaml(&rows()),
        Output::Table => Ok(findings.iter().map(Finding::line).collect()),
    };
    match text {
        Ok(text) => terminal::print(&text),
        Err(why) => return Problem::refused(why).tell(),
    }
    match wrong {
        true => Exit::Failed,
        false => Exit::Succeeded,
    }
}
