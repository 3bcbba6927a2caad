//! For programs: the message `Report` of `proto/conveyor/conformance/v1/report.proto` in the contract's JSON forms.
//! The tests hold these shapes against the descriptor.

use super::Sentences;
use super::tally::{groups, requirements};
use crate::result::{Expectation, Outcome, Results, Standing, Verdict};
use serde::Serialize;

#[derive(Serialize)]
struct Report<'a> {
    tested: Tested<'a>,
    profile: &'a str,
    backend: &'a str,
    suite: &'a str,
    date: &'a str,
    chosen: &'a [String],
    excluded: &'a [String],
    case_files: &'a [String],
    replaced: &'a [String],
    axes: &'a str,
    seed: u64,
    ran: u64,
    possible: u64,
    status: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<&'a str>,
    counts: Counts,
    groups: Vec<Group>,
    requirements: Vec<Requirement>,
    outcomes: Vec<Reported<'a>>,
}

#[derive(Serialize)]
struct Tested<'a> {
    name: &'a str,
    version: &'a str,
    sdk: &'a str,
    declared: &'a [String],
}

#[derive(Serialize)]
struct Counts {
    passed: u64,
    failed: u64,
    passed_though_known: u64,
    known: u64,
    advice: u64,
    could_not_run: u64,
    not_declared: u64,
}

#[derive(Serialize)]
struct Group {
    name: String,
    declared: bool,
    passed: usize,
    cases: usize,
}

#[derive(Serialize)]
struct Requirement {
    number: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sentence: Option<String>,
    passed: usize,
    cases: usize,
}

#[derive(Serialize)]
struct Reported<'a> {
    run: String,
    case: &'a str,
    requires: Vec<String>,
    features: &'a [String],
    standing: &'static str,
    findings: Vec<Found<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    missing: &'a [String],
    missing_one_of: &'a [String],
    missing_samples: &'a [String],
    missing_besides: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    known_by: Option<String>,
    took_ms: u64,
    stderr: &'a [String],
    messages: &'a [String],
}

#[derive(Serialize)]
struct Found<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    requirement: Option<String>,
    sentence: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<usize>,
}

/// The results as one JSON object with a line end. Its shape is the message
/// [`Report`](crate::v1::Report); numbers of 64 bits are numbers, values of enums are words (`passed`).
#[must_use]
pub fn json_report(results: &Results, sentences: &Sentences<'_>) -> String {
    let subject = &results.subject;
    let counts = results.counts();
    let report = Report {
        tested: Tested {
            name: &subject.name,
            version: &subject.version,
            sdk: &subject.sdk,
            declared: &subject.declared,
        },
        profile: &subject.profile,
        backend: &subject.backend,
        suite: &subject.suite,
        date: &subject.date,
        chosen: &subject.chosen,
        excluded: &subject.excluded,
        case_files: &subject.case_files,
        replaced: &subject.replaced,
        axes: &results.axes,
        seed: results.seed,
        ran: counts.ran(),
        possible: results.possible,
        status: results.status().number(),
        stopped: results.stopped.as_deref(),
        counts: Counts {
            passed: counts.passed,
            failed: counts.failed,
            passed_though_known: counts.passed_though_known,
            known: counts.known,
            advice: counts.advice,
            could_not_run: counts.could_not_run,
            not_declared: counts.not_declared,
        },
        groups: groups(results).into_iter().map(group).collect(),
        requirements: requirements(results)
            .into_iter()
            .map(|(rule, tally)| Requirement {
                number: rule.to_string(),
                sentence: sentences(rule),
                passed: tally.passed,
                cases: tally.cases,
            })
            .collect(),
        outcomes: results.sorted().into_iter().map(reported).collect(),
    };
    // Structures of strings and numbers: there is nothing that JSON could not have.
    let mut text = serde_json::to_string_pretty(&report).unwrap_or_default();
    text.push('\n');
    text
}

fn group(group: super::Group) -> Group {
    Group {
        name: group.name,
        declared: group.declared,
        passed: group.tally.passed,
        cases: group.tally.cases,
    }
}

fn reported(outcome: &Outcome) -> Reported<'_> {
    let missing = match &outcome.verdict {
        Verdict::NotDeclared { missing } => Some(missing),
        _ => None,
    };
    let findings = outcome.findings().iter().map(|finding| Found {
        requirement: finding.requirement.as_ref().map(ToString::to_string),
        sentence: &finding.sentence,
        step: finding.place,
    });
    Reported {
        run: outcome.run.to_string(),
        case: outcome.run.case().as_str(),
        requires: outcome.requires.iter().map(ToString::to_string).collect(),
        features: &outcome.features,
        standing: word(outcome.standing()),
        findings: findings.collect(),
        why: match &outcome.verdict {
            Verdict::CouldNotRun { why } => Some(why),
            _ => None,
        },
        missing: missing.map_or(&[][..], |missing| &missing.features[..]),
        missing_one_of: missing.map_or(&[][..], |missing| &missing.one_of[..]),
        missing_samples: missing.map_or(&[][..], |missing| &missing.samples[..]),
        missing_besides: missing.map_or(&[][..], |missing| &missing.besides[..]),
        known_by: match &outcome.expectation {
            Expectation::MustPass | Expectation::ShouldPass => None,
            Expectation::KnownFailing(place) | Expectation::KnownFlaky(place) => {
                Some(place.to_string())
            }
        },
        took_ms: u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX),
        stderr: &outcome.stderr,
        messages: &outcome.messages,
    }
}

fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Passed => "passed",
        Standing::Failed => "failed",
        Standing::PassedThoughKnown => "passed_though_known",
        Standing::Known => "known",
        Standing::Advice => "advice",
        Standing::CouldNotRun => "could_not_run",
        Standing::NotDeclared => "not_declared",
    }
}
