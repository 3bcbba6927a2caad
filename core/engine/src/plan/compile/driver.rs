//! A step against what its driver says of itself, where that is known (PROTOCOL P27).

use super::Compiler;
use super::draft::{Draft, Given};
use super::fields::Object;
use crate::expr::Template;
use crate::nearest::nearest;
use crate::plan::drivers::ActionContract;
use crate::plan::version_satisfies;
use crate::source::{Node, Path, Problem};

impl<'n> Compiler<'_, '_, 'n> {
    /// Checks the action, a `with` that names nothing, and the outputs that the step declares; keeps
    /// the outputs that there can be, for those who read them.
    pub(super) fn against_driver(
        &mut self,
        draft: &mut Draft<'n>,
        object: &Object<'n>,
        path: &Path<'_>,
        (name, version, action): (&str, Option<&str>, Option<&str>),
        with: &Template,
    ) {
        let drivers = self.drivers;
        let Some(driver) = drivers.get(name) else {
            return;
        };
        if version.is_some_and(|wanted| !version_satisfies(wanted, &driver.version)) {
            // Another version's actions say nothing of the one that is asked for.
            return;
        }
        let Some(contract) = driver.action(action) else {
            let (key, named) = match action {
                Some(action) => ("action", action),
                None => ("driver", ""),
            };
            let names: Vec<&str> = driver.actions.iter().map(|action| &*action.name).collect();
            let node = object.get(key).unwrap_or(object.node);
            let message = format!("the driver `{name}` {} has no such action", driver.version);
            let near = nearest(named, names.iter().copied());
            let problem = Problem::on(node, &path.key(key), message).found(node.describe());
            self.report
                .error(problem.allowed(names.join(", ")).nearest(near));
            return;
        };
        self.constant_with(object, path, contract, with);
        if let Some(mut names) = contract.only_outputs() {
            self.declared_outputs(object, path, name, &mut names);
            draft.given = Given::Only(names);
        }
    }

    fn constant_with(
        &mut self,
        object: &Object<'n>,
        path: &Path<'_>,
        contract: &ActionContract,
        with: &Template,
    ) {
        let (Some(schema), Some(json)) = (&contract.inputs, with.constant()) else {
            return;
        };
        let Err(violations) = schema.check(json) else {
            return;
        };
        let given = object.get("with");
        let own = path.key("with");
        for violation in violations {
            let pointer = &violation.pointer;
            let node = given.and_then(|node| node.pointer(pointer)).or(given);
            let at = match (key_place(given, pointer), node) {
                (Some(at), _) if !violation.known.is_empty() => at,
                (_, Some(node)) => node.at,
                (_, None) => object.node.at,
            };
            let problem = Problem {
                pointer: format!("{own}{pointer}"),
                ..Problem::new(at, format!("`with`: {}", violation.message))
            };
            let problem = if violation.known.is_empty() {
                problem
            } else {
                let key = pointer.rsplit('/').next().unwrap_or_default();
                let known = violation.known.iter().map(String::as_str);
                let near = nearest(key, known);
                problem.allowed(violation.known.join(", ")).nearest(near)
            };
            self.report.error(problem);
        }
    }

    /// What the step declares as an output, the driver must be able to give; one with a default needs
    /// nobody who gives it.
    fn declared_outputs(
        &mut self,
        object: &Object<'n>,
        path: &Path<'_>,
        driver: &str,
        names: &mut Vec<&'n str>,
    ) {
        let declared = object.get("outputs").and_then(Node::as_map);
        let path = path.key("outputs");
        for entry in declared.unwrap_or_default() {
            if names.contains(&&*entry.key) {
                continue;
            }
            if entry.value.get("default").is_some() {
                names.push(&entry.key);
                continue;
            }
            let message = format!("the driver `{driver}` gives no output `{}`", entry.key);
            let problem = Problem {
                pointer: path.key(&entry.key).to_string(),
                ..Problem::new(entry.at, message)
            };
            let near = nearest(&entry.key, names.iter().copied());
            let problem = problem.nearest(near);
            self.report.error(if names.is_empty() {
                problem
            } else {
                problem.allowed(names.join(", "))
            });
        }
    }
}

/// Where the key stands that a pointer ends in.
fn key_place(root: Option<&Node>, pointer: &str) -> Option<u32> {
    let (parent, key) = pointer.rsplit_once('/')?;
    let key = key.replace("~1", "/").replace("~0", "~");
    let entries = root?.pointer(parent)?.as_map()?;
    let entry = entries.iter().find(|entry| *entry.key == *key)?;
    Some(entry.at)
}
