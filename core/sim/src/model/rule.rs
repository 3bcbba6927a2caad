use conveyor_engine::run::StepState;
use std::collections::BTreeSet;

/// `needs.rule`: a boolean over predicates of other steps (SEMANTICS 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The step's own predicate.
    Is(usize, Predicate),
    /// `any_P`, of a fan-out.
    Any(usize, Predicate),
    /// `all_P`, of a fan-out.
    Every(usize, Predicate),
    /// `!r`.
    Not(Box<Rule>),
    /// `a && b`.
    And(Box<Rule>, Box<Rule>),
    /// `a || b`.
    Or(Box<Rule>, Box<Rule>),
}

/// What a rule may ask of a step or an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Predicate {
    /// It ended in this state.
    In(StepState),
    /// Its failure was allowed.
    Allowed,
    /// It succeeded, was skipped, or failed and was allowed to.
    Ok,
    /// It ended.
    Ended,
}

/// An ended step or instance, as a rule sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) state: StepState,
    pub(super) allowed: bool,
}

impl Ended {
    /// *Ok* of the preamble of SEMANTICS. (Of a fan-out SEMANTICS 13 makes it the same.)
    pub(super) fn ok(self) -> bool {
        self.allowed || matches!(self.state, StepState::Succeeded | StepState::Skipped)
    }
}

impl Predicate {
    pub(super) fn holds(self, of: Ended) -> bool {
        match self {
            Predicate::In(state) => of.state == state,
            Predicate::Allowed => of.allowed,
            Predicate::Ok => of.ok(),
            Predicate::Ended => true,
        }
    }

    /// The word in a document.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Predicate::In(state) => state.as_str(),
            Predicate::Allowed => "allowed",
            Predicate::Ok => "ok",
            Predicate::Ended => "ended",
        }
    }
}

impl Rule {
    /// The steps that it names.
    pub fn parents(&self, into: &mut BTreeSet<usize>) {
        match self {
            Rule::Is(at, _) | Rule::Any(at, _) | Rule::Every(at, _) => {
                into.insert(*at);
            }
            Rule::Not(inner) => inner.parents(into),
            Rule::And(left, right) | Rule::Or(left, right) => {
                left.parents(into);
                right.parents(into);
            }
        }
    }

    /// Whether a document may say it: `any_` and `all_` are for fan-outs alone.
    #[must_use]
    pub fn fits(&self, is_fan: &dyn Fn(usize) -> bool) -> bool {
        match self {
            Rule::Is(..) => true,
            Rule::Any(at, _) | Rule::Every(at, _) => is_fan(*at),
            Rule::Not(inner) => inner.fits(is_fan),
            Rule::And(left, right) | Rule::Or(left, right) => {
                left.fits(is_fan) && right.fits(is_fan)
            }
        }
    }

    /// What it comes to. `look` gives an ended step and its instances.
    pub(super) fn holds(&self, look: &dyn Fn(usize) -> (Ended, Vec<Ended>)) -> bool {
        match self {
            Rule::Is(at, predicate) => predicate.holds(look(*at).0),
            // Without instances `any_P` is false and `all_P` is the step's own P.
            Rule::Any(at, predicate) => look(*at).1.into_iter().any(|i| predicate.holds(i)),
            Rule::Every(at, predicate) => {
                let (step, instances) = look(*at);
                if instances.is_empty() {
                    predicate.holds(step)
                } else {
                    instances.into_iter().all(|i| predicate.holds(i))
                }
            }
            Rule::Not(inner) => !inner.holds(look),
            Rule::And(left, right) => left.holds(look) && right.holds(look),
            Rule::Or(left, right) => left.holds(look) || right.holds(look),
        }
    }

    /// The rule as CEL.
    #[must_use]
    pub fn cel(&self, id: &dyn Fn(usize) -> String) -> String {
        match self {
            Rule::Is(at, predicate) => format!("needs.{}.{}", id(*at), predicate.word()),
            Rule::Any(at, predicate) => format!("needs.{}.any_{}", id(*at), predicate.word()),
            Rule::Every(at, predicate) => format!("needs.{}.all_{}", id(*at), predicate.word()),
            Rule::Not(inner) => format!("!({})", inner.cel(id)),
            Rule::And(left, right) => format!("({} && {})", left.cel(id), right.cel(id)),
            Rule::Or(left, right) => format!("({} || {})", left.cel(id), right.cel(id)),
        }
    }
}
