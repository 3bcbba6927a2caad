//! Reports: they are sent until they are answered.

use super::of_driver;
use crate::wire::{By, Entry, From};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::bytes::Bytes;
use std::time::Duration;

/// How long a report may wait until it is sent again (R25).
const AGAIN: Duration = Duration::from_secs(5);
/// How long a new connection may be there without it.
const SOON: Duration = Duration::from_secs(2);
/// What it may be late by: machines are busy.
const LATE: Duration = Duration::from_secs(2);

/// R25: a report is sent until it is answered: every 5 s, and over each new connection. On streams that last.
pub(super) fn until_answered(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (at, report) in entries.iter().enumerate() {
        let first = report.kind == "report"
            && matches!(report.by, By::Stream { .. })
            && !of_driver(&entries[..at]).any(|entry| is_report(entry, &report.token));
        if first {
            wrong.extend(unanswered(&entries[at..], &report.token));
        }
    }
    wrong
}

fn is_report(entry: &Entry, token: &Bytes) -> bool {
    entry.kind == "report" && entry.token == *token
}

/// What is wrong of one report, from its first sending on.
fn unanswered(entries: &[Entry], token: &Bytes) -> Option<String> {
    let last = entries.last()?;
    // On which connection it has to come, and until when.
    let mut due: Option<(u32, Duration)> = None;
    for entry in entries {
        if let Some((_, until)) = due
            && entry.at > until
        {
            return Some(late(until));
        }
        if entry.from == From::Driver && is_report(entry, token) {
            due = Some((entry.connection, entry.at + AGAIN + LATE));
        } else if ends(entry, token) {
            return None;
        } else if entry.from == From::Engine && entry.kind == "welcome" {
            due = Some((entry.connection, entry.at + SOON));
        } else if entry.kind == "broken" && due.is_some_and(|due| due.0 == entry.connection) {
            due = None;
        }
    }
    due.and_then(|(_, until)| (last.at > until).then(|| late(until)))
}

fn late(until: Duration) -> String {
    format!(
        "a report that is not answered was not sent again until {} ms: it is every 5,000 ms, and over each new connection",
        until.as_millis()
    )
}

/// Whether nothing more is owed of a report.
fn ends(entry: &Entry, token: &Bytes) -> bool {
    match (entry.from, entry.kind) {
        // A status of a later contract is no answer.
        (From::Engine, "outcome") => {
            let status = entry.body["status"].as_str().unwrap_or_default();
            let known = matches!(status, "accepted" | "already" | "stale" | "invalid");
            entry.token == *token && known && !entry.lost
        }
        (From::Engine, "cancel") => entry.token == *token && entry.body["grace_ms"] == 0,
        (From::Engine, "acknowledgement" | "welcome") => {
            let token = STANDARD.encode(token);
            let stale = entry.body["stale_tokens"].as_array().into_iter().flatten();
            !entry.lost && stale.into_iter().any(|one| one.as_str() == Some(&token))
        }
        (From::Engine, "goodbye") | (From::Driver, "leaving" | "hello") => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::made::{driver, engine, on};
    use serde_json::json;

    fn report(at: u64, connection: u32) -> Entry {
        on(connection, 1, driver(at, "report", "t", json!({})))
    }

    fn end(at: u64) -> Entry {
        on(9, 1, driver(at, "heartbeat", "", json!({})))
    }

    #[test]
    fn a_report_is_sent_every_five_seconds_until_it_is_answered() {
        let answer = engine(7_000, "outcome", "t", json!({"status": "accepted"}));
        let good = [report(0, 1), report(5_000, 1), answer, end(60_000)];
        assert!(until_answered(&good).is_empty());
        assert_eq!(until_answered(&[report(0, 1), end(9_000)]).len(), 1);
        let unknown = engine(1, "outcome", "t", json!({"status": "99"}));
        assert_eq!(
            until_answered(&[report(0, 1), unknown, end(9_000)]).len(),
            1
        );
    }

    #[test]
    fn a_report_is_sent_over_each_new_connection() {
        let welcome = || on(2, 1, engine(100, "welcome", "", json!({})));
        let broken = || on(1, 0, driver(50, "broken", "", json!({})));
        let good = [
            report(0, 1),
            broken(),
            welcome(),
            report(200, 2),
            end(3_000),
        ];
        assert!(until_answered(&good).is_empty());
        let bad = [report(0, 1), broken(), welcome(), end(3_000)];
        assert_eq!(until_answered(&bad).len(), 1);
        assert!(until_answered(&[report(0, 1), broken(), end(60_000)]).is_empty());
    }
}
