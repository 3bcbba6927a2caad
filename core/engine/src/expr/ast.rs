use super::functions::Function;
use super::value::Value;
use std::sync::Arc;

/// An expression as it is evaluated: names are resolved, macros are loops, functions are found.
#[derive(Debug)]
pub(crate) enum Node {
    Constant(Value<'static>),
    /// A root, by its place in [`References`](super::References).
    Root(usize),
    /// `steps.x` or `needs.x`.
    Member {
        of: Collection,
        index: usize,
        mode: Mode,
    },
    /// The variable of a loop around this node, by how many loops' variables are outside of it.
    Local {
        slot: usize,
        name: Arc<str>,
    },
    Select {
        operand: Box<Node>,
        field: Arc<str>,
        mode: Mode,
    },
    Index {
        operand: Box<Node>,
        index: Box<Node>,
        optional: bool,
    },
    /// Items; the flag marks `?item`, left out where the optional has no value.
    List(Vec<(Node, bool)>),
    Map(Vec<(Node, Node, bool)>),
    And(Box<[Node; 2]>),
    Or(Box<[Node; 2]>),
    If(Box<[Node; 3]>),
    Call {
        function: &'static Function,
        arguments: Vec<Node>,
    },
    Loop(Box<Loop>),
}

/// How a member is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// `a.b`: absence is an error.
    Plain,
    /// `a.?b`: an optional.
    Optional,
    /// `has(a.b)`.
    Test,
}

/// The two roots whose members are bound one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Collection {
    Steps,
    Needs,
}

impl Collection {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Collection::Steps => "steps",
            Collection::Needs => "needs",
        }
    }
}

/// What a macro ranges over and what it does with each item.
#[derive(Debug)]
pub(crate) struct Loop {
    pub(crate) kind: LoopKind,
    pub(crate) range: Node,
    /// One variable is bound to the item of a list or the key of a map; two to index and item,
    /// or key and value.
    pub(crate) variables: usize,
    /// `None` where there is no condition beside the body.
    pub(crate) filter: Option<Node>,
    pub(crate) body: Node,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoopKind {
    All,
    Exists,
    ExistsOne,
    /// `map`, `filter` (whose body is the variable) and `transformList`.
    List,
    /// `transformMap`.
    Map,
    /// `sortBy`.
    Sort,
    /// `optMap` and, where the body gives an optional itself, `optFlatMap`.
    Optional {
        flat: bool,
    },
}

impl LoopKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            LoopKind::All => "all",
            LoopKind::Exists => "exists",
            LoopKind::ExistsOne => "exists_one",
            LoopKind::List => "map",
            LoopKind::Map => "transformMap",
            LoopKind::Sort => "sortBy",
            LoopKind::Optional { .. } => "optMap",
        }
    }
}

impl Node {
    /// Calls `visit` with each node directly below.
    pub(crate) fn for_each_child<'n>(&'n self, visit: &mut dyn FnMut(&'n Node)) {
        match self {
            Node::Constant(_) | Node::Root(_) | Node::Member { .. } | Node::Local { .. } => {}
            Node::Select { operand, .. } => visit(operand),
            Node::Index { operand, index, .. } => {
                visit(operand);
                visit(index);
            }
            Node::List(items) => items.iter().for_each(|(item, _)| visit(item)),
            Node::Map(entries) => {
                for (key, value, _) in entries {
                    visit(key);
                    visit(value);
                }
            }
            Node::And(sides) | Node::Or(sides) => sides.iter().for_each(visit),
            Node::If(parts) => parts.iter().for_each(visit),
            Node::Call { arguments, .. } => arguments.iter().for_each(visit),
            Node::Loop(each) => {
                visit(&each.range);
                each.filter.iter().for_each(&mut *visit);
                visit(&each.body);
            }
        }
    }

    /// The path that a node spells, for messages: `steps.a.outputs.x`; `None` where it is none.
    pub(crate) fn path(&self, references: &super::References) -> Option<String> {
        Some(match self {
            Node::Root(index) => references.roots[*index].to_string(),
            Node::Local { name, .. } => name.to_string(),
            Node::Member { of, index, .. } => {
                let name = match of {
                    Collection::Steps => &references.steps[*index].id,
                    Collection::Needs => &references.needs[*index],
                };
                member_text(of.name(), name)
            }
            Node::Select { operand, field, .. } => member_text(&operand.path(references)?, field),
            Node::Index { operand, index, .. } => {
                let operand = operand.path(references)?;
                match &**index {
                    Node::Constant(Value::Text(text)) => member_text(&operand, text.as_str()),
                    Node::Constant(Value::Int(int)) => format!("{operand}[{int}]"),
                    _ => format!("{operand}[…]"),
                }
            }
            _ => return None,
        })
    }
}

/// `operand.name`, or `operand['na-me']` where the name is no identifier.
fn member_text(operand: &str, name: &str) -> String {
    if is_identifier(name) {
        format!("{operand}.{name}")
    } else {
        format!("{operand}['{name}']")
    }
}

pub(crate) fn is_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
