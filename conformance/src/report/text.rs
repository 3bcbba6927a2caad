//! For people.

use super::{extent, line};
use crate::result::{Expectation, Outcome, Results, Standing, Status, Verdict};
use std::fmt::Write;
use std::time::Duration;

/// How the text is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextOptions {
    /// With colours: for terminals alone.
    pub colour: bool,
    /// With what passed and what is not declared, too.
    pub all: bool,
}

/// The results by name: what did not come as expected with its findings, and a summary.
#[must_use]
pub fn text_report(results: &Results, options: TextOptions) -> String {
    let mut text = String::new();
    for outcome in results.sorted() {
        let standing = outcome.standing();
        let quiet = matches!(standing, Standing::Passed | Standing::NotDeclared);
        if !quiet || options.all {
            write_outcome(&mut text, outcome, standing, options);
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    summary(&mut text, results, options);
    text
}

fn write_outcome(text: &mut String, outcome: &Outcome, standing: Standing, options: TextOptions) {
    let (colour, mark) = match standing {
        Standing::Passed => ("32", "passed       "),
        Standing::Failed => ("31", "FAILED       "),
        Standing::PassedThoughKnown => ("31", "PASSED       "),
        Standing::Known => ("33", "known        "),
        Standing::Advice => ("33", "advice       "),
        Standing::CouldNotRun => ("33", "could not run"),
        Standing::NotDeclared => ("2", "not declared "),
    };
    let _ = writeln!(
        text,
        "{} {}  {}",
        paint(options, colour, mark),
        outcome.run,
        paint(options, "2", &seconds(outcome.took))
    );
    for complaint in outcome.complaints() {
        let mut lead = "    ";
        for part in complaint.lines() {
            let _ = writeln!(text, "{lead}{}", line(part));
            lead = "      ";
        }
    }
    if standing == Standing::Known
        && let Expectation::KnownFailing(place) | Expectation::KnownFlaky(place) =
            &outcome.expectation
    {
        let _ = writeln!(text, "    known by {}", line(&place.to_string()));
    }
    if let Verdict::NotDeclared { missing } = &outcome.verdict {
        let _ = writeln!(text, "    needs {}", line(&missing.to_string()));
    }
    if matches!(standing, Standing::Passed | Standing::NotDeclared) {
        return;
    }
    for said in &outcome.stderr {
        let _ = writeln!(text, "    │ {}", line(said));
    }
    for message in &outcome.messages {
        let _ = writeln!(text, "    : {}", line(message));
    }
    if standing == Standing::Advice {
        text.push_str("    no driver has to: it is what a good one does\n");
    }
    if matches!(standing, Standing::Failed | Standing::Advice) {
        let rules: Vec<String> = outcome.requires.iter().map(ToString::to_string).collect();
        let hint = format!(
            "cites {}; what it does: conveyor-conformance describe {}",
            rules.join(", "),
            outcome.run.case()
        );
        let _ = writeln!(text, "    {}", paint(options, "2", &hint));
    }
}

fn summary(text: &mut String, results: &Results, options: TextOptions) {
    let counts = results.counts();
    let cases = match results.cases() {
        1 => "1 case".to_owned(),
        cases => format!("{cases} cases"),
    };
    let _ = write!(
        text,
        "{cases}: {} passed, {} failed",
        counts.passed, counts.failed
    );
    for (count, what) in [
        (counts.passed_though_known, "passed though known as failing"),
        (counts.known, "failed as known"),
        (counts.advice, "of advice"),
        (counts.could_not_run, "could not run"),
        (counts.not_declared, "not declared"),
    ] {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    let _ = writeln!(text, "\n{}", extent(results));
    let replaced = &results.subject.replaced;
    if !replaced.is_empty() {
        let _ = writeln!(
            text,
            "cases of files in place of the suite's own: {}",
            line(&replaced.join(", "))
        );
    }
    if let Some(why) = &results.stopped {
        let _ = writeln!(text, "ended before its end: {}", line(why));
    } else if counts.ran() == 0 {
        text.push_str("nothing was run: it says nothing of what was tested\n");
    }
    let (colour, word) = match results.status() {
        Status::AsExpected => ("32", "as expected"),
        Status::Failed => ("31", "failed"),
        Status::CouldNot => ("33", "not done"),
    };
    let _ = writeln!(text, "{}", paint(options, colour, word));
}

/// `1.204 s`
fn seconds(took: Duration) -> String {
    format!("{}.{:03} s", took.as_secs(), took.subsec_millis())
}

fn paint(options: TextOptions, colour: &str, text: &str) -> String {
    match options.colour {
        true => format!("\x1b[{colour}m{text}\x1b[0m"),
        false => text.to_owned(),
    }
}
