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
/// How many heartbeats may come within a second: ten, and some that a busy machine kept back.
const MOST: usize = 15;

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

/// R20: no more than ten heartbeats come within a second.
pub(super) fn not_too_often(entries: &[Entry]) -> Vec<String> {
    let beats = entries.iter().filter(|entry| entry.kind == "heartbeat");
    let beats: Vec<(u32, Duration)> = beats.map(|beat| (beat.connection, beat.at)).collect();
    let too_often = beats.windows(MOST + 1).find(|some| {
        let (first, last) = (some[0], some[MOST]);
        first.0 == last.0 && last.1.saturating_sub(first.1) < Duration::from_secs(1)
    });
    let told = too_often.map(|some| {
        format!(
            "more than {MOST} heartbeats came within the second from {} ms on; no more than ten are to",
            some[0].1.as_millis()
        )
    });
    told.into_iter().collect()
}

/// R41: a resume names every token that is held. Where the engine was not heard for long, some may have been given
/// back (R22): then nothing is said of it.
pub(super) fn all_resumed(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (at, resume) in entries.iter().enumerate() {
        if resume.kind != "resume" {
            continue;
        }
        let tokens = resume.body["tokens"].as_array().into_iter().flatten();
        let named: Vec<&str> = tokens.filter_map(Json::as_str).collect();
        let heard = entries[..at]
            .iter()
            .rev()
            .find(|entry| entry.from == From::Engine);
        let heard = heard.map_or(Duration::ZERO, |entry| entry.at);
        for task in entries[..at].iter().filter(|entry| entry.kind == "task") {
            let timeout = Duration::from_millis(number(&task.body, "/heartbeat_timeout_ms"));
            let unheard = resume.at.saturating_sub(heard) >= timeout / 2;
            let accepted = entries[..at].iter().find(|entry| {
                entry.from == From::Driver && entry.kind == "accepted" && entry.token == task.token
            });
            let Some(accepted) = accepted.filter(|_| !unheard) else {
                continue;
            };
            let over = entries[..at].iter().any(|entry| is_over(entry, accepted));
            if !over && !named.contains(&STANDARD.encode(&task.token).as_str()) {
                wrong.push(format!(
                    "a resume at {} ms does not name a token that was accepted at {} ms and is still held",
                    resume.at.as_millis(),
                    accepted.at.as_millis()
                ));
            }
        }
    }
    wrong.truncate(3);
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
        // What it held is the other's.
        (From::Engine, "goodbye") => entry.body["reason"] == "replaced",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::made::{driver, engine, on};
    use super::*;
    use serde_json::json;

    fn beat(at: u64, tokens: &[&str]) -> Entry {
        let tasks = tokens.iter();
        let tasks: Json = tasks
            .map(|token| json!({"token": STANDARD.encode(token)}))
            .collect();
        driver(at, "heartbeat", "", json!({"tasks": tasks}))
    }

    fn task() -> [Entry; 2] {
        let body = json!({"heartbeat_timeout_ms": 30_000});
        [
            engine(5, "task", "t", body),
            driver(10, "accepted", "t", json!({})),
        ]
    }

    #[test]
    fn heartbeats_come_as_often_as_they_are_asked_for() {
        let welcome = || engine(0, "welcome", "", json!({"heartbeat_interval_ms": 300}));
        assert!(in_time(&[welcome(), beat(300, &[]), beat(600, &[])]).is_empty());
        assert_eq!(
            in_time(&[welcome(), beat(300, &[]), beat(3_600, &[])]).len(),
            1
        );
        let broken = driver(9_000, "broken", "", json!({}));
        assert_eq!(in_time(&[welcome(), broken]).len(), 1);
    }

    #[test]
    fn no_more_than_ten_come_within_a_second() {
        let tenth: Vec<Entry> = (0..40).map(|at| beat(at * 100, &[])).collect();
        assert!(not_too_often(&tenth).is_empty());
        let twentieth: Vec<Entry> = (0..40).map(|at| beat(at * 50, &[])).collect();
        assert_eq!(not_too_often(&twentieth).len(), 1);
    }

    #[test]
    fn a_heartbeat_names_what_is_held() {
        let [told, accepted] = task();
        assert!(all_named(&[told.clone(), accepted.clone(), beat(900, &["t"])]).is_empty());
        let bad = [told.clone(), accepted.clone(), beat(900, &[])];
        assert_eq!(all_named(&bad).len(), 1);
        let answered = engine(500, "outcome", "t", json!({"status": "accepted"}));
        assert!(all_named(&[told, accepted, answered, beat(900, &[])]).is_empty());
    }

    #[test]
    fn a_resume_names_what_is_held() {
        let resume = |tokens: Json| on(2, 1, driver(900, "resume", "", json!({"tokens": tokens})));
        let [told, accepted] = task();
        let good = [
            told.clone(),
            accepted.clone(),
            resume(json!([STANDARD.encode("t")])),
        ];
        assert!(all_resumed(&good).is_empty());
        let bad = [told.clone(), accepted.clone(), resume(json!([]))];
        assert_eq!(all_resumed(&bad).len(), 1);
        let ended = driver(500, "report", "t", json!({}));
        assert!(all_resumed(&[told, accepted, ended, resume(json!([]))]).is_empty());
    }
}
