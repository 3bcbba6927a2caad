//! One run of a case.

use super::faults::Fault;
use super::{Options, Planned, outcome, place};
use crate::backend::Setting;
use crate::config::DRIVER;
use crate::describe::{CAPACITY, DRAIN};
use crate::interfere::inline;
use crate::laws;
use crate::result::{Finding, Outcome, Verdict};
use crate::script::{Cast, Halt, Stage};
use crate::site::{Certificates, Site};
use crate::v1;
use crate::v1::interfere::How;
use crate::wire::{By, Entry};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How long a case may take unless it says so itself.
pub(crate) const LIMIT: u64 = 20_000;
/// How long a driver has from its start to its hello.
const START: u64 = 10_000;
/// How long one has that somebody else started, and whose engine has just ended.
const COMES_BACK: u64 = 30_000;

/// Whether what was said stands in the outcomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trace {
    /// Nowhere.
    #[default]
    Off,
    /// In those of all runs.
    On,
}

/// What all runs are made with.
pub(super) struct One<'a> {
    pub(super) options: &'a Options,
    pub(super) certificates: &'a Certificates,
    /// The driver's name.
    pub(super) driver: String,
}

impl One<'_> {
    pub(super) async fn run(&self, planned: Planned) -> Outcome {
        let began = Instant::now();
        let mut outcome = outcome(
            self.options,
            &planned.case,
            planned.name.clone(),
            Verdict::Passed,
        );
        match self.played(&planned).await {
            Ok(played) => {
                outcome.verdict = played.verdict();
                outcome.stderr = played.stderr;
                if self.options.trace == Trace::On {
                    outcome.messages = played.entries.iter().map(line).collect();
                }
            }
            Err(why) => outcome.verdict = Verdict::CouldNotRun { why },
        }
        outcome.took = began.elapsed();
        outcome
    }

    async fn played(&self, planned: &Planned) -> Result<Played, String> {
        let case = &planned.case;
        if self.options.listen.is_some()
            && let Some(what) = arranged(case, planned.concurrency)
        {
            return Err(format!(
                "it {what}, and the driver was started by somebody else: `run -- DRIVER` can"
            ));
        }
        let why = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
        let (directory, own) = place().map_err(|error| why("a temporary directory", &error))?;
        let setting = case.setting.clone().unwrap_or_default();
        let engine = Setting {
            access: setting.access,
            secrets: setting.secrets.clone().into_iter().collect(),
        };
        let site = Site::start(
            &self.options.backend,
            directory.path(),
            planned.transport,
            self.certificates,
            &engine,
            self.options.listen,
        );
        let site = site.await.map_err(|error| why("the engine", &error))?;
        let neighbours = planned.concurrency.saturating_sub(1);
        let capacity = match setting.capacity {
            0 => CAPACITY,
            capacity => capacity,
        };
        let cast = Cast {
            program: self.options.program.clone(),
            directory: own,
            driver: self.driver.clone(),
            finished: self.options.profile == DRIVER,
            capacity: capacity + neighbours,
            drain_ms: match setting.drain_ms {
                0 => DRAIN,
                drain => drain,
            },
            start: Duration::from_millis(match self.options.config.start_ms {
                // Who was away from an engine comes back with pauses.
                0 if self.options.listen.is_some() => COMES_BACK,
                0 => START,
                start => start,
            }),
            access: setting.access,
            secrets: setting.secrets.keys().cloned().collect(),
        };
        let mut stage = Stage::new(site, cast).await.map_err(|halt| match halt {
            Halt::Failed(why) | Halt::Unable(why) => why,
        })?;
        stage.overheard.hide(setting.secrets.values());
        if !setting.welcome.is_empty() {
            let message = v1::Pattern {
                from: "engine".to_owned(),
                kind: "welcome".to_owned(),
                ..v1::Pattern::default()
            };
            stage.site.tap.interferences.add(
                "setting".to_owned(),
                vec![message],
                0,
                How::Change(setting.welcome.clone()),
                format!(
                    "the setting's `welcome`: {}",
                    String::from_utf8_lossy(&setting.welcome)
                ),
            );
            debug_assert!(inline(&setting.welcome).is_object());
        }
        let mut limit = Duration::from_millis(match case.time_limit_ms {
            0 => LIMIT,
            limit => limit,
        });
        if self.options.listen.is_some() {
            limit += Duration::from_millis(COMES_BACK);
        }
        let company = Company {
            neighbours,
            fault: planned.fault.as_deref(),
            seed: self.options.seed,
        };
        let script = timeout(limit, script(&mut stage, case, setting.unstarted, &company));
        let mut findings = Vec::new();
        let mut missed = Vec::new();
        match script.await {
            Ok(Ok(fault)) => missed.extend(fault),
            Ok(Err((place, Halt::Failed(sentence)))) => findings.push(Finding {
                requirement: None,
                sentence,
                place,
            }),
            Ok(Err((_, Halt::Unable(why)))) => {
                end(&mut stage).await;
                return Err(why);
            }
            Err(_) => findings.push(Finding {
                requirement: None,
                sentence: format!("the case did not end within {} ms", limit.as_millis()),
                place: None,
            }),
        }
        let asked = planned.transport.spoken();
        let other = stage
            .site
            .tap
            .came_by()
            .into_iter()
            .find(|way| *way != asked);
        findings.extend(other.map(|way| Finding {
            requirement: None,
            sentence: format!("the driver was to talk by `{asked}`, and came by `{way}`"),
            place: None,
        }));
        missed.extend(stage.site.tap.missed());
        let entries = stage.site.record.entries();
        for rule in &case.requires {
            let broken = laws::broken(rule, &entries).into_iter();
            findings.extend(broken.map(|sentence| Finding {
                requirement: rule.parse().ok(),
                sentence,
                place: None,
            }));
        }
        let stderr = end(&mut stage).await;
        for rule in &case.requires {
            let written = stage.overheard.written(rule).into_iter();
            findings.extend(written.map(|what| Finding {
                requirement: rule.parse().ok(),
                sentence: format!("the driver wrote {what} to standard error"),
                place: None,
            }));
        }
        findings.extend(stage.overheard.complaint().map(|sentence| Finding {
            requirement: None,
            sentence,
            place: None,
        }));
        Ok(Played {
            findings,
            missed,
            stderr,
            entries,
        })
    }
}

/// What came of a case that was performed.
struct Played {
    findings: Vec<Finding>,
    /// What was to go wrong, or to be said, and was not.
    missed: Vec<String>,
    /// The driver's last lines.
    stderr: Vec<String>,
    entries: Vec<Entry>,
}

impl Played {
    /// Who does well where nothing went wrong has not shown what the case is for.
    fn verdict(&self) -> Verdict {
        match (self.findings.is_empty(), self.missed.is_empty()) {
            (false, _) => Verdict::Failed {
                findings: self.findings.clone(),
            },
            (true, false) => Verdict::CouldNotRun {
                why: self.missed.join("; "),
            },
            (true, true) => Verdict::Passed,
        }
    }
}

/// What a case does to the driver's process, or wants it to be started with; `None` where that is nothing.
fn arranged(case: &v1::Case, concurrency: u32) -> Option<&'static str> {
    use v1::step::Step as What;
    let setting = case.setting.clone().unwrap_or_default();
    if setting.capacity > 0 || setting.drain_ms > 0 || concurrency > 1 {
        return Some("starts the driver with a capacity or a time to drain of its own");
    }
    if setting.access {
        return Some("starts the driver with an access token");
    }
    let of_process = |step: &v1::Step| {
        matches!(
            step.step,
            Some(What::Start(_) | What::Signal(_) | What::Exited(_))
        )
    };
    let touches = setting.unstarted || case.script.iter().any(of_process);
    touches.then_some("starts, signals or ends the driver's process")
}

/// What goes on besides.
struct Company<'a> {
    neighbours: u32,
    fault: Option<&'a str>,
    seed: u64,
}

/// Ends the driver's process. Its last lines.
async fn end(stage: &mut Stage) -> Vec<String> {
    match &mut stage.process {
        Some(process) => {
            process.end().await;
            process.error()
        }
        None => Vec::new(),
    }
}

/// Performs all steps: what of the fault did not happen. Where a step halts, which and why.
async fn script(
    stage: &mut Stage,
    case: &v1::Case,
    unstarted: bool,
    company: &Company<'_>,
) -> Result<Option<String>, (Option<usize>, Halt)> {
    let nowhere = |halt| (None, halt);
    if !unstarted {
        let start = v1::Start::default();
        let step = v1::step::Step::Start(start);
        perform(stage, step).await.map_err(nowhere)?;
    }
    if company.neighbours > 0 {
        let taken = stage.neighbours(company.neighbours).await;
        taken.map_err(nowhere)?;
    }
    // Until the script has ended.
    let mut fault = company
        .fault
        .map(|fault| Fault::begin(fault, stage, company.seed));
    for (at, step) in case.script.iter().enumerate() {
        let performed = stage.perform(step).await;
        performed.map_err(|halt| (Some(at + 1), halt))?;
    }
    stage.close().await.map_err(nowhere)?;
    Ok(match &mut fault {
        Some(fault) => fault.missed().await,
        None => None,
    })
}

async fn perform(stage: &mut Stage, step: v1::step::Step) -> Result<(), Halt> {
    let step = v1::Step {
        why: String::new(),
        step: Some(step),
    };
    stage.perform(&step).await
}

/// A message as a line of a trace.
fn line(entry: &Entry) -> String {
    let number = match entry.by {
        By::Stream { sequence } => format!("{}#{sequence}", entry.connection),
        By::Call => "call".to_owned(),
        By::Nothing => format!("{}", entry.connection),
    };
    let marks = match (entry.forged, entry.lost) {
        (true, _) => " (forged)",
        (_, true) => " (lost)",
        _ => "",
    };
    let body = entry.body.to_string();
    let body = match body.char_indices().nth(500) {
        Some((at, _)) => format!("{}…", &body[..at]),
        None => body,
    };
    format!(
        "{:>9.3} {} {number} {}{marks} {body}",
        entry.at.as_secs_f64(),
        entry.from.name(),
        entry.kind
    )
}
