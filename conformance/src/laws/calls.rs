//! Calls without a stream: how they are repeated.

use super::of_driver;
use crate::wire::Entry;
use std::time::Duration;

/// How many repeats show whether pauses grow.
const REPEATS: usize = 4;

/// R78: what was not answered, or that the engine cannot do it for now, is repeated with growing pauses: a poll that
/// was refused so often that it shows.
pub(super) fn growing_pauses(entries: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut refused: Vec<(&str, Duration)> = Vec::new();
    let mut judge = |refused: &mut Vec<(&str, Duration)>| {
        let pauses: Vec<Duration> = refused
            .windows(2)
            .map(|two| two[1].1.saturating_sub(two[0].1))
            .collect();
        refused.clear();
        if let ([first, .., last], true) = (&pauses[..], pauses.len() >= REPEATS)
            && *last < first.mul_f64(1.5)
        {
            wrong.push(format!(
                "a poll was repeated {} times; the first pause was {} ms, and the last {} ms: they are to grow",
                pauses.len(),
                first.as_millis(),
                last.as_millis()
            ));
        }
    };
    for poll in of_driver(entries).filter(|entry| entry.kind == "poll") {
        let id = poll.body["request_id"].as_str().unwrap_or_default();
        if refused.last().is_some_and(|(last, _)| *last != id) {
            judge(&mut refused);
        }
        match poll.lost {
            true => refused.push((id, poll.at)),
            false => judge(&mut refused),
        }
    }
    judge(&mut refused);
    wrong
}

#[cfg(test)]
mod tests {
    use super::super::made::driver;
    use super::*;
    use serde_json::json;

    fn polls(times: &[u64]) -> Vec<Entry> {
        let poll = |at: &u64| Entry {
            lost: true,
            ..driver(*at, "poll", "", json!({"request_id": "one"}))
        };
        times.iter().map(poll).collect()
    }

    #[test]
    fn pauses_between_repeats_grow() {
        assert!(growing_pauses(&polls(&[0, 100, 300, 700, 1_500])).is_empty());
        assert_eq!(growing_pauses(&polls(&[0, 100, 200, 300, 400])).len(), 1);
        assert!(growing_pauses(&polls(&[0, 100, 200])).is_empty());
    }
}
