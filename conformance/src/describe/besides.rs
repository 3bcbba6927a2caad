//! What is looked at in all that is said in a case, by the rules that it cites. The sentences are those that stand
//! before the laws in their own files, so that no second list can be wrong.

use std::sync::LazyLock;

/// The files of the laws.
const FILES: &[&str] = &[
    include_str!("../laws/calls.rs"),
    include_str!("../laws/cancels.rs"),
    include_str!("../laws/checkpoints.rs"),
    include_str!("../laws/connections.rs"),
    include_str!("../laws/ends.rs"),
    include_str!("../laws/flow.rs"),
    include_str!("../laws/heartbeats.rs"),
    include_str!("../laws/logs.rs"),
    include_str!("../laws/reports.rs"),
    include_str!("../laws/resumes.rs"),
    include_str!("../laws/room.rs"),
    include_str!("../laws/tasks.rs"),
];

/// What the runner looks at on standard error (`driver::overheard`).
const WRITTEN: [(&str, &str); 2] = [
    (
        "R61",
        "no token and no resume secret stands on the driver's standard error.",
    ),
    (
        "R71",
        "no value of a secret stands on the driver's standard error.",
    ),
];

static SENTENCES: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let read = FILES.iter().flat_map(|text| sentences(text));
    let written = WRITTEN.map(|(rule, says)| (rule.to_owned(), says.to_owned()));
    read.chain(written).collect()
});

/// The sentences of a rule; none where it has no law.
pub(super) fn of(rule: &str) -> Vec<String> {
    let all = SENTENCES.iter().filter(|(number, _)| number == rule);
    all.map(|(_, sentence)| sentence.clone()).collect()
}

/// The comments `/// R20: …` of a file, each with the function behind it.
fn sentences(text: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut comment: Vec<&str> = Vec::new();
    for line in text.lines() {
        if let Some(said) = line.strip_prefix("/// ") {
            comment.push(said);
            continue;
        }
        let whole = comment.join(" ");
        comment.clear();
        if line.starts_with("pub(super) fn")
            && let Some((rule, sentence)) = whole.split_once(": ")
            && crate::rules::of(rule).is_some()
        {
            all.push((rule.to_owned(), sentence.to_owned()));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_law_has_a_sentence_that_is_told() {
        for rule in crate::laws::numbers() {
            let laws = crate::laws::numbers().filter(|other| *other == rule);
            assert_eq!(of(rule).len(), laws.count(), "{rule}: {:?}", of(rule));
        }
        assert_eq!(
            of("R61"),
            ["no token and no resume secret stands on the driver's standard error."]
        );
        assert!(of("R29").is_empty());
        let beats = of("R20");
        assert!(beats.iter().any(|one| {
            one.starts_with("a heartbeat every `heartbeat_interval_ms`, and three within")
        }));
    }
}
