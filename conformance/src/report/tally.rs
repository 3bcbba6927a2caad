//! Cases counted by feature and by requirement.

use crate::names::{Axis, CaseName};
use crate::result::{Outcome, Results, Rule, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// The group of cases that need no feature.
const CORE: &str = "core";

/// Cases that passed of those that were run, or should have been. A case passed where all of its runs did: one
/// that is known to fail did not, nor did one that could not be run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Cases of which all runs passed.
    pub passed: usize,
    /// All of them, without those that are not for the driver.
    pub cases: usize,
}

/// The cases of a feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The feature, or `core`.
    pub name: String,
    /// Whether the driver declares it; `core` always is.
    pub declared: bool,
    /// Its cases.
    pub tally: Tally,
}

/// The cases by feature: `core` first, then what is declared, or what a case would have needed, by name. A case
/// counts for `core` where it needs no feature, else for each that it needs; besides, each run counts for its
/// transport (`stream` where that is `tcp`, `rest` and `tls` where it is `rest-tls`).
#[must_use]
pub fn groups(results: &Results) -> Vec<Group> {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    names.extend(results.subject.declared.iter().map(String::as_str));
    for outcome in &results.outcomes {
        names.extend(features(outcome));
        if let Verdict::NotDeclared { missing } = &outcome.verdict {
            let missing = missing.features.iter().chain(&missing.one_of);
            names.extend(missing.map(String::as_str));
        }
    }
    let mut groups = vec![Group {
        name: CORE.to_owned(),
        declared: true,
        tally: tally(results, |outcome| outcome.features.is_empty()),
    }];
    groups.extend(names.into_iter().map(|name| Group {
        name: name.to_owned(),
        declared: results.subject.declared.iter().any(|known| known == name),
        tally: tally(results, |outcome| features(outcome).any(|f| f == name)),
    }));
    groups
}

/// The cases by requirement.
pub(super) fn requirements(results: &Results) -> Vec<(&Rule, Tally)> {
    let cited = results.outcomes.iter().flat_map(|o| &o.requires);
    let rules: BTreeSet<&Rule> = cited.collect();
    let count = |rule| (rule, tally(results, |o| o.requires.contains(rule)));
    rules.into_iter().map(count).collect()
}

fn features(outcome: &Outcome) -> impl Iterator<Item = &str> {
    let transport = outcome.run.value(Axis::Transport).unwrap_or_default();
    let transport = transport.split('-').filter(|way| !way.is_empty());
    let transport = transport.map(|way| match way {
        "tcp" => "stream",
        way => way,
    });
    let needed = outcome.features.iter().map(String::as_str);
    needed.chain(transport)
}

fn tally(results: &Results, of: impl Fn(&Outcome) -> bool) -> Tally {
    let mut cases: BTreeMap<&CaseName, bool> = BTreeMap::new();
    for outcome in results.outcomes.iter().filter(|outcome| of(outcome)) {
        if matches!(outcome.verdict, Verdict::NotDeclared { .. }) {
            continue;
        }
        let passed = cases.entry(outcome.run.case()).or_insert(true);
        *passed &= outcome.verdict == Verdict::Passed;
    }
    Tally {
        passed: cases.values().filter(|passed| **passed).count(),
        cases: cases.len(),
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.passed, self.cases)
    }
}

impl std::fmt::Display for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.declared, self.tally.cases) {
            (false, 0) => write!(f, "{}: not declared", self.name),
            (true, 0) => write!(f, "{}: nothing was run", self.name),
            _ => write!(f, "{} {}", self.name, self.tally),
        }
    }
}
