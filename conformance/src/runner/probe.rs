//! The first meeting with a driver: who it is, and what it declares. It is a case that is always run.

use super::advertised::{self, capabilities};
use super::endpoint::{self, Endpoint, Kept};
use super::{Options, outcome, place};
use crate::backend::Setting;
use crate::config::{self, DRIVER};
use crate::contract::MEETING;
use crate::names::RunName;
use crate::result::{Finding, Outcome, Verdict};
use crate::script::{Cast, Halt, Stage};
use crate::site::{Certificates, Site, Transport};
use crate::v1;
use crate::wire::From;
use std::time::{Duration, Instant};

/// What a driver under the profile `contract` is called.
pub(super) const UNDER_TEST: &str = "under-test";
/// How long a driver has from its start to its hello, in milliseconds.
const START: u64 = 10_000;
/// How long one has that somebody else is to start.
const COMES: u64 = 60_000;

/// What a driver said of itself.
pub(super) struct Probed {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) sdk: String,
    pub(super) declared: Vec<String>,
    /// The capabilities of its hello.
    pub(super) advertised: Vec<String>,
    /// By which way it came, as `Launch.transport` calls them.
    pub(super) way: Option<&'static str>,
    /// Where it is, when somebody else has started it.
    pub(super) kept: Option<Kept>,
    pub(super) outcome: Outcome,
}

/// Starts the driver once, or waits for it, and reads its hello.
///
/// # Errors
/// What came of it where nothing else can be run.
pub(super) async fn probe(
    options: &Options,
    certificates: &Certificates,
) -> Result<Probed, Box<Outcome>> {
    let began = Instant::now();
    let told = |verdict: Verdict, stderr: Vec<String>| {
        let mut outcome = outcome(options, &case(options), run(), verdict);
        outcome.took = began.elapsed();
        outcome.stderr = stderr;
        Box::new(outcome)
    };
    let met = match meet_by_any(options, certificates).await {
        Ok(met) => met,
        Err(Unmet::Ended(why, stderr) | Unmet::Failed(why, stderr)) => {
            return Err(told(failed(why), stderr));
        }
        Err(Unmet::Unable(why)) => return Err(told(Verdict::CouldNotRun { why }, Vec::new())),
    };
    let text = |key: &str| met.hello[key].as_str().unwrap_or_default().to_owned();
    let (name, wanted) = (text("driver"), &options.config.driver);
    if options.profile == DRIVER && !wanted.is_empty() && *wanted != name {
        let why = format!("the config is of the driver `{wanted}`; `{name}` has come");
        return Err(told(failed(why), met.stderr));
    }
    let advertised = capabilities(&met.hello);
    let verdict = match advertised::flaw(options, &advertised) {
        Some(why) => failed(why),
        None => Verdict::Passed,
    };
    Ok(Probed {
        name,
        version: text("version"),
        sdk: text("sdk"),
        declared: advertised::declared(options, &advertised),
        advertised,
        way: met.way,
        kept: met.kept,
        outcome: *told(verdict, met.stderr),
    })
}

/// The case, also where only others are given.
fn case(options: &Options) -> v1::Case {
    let mut cases = options.cases.iter();
    let given = cases.find(|case| case.name == MEETING).cloned();
    given.unwrap_or_else(|| v1::Case {
        name: MEETING.to_owned(),
        requires: vec!["R1".to_owned()],
        ..v1::Case::default()
    })
}

fn run() -> RunName {
    // The name is the suite's own: the tests read it.
    MEETING
        .parse()
        .unwrap_or_else(|error| unreachable!("{error}"))
}

fn failed(sentence: String) -> Verdict {
    let finding = Finding {
        requirement: None,
        sentence,
        place: None,
    };
    Verdict::Failed {
        findings: vec![finding],
    }
}

/// Why a driver was not met.
enum Unmet {
    /// Its process ended before it said hello: it may not speak what it was asked to.
    Ended(String, Vec<String>),
    Failed(String, Vec<String>),
    Unable(String),
}

/// A driver that was met.
struct Met {
    hello: serde_json::Value,
    /// Its last lines on standard error.
    stderr: Vec<String>,
    way: Option<&'static str>,
    kept: Option<Kept>,
}

/// Meets it by the first way that it speaks: of those that it declares, or of all where it declares none.
async fn meet_by_any(options: &Options, certificates: &Certificates) -> Result<Met, Unmet> {
    let features = match options.profile == DRIVER {
        true => config::declared(&options.config),
        false => options.config.features.clone(),
    };
    let declares = |transport: &Transport| {
        let own = transport.spoken();
        features.is_empty() || features.iter().any(|feature| feature == own)
    };
    let ways = [Transport::Tcp, Transport::Unary, Transport::Rest];
    let mut first = None;
    for way in ways.into_iter().filter(declares) {
        match meet(options, certificates, way).await {
            Err(Unmet::Ended(why, stderr)) => {
                first.get_or_insert(Unmet::Ended(why, stderr));
            }
            met => return met,
        }
    }
    let none = || Unmet::Unable("the config declares none of stream, unary, rest".to_owned());
    Err(first.unwrap_or_else(none))
}

async fn meet(
    options: &Options,
    certificates: &Certificates,
    transport: Transport,
) -> Result<Met, Unmet> {
    let (directory, own) = place().map_err(|error| Unmet::Unable(error.to_string()))?;
    let setting = Setting::default();
    let site = Site::start(
        &options.backend,
        directory.path(),
        transport,
        certificates,
        &setting,
        options.listen.as_ref().map(Endpoint::address),
    );
    let site = site
        .await
        .map_err(|error| Unmet::Unable(format!("the engine: {error}")))?;
    let cast = Cast {
        program: options.program.clone(),
        directory: own,
        driver: UNDER_TEST.to_owned(),
        finished: options.profile == DRIVER,
        capacity: 1,
        drain_ms: 1_000,
        start: Duration::from_millis(match options.config.start_ms {
            0 if options.listen.is_some() => COMES,
            0 => START,
            start => start,
        }),
        access: false,
        secrets: Vec::new(),
    };
    let stage = Stage::new(site, cast).await;
    let mut stage = stage.map_err(|halt| match halt {
        Halt::Failed(why) | Halt::Unable(why) => Unmet::Unable(why),
    })?;
    let step = v1::Step {
        why: String::new(),
        step: Some(v1::step::Step::Start(v1::Start::default())),
    };
    let started = stage.perform(&step).await;
    if let Some(endpoint) = &options.listen
        && endpoint::is_silent(&stage.site.record)
    {
        return Err(Unmet::Unable(endpoint.nobody(stage.start)));
    }
    let ended = stage
        .process
        .as_mut()
        .is_some_and(|process| process.status().is_some());
    if let Some(process) = &mut stage.process {
        process.end().await;
    }
    let stderr = stage.process.as_ref().map(|process| process.error());
    let stderr = stderr.unwrap_or_default();
    let complaint = stage.overheard.complaint();
    // Whoever says nothing where it is to may have said it elsewhere.
    let besides = |why: String| match &complaint {
        Some(complaint) => format!("{why}; {complaint}"),
        None => why,
    };
    match started {
        Ok(()) => {}
        Err(Halt::Failed(why)) if ended => return Err(Unmet::Ended(besides(why), stderr)),
        Err(Halt::Failed(why)) => return Err(Unmet::Failed(besides(why), stderr)),
        Err(Halt::Unable(why)) => return Err(Unmet::Unable(why)),
    }
    if let Some(why) = complaint {
        return Err(Unmet::Failed(why, stderr));
    }
    let hello = stage.site.record.find(0, |entry, _| {
        entry.from == From::Driver && entry.kind == "hello"
    });
    let Some((_, hello)) = hello else {
        return Err(Unmet::Failed("the driver said no hello".to_owned(), stderr));
    };
    Ok(Met {
        hello: hello.body,
        stderr,
        way: stage.site.tap.came_by().into_iter().next(),
        kept: options
            .listen
            .is_some()
            .then_some(Kept { stage, directory }),
    })
}
