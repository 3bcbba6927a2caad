//! A driver is tested.

use super::args::{AxesName, BackendArgs, BackendName, Profile, RunArgs};
use super::progress::Progress;
use super::reports::Reports;
use super::{Refused, STOPPED, stopped};
use conveyor_conformance::{
    Backend, Breadth, ListFile, Lists, Options, Pattern, Program, Results, RunName, Status, Trace,
    embedded, names, read_cases, read_config, today, v1,
};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// `run`.
pub(super) async fn run(args: &RunArgs) -> Result<Status, Refused> {
    if args.command.is_empty() && args.endpoint.is_none() {
        return Err(Refused(vec![
            "which driver? `conveyor-conformance run -- ./my-driver` starts one; `--endpoint HOST:PORT` waits for one"
                .to_owned(),
        ]));
    }
    if args.profile == Profile::Engine {
        return Err(Refused(vec![
            "engines are tested by `conveyor-conformance engine`".to_owned(),
        ]));
    }
    let reports = Reports::new(&args.output)?;
    let backend = backend(&args.backend)?;
    let config = match &args.config {
        Some(file) => {
            let text = text(file)?;
            let name = file.display().to_string();
            read_config(&name, &text, args.profile.name()).map_err(Refused)?
        }
        None => v1::Config::default(),
    };
    let cases = cases(args.profile, &args.case_file)?;
    let all = names(&cases, &config)?;
    let include = patterns(&args.choice.include, &all)?;
    let exclude = patterns(&args.choice.exclude, &all)?;
    let lists = Lists::new(
        &lists(&args.known_failing)?,
        &lists(&args.known_flaky)?,
        &all,
    );
    let lists = lists.map_err(|errors| Refused(errors.mistakes))?;
    let options = Options {
        program: Program {
            command: args.command.clone(),
            environment: Vec::new(),
        },
        listen: args.endpoint,
        config,
        profile: args.profile.name().to_owned(),
        cases,
        backend,
        breadth: match args.axes {
            AxesName::One => Breadth::One,
            AxesName::Pairs => Breadth::Pairs,
            AxesName::All => Breadth::All,
        },
        seed: args.seed.unwrap_or_else(day),
        parallel: match args.endpoint {
            Some(_) => 1,
            None => args.choice.parallel,
        },
        trace: match args.trace {
            true => Trace::On,
            false => Trace::Off,
        },
        include,
        exclude,
        lists,
    };
    let mut progress = Progress::new();
    if let Some(endpoint) = args.endpoint {
        eprintln!("waiting for a driver with CONVEYOR_URL=http://{endpoint}");
    }
    let mut outcomes = Vec::new();
    let run = conveyor_conformance::run(&options, |outcome, of| {
        progress.tell(outcome, of);
        outcomes.push(outcome.clone());
    });
    let results = tokio::select! {
        results = run => Some(results.map_err(|error| error.to_string())?),
        () = stopped() => None,
    };
    progress.end();
    let mut results = results.unwrap_or_else(|| Results {
        axes: options.breadth.word().to_owned(),
        seed: options.seed,
        stopped: Some(STOPPED.to_owned()),
        outcomes,
        ..Results::default()
    });
    results.subject.suite = env!("CARGO_PKG_VERSION").to_owned();
    results.subject.profile = args.profile.name().to_owned();
    results.subject.backend = name(args.backend.backend).to_owned();
    results.subject.date = today();
    results.subject.chosen = args.choice.include.clone();
    results.subject.excluded = args.choice.exclude.clone();
    reports.write(&results)
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

/// The cases of the profile, with those of files.
pub(super) fn cases(profile: Profile, files: &[PathBuf]) -> Result<Vec<v1::Case>, Refused> {
    let mut cases = embedded(profile.name()).map_err(Refused)?;
    for file in files {
        let more = read_cases(&file.display().to_string(), &text(file)?).map_err(Refused)?;
        for case in more {
            match cases.iter_mut().find(|one| one.name == case.name) {
                Some(one) => *one = case,
                None => cases.push(case),
            }
        }
    }
    Ok(cases)
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

fn lists(files: &[PathBuf]) -> Result<Vec<ListFile>, Refused> {
    let read = |file: &PathBuf| {
        Ok(ListFile {
            name: file.display().to_string(),
            text: text(file)?,
        })
    };
    files.iter().map(read).collect()
}

fn text(file: &Path) -> Result<String, Refused> {
    let text = std::fs::read_to_string(file);
    text.map_err(|error| Refused(vec![format!("{}: {error}", file.display())]))
}

/// The seed of a day: runs of one day are the same, those of many see more.
fn day() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs() / 86_400
}
