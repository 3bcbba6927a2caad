//! Expressions where they stand: parsed, and their roots checked against the place (SEMANTICS 23).

use super::Compiler;
use super::locate::Written;
use super::place::{Place, ROOTS};
use super::reference::Reference;
use crate::expr::{Condition, EvalError, ExprError, References, Scope, Template, TemplateError};
use crate::nearest::nearest;
use crate::source::{Content, Node, Path, Problem};
use crate::value::Json;
use std::sync::Arc;

const OBJECT: &str = "an object, or a text `${{ … }}` that gives one";
const LIST: &str = "a list, or a text `${{ … }}` that gives one";

impl<'n> Compiler<'_, '_, 'n> {
    /// Bare CEL that gives a boolean; `true` and `false` may stand for themselves.
    pub(super) fn condition(
        &mut self,
        node: &'n Node,
        path: &Path<'_>,
        place: &Place<'_>,
    ) -> Option<Condition> {
        let source = match &node.content {
            Content::Text(text) => &**text,
            Content::Bool(true) => "true",
            Content::Bool(false) => "false",
            _ => {
                self.wrong_type(node, path, "a CEL expression that gives true or false");
                return None;
            }
        };
        if source.contains("${{") {
            let message = format!(
                "`{}` is CEL as it stands, without `${{{{ }}}}`",
                path.last()
            );
            self.report.error(
                Problem::on(node, path, message)
                    .found(node.describe())
                    .allowed("a CEL expression that gives true or false"),
            );
            return None;
        }
        match Condition::parse(source) {
            Ok(condition) => {
                let known =
                    self.references(node, path, place, Written::Bare, condition.references());
                let inputs = self.inputs.as_deref();
                let answer = constant(condition.references(), |scope| condition.evaluate(scope))
                    .or_else(|| conflict(condition.conflict(inputs)));
                let found = condition.not_boolean(inputs);
                (known && self.gives_boolean(node, path, answer, found)).then_some(condition)
            }
            Err(error) => {
                self.expression_error(node, path, error.offset, &error, &place.known());
                None
            }
        }
    }

    /// Refuses an expression that has no boolean value: one whose value the document fixes, or whose
    /// type is known.
    pub(super) fn gives_boolean(
        &mut self,
        node: &Node,
        path: &Path<'_>,
        answer: Option<EvalError>,
        found: Option<&str>,
    ) -> bool {
        let message = match (answer, found) {
            (Some(error), _) => error.message,
            (None, Some(found)) => format!("`{}` gives {found}, not bool", path.last()),
            (None, None) => return true,
        };
        let blank = node
            .as_str()
            .map_or(0, |text| text.len() - text.trim_start().len());
        let mut problem = Problem::on(node, path, message).found(node.describe());
        problem.at = self.offset(node, blank);
        let problem = problem.allowed("a CEL expression that gives true or false");
        !self.report.foreseen(problem)
    }

    /// Refuses a text of one expression that is known to give another type than the place takes.
    pub(super) fn whole(
        &mut self,
        node: &Node,
        path: &Path<'_>,
        template: &Template,
        (wanted, allowed): (&[&str], &str),
    ) -> bool {
        let found = template.whole_type(self.inputs.as_deref());
        let Some(found) = found.filter(|found| !wanted.contains(found) && *found != "optional")
        else {
            return true;
        };
        let message = format!(
            "`{}` gives {found}, not {}",
            path.last(),
            wanted.join(" or ")
        );
        let problem = Problem::on(node, path, message).found(node.describe());
        !self.report.foreseen(problem.allowed(allowed))
    }

    /// Any JSON with `${{ }}` inside.
    pub(super) fn template(
        &mut self,
        node: &'n Node,
        path: &Path<'_>,
        place: &Place<'_>,
    ) -> Option<Template> {
        let (template, references) = Template::parse_all(&node.to_json());
        let mut sound = true;
        match &template {
            Ok(template) => {
                for error in template.conflicts(self.inputs.as_deref()) {
                    let problem = self.template_problem(node, path, &error);
                    sound &= !self.report.foreseen(problem);
                }
            }
            Err(errors) => {
                for error in errors {
                    let problem = self.template_problem(node, path, error);
                    self.report.error(problem);
                }
            }
        }
        let known = self.references(node, path, place, Written::Template, &references);
        template.ok().filter(|_| known && sound)
    }

    fn template_problem(&self, node: &Node, path: &Path<'_>, error: &TemplateError) -> Problem {
        let offset = error.offset + error.error.offset;
        // What is only counted needs no place.
        let at = match self.report.is_full() {
            true => node.at,
            false => match node.key_at(&error.pointer) {
                Some((at, key)) if error.key => self.report.offset(at, key, offset),
                _ => self.offset(node.pointer(&error.pointer).unwrap_or(node), offset),
            },
        };
        let mut problem = Problem::new(at, error.error.message.clone());
        problem.pointer = format!("{path}{}", error.pointer);
        if let Some(unknown) = &error.error.unknown {
            problem = problem.nearest(nearest(unknown, ROOTS));
        }
        problem
    }

    /// A template that gives an object: one with keys, or a text that is one expression.
    pub(super) fn templates(
        &mut self,
        node: &'n Node,
        path: &Path<'_>,
        place: &Place<'_>,
    ) -> Option<Template> {
        let object = match &node.content {
            Content::Map(_) => true,
            Content::Text(text) => text.trim_start().starts_with("${{"),
            _ => false,
        };
        if !object {
            self.wrong_type(node, path, OBJECT);
            return None;
        }
        let template = self.template(node, path, place)?;
        self.whole(node, path, &template, (&["map"], OBJECT))
            .then_some(template)
    }

    /// A template that gives a list; how many items, where the document says it.
    pub(super) fn list_template(
        &mut self,
        node: &'n Node,
        path: &Path<'_>,
        place: &Place<'_>,
    ) -> Option<(Template, Option<usize>)> {
        let count = match &node.content {
            Content::List(items) => Some(items.len()),
            Content::Text(text) if text.trim_start().starts_with("${{") => None,
            _ => {
                self.wrong_type(node, path, LIST);
                return None;
            }
        };
        let template = self.template(node, path, place)?;
        self.whole(node, path, &template, (&["list"], LIST))
            .then_some((template, count))
    }

    pub(super) fn expression_error(
        &mut self,
        node: &Node,
        path: &Path<'_>,
        offset: usize,
        error: &ExprError,
        names: &[&str],
    ) {
        let mut problem = Problem::on(node, path, error.message.clone()).found(node.describe());
        problem.at = self.offset(node, offset);
        if let Some(unknown) = &error.unknown {
            problem = problem.nearest(nearest(unknown, names.iter().copied()));
        }
        self.report.error(problem);
    }

    /// Checks the roots, and keeps what is read of steps for when the graph is known.
    pub(super) fn references(
        &mut self,
        node: &'n Node,
        path: &Path<'_>,
        place: &Place<'_>,
        written: Written,
        references: &References,
    ) -> bool {
        let before = self.report.errors();
        for root in references.roots() {
            if place.knows(root) {
                continue;
            }
            let (at, pointer) = self.locate_root((node, &path.to_string()), written, root);
            let message = if ROOTS.contains(&root) {
                format!("`{root}` is not known in `{}`", path.last())
            } else {
                format!("unknown name `{root}`")
            };
            let known = place.known();
            let problem = Problem {
                pointer,
                ..Problem::new(at, message)
            };
            let near = (!ROOTS.contains(&root)).then(|| nearest(root, known.iter().copied()));
            let problem = problem.allowed(known.join(", ")).nearest(near.flatten());
            self.report.error(problem);
        }
        self.check_members(node, path, place, written, references);
        let reads_steps = !references.step_references().is_empty();
        let reads_needs = !references.needs().is_empty();
        for (misplaced, root) in [
            (reads_steps && place.steps.is_none(), "steps"),
            (reads_needs && !place.needs, "needs"),
        ] {
            if misplaced {
                let (at, pointer) = self.locate_root((node, &path.to_string()), written, root);
                let message = format!("`{root}` is not known in `{}`", path.last());
                let problem = Problem {
                    pointer,
                    ..Problem::new(at, message)
                };
                self.report.error(problem.allowed(place.known().join(", ")));
            }
        }
        if let Some(reader) = &place.steps
            && (reads_steps || reads_needs && place.needs)
        {
            self.references.push(Reference {
                reader: *reader,
                node,
                pointer: path.to_string(),
                written,
                references: references.clone(),
            });
        }
        self.report.errors() == before
    }
}

/// The operands of which an operator has no value.
pub(super) fn conflict(message: Option<String>) -> Option<EvalError> {
    message.map(|message| EvalError::new("", message))
}

/// Why an expression that names nothing has no boolean value; `None` where it has, or names
/// something.
pub(super) fn constant(
    references: &References,
    evaluate: impl FnOnce(&dyn Scope) -> Result<bool, EvalError>,
) -> Option<EvalError> {
    let names_nothing = references.roots().next().is_none()
        && references.step_references().is_empty()
        && references.needs().is_empty();
    if names_nothing {
        evaluate(&Nowhere).err()
    } else {
        None
    }
}

/// The scope of an expression that names nothing.
struct Nowhere;

impl Scope for Nowhere {
    fn root(&self, _: &str) -> Option<Arc<Json>> {
        None
    }

    fn step(&self, _: &str) -> Option<Arc<Json>> {
        None
    }

    fn need(&self, _: &str) -> Option<Arc<Json>> {
        None
    }
}
