//! The suite for engines: it plays drivers and clients, and checks a server from outside.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `cases`, `flaws` | its cases, and what is wrong with one that somebody wrote |
//! | `script`, `steps`, `values` | a case as it is performed, and what it has saved |
//! | `driver`, `stream`, `link` | drivers that play, and streams on which a case says each message |
//! | `http` | a client of REST |
//! | `told` | a case as prose |
//! | `talk` | what was said, for `--trace` |

mod cases;
mod driver;
mod flaws;
pub(crate) mod http;
mod link;
mod script;
mod steps;
mod stream;
pub(crate) mod talk;
pub(crate) mod told;
mod values;

pub use crate::backend::Backend;
pub use cases::{embedded, read_cases, uncited};

use crate::backend::{Engine, Setting, Unavailable};
use crate::lists::Lists;
use crate::names::{Pattern, RunName};
use crate::result::{Finding, Missing, Outcome, Results, Rule, Subject, Verdict};
use crate::runner::Trace;
use crate::v1::EngineCase;
use futures_util::StreamExt as _;
use http::{Answer, Asked, Http};
use script::Script;
use std::sync::Arc;
use std::time::{Duration, Instant};
use talk::Talk;

/// What is run, and against what.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The engine.
    pub backend: Backend,
    /// The cases: [`embedded`], and those of files.
    pub cases: Vec<EngineCase>,
    /// Which of them: those that one of these matches. Default: all.
    pub include: Vec<Pattern>,
    /// But those that one of these matches.
    pub exclude: Vec<Pattern>,
    /// What is known of cases.
    pub lists: Lists,
    /// How many cases run at once; 0 for the default of 8: most of them wait for something.
    pub parallel: usize,
    /// Whether what was said stands in the outcomes.
    pub trace: Trace,
    /// What reports call the engine; empty for `conveyor`, and for the address of one that runs already.
    pub name: String,
}

impl Options {
    /// What reports call the engine.
    pub fn name(&self) -> String {
        match (&self.name[..], &self.backend) {
            ("", Backend::Endpoint { url, .. }) => url.clone(),
            ("", Backend::Embedded | Backend::Server { .. }) => "conveyor".to_owned(),
            (name, _) => name.to_owned(),
        }
    }

    fn chosen(&self, run: &RunName) -> bool {
        let among = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(run));
        (self.include.is_empty() || among(&self.include)) && !among(&self.exclude)
    }
}

/// Cases at once.
const PARALLEL: usize = 8;
/// How long a case may take that says nothing else.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// Why a case goes no further.
#[derive(Debug)]
enum Stop {
    /// The engine did not do what it must: a sentence, and at which step that was seen.
    Failed(String, Option<usize>),
    /// The suite cannot do what the case says.
    CouldNotRun(String),
    /// The case does to an engine what cannot be done to this one.
    NotDeclared(&'static str),
}

/// What a case needs that has secrets, access tokens or restarts. Somebody else's engine is for others, too.
const OWN: &str = "to start the engine";

impl Stop {
    fn failed(sentence: impl Into<String>) -> Stop {
        Stop::Failed(sentence.into(), None)
    }
}

impl From<Unavailable> for Stop {
    fn from(why: Unavailable) -> Stop {
        Stop::CouldNotRun(why.0)
    }
}

/// What each case is called as a run: there is one of each.
///
/// # Errors
/// A sentence: which case has no name.
pub fn names(cases: &[EngineCase]) -> Result<Vec<RunName>, String> {
    let name = |case: &EngineCase| case.name.parse::<RunName>();
    let names: Result<Vec<_>, _> = cases.iter().map(name).collect();
    names.map_err(|error| error.to_string())
}

/// Whether an engine that runs already is there: one call of it. Of one that is started its cases tell.
///
/// # Errors
/// A sentence: its address is none, its authorities cannot be read, or it does not answer.
pub async fn meet(backend: &Backend) -> Result<(), String> {
    if !matches!(backend, Backend::Endpoint { .. }) {
        return Ok(());
    }
    let engine = Engine::start(backend, &Setting::default()).await;
    let engine = engine.map_err(|why| why.to_string())?;
    let answer = tokio::time::timeout(TIME_LIMIT, asked(&engine)).await;
    let answer = answer.unwrap_or_else(|_| {
        let seconds = TIME_LIMIT.as_secs();
        Err(format!("the engine did not answer within {seconds} s"))
    });
    engine.stop().await;
    answer.map(|_| ())
}

/// What an engine says of itself.
async fn asked(engine: &Engine) -> Result<Answer, String> {
    let http = Http::new(engine.url(), &Talk::new(Trace::default()));
    http.call(&Asked::get("/v1/server", engine.token())).await
}

/// Runs cases against an engine. `told` hears of each outcome as it comes, and how many there will be.
///
/// # Errors
/// A sentence: which case has no name.
pub async fn run(
    options: &Options,
    mut told: impl FnMut(&Outcome, usize),
) -> Result<Results, String> {
    let runs = names(&options.cases)?.into_iter().zip(&options.cases);
    let chosen: Vec<_> = runs.filter(|(run, _)| options.chosen(run)).collect();
    let count = chosen.len();
    // Cases that arrange nothing share one engine where starting one is dear.
    let shared = match &options.backend {
        Backend::Embedded => None,
        backend => Some(Arc::new(Engine::start(backend, &Setting::default()).await)),
    };
    let each = chosen.into_iter().map(|(run, case)| {
        let shared = shared.clone();
        async move { one(run, case, options, shared).await }
    });
    let parallel = match options.parallel {
        0 => PARALLEL,
        parallel => parallel,
    };
    let mut results = Results {
        subject: Subject {
            name: options.name(),
            version: version(shared.as_deref()).await,
            suite: env!("CARGO_PKG_VERSION").to_owned(),
            ..Subject::default()
        },
        possible: count as u64,
        ..Results::default()
    };
    let mut outcomes = futures_util::stream::iter(each).buffer_unordered(parallel);
    while let Some(outcome) = outcomes.next().await {
        told(&outcome, count);
        results.outcomes.push(outcome);
    }
    drop(outcomes);
    results
        .outcomes
        .sort_by(|one, other| one.run.cmp(&other.run));
    if let Some(Ok(engine)) = shared.and_then(Arc::into_inner) {
        engine.stop().await;
    }
    Ok(results)
}

/// Which version an engine says that it is; of the one within the suite it is the suite's. Empty where it does not tell.
async fn version(engine: Option<&Result<Engine, Unavailable>>) -> String {
    let Some(engine) = engine else {
        return env!("CARGO_PKG_VERSION").to_owned();
    };
    let Ok(engine) = engine else {
        return String::new();
    };
    let answer = tokio::time::timeout(TIME_LIMIT, asked(engine)).await;
    let version = answer.ok().and_then(Result::ok);
    let version = version.and_then(|answer| answer.body["version"].as_str().map(str::to_owned));
    version.unwrap_or_default()
}

type Shared = Arc<Result<Engine, Unavailable>>;

/// Runs one case.
async fn one(
    run: RunName,
    case: &EngineCase,
    options: &Options,
    shared: Option<Shared>,
) -> Outcome {
    let begun = Instant::now();
    let limit = match case.time_limit_ms {
        0 => TIME_LIMIT,
        limit => Duration::from_millis(limit),
    };
    let said = Talk::new(options.trace);
    let performed = perform(case, &options.backend, shared, limit, &said).await;
    let requires: Vec<_> = case
        .requires
        .iter()
        .filter_map(|rule| rule.parse::<Rule>().ok())
        .collect();
    let verdict = match performed {
        Ok(()) => Verdict::Passed,
        Err(Stop::Failed(sentence, place)) => Verdict::Failed {
            findings: vec![Finding {
                // Which of several it was the case does not say.
                requirement: match &requires[..] {
                    [rule] => Some(rule.clone()),
                    _ => None,
                },
                sentence,
                place,
            }],
        },
        Err(Stop::CouldNotRun(why)) => Verdict::CouldNotRun { why },
        Err(Stop::NotDeclared(what)) => Verdict::NotDeclared {
            missing: Missing {
                besides: vec![what.to_owned()],
                ..Missing::default()
            },
        },
    };
    Outcome {
        expectation: options.lists.expectation(&run),
        run,
        requires,
        features: Vec::new(),
        verdict,
        took: begun.elapsed(),
        stderr: Vec::new(),
        messages: said.lines(),
    }
}

async fn perform(
    case: &EngineCase,
    backend: &Backend,
    shared: Option<Shared>,
    limit: Duration,
    said: &Talk,
) -> Result<(), Stop> {
    let setting = cases::setting(case);
    let own = setting != Setting::default() || cases::needs_its_own(case);
    let foreign = matches!(backend, Backend::Endpoint { .. });
    if let Some(shared) = shared.filter(|_| !own || foreign) {
        if own {
            return Err(Stop::NotDeclared(OWN));
        }
        let engine = match &*shared {
            Ok(engine) => engine,
            Err(why) => return Err(why.clone().into()),
        };
        return within(
            limit,
            Script::new(case, Played::Shared(engine), said).play(),
        )
        .await;
    }
    let mut engine = Engine::start(backend, &setting).await?;
    let played = within(
        limit,
        Script::new(case, Played::Own(&mut engine), said).play(),
    )
    .await;
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
        Err(Stop::failed(format!(
            "the case did not end within {} ms: the engine did not do in time what a step waits for",
            limit.as_millis()
        )))
    })
}

#[cfg(test)]
mod tests;
