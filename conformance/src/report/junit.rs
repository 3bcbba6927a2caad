//! For CI servers.

use super::extent;
use super::xml::xml;
use crate::result::{Expectation, Outcome, Results, Standing, Verdict};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// How often each element is within a suite, and how long it took.
#[derive(Clone, Copy, Default)]
struct Totals {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
    took: Duration,
}

/// A JUnit report, a suite for each area. What failed, or passed though known as failing, is a `failure`; what
/// could not be run an `error`; what is not declared, or failed as is known or in what no driver has to do, `skipped`. A suite that ended before
/// its end has one `error` more.
#[must_use]
pub fn junit_report(results: &Results) -> String {
    let mut areas: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
    for outcome in results.sorted() {
        areas
            .entry(outcome.run.case().area())
            .or_default()
            .push(outcome);
    }
    let mut all = totals(&results.outcomes.iter().collect::<Vec<_>>());
    if results.stopped.is_some() {
        all.tests += 1;
        all.errors += 1;
    }
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        text,
        "<testsuites name=\"conveyor conformance\"{}>",
        attributes(all)
    );
    for (area, outcomes) in areas {
        let of = attributes(totals(&outcomes));
        let _ = writeln!(text, "  <testsuite name=\"{area}\"{of}>");
        properties(&mut text, results);
        for outcome in outcomes {
            case(&mut text, outcome);
        }
        text.push_str("  </testsuite>\n");
    }
    if let Some(why) = &results.stopped {
        let one = Totals {
            tests: 1,
            errors: 1,
            ..Totals::default()
        };
        let _ = write!(
            text,
            "  <testsuite name=\"suite\"{}>\n    <testcase classname=\"conformance.suite\" name=\"end\" time=\"0.000\">\n      <error message=\"ended before its end: {}\"/>\n    </testcase>\n  </testsuite>\n",
            attributes(one),
            xml(why)
        );
    }
    text.push_str("</testsuites>\n");
    text
}

/// What was tested, and how widely: with each suite, since many readers show nothing above one.
fn properties(text: &mut String, results: &Results) {
    let subject = &results.subject;
    text.push_str("    <properties>\n");
    let who = format!("{} {}", subject.name, subject.version);
    let (chosen, excluded) = (subject.chosen.join(" "), subject.excluded.join(" "));
    let (files, replaced) = (subject.case_files.join(" "), subject.replaced.join(" "));
    let seed = match results.axes.is_empty() {
        true => String::new(),
        false => results.seed.to_string(),
    };
    for (name, value) in [
        ("tested", who.trim()),
        ("profile", &subject.profile),
        ("backend", &subject.backend),
        ("axes", &results.axes),
        ("seed", &seed),
        ("include", &chosen),
        ("exclude", &excluded),
        ("case-file", &files),
        ("replaced", &replaced),
        ("runs", &extent(results)),
        ("stopped", results.stopped.as_deref().unwrap_or_default()),
    ] {
        if !value.is_empty() {
            let value = xml(value);
            let _ = writeln!(text, "      <property name=\"{name}\" value=\"{value}\"/>");
        }
    }
    text.push_str("    </properties>\n");
}

fn case(text: &mut String, outcome: &Outcome) {
    let name = outcome.run.case();
    let _ = write!(
        text,
        "    <testcase classname=\"conformance.{}.{}\" name=\"{}\" time=\"{}\"",
        name.area(),
        name.feature(),
        outcome.run,
        seconds(outcome.took)
    );
    let mut inside = String::new();
    let complaints = outcome.complaints();
    let first = xml(complaints.first().map_or("", String::as_str));
    match outcome.standing() {
        Standing::Passed => {}
        Standing::Failed | Standing::PassedThoughKnown => {
            let rules: Vec<String> = outcome.requires.iter().map(ToString::to_string).collect();
            let _ = writeln!(
                inside,
                "      <failure type=\"{}\" message=\"{first}\">{}</failure>",
                rules.join(", "),
                xml(&complaints.join("\n"))
            );
        }
        Standing::CouldNotRun => {
            let _ = writeln!(inside, "      <error message=\"{first}\"/>");
        }
        Standing::Known | Standing::Advice | Standing::NotDeclared => {
            let _ = writeln!(
                inside,
                "      <skipped message=\"{}\"/>",
                xml(&why_skipped(outcome))
            );
        }
    }
    if !matches!(outcome.standing(), Standing::Passed | Standing::NotDeclared) {
        for (element, lines) in [
            ("system-out", &outcome.messages),
            ("system-err", &outcome.stderr),
        ] {
            if !lines.is_empty() {
                let lines = xml(&lines.join("\n"));
                let _ = writeln!(inside, "      <{element}>{lines}</{element}>");
            }
        }
    }
    match inside.is_empty() {
        true => text.push_str("/>\n"),
        false => {
            let _ = writeln!(text, ">\n{inside}    </testcase>");
        }
    }
}

fn why_skipped(outcome: &Outcome) -> String {
    match (&outcome.verdict, &outcome.expectation) {
        (Verdict::NotDeclared { missing }, _) => format!("not declared: {missing}"),
        (_, Expectation::KnownFailing(place) | Expectation::KnownFlaky(place)) => format!(
            "failed, as is known by {place}: {}",
            outcome.complaints().join("; ")
        ),
        (_, Expectation::ShouldPass) => {
            format!("advice: {}", outcome.complaints().join("; "))
        }
        _ => String::new(),
    }
}

fn totals(outcomes: &[&Outcome]) -> Totals {
    let mut totals = Totals::default();
    for outcome in outcomes {
        totals.tests += 1;
        totals.took += outcome.took;
        match outcome.standing() {
            Standing::Passed => {}
            Standing::Failed | Standing::PassedThoughKnown => totals.failures += 1,
            Standing::CouldNotRun => totals.errors += 1,
            Standing::Known | Standing::Advice | Standing::NotDeclared => totals.skipped += 1,
        }
    }
    totals
}

fn attributes(totals: Totals) -> String {
    format!(
        " tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{}\"",
        totals.tests,
        totals.failures,
        totals.errors,
        totals.skipped,
        seconds(totals.took)
    )
}

fn seconds(took: Duration) -> String {
    format!("{}.{:03}", took.as_secs(), took.subsec_millis())
}
