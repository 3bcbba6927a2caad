//! `docs/conformance.md`: what came of the suite's own drivers and of the engine, from their JSON reports.

use super::line;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// What a page has of one report. Other fields of a report are left out.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default)]
pub struct Summary {
    /// What the page calls it; the report has none.
    pub title: String,
    tested: Tested,
    profile: String,
    backend: String,
    suite: String,
    date: String,
    chosen: Vec<String>,
    excluded: Vec<String>,
    /// Empty in reports of before it was said.
    replaced: Vec<String>,
    /// Empty in reports of before it was said, and where there are no axes.
    axes: String,
    seed: u64,
    ran: u64,
    possible: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<String>,
    counts: Counted,
    groups: Vec<Feature>,
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default)]
struct Tested {
    name: String,
    version: String,
    sdk: String,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default)]
struct Counted {
    passed: u64,
    failed: u64,
    passed_though_known: u64,
    known: u64,
    advice: u64,
    could_not_run: u64,
    not_declared: u64,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default)]
struct Feature {
    name: String,
    declared: bool,
    passed: u64,
    cases: u64,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default)]
struct Requirement {
    number: String,
    passed: u64,
    cases: u64,
}

const HEAD: &str = "\
# Conformance

What came of the drivers that lie beside the suite, of the drivers that are shipped, and of the engine. The page is
rendered by `make conformance` from `docs/results/conformance/all.json`; nobody writes it.

How the suite is used is told in [testing-a-driver.md](testing-a-driver.md), what is required in
[driver-contract.md](driver-contract.md). `conveyor-conformance list` has all cases, `describe` what each does.

*runs* are the cases with the values of their axes that were run, of those that all values together would make. Which ones is
said by *axes* (`--axes`): `one` of each case; a `few`, about as many with other values, so that each value is among them; so many of each
that all `pairs` of values are among them; or `all`. An engine's cases have none. The *seed* chooses the same ones again. A case counts for each feature that it needs, for *core* where it needs none.
*advice* failed in what a good driver does and none has to.
";

/// The page of these reports, in their order.
#[must_use]
pub fn page(reports: &[Summary]) -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n| | profile | engine | axes | seed | runs | passed | failed | known to fail | advice | could not run | not declared |\n");
    page.push_str("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
    for report in reports {
        let counts = &report.counts;
        let (axes, seed) = breadth(report);
        // Who was stopped may not know it.
        let possible = match report.stopped.is_some() && report.possible < report.ran {
            true => String::new(),
            false => format!(" of {}", report.possible),
        };
        let _ = writeln!(
            page,
            "| {} | {} | {} | {axes} | {seed} | {}{} | {} | {} | {} | {} | {} | {} |",
            report.title,
            report.profile,
            report.backend,
            report.ran,
            possible,
            counts.passed,
            counts.failed + counts.passed_though_known,
            counts.known,
            counts.advice,
            counts.could_not_run,
            counts.not_declared
        );
    }
    for report in reports {
        let _ = write!(page, "\n## {}\n\n{}\n", report.title, profile_line(report));
        for part in parts(report) {
            let _ = write!(page, "\n**{part}**\n");
        }
        if !report.requirements.is_empty() {
            let _ = write!(page, "\nBy requirement: {}.\n", by_requirement(report));
        }
        let _ = write!(
            page,
            "\n{}; suite {}, {}, {}.\n",
            who(&report.tested),
            report.suite,
            width(report),
            report.date
        );
    }
    page
}

/// `voice 1.0.0, conveyor-sdk 0.1.0`. An engine that is asked from outside tells no version, and has no SDK.
fn who(tested: &Tested) -> String {
    let mut who = tested.name.clone();
    for (before, what) in [(" ", &tested.version), (", ", &tested.sdk)] {
        if !what.is_empty() {
            who.push_str(before);
            who.push_str(what);
        }
    }
    who
}

/// `R1 18/18, R2 4/4; nothing was run for R50, R51`.
fn by_requirement(report: &Summary) -> String {
    let (none, some): (Vec<_>, Vec<_>) = report.requirements.iter().partition(|one| one.cases == 0);
    let some = some.iter();
    let some = some.map(|one| format!("{} {}/{}", one.number, one.passed, one.cases));
    let some = some.collect::<Vec<_>>().join(", ");
    let none: Vec<&str> = none.iter().map(|one| one.number.as_str()).collect();
    match none.is_empty() {
        true => some,
        false => format!("{some}; nothing was run for {}", none.join(", ")),
    }
}

/// What the columns `axes` and `seed` have.
fn breadth(report: &Summary) -> (&str, String) {
    match (report.profile.as_str(), report.axes.as_str()) {
        ("engine", _) => ("none", String::new()),
        // What was not written cannot be known.
        (_, "") => ("not said", report.seed.to_string()),
        (_, axes) => (axes, report.seed.to_string()),
    }
}

/// How widely it was run, as a part of a sentence.
fn width(report: &Summary) -> String {
    match breadth(report) {
        ("none", _) => format!("ran {} of {}", report.ran, report.possible),
        ("not said", seed) => format!("seed {seed}"),
        (axes, seed) => format!(
            "axes {axes}, seed {seed}, ran {} of {}",
            report.ran, report.possible
        ),
    }
}

/// Why what is counted is not the whole.
fn parts(report: &Summary) -> Vec<String> {
    let list = |patterns: &[String]| format!("`{}`", patterns.join("`, `"));
    let mut parts = Vec::new();
    if let Some(why) = &report.stopped {
        parts.push(format!("It ended before its end: {}.", line(why)));
    }
    if !report.chosen.is_empty() {
        parts.push(format!("Only {} was run.", list(&report.chosen)));
    }
    if !report.excluded.is_empty() {
        parts.push(format!("{} was left out.", list(&report.excluded)));
    }
    if !report.replaced.is_empty() {
        parts.push(format!(
            "{} of a file stood in place of the suite's own.",
            list(&report.replaced)
        ));
    }
    parts
}

/// The groups, each by a real feature's name. Old reports have some of what cases need that can be run in several ways, which
/// is none: `tcp or unary`, and of what a config lacks, ``samples `slow` ``.
fn real(groups: &[Feature]) -> Vec<Feature> {
    let (told, real): (Vec<&Feature>, Vec<&Feature>) = groups
        .iter()
        .partition(|group| group.name.contains(' ') || group.name == "tcp");
    let mut real: Vec<Feature> = real.into_iter().cloned().collect();
    let ways = |group: &&&Feature| !group.name.starts_with("samples ");
    for told in told.iter().filter(ways) {
        for way in told.name.replace(", ", " or ").split(" or ") {
            let name = match way {
                "tcp" => "stream",
                way => way,
            };
            if real.iter().all(|group| group.name != name) {
                real.push(Feature {
                    name: name.to_owned(),
                    ..Feature::default()
                });
            }
        }
    }
    let core = |group: &Feature| group.name != "core";
    real.sort_by(|one, other| (core(one), &one.name).cmp(&(core(other), &other.name)));
    real
}

/// `core 96/96, checkpoints 8/8, polling: not declared`.
fn profile_line(report: &Summary) -> String {
    let groups = real(&report.groups);
    let features = groups.iter().map(|group| match group {
        Feature {
            declared: false, ..
        } => format!("{}: not declared", group.name),
        Feature { cases: 0, .. } => format!("{}: nothing was run", group.name),
        _ => format!("{} {}/{}", group.name, group.passed, group.cases),
    });
    features.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_report_says_how_widely_it_was_run_and_an_old_one_that_it_does_not() {
        let read = |text: &str| serde_json::from_str::<Summary>(text).expect("a report");
        let new = read(
            r#"{"title": "New", "profile": "contract", "backend": "embedded", "axes": "pairs", "seed": 7, "ran": 3,
                "possible": 9, "chosen": ["logs/**"], "excluded": ["logs/a/b"], "stopped": "it was told to"}"#,
        );
        let old = read(
            r#"{"title": "Old", "profile": "contract", "backend": "embedded", "seed": 8, "ran": 4, "possible": 9,
                "requirements": [{"number": "R1", "passed": 2, "cases": 3}, {"number": "R50"}, {"number": "R2", "passed": 1, "cases": 1}],
                "groups": [{"name": "tcp"}, {"name": "core", "declared": true, "passed": 1, "cases": 1},
                           {"name": "rest", "declared": true, "passed": 1, "cases": 1},
                           {"name": "samples `slow`"}, {"name": "tcp or unary or rest"}]}"#,
        );
        let engine = read(
            r#"{"title": "E", "profile": "engine", "ran": 5, "possible": 5, "suite": "0.1.0", "date": "today",
                "tested": {"name": "conveyor", "version": "", "sdk": ""}}"#,
        );
        let page = page(&[new, old, engine]);
        for part in [
            "| New | contract | embedded | pairs | 7 | 3 of 9 |",
            "| Old | contract | embedded | not said | 8 | 4 of 9 |",
            "| E | engine |  | none |  | 5 of 5 |",
            "**It ended before its end: it was told to.**",
            "**Only `logs/**` was run.**",
            "**`logs/a/b` was left out.**",
            "axes pairs, seed 7, ran 3 of 9",
            "\nconveyor; suite 0.1.0, ran 5 of 5, today.\n",
            "\ncore 1/1, rest 1/1, stream: not declared, unary: not declared\n",
            "\nBy requirement: R1 2/3, R2 1/1; nothing was run for R50.\n",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
    }

    #[test]
    fn who_was_tested_is_told_without_what_it_does_not_say() {
        for (name, version, sdk, told) in [
            ("a", "1.0.0", "own 2", "a 1.0.0, own 2"),
            ("a", "1.0.0", "", "a 1.0.0"),
            ("a", "", "", "a"),
        ] {
            let tested = Tested {
                name: name.to_owned(),
                version: version.to_owned(),
                sdk: sdk.to_owned(),
            };
            assert_eq!(who(&tested), told);
        }
    }

    #[test]
    fn how_widely_it_can_be_run_is_explained() {
        for breadth in ["one", "few", "pairs", "all"] {
            assert!(HEAD.contains(&format!("`{breadth}`")), "{breadth}");
        }
    }

    #[test]
    fn the_page_is_what_the_results_render_to() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let read = |path: &str| {
            let text = std::fs::read_to_string(docs.join(path));
            text.unwrap_or_else(|error| panic!("docs/{path}: {error}"))
        };
        let reports: Vec<Summary> =
            serde_json::from_str(&read("results/conformance/all.json")).expect("results are JSON");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(docs.join("conformance.md"), page(&reports)).expect("written");
        }
        assert_eq!(
            page(&reports),
            read("conformance.md"),
            "`make conformance` renders docs/conformance.md"
        );
    }
}
