//! JSON values with `${{ cel }}` inside (SEMANTICS 24).

mod evaluate;
mod parse;
mod scan;

use super::Scope;
use super::condition::Expression;
use super::error::{EvalError, ExprError, TemplateError};
use super::infer;
use super::references::References;
use crate::value::Json;

/// One expression of a [`Template`], and where it stands.
#[derive(Debug)]
pub struct TemplateExpression<'t> {
    /// JSON pointer of its string inside the template, keys as they are written.
    pub pointer: String,
    /// Whether it stands in the key that the pointer ends in, not in the value.
    pub key: bool,
    /// Where its source starts in the string, in bytes.
    pub offset: usize,
    /// The text between `${{` and `}}`.
    pub source: &'t str,
    /// What it names; offsets there are from the start of `source`.
    pub references: &'t References,
}

/// A JSON value with `${{ cel }}` inside.
#[derive(Debug)]
pub struct Template {
    node: Node,
    references: References,
}

#[derive(Debug)]
enum Node {
    /// No expression at or below here.
    Constant(Json),
    /// A string that is one expression: keeps the type of its value.
    Whole(Box<Placed>),
    /// A string with expressions inside.
    Text(Vec<Piece>),
    Array(Vec<Node>),
    Object(Vec<(Name, Node)>),
}

#[derive(Debug)]
enum Piece {
    Literal(String),
    Expression(Placed),
}

/// An expression, and where its source starts in its string.
#[derive(Debug)]
struct Placed {
    expression: Expression,
    offset: usize,
}

impl Placed {
    fn shown(&self, pointer: &Pointer<'_>, key: bool) -> TemplateExpression<'_> {
        TemplateExpression {
            pointer: pointer.to_string(),
            key,
            offset: self.offset,
            source: &self.expression.source,
            references: &self.expression.references,
        }
    }

    fn names_attempt(&self) -> bool {
        self.expression.references.names("attempt")
    }
}

/// A key of an object.
#[derive(Debug)]
enum Name {
    Constant(String),
    /// The text as it was written, for pointers, and what it is made of.
    Made(String, Vec<Piece>),
}

impl Template {
    /// Reads all expressions in the strings and keys of `json`.
    ///
    /// # Errors
    /// At the first that is no expression, with its place.
    pub fn parse(json: &Json) -> Result<Template, TemplateError> {
        let (template, _) = Template::parse_all(json);
        template.map_err(|mut errors| errors.swap_remove(0))
    }

    /// [`Template::parse`], with everything that is wrong: at each text or key that has no
    /// expression where one is begun. And what the expressions name that are ones, be others
    /// wrong.
    pub fn parse_all(json: &Json) -> (Result<Template, Vec<TemplateError>>, References) {
        let mut read = parse::Read::default();
        let node = parse::parse(json, &Pointer::Root, &mut read);
        let references = read.references;
        let template = match read.errors.is_empty() {
            true => Ok(Template {
                node,
                references: references.clone(),
            }),
            false => Err(read.errors),
        };
        (template, references)
    }

    /// What all its expressions name. Offsets are within the expression that names first.
    #[must_use]
    pub fn references(&self) -> &References {
        &self.references
    }

    /// The value, where there is no expression in it; `$${{` is read already.
    #[must_use]
    pub fn constant(&self) -> Option<&Json> {
        match &self.node {
            Node::Constant(json) => Some(json),
            _ => None,
        }
    }

    /// The CEL type of the value, where it is a text with expressions that gives but one type.
    #[must_use]
    pub fn whole_type(&self, inputs: Option<&Json>) -> Option<&'static str> {
        match &self.node {
            Node::Whole(placed) => {
                let found = placed.expression.type_name(inputs);
                found.filter(|found| *found != infer::OUTPUTS)
            }
            Node::Text(_) => Some("string"),
            _ => None,
        }
    }

    /// What operators in it will say of their operands, where their types are known to differ.
    #[must_use]
    pub fn conflicts(&self, inputs: Option<&Json>) -> Vec<TemplateError> {
        let mut found = Vec::new();
        for_each_placed(&self.node, &Pointer::Root, &mut |placed, pointer, key| {
            let message = placed.expression.conflict(inputs);
            found.extend(message.map(|message| TemplateError {
                pointer: pointer.to_string(),
                key,
                offset: placed.offset,
                error: ExprError::new(0, message),
            }));
        });
        found
    }

    /// Whether an expression names `attempt`, so that each attempt evaluates it again.
    #[must_use]
    pub fn names_attempt(&self) -> bool {
        self.references.names("attempt")
    }

    /// Calls `visit` with each expression, in the order of the document's keys and items.
    pub fn for_each_expression(&self, visit: &mut dyn FnMut(&TemplateExpression<'_>)) {
        for_each_placed(&self.node, &Pointer::Root, &mut |placed, pointer, key| {
            visit(&placed.shown(pointer, key));
        });
    }

    /// Evaluates all expressions. One budget is for all of them.
    ///
    /// # Errors
    /// At the first that has no value, or none that can stand where it does.
    pub fn evaluate(&self, scope: &dyn Scope) -> Result<Json, EvalError> {
        self.run(None, scope)
    }

    /// [`Template::evaluate`], where an object is needed.
    ///
    /// # Errors
    /// As there, and for anything else.
    pub fn evaluate_object(&self, scope: &dyn Scope) -> Result<Json, EvalError> {
        self.evaluate(scope).and_then(object)
    }

    /// [`Template::evaluate`], where a list is needed.
    ///
    /// # Errors
    /// As there, and for anything else.
    pub fn evaluate_list(&self, scope: &dyn Scope) -> Result<Vec<Json>, EvalError> {
        match self.evaluate(scope)? {
            Json::Array(items) => Ok(items),
            other => Err(expected("a list", &other)),
        }
    }

    /// Evaluates again what names `attempt` and takes all else from `previous`, which this
    /// template gave before (PROTOCOL P4). Keys made by expressions are evaluated again to find
    /// their values.
    ///
    /// # Errors
    /// As [`Template::evaluate_object`].
    pub fn reevaluate(&self, previous: &Json, scope: &dyn Scope) -> Result<Json, EvalError> {
        self.run(Some(previous), scope).and_then(object)
    }

    fn run(&self, previous: Option<&Json>, scope: &dyn Scope) -> Result<Json, EvalError> {
        evaluate::evaluate(&self.node, previous, scope)
    }
}

fn object(json: Json) -> Result<Json, EvalError> {
    match json {
        Json::Object(_) => Ok(json),
        other => Err(expected("an object", &other)),
    }
}

/// That a value is of another type than its place takes.
pub(crate) fn expected(wanted: &str, found: &Json) -> EvalError {
    let found = match found {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    };
    EvalError::new("", format!("expected {wanted}, found {found}"))
}

/// Where in the template: written out only when something is wrong there.
enum Pointer<'p> {
    Root,
    Key(&'p Pointer<'p>, &'p str),
    Item(&'p Pointer<'p>, usize),
}

impl std::fmt::Display for Pointer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Pointer::Root => Ok(()),
            Pointer::Key(parent, key) => {
                write!(f, "{parent}/{}", key.replace('~', "~0").replace('/', "~1"))
            }
            Pointer::Item(parent, index) => write!(f, "{parent}/{index}"),
        }
    }
}

/// Calls `visit` with each expression, where it stands, and whether it stands in the key there.
fn for_each_placed<'n>(
    node: &'n Node,
    pointer: &Pointer<'_>,
    visit: &mut dyn FnMut(&'n Placed, &Pointer<'_>, bool),
) {
    match node {
        Node::Constant(_) => {}
        Node::Whole(placed) => visit(placed, pointer, false),
        Node::Text(pieces) => for_each_piece(pieces, pointer, false, visit),
        Node::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                for_each_placed(item, &Pointer::Item(pointer, index), visit);
            }
        }
        Node::Object(entries) => {
            for (name, value) in entries {
                let pointer = match name {
                    Name::Constant(key) => Pointer::Key(pointer, key),
                    Name::Made(key, pieces) => {
                        let pointer = Pointer::Key(pointer, key);
                        for_each_piece(pieces, &pointer, true, visit);
                        pointer
                    }
                };
                for_each_placed(value, &pointer, visit);
            }
        }
    }
}

fn for_each_piece<'n>(
    pieces: &'n [Piece],
    pointer: &Pointer<'_>,
    key: bool,
    visit: &mut dyn FnMut(&'n Placed, &Pointer<'_>, bool),
) {
    for piece in pieces {
        if let Piece::Expression(placed) = piece {
            visit(placed, pointer, key);
        }
    }
}

/// The expressions of a text, as far as it can be read, and where each starts in it.
pub(crate) fn expressions(text: &str) -> Vec<(usize, &str)> {
    let parts = scan::scan(text).unwrap_or_default();
    let expressions = parts.into_iter().filter_map(|part| match part {
        scan::Part::Expression { source, offset } => Some((offset, source)),
        scan::Part::Literal(_) => None,
    });
    expressions.collect()
}
