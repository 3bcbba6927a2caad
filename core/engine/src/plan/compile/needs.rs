//! `needs`, in its two forms (SEMANTICS 2, 3).

use super::Compiler;
use super::expression::{Place, constant};
use super::fields::Fields;
use super::locate::Written;
use crate::document::{Content, Node, Path, Problem, nearest};
use crate::expr::Rule;
use crate::plan::types::{Needs, Step, StepIndex};

const RULE: Fields = Fields::of(&["rule", "handles"]);

/// Enough names to find the one that was meant; more would only take time.
const NAMES: usize = 5_000;

impl<'n> Compiler<'_, '_, 'n> {
    /// What `needs` says and the parents that it names, without doubles, in their order.
    pub(super) fn needs(
        &mut self,
        node: &'n Node,
        path: &Path<'_>,
        own: StepIndex,
    ) -> Option<(Needs, Vec<StepIndex>)> {
        match &node.content {
            Content::List(items) => Some((Needs::All, self.step_list(items, path, own, "needs")?)),
            Content::Map(_) => self.rule(node, path, own),
            _ => {
                self.wrong_type(node, path, "a list of step ids, or {rule: …, handles: […]}");
                None
            }
        }
    }

    fn step_list(
        &mut self,
        items: &'n [Node],
        path: &Path<'_>,
        own: StepIndex,
        field: &str,
    ) -> Option<Vec<StepIndex>> {
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
        whole.then_some(parents)
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
    ) -> Option<(Needs, Vec<StepIndex>)> {
        let object = self.object(node, path, &RULE)?;
        let source_node = self.required(&object, path, "rule")?;
        let rule_path = path.key("rule");
        let source = self.text(source_node, &rule_path)?;
        let index = &self.index;
        let rule = match Rule::parse(source, &|id| index.contains_key(id)) {
            Ok(rule) => rule,
            Err(error) => {
                let names: Vec<String> = self
                    .index
                    .keys()
                    .take(NAMES)
                    .map(|name| name.to_string())
                    .collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                self.expression_error(source_node, &rule_path, error.offset, &error, &names);
                return None;
            }
        };
        let mut whole = self.references(
            source_node,
            &rule_path,
            &Place::rule(),
            Written::Bare,
            rule.references(),
        );
        let answer = constant(rule.references(), |scope| rule.evaluate(scope));
        whole &= self.boolean_constant(source_node, &rule_path, answer);
        let mut parents = Vec::new();
        for id in rule.parents() {
            let fits = |step: &&StepIndex| **step != own && **step < self.main;
            if let Some(parent) = self.index.get(id).filter(fits) {
                parents.push(*parent);
                continue;
            }
            let place = (source_node, &*rule_path.to_string());
            let (at, _) = self.locate_step(place, Written::Bare, id, "");
            match self.known_step(at, &rule_path, id, own, "a rule") {
                Some(parent) => parents.push(parent),
                None => whole = false,
            }
        }
        let mut handles = Vec::new();
        if let Some(node) = object.get("handles") {
            let path = path.key("handles");
            let items = self.list(node, &path)?;
            handles = self.step_list(items, &path, own, "handles")?;
            for (place, item) in items.iter().enumerate() {
                let id = item.as_str().unwrap_or_default();
                if self
                    .index
                    .get(id)
                    .is_some_and(|step| !parents.contains(step))
                {
                    let message = format!("`handles` names `{id}`, which the rule does not");
                    let problem = Problem::on(item, &path.index(place), message);
                    let named: Vec<&str> = rule.parents().iter().map(|id| &**id).collect();
                    self.report.error(problem.allowed(named.join(", ")));
                    whole = false;
                }
            }
        }
        whole.then_some((Needs::Rule { rule, handles }, parents))
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
