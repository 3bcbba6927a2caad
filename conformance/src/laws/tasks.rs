//! Tasks: each is answered, and what has ended is not begun again.

use super::of_driver;
use crate::wire::{Entry, From};
use prost::bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a driver has to answer a task (R12).
const ANSWER: Duration = Duration::from_secs(5);

/// R12: each task is answered at once, and within 5 s at the latest. Told of the first telling of each token on a
/// connection that lasted as long.
pub(super) fn answered(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    let end = entries.last().map_or(Duration::ZERO, |entry| entry.at);
    let mut told: BTreeMap<Bytes, &Entry> = BTreeMap::new();
    for entry in entries {
        if entry.from == From::Engine && entry.kind == "task" && !entry.lost {
            told.entry(entry.token.clone()).or_insert(entry);
        }
    }
    for (token, task) in told {
        let step = task.body["id"]["step"].as_str().unwrap_or_default();
        let answer = of_driver(entries).find(|entry| {
            entry.token == token && matches!(entry.kind, "accepted" | "refused" | "detached")
        });
        let broken = of_driver(entries).any(|entry| {
            entry.kind == "broken" && entry.at >= task.at && entry.at <= task.at + ANSWER
        });
        match answer {
            Some(answer) if answer.at.saturating_sub(task.at) > ANSWER => wrong.push(format!(
                "the task `{step}` was answered after {} ms; the limit `answer` is 5,000",
                answer.at.saturating_sub(task.at).as_millis()
            )),
            None if !broken && end > task.at + ANSWER => {
                wrong.push(format!(
                    "the task `{step}` was not answered within 5,000 ms"
                ));
            }
            _ => {}
        }
    }
    wrong
}

/// R13: a token that was reported is not reported with another result.
pub(super) fn reported_once_started(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut results: BTreeMap<Bytes, &Entry> = BTreeMap::new();
    for entry in of_driver(entries).filter(|entry| entry.kind == "report") {
        let first = results.entry(entry.token.clone()).or_insert(entry);
        if first.body["result"] != entry.body["result"] {
            wrong.push("a token was reported twice, with other results".to_owned());
        }
    }
    wrong
}
