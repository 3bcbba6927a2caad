//! Where an expression stands, and so what it may name.

use crate::plan::types::StepIndex;

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// An expression of a step: its ancestors; any step of `spec.steps` where it is a `finally` one.
    Step(StepIndex),
    /// The run's `outputs`: any step of `spec.steps`.
    Outputs,
}

/// What an expression may name where it stands.
pub(super) struct Place<'a> {
    /// Roots, `steps`, `needs` and the item's name apart.
    pub(super) roots: &'static [&'static str],
    /// The names of the instance's parameters: `matrix`, or the `foreach` name.
    pub(super) item: &'a [&'a str],
    /// Whose ancestors `steps` reaches; `None` where `steps` is not known.
    pub(super) steps: Option<Reader>,
    /// Whether `needs` is known.
    pub(super) needs: bool,
}

/// Every root of the language; those not in it are misspelt rather than misplaced.
pub(super) const ROOTS: [&str; 10] = [
    "inputs", "vars", "run", "steps", "needs", "matrix", "attempt", "step", "resource", "event",
];

impl<'a> Place<'a> {
    pub(super) fn vars() -> Place<'static> {
        Place {
            roots: &["inputs", "run"],
            item: &[],
            steps: None,
            needs: false,
        }
    }

    pub(super) fn run_outputs() -> Place<'static> {
        Place {
            roots: &["inputs", "vars", "run"],
            item: &[],
            steps: Some(Reader::Outputs),
            needs: false,
        }
    }

    /// `when`, `transform`, `wait`, and with an empty `item` also `items` and axes.
    pub(super) fn step(index: StepIndex, finally: bool, item: &'a [&'a str]) -> Place<'a> {
        Place {
            roots: &["inputs", "vars", "run"],
            item,
            steps: Some(Reader::Step(index)),
            needs: !finally,
        }
    }

    /// `with`, the one place where the attempt may count.
    pub(super) fn with(index: StepIndex, finally: bool, item: &'a [&'a str]) -> Place<'a> {
        Place {
            roots: &["inputs", "vars", "run", "attempt"],
            ..Place::step(index, finally, item)
        }
    }

    /// `retry.if`.
    pub(super) fn retry(item: &'a [&'a str]) -> Place<'a> {
        Place {
            roots: &["inputs", "vars", "run", "attempt"],
            item,
            steps: None,
            needs: false,
        }
    }

    /// `allow_failure`.
    pub(super) fn allow_failure(item: &'a [&'a str]) -> Place<'a> {
        Place {
            roots: &["inputs", "vars", "run", "step"],
            item,
            steps: None,
            needs: false,
        }
    }

    /// `needs.rule`, whose `needs` the rule itself resolves.
    pub(super) fn rule() -> Place<'static> {
        Place {
            roots: &["inputs", "vars", "run"],
            item: &[],
            steps: None,
            needs: true,
        }
    }

    pub(super) fn known(&self) -> Vec<&'a str> {
        let mut known: Vec<&str> = self.roots.to_vec();
        known.extend(self.steps.as_ref().map(|_| "steps"));
        known.extend(self.needs.then_some("needs"));
        known.extend(self.item);
        known
    }
}
