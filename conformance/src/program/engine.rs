//! An engine is tested.

use super::args::EngineArgs;
use super::progress::Progress;
use super::reports::Reports;
use super::run::{Chosen, backend, engines, lists, patterns, told, trace};
use super::{Refused, over};
use conveyor_conformance::{Backend, Results, Status, engine, today};
use std::ffi::OsString;
use std::path::PathBuf;

/// An engine that runs already.
fn endpoint(args: &EngineArgs, url: &str) -> Result<Backend, Refused> {
    let is_tls = url.to_ascii_lowercase().starts_with("https:");
    if let (Some(file), false) = (&args.ca, is_tls) {
        return Err(Refused(vec![format!(
            "--ca {} is of an `https` --endpoint, and this is {url}: leave it out",
            file.display()
        )]));
    }
    let ca = match is_tls {
        true => args
            .ca
            .clone()
            .or(variable("CONVEYOR_CA")?.map(PathBuf::from)),
        false => None,
    };
    let token = match &args.token {
        Some(token) => Some(token.clone()),
        None => variable("CONVEYOR_TOKEN")?,
    };
    Ok(Backend::Endpoint {
        url: url.to_owned(),
        ca,
        token,
    })
}

/// A variable of this program's; one that is empty says as much as none.
fn variable(name: &str) -> Result<Option<String>, Refused> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty());
    let text = value.map(OsString::into_string).transpose();
    text.map_err(|_| Refused(vec![format!("{name} is no text of UTF-8")]))
}

/// `engine`.
pub(super) async fn run(args: &EngineArgs) -> Result<Status, Refused> {
    let reports = Reports::new(&args.output)?;
    let backend = match &args.endpoint {
        Some(url) => endpoint(args, url)?,
        None => backend(&args.backend)?,
    };
    let name = match &backend {
        Backend::Embedded => "embedded",
        Backend::Server { .. } => "server",
        Backend::Endpoint { .. } => "endpoint",
    };
    let Chosen { cases, replaced } = engines(&args.cases.case_file)?;
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
    // Before any case: it says once what each of them would.
    if let Some(url) = &args.endpoint {
        let met = engine::meet(&options.backend).await;
        met.map_err(|why| format!("--endpoint {url}: {why}"))?;
    }
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
    results.subject.case_files = told(&args.cases.case_file);
    results.subject.replaced = replaced;
    reports.write(&results)
}
