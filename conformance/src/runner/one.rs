//! One run of a case.

use super::endpoint::{self, Endpoint, Kept};
use super::faults::Fault;
use super::{Options, Planned, advertised, outcome, place};
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
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;
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
    /// What its first hello advertised.
    pub(super) advertised: Vec<String>,
    /// What stays of the first meeting, until the first run.
    pub(super) kept: Mutex<Option<Kept>>,
    /// Whether the last run had nobody who came to it.
    pub(super) nobody: AtomicBool,
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
        let setting = case.setting.clone().unwrap_or_default();
        let engine = Setting {
            access: setting.access,
            secrets: setting.secrets.clone().into_iter().collect(),
        };
        let neighbours = planned.concurrency.saturating_sub(1);
        let begun = self.begun(planned, &setting, &engine, neighbours).await?;
        let Begun {
            // It lasts as long as the run.
            directory: _directory,
            mut stage,
            came,
        } = begun;
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
        if self.options.listen.is_some() && !came {
            limit += stage.start;
        }
        let company = Company {
            neighbours,
            fault: planned.fault.as_deref(),
            seed: self.options.seed,
        };
        let (record, start) = (Arc::clone(&stage.site.record), stage.start);
        let unstarted = setting.unstarted || came;
        let script = timeout(limit, script(&mut stage, case, unstarted, &company));
        let performed = match &self.options.listen {
            Some(endpoint) => {
                let performed = endpoint.waiting(&planned.name, &record, script).await;
                if !endpoint::came(&record) {
                    self.nobody.store(true, Ordering::Relaxed);
                    return Err(endpoint.nobody(start));
                }
                performed
            }
            None => script.await,
        };
        let mut findings = Vec::new();
        let mut missed = Vec::new();
        match performed {
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
        findings.extend(advertised::otherwise(&entries, &self.advertised));
        let overflow = stage.site.record.overflow();
        let judged = if overflow.is_none() {
            &case.requires[..]
        } else {
            &[]
        };
        findings.extend(overflow.map(|sentence| Finding {
            requirement: None,
            sentence,
            place: None,
        }));
        for rule in judged {
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

    /// The stage of a run: with the driver in it that came to the first meeting, where that is still there.
    async fn begun(
        &self,
        planned: &Planned,
        setting: &v1::Setting,
        engine: &Setting,
        neighbours: u32,
    ) -> Result<Begun, String> {
        let kept = self
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(Kept {
            mut stage,
            directory,
        }) = kept.filter(|_| endpoint::begins_there(setting, engine))
        {
            stage.site.transport = planned.transport;
            return Ok(Begun {
                directory,
                stage,
                came: true,
            });
        }
        let why = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
        let (directory, own) = place().map_err(|error| why("a temporary directory", &error))?;
        let site = Site::start(
            &self.options.backend,
            directory.path(),
            planned.transport,
            self.certificates,
            engine,
            self.options.listen.as_ref().map(Endpoint::address),
        );
        let site = site.await.map_err(|error| why("the engine", &error))?;
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
        let stage = Stage::new(site, cast).await;
        let stage = stage.map_err(|halt| match halt {
            Halt::Failed(why) | Halt::Unable(why) => why,
        })?;
        Ok(Begun {
            directory,
            stage,
            came: false,
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

/// Where a run begins.
struct Begun {
    directory: TempDir,
    stage: Stage,
    /// Whether the driver is there already.
    came: bool,
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
    let fault = company
        .fault
        .map(|fault| Fault::begin(fault, stage, company.seed));
    for (at, step) in case.script.iter().enumerate() {
        let performed = stage.perform(step).await;
        performed.map_err(|halt| (Some(at + 1), halt))?;
    }
    stage.close().await.map_err(nowhere)?;
    Ok(fault.and_then(|fault| fault.missed(stage)))
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
    let whose = format!("{} {number} {}{marks}", entry.from.name(), entry.kind);
    crate::wire::line(entry.at, &whose, &entry.body)
}
