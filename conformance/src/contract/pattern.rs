//! Messages that a step is about.

use crate::cases::{Flaws, Form, Shape, none_of};
use crate::interfere::{STATUSES, inline};
use crate::like;
use crate::v1;
use crate::v1::Pattern;
use serde_json::Value as Json;

/// Kinds of what a driver says.
const OF_DRIVER: &[&str] = &[
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
    "connected",
    "broken",
    "unknown",
];

/// Kinds of what an engine says.
const OF_ENGINE: &[&str] = &[
    "welcome",
    "task",
    "cancel",
    "acknowledgement",
    "outcome",
    "log_window",
    "drain",
    "goodbye",
    "unknown",
];

/// Kinds of messages that are about one task.
const OF_TASKS: &[&str] = &[
    "accepted",
    "refused",
    "detached",
    "logs",
    "checkpoint",
    "report",
    "task",
    "cancel",
    "outcome",
];

/// The messages of the contract that a kind has the fields of, and those of their fields that it has not.
fn messages(kind: &str) -> (&'static [&'static str], &'static [&'static str]) {
    const ANSWERS: &[&str] = &["accepted", "refused", "detached"];
    match kind {
        "hello" => (&["Hello"], &[]),
        "resume" => (&["Resume"], &[]),
        "credits" => (&["Credits"], &[]),
        "accepted" => (&["TaskAnswer", "Accepted"], ANSWERS),
        "refused" => (&["TaskAnswer", "Refused"], ANSWERS),
        "detached" => (&["TaskAnswer", "Detached"], ANSWERS),
        "heartbeat" => (&["SessionHeartbeat"], &[]),
        "logs" => (&["LogBatch"], &[]),
        "checkpoint" => (&["Checkpoint"], &[]),
        "report" => (&["TaskReport"], &[]),
        "drain" => (&["Drain"], &[]),
        "leaving" => (&["Leaving"], &[]),
        "poll" => (&["PollRequest"], &[]),
        "welcome" => (&["Welcome"], &[]),
        "task" => (&["Task"], &[]),
        "cancel" => (&["Cancel"], &[]),
        "acknowledgement" => (&["Acknowledgement"], &[]),
        "outcome" => (&["ReportOutcome"], &[]),
        "log_window" => (&["LogWindow"], &[]),
        "goodbye" => (&["Goodbye"], &[]),
        _ => (&[], &[]),
    }
}

/// What a message of a kind can have.
pub(super) fn of_kind(kind: &str, form: Form) -> Shape {
    let (messages, without) = messages(kind);
    of_messages(messages, form).without(without).with_numbers()
}

/// What messages of the contract can have, by their own names.
pub(super) fn of_messages(names: &[&str], form: Form) -> Shape {
    let full: Vec<String> = names
        .iter()
        .map(|name| format!("conveyor.v1.{name}"))
        .collect();
    let full: Vec<&str> = full.iter().map(String::as_str).collect();
    Shape::new(crate::pool(), &full, form)
}

/// Kinds that a pattern may name.
fn kinds(pattern: &Pattern) -> &'static [&'static str] {
    match pattern.from.as_str() {
        "engine" => OF_ENGINE,
        _ => OF_DRIVER,
    }
}

/// What is wrong with a pattern, which stands in a field `message`.
pub(super) fn flaws(pattern: Option<&Pattern>) -> Flaws {
    let Some(pattern) = pattern else {
        return vec![(String::new(), "has no `message`".to_owned())];
    };
    let mut flaws = Flaws::new();
    let from = pattern.from.as_str();
    if !matches!(from, "" | "driver" | "engine") {
        let why = format!("`{from}` is neither driver nor engine");
        return vec![("/message/from".to_owned(), why)];
    }
    let kind = pattern.kind.as_str();
    if !kind.is_empty() && !kinds(pattern).contains(&kind) {
        return vec![("/message/kind".to_owned(), no_kind(pattern))];
    }
    if !kind.is_empty() && !OF_TASKS.contains(&kind) {
        let about = [
            ("task", !pattern.task.is_empty()),
            ("attempt", pattern.attempt > 0),
        ];
        for (field, _) in about.into_iter().filter(|(_, says)| *says) {
            let why = format!(
                "a `{kind}` is about no task: leave it out, or name one of {}",
                OF_TASKS.join(", ")
            );
            flaws.push((format!("/message/{field}"), why));
        }
    }
    flaws.extend(
        liking(pattern)
            .into_iter()
            .map(|(at, why)| (format!("/message/like{at}"), why)),
    );
    flaws
}

/// Why a kind is none of whose it is said to be.
fn no_kind(pattern: &Pattern) -> String {
    let (kind, may) = (pattern.kind.as_str(), kinds(pattern));
    let (whose, other) = match pattern.from.as_str() {
        "engine" => ("the engine", "`from: driver`"),
        _ => ("a driver", "`from: engine`"),
    };
    match OF_DRIVER.contains(&kind) || OF_ENGINE.contains(&kind) {
        true => format!(
            "{whose} says no `{kind}`: that is {other}, or one of {}",
            may.join(", ")
        ),
        false => none_of(kind, may),
    }
}

/// What is wrong with what a pattern's message is to be like.
fn liking(pattern: &Pattern) -> Flaws {
    if pattern.like.is_empty() {
        return Flaws::new();
    }
    let wanted = inline(&pattern.like);
    if let Err(mismatch) = like::check(&wanted) {
        return vec![(mismatch.pointer, mismatch.sentence)];
    }
    match pattern.kind.as_str() {
        "connected" | "broken" | "unknown" => of_event(&pattern.kind, &wanted),
        // Of which kind it is to be is not said: some kind has to have it.
        "" => {
            let each = kinds(pattern).iter();
            let wrong: Vec<Flaws> = each
                .map(|kind| of_kind(kind, Form::Like).flaws(&wanted))
                .collect();
            match wrong.iter().any(Vec::is_empty) {
                true => Flaws::new(),
                false => {
                    let why = "no kind of message has all of this: name its `kind`";
                    vec![(String::new(), why.to_owned())]
                }
            }
        }
        kind => of_kind(kind, Form::Like).flaws(&wanted),
    }
}

/// What comes and goes without a message says at most why.
fn of_event(kind: &str, wanted: &Json) -> Flaws {
    let fields = wanted.as_object().into_iter().flatten();
    let unknown = fields.filter(|(name, _)| kind == "unknown" || *name != "why");
    let has = match kind {
        "unknown" => "nothing",
        _ => "`why`",
    };
    unknown
        .map(|(name, _)| {
            let why = format!("unknown field `{name}`: a `{kind}` has {has}");
            (crate::cases::at("", name), why)
        })
        .collect()
}

/// What is wrong with an interference.
pub(super) fn of_interference(interfere: &v1::Interfere) -> Flaws {
    use v1::interfere::How;
    let mut flaws = flaws(interfere.message.as_ref());
    let pattern = interfere.message.clone().unwrap_or_default();
    if let Some(kind) = ["connected", "broken", "unknown"]
        .into_iter()
        .find(|kind| *kind == pattern.kind)
    {
        let why = format!("`{kind}` is no message: nothing can be done to it");
        flaws.push(("/message/kind".to_owned(), why));
    }
    let off = |field: &str, on: bool| {
        let why = format!("`{field}: false` would be done as well: leave it out, or write `true`");
        (!on).then(|| (format!("/{field}"), why))
    };
    match &interfere.how {
        None => flaws.push((
            String::new(),
            "does not say how: one of hold, drop, double, delay_ms, change, later, cut, cut_behind, status, lose_answer".to_owned(),
        )),
        Some(How::Hold(on)) => flaws.extend(off("hold", *on)),
        Some(How::Drop(on)) => flaws.extend(off("drop", *on)),
        Some(How::Double(on)) => flaws.extend(off("double", *on)),
        Some(How::Later(on)) => flaws.extend(off("later", *on)),
        Some(How::Cut(on)) => flaws.extend(off("cut", *on)),
        Some(How::CutBehind(on)) => flaws.extend(off("cut_behind", *on)),
        Some(How::LoseAnswer(on)) => flaws.extend(off("lose_answer", *on)),
        Some(How::DelayMs(ms)) => flaws.extend(crate::cases::time("/delay_ms", *ms)),
        Some(How::Status(status)) => {
            if !STATUSES.contains(&status.as_str()) {
                flaws.push(("/status".to_owned(), none_of(status, STATUSES)));
            }
        }
        Some(How::Change(change)) => {
            let wrong = match pattern.kind.as_str() {
                "" => vec![(String::new(), "changes no kind: name its `kind`".to_owned())],
                kind => of_kind(kind, Form::Change).flaws(&inline(change)),
            };
            flaws.extend(wrong.into_iter().map(|(at, why)| (format!("/change{at}"), why)));
        }
    }
    flaws
}
