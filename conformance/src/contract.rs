//! The cases of the profile `contract`, and what is wrong with one that somebody wrote.

use crate::cases::{self, CaseError, Citing};
use crate::config::FEATURES;
use crate::interfere::{self, inline};
use crate::samples::{WORDS, words};
use crate::site::Transport;
use crate::v1;
use crate::v1::step::Step as What;
use crate::{like, wire};

/// Faults that a case may name.
pub(crate) const FAULTS: &[&str] = &[
    "restart",
    "cut",
    "half-open",
    "double-acknowledgements",
    "late-acknowledgements",
    "slow",
    "clock-jump",
];

/// Kinds of messages that a pattern may name.
const KINDS: &[&str] = &[
    "hello",
    "resume",
    "credits",
    "accepted",
    "refused",
    "detached",
    "heartbeat",
    "logs",
    "checkpoint",
    "report",
    "drain",
    "leaving",
    "poll",
    "welcome",
    "task",
    "cancel",
    "acknowledgement",
    "outcome",
    "log_window",
    "goodbye",
    "connected",
    "broken",
    "unknown",
];

/// The cases of a profile that are within the program.
///
/// # Errors
/// All that is wrong with them.
pub(crate) fn embedded(profile: &str) -> Result<Vec<v1::Case>, Vec<CaseError>> {
    read(cases::files(profile))
}

/// The cases of files.
///
/// # Errors
/// All that is wrong with them.
pub(crate) fn read(files: &[(&str, &str)]) -> Result<Vec<v1::Case>, Vec<CaseError>> {
    cases::all(files, "CaseFile", |file: v1::CaseFile| file.cases)
}

impl Citing for v1::Case {
    fn name(&self) -> &str {
        &self.name
    }

    fn purpose(&self) -> &str {
        &self.purpose
    }

    fn requires(&self) -> &[String] {
        &self.requires
    }

    fn flaws(&self) -> Vec<(String, String)> {
        let mut flaws = Vec::new();
        let axes = self.axes.clone().unwrap_or_default();
        for (at, transport) in axes.transports.iter().enumerate() {
            if Transport::parse(transport).is_none() {
                let why = format!("`{transport}` is none of tcp, tls, unix, unary, rest");
                flaws.push((format!("/axes/transports/{at}"), why));
            }
        }
        for (at, feature) in self.features.iter().enumerate() {
            if !FEATURES.contains(&feature.as_str()) {
                let why = format!("`{feature}` is none of {}", FEATURES.join(", "));
                flaws.push((format!("/features/{at}"), why));
            }
        }
        for (at, fault) in axes.faults.iter().enumerate() {
            if !FAULTS.contains(&fault.as_str()) {
                let why = format!("`{fault}` is none of {}", FAULTS.join(", "));
                flaws.push((format!("/axes/faults/{at}"), why));
            }
        }
        if self.script.is_empty() {
            flaws.push((String::new(), "has no `script`".to_owned()));
        }
        let mut each: Vec<&str> = words(self);
        each.retain(|word| word.starts_with("each-"));
        each.dedup();
        if let [first, other, ..] = each[..] {
            let why =
                format!("asks for `{first}` and `{other}`: a case is run with one of these words");
            flaws.push(("/script".to_owned(), why));
        }
        for (at, step) in self.script.iter().enumerate() {
            for (below, why) in flaws_of(step) {
                flaws.push((format!("/script/{at}{below}"), why));
            }
        }
        flaws.extend(interfere::flaws(self));
        flaws
    }
}

fn flaws_of(step: &v1::Step) -> Vec<(String, String)> {
    let flaw = |below: &str, why: &str| vec![(below.to_owned(), why.to_owned())];
    match &step.step {
        None => flaw("", "says nothing that is to be done or seen"),
        Some(What::See(see)) => pattern(see.message.as_ref(), "/see"),
        Some(What::Unseen(unseen)) => pattern(unseen.message.as_ref(), "/unseen"),
        Some(What::Interfere(interfere)) => {
            let mut flaws = pattern(interfere.message.as_ref(), "/interfere");
            if interfere.how.is_none() {
                flaws.push(("/interfere".to_owned(), "does not say how".to_owned()));
            }
            flaws
        }
        Some(What::Say(say)) => {
            let message = wire::engine_message(&inline(&say.message));
            // Tokens and tasks are not known yet: texts stand for them.
            let open = String::from_utf8_lossy(&say.message).contains("${t");
            match message {
                Err(why) if !open => flaw("/say/message", &why),
                Ok(_) | Err(_) => Vec::new(),
            }
        }
        Some(What::Run(run)) if run.tasks.is_empty() => flaw("/run", "has no task"),
        Some(What::Run(run)) => samples(run),
        Some(What::Call(call))
            if !matches!(
                call.call.as_str(),
                "complete_task" | "extend_task" | "append_logs"
            ) =>
        {
            flaw(
                "/call/call",
                "is none of complete_task, extend_task, append_logs",
            )
        }
        Some(What::Signal(signal))
            if !matches!(
                signal.name.as_str(),
                "TERM" | "KILL" | "STOP" | "CONT" | "INT"
            ) =>
        {
            flaw("/signal/name", "is none of TERM, KILL, STOP, CONT, INT")
        }
        Some(_) => Vec::new(),
    }
}

/// What is wrong with the samples that a run asks for.
fn samples(run: &v1::Run) -> Vec<(String, String)> {
    let works = run.tasks.iter().enumerate();
    let flaws = works.filter_map(|(at, work)| {
        let word = work.sample.as_str();
        let why = match (
            word.is_empty() || WORDS.contains(&word),
            word.is_empty(),
            work.program.is_empty(),
        ) {
            (false, ..) => format!("`{word}` is none of {}", WORDS.join(", ")),
            (true, false, false) => "stands beside a `program`: it is in its place".to_owned(),
            _ => return None,
        };
        Some((format!("/run/tasks/{at}/sample"), why))
    });
    flaws.collect()
}

fn pattern(pattern: Option<&v1::Pattern>, below: &str) -> Vec<(String, String)> {
    let Some(pattern) = pattern else {
        return vec![(below.to_owned(), "has no `message`".to_owned())];
    };
    let mut flaws = Vec::new();
    if !matches!(pattern.from.as_str(), "" | "driver" | "engine") {
        let why = format!("`{}` is neither driver nor engine", pattern.from);
        flaws.push((format!("{below}/message/from"), why));
    }
    if !pattern.kind.is_empty() && !KINDS.contains(&pattern.kind.as_str()) {
        let why = format!("`{}` is none of {}", pattern.kind, KINDS.join(", "));
        flaws.push((format!("{below}/message/kind"), why));
    }
    if let Err(mismatch) = like::check(&inline(&pattern.like)) {
        flaws.push((
            format!("{below}/message/like{}", mismatch.pointer),
            mismatch.sentence,
        ));
    }
    flaws
}
