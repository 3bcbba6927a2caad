//! From a document's tree to a plan: every field is checked, everything wrong is reported.

mod draft;
mod driver;
mod expression;
mod fan;
mod fields;
mod graph;
mod kind;
mod locate;
mod member;
mod needs;
mod place;
mod policy;
mod reference;
mod secrets;
mod spec;
mod step;
mod trigger;
mod version;

pub use version::{version_order, version_satisfies};

use super::drivers::Drivers;
use super::schema::Schemas;
use super::types::{Plan, SecretSource, StepIndex};
use crate::source::{Limits, Node, Report};
use crate::value::{Hash, Json};
use member::SpecMembers;
use reference::Reference;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Compiles a normalised document. `None`, with errors in `report`, where it is refused.
pub(crate) fn compile(
    root: &Node,
    digest: Hash,
    limits: &Limits,
    drivers: &Drivers,
    report: &mut Report<'_>,
) -> Option<Plan> {
    let mut compiler = Compiler {
        report,
        limits,
        drivers,
        index: BTreeMap::new(),
        main: 0,
        references: Vec::new(),
        schemas: Schemas::default(),
        inputs: None,
        secrets: BTreeMap::new(),
        members: SpecMembers::default(),
    };
    compiler.document(root, digest)
}

struct Compiler<'c, 't, 'n> {
    report: &'c mut Report<'t>,
    limits: &'c Limits,
    /// What is known of drivers here.
    drivers: &'n Drivers,
    /// Ids to indexes, known before any step is compiled.
    index: BTreeMap<Arc<str>, StepIndex>,
    /// How many steps are not `finally`.
    main: StepIndex,
    /// What expressions read of steps: checked when the graph is known.
    references: Vec<Reference<'n>>,
    schemas: Schemas,
    /// The schema of the run's inputs, for the types of expressions.
    inputs: Option<Arc<Json>>,
    /// `spec.secrets`, known before any step is compiled.
    secrets: BTreeMap<Arc<str>, SecretSource>,
    /// What `inputs` and `vars` have.
    members: SpecMembers<'n>,
}
