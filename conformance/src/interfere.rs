//! What a case does to messages on their way.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `flaws` | which interference fits which message, on which way |

mod flaws;
#[cfg(test)]
mod tests;

pub(crate) use flaws::{STATUSES, Way, flaws, unsayable};

use crate::like::like;
use crate::v1;
use crate::v1::Pattern;
use crate::v1::interfere::How;
use crate::v1::step::Step as What;
use crate::wire::{From, Record, Said, TaskName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What happens to a message.
pub(crate) enum Fate {
    Pass,
    /// Whoever delivers it hands over how.
    Hold(String),
    Drop,
    Double,
    Delay(Duration),
    Change(Json),
    Later,
    Cut,
    CutBehind,
    Status(String),
    LoseAnswer,
}

/// How a message that was held is delivered.
pub(crate) type Deliver = Box<dyn FnOnce() + Send>;

/// The interferences that are on, and what became of them.
#[derive(Default)]
pub(crate) struct Interferences {
    active: Mutex<Vec<Active>>,
    /// What was void: a sentence each.
    void: Mutex<Vec<String>>,
    boundary: Mutex<Boundary>,
}

/// Where among messages the connection is cut.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Boundary {
    /// Nowhere, or it was.
    #[default]
    None,
    /// Before so many messages are through, counted from 1, once a task was given.
    BehindTask(u32),
    /// Before so many messages are through from here.
    Within(u32),
}

struct Active {
    name: String,
    /// It is of a message that fits one of them.
    messages: Vec<(Pattern, Json)>,
    /// How often it is to happen; 0: always.
    times: u32,
    /// How often it has happened.
    met: u32,
    how: How,
    /// What it is, for people.
    told: String,
    held: Vec<Deliver>,
}

impl Active {
    /// What of it did not happen: a sentence.
    fn missed(&self) -> Option<String> {
        let Active {
            times, met, told, ..
        } = self;
        match (*times, *met) {
            (times, met) if met >= times.max(1) => None,
            (_, 0) => Some(format!(
                "this never happened, as no such message came: {told}"
            )),
            _ => Some(format!(
                "this happened {met} times of {times}, as no other such message came: {told}"
            )),
        }
    }
}

impl Interferences {
    fn active(&self) -> MutexGuard<'_, Vec<Active>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one of a case. It counts behind those that are on already.
    pub(crate) fn begin(&self, interfere: &v1::Interfere) {
        let Some(how) = interfere.how.clone() else {
            return;
        };
        let message = interfere.message.clone().unwrap_or_default();
        let step = v1::Step {
            why: String::new(),
            step: Some(What::Interfere(interfere.clone())),
        };
        self.add(
            name_of(interfere, &how).to_owned(),
            vec![message],
            interfere.times,
            how,
            crate::script::sentence(&step),
        );
    }

    /// Adds one of each message that fits one of some patterns.
    pub(crate) fn add(
        &self,
        name: String,
        messages: Vec<Pattern>,
        times: u32,
        how: How,
        told: String,
    ) {
        let with_like = |message: Pattern| {
            let like = inline(&message.like);
            (message, like)
        };
        self.active().push(Active {
            name,
            messages: messages.into_iter().map(with_like).collect(),
            times,
            met: 0,
            how,
            told,
            held: Vec::new(),
        });
    }

    /// Takes down that something which was to happen could not, a sentence.
    pub(crate) fn void(&self, why: String) {
        let mut void = self.void.lock().unwrap_or_else(PoisonError::into_inner);
        if !void.contains(&why) {
            void.push(why);
        }
    }

    /// What was void, and what never happened, until now: a sentence each.
    pub(crate) fn missed(&self) -> Vec<String> {
        let void = self.void.lock().unwrap_or_else(PoisonError::into_inner);
        let mut missed = void.clone();
        // Before the other lock: who holds that takes this one.
        drop(void);
        missed.extend(self.active().iter().filter_map(Active::missed));
        missed
    }

    /// Has the connection cut in the place of a message: the one of this number, from 1, behind the next task that
    /// is given, whichever side says it.
    pub(crate) fn cut_before(&self, number: u32) {
        *self.boundary() = Boundary::BehindTask(number.max(1));
    }

    /// Whether a cut that was asked for is still to come.
    pub(crate) fn is_cut_to_come(&self) -> bool {
        *self.boundary() != Boundary::None
    }

    fn boundary(&self) -> MutexGuard<'_, Boundary> {
        self.boundary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the connection is cut in the place of a message that comes now.
    fn is_cut_here(&self, from: From, kind: &str) -> bool {
        let mut boundary = self.boundary();
        *boundary = match *boundary {
            Boundary::BehindTask(number) if from == From::Engine && kind == "task" => {
                Boundary::Within(number)
            }
            Boundary::Within(0 | 1) => {
                *boundary = Boundary::None;
                return true;
            }
            Boundary::Within(number) => Boundary::Within(number - 1),
            elsewhere => elsewhere,
        };
        false
    }

    /// Ends one, and delivers what it held. Whether there was one.
    pub(crate) fn lift(&self, name: &str) -> bool {
        let mut active = self.active();
        let Some(at) = active.iter().position(|one| one.name == name) else {
            return false;
        };
        let ended = active.remove(at);
        // Within the lock: what comes now is behind what was held.
        for deliver in ended.held {
            deliver();
        }
        true
    }

    /// What happens to a message that comes now, by some way.
    pub(crate) fn fate(
        &self,
        record: &Record,
        way: Way,
        from: From,
        said: &Said,
        task: Option<&TaskName>,
    ) -> Fate {
        if self.is_cut_here(from, said.kind) {
            return Fate::Cut;
        }
        let mut active = self.active();
        for one in active.iter_mut() {
            let mut messages = one.messages.iter();
            let is_of = messages.any(|(message, wanted)| {
                about(message, from, said.kind, task)
                    && like(&with_tokens(record, wanted), &said.body).is_ok()
            });
            if (one.times > 0 && one.met == one.times) || !is_of {
                continue;
            }
            one.met += 1;
            if let Some(why) = flaws::meaningless(&one.how, from, said.kind, way) {
                self.void(format!(
                    "interference `{}` had no meaning for {}: {why}",
                    one.name,
                    way.told()
                ));
                return Fate::Pass;
            }
            return match &one.how {
                How::Hold(_) => Fate::Hold(one.name.clone()),
                How::Drop(_) => Fate::Drop,
                How::Double(_) => Fate::Double,
                How::DelayMs(ms) => Fate::Delay(Duration::from_millis(*ms)),
                How::Change(change) => Fate::Change(with_tokens(record, &inline(change))),
                How::Later(_) => Fate::Later,
                How::Cut(_) => Fate::Cut,
                How::CutBehind(_) => Fate::CutBehind,
                How::Status(status) => Fate::Status(status.clone()),
                How::LoseAnswer(_) => Fate::LoseAnswer,
            };
        }
        Fate::Pass
    }

    /// Keeps what is delivered once the interference is lifted; at once where that has happened.
    pub(crate) fn hold(&self, name: &str, deliver: Deliver) {
        let mut active = self.active();
        match active.iter_mut().find(|one| one.name == name) {
            Some(one) => one.held.push(deliver),
            None => deliver(),
        }
    }
}

/// The word of a kind of interference.
pub(crate) fn word(how: &How) -> &'static str {
    match how {
        How::Hold(_) => "hold",
        How::Drop(_) => "drop",
        How::Double(_) => "double",
        How::DelayMs(_) => "delay_ms",
        How::Change(_) => "change",
        How::Later(_) => "later",
        How::Cut(_) => "cut",
        How::CutBehind(_) => "cut_behind",
        How::Status(_) => "status",
        How::LoseAnswer(_) => "lose_answer",
    }
}

/// The name of an interference: by default its word.
pub(crate) fn name_of<'a>(interfere: &'a v1::Interfere, how: &How) -> &'a str {
    match interfere.name.is_empty() {
        true => word(how),
        false => &interfere.name,
    }
}

/// Inline JSON of a case: `{}` where nothing stands.
pub(crate) fn inline(bytes: &[u8]) -> Json {
    // The reader keeps nothing but JSON there.
    serde_json::from_slice(bytes).unwrap_or_else(|_| Json::Object(serde_json::Map::new()))
}

/// Whether a pattern is about a message, its body aside.
pub(crate) fn about(pattern: &Pattern, from: From, kind: &str, task: Option<&TaskName>) -> bool {
    let whose = match pattern.from.as_str() {
        "engine" => From::Engine,
        _ => From::Driver,
    };
    let step = pattern.task.is_empty() || task.is_some_and(|task| task.step == pattern.task);
    let attempt = pattern.attempt == 0 || task.is_some_and(|task| task.attempt == pattern.attempt);
    whose == from && (pattern.kind.is_empty() || pattern.kind == kind) && step && attempt
}

/// JSON of a case with what its texts stand for: `${token:STEP}`, `${task:STEP}`, `${task:STEP/FIELD}`,
/// `${seen:/FIELD}`, `${long:5000}`.
pub(crate) fn with_tokens(record: &Record, json: &Json) -> Json {
    match json {
        Json::String(text) => meant(record, text).unwrap_or_else(|| json.clone()),
        Json::Array(items) => items.iter().map(|item| with_tokens(record, item)).collect(),
        Json::Object(fields) => {
            let fields = fields.iter();
            let fields = fields.map(|(key, value)| (key.clone(), with_tokens(record, value)));
            Json::Object(fields.collect())
        }
        _ => json.clone(),
    }
}

/// What a text stands for; `None` for itself, or for what is not there yet.
fn meant(record: &Record, text: &str) -> Option<Json> {
    let (what, of) = text
        .strip_prefix("${")?
        .strip_suffix('}')?
        .split_once(':')?;
    match what {
        "token" => Some(STANDARD.encode(record.token_of(of)?).into()),
        "task" => {
            let step = of.split('/').next()?;
            let task = record.task_of(step)?;
            task.pointer(&of[step.len()..]).cloned()
        }
        "seen" => record.seen()?.pointer(of).cloned(),
        "long" => Some("x".repeat(of.parse().ok()?).into()),
        _ => None,
    }
}

/// Merges the fields of one object into another, objects in objects; `null` takes a field away.
pub(crate) fn merge(into: &mut Json, change: &Json) {
    match (into, change) {
        (Json::Object(into), Json::Object(change)) => {
            for (key, value) in change {
                match value {
                    Json::Null => drop(into.remove(key)),
                    _ => merge(into.entry(key.clone()).or_insert(Json::Null), value),
                }
            }
        }
        (into, change) => *into = change.clone(),
    }
}
