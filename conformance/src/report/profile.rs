//! A driver's page.

use super::tally::{groups, requirements};
use super::{Sentences, line, possible};
use crate::result::{Results, Standing};
use std::fmt::Write;

/// How many runs the page names that did not pass: it is one page.
const NAMED: usize = 20;

/// What a driver keeps of the contract, on one page of Markdown: what was tested and how, cases by feature, what
/// did not pass, and cases by requirement.
#[must_use]
pub fn profile(results: &Results, sentences: &Sentences<'_>) -> String {
    let subject = &results.subject;
    let counts = results.counts();
    let kind = match subject.profile.as_str() {
        "engine" => "engine",
        _ => "driver",
    };
    let mut page = format!(
        "# Conformance of {}\n\n| | |\n| --- | --- |\n",
        code(&subject.name)
    );
    let chosen = subject.chosen.join(" ");
    let excluded = subject.excluded.join(" ");
    let seed = match results.axes.is_empty() {
        true => String::new(),
        false => results.seed.to_string(),
    };
    for (what, value) in [
        (kind, format!("{} {}", subject.name, subject.version)),
        ("SDK", subject.sdk.clone()),
        ("profile", subject.profile.clone()),
        ("backend", subject.backend.clone()),
        ("suite", subject.suite.clone()),
        ("only", chosen),
        ("without", excluded),
        ("cases of", subject.case_files.join(" ")),
        ("in place of the suite's", subject.replaced.join(" ")),
        ("axes", results.axes.clone()),
        ("seed", seed),
        ("date", subject.date.clone()),
    ] {
        if !value.trim().is_empty() {
            let _ = writeln!(page, "| {what} | {} |", cell(value.trim()));
        }
    }
    let runs = match possible(results) {
        Some(possible) => format!(
            "{} of {possible} that all values of all axes together would make",
            counts.ran()
        ),
        None => counts.ran().to_string(),
    };
    let _ = writeln!(page, "| runs | {runs} |");
    if let Some(why) = &results.stopped {
        let _ = writeln!(page, "| ended before its end | {} |", cell(why));
    }
    let part = match (&results.stopped, subject.is_part()) {
        (Some(_), _) => Some(
            "The suite ended before its end: what is counted is what was run until then, and says nothing of the rest.",
        ),
        (None, true) => Some(
            "Only a part of the suite's cases was run: what is counted says nothing of the rest.",
        ),
        (None, false) => None,
    };
    if let Some(part) = part {
        let _ = writeln!(page, "\n**{part}**");
    }
    page.push_str("\n## Cases by feature\n\n");
    for group in groups(results) {
        let _ = writeln!(page, "- {}", line(&group.to_string()));
    }
    missing(&mut page, results);
    page.push_str(
        "\n## Cases by requirement\n\n| requirement | says | cases passed |\n| --- | --- | --- |\n",
    );
    for (rule, tally) in requirements(results) {
        let says = sentences(rule).unwrap_or_default();
        let cases = match tally.cases {
            0 => "not declared".to_owned(),
            _ => tally.to_string(),
        };
        let _ = writeln!(page, "| {rule} | {} | {cases} |", line(&says));
    }
    page
}

/// What did not pass, where anything did not. In a block of text, where nothing of it is markup: each line begins
/// with a run's name.
fn missing(page: &mut String, results: &Results) {
    let outcomes = results.sorted();
    let not_passed = |standing| {
        matches!(
            standing,
            Standing::Failed | Standing::Known | Standing::Advice | Standing::CouldNotRun
        )
    };
    let not_passed: Vec<_> = outcomes
        .into_iter()
        .filter(|outcome| not_passed(outcome.standing()))
        .collect();
    if not_passed.is_empty() {
        return;
    }
    page.push_str("\n## What did not pass\n\n```text\n");
    for outcome in not_passed.iter().take(NAMED) {
        let complaints = outcome.complaints();
        let first = complaints.first().map_or("", String::as_str);
        let how = match outcome.standing() {
            Standing::Known => " (known)",
            Standing::Advice => " (advice)",
            Standing::CouldNotRun => " (could not run)",
            _ => "",
        };
        let _ = writeln!(page, "{}{how}: {}", outcome.run, line(first));
    }
    if not_passed.len() > NAMED {
        let _ = writeln!(page, "and {} more", not_passed.len() - NAMED);
    }
    page.push_str("```\n");
}

/// As [`code`], within a table: there `|` ends a cell also within code.
fn cell(text: &str) -> String {
    code(text).replace('|', "\\|")
}

/// A driver's own text as code, so that no markup is in it.
fn code(text: &str) -> String {
    let text = line(text).replace('`', "'");
    match text.is_empty() {
        true => "one that said no name".to_owned(),
        false => format!("`{text}`"),
    }
}
