//! Tasks: each is answered, and what has ended is not begun again.

use super::of_driver;
use crate::wire::{Entry, From};
use prost::bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
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

/// R15: nothing is started by a process that said that it stops: it says so with `drain` or `leaving`.
pub(super) fn none_after_the_stop(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut stopping = false;
    let mut begun: BTreeSet<&Bytes> = BTreeSet::new();
    for entry in of_driver(entries) {
        match entry.kind {
            // Of another process, or of another session of this one.
            "hello" => stopping = false,
            "drain" | "leaving" => stopping = true,
            "accepted" if begun.insert(&entry.token) && stopping => wrong.push(format!(
                "a task was accepted at {} ms, behind the word to stop",
                entry.at.as_millis()
            )),
            _ => {}
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::made::{driver, engine};
    use serde_json::json;

    fn task(at: u64) -> Entry {
        engine(at, "task", "t", json!({"id": {"step": "a"}}))
    }

    #[test]
    fn a_task_is_answered_in_time() {
        let end = driver(9_000, "heartbeat", "", json!({}));
        let soon = driver(20, "accepted", "t", json!({}));
        assert!(answered(&[task(0), soon, end.clone()]).is_empty());
        let late = driver(6_000, "accepted", "t", json!({}));
        assert_eq!(answered(&[task(0), late]).len(), 1);
        assert_eq!(answered(&[task(0), end]).len(), 1);
    }

    #[test]
    fn a_token_has_one_result() {
        let report = |n| driver(n, "report", "t", json!({"result": {"outputs": {"n": n}}}));
        assert!(reported_once_started(&[report(1), report(1)]).is_empty());
        assert_eq!(reported_once_started(&[report(1), report(2)]).len(), 1);
    }

    #[test]
    fn nothing_is_started_behind_the_stop() {
        let accepted = |at, token| driver(at, "accepted", token, json!({}));
        let drain = driver(5, "drain", "", json!({}));
        let again = [accepted(1, "t"), drain.clone(), accepted(9, "t")];
        assert!(none_after_the_stop(&again).is_empty());
        let anew = [
            drain.clone(),
            driver(6, "hello", "", json!({})),
            accepted(9, "t"),
        ];
        assert!(none_after_the_stop(&anew).is_empty());
        assert_eq!(none_after_the_stop(&[drain, accepted(9, "t")]).len(), 1);
    }
}
