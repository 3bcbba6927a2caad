//! What driver and engine say to each other, as it was recorded.

use conveyor_api::to_json;
use conveyor_proto::v1;
use conveyor_proto::v1::session_request::Message as Tell;
use conveyor_proto::v1::session_response::Message as Told;
use conveyor_proto::v1::task_answer::Answer;
use prost::bytes::Bytes;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Whose message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    Driver,
    Engine,
}

impl From {
    pub(crate) fn name(self) -> &'static str {
        match self {
            From::Driver => "driver",
            From::Engine => "engine",
        }
    }
}

/// How a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// On a stream: its number on the connection.
    Stream { sequence: u64 },
    /// In a call without a stream, or in its answer.
    Call,
    /// None: a stream came or went.
    Nothing,
}

/// One message, or the coming and going of a stream. Those of the driver are as it sent them, those of the engine
/// as the driver got them.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// When, since the case began.
    pub(crate) at: Duration,
    /// Which of the driver's connections, by the order in which they came; calls without a stream are all of one.
    pub(crate) connection: u32,
    pub(crate) from: From,
    /// As in `Pattern`.
    pub(crate) kind: &'static str,
    /// The token that it is about; empty where there is none, or several.
    pub(crate) token: Bytes,
    pub(crate) by: By,
    pub(crate) body: Json,
    /// Whether it was said in the engine's name, or changed on its way.
    pub(crate) forged: bool,
    /// Whether it never came to the other side.
    pub(crate) lost: bool,
}

/// How many letters of a body a line of a trace has.
const SHOWN: usize = 500;

/// What was said as a line of a trace: when, by whom, and what.
pub(crate) fn line(at: Duration, whose: &str, body: &Json) -> String {
    let body = match body {
        Json::Null => String::new(),
        body => body.to_string(),
    };
    let body = match body.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &body[..at]),
        None => body,
    };
    let line = format!("{:>9.3} {whose} {body}", at.as_secs_f64());
    line.trim_end().to_owned()
}

/// Which task a token is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TaskName {
    pub(crate) step: String,
    pub(crate) attempt: u32,
}

/// How much a record keeps, in bytes of memory. A driver that never ceases to talk would take all of the machine's.
const MOST: usize = 512 << 20;

/// All that was said, from the case's beginning; of what goes on without an end the first [`MOST`] bytes.
#[derive(Debug)]
pub(crate) struct Record {
    began: Instant,
    most: usize,
    state: Mutex<State>,
    grown: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<Entry>,
    tasks: BTreeMap<Bytes, TaskName>,
    latest: BTreeMap<String, Bytes>,
    /// What a case saw last.
    seen: usize,
    /// About how much memory all this takes.
    bytes: usize,
    /// How many messages had no room.
    unkept: usize,
}

impl Record {
    pub(crate) fn new() -> Record {
        Record::of(MOST)
    }

    fn of(most: usize) -> Record {
        Record {
            began: Instant::now(),
            most,
            state: Mutex::default(),
            grown: watch::channel(0).0,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes down a message. `at` of the entry is set.
    pub(crate) fn add(&self, mut entry: Entry) {
        let mut state = self.state();
        // Within the lock: the order is that of the instants.
        entry.at = self.began.elapsed();
        let bytes = size_of::<Entry>() + heap(&entry.body);
        if state.unkept > 0 || state.bytes + bytes > self.most {
            state.unkept += 1;
            return;
        }
        state.bytes += bytes;
        if entry.kind == "task" {
            let name = TaskName {
                step: text(&entry.body, "/id/step"),
                attempt: entry.body["id"]["attempt"].as_u64().unwrap_or(0) as u32,
            };
            state.latest.insert(name.step.clone(), entry.token.clone());
            state.tasks.insert(entry.token.clone(), name);
        }
        state.entries.push(entry);
        let length = state.entries.len();
        drop(state);
        self.grown.send_replace(length);
    }

    /// Told whenever something is added.
    pub(crate) fn grown(&self) -> watch::Receiver<usize> {
        self.grown.subscribe()
    }

    /// That more was said than is kept: whoever judges what is not there would be wrong.
    pub(crate) fn overflow(&self) -> Option<String> {
        let state = self.state();
        (state.unkept > 0).then(|| {
            format!(
                "what was said in this case takes more than {} MiB: of its messages {} were kept, and {} after them were not looked at",
                self.most >> 20,
                state.entries.len(),
                state.unkept
            )
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.state().entries.len()
    }

    /// The first entry from `start` on that a test holds of, with its place.
    pub(crate) fn find(
        &self,
        start: usize,
        test: impl Fn(&Entry, Option<&TaskName>) -> bool,
    ) -> Option<(usize, Entry)> {
        let state = self.state();
        let mut entries = state.entries.iter().enumerate().skip(start);
        let found = entries.find(|(_, entry)| test(entry, state.tasks.get(&entry.token)));
        found.map(|(at, entry)| (at, entry.clone()))
    }

    /// All that was said until now.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.state().entries.clone()
    }

    /// The task that a token is of; `None` of one that was never given.
    pub(crate) fn task(&self, token: &Bytes) -> Option<TaskName> {
        self.state().tasks.get(token).cloned()
    }

    /// The token of a step's last task.
    pub(crate) fn token_of(&self, step: &str) -> Option<Bytes> {
        self.state().latest.get(step).cloned()
    }

    /// Remembers what a case saw last, by its place.
    pub(crate) fn saw(&self, place: usize) {
        self.state().seen = place;
    }

    /// What a case saw last.
    pub(crate) fn seen(&self) -> Option<Json> {
        let state = self.state();
        let entry = state.entries.get(state.seen)?;
        Some(entry.body.clone())
    }

    /// A step's last task.
    pub(crate) fn task_of(&self, step: &str) -> Option<Json> {
        let state = self.state();
        let token = state.latest.get(step)?;
        let mut tasks = state.entries.iter().rev();
        let task = tasks.find(|entry| entry.kind == "task" && entry.token == *token)?;
        Some(task.body.clone())
    }
}

/// About how much memory a value takes besides its own words.
fn heap(value: &Json) -> usize {
    match value {
        Json::String(text) => text.len(),
        Json::Array(values) => values
            .iter()
            .map(|value| size_of::<Json>() + heap(value))
            .sum(),
        Json::Object(fields) => fields
            .iter()
            .map(|(name, value)| size_of::<(String, Json)>() + name.len() + heap(value))
            .sum(),
        Json::Null | Json::Bool(_) | Json::Number(_) => 0,
    }
}

fn text(body: &Json, pointer: &str) -> String {
    let value = body.pointer(pointer).and_then(Json::as_str);
    value.unwrap_or_default().to_owned()
}

/// A message as a record has it.
pub(crate) struct Said {
    pub(crate) kind: &'static str,
    pub(crate) token: Bytes,
    pub(crate) body: Json,
}

/// A driver's message.
pub(crate) fn told(message: Option<&Tell>) -> Said {
    let none = Bytes::new;
    let (kind, token, body) = match message {
        Some(Tell::Hello(message)) => ("hello", none(), to_json("Hello", message)),
        Some(Tell::Resume(message)) => ("resume", none(), to_json("Resume", message)),
        Some(Tell::Credits(message)) => ("credits", none(), to_json("Credits", message)),
        Some(Tell::Answer(message)) => {
            let kind = match &message.answer {
                Some(Answer::Accepted(_)) => "accepted",
                Some(Answer::Refused(_)) => "refused",
                Some(Answer::Detached(_)) => "detached",
                None => "answer",
            };
            let body = to_json("TaskAnswer", message);
            let inner = body[kind].clone();
            let mut body = body;
            if let (Json::Object(body), Json::Object(inner)) = (&mut body, inner) {
                body.remove(kind);
                body.extend(inner);
            }
            (kind, message.token.clone(), body)
        }
        Some(Tell::Heartbeat(message)) => {
            ("heartbeat", none(), to_json("SessionHeartbeat", message))
        }
        Some(Tell::Logs(message)) => ("logs", message.token.clone(), to_json("LogBatch", message)),
        Some(Tell::Checkpoint(message)) => (
            "checkpoint",
            message.token.clone(),
            to_json("Checkpoint", message),
        ),
        Some(Tell::Report(message)) => (
            "report",
            message.token.clone(),
            to_json("TaskReport", message),
        ),
        Some(Tell::Drain(message)) => ("drain", none(), to_json("Drain", message)),
        Some(Tell::Leaving(message)) => ("leaving", none(), to_json("Leaving", message)),
        None => ("unknown", none(), json!({})),
    };
    Said { kind, token, body }
}

/// An engine's message.
pub(crate) fn answered(message: Option<&Told>) -> Said {
    let none = Bytes::new;
    let (kind, token, body) = match message {
        Some(Told::Welcome(message)) => ("welcome", none(), to_json("Welcome", message)),
        Some(Told::Task(message)) => ("task", message.token.clone(), to_json("Task", message)),
        Some(Told::Cancel(message)) => {
            ("cancel", message.token.clone(), to_json("Cancel", message))
        }
        Some(Told::Acknowledgement(message)) => (
            "acknowledgement",
            none(),
            to_json("Acknowledgement", message),
        ),
        Some(Told::Outcome(message)) => (
            "outcome",
            message.token.clone(),
            to_json("ReportOutcome", message),
        ),
        Some(Told::LogWindow(message)) => ("log_window", none(), to_json("LogWindow", message)),
        Some(Told::Drain(message)) => ("drain", none(), to_json("Drain", message)),
        Some(Told::Goodbye(message)) => ("goodbye", none(), to_json("Goodbye", message)),
        None => ("unknown", none(), json!({})),
    };
    Said { kind, token, body }
}

/// The engine's message that a JSON object is: `{cancel: {…}}`.
///
/// # Errors
/// A sentence: what it lacks.
pub(crate) fn engine_message(json: &Json) -> Result<Option<Told>, String> {
    let of = descriptor("SessionResponse")?;
    let mut json = json.clone();
    // Numbers in the place of words: what a later contract has.
    let reason = numbered(&mut json, "goodbye", "reason");
    let status = numbered(&mut json, "outcome", "status");
    let message = conveyor_api::from_json_of(&of, &json)
        .map_err(|flaw| format!("{}: {}", flaw.pointer, flaw.message))?;
    let bytes = prost::Message::encode_to_vec(&message);
    let message = <v1::SessionResponse as prost::Message>::decode(&bytes[..]);
    let message = message.map_err(|error| error.to_string())?;
    let mut message = message.message;
    match (&mut message, reason, status) {
        (Some(Told::Goodbye(goodbye)), Some(reason), _) => goodbye.reason = reason,
        (Some(Told::Outcome(outcome)), _, Some(status)) => outcome.status = status,
        _ => {}
    }
    Ok(message)
}

/// The driver's message of a kind, as `Pattern` has it, that a JSON object is.
///
/// # Errors
/// A sentence: what it lacks.
pub(crate) fn request_of(kind: &str, mut body: Json) -> Result<Option<Tell>, String> {
    let json = match (kind, &mut body) {
        ("accepted" | "refused" | "detached", Json::Object(fields)) => {
            let token = fields.remove("token").unwrap_or_else(|| "".into());
            json!({ "answer": { "token": token, kind: body } })
        }
        _ => json!({ kind: body }),
    };
    let of = descriptor("SessionRequest")?;
    let message = conveyor_api::from_json_of(&of, &json)
        .map_err(|flaw| format!("{}: {}", flaw.pointer, flaw.message))?;
    let bytes = prost::Message::encode_to_vec(&message);
    let message = <v1::SessionRequest as prost::Message>::decode(&bytes[..]);
    Ok(message.map_err(|error| error.to_string())?.message)
}

/// Takes the number out that stands in the place of an enum's word.
fn numbered(json: &mut Json, message: &str, field: &str) -> Option<i32> {
    let fields = json.get_mut(message)?.as_object_mut()?;
    let number = i32::try_from(fields.get(field)?.as_i64()?).ok()?;
    fields.remove(field);
    Some(number)
}

/// A number that no enum of this contract has.
const LATER: i32 = 99;

/// The message with a value of an enum that a later contract has, where it has one.
pub(crate) fn later(message: Told) -> Told {
    match message {
        Told::Outcome(outcome) => Told::Outcome(v1::ReportOutcome {
            status: LATER,
            ..outcome
        }),
        Told::Goodbye(goodbye) => Told::Goodbye(v1::Goodbye {
            reason: LATER,
            ..goodbye
        }),
        Told::Acknowledgement(mut acknowledgement) => {
            for refused in &mut acknowledgement.refused {
                refused.kind = LATER;
            }
            Told::Acknowledgement(acknowledgement)
        }
        message => message,
    }
}

/// A message of the contract by its own name.
///
/// # Errors
/// There is none.
pub(crate) fn descriptor(name: &str) -> Result<prost_reflect::MessageDescriptor, String> {
    let pool = crate::pool();
    let found = pool.get_message_by_name(&format!("conveyor.v1.{name}"));
    found.ok_or_else(|| format!("there is no message {name}"))
}

#[cfg(test)]
mod tests {
    use super::Record;
    use crate::laws::made::driver;
    use serde_json::json;

    #[test]
    fn what_goes_on_without_an_end_is_kept_up_to_the_limit_and_said() {
        let record = Record::of(1 << 20);
        let line = || driver(0, "logs", "t", json!({"lines": ["x".repeat(100_000)]}));
        for _ in 0..5 {
            record.add(line());
        }
        assert_eq!(record.overflow(), None);
        for _ in 0..95 {
            record.add(line());
        }
        let kept = record.len();
        assert!((5..=10).contains(&kept), "{kept}");
        let told = record.overflow().expect("it is full");
        let rest = format!("{} after them", 100 - kept);
        assert!(told.contains("1 MiB") && told.contains(&rest), "{told}");
    }
}
