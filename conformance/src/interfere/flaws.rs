//! Which interference fits which message, on which way: what has no meaning is refused by its name, when a case is
//! read where the case shows it, and otherwise when it happens.

use super::{inline, merge};
use crate::site::Transport;
use crate::v1;
use crate::v1::interfere::How;
use crate::v1::step::Step as What;
use crate::wire::{From, engine_message, request_of};
use conveyor_proto::v1::session_response::Message as Told;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeSet;

/// By which way messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    Stream,
    Unary,
    Rest,
}

impl Way {
    fn of(transport: Transport) -> Way {
        match transport.spoken() {
            "unary" => Way::Unary,
            "rest" => Way::Rest,
            _ => Way::Stream,
        }
    }

    /// A message of it, in a sentence.
    pub(super) fn told(self) -> &'static str {
        match self {
            Way::Stream => "a message of a stream",
            Way::Unary => "a call",
            Way::Rest => "a call of REST",
        }
    }

    fn transports(self) -> &'static str {
        match self {
            Way::Stream => "`tcp`, `tls` and `unix`",
            Way::Unary => "`unary`",
            Way::Rest => "`rest`",
        }
    }
}

/// What a call has for its whole answer.
const ANSWERS: &[&str] = &["welcome", "acknowledgement", "outcome"];

/// Statuses of gRPC that `status` may name.
pub(crate) const STATUSES: &[&str] = &[
    "unavailable",
    "invalid_argument",
    "unauthenticated",
    "permission_denied",
    "not_found",
    "failed_precondition",
    "out_of_range",
    "unimplemented",
    "resource_exhausted",
    "internal",
];

/// Why an interference with a message of a kind has no meaning on a way; an empty kind is any.
pub(super) fn meaningless(how: &How, from: From, kind: &str, way: Way) -> Option<&'static str> {
    Some(match (how, from, way) {
        (How::Later(_), From::Driver, _) => {
            "what a later contract has is added to the engine's messages alone"
        }
        (How::Later(_), From::Engine, Way::Rest) => {
            "JSON is read strictly, and has nothing of a later contract (R5)"
        }
        (How::Status(_) | How::LoseAnswer(_), From::Engine, _) => {
            "it is for the driver's calls, and this is the engine's message"
        }
        (How::Status(_) | How::LoseAnswer(_), From::Driver, Way::Stream) => {
            "a message of a stream has no answer of its own"
        }
        (How::Double(_), From::Engine, Way::Unary | Way::Rest)
            if kind.is_empty() || ANSWERS.contains(&kind) =>
        {
            "a call is answered once"
        }
        (How::Change(_), From::Driver, _) if kind == "poll" => "a poll is left as it is",
        _ => return None,
    })
}

/// Whether there are messages of a kind on a way.
fn is_said(from: From, kind: &str, way: Way) -> bool {
    !matches!(
        (from, kind, way),
        (From::Driver, "poll", Way::Stream)
            | (
                From::Driver,
                "resume" | "credits" | "drain",
                Way::Unary | Way::Rest
            )
            | (
                From::Engine,
                "log_window" | "goodbye",
                Way::Unary | Way::Rest
            )
    )
}

/// Why something in the engine's name cannot come by a way. `None` as the message is one of a kind that this
/// contract does not know.
pub(crate) fn unsayable(
    message: Option<&Told>,
    cut: bool,
    later: bool,
    way: Way,
) -> Option<&'static str> {
    if way == Way::Stream {
        return None;
    }
    if cut {
        return Some("`cut` is of streams alone: an answer is not cut off behind a part of it");
    }
    if way == Way::Rest && later {
        return Some("JSON is read strictly, and has nothing of a later contract (R5)");
    }
    match message {
        Some(Told::Task(_) | Told::Cancel(_) | Told::Drain(_)) => None,
        Some(Told::Acknowledgement(told))
            if told.sequence == 0 && told.logs.is_empty() && told.refused.is_empty() =>
        {
            None
        }
        Some(Told::Acknowledgement(_)) => {
            Some("of an acknowledgement, an answer to heartbeats has `stale_tokens` alone")
        }
        _ => Some(
            "no answer of a call can have it: they have `task`, `cancel`, `drain` and stale tokens",
        ),
    }
}

/// What of a case's interferences, and of what it says in the engine's name, can never be: by JSON pointers in the case.
/// Words that mean nothing, and fields that no message has, are told by the reader of steps (`contract`).
pub(crate) fn flaws(case: &v1::Case) -> Vec<(String, String)> {
    let axes = case.axes.clone().unwrap_or_default();
    let named = axes.transports.iter();
    let mut ways: BTreeSet<Way> = named
        .filter_map(|name| Transport::parse(name))
        .map(Way::of)
        .collect();
    if axes.transports.is_empty() {
        ways.extend(Transport::ALL.map(Way::of));
    }
    let mut flaws = Vec::new();
    for (at, step) in case.script.iter().enumerate() {
        let mut flaw = |below: &str, why: String| {
            flaws.push((format!("/script/{at}{below}"), why));
        };
        match &step.step {
            Some(What::Interfere(interfere)) => {
                if let Some(how) = &interfere.how {
                    for (below, why) in of_interference(interfere, how, &ways) {
                        flaw(&format!("/interfere{below}"), why);
                    }
                }
            }
            Some(What::Say(say)) => {
                // What is no message is told by the reader of steps.
                let mut message = inline(&say.message);
                for value in message
                    .as_object_mut()
                    .into_iter()
                    .flat_map(Map::values_mut)
                {
                    if open(value) {
                        *value = json!({});
                    }
                }
                let known = known(&message);
                if let Ok(message) = engine_message(&known) {
                    for way in &ways {
                        let why = unsayable(message.as_ref(), say.cut, say.later, *way);
                        if let Some(why) = why {
                            flaw("/say", format!("by {}: {why}", way.transports()));
                        }
                    }
                }
            }
            _ => {}
        }
    }
    flaws
}

/// What is wrong with one interference.
fn of_interference(
    interfere: &v1::Interfere,
    how: &How,
    ways: &BTreeSet<Way>,
) -> Vec<(&'static str, String)> {
    let mut flaws = Vec::new();
    let message = interfere.message.clone().unwrap_or_default();
    let word = super::word(how);
    let kind = message.kind.as_str();
    let from = match message.from.as_str() {
        "engine" => From::Engine,
        _ => From::Driver,
    };
    for way in ways {
        let by = way.transports();
        if !is_said(from, kind, *way) {
            let why = format!("there is no `{kind}` by {by}: leave them out of `axes.transports`");
            flaws.push(("/message/kind", why));
        } else if let Some(why) = meaningless(how, from, kind, *way) {
            let why = format!("`{word}` has no meaning for {}: {why}", way.told());
            flaws.push(("", why));
        }
    }
    match how {
        How::DelayMs(0) => flaws.push(("", "`delay_ms: 0` delays nothing".to_owned())),
        How::Change(change) => {
            let change = inline(change);
            let none = change.as_object().is_none_or(Map::is_empty);
            if none {
                flaws.push(("/change", "changes nothing".to_owned()));
            } else if let Some(why) = no_change(from, kind, &change) {
                flaws.push(("/change", why));
            }
        }
        _ => {}
    }
    flaws
}

/// Why an object is no change of a kind of message.
fn no_change(from: From, kind: &str, change: &Json) -> Option<String> {
    let mut body = json!({});
    merge(&mut body, &known(change));
    let made = match from {
        From::Engine => engine_message(&json!({ kind: body })).map(drop),
        From::Driver if kind == "poll" => Ok(()),
        From::Driver => request_of(kind, body).map(drop),
    };
    let why = made.err()?;
    Some(format!("makes no `{kind}`: {why}"))
}

/// Whether it is known only when the case is run.
fn open(value: &Json) -> bool {
    matches!(value, Json::String(text) if text.starts_with("${"))
}

/// JSON without what is not known before.
fn known(json: &Json) -> Json {
    match json {
        Json::Array(items) => {
            let items = items.iter().filter(|item| !open(item));
            items.map(known).collect()
        }
        Json::Object(fields) => {
            let fields = fields.iter().filter(|(_, value)| !open(value));
            let fields = fields.map(|(key, value)| (key.clone(), known(value)));
            Json::Object(fields.collect())
        }
        _ => json.clone(),
    }
}
