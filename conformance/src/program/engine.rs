//! An engine is tested.

use super::Refused;
use super::args::EngineArgs;
use super::reports::Reports;
use super::run::{backend, patterns};
use conveyor_conformance::{
    Backend, Expectation, Finding, Outcome, Results, RunName, Status, Subject, Verdict, engine,
    today,
};

/// `engine`.
pub(super) async fn run(args: &EngineArgs) -> Result<Status, Refused> {
    let reports = Reports::new(&args.output)?;
    let backend = match &args.endpoint {
        Some(url) => Backend::Endpoint {
            url: url.clone(),
            ca: args.ca.clone(),
            token: args.token.clone(),
        },
        None => backend(&args.backend)?,
    };
    let name = match &backend {
        Backend::Embedded => "embedded",
        Backend::Server { .. } => "server",
        Backend::Endpoint { .. } => "endpoint",
    };
    let cases = engine::cases().map_err(Refused)?;
    let read = |name: &str| name.parse::<RunName>().map_err(|error| error.to_string());
    let all = cases.iter().map(|case| read(&case.name));
    let all: Vec<RunName> = all.collect::<Result<_, _>>()?;
    let include = patterns(&args.choice.include, &all)?;
    let exclude = patterns(&args.choice.exclude, &all)?;
    let chosen = all.iter().filter(|run| {
        (include.is_empty() || include.iter().any(|one| one.matches(run)))
            && !exclude.iter().any(|one| one.matches(run))
    });
    let only: std::collections::BTreeSet<String> = chosen.map(ToString::to_string).collect();
    let count = only.len();
    let options = engine::Options {
        backend,
        only: Some(only),
        jobs: args.choice.parallel,
    };
    let outcomes = engine::run(options).await.map_err(Refused)?;
    let outcomes = outcomes.iter().map(common);
    let results = Results {
        subject: Subject {
            name: "conveyor".to_owned(),
            profile: "engine".to_owned(),
            backend: name.to_owned(),
            suite: env!("CARGO_PKG_VERSION").to_owned(),
            date: today(),
            chosen: args.choice.include.clone(),
            excluded: args.choice.exclude.clone(),
            ..Subject::default()
        },
        possible: count as u64,
        outcomes: outcomes.collect::<Result<_, _>>()?,
        ..Results::default()
    };
    reports.write(&results)
}

/// An engine's outcome as reports have them.
fn common(outcome: &engine::Outcome) -> Result<Outcome, String> {
    let run = outcome.case.parse::<RunName>();
    Ok(Outcome {
        run: run.map_err(|error| error.to_string())?,
        requires: outcome
            .requires
            .iter()
            .filter_map(|rule| rule.parse().ok())
            .collect(),
        features: Vec::new(),
        verdict: match &outcome.verdict {
            engine::Verdict::Passed => Verdict::Passed,
            engine::Verdict::Failed(sentence) => Verdict::Failed {
                findings: vec![Finding {
                    requirement: None,
                    sentence: sentence.clone(),
                    place: None,
                }],
            },
            engine::Verdict::CouldNotRun(why) => Verdict::CouldNotRun { why: why.clone() },
        },
        expectation: Expectation::MustPass,
        took: outcome.took,
        stderr: Vec::new(),
        messages: Vec::new(),
    })
}
