//! Checkpoints, and what is refused: no more than is allowed, and nothing that was refused once more.

use super::number;
use crate::wire::{By, Entry, From};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::bytes::Bytes;
use serde_json::Value as Json;

/// Bytes of a checkpoint where the welcome does not say.
const USUAL: u64 = 1 << 20;

/// R37: no checkpoint is larger than the welcome allows.
pub(super) fn within_limit(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut most = USUAL;
    for entry in entries {
        if (entry.from, entry.kind) == (From::Engine, "welcome") {
            most = match number(&entry.body, "/limits/checkpoint_bytes") {
                0 => USUAL,
                told => told,
            };
        }
        if (entry.from, entry.kind) == (From::Driver, "checkpoint") {
            let data = entry.body["data"].as_str().unwrap_or_default();
            let length = STANDARD.decode(data).map_or(0, |data| data.len()) as u64;
            if length > most {
                wrong.push(format!(
                    "a checkpoint has {length} bytes; the limit `checkpoint_bytes` is {most}"
                ));
            }
        }
    }
    wrong
}

/// R64: a checkpoint or a `detached` that was refused is not said again as it was.
pub(super) fn not_again(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        if entry.from != From::Engine || entry.lost {
            continue;
        }
        for no in refused(&entries[..at], entry) {
            let again = entries[at..].iter().any(|later| {
                later.from == From::Driver
                    && (later.kind, &later.token) == (no.kind, &no.token)
                    && later.body == no.body
            });
            if again {
                wrong.push(format!(
                    "a `{}` that was refused was sent again as it was",
                    no.kind
                ));
            }
        }
    }
    wrong
}

/// The driver's messages that one of the engine's refuses.
fn refused<'a>(before: &'a [Entry], entry: &Entry) -> Vec<&'a Entry> {
    // The answer to a call names no token.
    if entry.kind == "outcome" && entry.token.is_empty() && entry.body["status"] == "invalid" {
        let said = before.iter().rev().find(|said| said.kind == "checkpoint");
        return said.into_iter().collect();
    }
    let list = entry.body["refused"].as_array().into_iter().flatten();
    list.filter_map(|one| refused_one(before, entry.connection, one))
        .collect()
}

fn refused_one<'a>(before: &'a [Entry], connection: u32, one: &Json) -> Option<&'a Entry> {
    let token = STANDARD
        .decode(one["token"].as_str()?)
        .ok()
        .map(Bytes::from)?;
    let kind = one["kind"].as_str()?;
    let number = number(one, "/sequence");
    before.iter().rev().find(|said| {
        let is_number = match said.by {
            By::Stream { sequence } => sequence == number,
            By::Call | By::Nothing => true,
        };
        said.from == From::Driver
            && said.connection == connection
            && (said.kind, &said.token) == (kind, &token)
            && is_number
    })
}

#[cfg(test)]
mod tests {
    use super::super::made::{driver, engine, on};
    use super::*;
    use serde_json::json;

    fn checkpoint(at: u64, number: u64, data: &str) -> Entry {
        let data = STANDARD.encode(data);
        on(
            1,
            number,
            driver(at, "checkpoint", "t", json!({"data": data})),
        )
    }

    #[test]
    fn a_checkpoint_is_as_large_as_the_welcome_allows() {
        let welcome = engine(0, "welcome", "", json!({"limits": {"checkpoint_bytes": 3}}));
        let good = [welcome.clone(), checkpoint(1, 2, "abc")];
        assert!(within_limit(&good).is_empty());
        let bad = [welcome, checkpoint(1, 2, "abcd")];
        assert_eq!(
            within_limit(&bad),
            ["a checkpoint has 4 bytes; the limit `checkpoint_bytes` is 3"]
        );
    }

    #[test]
    fn what_was_refused_is_not_sent_again() {
        let token = STANDARD.encode("t");
        let refused = json!([{"token": token, "kind": "checkpoint", "sequence": 2}]);
        let no = engine(2, "acknowledgement", "", json!({"refused": refused}));
        let good = [checkpoint(1, 2, "no"), no.clone(), checkpoint(3, 3, "yes")];
        assert!(not_again(&good).is_empty());
        let bad = [checkpoint(1, 2, "no"), no, checkpoint(3, 3, "no")];
        assert_eq!(not_again(&bad).len(), 1);
        let call = engine(2, "outcome", "", json!({"status": "invalid"}));
        let bad = [checkpoint(1, 2, "no"), call, checkpoint(3, 3, "no")];
        assert_eq!(not_again(&bad).len(), 1);
    }
}
