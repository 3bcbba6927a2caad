//! Streams: how they begin, and how what goes over them is numbered.

use super::{number, of_driver};
use crate::wire::{By, Entry, From};
use serde_json::Value as Json;
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

/// R2: the first message comes within 10 s. A stream that broke before, or to which the engine said `goodbye`, has
/// waited until then and no longer.
pub(super) fn in_time(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (at, connected) in entries.iter().enumerate() {
        if connected.kind != "connected" {
            continue;
        }
        let mut of_it = entries[at + 1..]
            .iter()
            .filter(|entry| entry.connection == connected.connection);
        let first = of_it.find(|entry| match entry.from {
            From::Driver => on_stream(entry) || entry.kind == "broken",
            From::Engine => entry.kind == "goodbye" && !entry.lost,
        });
        let said = first.is_some_and(|first| first.from == From::Driver && on_stream(first));
        let until = first.or(entries.last()).map_or(connected.at, |one| one.at);
        let waited = until.saturating_sub(connected.at);
        if waited > FIRST_MESSAGE {
            wrong.push(format!(
                "the first message of connection {} {} {} ms after it was there; it comes within {} ms",
                connected.connection,
                if said { "came" } else { "was not there" },
                waited.as_millis(),
                FIRST_MESSAGE.as_millis()
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

/// R8: a version has one set of actions and schemas, unless it ends in `-dev`.
pub(super) fn one_set_of_actions(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut published: BTreeMap<(&str, &str), &Json> = BTreeMap::new();
    for entry in of_driver(entries).filter(|entry| entry.kind == "hello") {
        let word = |key: &str| entry.body[key].as_str().unwrap_or_default();
        let (driver, version) = (word("driver"), word("version"));
        if version.is_empty() || version.ends_with("-dev") {
            continue;
        }
        let actions = &entry.body["actions"];
        let first = *published.entry((driver, version)).or_insert(actions);
        if first != actions {
            wrong.push(format!(
                "two hellos of `{driver}` {version} have other actions or schemas: {first} and {actions}"
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::made::{driver, engine, on};
    use serde_json::json;

    #[test]
    fn a_connection_begins_with_who_it_is_and_says_that_once() {
        let good = [
            on(1, 1, driver(0, "hello", "", json!({}))),
            on(1, 2, driver(1, "heartbeat", "", json!({}))),
            on(2, 1, driver(2, "resume", "", json!({}))),
        ];
        assert!(first_message(&good).is_empty());
        let late = [
            on(1, 1, driver(0, "heartbeat", "", json!({}))),
            on(1, 2, driver(1, "hello", "", json!({}))),
        ];
        assert_eq!(first_message(&late).len(), 2);
    }

    /// A stream that came, as the tap takes it down.
    fn connected(at: u64) -> Entry {
        Entry {
            by: By::Nothing,
            ..driver(at, "connected", "", json!({}))
        }
    }

    fn broken(at: u64) -> Entry {
        Entry {
            by: By::Nothing,
            ..driver(at, "broken", "", json!({}))
        }
    }

    #[test]
    fn who_has_a_stream_says_something_on_it_within_ten_seconds() {
        let hello = |at| driver(at, "hello", "", json!({}));
        let beat = |at| on(2, 1, driver(at, "heartbeat", "", json!({})));
        assert!(in_time(&[connected(100), hello(10_000)]).is_empty());
        assert_eq!(
            in_time(&[connected(100), hello(10_200)]),
            [
                "the first message of connection 1 came 10100 ms after it was there; it comes within 10000 ms"
            ]
        );
        // Nothing at all, while another connection goes on.
        assert!(in_time(&[connected(0), beat(9_000)]).is_empty());
        assert_eq!(in_time(&[connected(0), beat(11_000)]).len(), 1);
        let goodbye = engine(10_001, "goodbye", "", json!({"reason": "refused"}));
        assert_eq!(in_time(&[connected(0), goodbye]).len(), 1);
        // What is gone owes nothing.
        assert!(in_time(&[connected(0), broken(50), beat(30_000)]).is_empty());
    }

    #[test]
    fn numbers_rise_by_one_on_each_connection() {
        let on = |connection, number| on(connection, number, driver(0, "heartbeat", "", json!({})));
        assert!(numbered(&[on(1, 1), on(1, 2), on(2, 1)]).is_empty());
        assert_eq!(numbered(&[on(1, 2)]).len(), 1);
        assert_eq!(numbered(&[on(1, 1), on(1, 3)]).len(), 1);
        assert_eq!(numbered(&[on(1, 1), on(2, 2)]).len(), 1);
    }

    #[test]
    fn a_version_has_one_set_of_actions() {
        let hello = |version: &str, action: &str| {
            let body = json!({"driver": "d", "version": version, "actions": [{"name": action}]});
            driver(0, "hello", "", body)
        };
        assert!(one_set_of_actions(&[hello("1.0.0", "a"), hello("1.0.0", "a")]).is_empty());
        assert!(one_set_of_actions(&[hello("1.0.0", "a"), hello("1.1.0", "b")]).is_empty());
        assert!(one_set_of_actions(&[hello("1.0.0-dev", "a"), hello("1.0.0-dev", "b")]).is_empty());
        assert_eq!(
            one_set_of_actions(&[hello("1.0.0", "a"), hello("1.0.0", "b")]).len(),
            1
        );
    }
}
