//! `matrix` and `foreach` (SEMANTICS 6).

use super::Compiler;
use super::fields::{Fields, IDENTIFIER, Object};
use super::place::{Item, Place};
use crate::expr::Template;
use crate::nearest::nearest;
use crate::plan::types::{Fan, FanSource};
use crate::source::{Content, Entry, Node, Path, Problem};
use crate::value::Json;
use std::sync::Arc;

const MATRIX: Fields = Fields::of(&["axes", "include", "exclude", "max_parallel", "fail_fast"]);
const AXIS: Fields = Fields::of(&["name", "values"]);
const FOREACH: Fields = Fields::of(&["items", "as", "max_items", "max_parallel", "fail_fast"]);

/// Names that a `foreach` item cannot have: the roots, and what CEL keeps for itself.
const RESERVED: [&str; 29] = [
    "inputs",
    "vars",
    "run",
    "steps",
    "needs",
    "matrix",
    "attempt",
    "step",
    "resource",
    "event",
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "void",
];

impl<'n> Compiler<'_, '_, 'n> {
    /// `matrix` or `foreach` of a step; `Err` where it is wrong.
    pub(super) fn fan(
        &mut self,
        step: &Object<'n>,
        path: &Path<'_>,
        place: &Place<'_>,
    ) -> Result<Option<Fan>, ()> {
        match (step.get("matrix"), step.get("foreach")) {
            (None, None) => Ok(None),
            (Some(node), None) => self
                .matrix(node, &path.key("matrix"), place)
                .map(Some)
                .ok_or(()),
            (None, Some(node)) => self
                .foreach(node, &path.key("foreach"), place)
                .map(Some)
                .ok_or(()),
            (Some(matrix), Some(foreach)) => {
                let message = "a step has either `matrix` or `foreach`";
                let problem = Problem::on(foreach, &path.key("foreach"), message);
                self.report
                    .error(problem.related(matrix.at, "`matrix` is here"));
                Err(())
            }
        }
    }

    fn matrix(&mut self, node: &'n Node, path: &Path<'_>, place: &Place<'_>) -> Option<Fan> {
        let object = self.object(node, path, &MATRIX)?;
        let before = self.report.errors();
        let (max_parallel, fail_fast) = self.fan_limits(&object, path);
        let axes_node = self.required(&object, path, "axes")?;
        let axes_path = path.key("axes");
        let items = self.list(axes_node, &axes_path)?;
        if items.is_empty() {
            let problem = Problem::on(axes_node, &axes_path, "`axes` is empty");
            self.report
                .error(problem.allowed("at least one axis: `name: [values…]`"));
        }
        let mut axes: Vec<(Arc<str>, Template)> = Vec::new();
        let mut product: Option<u64> = Some(1);
        for (index, item) in items.iter().enumerate() {
            // An axis that was written as `name: [values…]` has its name where it stands itself.
            let written = item.get("name").filter(|name| name.at == item.at);
            let written = written.and_then(Node::as_str);
            let path = match written {
                Some(name) => axes_path.key(name),
                None => axes_path.index(index),
            };
            let Some(axis) = self.object(item, &path, &AXIS) else {
                continue;
            };
            let name = self.required(&axis, &path, "name");
            let name = name.and_then(|node| {
                let own = path.key("name");
                let path = if written.is_some() { &path } else { &own };
                self.name(node, path, &IDENTIFIER, ("id_bytes", self.limits.id_bytes))
            });
            let values = self.required(&axis, &path, "values");
            let values = values.and_then(|node| {
                let own = path.key("values");
                let path = if written.is_some() { &path } else { &own };
                self.list_template(node, path, place)
            });
            let (Some(name), Some((values, count))) = (name, values) else {
                continue;
            };
            if axes.iter().any(|(known, _)| &**known == name) {
                let message = format!("the axis `{name}` stands twice");
                self.report.error(Problem::on(item, &path, message));
            }
            product = product
                .zip(count)
                .map(|(all, count)| all.saturating_mul(count as u64));
            axes.push((name.into(), values));
        }
        let most = self.limits.matrix_instances;
        if let Some(product) = product
            && product > most
        {
            let message = format!(
                "the matrix has {product} combinations; the limit `matrix_instances` is {most}"
            );
            self.report.error(Problem::on(node, path, message));
        }
        let include = self.combinations(&object, path, "include", place, None);
        let exclude = self.combinations(&object, path, "exclude", place, Some(&axes));
        let (include, exclude) = (include?, exclude?);
        (self.report.errors() == before).then_some(Fan {
            source: FanSource::Matrix {
                axes,
                include,
                exclude,
            },
            max_parallel,
            fail_fast,
        })
    }

    /// `include` or `exclude`: a list of objects; `exclude` names axes only.
    fn combinations(
        &mut self,
        object: &Object<'n>,
        path: &Path<'_>,
        key: &str,
        place: &Place<'_>,
        axes: Option<&[(Arc<str>, Template)]>,
    ) -> Option<Template> {
        let Some(node) = object.get(key) else {
            return Template::parse(&Json::Array(Vec::new())).ok();
        };
        let path = path.key(key);
        if let Content::List(items) = &node.content {
            for (index, item) in items.iter().enumerate() {
                let path = path.index(index);
                match &item.content {
                    Content::Map(entries) => self.axes_exist(entries, &path, axes),
                    Content::Text(text) if text.trim_start().starts_with("${{") => {}
                    _ => self.wrong_type(item, &path, "an object of axis names to values"),
                }
            }
            if items.len() as u64 > self.limits.matrix_instances {
                let most = self.limits.matrix_instances;
                let message = format!(
                    "`{key}` has {} entries; the limit `matrix_instances` is {most}",
                    items.len()
                );
                self.report.error(Problem::on(node, &path, message));
            }
        }
        self.list_template(node, &path, place)
            .map(|(template, _)| template)
    }

    fn axes_exist(
        &mut self,
        entries: &[Entry],
        path: &Path<'_>,
        axes: Option<&[(Arc<str>, Template)]>,
    ) {
        let Some(axes) = axes else { return };
        for entry in entries {
            let name = &*entry.key;
            if name.contains("${{") || axes.iter().any(|(axis, _)| &**axis == name) {
                continue;
            }
            let names = || axes.iter().map(|(axis, _)| &**axis);
            let problem = Problem::new(entry.at, format!("`exclude` names no axis `{name}`"));
            let problem = Problem {
                pointer: path.key(name).to_string(),
                ..problem
            };
            let allowed = names().collect::<Vec<_>>().join(", ");
            self.report
                .error(problem.allowed(allowed).nearest(nearest(name, names())));
        }
    }

    fn foreach(&mut self, node: &'n Node, path: &Path<'_>, place: &Place<'_>) -> Option<Fan> {
        let object = self.object(node, path, &FOREACH)?;
        let before = self.report.errors();
        let (max_parallel, fail_fast) = self.fan_limits(&object, path);
        let most = ("foreach_items", self.limits.foreach_items);
        let max_items = match object.get("max_items") {
            Some(node) => self
                .integer(node, &path.key("max_items"), 1, most)
                .unwrap_or(most.1),
            None => most.1,
        };
        let name = match object.get("as") {
            Some(node) => self.item_name(node, &path.key("as")),
            None => Some("item"),
        };
        let items = self.required(&object, path, "items")?;
        let items_path = path.key("items");
        let (template, count) = self.list_template(items, &items_path, place)?;
        if let Some(count) = count
            && count > max_items as usize
        {
            let message = format!("`items` has {count} entries; `max_items` is {max_items}");
            self.report.error(Problem::on(items, &items_path, message));
        }
        let name = name?;
        (self.report.errors() == before).then(|| Fan {
            source: FanSource::Foreach {
                items: template,
                name: name.into(),
                max_items,
            },
            max_parallel,
            fail_fast,
        })
    }

    fn item_name(&mut self, node: &'n Node, path: &Path<'_>) -> Option<&'n str> {
        let name = self.name(node, path, &IDENTIFIER, ("id_bytes", self.limits.id_bytes))?;
        if RESERVED.contains(&name) {
            let message = format!("`as` cannot be `{name}`: expressions use that word already");
            self.report.error(Problem::on(node, path, message));
            return None;
        }
        Some(name)
    }

    fn fan_limits(&mut self, object: &Object<'n>, path: &Path<'_>) -> (Option<u32>, bool) {
        let most = ("max_parallel", self.limits.max_parallel);
        let max_parallel = object
            .get("max_parallel")
            .and_then(|node| self.integer(node, &path.key("max_parallel"), 1, most));
        let fail_fast = object
            .get("fail_fast")
            .and_then(|node| self.boolean(node, &path.key("fail_fast")))
            .unwrap_or(true);
        (max_parallel, fail_fast)
    }

    /// What the expressions of an instance may name of its parameters.
    pub(super) fn item(step: &Object<'n>) -> Option<Item<'n>> {
        if let Some(matrix) = step.get("matrix") {
            return Some(Item {
                name: "matrix",
                members: matrix_names(matrix),
            });
        }
        let foreach = step.get("foreach")?;
        Some(Item {
            name: foreach.get("as").and_then(Node::as_str).unwrap_or("item"),
            members: None,
        })
    }
}

/// The axes, and what `include` adds; `None` where expressions say more.
fn matrix_names(matrix: &Node) -> Option<Vec<&str>> {
    let Content::List(axes) = &matrix.get("axes")?.content else {
        return None;
    };
    let axes = axes.iter().map(|axis| axis.get("name")?.as_str());
    let mut names: Vec<&str> = axes.collect::<Option<_>>()?;
    let Some(include) = matrix.get("include") else {
        return Some(names);
    };
    let Content::List(include) = &include.content else {
        return None;
    };
    for entry in include {
        let Content::Map(entries) = &entry.content else {
            return None;
        };
        for entry in entries {
            if !names.contains(&&*entry.key) {
                names.push(&entry.key);
            }
        }
    }
    names
        .iter()
        .all(|name| !name.contains("${{"))
        .then_some(names)
}
