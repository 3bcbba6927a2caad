//! All outcomes together.

use super::{Outcome, Standing};
use crate::names::CaseName;
use std::collections::BTreeSet;
use std::process::ExitCode;

/// What was tested, by what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The driver's name as it said it, or the engine's; empty where it said nothing.
    pub name: String,
    /// Its version as it said it; may be empty.
    pub version: String,
    /// The SDK that it is written with and that one's version; may be empty.
    pub sdk: String,
    /// `contract`, `driver` or `engine`.
    pub profile: String,
    /// The engine on the other side: `embedded`, `server`, `cluster`; several where it is an axis.
    pub backend: String,
    /// The suite's version.
    pub suite: String,
    /// The day or instant, as the caller wants it shown.
    pub date: String,
    /// The features that it declares.
    pub declared: Vec<String>,
    /// The patterns by which cases were chosen; none for all.
    pub chosen: Vec<String>,
    /// The patterns by which cases were left out.
    pub excluded: Vec<String>,
    /// The files whose cases were taken besides the suite's own.
    pub case_files: Vec<String>,
    /// The suite's own cases in whose place one of a file was taken.
    pub replaced: Vec<String>,
}

impl Subject {
    /// Whether only some of the suite's own cases were to be run.
    #[must_use]
    pub fn is_part(&self) -> bool {
        let all = self.chosen.is_empty() || self.chosen.iter().any(|pattern| pattern == "**");
        !all || !self.excluded.is_empty() || !self.replaced.is_empty()
    }
}

/// What came of all that was run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Results {
    /// What was tested, by what.
    pub subject: Subject,
    /// Which values of the axes were run: `one`, `pairs` or `all`; empty where there are no axes (an engine's cases).
    pub axes: String,
    /// With which the runs of cases with several axes were chosen.
    pub seed: u64,
    /// How many runs there would be with all values of all axes together, of cases that are for the driver.
    pub possible: u64,
    /// Why the suite ended before its end, so that what there is is a part; or why nothing was run of what was chosen.
    pub stopped: Option<String>,
    /// What came of each run. Reports have them by name.
    pub outcomes: Vec<Outcome>,
}

/// How many outcomes there are of each standing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Passed, as they have to or may.
    pub passed: u64,
    /// Failed, and not known.
    pub failed: u64,
    /// Passed, though known as failing.
    pub passed_though_known: u64,
    /// Failed, as is known.
    pub known: u64,
    /// Failed, in what a good driver does and none has to.
    pub advice: u64,
    /// Could not be run.
    pub could_not_run: u64,
    /// Not for this driver.
    pub not_declared: u64,
}

/// What a program says with its exit status.
///
/// | status | when |
/// | --- | --- |
/// | 0 | all came as expected: passed, or failed as is known, or in what no driver has to do |
/// | 1 | something failed that is not known, or passed that is known as failing |
/// | 2 | nothing of that, though the suite could not do all its work: a configuration, a case file or a list with a mistake; a run that could not be run; a suite that was stopped; nothing that was run of what was chosen |
///
/// 1 goes before 2: what was seen of a driver stays true where something else could not be looked at. A case
/// that needs what the driver does not declare is no part of it; where only such cases were chosen, nothing
/// was run, and `Results.stopped` says why: the first meeting, which is always run, does not count then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// 0
    AsExpected,
    /// 1
    Failed,
    /// 2
    CouldNot,
}

impl Status {
    /// The number: 0, 1 or 2.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> ExitCode {
        ExitCode::from(status.number())
    }
}

impl Counts {
    /// How many there are that say something of the driver.
    #[must_use]
    pub fn ran(&self) -> u64 {
        self.passed + self.failed + self.passed_though_known + self.known + self.advice
    }
}

impl Results {
    /// How many outcomes there are of each standing.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for outcome in &self.outcomes {
            *match outcome.standing() {
                Standing::Passed => &mut counts.passed,
                Standing::Failed => &mut counts.failed,
                Standing::PassedThoughKnown => &mut counts.passed_though_known,
                Standing::Known => &mut counts.known,
                Standing::Advice => &mut counts.advice,
                Standing::CouldNotRun => &mut counts.could_not_run,
                Standing::NotDeclared => &mut counts.not_declared,
            } += 1;
        }
        counts
    }

    /// How many cases the outcomes are of.
    #[must_use]
    pub fn cases(&self) -> usize {
        let names: BTreeSet<&CaseName> = self.outcomes.iter().map(|o| o.run.case()).collect();
        names.len()
    }

    /// What the whole comes to.
    #[must_use]
    pub fn status(&self) -> Status {
        let counts = self.counts();
        if counts.failed + counts.passed_though_known > 0 {
            return Status::Failed;
        }
        if counts.could_not_run > 0 || self.stopped.is_some() || counts.ran() == 0 {
            return Status::CouldNot;
        }
        Status::AsExpected
    }

    /// The outcomes by name.
    #[must_use]
    pub fn sorted(&self) -> Vec<&Outcome> {
        let mut sorted: Vec<&Outcome> = self.outcomes.iter().collect();
        sorted.sort_by_key(|outcome| &outcome.run);
        sorted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::{Expectation, Finding, Line, Missing, Rule, Verdict};
    use std::time::Duration;

    fn outcome(verdict: Verdict, expectation: Expectation) -> Outcome {
        Outcome {
            run: "a/b/c".parse().expect("a name"),
            requires: Vec::new(),
            features: Vec::new(),
            verdict,
            expectation,
            took: Duration::ZERO,
            stderr: Vec::new(),
            messages: Vec::new(),
        }
    }

    #[test]
    fn who_takes_other_cases_in_place_of_the_suite_s_own_has_run_a_part_of_those() {
        let of = |subject: Subject| subject.is_part();
        let file = || vec!["mine.yaml".to_owned()];
        assert!(!of(Subject {
            case_files: file(),
            ..Subject::default()
        }));
        assert!(of(Subject {
            case_files: file(),
            replaced: vec!["a/b/c".to_owned()],
            ..Subject::default()
        }));
    }

    #[test]
    fn the_status_is_that_of_the_worst_outcome_and_failures_go_first() {
        let line = || Line {
            file: "known.txt".to_owned(),
            number: 3,
        };
        let failed = || Verdict::Failed {
            findings: vec![Finding {
                requirement: Some(Rule::contract(12)),
                sentence: "no `accepted` within 5 s".to_owned(),
                place: Some(2),
            }],
        };
        use Expectation::{KnownFailing, KnownFlaky, MustPass, ShouldPass};
        let could_not = || Verdict::CouldNotRun {
            why: "no port".to_owned(),
        };
        let not_declared = || Verdict::NotDeclared {
            missing: Missing {
                features: vec!["detached".to_owned()],
                ..Missing::default()
            },
        };
        let passed = || outcome(Verdict::Passed, MustPass);
        for (outcomes, status) in [
            (vec![passed()], 0),
            (vec![outcome(Verdict::Passed, KnownFlaky(line()))], 0),
            (vec![outcome(failed(), KnownFlaky(line()))], 0),
            (vec![outcome(failed(), KnownFailing(line()))], 0),
            (vec![passed(), outcome(not_declared(), MustPass)], 0),
            (vec![outcome(Verdict::Passed, ShouldPass)], 0),
            (vec![outcome(failed(), ShouldPass)], 0),
            (
                vec![outcome(failed(), ShouldPass), outcome(failed(), MustPass)],
                1,
            ),
            (vec![outcome(could_not(), ShouldPass)], 2),
            (vec![passed(), outcome(failed(), MustPass)], 1),
            (vec![outcome(Verdict::Passed, KnownFailing(line()))], 1),
            (
                vec![outcome(could_not(), MustPass), outcome(failed(), MustPass)],
                1,
            ),
            (vec![passed(), outcome(could_not(), MustPass)], 2),
            (
                vec![passed(), outcome(could_not(), KnownFailing(line()))],
                2,
            ),
            (vec![outcome(not_declared(), MustPass)], 2),
            (Vec::new(), 2),
        ] {
            let results = Results {
                outcomes,
                ..Results::default()
            };
            assert_eq!(results.status().number(), status, "{results:#?}");
        }
        let stopped = Results {
            outcomes: vec![passed()],
            stopped: Some("by Ctrl-C".to_owned()),
            ..Results::default()
        };
        assert_eq!(stopped.status(), Status::CouldNot);
        assert_eq!(
            outcome(failed(), MustPass).complaints(),
            ["R12: no `accepted` within 5 s (step 2)"]
        );
        assert_eq!(
            outcome(Verdict::Passed, KnownFailing(line())).complaints(),
            ["is known as failing and passed: take it out of known.txt:3"]
        );
    }
}
