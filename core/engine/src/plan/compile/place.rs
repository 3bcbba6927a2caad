//! Where an expression stands, and so what it may name.

use crate::expr::References;
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
    /// The instance's parameters.
    pub(super) item: Option<&'a Item<'a>>,
    /// Whose ancestors `steps` reaches; `None` where `steps` is not known.
    pub(super) steps: Option<Reader>,
    /// Whether `needs` is known.
    pub(super) needs: bool,
    /// Whether the run's status may be known: its steps have ended.
    pub(super) status: bool,
}

/// The parameters of a fan-out's instances.
pub(super) struct Item<'a> {
    /// `matrix`, or the `foreach` name.
    pub(super) name: &'a str,
    /// The names in it, where the document has all of them.
    pub(super) members: Option<Vec<&'a str>>,
}

impl Item<'_> {
    /// Whether an expression names it, and so is about one instance.
    pub(super) fn is_named(&self, references: &References) -> bool {
        references.names(self.name)
    }
}

/// Every root of the language; those not in it are misspelt rather than misplaced.
pub(super) const ROOTS: [&str; 12] = [
    "inputs", "vars", "run", "steps", "needs", "matrix", "attempt", "step", "resource", "event",
    "new", "old",
];

impl<'a> Place<'a> {
    pub(super) fn vars() -> Place<'static> {
        Place {
            roots: &["inputs", "run", "resource", "event"],
            item: None,
            steps: None,
            needs: false,
            status: false,
        }
    }

    /// `when` and `inputs` of a trigger: there is no run yet.
    pub(super) fn trigger() -> Place<'static> {
        Place {
            roots: &["new", "old", "event"],
            item: None,
            steps: None,
            needs: false,
            status: false,
        }
    }

    pub(super) fn run_outputs() -> Place<'static> {
        Place {
            roots: &["inputs", "vars", "run", "resource", "event"],
            item: None,
            steps: Some(Reader::Outputs),
            needs: false,
            status: false,
        }
    }

    /// `when`, `transform`, `wait`, and without an `item` also `items` and axes.
    pub(super) fn step(index: StepIndex, finally: bool, item: Option<&'a Item<'a>>) -> Place<'a> {
        Place {
            roots: &["inputs", "vars", "run", "resource", "event"],
            item,
            steps: Some(Reader::Step(index)),
            needs: !finally,
            status: finally,
        }
    }

    /// `with`, the one place where the attempt may count.
    pub(super) fn with(index: StepIndex, finally: bool, item: Option<&'a Item<'a>>) -> Place<'a> {
        Place {
            roots: &["inputs", "vars", "run", "resource", "event", "attempt"],
            ..Place::step(index, finally, item)
        }
    }

    /// `retry.if`; that of `defaults` is for `finally` steps too.
    pub(super) fn retry(finally: bool, item: Option<&'a Item<'a>>) -> Place<'a> {
        Place {
            roots: &["inputs", "vars", "run", "resource", "event", "attempt"],
            item,
            steps: None,
            needs: false,
            status: finally,
        }
    }

    /// `allow_failure`.
    pub(super) fn allow_failure(finally: bool, item: Option<&'a Item<'a>>) -> Place<'a> {
        Place {
            roots: &["inputs", "vars", "run", "resource", "event", "step"],
            item,
            steps: None,
            needs: false,
            status: finally,
        }
    }

    /// `needs.rule`, whose `needs` the rule itself resolves.
    pub(super) fn rule() -> Place<'static> {
        Place {
            roots: &["inputs", "vars", "run", "resource", "event"],
            item: None,
            steps: None,
            needs: true,
            status: false,
        }
    }

    /// Whether a root other than `steps` and `needs` may be named here.
    pub(super) fn knows(&self, root: &str) -> bool {
        self.roots.contains(&root) || self.item.is_some_and(|item| item.name == root)
    }

    pub(super) fn known(&self) -> Vec<&'a str> {
        let mut known: Vec<&str> = self.roots.to_vec();
        known.extend(self.steps.as_ref().map(|_| "steps"));
        known.extend(self.needs.then_some("needs"));
        known.extend(self.item.map(|item| item.name));
        known
    }
}
