//! What ends a task from outside: cancels within their grace, and nothing behind what is over.

use super::{number, of_driver};
use crate::wire::{Entry, From};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;

/// What was on its way when the driver heard it, and what machines are late by.
const ON_ITS_WAY: Duration = Duration::from_millis(300);

/// R34: the report of a task that was cancelled comes within the grace.
pub(super) fn within_grace(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    let end = entries.last().map_or(Duration::ZERO, |entry| entry.at);
    let mut cancels: BTreeMap<Bytes, &Entry> = BTreeMap::new();
    for entry in entries {
        let is_cancel = (entry.from, entry.kind) == (From::Engine, "cancel") && !entry.lost;
        if is_cancel && number(&entry.body, "/grace_ms") > 0 {
            cancels.entry(entry.token.clone()).or_insert(entry);
        }
    }
    for (token, cancel) in cancels {
        let grace = Duration::from_millis(number(&cancel.body, "/grace_ms"));
        let over = cancel.at + grace;
        let of = |kind: &str| {
            of_driver(entries).find(|entry| entry.kind == kind && entry.token == token)
        };
        let held = of("accepted").is_some_and(|accepted| accepted.at <= cancel.at)
            && of("detached").is_none();
        let report = of("report");
        let in_time = report.is_some_and(|report| report.at <= over + ON_ITS_WAY);
        let excused = entries.iter().any(|entry| {
            let within = entry.at >= cancel.at && entry.at <= over;
            let taken = (entry.from, entry.kind) == (From::Engine, "cancel")
                && entry.token == token
                && number(&entry.body, "/grace_ms") == 0;
            within && (taken || stale(entry, &token) || ends_all(entry))
        });
        if held && !in_time && !excused && (report.is_some() || end > over + ON_ITS_WAY) {
            wrong.push(format!(
                "a task was cancelled with a grace of {} ms, and no report came within it",
                grace.as_millis()
            ));
        }
    }
    wrong
}

/// R24: nothing more is told of a task whose token came back as stale; of one that had ended, lines are.
pub(super) fn nothing_of_stale(entries: &[Entry]) -> Vec<String> {
    nothing_behind(entries, "whose token came back as stale", |entry, token| {
        stale(entry, token)
    })
}

/// R33: nothing is told of a task that was cancelled without a grace.
pub(super) fn nothing_without_grace(entries: &[Entry]) -> Vec<String> {
    nothing_behind(
        entries,
        "that was cancelled without a grace",
        |entry, token| {
            (entry.from, entry.kind) == (From::Engine, "cancel")
                && !entry.lost
                && entry.token == *token
                && number(&entry.body, "/grace_ms") == 0
        },
    )
}

/// R47: who said `leaving` holds nothing: it says nothing of tasks behind that, until it says `hello` again.
pub(super) fn nothing_once_it_left(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut left: Option<Duration> = None;
    for entry in of_driver(entries) {
        match entry.kind {
            "leaving" => left = Some(entry.at),
            "hello" => left = None,
            kind => {
                let of_tasks = match kind {
                    "accepted" | "detached" | "report" | "checkpoint" | "logs" => true,
                    "heartbeat" => entry.body["tasks"]
                        .as_array()
                        .is_some_and(|tasks| !tasks.is_empty()),
                    "resume" => entry.body["tokens"]
                        .as_array()
                        .is_some_and(|tokens| !tokens.is_empty()),
                    _ => false,
                };
                if let Some(left) = left.filter(|_| of_tasks) {
                    wrong.push(format!(
                        "`{kind}` was said of a task {} ms behind `leaving`, which says that none is held",
                        entry.at.saturating_sub(left).as_millis()
                    ));
                }
            }
        }
    }
    wrong.truncate(3);
    wrong
}

fn nothing_behind(
    entries: &[Entry],
    which: &str,
    is_end: impl Fn(&Entry, &Bytes) -> bool,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let accepted = of_driver(entries).filter(|entry| entry.kind == "accepted");
    let tokens: BTreeMap<&Bytes, ()> = accepted.map(|entry| (&entry.token, ())).collect();
    for token in tokens.into_keys() {
        let Some(at) = entries.iter().position(|entry| is_end(entry, token)) else {
            continue;
        };
        let heard = entries[at].at + ON_ITS_WAY;
        let had_ended = entries[..at]
            .iter()
            .any(|entry| entry.kind == "report" && entry.token == *token);
        for entry in &entries[at..] {
            // The engine may give it again: then it is answered again (R13).
            if entry.token == *token && entry.kind == "task" {
                break;
            }
            let told = match entry.kind {
                "logs" => !had_ended,
                "report" | "checkpoint" | "detached" => true,
                _ => false,
            };
            if told && entry.from == From::Driver && entry.token == *token && entry.at > heard {
                wrong.push(format!("`{}` was told of a task {which}", entry.kind));
                break;
            }
        }
    }
    wrong
}

/// Whether the engine says that a token is stale.
fn stale(entry: &Entry, token: &Bytes) -> bool {
    let token = STANDARD.encode(token);
    let list = entry.body["stale_tokens"].as_array();
    entry.from == From::Engine
        && !entry.lost
        && list.is_some_and(|list| list.iter().any(|one| one.as_str() == Some(&token)))
}

/// Whether a message keeps what comes behind it from being in time: connections have to come back first.
fn ends_all(entry: &Entry) -> bool {
    matches!(entry.kind, "broken" | "goodbye" | "leaving")
}

#[cfg(test)]
mod tests {
    use super::super::made::{driver, engine};
    use super::*;
    use serde_json::{Value as Json, json};

    fn accepted() -> Entry {
        driver(0, "accepted", "t", json!({}))
    }

    fn cancel(at: u64, grace: u64) -> Entry {
        engine(at, "cancel", "t", json!({"grace_ms": grace}))
    }

    fn report(at: u64) -> Entry {
        driver(at, "report", "t", json!({}))
    }

    #[test]
    fn a_report_comes_within_the_grace() {
        assert!(within_grace(&[accepted(), cancel(10, 2_000), report(1_900)]).is_empty());
        assert_eq!(
            within_grace(&[accepted(), cancel(10, 2_000), report(2_900)]).len(),
            1
        );
        let beat = driver(9_000, "heartbeat", "", json!({}));
        let none = [accepted(), cancel(10, 2_000), beat.clone()];
        assert_eq!(within_grace(&none).len(), 1);
        let taken = [accepted(), cancel(10, 2_000), cancel(500, 0), beat];
        assert!(within_grace(&taken).is_empty());
    }

    #[test]
    fn nothing_but_lines_is_told_behind_a_stale_token() {
        let token = STANDARD.encode("t");
        let stale = || engine(100, "acknowledgement", "", json!({"stale_tokens": [token]}));
        let lines = || driver(900, "logs", "t", json!({}));
        assert!(nothing_of_stale(&[accepted(), report(50), stale(), lines()]).is_empty());
        assert_eq!(
            nothing_of_stale(&[accepted(), stale(), lines()]),
            ["`logs` was told of a task whose token came back as stale"]
        );
        assert_eq!(
            nothing_of_stale(&[accepted(), stale(), report(900)]).len(),
            1
        );
        let again = engine(500, "task", "t", json!({}));
        assert!(nothing_of_stale(&[accepted(), stale(), again, report(900)]).is_empty());
    }

    #[test]
    fn nothing_is_told_behind_a_cancel_without_a_grace() {
        assert!(nothing_without_grace(&[accepted(), report(5), cancel(10, 0)]).is_empty());
        assert_eq!(
            nothing_without_grace(&[accepted(), cancel(10, 0), report(900)]).len(),
            1
        );
    }

    #[test]
    fn who_left_says_nothing_of_tasks() {
        let leaving = || driver(100, "leaving", "", json!({}));
        let beat = |tasks: Json| driver(200, "heartbeat", "", json!({"tasks": tasks}));
        let report = || driver(200, "report", "t", json!({}));
        assert!(nothing_once_it_left(&[report(), leaving(), beat(json!([]))]).is_empty());
        assert_eq!(
            nothing_once_it_left(&[leaving(), report()]),
            ["`report` was said of a task 100 ms behind `leaving`, which says that none is held"]
        );
        let named = beat(json!([{"token": "dA=="}]));
        assert_eq!(nothing_once_it_left(&[leaving(), named]).len(), 1);
        // It came again.
        let hello = driver(150, "hello", "", json!({}));
        assert!(nothing_once_it_left(&[leaving(), hello, report()]).is_empty());
    }
}
