//! The value of a template in a scope.

use super::{Name, Node, Piece, Placed, Pointer};
use crate::expr::Scope;
use crate::expr::budget::Budget;
use crate::expr::error::{EvalError, Failure, shortened};
use crate::expr::limits::Limits;
use crate::value::Json;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Evaluates all expressions within one budget. `previous` is what the template gave before, of
/// which all is taken again that does not name `attempt`.
pub(super) fn evaluate(
    root: &Node,
    previous: Option<&Json>,
    scope: &dyn Scope,
) -> Result<Json, EvalError> {
    let asked = Asked {
        scope,
        roots: RefCell::default(),
        steps: RefCell::default(),
        needs: RefCell::default(),
    };
    let budget = Budget::new(Limits::DEFAULT);
    node(root, previous, &Pointer::Root, &asked, &budget)
}

/// `previous` is what this node gave before, where that may be taken again.
fn node(
    of: &Node,
    previous: Option<&Json>,
    pointer: &Pointer<'_>,
    scope: &dyn Scope,
    budget: &Budget,
) -> Result<Json, EvalError> {
    if let Some(previous) = previous
        && !names_attempt(of)
    {
        return Ok(previous.clone());
    }
    let at_place = |mut error: EvalError| {
        error.pointer = pointer.to_string();
        error
    };
    match of {
        Node::Constant(json) => Ok(json.clone()),
        Node::Whole(placed) => placed.expression.json(scope, budget).map_err(at_place),
        Node::Text(pieces) => text(pieces, scope, budget)
            .map(Json::String)
            .map_err(at_place),
        Node::Array(items) => {
            let before = previous.and_then(Json::as_array);
            let mut array = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                let before = before.and_then(|before| before.get(index));
                array.push(node(
                    item,
                    before,
                    &Pointer::Item(pointer, index),
                    scope,
                    budget,
                )?);
            }
            Ok(Json::Array(array))
        }
        Node::Object(entries) => {
            let before = previous.and_then(Json::as_object);
            let mut object = serde_json::Map::new();
            for (name, value) in entries {
                let (written, key) = match name {
                    Name::Constant(key) => (key, key.clone()),
                    Name::Made(written, pieces) => {
                        let at = Pointer::Key(pointer, written);
                        let key = text(pieces, scope, budget).map_err(|mut error| {
                            error.pointer = at.to_string();
                            error
                        })?;
                        (written, key)
                    }
                };
                let at = Pointer::Key(pointer, written);
                let before = before.and_then(|before| before.get(&key));
                let value = node(value, before, &at, scope, budget)?;
                if object.contains_key(&key) {
                    return Err(EvalError {
                        pointer: at.to_string(),
                        message: format!("the key `{key}` comes twice after evaluation"),
                        limit: false,
                    });
                }
                object.insert(key, value);
            }
            Ok(Json::Object(object))
        }
    }
}

fn text(pieces: &[Piece], scope: &dyn Scope, budget: &Budget) -> Result<String, EvalError> {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Literal(literal) => {
                budget.memory(literal.len())?;
                text.push_str(literal);
            }
            Piece::Expression(Placed { expression, .. }) => {
                let part = expression.with_value(scope, budget, |value| match value.scalar_text() {
                    Some(text) => {
                        budget.memory(text.len())?;
                        Ok(text)
                    }
                    None => Err(Failure::Error(format!(
                        "`${{{{ {} }}}}` gives {}; inside of a longer string only strings, numbers and booleans can stand",
                        shortened(&expression.source),
                        value.type_name()
                    ))),
                })?;
                text.push_str(&part);
            }
        }
    }
    Ok(text)
}

fn names_attempt(node: &Node) -> bool {
    match node {
        Node::Constant(_) => false,
        Node::Whole(placed) => placed.names_attempt(),
        Node::Text(pieces) => pieces_name_attempt(pieces),
        Node::Array(items) => items.iter().any(names_attempt),
        Node::Object(entries) => entries.iter().any(|(name, value)| {
            matches!(name, Name::Made(_, pieces) if pieces_name_attempt(pieces))
                || names_attempt(value)
        }),
    }
}

fn pieces_name_attempt(pieces: &[Piece]) -> bool {
    pieces
        .iter()
        .any(|piece| matches!(piece, Piece::Expression(placed) if placed.names_attempt()))
}

/// Asks a scope for each name only once.
struct Asked<'a> {
    scope: &'a dyn Scope,
    roots: RefCell<Answers>,
    steps: RefCell<Answers>,
    needs: RefCell<Answers>,
}

type Answers = BTreeMap<String, Option<Arc<Json>>>;

fn once(
    answers: &RefCell<Answers>,
    name: &str,
    ask: impl FnOnce() -> Option<Arc<Json>>,
) -> Option<Arc<Json>> {
    if let Some(known) = answers.borrow().get(name) {
        return known.clone();
    }
    let answer = ask();
    answers.borrow_mut().insert(name.to_owned(), answer.clone());
    answer
}

impl Scope for Asked<'_> {
    fn root(&self, name: &str) -> Option<Arc<Json>> {
        once(&self.roots, name, || self.scope.root(name))
    }

    fn step(&self, id: &str) -> Option<Arc<Json>> {
        once(&self.steps, id, || self.scope.step(id))
    }

    fn need(&self, id: &str) -> Option<Arc<Json>> {
        once(&self.needs, id, || self.scope.need(id))
    }

    fn lack(&self, root: &str) -> Option<Arc<str>> {
        self.scope.lack(root)
    }
}
