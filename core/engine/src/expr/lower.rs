//! From the crate's syntax tree to ours: names resolved, functions found, bounds checked.

use super::ast::{Collection, Loop, LoopKind, Mode, Node};
use super::error::{ExprError, nearest};
use super::functions::{self, Style};
use super::limits::Limits;
use super::references::References;
use super::tokens;
use super::value::Value;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators,
};
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
            tokens::find_name(self.source, name),
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
                format!("the expression nests deeper than {}", self.limits.depth),
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

    fn local(&self, name: &str) -> Option<Node> {
        let slot = self.locals.iter().rposition(|local| &**local == name)?;
        Some(Node::Local {
            slot,
            name: Arc::clone(&self.locals[slot]),
        })
    }

    fn name(&mut self, name: &str) -> Result<Node, ExprError> {
        if let Some(local) = self.local(name) {
            return Ok(local);
        }
        if name.starts_with(['.', '@']) {
            return self.fail(
                name.trim_start_matches(['.', '@']),
                format!("`{name}` is not a name here"),
            );
        }
        match name {
            "steps" => self.fail(name, "`steps` alone is no value: name a step, as in steps.build or steps['my-step']"),
            "needs" => self.fail(name, "`needs` alone is no value: name a step, as in needs.build or needs['my-step']"),
            "secrets" => self.fail(name, "`secrets` is no root: a step asks for its secrets in `secrets`, and expressions never see them"),
            _ => {
                if let Dialect::Rule(is_step) = self.dialect
                    && !ROOTS.contains(&name)
                {
                    if is_step(name) {
                        return self.fail(name, format!("`{name}` alone is no boolean: ask for a predicate, as in {name}.failed"));
                    }
                    return Err(self.unknown_step(name));
                }
                if let Some((_, ty)) = TYPES.iter().find(|(known, _)| *known == name) {
                    return Ok(Node::Constant(Value::Type(ty)));
                }
                Ok(Node::Root(self.references.root(name)))
            }
        }
    }

    fn unknown_step(&self, name: &str) -> ExprError {
        let mut error = ExprError::new(
            tokens::find_name(self.source, name),
            format!("`{name}` is neither a step nor one of {}", ROOTS.join(", ")),
        );
        error.unknown = Some(name.into());
        error
    }

    /// `steps`, `needs`, or a bare step of a rule: what a member of it stands for.
    fn collection(&self, operand: &IdedExpr) -> Option<Collection> {
        let Expr::Ident(name) = &operand.expr else {
            return None;
        };
        if self.locals.iter().any(|local| **local == **name) {
            return None;
        }
        match name.as_str() {
            "steps" => Some(Collection::Steps),
            "needs" => Some(Collection::Needs),
            _ => None,
        }
    }

    fn member(&mut self, of: Collection, name: &str, mode: Mode) -> Node {
        let source = self.source;
        let index = match of {
            Collection::Steps => self
                .references
                .step(name, || tokens::find_member(source, "steps", name)),
            Collection::Needs => self.references.need(name),
        };
        Node::Member { of, index, mode }
    }

    fn select(
        &mut self,
        operand: &IdedExpr,
        field: &str,
        mode: Mode,
        depth: usize,
    ) -> Result<Node, ExprError> {
        if let Some(of) = self.collection(operand) {
            return Ok(self.member(of, field, mode));
        }
        let operand = match (&operand.expr, self.dialect) {
            (Expr::Ident(name), Dialect::Rule(is_step))
                if self.local(name).is_none() && !ROOTS.contains(&name.as_str()) =>
            {
                if !is_step(name) {
                    return Err(self.unknown_step(name));
                }
                Box::new(self.member(Collection::Needs, name, Mode::Plain))
            }
            _ => self.boxed(operand, depth)?,
        };
        if let Node::Member {
            of: Collection::Needs,
            index,
            ..
        } = &*operand
        {
            self.predicate(*index, field)?;
        }
        Ok(Node::Select {
            operand,
            field: field.into(),
            mode,
        })
    }

    /// Refuses `needs.X.field` where no such predicate is.
    fn predicate(&self, need: usize, field: &str) -> Result<(), ExprError> {
        let plain = field
            .strip_prefix("any_")
            .or_else(|| field.strip_prefix("all_"))
            .unwrap_or(field);
        if PREDICATES.contains(&plain) {
            return Ok(());
        }
        let step = &self.references.needs[need];
        let mut message = format!(
            "`{field}` is no predicate of step `{step}`; there are {}, each also as any_… and all_…",
            PREDICATES.join(", ")
        );
        if let Some(name) = nearest(plain, PREDICATES) {
            message.push_str(&format!("; nearest is `{name}`"));
        }
        let mut offset = 0;
        let mut tokens = tokens::Tokens::new(self.source);
        while let Some((at, token)) = tokens.next_token() {
            if token == tokens::Token::Name(field) {
                offset = at;
                break;
            }
        }
        Err(ExprError::new(offset, message))
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

    fn index(
        &mut self,
        operand: &IdedExpr,
        index: &IdedExpr,
        optional: bool,
        depth: usize,
    ) -> Result<Node, ExprError> {
        let mode = if optional {
            Mode::Optional
        } else {
            Mode::Plain
        };
        let name = match &index.expr {
            Expr::Literal(LiteralValue::String(name)) => Some(name.inner().to_owned()),
            _ => None,
        };
        if let Some(of) = self.collection(operand) {
            return match name {
                Some(name) => Ok(self.member(of, &name, mode)),
                None => self.fail(
                    of.name(),
                    format!("`{0}` is indexed by a constant name, as in {0}['my-step']: which steps an expression reads must be known before it runs", of.name()),
                ),
            };
        }
        // `needs.a['failed']`, `a['failed']`
        let operand = match (&operand.expr, self.dialect, &name) {
            (Expr::Ident(step), Dialect::Rule(is_step), _)
                if self.local(step).is_none()
                    && is_step(step)
                    && !ROOTS.contains(&step.as_str()) =>
            {
                Box::new(self.member(Collection::Needs, step, Mode::Plain))
            }
            _ => self.boxed(operand, depth)?,
        };
        if let (
            Node::Member {
                of: Collection::Needs,
                index,
                ..
            },
            Some(field),
        ) = (&*operand, &name)
        {
            self.predicate(*index, field)?;
        }
        Ok(Node::Index {
            operand,
            index: self.boxed(index, depth)?,
            optional,
        })
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

    /// The macros that the crate's parser leaves as calls; `None` where this is none.
    fn macro_call(
        &mut self,
        name: &str,
        target: &IdedExpr,
        arguments: &[IdedExpr],
        depth: usize,
    ) -> Result<Option<Node>, ExprError> {
        let kind = match (name, arguments.len()) {
            ("all", 3) => LoopKind::All,
            ("exists", 3) => LoopKind::Exists,
            ("exists_one" | "existsOne", 3) => LoopKind::ExistsOne,
            ("transformList", 3 | 4) => LoopKind::List,
            ("transformMap", 3 | 4) => LoopKind::Map,
            ("sortBy", 2) => LoopKind::Sort,
            ("optMap", 2) => LoopKind::Optional { flat: false },
            ("optFlatMap", 2) => LoopKind::Optional { flat: true },
            _ => return Ok(None),
        };
        let variables = if arguments.len() == 2 { 1 } else { 2 };
        let mut names = Vec::new();
        for argument in &arguments[..variables] {
            match &argument.expr {
                Expr::Ident(variable) => names.push(variable.as_str()),
                _ => return self.fail_at(name, format!("{name}() takes names of variables first")),
            }
        }
        let rest = &arguments[variables..];
        let (filter, body) = match rest {
            [filter, body] => (Some(filter), body),
            [body] => (None, body),
            _ => return Ok(None),
        };
        self.each(kind, target, &names, filter, body, depth)
            .map(Some)
    }

    fn each(
        &mut self,
        kind: LoopKind,
        range: &IdedExpr,
        names: &[&str],
        filter: Option<&IdedExpr>,
        body: &IdedExpr,
        depth: usize,
    ) -> Result<Node, ExprError> {
        let range = self.node(range, depth)?;
        self.loops += 1;
        if self.loops > self.limits.loops {
            return Err(ExprError::new(
                0,
                format!(
                    "map, filter, all, exists and their like nest deeper than {}",
                    self.limits.loops
                ),
            ));
        }
        for name in names {
            if name.starts_with(['.', '@']) {
                return self.fail(name, format!("`{name}` cannot name a variable"));
            }
            self.locals.push((*name).into());
        }
        let filter = filter.map(|filter| self.node(filter, depth)).transpose()?;
        let body = self.node(body, depth)?;
        self.locals.truncate(self.locals.len() - names.len());
        self.loops -= 1;
        Ok(Node::Loop(Box::new(Loop {
            kind,
            range,
            variables: names.len(),
            filter,
            body,
        })))
    }

    /// Reads back which macro the crate's parser expanded.
    fn comprehension(&mut self, it: &ComprehensionExpr, depth: usize) -> Result<Node, ExprError> {
        let names = [it.iter_var.as_str()];
        let unknown = || ExprError::new(0, "a macro that this engine does not know");
        let Expr::Call(step) = &it.loop_step.expr else {
            return Err(unknown());
        };
        match (
            step.func_name.as_str(),
            step.args.as_slice(),
            &it.accu_init.expr,
        ) {
            (operators::LOGICAL_AND, [_, body], Expr::Literal(LiteralValue::Boolean(_))) => {
                self.each(LoopKind::All, &it.iter_range, &names, None, body, depth)
            }
            (operators::LOGICAL_OR, [_, body], Expr::Literal(LiteralValue::Boolean(_))) => {
                self.each(LoopKind::Exists, &it.iter_range, &names, None, body, depth)
            }
            (operators::CONDITIONAL, [body, _, _], Expr::Literal(LiteralValue::Int(_))) => self
                .each(
                    LoopKind::ExistsOne,
                    &it.iter_range,
                    &names,
                    None,
                    body,
                    depth,
                ),
            (operators::ADD, [_, item], Expr::List(_)) => {
                let item = only_item(item).ok_or_else(unknown)?;
                self.each(LoopKind::List, &it.iter_range, &names, None, item, depth)
            }
            (operators::CONDITIONAL, [filter, step, _], Expr::List(_)) => {
                let Expr::Call(step) = &step.expr else {
                    return Err(unknown());
                };
                let item = step.args.get(1).and_then(only_item).ok_or_else(unknown)?;
                self.each(
                    LoopKind::List,
                    &it.iter_range,
                    &names,
                    Some(filter),
                    item,
                    depth,
                )
            }
            _ => Err(unknown()),
        }
    }
}

fn only_item(expr: &IdedExpr) -> Option<&IdedExpr> {
    match &expr.expr {
        Expr::List(list) => list.elements.first(),
        _ => None,
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
