//! Fields of objects and values of simple types.

use super::Compiler;
use crate::nearest::nearest;
use crate::source::{Content, Entry, Node, Path, Problem};
use crate::time::Duration;

/// What an object may have.
pub(super) struct Fields {
    /// Names that mean something now.
    pub(super) known: &'static [&'static str],
    /// Names of the full format that this version refuses by name.
    pub(super) later: &'static [&'static str],
}

impl Fields {
    pub(super) const fn of(known: &'static [&'static str]) -> Fields {
        Fields { known, later: &[] }
    }
}

/// The entries of an object that was checked for unknown fields.
#[derive(Clone, Copy)]
pub(super) struct Object<'n> {
    pub(super) node: &'n Node,
    pub(super) entries: &'n [Entry],
}

impl<'n> Object<'n> {
    pub(super) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    pub(super) fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| &*entry.key == key)
    }
}

impl<'n> Compiler<'_, '_, 'n> {
    pub(super) fn wrong_type(&mut self, node: &Node, path: &Path<'_>, allowed: &str) {
        if matches!(node.content, Content::Refused(_)) {
            return; // said already, where it was read
        }
        let message = format!("`{}` has the wrong type", path.last());
        self.report.error(
            Problem::on(node, path, message)
                .found(node.describe())
                .allowed(allowed),
        );
    }

    /// The entries of an object, or an error.
    pub(super) fn map(&mut self, node: &'n Node, path: &Path<'_>) -> Option<Object<'n>> {
        match &node.content {
            Content::Map(entries) => Some(Object { node, entries }),
            _ => {
                self.wrong_type(node, path, "an object");
                None
            }
        }
    }

    /// The entries of an object that has no other fields than these; an error for each other.
    pub(super) fn object(
        &mut self,
        node: &'n Node,
        path: &Path<'_>,
        fields: &Fields,
    ) -> Option<Object<'n>> {
        let object = self.map(node, path)?;
        for entry in object.entries {
            let name = &*entry.key;
            if fields.known.contains(&name) {
                continue;
            }
            let pointer = path.key(name).to_string();
            let problem = if fields.later.contains(&name) {
                Problem::new(entry.at, format!("`{name}` is not supported yet"))
            } else {
                Problem::new(entry.at, format!("unknown field `{name}`")).nearest(nearest(
                    name,
                    fields.known.iter().chain(fields.later).copied(),
                ))
            };
            let problem = Problem { pointer, ..problem };
            self.report.error(problem.allowed(fields.known.join(", ")));
        }
        Some(object)
    }

    pub(super) fn list(&mut self, node: &'n Node, path: &Path<'_>) -> Option<&'n [Node]> {
        match &node.content {
            Content::List(items) => Some(items),
            _ => {
                self.wrong_type(node, path, "a list");
                None
            }
        }
    }

    pub(super) fn text(&mut self, node: &'n Node, path: &Path<'_>) -> Option<&'n str> {
        let text = node.as_str();
        if text.is_none() {
            self.wrong_type(node, path, "a text");
        }
        text
    }

    /// A text of at most so many bytes.
    pub(super) fn short_text(
        &mut self,
        node: &'n Node,
        path: &Path<'_>,
        limit: &str,
        most: usize,
    ) -> Option<&'n str> {
        let text = self.text(node, path)?;
        if text.len() > most {
            let message = format!(
                "`{}` has {} bytes; the limit `{limit}` is {most}",
                path.last(),
                text.len()
            );
            self.report.error(Problem::on(node, path, message));
            return None;
        }
        Some(text)
    }

    pub(super) fn boolean(&mut self, node: &Node, path: &Path<'_>) -> Option<bool> {
        match node.content {
            Content::Bool(value) => Some(value),
            _ => {
                self.wrong_type(node, path, "true or false");
                None
            }
        }
    }

    /// A whole number between `least` and `most`; `limit` names the bound above.
    pub(super) fn integer(
        &mut self,
        node: &Node,
        path: &Path<'_>,
        least: u32,
        (limit, most): (&str, u32),
    ) -> Option<u32> {
        let allowed = format!("a whole number from {least} to {most} (limit `{limit}`)");
        let Content::Number(number) = &node.content else {
            self.wrong_type(node, path, &allowed);
            return None;
        };
        match number.as_u64().and_then(|value| u32::try_from(value).ok()) {
            Some(value) if (least..=most).contains(&value) => Some(value),
            _ => {
                let message = format!("`{}` is out of range", path.last());
                let problem = Problem::on(node, path, message).found(number.to_string());
                self.report.error(problem.allowed(allowed));
                None
            }
        }
    }

    /// A number between `least` and `most`, in parts of one `scale`th.
    pub(super) fn fraction(
        &mut self,
        node: &Node,
        path: &Path<'_>,
        (least, most): (f64, f64),
        scale: f64,
    ) -> Option<u64> {
        let allowed = format!("a number from {least} to {most}");
        let value = match &node.content {
            Content::Number(number) => number.as_f64(),
            _ => {
                self.wrong_type(node, path, &allowed);
                return None;
            }
        };
        match value {
            // Rounded once, here; everything after is integer arithmetic (PROTOCOL P6).
            Some(value) if (least..=most).contains(&value) => Some((value * scale).round() as u64),
            _ => {
                let message = format!("`{}` is out of range", path.last());
                let problem = Problem::on(node, path, message).found(node.describe());
                self.report.error(problem.allowed(allowed));
                None
            }
        }
    }

    pub(super) fn duration(&mut self, node: &'n Node, path: &Path<'_>) -> Option<Duration> {
        const ALLOWED: &str = "a duration such as 300ms, 2s, 15m, 1h30m or 7d, at most 3650d";
        let Some(text) = node.as_str() else {
            self.wrong_type(node, path, ALLOWED);
            return None;
        };
        match Duration::parse(text) {
            Ok(duration) => Some(duration),
            Err(_) => {
                let message = format!("`{}` is not a duration", path.last());
                let problem = Problem::on(node, path, message).found(node.describe());
                self.report.error(problem.allowed(ALLOWED));
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        node: &'n Node,
        path: &Path<'_>,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let allowed = words.join(", ");
        let Some(text) = node.as_str() else {
            self.wrong_type(node, path, &allowed);
            return None;
        };
        let chosen = choices
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, choice)| *choice);
        if chosen.is_none() {
            let message = format!("`{}` cannot be {text:?}", path.last());
            let problem = Problem::on(node, path, message).allowed(allowed);
            self.report.error(problem.nearest(nearest(text, words)));
        }
        chosen
    }

    /// A name in the format's own syntax, or an error that shows the syntax.
    pub(super) fn name(
        &mut self,
        node: &'n Node,
        path: &Path<'_>,
        syntax: &NameSyntax,
        (limit, most): (&str, usize),
    ) -> Option<&'n str> {
        let allowed = format!("{}, at most {most} characters", syntax.pattern);
        let Some(text) = node.as_str() else {
            self.wrong_type(node, path, &allowed);
            return None;
        };
        if text.len() <= most && syntax.fits(text) {
            return Some(text);
        }
        let message = if text.len() > most {
            format!(
                "`{}` has {} bytes; the limit `{limit}` is {most}",
                path.last(),
                text.len()
            )
        } else {
            format!("`{}` is not a valid name", path.last())
        };
        let problem = Problem::on(node, path, message).found(node.describe());
        self.report.error(problem.allowed(allowed));
        None
    }
}

/// The letters of a name.
pub(super) struct NameSyntax {
    pub(super) pattern: &'static str,
    first: fn(u8) -> bool,
    middle: fn(u8) -> bool,
    last: fn(u8) -> bool,
}

impl NameSyntax {
    pub(super) fn fits(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        match (bytes.first(), bytes.last()) {
            (Some(first), Some(last)) => {
                (self.first)(*first)
                    && bytes.iter().all(|byte| (self.middle)(*byte))
                    && (bytes.len() == 1 || (self.last)(*last))
            }
            _ => false,
        }
    }
}

fn lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// Pipelines, namespaces.
pub(super) const OBJECT_NAME: NameSyntax = NameSyntax {
    pattern: "[a-z0-9]([a-z0-9-]*[a-z0-9])?",
    first: lower,
    middle: |byte| lower(byte) || byte == b'-',
    last: lower,
};

/// Steps.
pub(super) const STEP_ID: NameSyntax = NameSyntax {
    pattern: "[A-Za-z_][A-Za-z0-9_-]*",
    first: |byte| byte.is_ascii_alphabetic() || byte == b'_',
    middle: |byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-',
    last: |byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-',
};

/// What CEL calls an identifier.
pub(super) const IDENTIFIER: NameSyntax = NameSyntax {
    pattern: "[A-Za-z_][A-Za-z0-9_]*",
    first: |byte| byte.is_ascii_alphabetic() || byte == b'_',
    middle: |byte| byte.is_ascii_alphanumeric() || byte == b'_',
    last: |byte| byte.is_ascii_alphanumeric() || byte == b'_',
};

/// Drivers, actions, ResourceDefinitions.
pub(super) const DRIVER: NameSyntax = NameSyntax {
    pattern: "[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?",
    first: |byte| byte.is_ascii_alphanumeric(),
    middle: |byte| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte),
    last: |byte| byte.is_ascii_alphanumeric(),
};
