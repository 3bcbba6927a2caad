//! Room: how many tasks a driver holds.

use super::number;
use crate::wire::{Entry, From};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::bytes::Bytes;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long it may seem to hold more: a credit may come before its task's report (R11).
const SETTLED: Duration = Duration::from_secs(1);

/// R15: it holds no more tasks than the capacity of its hello.
pub(super) fn within_capacity(entries: &[Entry]) -> Vec<String> {
    let mut held: BTreeSet<Bytes> = BTreeSet::new();
    let mut capacity = None;
    let mut over: Option<Duration> = None;
    for entry in entries {
        match (entry.from, entry.kind) {
            (From::Driver, "hello") => {
                capacity = usize::try_from(number(&entry.body, "/capacity")).ok();
                held.clear();
            }
            (From::Driver, "leaving") => held.clear(),
            (From::Driver, "accepted") => {
                held.insert(entry.token.clone());
            }
            (From::Driver, "report" | "refused" | "detached") | (From::Engine, "outcome") => {
                held.remove(&entry.token);
            }
            (From::Engine, "cancel") if number(&entry.body, "/grace_ms") == 0 => {
                held.remove(&entry.token);
            }
            (From::Engine, "acknowledgement" | "welcome") => {
                let stale = entry.body["stale_tokens"].as_array().into_iter().flatten();
                let stale = stale.filter_map(|token| STANDARD.decode(token.as_str()?).ok());
                for token in stale {
                    held.remove(&token[..]);
                }
            }
            _ => {}
        }
        let most = capacity.filter(|most| *most > 0 && held.len() > *most);
        let since = *over.get_or_insert(entry.at);
        match most {
            None => over = None,
            Some(most) if entry.at.saturating_sub(since) > SETTLED => {
                return vec![format!(
                    "the driver holds {} tasks at {} ms; its capacity is {most}",
                    held.len(),
                    entry.at.as_millis()
                )];
            }
            Some(_) => {}
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::By;
    use serde_json::{Value as Json, json};

    fn said(at: u64, kind: &'static str, token: &'static str, body: Json) -> Entry {
        Entry {
            at: Duration::from_millis(at),
            connection: 1,
            from: From::Driver,
            kind,
            token: Bytes::from_static(token.as_bytes()),
            by: By::Call,
            body,
            forged: false,
            lost: false,
        }
    }

    #[test]
    fn more_than_the_capacity_is_told_once_it_lasts() {
        let mut entries = vec![
            said(0, "hello", "", json!({ "capacity": 1 })),
            said(10, "accepted", "a", json!({})),
            said(20, "accepted", "b", json!({})),
            said(500, "report", "a", json!({})),
            said(2_000, "heartbeat", "", json!({})),
        ];
        assert_eq!(within_capacity(&entries), [""; 0]);
        entries.remove(3);
        let wrong = within_capacity(&entries);
        assert_eq!(
            wrong,
            ["the driver holds 2 tasks at 2000 ms; its capacity is 1"]
        );
    }
}
