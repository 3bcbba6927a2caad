//! The cases of the profile `engine`.

use crate::backend::Setting;
use crate::cases::{CaseError, Citing, Flaws, all, files};
use crate::rules::{REQUIREMENTS, Strength, Who};
use crate::v1::engine_step::Step;
use crate::v1::{EngineCase, EngineFile};
use std::collections::BTreeSet;

/// What the contract says that engines must, and no case tests: `R12: …`.
///
/// # Errors
/// As [`embedded`].
pub fn uncited() -> Result<Vec<String>, Vec<String>> {
    let cited: BTreeSet<_> = embedded()?
        .into_iter()
        .flat_map(|case| case.requires)
        .collect();
    let musts = REQUIREMENTS.iter().filter(|rule| {
        rule.strength == Strength::Must && rule.who != Who::Driver && !cited.contains(rule.number)
    });
    Ok(musts
        .map(|rule| format!("{}: {}", rule.number, rule.rule))
        .collect())
}

/// The cases that are within the program.
///
/// # Errors
/// All that is wrong with them, each with its place.
pub fn embedded() -> Result<Vec<EngineCase>, Vec<String>> {
    read(files("engine")).map_err(sentences)
}

/// The cases of a file.
///
/// # Errors
/// All that is wrong with it, each with its place.
pub fn read_cases(name: &str, text: &str) -> Result<Vec<EngineCase>, Vec<String>> {
    read(&[(name, text)]).map_err(sentences)
}

fn read(files: &[(&str, &str)]) -> Result<Vec<EngineCase>, Vec<CaseError>> {
    all(files, "EngineFile", |file: EngineFile| file.cases)
}

fn sentences(errors: Vec<CaseError>) -> Vec<String> {
    let errors = errors.into_iter();
    errors.map(|error| error.to_string()).collect()
}

/// What a case asks to be arranged.
pub(super) fn setting(case: &EngineCase) -> Setting {
    let setting = case.setting.clone().unwrap_or_default();
    Setting {
        access: setting.access,
        secrets: setting.secrets.into_iter().collect(),
    }
}

/// Whether it may not share an engine, though nothing is arranged for it.
pub(super) fn needs_its_own(case: &EngineCase) -> bool {
    let restarts = |step: &crate::v1::EngineStep| matches!(step.step, Some(Step::Restart(_)));
    case.steps.iter().any(restarts)
}

/// The word of a step.
pub(super) fn word(step: &Step) -> &'static str {
    match step {
        Step::Start(_) => "start",
        Step::Call(_) => "call",
        Step::Read(_) => "read",
        Step::Driver(_) => "driver",
        Step::Release(_) => "release",
        Step::Open(_) => "open",
        Step::Tell(_) => "tell",
        Step::See(_) => "see",
        Step::Unseen(_) => "unseen",
        Step::Break(_) => "break",
        Step::Closed(_) => "closed",
        Step::Ended(_) => "ended",
        Step::Restart(_) => "restart",
        Step::Compare(_) => "compare",
    }
}

/// What a step expects, by its field.
pub(super) fn expected(step: &Step) -> Vec<(&'static str, &[u8])> {
    match step {
        Step::Start(step) => vec![("like", &step.like[..])],
        Step::Call(step) => vec![
            ("like", &step.like[..]),
            ("headers_like", &step.headers_like),
        ],
        Step::Read(step) => vec![("like", &step.like[..])],
        Step::Open(step) => vec![("see", &step.see[..])],
        Step::See(step) => vec![("message", &step.message[..])],
        Step::Unseen(step) => vec![("message", &step.message[..])],
        Step::Ended(step) => vec![("like", &step.like[..]), ("steps", &step.steps)],
        Step::Compare(step) => vec![("like", &step.like[..]), ("unlike", &step.unlike)],
        _ => Vec::new(),
    }
}

impl Citing for EngineCase {
    fn name(&self) -> &str {
        &self.name
    }

    fn purpose(&self) -> &str {
        &self.purpose
    }

    fn requires(&self) -> &[String] {
        &self.requires
    }

    fn flaws(&self) -> Flaws {
        super::flaws::flaws(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules;
    use std::collections::BTreeMap;

    /// Rules that no case cites, and why none can: a case sees what goes over the API.
    const UNSEEN: [(&str, &str); 15] = [
        (
            "P4",
            "how a commit is recorded; no request quarantines a run",
        ),
        ("P6", "how a fold is the same each time: the simulator's"),
        (
            "P8",
            "when a snapshot is taken: what is read does not show it",
        ),
        ("P9", "a fact's time where clocks go back: the simulator's"),
        ("P10", "the store's transactions: the simulator's"),
        (
            "P11",
            "outcomes of a store that are not known: the simulator's",
        ),
        ("P12", "which commits go together: the benchmark's"),
        ("P14", "records and puts of a store"),
        ("P15", "etcd comes with a later release"),
        ("P16", "several nodes come with a later release"),
        ("P18", "several nodes come with a later release"),
        ("P23", "an owner whose own tick is late: the simulator's"),
        ("P31", "what a store promises where it loses something"),
        ("P34", "the archive comes with a later release"),
        ("P36", "what a later release may write"),
    ];

    #[test]
    fn rules_of_semantics_and_protocol_have_a_case_or_a_reason() {
        let cases = embedded().expect("they are read");
        let cited = cases.iter().flat_map(|case| &case.requires);
        let cited: BTreeSet<&str> = cited.map(String::as_str).collect();
        let unseen = BTreeMap::from(UNSEEN);
        let is_cited = |number: &&str| cited.contains(*number);
        let without: Vec<_> = rules::of_other_documents()
            .filter(|number| !is_cited(number) && !unseen.contains_key(number))
            .collect();
        assert!(
            without.is_empty(),
            "no case cites {without:?}, and no reason says why not"
        );
        for (number, reason) in unseen {
            assert!(rules::is_known(number), "there is no rule {number}");
            assert!(!is_cited(&number), "a case cites {number} by now");
            assert!(!reason.is_empty(), "{number} has no reason");
        }
    }
}
