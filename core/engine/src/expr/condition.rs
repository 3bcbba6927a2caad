use super::Scope;
use super::ast::Node;
use super::budget::Budget;
use super::error::{EvalError, ExprError, Failure};
use super::eval::{Bound, Evaluator};
use super::limits::Limits;
use super::lower::{self, Dialect};
use super::references::References;
use super::value::Value;
use crate::value::Json;
use std::sync::Arc;

/// An expression that was parsed, with what it names.
#[derive(Debug)]
pub(super) struct Expression {
    pub(super) source: Arc<str>,
    pub(super) node: Node,
    pub(super) references: References,
}

impl Expression {
    pub(super) fn parse(source: &str, dialect: Dialect<'_>) -> Result<Expression, ExprError> {
        let (node, references) = lower::parse(source, dialect, &Limits::DEFAULT)?;
        Ok(Expression {
            source: source.into(),
            node,
            references,
        })
    }

    pub(super) fn with_value<T>(
        &self,
        scope: &dyn Scope,
        budget: &Budget,
        make: impl FnOnce(Value<'_>) -> Result<T, Failure>,
    ) -> Result<T, EvalError> {
        let bound = Bound::new(&self.references, scope);
        let mut evaluator = Evaluator {
            bound: &bound,
            references: &self.references,
            budget,
            locals: Vec::new(),
        };
        evaluator
            .evaluate(&self.node)
            .and_then(make)
            .map_err(EvalError::from)
    }

    pub(super) fn json(&self, scope: &dyn Scope, budget: &Budget) -> Result<Json, EvalError> {
        self.with_value(scope, budget, |value| {
            value.to_json(budget, budget.limits().result_depth)
        })
    }

    /// The type of whatever the expression gives, where there is but one.
    pub(super) fn type_name(&self, inputs: Option<&Json>) -> Option<&'static str> {
        super::infer::type_of(&self.node, &self.references, inputs)
    }

    /// See [`super::infer::conflict`].
    pub(super) fn conflict(&self, inputs: Option<&Json>) -> Option<String> {
        super::infer::conflict(&self.node, &self.references, inputs)
    }

    fn boolean(&self, scope: &dyn Scope) -> Result<bool, EvalError> {
        let budget = Budget::new(Limits::DEFAULT);
        self.with_value(scope, &budget, |value| match value {
            Value::Bool(bool) => Ok(bool),
            other => Err(Failure::Error(format!(
                "`{}` gives {}, not bool",
                super::error::shortened(&self.source),
                other.type_name()
            ))),
        })
    }
}

/// A bare CEL expression that gives a boolean: `when`, `retry.if`, `allow_failure`.
#[derive(Debug)]
pub struct Condition(Expression);

impl Condition {
    /// Reads an expression.
    ///
    /// # Errors
    /// When it is no CEL, exceeds [`Limits`], calls what does not exist or reads `steps` by a name
    /// that is no constant. Whether the roots that it names exist is for the caller to check, by
    /// [`Condition::references`].
    pub fn parse(source: &str) -> Result<Condition, ExprError> {
        Expression::parse(source, Dialect::Plain).map(Condition)
    }

    /// The text that was parsed.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// What the expression names.
    #[must_use]
    pub fn references(&self) -> &References {
        &self.0.references
    }

    /// The type that the expression gives where every value that it can have is no boolean, by its
    /// literals, operators, functions and the schema of the inputs.
    #[must_use]
    pub fn not_boolean(&self, inputs: Option<&Json>) -> Option<&'static str> {
        self.0.type_name(inputs).filter(|found| *found != "bool")
    }

    /// What an operator in it will say of its operands, where their types are known to differ.
    #[must_use]
    pub fn conflict(&self, inputs: Option<&Json>) -> Option<String> {
        self.0.conflict(inputs)
    }

    /// Evaluates the expression. The same scope gives the same answer, always.
    ///
    /// # Errors
    /// When the expression has no value, one that is not a boolean, or exceeds [`Limits`].
    pub fn evaluate(&self, scope: &dyn Scope) -> Result<bool, EvalError> {
        self.0.boolean(scope)
    }
}

/// A boolean over the states of other steps: `needs: {rule: …}` (SEMANTICS 3).
#[derive(Debug)]
pub struct Rule(Expression);

impl Rule {
    /// Reads a rule. A free name that `is_step` and is no root is short for `needs.NAME`.
    ///
    /// # Errors
    /// As [`Condition::parse`]; and when it names a predicate that does not exist, or a bare name
    /// that is neither a step nor a root ([`ExprError::unknown`] then has it). Whether `needs.X`
    /// is a step is for the caller to check, by [`Rule::parents`].
    pub fn parse(source: &str, is_step: &dyn Fn(&str) -> bool) -> Result<Rule, ExprError> {
        Expression::parse(source, Dialect::Rule(is_step)).map(Rule)
    }

    /// The text that was parsed.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// What the rule names; its parents are [`References::needs`] too.
    #[must_use]
    pub fn references(&self) -> &References {
        &self.0.references
    }

    /// The steps that the rule names, in order of first mention without doubles.
    #[must_use]
    pub fn parents(&self) -> &[Arc<str>] {
        self.0.references.needs()
    }

    /// The type that the expression gives where every value that it can have is no boolean, by its
    /// literals, operators, functions and the schema of the inputs.
    #[must_use]
    pub fn not_boolean(&self, inputs: Option<&Json>) -> Option<&'static str> {
        self.0.type_name(inputs).filter(|found| *found != "bool")
    }

    /// What an operator in it will say of its operands, where their types are known to differ.
    #[must_use]
    pub fn conflict(&self, inputs: Option<&Json>) -> Option<String> {
        self.0.conflict(inputs)
    }

    /// Evaluates the rule; asks [`Scope::need`] for each parent.
    ///
    /// # Errors
    /// As [`Condition::evaluate`].
    pub fn evaluate(&self, scope: &dyn Scope) -> Result<bool, EvalError> {
        self.0.boolean(scope)
    }
}
