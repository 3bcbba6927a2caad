//! An engine is tested.

use super::args::EngineArgs;
use super::progress::Progress;
use super::reports::Reports;
use super::run::{backend, engines, lists, patterns, trace};
use super::{Refused, over};
use conveyor_conformance::{Backend, Results, Status, engine, today};

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
    let cases = engines(&args.cases.case_file)?;
    let all = engine::names(&cases)?;
    let options = engine::Options {
        backend,
        cases,
        include: patterns(&args.choice.include, &all)?,
        exclude: patterns(&args.choice.exclude, &all)?,
        lists: lists(&args.cases, &all)?,
        parallel: args.choice.parallel,
        trace: trace(&args.output),
        name: args.name.clone(),
    };
    let called = options.name();
    let mut progress = Progress::new();
    let mut outcomes = Vec::new();
    let run = engine::run(&options, |outcome, of| {
        progress.tell(outcome, of);
        outcomes.push(outcome.clone());
    });
    let results = tokio::select! {
        results = run => Ok(results?),
        why = over(args.choice.time_limit) => Err(why),
    };
    progress.end();
    let mut results = results.unwrap_or_else(|why| Results {
        stopped: Some(why),
        outcomes,
        ..Results::default()
    });
    results.subject.name = called;
    results.subject.suite = env!("CARGO_PKG_VERSION").to_owned();
    results.subject.profile = "engine".to_owned();
    results.subject.backend = name.to_owned();
    results.subject.date = today();
    results.subject.chosen = args.choice.include.clone();
    results.subject.excluded = args.choice.exclude.clone();
    reports.write(&results)
}
