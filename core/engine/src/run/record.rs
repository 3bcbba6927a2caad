use super::{Fact, Items};
use crate::expr::EvalError;
use crate::plan::{Kind, Plan, StepIndex, Wait};
use crate::time::Time;
use crate::value::Value;
use std::sync::Arc;

/// One record of a run's journal: the facts of one commit, what was evaluated for them, and a digest
/// of what they decided (PROTOCOL P4).
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its place in the journal, from 1, without gaps.
    pub sequence: u64,
    /// The facts in order.
    pub entries: Vec<Entry>,
    /// xxh3 of the decisions, in order.
    pub digest: u64,
}

/// One fact of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// When it happened. Never earlier than the entry before.
    pub time: Time,
    /// What happened.
    pub fact: Fact,
    /// How many units of bounded work were done at once after it.
    pub units: u32,
    /// What was evaluated, in the order it was asked for.
    pub evaluations: Vec<Evaluation>,
}

/// The outcome of one evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// What for.
    pub site: Site,
    /// The step, 0 for the run's own.
    pub step: StepIndex,
    /// The instance, 0 where it is the step's.
    pub instance: u32,
    /// What came out.
    pub outcome: Result<Evaluated, Arc<str>>,
}

/// What an evaluation gave.
#[derive(Clone, Debug, PartialEq)]
pub enum Evaluated {
    /// Of a condition.
    Bool(bool),
    /// Of a template.
    Value(Value),
    /// Of a matrix or `items`: the instances' parameters in order.
    Items(Arc<Items>),
}

/// A place of a document that is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Site {
    /// `needs.rule`.
    Rule,
    /// `when`.
    When,
    /// `matrix` or `foreach.items`.
    Items,
    /// `with`.
    With,
    /// The parts of `with` that name `attempt`, for a further attempt.
    Rewith,
    /// `transform`.
    Transform,
    /// `wait`.
    Wait,
    /// `retry.if`.
    RetryIf,
    /// `allow_failure`.
    AllowFailure,
    /// Outputs against the step's declaration.
    OutputCheck,
    /// `vars` of the run.
    Vars,
    /// `outputs` of the run.
    RunOutputs,
}

impl Site {
    /// What people read of an evaluation that failed: the place in the document, then what is wrong
    /// with which types (SEMANTICS 7). All that the engine says of expressions comes from here.
    pub(crate) fn complaint(self, plan: &Plan, step: StepIndex, error: &EvalError) -> Arc<str> {
        let (pointer, inner, message) = (self.pointer(plan, step), &error.pointer, &error.message);
        cut(&format!("{pointer}{inner}: {message}")).into()
    }

    /// JSON pointer of the place in the document. A fan-out's parts have their own below it.
    fn pointer(self, plan: &Plan, step: StepIndex) -> String {
        let field = match self {
            Site::Vars => return "/spec/vars".to_owned(),
            Site::RunOutputs => return "/spec/outputs".to_owned(),
            Site::Rule => "/needs/rule",
            Site::When => "/when",
            Site::Items => "",
            Site::With | Site::Rewith => "/with",
            Site::Transform => "/transform",
            Site::Wait => match plan.steps[step as usize].kind {
                Kind::Wait(Wait::Until(_)) => "/wait/until",
                _ => "/wait/duration",
            },
            Site::RetryIf => "/retry/if",
            Site::AllowFailure => "/allow_failure",
            Site::OutputCheck => "/outputs",
        };
        format!("{}{field}", plan.steps[step as usize].pointer)
    }
}

/// The longest sentence about an evaluation that failed.
pub(crate) const MESSAGE_BYTES: usize = 4 << 10;

/// A sentence that is not too long to be kept.
pub(crate) fn cut(message: &str) -> String {
    if message.len() <= MESSAGE_BYTES {
        return message.to_owned();
    }
    let end = message.floor_char_boundary(MESSAGE_BYTES);
    format!("{} … (cut at {MESSAGE_BYTES} bytes)", &message[..end])
}
