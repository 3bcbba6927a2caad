mod compare;
mod json;

use crate::time::Time;
use crate::value::Json;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A CEL value. `'a` is the life of the JSON that an evaluation reads: nothing of it is copied
/// before an expression makes something new of it.
#[derive(Clone, Debug)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Text<'a>),
    Bytes(Arc<[u8]>),
    List(List<'a>),
    Map(Map<'a>),
    Timestamp(Time),
    /// Milliseconds.
    Duration(i64),
    Type(&'static str),
    Optional(Option<Arc<Value<'a>>>),
}

#[derive(Clone, Debug)]
pub(crate) enum Text<'a> {
    Json(&'a str),
    Made(Arc<str>),
}

impl Text<'_> {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Text::Json(text) => text,
            Text::Made(text) => text,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum List<'a> {
    Json(&'a [Json]),
    Made(Arc<Vec<Value<'a>>>),
}

impl<'a> List<'a> {
    pub(crate) fn len(&self) -> usize {
        match self {
            List::Json(items) => items.len(),
            List::Made(items) => items.len(),
        }
    }

    pub(crate) fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            List::Json(items) => items.get(index).map(Value::from_json),
            List::Made(items) => items.get(index).cloned(),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Value<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

/// A key of a map. An int and a uint of the same value are the same key.
#[derive(Clone, Debug)]
pub(crate) enum Key {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Text(Arc<str>),
}

impl Key {
    fn number(&self) -> Option<i128> {
        match self {
            Key::Int(int) => Some(i128::from(*int)),
            Key::Uint(uint) => Some(i128::from(*uint)),
            Key::Bool(_) | Key::Text(_) => None,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Key::Bool(_) => 0,
            Key::Int(_) | Key::Uint(_) => 1,
            Key::Text(_) => 2,
        }
    }

    /// The key as text, in a JSON object or a message.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        match self {
            Key::Bool(bool) => Cow::Owned(bool.to_string()),
            Key::Int(int) => Cow::Owned(int.to_string()),
            Key::Uint(uint) => Cow::Owned(uint.to_string()),
            Key::Text(text) => Cow::Borrowed(text),
        }
    }

    pub(crate) fn from_value(value: &Value<'_>) -> Option<Key> {
        match value {
            Value::Bool(bool) => Some(Key::Bool(*bool)),
            Value::Int(int) => Some(Key::Int(*int)),
            Value::Uint(uint) => Some(Key::Uint(*uint)),
            // CEL finds the key 1 by 1.0 too.
            Value::Double(double) if double.fract() == 0.0 && double.abs() < 9e15 => {
                Some(Key::Int(*double as i64))
            }
            Value::Text(Text::Made(text)) => Some(Key::Text(Arc::clone(text))),
            Value::Text(text) => Some(Key::Text(text.as_str().into())),
            _ => None,
        }
    }

    pub(crate) fn into_value<'a>(self) -> Value<'a> {
        match self {
            Key::Bool(bool) => Value::Bool(bool),
            Key::Int(int) => Value::Int(int),
            Key::Uint(uint) => Value::Uint(uint),
            Key::Text(text) => Value::Text(Text::Made(text)),
        }
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Key) -> Ordering {
        match (self, other) {
            (Key::Bool(a), Key::Bool(b)) => a.cmp(b),
            (Key::Text(a), Key::Text(b)) => a.cmp(b),
            _ => self
                .number()
                .cmp(&other.number())
                .then(self.rank().cmp(&other.rank())),
        }
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Key {}

#[derive(Clone, Debug)]
pub(crate) enum Map<'a> {
    Json(&'a serde_json::Map<String, Json>),
    Made(Arc<BTreeMap<Key, Value<'a>>>),
}

impl<'a> Map<'a> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Map::Json(map) => map.len(),
            Map::Made(map) => map.len(),
        }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Value<'a>> {
        match (self, key) {
            (Map::Json(map), Key::Text(text)) => map.get(&**text).map(Value::from_json),
            (Map::Json(_), _) => None,
            (Map::Made(map), key) => map.get(key).cloned(),
        }
    }

    pub(crate) fn field(&self, name: &Arc<str>) -> Option<Value<'a>> {
        match self {
            Map::Json(map) => map.get(&**name).map(Value::from_json),
            Map::Made(map) => map.get(&Key::Text(Arc::clone(name))).cloned(),
        }
    }

    /// The entries in key order, whatever order the JSON is kept in.
    pub(crate) fn entries(&self) -> Vec<(Key, Value<'a>)> {
        match self {
            Map::Json(map) => {
                let mut entries: Vec<_> = map.iter().collect();
                if !entries.is_sorted_by_key(|(key, _)| *key) {
                    entries.sort_by_key(|(key, _)| *key);
                }
                entries
                    .into_iter()
                    .map(|(key, value)| (Key::Text(key.as_str().into()), Value::from_json(value)))
                    .collect()
            }
            Map::Made(map) => map
                .iter()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        }
    }
}

impl<'a> Value<'a> {
    pub(crate) fn text(text: impl Into<Arc<str>>) -> Value<'a> {
        Value::Text(Text::Made(text.into()))
    }

    pub(crate) fn list(items: Vec<Value<'a>>) -> Value<'a> {
        Value::List(List::Made(Arc::new(items)))
    }

    pub(crate) fn some(value: Value<'a>) -> Value<'a> {
        Value::Optional(Some(Arc::new(value)))
    }

    /// CEL's name of the type.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Uint(_) => "uint",
            Value::Double(_) => "double",
            Value::Text(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::List(_) => "list",
            Value::Map(_) => "map",
            Value::Timestamp(_) => "timestamp",
            Value::Duration(_) => "duration",
            Value::Type(_) => "type",
            Value::Optional(_) => "optional",
        }
    }
}
