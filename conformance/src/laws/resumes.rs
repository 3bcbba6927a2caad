//! What comes again over a connection that was resumed: credits, and what was not acknowledged. Only what the resume
//! itself names is looked at: the driver says that it holds it.

use super::number;
use crate::wire::{By, Entry, From};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::bytes::Bytes;
use serde_json::Value as Json;
use std::time::Duration;

/// How long a connection may be there without what it has to bring: machines are busy.
const SOON: Duration = Duration::from_secs(2);
/// A window that has room for any line (R31). Where a case gives less, lines may wait.
const ROOM: u64 = 65_600;

/// A connection that was resumed, and lasted.
struct Resumed<'a> {
    /// All that was said before its welcome.
    before: &'a [Entry],
    welcome: &'a Entry,
    /// All that was said within [`SOON`] of it, over whatever connection.
    soon: &'a [Entry],
    /// What was said over it from its welcome on.
    behind: Vec<&'a Entry>,
    /// The tokens that it named.
    tokens: Vec<Bytes>,
}

/// Those of a record.
fn resumed(entries: &[Entry]) -> Vec<Resumed<'_>> {
    let mut all = Vec::new();
    for (at, welcome) in entries.iter().enumerate() {
        let connection = welcome.connection;
        let is_of = |entry: &&Entry| entry.connection == connection;
        let mut before = entries[..at].iter().filter(is_of);
        let resume = before.find(|entry| (entry.from, entry.kind) == (From::Driver, "resume"));
        let (Some(resume), "welcome", false) = (resume, welcome.kind, welcome.lost) else {
            continue;
        };
        let behind = entries[at + 1..].iter().filter(is_of);
        // Who leaves, or is told to go, owes nothing more.
        let over =
            |entry: &&Entry| matches!(entry.kind, "broken" | "goodbye" | "drain" | "leaving");
        let end = behind.clone().find(over).or(entries.last());
        if end.is_none_or(|end| end.at < welcome.at + SOON) {
            continue;
        }
        let late = entries[at..].partition_point(|entry| entry.at <= welcome.at + SOON);
        let tokens = resume.body["tokens"].as_array().into_iter().flatten();
        let tokens = tokens.filter_map(Json::as_str);
        let tokens = tokens.filter_map(|token| STANDARD.decode(token).ok());
        all.push(Resumed {
            before: &entries[..at],
            welcome,
            soon: &entries[at..at + late],
            behind: behind.take_while(|entry| !over(entry)).collect(),
            tokens: tokens.map(Bytes::from).collect(),
        });
    }
    all
}

impl Resumed<'_> {
    /// The driver's messages of a task that came soon over it.
    fn came(&self, kind: &str, token: &Bytes) -> impl Iterator<Item = &&Entry> {
        let until = self.welcome.at + SOON;
        self.behind.iter().filter(move |entry| {
            entry.from == From::Driver
                && entry.at <= until
                && entry.kind == kind
                && entry.token == *token
        })
    }

    /// Whether the engine said, before or soon, that a task is over: its report is answered, or its claim is another's.
    fn is_over(&self, token: &Bytes) -> bool {
        let all = self.before.iter().chain(self.soon);
        let mut heard = all.filter(|entry| entry.from == From::Engine && !entry.lost);
        heard.any(|entry| match entry.kind {
            "outcome" => entry.token == *token,
            "cancel" => entry.token == *token && number(&entry.body, "/grace_ms") == 0,
            "acknowledgement" | "welcome" => {
                let token = STANDARD.encode(token);
                let stale = entry.body["stale_tokens"].as_array().into_iter().flatten();
                stale.into_iter().any(|one| one.as_str() == Some(&token))
            }
            _ => false,
        })
    }

    /// Whether the connection before ended because of a limit: what broke it does not come again (R74).
    fn is_behind_a_limit(&self) -> bool {
        let mut goodbyes = self.before.iter().rev();
        let last = goodbyes.find(|entry| matches!(entry.kind, "goodbye" | "welcome"));
        last.is_some_and(|last| last.body["reason"] == "limit")
    }
}

/// R43: who takes more tasks gives its credits anew.
pub(super) fn credits(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    for resumed in resumed(entries) {
        let until = resumed.welcome.at + SOON;
        let drains = resumed.before.iter().any(|entry| entry.kind == "drain");
        let gave = resumed.behind.iter().any(|entry| entry.kind == "credits");
        let free = resumed.behind.iter().find(|entry| {
            entry.kind == "heartbeat" && entry.at > until && number(&entry.body, "/free") > 0
        });
        if let Some(free) = free.filter(|_| !drains && !gave) {
            wrong.push(format!(
                "a resumed connection has no credits after {} ms, and a heartbeat says that {} places are free",
                free.at.saturating_sub(resumed.welcome.at).as_millis(),
                number(&free.body, "/free")
            ));
        }
    }
    wrong
}

/// R43: a report that was not answered comes again over the connection that was resumed.
pub(super) fn reports(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    for resumed in resumed(entries) {
        for token in &resumed.tokens {
            let mut reports = resumed.before.iter().filter(|entry| {
                (entry.from, entry.kind) == (From::Driver, "report") && entry.token == *token
            });
            let owed =
                reports.next().is_some() && !resumed.is_over(token) && !resumed.is_behind_a_limit();
            if owed && resumed.came("report", token).next().is_none() {
                wrong.push(unsaid("a report that was not answered"));
            }
        }
    }
    wrong
}

/// R43: lines that were not acknowledged come again over the connection that was resumed.
pub(super) fn lines(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    for resumed in resumed(entries) {
        let narrow = number(&resumed.welcome.body, "/log_window") < ROOM;
        if narrow || resumed.is_behind_a_limit() {
            continue;
        }
        for token in &resumed.tokens {
            let sent = sent(resumed.before, token);
            let acknowledged = acknowledged(resumed.before, token);
            let soon = self::acknowledged(resumed.soon, token).max(acknowledged);
            let again = resumed
                .came("logs", token)
                .any(|entry| number(&entry.body, "/first_offset") <= acknowledged);
            if soon < sent && !again && !resumed.is_over(token) {
                wrong.push(unsaid(&format!(
                    "the lines from {acknowledged} on, of which {} were not acknowledged,",
                    sent - acknowledged
                )));
            }
        }
    }
    wrong
}

/// R37: a checkpoint that was not acknowledged comes again over the connection that was resumed.
pub(super) fn checkpoints(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    for resumed in resumed(entries) {
        for token in &resumed.tokens {
            let of_it = |entry: &&Entry| entry.from == From::Driver && entry.token == *token;
            let mut said = resumed.before.iter().filter(of_it).rev();
            // What has ended, or goes on elsewhere, has no use for it.
            let last = said.find(|entry| {
                matches!(entry.kind, "checkpoint" | "report" | "detached" | "refused")
            });
            let Some(last) = last.filter(|last| last.kind == "checkpoint") else {
                continue;
            };
            let ended = resumed.came("report", token).next().is_some();
            let owed = !is_acknowledged(resumed.before, last)
                && !ended
                && !resumed.is_over(token)
                && !resumed.is_behind_a_limit();
            if owed && resumed.came("checkpoint", token).next().is_none() {
                wrong.push(unsaid("a checkpoint that was not acknowledged"));
            }
        }
    }
    wrong
}

fn unsaid(what: &str) -> String {
    format!(
        "{what} did not come again within {} ms of a resume",
        SOON.as_millis()
    )
}

/// How many lines of a task were sent.
fn sent(entries: &[Entry], token: &Bytes) -> u64 {
    let batches = entries.iter().filter(|entry| {
        (entry.from, entry.kind) == (From::Driver, "logs") && entry.token == *token
    });
    let next = batches.map(|batch| {
        let lines = batch.body["lines"].as_array().map_or(0, Vec::len) as u64;
        number(&batch.body, "/first_offset") + lines
    });
    next.max().unwrap_or(0)
}

/// How many of them the driver knows to be durable: all, where the log is sealed.
fn acknowledged(entries: &[Entry], token: &Bytes) -> u64 {
    let token = STANDARD.encode(token);
    let told = entries
        .iter()
        .filter(|entry| (entry.from, entry.kind) == (From::Engine, "acknowledgement"));
    let logs = told
        .filter(|entry| !entry.lost)
        .filter_map(|entry| entry.body["logs"].as_array());
    let of_it = logs
        .flatten()
        .filter(|one| one["token"].as_str() == Some(&token));
    let next = of_it.map(|one| match one["sealed"] == true {
        true => u64::MAX,
        false => number(one, "/next_offset"),
    });
    next.max().unwrap_or(0)
}

/// Whether the driver was told on its connection that a message is done with.
fn is_acknowledged(entries: &[Entry], said: &Entry) -> bool {
    let By::Stream { sequence } = said.by else {
        return true;
    };
    entries.iter().any(|entry| {
        (entry.from, entry.kind) == (From::Engine, "acknowledgement")
            && entry.connection == said.connection
            && !entry.lost
            && number(&entry.body, "/sequence") >= sequence
    })
}

#[cfg(test)]
mod tests {
    use super::super::made::{driver, engine, on};
    use super::*;
    use serde_json::json;

    /// A connection that breaks behind what was said, the next one with its resume and its welcome, what is said over
    /// that, and a heartbeat three seconds later.
    fn over_two(first: Vec<Entry>, second: Vec<Entry>) -> Vec<Entry> {
        let mut all = first;
        all.push(driver(500, "broken", "", json!({})));
        let tokens = json!({"tokens": [STANDARD.encode("t")]});
        all.push(on(2, 1, driver(600, "resume", "", tokens)));
        let welcome = engine(700, "welcome", "", json!({"log_window": 1 << 20}));
        all.push(on(2, 1, welcome));
        all.extend(second.into_iter().map(|entry| on(2, 2, entry)));
        let beat = driver(3_700, "heartbeat", "", json!({"free": 2}));
        all.push(on(2, 3, beat));
        all
    }

    fn batch(at: u64, first: u64, count: usize) -> Entry {
        let lines: Json = (0..count).map(|_| json!({"text": "x"})).collect();
        let body = json!({"first_offset": first, "lines": lines});
        driver(at, "logs", "t", body)
    }

    #[test]
    fn credits_are_given_anew() {
        let credits_of = || driver(800, "credits", "", json!({"count": 2}));
        assert!(credits(&over_two(vec![], vec![credits_of()])).is_empty());
        assert_eq!(
            credits(&over_two(vec![], vec![])),
            [
                "a resumed connection has no credits after 3000 ms, and a heartbeat says that 2 places are free"
            ]
        );
        // Who drains takes nothing.
        let drain = driver(100, "drain", "", json!({}));
        assert!(credits(&over_two(vec![drain], vec![])).is_empty());
    }

    #[test]
    fn a_report_comes_again_until_it_is_answered() {
        let report = |at| driver(at, "report", "t", json!({}));
        let outcome = || engine(400, "outcome", "t", json!({"status": "accepted"}));
        assert!(reports(&over_two(vec![report(300)], vec![report(900)])).is_empty());
        assert!(reports(&over_two(vec![report(300), outcome()], vec![])).is_empty());
        assert_eq!(
            reports(&over_two(vec![report(300)], vec![])),
            ["a report that was not answered did not come again within 2000 ms of a resume"]
        );
        assert_eq!(
            reports(&over_two(vec![report(300)], vec![report(3_000)])).len(),
            1
        );
        // The answer was lost.
        let lost = Entry {
            lost: true,
            ..outcome()
        };
        assert_eq!(reports(&over_two(vec![report(300), lost], vec![])).len(), 1);
        // It broke a limit.
        let goodbye = engine(400, "goodbye", "", json!({"reason": "limit"}));
        assert!(reports(&over_two(vec![report(300), goodbye], vec![])).is_empty());
    }

    #[test]
    fn lines_come_again_until_they_are_acknowledged() {
        let told = |at, next: u64, sealed: bool| {
            let token = STANDARD.encode("t");
            let logs = json!([{"token": token, "next_offset": next, "sealed": sealed}]);
            engine(at, "acknowledgement", "", json!({"logs": logs}))
        };
        let first = || vec![batch(100, 0, 3), told(200, 2, false)];
        assert!(lines(&over_two(first(), vec![batch(800, 2, 1)])).is_empty());
        assert!(lines(&over_two(first(), vec![batch(800, 0, 4)])).is_empty());
        assert!(lines(&over_two(first(), vec![told(800, 3, false)])).is_empty());
        assert!(
            lines(&over_two(
                vec![batch(100, 0, 3), told(200, 0, true)],
                vec![]
            ))
            .is_empty()
        );
        assert_eq!(
            lines(&over_two(first(), vec![])),
            [
                "the lines from 2 on, of which 1 were not acknowledged, did not come again within 2000 ms of a resume"
            ]
        );
        assert_eq!(
            lines(&over_two(first(), vec![batch(800, 3, 1)])).len(),
            1,
            "those behind them are not those"
        );
    }

    #[test]
    fn a_checkpoint_comes_again_until_it_is_acknowledged() {
        let checkpoint = |at| on(1, 7, driver(at, "checkpoint", "t", json!({})));
        let told = |number: u64| engine(400, "acknowledgement", "", json!({"sequence": number}));
        assert!(checkpoints(&over_two(vec![checkpoint(300)], vec![checkpoint(900)])).is_empty());
        assert!(checkpoints(&over_two(vec![checkpoint(300), told(7)], vec![])).is_empty());
        assert_eq!(
            checkpoints(&over_two(vec![checkpoint(300), told(6)], vec![])),
            [
                "a checkpoint that was not acknowledged did not come again within 2000 ms of a resume"
            ]
        );
        let report = driver(350, "report", "t", json!({}));
        assert!(checkpoints(&over_two(vec![checkpoint(300), report], vec![])).is_empty());
    }

    #[test]
    fn of_a_connection_that_did_not_last_nothing_is_said() {
        let report = driver(300, "report", "t", json!({}));
        let broken = driver(900, "broken", "", json!({}));
        assert!(reports(&over_two(vec![report], vec![broken])).is_empty());
    }
}
