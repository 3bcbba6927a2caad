//! Cases run against a driver: which, with what, and what came of them.

mod advertised;
mod endpoint;
pub(crate) mod faults;
mod one;
mod options;
mod plan;
mod probe;
#[cfg(test)]
mod tests;
mod undeclared;

pub use endpoint::Endpoint;
pub(crate) use one::LIMIT;
pub use one::Trace;
pub use options::{Breadth, Options};
pub use plan::names;
pub(crate) use plan::{no_way, transports};

use crate::config::DRIVER;
use crate::keeper;
use crate::names::RunName;
use crate::result::{Expectation, Outcome, Results, Rule, Subject, Verdict};
use crate::rules;
use crate::samples::Answers;
use crate::site::Certificates;
use crate::v1;
use futures_util::StreamExt as _;
use one::One;
use plan::{Plan, Planned, plan};
use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What came of a run, with what is known of it.
pub(crate) fn outcome(
    options: &Options,
    case: &v1::Case,
    run: RunName,
    verdict: Verdict,
) -> Outcome {
    let expectation = match options.lists.expectation(&run) {
        Expectation::MustPass if rules::only_should(&case.requires) => Expectation::ShouldPass,
        listed => listed,
    };
    Outcome {
        requires: case
            .requires
            .iter()
            .filter_map(|rule| rule.parse::<Rule>().ok())
            .collect(),
        features: case.features.clone(),
        run,
        verdict,
        expectation,
        took: Duration::ZERO,
        stderr: Vec::new(),
        messages: Vec::new(),
    }
}

/// Runs cases against a driver. `told` hears of each outcome as it comes, and how many there will be.
///
/// # Errors
/// When the suite cannot begin: no temporary directory, no certificates, a case that cannot be, a profile without what
/// it needs.
pub async fn run(options: &Options, told: impl FnMut(&Outcome, usize)) -> io::Result<Results> {
    run_until(options, told, std::future::pending()).await
}

/// Runs cases against a driver until all are done, or `stop` says why not: then the results are what there is until
/// then.
///
/// # Errors
/// As [`run`].
pub async fn run_until(
    options: &Options,
    mut told: impl FnMut(&Outcome, usize),
    stop: impl Future<Output = String>,
) -> io::Result<Results> {
    if options.profile == DRIVER && options.config.actions.is_empty() {
        return Err(io::Error::other(
            "the config names no action in `actions`: profile `driver` runs their samples",
        ));
    }
    let mut results = Results {
        subject: Subject {
            suite: env!("CARGO_PKG_VERSION").to_owned(),
            ..Subject::default()
        },
        axes: options.breadth.word().to_owned(),
        seed: options.seed,
        ..Results::default()
    };
    let work = perform(options, &mut told, &mut results);
    let stopped = tokio::select! {
        done = work => {
            done?;
            None
        }
        why = stop => Some(why),
    };
    results.stopped = stopped.or(results.stopped.take());
    results
        .outcomes
        .sort_by(|one, other| one.run.cmp(&other.run));
    Ok(results)
}

async fn perform(
    options: &Options,
    told: &mut impl FnMut(&Outcome, usize),
    results: &mut Results,
) -> io::Result<()> {
    let directory = keeper::temporary()?;
    let certificates = Certificates::make(directory.path())?;
    let answers = Answers::start().await?;
    let mut options = prepared(options, &answers);
    let probed = match probe::probe(&options, &certificates).await {
        Ok(probed) => probed,
        Err(outcome) => {
            told(&outcome, 1);
            results.outcomes.push(*outcome);
            let why = "the first meeting with the driver came to nothing: nothing else was run";
            results.stopped = Some(why.to_owned());
            return Ok(());
        }
    };
    if let Some(endpoint) = &mut options.listen {
        endpoint.came_by(probed.way);
    }
    results.subject.name = probed.name.clone();
    results.subject.version = probed.version.clone();
    results.subject.sdk = probed.sdk.clone();
    results.subject.declared = probed.declared.clone();
    let plan = plan(&options, &probed.declared).map_err(io::Error::other)?;
    results.stopped = undeclared::nothing(&options, &plan, &probed.advertised);
    // With the first meeting.
    results.possible = plan.possible + 1;
    let count = plan.runs.len() + plan.undeclared.len() + 1;
    let all = plan.undeclared.into_iter().chain([probed.outcome]);
    for outcome in all {
        told(&outcome, count);
        results.outcomes.push(outcome);
    }
    let parallel = match &options.listen {
        // There is one driver.
        Some(_) => 1,
        None => options.parallel.max(1),
    };
    let one = One {
        options: &options,
        certificates: &certificates,
        driver: probed.name,
        advertised: probed.advertised,
        kept: Mutex::new(probed.kept),
        nobody: AtomicBool::new(false),
    };
    let runs = plan.runs.into_iter().map(|run| one.run(run));
    let mut runs = futures_util::stream::iter(runs).buffer_unordered(parallel);
    while let Some(outcome) = runs.next().await {
        told(&outcome, count);
        let run = outcome.run.clone();
        results.outcomes.push(outcome);
        if let Some(endpoint) = &options.listen
            && one.nobody.load(Ordering::Relaxed)
        {
            // Nobody waits for each of hundreds.
            let left = count - results.outcomes.len();
            results.stopped = Some(endpoint.nobody_again(&run, left));
            break;
        }
    }
    Ok(())
}

/// The options with what their config says in its places.
fn prepared(options: &Options, answers: &Answers) -> Options {
    let mut options = options.clone();
    options.config = answers.placed(&options.config);
    let environment = options.config.environment.clone();
    options.program.environment.extend(environment);
    if !options.program.command.is_empty() {
        let arguments = options.config.arguments.clone();
        options.program.command.extend(arguments);
    }
    options
}

/// The files of a run.
pub(crate) fn place() -> io::Result<(tempfile::TempDir, PathBuf)> {
    let directory = keeper::temporary()?;
    let own = directory.path().join("work");
    std::fs::create_dir(&own)?;
    Ok((directory, own))
}
