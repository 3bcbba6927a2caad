//! What a name stands for, and a member of it.

use super::{Dialect, Lowering, PREDICATES, ROOTS, TYPES};
use crate::expr::ast::{Collection, Mode, Node};
use crate::expr::error::ExprError;
use crate::expr::tokens;
use crate::expr::value::Value;
use crate::nearest::nearest;
use cel::common::ast::{Expr, IdedExpr, LiteralValue};
use std::sync::Arc;

impl Lowering<'_> {
    pub(super) fn local(&self, name: &str) -> Option<Node> {
        let slot = self.locals.iter().rposition(|local| &**local == name)?;
        Some(Node::Local {
            slot,
            name: Arc::clone(&self.locals[slot]),
        })
    }

    pub(super) fn name(&mut self, name: &str) -> Result<Node, ExprError> {
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
            tokens::find_name(self.source, name).unwrap_or_default(),
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
            Collection::Steps => self.references.step(name, || {
                tokens::find_step(source, name, None).unwrap_or_default()
            }),
            Collection::Needs => self.references.need(name),
        };
        Node::Member { of, index, mode }
    }

    pub(super) fn select(
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

    pub(super) fn index(
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
}
