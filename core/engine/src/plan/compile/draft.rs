//! A step while it is compiled.

use crate::plan::types::{Step, StepIndex};
use crate::source::Node;

/// A step on its way into the plan.
pub(super) struct Draft<'n> {
    pub(super) node: &'n Node,
    pub(super) finally: bool,
    /// Its place in its list.
    pub(super) place: usize,
    pub(super) index: StepIndex,
    /// Whether it writes `needs`, be it empty.
    pub(super) has_needs: bool,
    pub(super) parents: Vec<StepIndex>,
    /// Whether those are all of them: `needs` has no error.
    pub(super) parents_known: bool,
    pub(super) fan: bool,
    pub(super) given: Given<'n>,
    /// `None` where something in it is wrong.
    pub(super) step: Option<Step>,
}

/// What is known of a step's outputs.
pub(super) enum Given<'n> {
    /// These and no others.
    Only(Vec<&'n str>),
    /// These are declared; there may be others.
    Declared(Vec<&'n str>),
    /// Nothing.
    Unknown,
}

impl<'n> Draft<'n> {
    pub(super) fn id(&self) -> &'n str {
        self.node.get("id").and_then(Node::as_str).unwrap_or("?")
    }
}
