//! What is printed of cases.

use super::cases::Case;
use super::expect;
use super::world::Played;
use crate::render::human;
use crate::render::style::{Style, Tone};
use crate::render::summary::summary;
use serde::Serialize;
use std::fmt::Write;

/// All cases.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) pipeline: String,
    pub(super) cases: Vec<CaseReport>,
}

/// A case.
#[derive(Debug, Serialize)]
pub(super) struct CaseReport {
    name: String,
    ok: bool,
    /// What is not as expected.
    unmet: Vec<String>,
    /// What stands in the place of the state, where there is none.
    #[serde(skip)]
    instead: &'static str,
    /// How the run ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    /// How long it took by the virtual clock, in milliseconds.
    millis: u64,
    attempts: usize,
    /// The summary of the run, for cases that do not pass.
    #[serde(skip)]
    summary: String,
}

impl CaseReport {
    /// A case that was played.
    pub(super) fn played(case: &Case, played: &Played) -> CaseReport {
        let mut unmet = expect::unmet(case, played);
        unmet.extend(played.unused.iter().cloned());
        let view = &played.view;
        let instances = view.steps.iter().flat_map(|step| &step.instances);
        CaseReport {
            name: case.name.clone(),
            ok: unmet.is_empty(),
            instead: "",
            state: Some(view.state.to_string()),
            millis: view.elapsed(played.now).0,
            attempts: instances.map(|instance| instance.attempts.len()).sum(),
            summary: match unmet.is_empty() {
                true => String::new(),
                false => summary(view, played.now, Style { colour: false }),
            },
            unmet,
        }
    }

    /// A case whose inputs were refused.
    pub(super) fn refused(case: &Case, message: &str) -> CaseReport {
        let unmet = match &case.expect.refused {
            Some(wanted) if message.contains(wanted.as_str()) => Vec::new(),
            Some(wanted) => vec![format!("refused: expected `{wanted}`, found `{message}`")],
            None => vec![format!("the inputs are refused: {message}")],
        };
        CaseReport {
            ok: unmet.is_empty(),
            instead: "refused",
            unmet,
            ..CaseReport::blank(case)
        }
    }

    /// A case that could not be played to its end.
    pub(super) fn broken(case: &Case, message: String) -> CaseReport {
        CaseReport {
            instead: "not ended",
            unmet: vec![message],
            ..CaseReport::blank(case)
        }
    }

    fn blank(case: &Case) -> CaseReport {
        CaseReport {
            name: case.name.clone(),
            ok: false,
            unmet: Vec::new(),
            instead: "",
            state: None,
            millis: 0,
            attempts: 0,
            summary: String::new(),
        }
    }
}

impl Report {
    /// How many cases do not pass.
    pub(super) fn failed(&self) -> usize {
        self.cases.iter().filter(|case| !case.ok).count()
    }

    /// The text for people.
    pub(super) fn text(&self, style: Style) -> String {
        let mut text = String::new();
        for case in &self.cases {
            let (tone, mark) = if case.ok {
                (Tone::Good, "✓")
            } else {
                (Tone::Bad, "✗")
            };
            let note = match &case.state {
                Some(state) => {
                    // Exact, as `expect.duration` compares it.
                    let took = conveyor_engine::time::Duration(case.millis);
                    format!(
                        "{state}, {}, {took}",
                        human::count(case.attempts, "attempt")
                    )
                }
                None => case.instead.to_owned(),
            };
            let note = style.paint(Tone::Faint, &note);
            let _ = writeln!(
                text,
                "{} {}  {note}",
                style.paint(tone, mark),
                human::printable(&case.name)
            );
            for unmet in &case.unmet {
                let _ = writeln!(
                    text,
                    "    {}",
                    style.paint(Tone::Bad, &human::printable(unmet))
                );
            }
            for line in case.summary.lines() {
                let _ = writeln!(text, "{}", format!("    │ {line}").trim_end());
            }
        }
        let (all, failed) = (self.cases.len(), self.failed());
        let _ = writeln!(
            text,
            "\n{}: {} passed, {failed} failed",
            human::count(all, "case"),
            all - failed
        );
        text
    }

    /// A JUnit report. Times are the virtual clock's.
    pub(super) fn junit(&self) -> String {
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let name = xml(&self.pipeline);
        let (tests, failures) = (self.cases.len(), self.failed());
        let _ = writeln!(
            text,
            "<testsuites tests=\"{tests}\" failures=\"{failures}\">"
        );
        let _ = writeln!(
            text,
            "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\">"
        );
        for case in &self.cases {
            let seconds = format!("{}.{:03}", case.millis / 1000, case.millis % 1000);
            let case_name = xml(&case.name);
            let _ = write!(
                text,
                "    <testcase classname=\"{name}\" name=\"{case_name}\" time=\"{seconds}\""
            );
            if case.ok {
                text.push_str("/>\n");
                continue;
            }
            let (message, body) = (xml(&case.unmet.join("; ")), xml(&case.summary));
            let _ = writeln!(
                text,
                ">\n      <failure message=\"{message}\">{body}</failure>\n    </testcase>"
            );
        }
        text.push_str("  </testsuite>\n</testsuites>\n");
        text
    }
}

fn xml(text: &str) -> String {
    let kept = text
        .chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'));
    let text: String = kept.collect();
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    text.replace('"', "&quot;")
}
