//! From the crate's syntax tree to ours: names resolved, functions found, bounds checked.

mod macros;
mod names;

use super::ast::{Mode, Node};
use super::error::ExprError;
use super::functions::{self, Style};
use super::limits::Limits;
use super::references::References;
use super::tokens;
use super::value::Value;
use crate::nearest::nearest;
use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use std::sync::Arc;

/// How free names are read.
#[derive(Clone, Copy)]
pub(crate) enum Dialect<'a> {
    /// Each free name is a root.
    Plain,
    /// A rule: a name that is a step and no root is short for `needs.NAME` (SEMANTICS 3).
    Rule(&'a dyn Fn(&str) -> bool),
}

/// The roots that this engine knows, the name of a `foreach` apart (SEMANTICS 23).
pub const ROOTS: [&str; 10] = [
    "inputs", "vars", "run", "steps", "needs", "matrix", "attempt", "step", "event", "resource",
];

/// What `needs.X` has, alone and after `any_` or `all_` (SEMANTICS 3).
pub const PREDICATES: [&str; 10] = [
    "succeeded",
    "failed",
    "errored",
    "timed_out",
    "cancelled",
    "skipped",
    "omitted",
    "allowed",
    "ok",
    "ended",
];

/// The names of types, which are values in CEL.
const TYPES: [(&str, &str); 14] = [
    ("bool", "bool"),
    ("bytes", "bytes"),
    ("double", "double"),
    ("int", "int"),
    ("list", "list"),
    ("map", "map"),
    ("null_type", "null"),
    ("string", "string"),
    ("type", "type"),
    ("uint", "uint"),
    ("optional_type", "optional"),
    ("duration", "duration"),
    ("timestamp", "timestamp"),
    ("dyn", "dyn"),
];

pub(crate) struct Lowering<'a> {
    source: &'a str,
    dialect: Dialect<'a>,
    limits: &'a Limits,
    references: References,
    /// Variables of the loops around, outermost first.
    locals: Vec<Arc<str>>,
    loops: usize,
}

/// Parses `source`, within all bounds.
pub(crate) fn parse(
    source: &str,
    dialect: Dialect<'_>,
    limits: &Limits,
) -> Result<(Node, References), ExprError> {
    tokens::check(source, limits)?;
    let tree = cel::parser::PrattParser::new()
        .enable_optional_syntax(true)
        .enable_ident_escape_syntax(true)
        .parse(source)
        .map_err(|errors| parse_error(source, &errors))?;
    let mut lowering = Lowering {
        source,
        dialect,
        limits,
        references: References::default(),
        locals: Vec::new(),
        loops: 0,
    };
    let node = lowering.node(&tree, 0)?;
    let mut references = lowering.references;
    references.collect(&node);
    Ok((node, references))
}

fn parse_error(source: &str, errors: &cel::ParseErrors) -> ExprError {
    let Some(first) = errors.errors.first() else {
        return ExprError::new(0, "not an expression");
    };
    let (line, column) = first.pos;
    let line = usize::try_from(line - 1).unwrap_or(0);
    let column = usize::try_from(column - 1).unwrap_or(0);
    let before: usize = source.split_inclusive('\n').take(line).map(str::len).sum();
    let mut offset = (before + column).min(source.len());
    while !source.is_char_boundary(offset) {
        offset -= 1;
    }
    let message = first
        .msg
        .strip_prefix("Syntax error: ")
        .unwrap_or(&first.msg);
    ExprError::new(
        offset,
        message.replace("<EOF>", "the end").replace('\n', " "),
    )
}

impl Lowering<'_> {
    fn fail<T>(&self, name: &str, message: impl Into<String>) -> Result<T, ExprError> {
        Err(ExprError::new(
            tokens::find_name(self.source, name).unwrap_or_default(),
            message,
        ))
    }

    fn boxed(&mut self, expr: &IdedExpr, depth: usize) -> Result<Box<Node>, ExprError> {
        self.node(expr, depth).map(Box::new)
    }

    fn node(&mut self, expr: &IdedExpr, depth: usize) -> Result<Node, ExprError> {
        let depth = depth + 1;
        if depth > self.limits.depth {
            return Err(ExprError::new(
                0,
                format!(
                    "the expression nests deeper than {} (limit `depth`)",
                    self.limits.depth
                ),
            ));
        }
        match &expr.expr {
            Expr::Unspecified => Err(ExprError::new(0, "not an expression")),
            Expr::Literal(literal) => Ok(Node::Constant(constant(literal))),
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => {
                let mode = if select.test { Mode::Test } else { Mode::Plain };
                self.select(&select.operand, &select.field, mode, depth)
            }
            Expr::List(list) => {
                let mut items = Vec::with_capacity(list.elements.len());
                for (index, element) in list.elements.iter().enumerate() {
                    items.push((
                        self.node(element, depth)?,
                        list.optional_indices.contains(&index),
                    ));
                }
                Ok(Node::List(items))
            }
            Expr::Map(map) => {
                let mut entries = Vec::with_capacity(map.entries.len());
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else {
                        return Err(ExprError::new(0, "messages are not supported: write a map"));
                    };
                    let key = self.node(&entry.key, depth)?;
                    entries.push((key, self.node(&entry.value, depth)?, entry.optional));
                }
                Ok(Node::Map(entries))
            }
            Expr::Struct(message) => self.fail(
                &message.type_name,
                format!(
                    "`{}{{…}}` is a message; there are none here: write a map",
                    message.type_name
                ),
            ),
            Expr::Call(call) => self.call(call, depth),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension, depth),
        }
    }

    fn call(&mut self, call: &CallExpr, depth: usize) -> Result<Node, ExprError> {
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_AND, [a, b]) => Ok(Node::And(Box::new([
                self.node(a, depth)?,
                self.node(b, depth)?,
            ]))),
            (operators::LOGICAL_OR, [a, b]) => Ok(Node::Or(Box::new([
                self.node(a, depth)?,
                self.node(b, depth)?,
            ]))),
            (operators::CONDITIONAL, [a, b, c]) => Ok(Node::If(Box::new([
                self.node(a, depth)?,
                self.node(b, depth)?,
                self.node(c, depth)?,
            ]))),
            (operators::OPT_SELECT, [operand, field]) => match &field.expr {
                Expr::Literal(LiteralValue::String(field)) => {
                    self.select(operand, field.inner(), Mode::Optional, depth)
                }
                _ => Err(ExprError::new(0, "`.?` takes a name")),
            },
            (operators::INDEX, [operand, index]) => self.index(operand, index, false, depth),
            (operators::OPT_INDEX, [operand, index]) => self.index(operand, index, true, depth),
            _ => self.function(call, depth),
        }
    }

    fn function(&mut self, call: &CallExpr, depth: usize) -> Result<Node, ExprError> {
        let name = call.func_name.as_str();
        let namespace = match call.target.as_deref().map(|target| &target.expr) {
            Some(Expr::Ident(namespace))
                if functions::NAMESPACES.contains(&namespace.as_str())
                    && self.local(namespace).is_none() =>
            {
                Some(namespace)
            }
            _ => None,
        };
        let qualified = namespace.map(|namespace| format!("{namespace}.{name}"));
        let target = if namespace.is_some() {
            None
        } else {
            call.target.as_deref()
        };
        if let Some(target) = target
            && let Some(node) = self.macro_call(name, target, &call.args, depth)?
        {
            return Ok(node);
        }
        let style = if target.is_some() {
            Style::Member
        } else {
            Style::Global
        };
        let count = call.args.len();
        let full = qualified.as_deref().unwrap_or(name);
        let function = match functions::find(full, style) {
            Some(function) => function,
            None => return self.unknown_function(name, full, style),
        };
        if !function.arguments.contains(&count) {
            let (least, most) = (function.arguments.start(), function.arguments.end());
            let wants = if least == most {
                format!("{least}")
            } else {
                format!("{least} to {most}")
            };
            return self.fail_at(
                name,
                format!("{} takes {wants} arguments, not {count}", function.shown()),
            );
        }
        let mut arguments = Vec::with_capacity(count + 1);
        if let Some(target) = target {
            arguments.push(self.node(target, depth)?);
        }
        for argument in &call.args {
            arguments.push(self.node(argument, depth)?);
        }
        Ok(Node::Call {
            function,
            arguments,
        })
    }

    fn fail_at<T>(&self, name: &str, message: String) -> Result<T, ExprError> {
        let mut tokens = tokens::Tokens::new(self.source);
        while let Some((at, token)) = tokens.next_token() {
            if token == tokens::Token::Name(name) {
                return Err(ExprError::new(at, message));
            }
        }
        Err(ExprError::new(0, message))
    }

    fn unknown_function<T>(&self, name: &str, full: &str, style: Style) -> Result<T, ExprError> {
        let mut message = match style {
            Style::Member => format!("there is no function `.{name}()`"),
            Style::Global => format!("there is no function `{full}()`"),
        };
        if functions::find(full, style.other()).is_some() {
            message.push_str(match style {
                Style::Member => {
                    "; there is a function of that name: write it before its arguments"
                }
                Style::Global => "; there is a method of that name: write it after a value",
            });
        } else if let Some(name) = nearest(full, functions::names(style)) {
            message.push_str(&format!("; nearest is `{name}`"));
        } else if let Some(why) = functions::refused(full) {
            message.push_str(&format!(": {why}"));
        }
        self.fail_at(name, message)
    }
}

fn constant(literal: &LiteralValue) -> Value<'static> {
    match literal {
        LiteralValue::Boolean(bool) => Value::Bool(*bool.inner()),
        LiteralValue::Bytes(bytes) => Value::Bytes(bytes.inner().into()),
        LiteralValue::Double(double) => Value::Double(*double.inner()),
        LiteralValue::Int(int) => Value::Int(*int.inner()),
        LiteralValue::Null => Value::Null,
        LiteralValue::String(text) => Value::text(text.inner()),
        LiteralValue::UInt(uint) => Value::Uint(*uint.inner()),
    }
}
