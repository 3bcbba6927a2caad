use std::fmt;
use std::sync::Arc;

/// Why a text is not an expression, or not one that may stand where it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExprError {
    /// Where in the expression's source, in bytes from its start.
    pub offset: usize,
    /// What is wrong, in one line.
    pub message: String,
    /// The name that nothing goes by, where that is what is wrong: whoever knows all names can
    /// add the nearest one.
    pub unknown: Option<Arc<str>>,
}

impl ExprError {
    pub(crate) fn new(offset: usize, message: impl Into<String>) -> ExprError {
        ExprError {
            offset,
            message: message.into(),
            unknown: None,
        }
    }
}

impl fmt::Display for ExprError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ExprError {}

/// Why a JSON value is not a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// JSON pointer of the string inside the template; empty for the template itself.
    pub pointer: String,
    /// Whether the string is the key that the pointer ends in, not its value.
    pub key: bool,
    /// Where the expression's source starts in the string, in bytes; add `error.offset`.
    pub offset: usize,
    /// What is wrong with the expression there.
    pub error: ExprError,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer, self.error)
    }
}

impl std::error::Error for TemplateError {}

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvalError {
    /// JSON pointer inside the template; empty for a condition, a rule or the template itself.
    pub pointer: String,
    /// What is wrong, with the place in the expression and the values' types.
    pub message: String,
    /// Whether a bound of [`Limits`](super::Limits) was exceeded.
    pub limit: bool,
}

impl EvalError {
    /// One that is not about an expression's own values: a list that is none, a value that is too
    /// long.
    pub(crate) fn new(pointer: impl Into<String>, message: impl Into<String>) -> EvalError {
        EvalError {
            pointer: pointer.into(),
            message: message.into(),
            limit: false,
        }
    }

    /// The same, seen from a template that has this one at `pointer`.
    pub(crate) fn under(mut self, pointer: &str) -> EvalError {
        self.pointer.insert_str(0, pointer);
        self
    }
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pointer.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.pointer, self.message)
        }
    }
}

impl std::error::Error for EvalError {}

/// What goes wrong inside an evaluation.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// CEL's errors: `||`, `&&`, `all` and `exists` may do without the part that failed.
    Error(String),
    /// No overload for these types; the caller knows names and types and makes it an `Error`.
    Types,
    /// A bound was exceeded: nothing swallows it.
    Limit(String),
}

pub(crate) fn error<T>(message: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Error(message.into()))
}

impl From<Failure> for EvalError {
    fn from(failure: Failure) -> EvalError {
        let (message, limit) = match failure {
            Failure::Error(message) => (message, false),
            Failure::Limit(message) => (message, true),
            Failure::Types => ("the types do not fit".to_owned(), false),
        };
        EvalError {
            pointer: String::new(),
            message,
            limit,
        }
    }
}

/// A source in a message.
pub(super) fn shortened(source: &str) -> String {
    let source = source.trim();
    if source.chars().count() <= 60 {
        return source.to_owned();
    }
    source.chars().take(59).chain(['…']).collect()
}
