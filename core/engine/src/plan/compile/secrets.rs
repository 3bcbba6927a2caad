//! Secrets: where each is found, and what a step calls it. Values are no part of a document.

use super::Compiler;
use super::fields::{Fields, IDENTIFIER, OBJECT_NAME, Object};
use crate::nearest::nearest;
use crate::plan::types::{SecretProvider, SecretSource};
use crate::source::{Content, Node, Path, Problem};
use std::collections::BTreeMap;
use std::sync::Arc;

const SECRET: Fields = Fields::of(&["name", "from"]);

/// More than a pipeline has places to hand them to.
const SECRETS: usize = 100;
/// What a file's name has at most.
const KEY_BYTES: usize = 255;
/// As long as any other name.
const NAME_BYTES: (&str, usize) = ("secret_name_bytes", 63);
/// Variables of that beginning are the engine's own: its tokens may be among them.
const OWN: &str = "CONVEYOR_";

impl<'n> Compiler<'_, '_, 'n> {
    /// `spec.secrets`.
    pub(super) fn spec_secrets(
        &mut self,
        spec: &Object<'n>,
        path: &Path<'_>,
    ) -> BTreeMap<Arc<str>, SecretSource> {
        let mut found = BTreeMap::new();
        let Some(node) = spec.get("secrets") else {
            return found;
        };
        let path = path.key("secrets");
        let Some(items) = self.list(node, &path) else {
            return found;
        };
        self.count(node, &path, items.len());
        for (at, item) in items.iter().enumerate() {
            let path = path.index(at);
            let Some(object) = self.object(item, &path, &SECRET) else {
                continue;
            };
            let name = self.required(&object, &path, "name");
            let name =
                name.and_then(|node| Some((node, self.secret_name(node, &path.key("name"))?)));
            let from = self.required(&object, &path, "from");
            let from = from.and_then(|node| self.source(node, &path.key("from")));
            let (Some((node, name)), Some(from)) = (name, from) else {
                continue;
            };
            if found.insert(Arc::from(name), from).is_some() {
                let message = format!("the secret {name:?} is there twice");
                let problem = Problem::on(node, &path.key("name"), message);
                self.report.error(problem);
            }
        }
        found
    }

    fn count(&mut self, node: &Node, path: &Path<'_>, count: usize) {
        if count > SECRETS {
            let message =
                format!("`secrets` has {count} entries; the limit `secrets` is {SECRETS}");
            self.report.error(Problem::on(node, path, message));
        }
    }

    /// The name of a secret: an identifier, or the name of an object.
    fn secret_name(&mut self, node: &'n Node, path: &Path<'_>) -> Option<&'n str> {
        match node.as_str() {
            Some(text) if text.len() <= NAME_BYTES.1 && OBJECT_NAME.fits(text) => Some(text),
            _ => self.name(node, path, &IDENTIFIER, NAME_BYTES),
        }
    }

    /// `env:NAME` or `file:NAME`.
    fn source(&mut self, node: &'n Node, path: &Path<'_>) -> Option<SecretSource> {
        const ALLOWED: &str = "env:NAME or file:NAME";
        let text = self.text(node, path)?;
        // What stands there may be the secret itself, by mistake: it is not repeated.
        let Some((provider, key)) = text.split_once(':') else {
            let problem = Problem::on(node, path, "`from` does not say where the secret is found");
            self.report.error(problem.allowed(ALLOWED));
            return None;
        };
        let (provider, flaw) = match provider {
            "env" => (SecretProvider::Env, variable_flaw(key)),
            "file" => (SecretProvider::File, file_flaw(key)),
            other if IDENTIFIER.fits(other) && other.len() <= NAME_BYTES.1 => {
                let message = format!("there is no provider of secrets `{other}`");
                let problem = Problem::on(node, path, message).allowed(ALLOWED);
                self.report
                    .error(problem.nearest(nearest(other, ["env", "file"])));
                return None;
            }
            _ => {
                let problem = Problem::on(node, path, "`from` names no provider of secrets");
                self.report.error(problem.allowed(ALLOWED));
                return None;
            }
        };
        if let Some(flaw) = flaw {
            self.report.error(Problem::on(node, path, flaw));
            return None;
        }
        let key = key.into();
        Some(SecretSource { provider, key })
    }

    /// A step's `secrets`.
    pub(super) fn step_secrets(
        &mut self,
        step: &Object<'n>,
        path: &Path<'_>,
    ) -> BTreeMap<Arc<str>, Arc<str>> {
        let mut found = BTreeMap::new();
        let path = path.key("secrets");
        let Some(map) = step.get("secrets").and_then(|node| self.map(node, &path)) else {
            return found;
        };
        self.count(map.node, &path, map.entries.len());
        for entry in map.entries {
            let (given, node) = (&*entry.key, &entry.value);
            let path = path.key(given);
            if let Some(flaw) = variable_flaw(given) {
                self.report.error(Problem::on(node, &path, flaw));
                continue;
            }
            if matches!(&node.content, Content::Text(text) if text.contains("${{")) {
                let message = "the name of a secret is no expression: it is known before the run";
                self.report.error(Problem::on(node, &path, message));
                continue;
            }
            let Some(name) = self.text(node, &path) else {
                continue;
            };
            if !self.secrets.contains_key(name) {
                let message = format!("the pipeline has no secret {name:?}");
                let known = self.secrets.keys().map(|name| &**name);
                let near = nearest(name, known.clone());
                let known: Vec<_> = known.collect();
                let problem = Problem::on(node, &path, message).nearest(near);
                self.report.error(match known.is_empty() {
                    true => problem.allowed("a name in `spec.secrets`"),
                    false => problem.allowed(known.join(", ")),
                });
                continue;
            }
            found.insert(given.into(), name.into());
        }
        found
    }
}

/// What is wrong with a variable's name.
fn variable_flaw(name: &str) -> Option<String> {
    if name.is_empty() || name.contains(['=', '\0']) {
        let message = "a variable's name is not empty and has neither `=` nor a zero byte";
        return Some(message.to_owned());
    }
    if name.len() > KEY_BYTES {
        let bytes = name.len();
        return Some(format!(
            "the name has {bytes} bytes; the limit `secret_key_bytes` is {KEY_BYTES}"
        ));
    }
    let own = name.starts_with(OWN);
    own.then(|| format!("names that begin with {OWN} are the engine's own: choose another"))
}

/// What is wrong with a file's name.
fn file_flaw(name: &str) -> Option<String> {
    if name.is_empty() || matches!(name, "." | "..") || name.contains(['/', '\\', '\0']) {
        let message = "a secret's file is named by one name, without a directory";
        return Some(message.to_owned());
    }
    (name.len() > KEY_BYTES).then(|| {
        let bytes = name.len();
        format!("the name has {bytes} bytes; the limit `secret_key_bytes` is {KEY_BYTES}")
    })
}
