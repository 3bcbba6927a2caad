//! `docs/conformance.md`: what came of the suite's own drivers and of the engine, from their JSON reports.

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
    seed: u64,
    ran: u64,
    possible: u64,
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

*runs* are the cases with the values of their axes that were run (`--axes`: one of each case, all pairs of values, or all),
of those that all values together would make. A case counts for each feature that it needs, for *core* where it needs none. *advice* failed in what a good driver does and none has to.
";

/// The page of these reports, in their order.
#[must_use]
pub fn page(reports: &[Summary]) -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n| | profile | engine | runs | passed | failed | known to fail | advice | could not run | not declared |\n");
    page.push_str("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
    for report in reports {
        let counts = &report.counts;
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} of {} | {} | {} | {} | {} | {} | {} |",
            report.title,
            report.profile,
            report.backend,
            report.ran,
            report.possible,
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
        if !report.requirements.is_empty() {
            let each = report.requirements.iter();
            let each = each.map(|one| format!("{} {}/{}", one.number, one.passed, one.cases));
            let each: Vec<String> = each.collect();
            let _ = write!(page, "\nBy requirement: {}.\n", each.join(", "));
        }
        let sdk = match report.tested.sdk.as_str() {
            "" => String::new(),
            sdk => format!(", {sdk}"),
        };
        let _ = write!(
            page,
            "\n{} {}{sdk}; suite {}, seed {}, {}.\n",
            report.tested.name, report.tested.version, report.suite, report.seed, report.date
        );
    }
    page
}

/// `core 96/96, checkpoints 8/8, polling: not declared`.
fn profile_line(report: &Summary) -> String {
    let features = report.groups.iter().map(|group| match group {
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
    fn the_page_is_what_the_results_render_to() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let read = |path: &str| {
            let text = std::fs::read_to_string(docs.join(path));
            text.unwrap_or_else(|error| panic!("docs/{path}: {error}"))
        };
        let reports: Vec<Summary> =
            serde_json::from_str(&read("results/conformance/all.json")).expect("results are JSON");
        assert_eq!(
            page(&reports),
            read("conformance.md"),
            "`make conformance` renders docs/conformance.md"
        );
    }
}
