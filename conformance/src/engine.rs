//! The suite for engines: it plays drivers and clients, and checks a server from outside.

mod cases;
mod driver;
pub(crate) mod http;
mod link;
mod script;
mod steps;
mod stream;
mod values;

pub use crate::backend::Backend;
pub use cases::{CaseInfo, cases, uncited};

use crate::backend::{Engine, Setting, Unavailable};
use crate::v1::EngineCase;
use futures_util::StreamExt as _;
use script::Script;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is run, and against what.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The engine.
    pub backend: Backend,
    /// Names of the cases that are run. Default: all.
    pub only: Option<BTreeSet<String>>,
    /// How many cases run at once; 0 for the default of 8: most of them wait for something.
    pub jobs: usize,
}

/// What became of a case.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its name.
    pub case: String,
    /// The rules that it cites.
    pub requires: Vec<String>,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
}

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it is to be.
    Passed,
    /// Otherwise; a sentence that names the step.
    Failed(String),
    /// It was not run to its end, for a reason that says nothing of the engine.
    CouldNotRun(String),
}

/// Cases at once.
const JOBS: usize = 8;
/// How long a case may take that says nothing else.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// Why a case goes no further.
enum Stop {
    Failed(String),
    CouldNotRun(String),
}

impl From<Unavailable> for Stop {
    fn from(why: Unavailable) -> Stop {
        Stop::CouldNotRun(why.0)
    }
}

/// Runs the cases, and gives what became of each, by name.
///
/// # Errors
/// What is wrong with the cases themselves, and names of `only` that are none.
pub async fn run(options: Options) -> Result<Vec<Outcome>, Vec<String>> {
    let cases = cases::read()
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    if let Some(only) = &options.only {
        let known = |name: &&String| cases.iter().any(|case| case.name == **name);
        let strangers: Vec<_> = only.iter().filter(|name| !known(name)).collect();
        if !strangers.is_empty() {
            let each = strangers
                .iter()
                .map(|name| format!("there is no case `{name}`"));
            return Err(each.collect());
        }
    }
    let wanted = |case: &EngineCase| {
        options
            .only
            .as_ref()
            .is_none_or(|only| only.contains(&case.name))
    };
    let cases = cases.into_iter().filter(wanted);
    // Cases that arrange nothing share one engine where starting one is dear.
    let shared = match &options.backend {
        Backend::Embedded => None,
        backend => Some(Arc::new(Engine::start(backend, &Setting::default()).await)),
    };
    let each = cases.map(|case| {
        let (backend, shared) = (options.backend.clone(), shared.clone());
        async move { one(&case, &backend, shared).await }
    });
    let jobs = if options.jobs == 0 {
        JOBS
    } else {
        options.jobs
    };
    let mut outcomes: Vec<_> = futures_util::stream::iter(each)
        .buffer_unordered(jobs)
        .collect()
        .await;
    outcomes.sort_by(|one, other| one.case.cmp(&other.case));
    if let Some(Ok(engine)) = shared.and_then(Arc::into_inner) {
        engine.stop().await;
    }
    Ok(outcomes)
}

type Shared = Arc<Result<Engine, Unavailable>>;

/// Runs one case.
async fn one(case: &EngineCase, backend: &Backend, shared: Option<Shared>) -> Outcome {
    let begun = Instant::now();
    let limit = match case.time_limit_ms {
        0 => TIME_LIMIT,
        limit => Duration::from_millis(limit),
    };
    let performed = perform(case, backend, shared, limit).await;
    Outcome {
        case: case.name.clone(),
        requires: case.requires.clone(),
        verdict: match performed {
            Ok(()) => Verdict::Passed,
            Err(Stop::Failed(why)) => Verdict::Failed(why),
            Err(Stop::CouldNotRun(why)) => Verdict::CouldNotRun(why),
        },
        took: begun.elapsed(),
    }
}

async fn perform(
    case: &EngineCase,
    backend: &Backend,
    shared: Option<Shared>,
    limit: Duration,
) -> Result<(), Stop> {
    let setting = cases::setting(case);
    let own = setting != Setting::default() || cases::needs_its_own(case);
    let foreign = matches!(backend, Backend::Endpoint { .. });
    if let Some(shared) = shared.filter(|_| !own || foreign) {
        if own {
            return Err(Stop::CouldNotRun(
                "it needs an engine of its own, which is arranged or restarted: one that runs already is not".to_owned(),
            ));
        }
        let engine = match &*shared {
            Ok(engine) => engine,
            Err(why) => return Err(why.clone().into()),
        };
        return within(limit, Script::new(case, Played::Shared(engine)).play()).await;
    }
    let mut engine = Engine::start(backend, &setting).await?;
    let played = within(limit, Script::new(case, Played::Own(&mut engine)).play()).await;
    engine.stop().await;
    played
}

/// The engine of a case.
enum Played<'a> {
    /// Others use it, too.
    Shared(&'a Engine),
    /// It is the case's own, and may be restarted.
    Own(&'a mut Engine),
}

impl Played<'_> {
    fn engine(&self) -> &Engine {
        match self {
            Played::Shared(engine) => engine,
            Played::Own(engine) => engine,
        }
    }
}

async fn within(
    limit: Duration,
    played: impl Future<Output = Result<(), Stop>>,
) -> Result<(), Stop> {
    let played = tokio::time::timeout(limit, played).await;
    played.unwrap_or_else(|_| {
        Err(Stop::Failed(format!(
            "it took longer than its `time_limit_ms` of {}",
            limit.as_millis()
        )))
    })
}

#[cfg(test)]
mod tests;
