use crate::value::Json;
use serde_json::Number;

/// A value of a document and where it stands. Objects keep the written order, which the axes of a
/// matrix need.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Byte offset of its first character.
    pub(crate) at: u32,
    pub(crate) content: Content,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    Null,
    Bool(bool),
    Number(Number),
    Text(Box<str>),
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// What stands there has no value, for this reason; it is told once, when the tree is whole.
    Refused(Box<str>),
}

/// A key, where it stands, and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: Box<str>,
    pub(crate) at: u32,
    pub(crate) value: Node,
}

impl Node {
    pub(crate) fn text(at: u32, text: &str) -> Node {
        Node {
            at,
            content: Content::Text(text.into()),
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_map(&self) -> Option<&[Entry]> {
        match &self.content {
            Content::Map(entries) => Some(entries),
            _ => None,
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?
            .iter()
            .find(|entry| &*entry.key == key)
            .map(|entry| &entry.value)
    }

    /// The value at a JSON pointer below this one.
    pub(crate) fn pointer(&self, pointer: &str) -> Option<&Node> {
        let mut node = self;
        for segment in pointer.split('/').skip(1) {
            let segment = segment.replace("~1", "/").replace("~0", "~");
            node = match &node.content {
                Content::List(items) => items.get(segment.parse::<usize>().ok()?)?,
                _ => node.get(&segment)?,
            };
        }
        Some(node)
    }

    /// Where the key stands that a JSON pointer ends in, and the key.
    pub(crate) fn key_at(&self, pointer: &str) -> Option<(u32, &str)> {
        let (parent, key) = pointer.rsplit_once('/')?;
        let key = key.replace("~1", "/").replace("~0", "~");
        let entries = self.pointer(parent)?.as_map()?;
        let entry = entries.iter().find(|entry| *entry.key == *key)?;
        Some((entry.at, &entry.key))
    }

    pub(crate) fn to_json(&self) -> Json {
        match &self.content {
            Content::Null | Content::Refused(_) => Json::Null,
            Content::Bool(value) => Json::Bool(*value),
            Content::Number(number) => Json::Number(number.clone()),
            Content::Text(text) => Json::String(text.to_string()),
            Content::List(items) => items.iter().map(Node::to_json).collect(),
            Content::Map(entries) => Json::Object(
                entries
                    .iter()
                    .map(|entry| (entry.key.to_string(), entry.value.to_json()))
                    .collect(),
            ),
        }
    }

    /// What a person would call this value, for the `found` of an error.
    pub(crate) fn describe(&self) -> String {
        match &self.content {
            Content::Null => "null".to_owned(),
            Content::Refused(_) => "a value that is refused".to_owned(),
            Content::Bool(value) => format!("the boolean {value}"),
            Content::Number(number) => format!("the number {number}"),
            Content::Text(text) => format!("the text {}", quote(text)),
            Content::List(items) => format!("a list of {}", items.len()),
            Content::Map(entries) => format!("an object with {} keys", entries.len()),
        }
    }
}

/// `text` in quotes, cut where it is long.
pub(crate) fn quote(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST {
        return format!("{text:?}");
    }
    let head: String = text.chars().take(MOST).collect();
    format!("{head:?}… ({} bytes)", text.len())
}

/// A number as both formats write it; one that is out of range is [`Content::Refused`].
pub(crate) fn number(literal: &str) -> Content {
    match crate::value::number(literal) {
        Ok(number) => Content::Number(number),
        Err(message) => Content::Refused(message.into()),
    }
}
