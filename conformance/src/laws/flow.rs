//! How much a driver lets come, and how much it has on its way.

use super::number;
use crate::wire::{By, Entry, From};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::bytes::Bytes;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Messages that may be on their way besides those of each place (R62).
const UNANSWERED: u64 = 256;
/// Messages for each place of the capacity (R62).
const OF_A_PLACE: u64 = 4;

/// The capacity that the last hello gave; 1 where it names none.
fn capacity(entry: &Entry) -> Option<u64> {
    let told = entry.kind == "hello" && entry.from == From::Driver;
    told.then(|| number(&entry.body, "/capacity").max(1))
}

/// R10: credits that are open add up to at most the capacity.
pub(super) fn credits(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut most = u64::MAX;
    let mut open = 0;
    for entry in entries {
        most = capacity(entry).unwrap_or(most);
        match (entry.from, entry.kind) {
            (From::Engine, "welcome") => open = 0,
            (From::Engine, "task") if !entry.lost => open = u64::saturating_sub(open, 1),
            (From::Driver, "heartbeat") => {
                // It may have crossed a task.
                let free = entry.body["free"].as_u64();
                open = free.map_or(open, |free| free.min(open));
            }
            (From::Driver, "credits") if !entry.lost => {
                open += number(&entry.body, "/count");
                if open > most {
                    wrong.push(format!(
                        "credits for {open} tasks are open at {} ms; the capacity is {most}",
                        entry.at.as_millis()
                    ));
                }
            }
            _ => {}
        }
    }
    wrong.truncate(3);
    wrong
}

/// What of the driver's is on its way: a number of a connection, or that of a task there is one.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Number(u64),
    Report(Bytes),
    Checkpoint(Bytes),
    /// Lines of a task, up to this offset.
    Lines(Bytes, u64),
}

impl Way {
    /// Whether lines are durable, or nobody's any more: they have acknowledgements of their own (R7).
    fn is_kept(&self, logs: &[Json]) -> bool {
        let Way::Lines(token, end) = self else {
            return false;
        };
        let token = STANDARD.encode(token);
        logs.iter().any(|told| {
            let sealed = told["sealed"].as_bool().unwrap_or(false);
            told["token"] == token && (sealed || number(told, "/next_offset") >= *end)
        })
    }
}

/// R62: no more messages are on their way than four for each place and 256. On streams.
pub(super) fn unanswered(entries: &[Entry]) -> Vec<String> {
    let mut most = u64::MAX;
    let mut ways: BTreeMap<u32, BTreeMap<Way, u64>> = BTreeMap::new();
    let mut worst = 0;
    for entry in entries {
        if let Some(capacity) = capacity(entry) {
            most = UNANSWERED + OF_A_PLACE * capacity;
        }
        let By::Stream { sequence } = entry.by else {
            continue;
        };
        let on = ways.entry(entry.connection).or_default();
        match (entry.from, entry.kind) {
            (From::Driver, "heartbeat" | "hello" | "resume") => {}
            (From::Driver, kind) => {
                let token = || entry.token.clone();
                let way = match kind {
                    "report" => Way::Report(token()),
                    "checkpoint" => Way::Checkpoint(token()),
                    "logs" => {
                        let lines = entry.body["lines"].as_array().map_or(0, Vec::len) as u64;
                        Way::Lines(token(), number(&entry.body, "/first_offset") + lines)
                    }
                    _ => Way::Number(sequence),
                };
                on.insert(way, sequence);
                let count = on.len() as u64;
                if count > most {
                    worst = worst.max(count);
                }
            }
            (From::Engine, "acknowledgement") if !entry.lost => {
                let done = number(&entry.body, "/sequence");
                let logs = entry.body["logs"].as_array().map_or(&[][..], Vec::as_slice);
                on.retain(|way, number| match way {
                    Way::Report(_) => true,
                    way => *number > done && !way.is_kept(logs),
                });
            }
            (From::Engine, "outcome") if !entry.lost => {
                on.remove(&Way::Report(entry.token.clone()));
            }
            _ => {}
        }
    }
    match worst {
        0 => Vec::new(),
        _ => vec![format!(
            "{worst} messages were on their way that were neither acknowledged nor answered; the limit `unanswered_messages` is {most}"
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::made::{driver, engine, on};
    use serde_json::json;

    fn hello() -> Entry {
        on(1, 1, driver(0, "hello", "", json!({"capacity": 1})))
    }

    #[test]
    fn open_credits_are_no_more_than_the_capacity() {
        let credit = || driver(0, "credits", "", json!({"count": 1}));
        let task = || engine(0, "task", "t", json!({}));
        assert!(credits(&[hello(), credit(), task(), credit()]).is_empty());
        assert_eq!(credits(&[hello(), credit(), credit()]).len(), 1);
        // A new connection begins anew; what a heartbeat says counts in place of the sum.
        let welcome = engine(0, "welcome", "", json!({}));
        assert!(credits(&[hello(), credit(), welcome, credit()]).is_empty());
        let none = driver(0, "heartbeat", "", json!({"free": 0}));
        assert!(credits(&[hello(), credit(), none, credit()]).is_empty());
    }

    #[test]
    fn messages_on_their_way_are_within_their_limit() {
        let line = |number: u64| {
            let body = json!({"first_offset": number - 2, "lines": [{}]});
            on(1, number, driver(0, "logs", "t", body))
        };
        let many = |last| [hello()].into_iter().chain((2..=last).map(line));
        assert!(unanswered(&many(261).collect::<Vec<_>>()).is_empty());
        assert_eq!(unanswered(&many(262).collect::<Vec<_>>()).len(), 1);
        let read = on(
            1,
            1,
            engine(0, "acknowledgement", "", json!({"sequence": 200})),
        );
        let good: Vec<_> = many(261)
            .chain([read])
            .chain((262..=300).map(line))
            .collect();
        assert!(unanswered(&good).is_empty());
        // Lines are acknowledged by their own offsets, too, while another message is under way.
        let kept = |token: &str| {
            let logs = json!([{"token": STANDARD.encode(token), "next_offset": 100}]);
            engine(
                0,
                "acknowledgement",
                "",
                json!({"sequence": 1, "logs": logs}),
            )
        };
        let after = |kept: Entry| -> Vec<_> {
            let kept = on(1, 1, kept);
            many(261)
                .chain([kept])
                .chain((262..=361).map(line))
                .collect()
        };
        assert!(unanswered(&after(kept("t"))).is_empty());
        assert_eq!(unanswered(&after(kept("of another"))).len(), 1);
    }

    #[test]
    fn repeats_of_a_report_count_once() {
        let report = |number| on(1, number, driver(0, "report", "t", json!({})));
        let all: Vec<_> = [hello()].into_iter().chain((2..400).map(report)).collect();
        assert!(unanswered(&all).is_empty());
    }
}
