//! What a case does to messages on their way.

use crate::like::like;
use crate::v1::Pattern;
use crate::v1::interfere::How;
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

/// The interferences that are on.
#[derive(Default)]
pub(crate) struct Interferences {
    active: Mutex<Vec<Active>>,
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
    message: Pattern,
    like: Json,
    /// How often it is yet to happen; `None`: always.
    left: Option<u32>,
    how: How,
    held: Vec<Deliver>,
}

impl Interferences {
    fn active(&self) -> MutexGuard<'_, Vec<Active>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one. It counts behind those that are on already.
    pub(crate) fn begin(&self, name: String, message: Pattern, times: u32, how: How) {
        let like = inline(&message.like);
        self.active().push(Active {
            name,
            message,
            like,
            left: (times > 0).then_some(times),
            how,
            held: Vec::new(),
        });
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

    /// What happens to a message that comes now.
    pub(crate) fn fate(
        &self,
        record: &Record,
        from: From,
        said: &Said,
        task: Option<&TaskName>,
    ) -> Fate {
        if self.is_cut_here(from, said.kind) {
            return Fate::Cut;
        }
        let mut active = self.active();
        for one in active.iter_mut() {
            if one.left == Some(0)
                || !about(&one.message, from, said.kind, task)
                || like(&with_tokens(record, &one.like), &said.body).is_err()
            {
                continue;
            }
            if let Some(left) = &mut one.left {
                *left -= 1;
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

#[cfg(test)]
mod tests {
    use super::*;
    use prost::bytes::Bytes;

    #[test]
    fn a_cut_is_in_the_place_of_one_message_behind_a_task_whichever_side_says_it() {
        let record = Record::new();
        let cut = |before: u32, said: &[(From, &'static str)]| -> Vec<usize> {
            let interferences = Interferences::default();
            interferences.cut_before(before);
            assert!(interferences.is_cut_to_come());
            let is_cut = |&(from, kind): &(From, &'static str)| {
                let said = Said {
                    kind,
                    token: Bytes::new(),
                    body: Json::Null,
                };
                matches!(interferences.fate(&record, from, &said, None), Fate::Cut)
            };
            let cut = said.iter().map(is_cut).enumerate();
            let cut: Vec<usize> = cut.filter_map(|(at, cut)| cut.then_some(at)).collect();
            assert_eq!(interferences.is_cut_to_come(), cut.is_empty());
            cut
        };
        let said = [
            (From::Driver, "credits"),
            (From::Driver, "task"),
            (From::Engine, "task"),
            (From::Driver, "accepted"),
            (From::Engine, "task"),
            (From::Driver, "report"),
            (From::Engine, "outcome"),
            (From::Driver, "accepted"),
        ];
        assert_eq!(cut(1, &said), [3]);
        assert_eq!(cut(2, &said), [4]);
        assert_eq!(cut(4, &said), [6]);
        assert_eq!(cut(6, &said), []);
        assert_eq!(cut(1, &said[..3]), []);
    }
}
