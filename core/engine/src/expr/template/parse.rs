//! From JSON to a tree of expressions and constants.

use super::scan::{self, Part};
use super::{Name, Node, Piece, Placed, Pointer};
use crate::expr::condition::Expression;
use crate::expr::error::{ExprError, TemplateError};
use crate::expr::lower::Dialect;
use crate::expr::references::References;
use crate::value::Json;

/// What was read of a template besides its tree.
#[derive(Default)]
pub(super) struct Read {
    pub(super) references: References,
    /// Where there are any, the tree is not the template's.
    pub(super) errors: Vec<TemplateError>,
}

pub(super) fn parse(json: &Json, pointer: &Pointer<'_>, read: &mut Read) -> Node {
    match json {
        Json::String(text) => {
            let mut pieces = pieces(text, pointer, false, read);
            match pieces.as_slice() {
                [] | [Piece::Literal(_)] => Node::Constant(Json::String(literal(pieces))),
                [Piece::Expression(_)] => match pieces.pop() {
                    Some(Piece::Expression(placed)) => Node::Whole(Box::new(placed)),
                    _ => Node::Text(pieces),
                },
                _ => Node::Text(pieces),
            }
        }
        Json::Array(items) => {
            let mut nodes = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                nodes.push(parse(item, &Pointer::Item(pointer, index), read));
            }
            if nodes.iter().all(|node| matches!(node, Node::Constant(_))) {
                return Node::Constant(Json::Array(
                    nodes.into_iter().filter_map(Node::into_constant).collect(),
                ));
            }
            Node::Array(nodes)
        }
        Json::Object(map) => {
            let mut entries = Vec::with_capacity(map.len());
            for (key, value) in map {
                let pointer = Pointer::Key(pointer, key);
                let made = pieces(key, &pointer, true, read);
                let name = match made.as_slice() {
                    [] | [Piece::Literal(_)] => Name::Constant(literal(made)),
                    _ => Name::Made(key.clone(), made),
                };
                entries.push((name, parse(value, &pointer, read)));
            }
            let constant = entries
                .iter()
                .all(|(name, node)| matches!((name, node), (Name::Constant(_), Node::Constant(_))));
            if !constant {
                return Node::Object(entries);
            }
            let mut object = serde_json::Map::new();
            for (name, node) in entries {
                if let (Name::Constant(key), Node::Constant(value)) = (name, node)
                    && let Some(_double) = object.insert(key.clone(), value)
                {
                    // `$${{` and `${{` escaped: two keys that read differently and are the same.
                    read.errors.push(TemplateError {
                        pointer: pointer.to_string(),
                        key: true,
                        offset: 0,
                        error: ExprError::new(0, format!("the key `{key}` comes twice")),
                    });
                }
            }
            Node::Constant(Json::Object(object))
        }
        constant => Node::Constant(constant.clone()),
    }
}

impl Node {
    fn into_constant(self) -> Option<Json> {
        match self {
            Node::Constant(json) => Some(json),
            _ => None,
        }
    }
}

fn literal(pieces: Vec<Piece>) -> String {
    match pieces.into_iter().next() {
        Some(Piece::Literal(text)) => text,
        _ => String::new(),
    }
}

fn pieces(text: &str, pointer: &Pointer<'_>, key: bool, read: &mut Read) -> Vec<Piece> {
    let mut fail = |offset: usize, error: ExprError| {
        read.errors.push(TemplateError {
            pointer: pointer.to_string(),
            key,
            offset,
            error,
        });
    };
    let parts = match scan::scan(text) {
        Ok(parts) => parts,
        Err((at, message)) => {
            fail(at, ExprError::new(0, message));
            return Vec::new();
        }
    };
    let mut pieces = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Part::Literal(text) => pieces.push(Piece::Literal(text)),
            Part::Expression { source, offset } => {
                match Expression::parse(source, Dialect::Plain) {
                    Ok(expression) => {
                        read.references.merge(&expression.references);
                        pieces.push(Piece::Expression(Placed { expression, offset }));
                    }
                    Err(error) => fail(offset, error),
                }
            }
        }
    }
    pieces
}
