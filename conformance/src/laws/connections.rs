//! Streams: how they begin, and how what goes over them is numbered.

use super::{number, of_driver};
use crate::wire::{By, Entry};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a driver has for its first message (R2).
const FIRST_MESSAGE: Duration = Duration::from_secs(10);

fn on_stream(entry: &Entry) -> bool {
    matches!(entry.by, By::Stream { .. })
}

/// R1: the first message is `hello` or `resume`, and no later one is.
pub(super) fn first_message(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut begun = BTreeMap::new();
    for entry in of_driver(entries).filter(|entry| on_stream(entry)) {
        let opens = matches!(entry.kind, "hello" | "resume");
        let first = begun.insert(entry.connection, ()).is_none();
        if first && !opens {
            wrong.push(format!(
                "the first message of connection {} is `{}`",
                entry.connection, entry.kind
            ));
        }
        if !first && opens {
            wrong.push(format!(
                "a later message of connection {} is `{}`",
                entry.connection, entry.kind
            ));
        }
    }
    wrong
}

/// R2: the first message comes within 10 s.
pub(super) fn in_time(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    for connected in of_driver(entries).filter(|entry| entry.kind == "connected") {
        let first = of_driver(entries)
            .find(|entry| entry.connection == connected.connection && on_stream(entry));
        if let Some(first) = first
            && first.at.saturating_sub(connected.at) > FIRST_MESSAGE
        {
            wrong.push(format!(
                "the first message of connection {} came {} ms after it was there",
                connected.connection,
                first.at.saturating_sub(connected.at).as_millis()
            ));
        }
    }
    wrong
}

/// R6: messages of a connection are numbered from 1, each by one more.
pub(super) fn numbered(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut last: BTreeMap<u32, u64> = BTreeMap::new();
    for entry in of_driver(entries) {
        let By::Stream { sequence } = entry.by else {
            continue;
        };
        let before = last.insert(entry.connection, sequence).unwrap_or(0);
        if sequence != before + 1 {
            wrong.push(format!(
                "`{}` of connection {} has the number {sequence}, behind {before}",
                entry.kind, entry.connection
            ));
        }
    }
    wrong
}

/// R41: the generation rises with each resume of a session.
pub(super) fn generations(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for entry in of_driver(entries).filter(|entry| entry.kind == "resume") {
        let session = entry.body["session"].as_str().unwrap_or_default();
        let generation = number(&entry.body, "/generation");
        let before = last.insert(session.to_owned(), generation).unwrap_or(0);
        if generation <= before {
            wrong.push(format!(
                "a resume has the generation {generation}, behind {before}"
            ));
        }
    }
    wrong
}
