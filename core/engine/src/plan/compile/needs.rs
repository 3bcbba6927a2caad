//! `needs`, in its two forms (SEMANTICS 2, 3).

use super::Compiler;
use super::expression::{conflict, constant};
use super::fields::Fields;
use super::locate::Written;
use super::place::Place;
use crate::expr::Rule;
use crate::nearest::nearest;
use crate::plan::types::{Needs, Step, StepIndex};
use crate::source::{Content, Node, Path, Problem};
use std::sync::Arc;

const RULE: Fields = Fields::of(&["rule", "handles"]);

/// Enough names to find the one that was meant; more would only take time.
const NAMES: usize = 5_000;

impl<'n> Compiler<'_, '_, 'n> {
    /// What `needs` says, if all of it is right, and the parents that it names, without doubles, in
    /// their order.
    pub(super) fn needs(
        &mut self,
        node: &'n Node,
        path: &Path<'_>,
        own: StepIndex,
    ) -> (Option<Needs>, Vec<StepIndex>) {
        match &node.content {
            Content::List(items) => {
                let (parents, whole) = self.step_list(items, path, own, "needs");
                (whole.then_some(Needs::All), parents)
            }
            Content::Map(_) => self.rule(node, path, own),
            _ => {
                self.wrong_type(node, path, "a list of step ids, or {rule: …, handles: […]}");
                (None, Vec::new())
            }
        }
    }

    fn step_list(
        &mut self,
        items: &'n [Node],
        path: &Path<'_>,
        own: StepIndex,
        field: &str,
    ) -> (Vec<StepIndex>, bool) {
        let mut parents = Vec::new();
        let mut whole = true;
        for (place, item) in items.iter().enumerate() {
            let path = path.index(place);
            match self
                .text(item, &path)
                .and_then(|id| self.known_step(item.at, &path, id, own, field))
            {
                Some(parent) => parents.push(parent),
                None => whole = false,
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        parents.retain(|parent| seen.insert(*parent));
        (parents, whole)
    }

    /// A step that another one may wait for.
    fn known_step(
        &mut self,
        at: u32,
        path: &Path<'_>,
        id: &str,
        own: StepIndex,
        field: &str,
    ) -> Option<StepIndex> {
        let problem = |message: String| Problem {
            pointer: path.to_string(),
            ..Problem::new(at, message)
        };
        let problem = match self.index.get(id) {
            Some(step) if *step == own => {
                problem(format!("the step `{id}` cannot wait for itself"))
            }
            Some(step) if *step >= self.main => problem(format!(
                "`{id}` is a `finally` step; {field} cannot name it"
            )),
            Some(step) => return Some(*step),
            None => {
                let names = self.index.keys().take(NAMES).map(|name| &**name);
                let near = nearest(id, names);
                problem(format!("no step has the id `{id}`")).nearest(near)
            }
        };
        self.report.error(problem);
        None
    }

    fn rule(
        &mut self,
        node: &'n Node,
        path: &Path<'_>,
        own: StepIndex,
    ) -> (Option<Needs>, Vec<StepIndex>) {
        let Some(object) = self.object(node, path, &RULE) else {
            return (None, Vec::new());
        };
        let mut parents = Vec::new();
        let rule = self
            .required(&object, path, "rule")
            .and_then(|node| self.rule_text(node, &path.key("rule"), own, &mut parents));
        let handles = match object.get("handles") {
            Some(node) => self.handles(node, &path.key("handles"), own, rule.as_ref()),
            None => Some(Vec::new()),
        };
        let needs = rule.zip(handles);
        let needs = needs.map(|(rule, handles)| Needs::Rule { rule, handles });
        (needs, parents)
    }

    fn rule_text(
        &mut self,
        node: &'n Node,
        path: &Path<'_>,
        own: StepIndex,
        parents: &mut Vec<StepIndex>,
    ) -> Option<Rule> {
        let source = self.text(node, path)?;
        let index = &self.index;
        let rule = match Rule::parse(source, &|id| index.contains_key(id)) {
            Ok(rule) => rule,
            Err(error) => {
                let names: Vec<Arc<str>> = self.index.keys().take(NAMES).cloned().collect();
                let names: Vec<&str> = names.iter().map(|name| &**name).collect();
                self.expression_error(node, path, error.offset, &error, &names);
                return None;
            }
        };
        let mut whole =
            self.references(node, path, &Place::rule(), Written::Bare, rule.references());
        let inputs = self.inputs.as_deref();
        let answer = constant(rule.references(), |scope| rule.evaluate(scope))
            .or_else(|| conflict(rule.conflict(inputs)));
        let found = rule.not_boolean(inputs);
        whole &= self.gives_boolean(node, path, answer, found);
        for id in rule.parents() {
            let fits = |step: &&StepIndex| **step != own && **step < self.main;
            if let Some(parent) = self.index.get(id).filter(fits) {
                parents.push(*parent);
                continue;
            }
            let place = (node, &*path.to_string());
            let (at, _) = self.locate_step(place, Written::Bare, id, "");
            self.known_step(at, path, id, own, "a rule");
            whole = false;
        }
        whole.then_some(rule)
    }

    /// The steps that `handles` names; each is among the rule's parents, where those are known.
    fn handles(
        &mut self,
        node: &'n Node,
        path: &Path<'_>,
        own: StepIndex,
        rule: Option<&Rule>,
    ) -> Option<Vec<StepIndex>> {
        let items = self.list(node, path)?;
        let (handles, mut whole) = self.step_list(items, path, own, "handles");
        for (place, item) in items.iter().enumerate() {
            let known = item.as_str().filter(|id| self.index.contains_key(*id));
            let (Some(id), Some(rule)) = (known, rule) else {
                continue;
            };
            if rule.parents().iter().all(|parent| **parent != *id) {
                let message = format!("`handles` names `{id}`, which the rule does not");
                let problem = Problem::on(item, &path.index(place), message);
                let named: Vec<&str> = rule.parents().iter().map(|id| &**id).collect();
                let problem = problem.allowed(named.join(", "));
                self.report.error(problem);
                whole = false;
            }
        }
        whole.then_some(handles)
    }
}

/// Tells each step who handles it.
pub(super) fn turn_handles_round(steps: &mut [Step]) {
    let mut pairs = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        if let Needs::Rule { handles, .. } = &step.needs {
            pairs.extend(handles.iter().map(|handled| (*handled, index as StepIndex)));
        }
    }
    for (handled, handler) in pairs {
        if let Some(step) = steps.get_mut(handled as usize) {
            step.handlers.push(handler);
        }
    }
}
