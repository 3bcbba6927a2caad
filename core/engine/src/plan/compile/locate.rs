//! Where in the document a part of an expression stands.

use super::Compiler;
use crate::expr::{expressions, find_member, find_name, find_step};
use crate::source::{Content, Node};

/// How an expression is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// CEL as it stands.
    Bare,
    /// `${{ cel }}` in the texts and keys of a value.
    Template,
}

/// What is looked for in an expression's source.
type Find<'f> = &'f dyn Fn(&str) -> Option<usize>;

impl Compiler<'_, '_, '_> {
    /// The document's offset of byte `offset` of a text; where it starts, if that cannot be told.
    pub(super) fn offset(&self, node: &Node, offset: usize) -> u32 {
        match node.as_str() {
            Some(text) => self.report.offset(node.at, text, offset),
            None => node.at,
        }
    }

    /// Where the root `name` stands below a node, and the pointer to there.
    pub(super) fn locate_root(
        &self,
        (node, pointer): (&Node, &str),
        written: Written,
        name: &str,
    ) -> (u32, String) {
        self.locate(node, pointer, written, &|source| find_name(source, name))
            .unwrap_or_else(|| (node.at, pointer.to_owned()))
    }

    /// Where `member` stands behind the root `name` below a node, or the root itself.
    pub(super) fn locate_member(
        &self,
        place: (&Node, &str),
        written: Written,
        (name, member): (&str, &str),
    ) -> (u32, String) {
        let find = |source: &str| find_member(source, name, member);
        self.locate(place.0, place.1, written, &find)
            .unwrap_or_else(|| self.locate_root(place, written, name))
    }

    /// Where `name` stands behind the step `id` below a node, or the step itself, if `name` is empty
    /// or nowhere.
    pub(super) fn locate_step(
        &self,
        (node, pointer): (&Node, &str),
        written: Written,
        id: &str,
        name: &str,
    ) -> (u32, String) {
        let member = |source: &str| find_step(source, id, Some(name).filter(|it| !it.is_empty()));
        self.locate(node, pointer, written, &member)
            .or_else(|| self.locate(node, pointer, written, &|text| find_step(text, id, None)))
            .unwrap_or_else(|| (node.at, pointer.to_owned()))
    }

    fn locate(
        &self,
        node: &Node,
        pointer: &str,
        written: Written,
        find: Find<'_>,
    ) -> Option<(u32, String)> {
        // What is only counted needs no place.
        if self.report.is_full() {
            return None;
        }
        match &node.content {
            Content::Text(text) => {
                let offset = find_in(text, written, find)?;
                Some((self.offset(node, offset), pointer.to_owned()))
            }
            Content::List(items) => items.iter().enumerate().find_map(|(index, item)| {
                self.locate(item, &format!("{pointer}/{index}"), written, find)
            }),
            Content::Map(entries) => entries.iter().find_map(|entry| {
                let key = entry.key.replace('~', "~0").replace('/', "~1");
                let pointer = format!("{pointer}/{key}");
                if let Some(offset) = find_in(&entry.key, Written::Template, find) {
                    let at = self.report.offset(entry.at, &entry.key, offset);
                    return Some((at, pointer));
                }
                self.locate(&entry.value, &pointer, written, find)
            }),
            _ => None,
        }
    }
}

fn find_in(text: &str, written: Written, find: Find<'_>) -> Option<usize> {
    match written {
        Written::Bare => find(text),
        Written::Template => expressions(text)
            .into_iter()
            .find_map(|(start, source)| find(source).map(|offset| start + offset)),
    }
}
