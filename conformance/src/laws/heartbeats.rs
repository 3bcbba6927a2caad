//! Heartbeats: how often they come, and what they name.

use super::number;
use crate::wire::{By, Entry, From};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use std::time::Duration;

/// The least pause that a driver has to keep to (R20): ten a second.
const LEAST: Duration = Duration::from_millis(100);
/// What a heartbeat may be late by: machines are busy.
const LATE: Duration = Duration::from_millis(1_000);

/// R20: a heartbeat every `heartbeat_interval_ms`, and three within the shortest `heartbeat_timeout_ms` of the tasks held,
/// though no more than ten a second. On streams that last.
pub(super) fn in_time(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut last: Option<(u32, Duration)> = None;
    let mut interval = Duration::from_secs(5);
    let mut shortest = interval;
    for entry in entries {
        if entry.from == From::Engine && entry.kind == "welcome" {
            let told = number(&entry.body, "/heartbeat_interval_ms");
            interval = Duration::from_millis(if told == 0 { 5_000 } else { told });
            shortest = interval;
            last = Some((entry.connection, entry.at));
        }
        if entry.from == From::Engine && entry.kind == "task" && !entry.lost {
            let timeout = number(&entry.body, "/heartbeat_timeout_ms");
            if timeout > 0 {
                shortest = shortest.min(Duration::from_millis(timeout / 3)).max(LEAST);
            }
        }
        let (connection, before) = match last {
            Some(last) if last.0 == entry.connection => last,
            _ => continue,
        };
        match entry.kind {
            "heartbeat" | "broken" | "leaving" | "goodbye" => {}
            _ => continue,
        }
        let pause = entry.at.saturating_sub(before);
        if pause > shortest + shortest / 2 + LATE {
            wrong.push(format!(
                "{} ms lie between two heartbeats of connection {connection}; at most {} ms are to",
                pause.as_millis(),
                shortest.as_millis()
            ));
        }
        last = (entry.kind == "heartbeat").then_some((entry.connection, entry.at));
    }
    wrong
}

/// R21: a heartbeat names every token that was accepted and whose report is not answered.
pub(super) fn all_named(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (at, heartbeat) in entries.iter().enumerate() {
        if heartbeat.kind != "heartbeat" || matches!(heartbeat.by, By::Nothing) {
            continue;
        }
        let named = names(&heartbeat.body);
        for accepted in entries[..at]
            .iter()
            .filter(|entry| entry.from == From::Driver && entry.kind == "accepted")
        {
            let over = entries[..at].iter().any(|entry| is_over(entry, accepted));
            let token = STANDARD.encode(&accepted.token);
            // What was said at the same moment may not be known yet.
            let settled = heartbeat.at.saturating_sub(accepted.at) > Duration::from_millis(200);
            if !over && settled && !named.contains(&token.as_str()) {
                wrong.push(format!(
                    "a heartbeat at {} ms does not name a token that was accepted at {} ms and is still held",
                    heartbeat.at.as_millis(),
                    accepted.at.as_millis()
                ));
            }
        }
    }
    wrong.truncate(3);
    wrong
}

fn names(body: &Json) -> Vec<&str> {
    let tasks = body["tasks"].as_array().into_iter().flatten();
    tasks.filter_map(|task| task["token"].as_str()).collect()
}

/// Whether a message ends what a driver holds.
fn is_over(entry: &Entry, accepted: &Entry) -> bool {
    if entry.at < accepted.at {
        return false;
    }
    let token = STANDARD.encode(&accepted.token);
    match (entry.from, entry.kind) {
        (From::Engine, "outcome") | (From::Driver, "refused" | "detached") => {
            entry.token == accepted.token
        }
        // The driver may know already that its report came; and what it reports it need not name for long.
        (From::Driver, "report") => entry.token == accepted.token,
        (From::Engine, "cancel") => {
            entry.token == accepted.token && number(&entry.body, "/grace_ms") == 0
        }
        (From::Engine, "acknowledgement" | "welcome") => entry.body["stale_tokens"]
            .as_array()
            .is_some_and(|stale| stale.iter().any(|one| one.as_str() == Some(token.as_str()))),
        (From::Driver, "hello" | "leaving") => true,
        (From::Engine, "goodbye") => true,
        _ => false,
    }
}
