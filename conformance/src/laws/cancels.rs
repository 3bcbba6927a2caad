//! R36: a cancel that is repeated, or of a token that is not held, does nothing.

use super::{number, of_driver};
use crate::wire::{Entry, From};
use std::time::Duration;

/// By how much a driver's count of `time_left_ms` may be another than the record's.
const EARLY: Duration = Duration::from_millis(500);

/// Whether an entry is a cancel that came to the driver.
fn is_cancel(entry: &Entry) -> bool {
    (entry.from, entry.kind) == (From::Engine, "cancel") && !entry.lost
}

/// Whether an entry is a task that came to the driver.
fn is_task(entry: &Entry) -> bool {
    (entry.from, entry.kind) == (From::Engine, "task") && !entry.lost
}

/// R36: nothing is said of a token that was cancelled and never given.
pub(super) fn nothing_of_unknown(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (at, cancel) in entries.iter().enumerate() {
        let of_it = |entry: &&Entry| entry.token == cancel.token;
        let adopted = || of_driver(&entries[..at]).any(|entry| of_it(&entry));
        let known = || entries[..at].iter().filter(of_it).any(is_task) || adopted();
        if !is_cancel(cancel) || known() {
            continue;
        }
        let behind = entries[at..].iter().filter(of_it);
        let mut until_given = behind.take_while(|entry| !is_task(entry));
        let said = until_given.find(|entry| entry.from == From::Driver);
        wrong.extend(said.map(|said| {
            format!(
                "`{}` was said of a token that was cancelled and never given",
                said.kind
            )
        }));
    }
    wrong
}

/// R36: no task ends as `cancelled` that no cancel named: one of another token does nothing to it. Whose time is over
/// ends so, too (R17).
pub(super) fn none_but_the_named(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (at, report) in entries.iter().enumerate() {
        let is_cancelled = (report.from, report.kind) == (From::Driver, "report")
            && report.body["result"]["state"] == "cancelled";
        let before = || {
            entries[..at]
                .iter()
                .filter(|entry| entry.token == report.token)
        };
        if !is_cancelled || before().any(is_cancel) {
            continue;
        }
        let Some(task) = before().find(|entry| is_task(entry)) else {
            continue;
        };
        let left = match number(&task.body, "/time_left_ms") {
            0 => Duration::MAX,
            left => Duration::from_millis(left),
        };
        if report.at.saturating_sub(task.at) + EARLY < left {
            wrong.push(format!(
                "a task was reported as cancelled {} ms after it came, and nobody had cancelled it",
                report.at.saturating_sub(task.at).as_millis()
            ));
        }
    }
    wrong
}

/// R36: a cancel behind the report changes nothing of what was reported: the driver does not hold the token, or it is
/// a repeat.
pub(super) fn reports_stay(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (at, cancel) in entries.iter().enumerate() {
        if !is_cancel(cancel) {
            continue;
        }
        let is_report = |entry: &&Entry| {
            (entry.from, entry.kind) == (From::Driver, "report") && entry.token == cancel.token
        };
        let before = entries[..at].iter().rev().find(is_report);
        let behind = entries[at..].iter().find(is_report);
        if let (Some(before), Some(behind)) = (before, behind)
            && before.body["result"] != behind.body["result"]
        {
            wrong.push(format!(
                "a task was reported as `{}`, and behind a cancel as `{}`",
                before.body["result"]["state"].as_str().unwrap_or_default(),
                behind.body["result"]["state"].as_str().unwrap_or_default()
            ));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::super::made::{driver, engine};
    use super::*;
    use serde_json::json;

    fn task(at: u64, token: &str) -> Entry {
        engine(at, "task", token, json!({"time_left_ms": 60_000}))
    }

    fn cancel(at: u64, token: &str) -> Entry {
        engine(at, "cancel", token, json!({"grace_ms": 5_000}))
    }

    fn report(at: u64, token: &str, state: &str) -> Entry {
        let result = json!({"state": state});
        driver(at, "report", token, json!({"result": result}))
    }

    #[test]
    fn nothing_is_said_of_a_token_that_never_came() {
        let good = [cancel(0, "t"), task(1, "t"), report(2, "t", "cancelled")];
        assert!(nothing_of_unknown(&good).is_empty());
        let bad = [cancel(0, "t"), report(1, "t", "cancelled"), task(2, "t")];
        assert_eq!(
            nothing_of_unknown(&bad),
            ["`report` was said of a token that was cancelled and never given"]
        );
        // A task that was lost on its way was not given.
        let lost = Entry {
            lost: true,
            ..task(0, "t")
        };
        let bad = [lost, cancel(1, "t"), driver(2, "refused", "t", json!({}))];
        assert_eq!(nothing_of_unknown(&bad).len(), 1);
    }

    #[test]
    fn a_cancel_is_of_its_token_alone() {
        let given = || [task(0, "t"), task(0, "u"), cancel(1, "u")];
        let [first, second, named] = given();
        let good = [first, second, named, report(2, "u", "cancelled")];
        assert!(none_but_the_named(&good).is_empty());
        let [first, second, named] = given();
        let bad = [first, second, named, report(2, "t", "cancelled")];
        assert_eq!(none_but_the_named(&bad).len(), 1);
        // Its time was over.
        let good = [task(0, "t"), report(59_800, "t", "cancelled")];
        assert!(none_but_the_named(&good).is_empty());
        assert!(none_but_the_named(&[task(0, "t"), report(9, "t", "failed")]).is_empty());
    }

    #[test]
    fn what_was_reported_stays() {
        let good = [
            report(1, "t", "succeeded"),
            cancel(2, "t"),
            report(3, "t", "succeeded"),
        ];
        assert!(reports_stay(&good).is_empty());
        let bad = [
            report(1, "t", "succeeded"),
            cancel(2, "t"),
            report(3, "t", "cancelled"),
        ];
        assert_eq!(
            reports_stay(&bad),
            ["a task was reported as `succeeded`, and behind a cancel as `cancelled`"]
        );
    }
}
