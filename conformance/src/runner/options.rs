//! What is run, against what.

use super::{Endpoint, Trace};
use crate::backend::Backend;
use crate::driver::Program;
use crate::lists::Lists;
use crate::names::{Pattern, RunName};
use crate::v1;

/// Which of the values of the axes are run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Breadth {
    /// Each case once, with the first value of each axis that the driver can.
    One,
    /// So many runs: first those that have each value of each axis that the driver can among them, then cases
    /// once each, with other values than the ones before.
    Few(usize),
    /// So many runs of each case that all pairs of values are among them.
    #[default]
    Pairs,
    /// All.
    All,
}

/// What is run, against what.
///
/// ```
/// use conveyor_conformance::{Breadth, Options, Program, embedded};
///
/// let options = Options {
///     program: Program { command: vec!["./driver".to_owned()], ..Program::default() },
///     cases: embedded("contract").expect("the suite's own cases"),
///     breadth: Breadth::One,
///     ..Options::default()
/// };
/// assert_eq!(options.parallel, 8);
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// The driver.
    pub program: Program,
    /// What its author says of it.
    pub config: v1::Config,
    /// The cases. Default: none.
    pub cases: Vec<v1::Case>,
    /// The engine.
    pub backend: Backend,
    /// Which values of the axes.
    pub breadth: Breadth,
    /// With which runs are chosen. Default 1.
    pub seed: u64,
    /// How many at once. Default 8.
    pub parallel: usize,
    /// Whether what was said stands in the outcomes.
    pub trace: Trace,
    /// Which runs: those that one of these matches. Default: all.
    pub include: Vec<Pattern>,
    /// But those that one of these matches.
    pub exclude: Vec<Pattern>,
    /// What is known of runs.
    pub lists: Lists,
    /// `contract` (the default) or `driver`.
    pub profile: String,
    /// Where a driver is waited for that somebody else starts, one case after the other; `None`: it is started.
    pub listen: Option<Endpoint>,
}

impl Breadth {
    /// As `--axes` and reports have it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Breadth::One => "one",
            Breadth::Few(_) => "few",
            Breadth::Pairs => "pairs",
            Breadth::All => "all",
        }
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            program: Program::default(),
            config: v1::Config::default(),
            cases: Vec::new(),
            backend: Backend::default(),
            breadth: Breadth::default(),
            seed: 1,
            parallel: 8,
            trace: Trace::default(),
            include: Vec::new(),
            exclude: Vec::new(),
            lists: Lists::default(),
            profile: "contract".to_owned(),
            listen: None,
        }
    }
}

impl Options {
    pub(super) fn included(&self, run: &RunName) -> bool {
        let mut patterns = self.include.iter();
        self.include.is_empty() || patterns.any(|pattern| pattern.matches(run))
    }

    pub(super) fn chosen(&self, run: &RunName) -> bool {
        self.included(run) && !self.exclude.iter().any(|pattern| pattern.matches(run))
    }

    /// Whether it was chosen by its own values: then it is run, whatever the breadth.
    pub(super) fn named(&self, run: &RunName) -> bool {
        let named = |pattern: &Pattern| pattern.has_values() && pattern.matches(run);
        self.include.iter().any(named)
    }
}
