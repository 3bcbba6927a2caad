//! Macros: those that the crate's parser expands, read back, and those that it leaves as calls.

use super::Lowering;
use crate::expr::ast::{Loop, LoopKind, Node};
use crate::expr::error::ExprError;
use cel::common::ast::{ComprehensionExpr, Expr, IdedExpr, LiteralValue, operators};

impl Lowering<'_> {
    /// The macros that the crate's parser leaves as calls; `None` where this is none.
    pub(super) fn macro_call(
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
                    "map, filter, all, exists and their like nest deeper than {} (limit `loops`)",
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
    pub(super) fn comprehension(
        &mut self,
        it: &ComprehensionExpr,
        depth: usize,
    ) -> Result<Node, ExprError> {
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
