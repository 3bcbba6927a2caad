//! A driver is tested.

mod of_profile;

use super::args::{
    AxesName, BackendArgs, BackendName, CaseArgs, DriverProfile, Output, Profile, RunArgs,
};
use super::progress::Progress;
use super::reports::Reports;
use super::{Refused, over};
use conveyor_conformance::{
    Backend, Breadth, Endpoint, ListFile, Lists, Options, Outcome, Pattern, Program, Results,
    RunName, Status, Trace, embedded, engine, names, read_cases, read_config, today, v1,
};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc::UnboundedReceiver;

/// `run`.
pub(super) async fn run(args: &RunArgs) -> Result<Status, Refused> {
    if args.command.is_empty() && args.endpoint.is_none() {
        return Err(Refused(vec![
            "which driver? `conveyor-conformance run -- ./my-driver` starts one; `--endpoint HOST:PORT` waits for one"
                .to_owned(),
        ]));
    }
    let profile = Profile::from(args.profile);
    if args.profile == DriverProfile::Driver && args.config.is_none() {
        return Err(Refused(vec![
            "--profile driver needs --config FILE, which says what the driver's actions take: docs/testing-a-driver.md#a-finished-driver"
                .to_owned(),
        ]));
    }
    if args.endpoint.is_some_and(|address| address.port() == 0) {
        return Err(Refused(vec![
            "--endpoint with the port 0: name a port, for the driver comes to the same one for each case"
                .to_owned(),
        ]));
    }
    let reports = Reports::new(&args.output)?;
    let backend = backend(&args.backend)?;
    let config = match &args.config {
        Some(file) => {
            let text = text(file)?;
            let name = file.display().to_string();
            let config = read_config(&name, &text, profile.name()).map_err(Refused)?;
            if args.endpoint.is_some() {
                of_a_start(&name, &config)?;
            }
            config
        }
        None => v1::Config::default(),
    };
    let Chosen { cases, replaced } = cases(profile, &args.cases.case_file)?;
    let all = names(&cases, &config)?;
    let include = patterns(&args.choice.include, &all)?;
    let exclude = patterns(&args.choice.exclude, &all)?;
    let lists = lists(&args.cases, &all)?;
    let (endpoint, waits) = match args.endpoint.map(Endpoint::telling) {
        Some((endpoint, waits)) => (Some(endpoint), Some(waits)),
        None => (None, None),
    };
    let options = Options {
        program: Program {
            command: args.command.clone(),
            environment: Vec::new(),
        },
        listen: endpoint,
        config,
        profile: profile.name().to_owned(),
        cases,
        backend,
        breadth: match args.axes {
            AxesName::One => Breadth::One,
            AxesName::Few => Breadth::Few(usize::MAX),
            AxesName::Pairs => Breadth::Pairs,
            AxesName::All => Breadth::All,
        },
        seed: args.seed.unwrap_or_else(day),
        parallel: args.choice.parallel,
        trace: trace(&args.output),
        include,
        exclude,
        lists,
    };
    let over = over(args.choice.time_limit);
    let mut results = performed(&options, waits, over).await?;
    results.subject.suite = env!("CARGO_PKG_VERSION").to_owned();
    results.subject.profile = profile.name().to_owned();
    results.subject.backend = name(args.backend.backend).to_owned();
    results.subject.date = today();
    results.subject.chosen = args.choice.include.clone();
    results.subject.excluded = args.choice.exclude.clone();
    results.subject.case_files = told(&args.cases.case_file);
    results.subject.replaced = replaced;
    reports.write(&results)
}

/// What a config says of how the driver is started, where somebody else starts it.
fn of_a_start(file: &str, config: &v1::Config) -> Result<(), Refused> {
    let said = [
        (!config.environment.is_empty(), "environment"),
        (!config.arguments.is_empty(), "arguments"),
    ];
    let wrong: Vec<String> = said
        .into_iter()
        .filter(|(is, _)| *is)
        .map(|(_, field)| {
            format!(
                "{file}: `{field}` is of a driver that the suite starts, and with --endpoint somebody else does: leave it out, and start the driver so"
            )
        })
        .collect();
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(Refused(wrong)),
    }
}

/// Runs what was chosen until it is done, or `over` says why not, and tells how far it is.
async fn performed(
    options: &Options,
    waits: Option<UnboundedReceiver<RunName>>,
    over: impl Future<Output = String>,
) -> Result<Results, Refused> {
    if let Some(endpoint) = &options.listen {
        eprintln!("the suite is waiting for a driver with:");
        for (name, value) in endpoint.environment() {
            eprintln!("  {name}={value}");
        }
    }
    let progress = RefCell::new(Progress::new());
    let told = |outcome: &Outcome, of| progress.borrow_mut().tell(outcome, of);
    let run = conveyor_conformance::run_until(options, told, over);
    let waiting = async {
        if let Some(mut waits) = waits {
            while let Some(run) = waits.recv().await {
                progress.borrow().waits(&run);
            }
        }
        std::future::pending::<Infallible>().await
    };
    let results = tokio::select! {
        results = run => results,
        never = waiting => match never {},
    };
    progress.borrow().end();
    Ok(results.map_err(|error| error.to_string())?)
}

fn name(backend: BackendName) -> &'static str {
    match backend {
        BackendName::Embedded => "embedded",
        BackendName::Server => "server",
        BackendName::Cluster => "cluster",
    }
}

/// The engine that was asked for.
pub(super) fn backend(args: &BackendArgs) -> Result<Backend, Refused> {
    if let Some(program) = &args.conveyor
        && args.backend != BackendName::Server
    {
        return Err(Refused(vec![format!(
            "--conveyor {} is the program of `--backend server`, and this is `--backend {}`: say the one, or leave out the other",
            program.display(),
            name(args.backend)
        )]));
    }
    match args.backend {
        BackendName::Embedded => Ok(Backend::Embedded),
        BackendName::Server => Ok(Backend::Server {
            program: args.conveyor.clone(),
        }),
        BackendName::Cluster => Err(Refused(vec![
            "--backend cluster comes with a later release: this one has embedded and server"
                .to_owned(),
        ])),
    }
}

/// The suite's cases with those of files.
pub(super) struct Chosen<C> {
    pub(super) cases: Vec<C>,
    /// Names of the suite's own that a file has in their place, sorted.
    pub(super) replaced: Vec<String>,
}

/// The cases of the profile, with those of files, which are of the same one.
pub(super) fn cases(profile: Profile, files: &[PathBuf]) -> Result<Chosen<v1::Case>, Refused> {
    let cases = embedded(profile.name()).map_err(Refused)?;
    let read = |name: &str, text: &str| {
        let cases = read_cases(name, text)?;
        let wrong = of_profile::flaws(name, text, &cases, profile);
        match wrong.is_empty() {
            true => Ok(cases),
            false => Err(wrong),
        }
    };
    with_files(cases, files, read, |case| &case.name)
}

/// The cases of the profile, with those of files, of whichever profile of drivers.
pub(super) fn any_cases(profile: Profile, files: &[PathBuf]) -> Result<Vec<v1::Case>, Refused> {
    let cases = embedded(profile.name()).map_err(Refused)?;
    with_files(cases, files, read_cases, |case| &case.name).map(|chosen| chosen.cases)
}

/// The cases of engines, with those of files.
pub(super) fn engines(files: &[PathBuf]) -> Result<Chosen<v1::EngineCase>, Refused> {
    let cases = engine::embedded().map_err(Refused)?;
    with_files(cases, files, engine::read_cases, |case| &case.name)
}

/// Cases with those of files besides, or in their places.
fn with_files<C>(
    mut cases: Vec<C>,
    files: &[PathBuf],
    read: impl Fn(&str, &str) -> Result<Vec<C>, Vec<String>>,
    name: impl Fn(&C) -> &str,
) -> Result<Chosen<C>, Refused> {
    let suites = cases.len();
    let mut replaced = BTreeSet::new();
    for file in files {
        let more = read(&file.display().to_string(), &text(file)?).map_err(Refused)?;
        for case in more {
            match cases.iter().position(|one| name(one) == name(&case)) {
                Some(at) => {
                    if at < suites {
                        replaced.insert(name(&case).to_owned());
                    }
                    cases[at] = case;
                }
                None => cases.push(case),
            }
        }
    }
    Ok(Chosen {
        cases,
        replaced: replaced.into_iter().collect(),
    })
}

/// The names of files, as reports have them.
pub(super) fn told(files: &[PathBuf]) -> Vec<String> {
    let names = files.iter().map(|file| file.display().to_string());
    names.collect()
}

/// Whether what was said is kept.
pub(super) fn trace(output: &Output) -> Trace {
    match output.trace {
        true => Trace::On,
        false => Trace::Off,
    }
}

/// Patterns of the command line. One of nothing is an error that names what is near.
pub(super) fn patterns(texts: &[String], all: &[RunName]) -> Result<Vec<Pattern>, Refused> {
    let mut patterns = Vec::new();
    let mut wrong = Vec::new();
    for text in texts {
        match text.parse::<Pattern>() {
            Err(error) => wrong.push(error.to_string()),
            Ok(pattern) => match pattern.select(all) {
                Err(unmatched) => wrong.push(unmatched.to_string()),
                Ok(_) => patterns.push(pattern),
            },
        }
    }
    match wrong.is_empty() {
        true => Ok(patterns),
        false => Err(Refused(wrong)),
    }
}

/// What is known of runs.
pub(super) fn lists(args: &CaseArgs, all: &[RunName]) -> Result<Lists, Refused> {
    let read = |file: &PathBuf| {
        Ok(ListFile {
            name: file.display().to_string(),
            text: text(file)?,
        })
    };
    let read = |files: &[PathBuf]| files.iter().map(read).collect::<Result<Vec<_>, Refused>>();
    let lists = Lists::new(&read(&args.known_failing)?, &read(&args.known_flaky)?, all);
    lists.map_err(|errors| Refused(errors.mistakes))
}

pub(super) fn text(file: &Path) -> Result<String, Refused> {
    let text = std::fs::read_to_string(file);
    text.map_err(|error| Refused(vec![format!("{}: {error}", file.display())]))
}

/// The seed of a day: runs of one day are the same, those of many see more.
fn day() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs() / 86_400
}
