//! What came of cases, and what it means for the whole.

mod rule;
mod whole;

pub use rule::{Rule, RuleError};
pub use whole::{Counts, Results, Status, Subject};

use crate::names::RunName;
use std::fmt;
use std::time::Duration;

/// What came of one run of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Which case, and what it was run with.
    pub run: RunName,
    /// The requirements that its case cites.
    pub requires: Vec<Rule>,
    /// The features that its case needs, its transport not among them; none for a case of `core`.
    pub features: Vec<String>,
    /// What was seen.
    pub verdict: Verdict,
    /// What the lists say of it.
    pub expectation: Expectation,
    /// How long it took.
    pub took: Duration,
    /// The last lines of the driver's standard error.
    pub stderr: Vec<String>,
    /// With `--trace`: the messages, a line each. Otherwise none.
    pub messages: Vec<String>,
}

/// What was seen of a driver in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All that was looked for.
    Passed,
    /// It does not keep the contract. What is the driver's doing is this, also where it never connected,
    /// ended or hung.
    Failed {
        /// What was wrong, the first seen first. At least one.
        findings: Vec<Finding>,
    },
    /// Nothing can be said of the driver: a port that could not be bound, a program that is not there, a disk
    /// that is full.
    CouldNotRun {
        /// Why, and what to do.
        why: String,
    },
    /// The case is not for this driver.
    NotDeclared {
        /// What it needs. Something at least.
        missing: Missing,
    },
}

/// What a case needs, and a driver does not declare.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// Features, each of which it needs.
    pub features: Vec<String>,
    /// Features of which it needs one: ways to talk.
    pub one_of: Vec<String>,
    /// Samples that a finished driver's config has not: `slow`.
    pub samples: Vec<String>,
    /// What no driver declares, and the suite has not: to start the driver, where somebody else does.
    pub besides: Vec<String>,
}

/// Something that is not as the contract has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The requirement that was broken, where it is known.
    pub requirement: Option<Rule>,
    /// What was seen, and what should have been.
    pub sentence: String,
    /// The step of the case's script at which it was seen, from 1; `None` for what is seen of the whole.
    pub place: Option<usize>,
}

/// What the lists of known cases say of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// Nothing: it has to pass.
    MustPass,
    /// It fails, and has to.
    KnownFailing(Line),
    /// It may do either.
    KnownFlaky(Line),
    /// It had better pass: no rule that its case cites is one that a driver must keep, and one is what a good one
    /// does.
    ShouldPass,
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// The file as it was named.
    pub file: String,
    /// From 1.
    pub number: usize,
}

/// What an outcome is in the light of what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Passed, as it has to or may.
    Passed,
    /// Failed, and nobody said that it would.
    Failed,
    /// Passed, though it is known as failing: a list that is wrong hides what fails later.
    PassedThoughKnown,
    /// Failed, as is known.
    Known,
    /// Failed, in what a good driver does and none has to: it is told, and does not count against the whole.
    Advice,
    /// Nothing can be said of the driver.
    CouldNotRun,
    /// Not for this driver.
    NotDeclared,
}

impl Outcome {
    /// What it is in the light of what was expected.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match (&self.verdict, &self.expectation) {
            (Verdict::Passed, Expectation::KnownFailing(_)) => Standing::PassedThoughKnown,
            (Verdict::Passed, _) => Standing::Passed,
            (Verdict::Failed { .. }, Expectation::MustPass) => Standing::Failed,
            (Verdict::Failed { .. }, Expectation::ShouldPass) => Standing::Advice,
            (Verdict::Failed { .. }, _) => Standing::Known,
            (Verdict::CouldNotRun { .. }, _) => Standing::CouldNotRun,
            (Verdict::NotDeclared { .. }, _) => Standing::NotDeclared,
        }
    }

    /// What was wrong with the driver; nothing for what did not fail.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        match &self.verdict {
            Verdict::Failed { findings } => findings,
            _ => &[],
        }
    }

    /// All that makes it count against the whole, as sentences.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        match (&self.verdict, &self.expectation) {
            (Verdict::Passed, Expectation::KnownFailing(line)) => vec![format!(
                "is known as failing and passed: take it out of {line}"
            )],
            (Verdict::Failed { findings }, _) => findings.iter().map(Finding::to_string).collect(),
            (Verdict::CouldNotRun { why }, _) => vec![why.clone()],
            _ => Vec::new(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(rule) = &self.requirement {
            write!(f, "{rule}: ")?;
        }
        f.write_str(&self.sentence)?;
        match self.place {
            Some(step) => write!(f, " (step {step})"),
            None => Ok(()),
        }
    }
}

impl Missing {
    /// Whether nothing is missing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Missing {
            features,
            one_of,
            samples,
            besides,
        } = self;
        [features, one_of, samples, besides]
            .iter()
            .all(|part| part.is_empty())
    }

    /// Each of what it needs: a feature, a choice of ways to talk, samples, something else.
    pub(crate) fn each(&self) -> Vec<String> {
        let features = self.features.iter().cloned();
        features.chain(self.others()).collect()
    }

    /// The same without the features.
    fn others(&self) -> impl Iterator<Item = String> {
        let samples: Vec<String> = self.samples.iter().map(|one| format!("`{one}`")).collect();
        let samples = match samples.is_empty() {
            true => String::new(),
            false => format!("a sample {} in the config", samples.join(" and ")),
        };
        let others = [self.one_of.join(" or "), samples].into_iter();
        let others = others.chain(self.besides.iter().cloned());
        others.filter(|part| !part.is_empty())
    }
}

/// As reports have it: ``detached; unary or rest; a sample `slow` in the config``.
impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let features = Some(self.features.join(", ")).filter(|part| !part.is_empty());
        let each: Vec<String> = features.into_iter().chain(self.others()).collect();
        f.write_str(&each.join("; "))
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.number)
    }
}
