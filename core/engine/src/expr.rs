//! CEL expressions: bounds before parsing, references, evaluation, and `${{ }}` templates.

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
}

/// A bare CEL expression that gives a boolean.
#[derive(Debug)]
pub struct Condition;

/// A boolean over the states of other steps.
#[derive(Debug)]
pub struct Rule;

/// A JSON value with `${{ cel }}` inside.
#[derive(Debug)]
pub struct Template;
#[derive(Debug, Default)]
pub struct References;
impl References {
    pub fn steps(&self) -> impl Iterator<Item = &str> {
        std::iter::empty()
    }
}
#[derive(Debug)]
pub struct EvalError;
impl std::fmt::Display for EvalError {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}
impl Condition {
    pub fn evaluate(&self, _: &dyn Scope) -> Result<bool, EvalError> {
        Err(EvalError)
    }
    pub fn references(&self) -> &References {
        &References
    }
}
impl Rule {
    pub fn evaluate(&self, _: &dyn Scope) -> Result<bool, EvalError> {
        Err(EvalError)
    }
}
impl Template {
    pub fn evaluate(&self, _: &dyn Scope) -> Result<Json, EvalError> {
        Err(EvalError)
    }
    pub fn references(&self) -> &References {
        &References
    }
    pub fn constant(&self) -> Option<&Json> {
        None
    }
    pub fn names_attempt(&self) -> bool {
        false
    }
    pub fn reevaluate(&self, _: &Json, _: &dyn Scope) -> Result<Json, EvalError> {
        Err(EvalError)
    }
}
