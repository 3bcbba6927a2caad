//! Log lines: their numbers, their window, their lengths.

use super::{number, of_driver};
use crate::wire::{By, Entry, From};
use prost::bytes::Bytes;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// What a line counts besides its text (R31).
const LINE: u64 = 64;
/// The most lines of a batch (R31).
const BATCH_LINES: usize = 10_000;
/// In the place of a line that was not sent.
static MISSING: Json = Json::Null;

fn lines(entry: &Entry) -> &[Json] {
    entry.body["lines"].as_array().map_or(&[], Vec::as_slice)
}

fn length(line: &Json) -> u64 {
    line["text"].as_str().map_or(0, str::len) as u64
}

/// R30: lines of an attempt are numbered from 0 without gaps, over all connections; so a number is of one line, however
/// often that is sent.
pub(super) fn without_gaps(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut sent: BTreeMap<&Bytes, Vec<&Json>> = BTreeMap::new();
    for entry in of_driver(entries).filter(|entry| entry.kind == "logs") {
        let first = number(&entry.body, "/first_offset");
        let sent = sent.entry(&entry.token).or_default();
        let next = sent.len() as u64;
        if first > next {
            wrong.push(format!(
                "lines from {first} on were sent, and those from {next} on were not"
            ));
            // What is missing is told once.
            sent.resize(first as usize, &MISSING);
        }
        for (offset, line) in (first as usize..).zip(lines(entry)) {
            match sent.get(offset) {
                Some(before) if !before.is_null() && !is_same(before, line) => {
                    wrong.push(format!(
                        "the line {offset} was `{}`, and was sent again as `{}`",
                        shown(before),
                        shown(line)
                    ));
                }
                Some(_) => sent[offset] = line,
                None => sent.push(line),
            }
        }
    }
    wrong.truncate(3);
    wrong
}

/// Whether two are the same line: its text and where it was written.
fn is_same(one: &Json, other: &Json) -> bool {
    ["text", "stream", "truncated"]
        .iter()
        .all(|key| one[key] == other[key])
}

/// The beginning of a line, for people.
fn shown(line: &Json) -> String {
    let text = line["text"].as_str().unwrap_or_default();
    text.chars().take(40).collect()
}

/// R28: `last_log_offset` is the offset of the last line, absent where there is none.
pub(super) fn last_offset(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    for report in of_driver(entries).filter(|entry| entry.kind == "report") {
        let sent = of_driver(entries)
            .filter(|entry| entry.kind == "logs" && entry.token == report.token)
            .map(|entry| number(&entry.body, "/first_offset") + lines(entry).len() as u64)
            .max();
        let told = report.body["result"]["last_log_offset"].as_u64();
        let last = sent.and_then(|next| next.checked_sub(1));
        if told != last {
            wrong.push(format!(
                "a report says `last_log_offset` {}, and the last line that was sent is {}",
                told.map_or("nothing".to_owned(), |told| told.to_string()),
                last.map_or("none".to_owned(), |last| last.to_string())
            ));
        }
    }
    wrong
}

/// R31: what is on its way is within the window, and each batch within its limits.
pub(super) fn within_window(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut window: BTreeMap<u32, u64> = BTreeMap::new();
    let mut batch_bytes = 1 << 20;
    for entry in entries {
        match (entry.from, entry.kind) {
            (From::Engine, "welcome") => {
                window.insert(entry.connection, number(&entry.body, "/log_window"));
                batch_bytes = match number(&entry.body, "/limits/log_batch_bytes") {
                    0 => batch_bytes,
                    told => told,
                };
            }
            (From::Engine, "log_window") => {
                *window.entry(entry.connection).or_insert(0) += number(&entry.body, "/bytes");
            }
            (From::Driver, "logs") => {
                let text: u64 = lines(entry).iter().map(length).sum();
                if text > batch_bytes {
                    wrong.push(format!(
                        "a batch has {text} bytes of text; the limit `log_batch_bytes` is {batch_bytes}"
                    ));
                }
                if lines(entry).len() > BATCH_LINES {
                    wrong.push(format!(
                        "a batch has {} lines; the limit is {BATCH_LINES}",
                        lines(entry).len()
                    ));
                }
                let Some(left) = window.get_mut(&entry.connection) else {
                    continue;
                };
                let takes = text + LINE * lines(entry).len() as u64;
                // Lines of a call are on their way for as long as the call: each has the window to itself.
                let stays = matches!(entry.by, By::Stream { .. });
                match left.checked_sub(takes) {
                    Some(_) if !stays => {}
                    Some(rest) => *left = rest,
                    None => {
                        wrong.push(format!(
                            "lines of {takes} bytes were sent on connection {}, and {left} were left of `log_window`",
                            entry.connection
                        ));
                        if stays {
                            *left = 0;
                        }
                    }
                }
            }
            _ => {}
        }
    }
    wrong.truncate(3);
    wrong
}

/// R73: no line is longer than `log_line_bytes`, and one that goes on says so.
pub(super) fn in_parts(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut most = 64 << 10;
    for entry in entries {
        if entry.from == From::Engine && entry.kind == "welcome" {
            let told = number(&entry.body, "/limits/log_line_bytes");
            most = if told == 0 { most } else { told };
        }
        if entry.from != From::Driver || entry.kind != "logs" {
            continue;
        }
        for line in lines(entry) {
            if length(line) > most {
                wrong.push(format!(
                    "a line has {} bytes; the limit `log_line_bytes` is {most}: longer ones are sent in parts",
                    length(line)
                ));
            }
        }
    }
    wrong.truncate(3);
    wrong
}

#[cfg(test)]
mod tests {
    use super::super::made::{driver, engine};
    use super::*;
    use serde_json::json;

    fn said(first: u64, texts: &[&str]) -> Entry {
        let lines: Json = texts.iter().map(|text| json!({"text": text})).collect();
        driver(
            1,
            "logs",
            "t",
            json!({"first_offset": first, "lines": lines}),
        )
    }

    fn report(last: &Json) -> Entry {
        driver(
            2,
            "report",
            "t",
            json!({"result": {"last_log_offset": last}}),
        )
    }

    #[test]
    fn lines_have_no_gap() {
        let again = [said(0, &["a", "b"]), said(0, &["a", "b"]), said(2, &["c"])];
        assert!(without_gaps(&again).is_empty());
        assert_eq!(without_gaps(&[said(0, &["a"]), said(2, &["c"])]).len(), 1);
        assert_eq!(without_gaps(&[said(1, &["a"])]).len(), 1);
        // Lines of another attempt have numbers of their own.
        let other = Entry {
            token: Bytes::from("u"),
            ..said(0, &["x"])
        };
        assert!(without_gaps(&[said(0, &["a"]), other]).is_empty());
    }

    #[test]
    fn a_number_is_of_one_line() {
        let longer = [said(0, &["a", "b"]), said(1, &["b", "c"])];
        assert!(without_gaps(&longer).is_empty());
        assert_eq!(
            without_gaps(&[said(0, &["a", "b"]), said(1, &["c"])]),
            ["the line 1 was `b`, and was sent again as `c`"]
        );
    }

    #[test]
    fn a_report_names_the_last_line() {
        assert!(last_offset(&[said(0, &["a", "b"]), report(&json!(1))]).is_empty());
        assert_eq!(
            last_offset(&[said(0, &["a", "b"]), report(&json!(0))]).len(),
            1
        );
        assert!(last_offset(&[report(&Json::Null)]).is_empty());
        assert_eq!(last_offset(&[report(&json!(0))]).len(), 1);
    }

    #[test]
    fn lines_are_within_the_window_and_each_counts_more_than_its_text() {
        let welcome = engine(0, "welcome", "", json!({"log_window": 130}));
        let more = engine(1, "log_window", "", json!({"bytes": 65}));
        let good = [welcome.clone(), said(0, &["a", "b"]), more, said(2, &["c"])];
        assert!(within_window(&good).is_empty());
        let bad = [welcome, said(0, &["a", "b"]), said(2, &["c"])];
        assert_eq!(within_window(&bad).len(), 1);
    }

    #[test]
    fn no_part_of_a_line_is_too_long() {
        let welcome = engine(0, "welcome", "", json!({"limits": {"log_line_bytes": 3}}));
        assert!(in_parts(&[welcome.clone(), said(0, &["abc"])]).is_empty());
        assert_eq!(in_parts(&[welcome, said(0, &["abcd"])]).len(), 1);
    }
}
