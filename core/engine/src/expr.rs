//! CEL expressions: bounds before parsing, references, evaluation, and `${{ }}` templates.
//!
//! The crate `cel` parses; this module evaluates. It does so itself because a run's journal must
//! fold alike everywhere: maps are walked in key order, work and memory are counted rather than
//! timed, numbers keep SEMANTICS 25, and what JSON is not read is not copied.
//!
//! | type | where it stands |
//! | --- | --- |
//! | [`Condition`] | `when`, `retry.if`, `allow_failure` |
//! | [`Rule`] | `needs: {rule: …}` |
//! | [`Template`] | any value with `${{ }}` inside |
//!
//! ```
//! use conveyor_engine::expr::{Scope, Template};
//! use conveyor_engine::value::Json;
//! use std::sync::Arc;
//!
//! struct Inputs;
//!
//! impl Scope for Inputs {
//!     fn root(&self, name: &str) -> Option<Arc<Json>> {
//!         (name == "inputs").then(|| Arc::new(serde_json::json!({"ref": "main", "count": 3})))
//!     }
//!     fn step(&self, _: &str) -> Option<Arc<Json>> {
//!         None
//!     }
//!     fn need(&self, _: &str) -> Option<Arc<Json>> {
//!         None
//!     }
//! }
//!
//! let template = Template::parse(&serde_json::json!({
//!     "count": "${{ inputs.count + 1 }}",
//!     "tag": "app:${{ inputs.ref }}",
//! }))?;
//! assert_eq!(template.evaluate(&Inputs)?, serde_json::json!({"count": 4, "tag": "app:main"}));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ast;
mod budget;
mod condition;
mod error;
mod eval;
mod functions;
mod infer;
mod limits;
mod lower;
mod references;
mod template;
mod tokens;
mod value;

#[cfg(test)]
mod tests;

pub use condition::{Condition, Rule};
pub use error::{EvalError, ExprError, TemplateError};
pub use limits::Limits;
pub use lower::{PREDICATES, ROOTS};
pub use references::{MemberUse, References, StepReference, StepUse};
pub use template::{Template, TemplateExpression};

pub(crate) use template::{expected, expressions};
pub(crate) use tokens::{find_member, find_name, find_step};

use crate::value::Json;

/// Where an expression's roots come from. Asked only for what the expression names, and only once.
pub trait Scope {
    /// A root other than `steps` and `needs`: `inputs`, `vars`, `run`, `matrix`, `attempt`, `step`,
    /// or the `foreach` name. `None` where it does not exist here.
    fn root(&self, name: &str) -> Option<std::sync::Arc<Json>>;

    /// `steps.<id>`: an object of `state`, `outputs`, `attempts` and, where it has one, `failure`.
    fn step(&self, id: &str) -> Option<std::sync::Arc<Json>>;

    /// `needs.<id>`: an object of predicates to booleans.
    fn need(&self, id: &str) -> Option<std::sync::Arc<Json>>;

    /// Why a root lacks what it should have, for what is said of a member that is absent.
    fn lack(&self, _root: &str) -> Option<std::sync::Arc<str>> {
        None
    }
}
