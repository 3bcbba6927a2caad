//! The first meeting with a driver: who it is, and what it declares.

use super::{Options, outcome, place};
use crate::backend::Setting;
use crate::config::{self, DRIVER};
use crate::result::{Finding, Outcome, Verdict};
use crate::script::{Cast, Halt, Stage};
use crate::site::{Certificates, Site, Transport};
use crate::v1;
use crate::wire::From;
use std::time::{Duration, Instant};

/// The name of what is found out here.
const NAME: &str = "handshake/features/as-declared";
/// What a driver under the profile `contract` is called.
const UNDER_TEST: &str = "under-test";

/// What a driver said of itself.
pub(super) struct Probed {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) sdk: String,
    pub(super) declared: Vec<String>,
    pub(super) outcome: Outcome,
}

/// Starts the driver once, and reads its hello.
///
/// # Errors
/// What came of it where nothing else can be run.
pub(super) async fn probe(
    options: &Options,
    certificates: &Certificates,
) -> Result<Probed, Box<Outcome>> {
    let began = Instant::now();
    let case = v1::Case {
        name: NAME.to_owned(),
        requires: vec!["R1".to_owned()],
        ..v1::Case::default()
    };
    let told = |verdict, stderr| {
        let run = NAME.parse().map_err(|_| ()).ok();
        let mut outcome = outcome(options, &case, run?, verdict);
        outcome.took = began.elapsed();
        outcome.stderr = stderr;
        Some(outcome)
    };
    let failed = |sentence: String, stderr: Vec<String>| {
        let finding = Finding {
            requirement: None,
            sentence,
            place: None,
        };
        let findings = vec![finding];
        told(Verdict::Failed { findings }, stderr)
    };
    let unable = |why: String| told(Verdict::CouldNotRun { why }, Vec::new());
    let boxed = |outcome: Option<Outcome>| {
        // The name is the suite's own, and can be read.
        Box::new(outcome.unwrap_or_else(|| unreachable!("{NAME}")))
    };
    let met = meet_by_any(options, certificates).await;
    let (hello, stderr) = match met {
        Ok(met) => met,
        Err(Met::Ended(why, stderr) | Met::Failed(why, stderr)) => {
            return Err(boxed(failed(why, stderr)));
        }
        Err(Met::Unable(why)) => return Err(boxed(unable(why))),
    };
    let advertised = words(&hello["capabilities"]);
    let text = |key: &str| hello[key].as_str().unwrap_or_default().to_owned();
    if options.profile == DRIVER {
        let wanted = options.config.driver.as_str();
        let name = text("driver");
        let verdict = match wanted.is_empty() || wanted == name {
            true => told(Verdict::Passed, stderr),
            false => {
                let why = format!("the config is of the driver `{wanted}`; `{name}` has come");
                return Err(boxed(failed(why, stderr)));
            }
        };
        return Ok(Probed {
            name,
            version: text("version"),
            sdk: text("sdk"),
            declared: config::declared(&options.config),
            outcome: *boxed(verdict),
        });
    }
    let mut declared = options.config.features.clone();
    declared.sort();
    declared.dedup();
    let unknown: Vec<_> = advertised
        .iter()
        .filter(|word| !config::FEATURES.contains(&word.as_str()))
        .cloned()
        .collect();
    let verdict = match declared.is_empty() || declared == advertised {
        // A slip would have its cases left out.
        true if !unknown.is_empty() => failed(
            format!(
                "the hello advertises {}; features of the suite are {}",
                unknown.join(", "),
                config::FEATURES.join(", ")
            ),
            stderr,
        ),
        true => told(Verdict::Passed, stderr),
        false => failed(
            format!(
                "the config declares {}; the hello advertises {}",
                declared.join(", "),
                advertised.join(", ")
            ),
            stderr,
        ),
    };
    Ok(Probed {
        name: text("driver"),
        version: text("version"),
        sdk: text("sdk"),
        declared: match declared.is_empty() {
            true => advertised,
            false => declared,
        },
        outcome: *boxed(verdict),
    })
}

/// Why a driver was not met.
enum Met {
    /// Its process ended before it said hello: it may not speak what it was asked to.
    Ended(String, Vec<String>),
    Failed(String, Vec<String>),
    Unable(String),
}

type Hello = (serde_json::Value, Vec<String>);

/// Meets it by the first way that it speaks: of those that it declares, or of all where it declares none.
async fn meet_by_any(options: &Options, certificates: &Certificates) -> Result<Hello, Met> {
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
            Err(Met::Ended(why, stderr)) => {
                first.get_or_insert(Met::Ended(why, stderr));
            }
            met => return met,
        }
    }
    let none = || Met::Unable("the config declares none of stream, unary, rest".to_owned());
    Err(first.unwrap_or_else(none))
}

async fn meet(
    options: &Options,
    certificates: &Certificates,
    transport: Transport,
) -> Result<(serde_json::Value, Vec<String>), Met> {
    let (directory, own) = place().map_err(|error| Met::Unable(error.to_string()))?;
    let setting = Setting::default();
    let site = Site::start(
        &options.backend,
        directory.path(),
        transport,
        certificates,
        &setting,
        options.listen,
    );
    let site = site
        .await
        .map_err(|error| Met::Unable(format!("the engine: {error}")))?;
    let cast = Cast {
        program: options.program.clone(),
        directory: own,
        driver: UNDER_TEST.to_owned(),
        finished: options.profile == DRIVER,
        capacity: 1,
        drain_ms: 1_000,
        start: Duration::from_millis(match options.config.start_ms {
            0 if options.listen.is_some() => 60_000,
            0 => 10_000,
            start => start,
        }),
        access: false,
        secrets: Vec::new(),
    };
    let stage = Stage::new(site, cast).await;
    let mut stage = stage.map_err(|halt| match halt {
        Halt::Failed(why) | Halt::Unable(why) => Met::Unable(why),
    })?;
    let step = v1::Step {
        why: String::new(),
        step: Some(v1::step::Step::Start(v1::Start::default())),
    };
    let started = stage.perform(&step).await;
    let ended = stage
        .process
        .as_mut()
        .is_some_and(|process| process.status().is_some());
    if let Some(process) = &mut stage.process {
        process.end().await;
    }
    let stderr = stage.process.as_ref().map(|process| process.error());
    let stderr = stderr.unwrap_or_default();
    match started {
        Ok(()) => {}
        Err(Halt::Failed(why)) if ended => return Err(Met::Ended(why, stderr)),
        Err(Halt::Failed(why)) => return Err(Met::Failed(why, stderr)),
        Err(Halt::Unable(why)) => return Err(Met::Unable(why)),
    }
    if let Some(why) = stage.overheard.complaint() {
        return Err(Met::Failed(why, stderr));
    }
    let hello = stage.site.record.find(0, |entry, _| {
        entry.from == From::Driver && entry.kind == "hello"
    });
    match hello {
        Some((_, hello)) => Ok((hello.body, stderr)),
        None => Err(Met::Failed("the driver said no hello".to_owned(), stderr)),
    }
}

fn words(json: &serde_json::Value) -> Vec<String> {
    let words = json.as_array().into_iter().flatten();
    let mut words: Vec<String> = words
        .filter_map(|word| word.as_str().map(str::to_owned))
        .collect();
    words.sort();
    words.dedup();
    words
}
