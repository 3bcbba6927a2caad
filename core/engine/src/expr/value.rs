use super::budget::Budget;
use super::error::{Failure, error};
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
    /// An integral JSON number that fits is an int, never a uint; any other number is a double
    /// (SEMANTICS 25). A number kept as a double stays one, whole or not.
    pub(crate) fn from_json(json: &'a Json) -> Value<'a> {
        match json {
            Json::Null => Value::Null,
            Json::Bool(bool) => Value::Bool(*bool),
            Json::Number(number) => match number.as_i64() {
                Some(int) => Value::Int(int),
                None => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Value::Text(Text::Json(text)),
            Json::Array(items) => Value::List(List::Json(items)),
            Json::Object(map) => Value::Map(Map::Json(map)),
        }
    }

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

    /// A number as a double compares: `None` for what is none.
    fn number(&self) -> Option<Number> {
        match self {
            Value::Int(int) => Some(Number::Whole(i128::from(*int))),
            Value::Uint(uint) => Some(Number::Whole(i128::from(*uint))),
            Value::Double(double) => Some(Number::Double(*double)),
            _ => None,
        }
    }

    /// Whether two values are equal. Numbers are equal across types; values of other types that
    /// differ are not equal, which is no error.
    pub(crate) fn equals(&self, other: &Value<'_>, budget: &Budget) -> Result<bool, Failure> {
        budget.work(1)?;
        if let (Some(a), Some(b)) = (self.number(), other.number()) {
            return Ok(a.compare(b) == Some(Ordering::Equal));
        }
        Ok(match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Text(a), Value::Text(b)) => {
                budget.text(a.as_str().len().min(b.as_str().len()))?;
                a.as_str() == b.as_str()
            }
            (Value::Bytes(a), Value::Bytes(b)) => {
                budget.text(a.len().min(b.len()))?;
                a == b
            }
            (Value::Timestamp(a), Value::Timestamp(b)) => a == b,
            (Value::Duration(a), Value::Duration(b)) => a == b,
            (Value::Type(a), Value::Type(b)) => a == b,
            (Value::Optional(None), Value::Optional(None)) => true,
            (Value::Optional(Some(a)), Value::Optional(Some(b))) => a.equals(b, budget)?,
            (Value::List(a), Value::List(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (a, b) in a.iter().zip(b.iter()) {
                    if !a.equals(&b, budget)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Value::Map(a), Value::Map(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (key, value) in a.entries() {
                    match b.get(&key) {
                        Some(other) if value.equals(&other, budget)? => {}
                        _ => return Ok(false),
                    }
                }
                true
            }
            _ => false,
        })
    }

    /// The order of two values; `None` where NaN is among them.
    pub(crate) fn compare(
        &self,
        other: &Value<'_>,
        budget: &Budget,
    ) -> Result<Option<Ordering>, Failure> {
        budget.work(1)?;
        if let (Some(a), Some(b)) = (self.number(), other.number()) {
            return Ok(a.compare(b));
        }
        Ok(Some(match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Text(a), Value::Text(b)) => {
                budget.text(a.as_str().len().min(b.as_str().len()))?;
                a.as_str().cmp(b.as_str())
            }
            (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
            (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
            (Value::Duration(a), Value::Duration(b)) => a.cmp(b),
            _ => return Err(Failure::Types),
        }))
    }

    /// JSON of what an expression gave. `depth` is how deep this may still nest.
    pub(crate) fn to_json(&self, budget: &Budget, depth: usize) -> Result<Json, Failure> {
        budget.work(1)?;
        let Some(below) = depth.checked_sub(1) else {
            return Err(Failure::Limit(format!(
                "the result nests deeper than {}",
                budget.limits().result_depth
            )));
        };
        Ok(match self {
            Value::Null => Json::Null,
            Value::Bool(bool) => Json::Bool(*bool),
            Value::Int(int) => Json::from(*int),
            Value::Uint(uint) => Json::from(*uint),
            Value::Double(double) => match serde_json::Number::from_f64(*double) {
                Some(number) => Json::Number(number),
                None => return error(format!("the result is {double}, which JSON does not have")),
            },
            Value::Text(text) => {
                budget.memory(text.as_str().len())?;
                Json::String(text.as_str().to_owned())
            }
            Value::Bytes(_) => {
                return error(
                    "the result is bytes, which JSON does not have: use string() or base64.encode()",
                );
            }
            Value::Timestamp(time) => Json::String(time.to_string()),
            Value::Duration(_) => Json::String(self.scalar_text().unwrap_or_default()),
            Value::Type(name) => {
                return error(format!(
                    "the result is the type {name}, which JSON does not have"
                ));
            }
            Value::Optional(Some(value)) => value.to_json(budget, depth)?,
            Value::Optional(None) => {
                return error("the result is an optional without a value: give one with orValue()");
            }
            Value::List(list) => {
                budget.memory(list.len() * size_of::<Json>())?;
                Json::Array(
                    list.iter()
                        .map(|item| item.to_json(budget, below))
                        .collect::<Result<_, _>>()?,
                )
            }
            Value::Map(map) => {
                let mut object = serde_json::Map::new();
                for (key, value) in map.entries() {
                    let key = key.text();
                    budget.memory(key.len() + size_of::<Json>() * 2)?;
                    let text = key.into_owned();
                    let value = value.to_json(budget, below)?;
                    if object.insert(text, value).is_some() {
                        return error("two keys of the resulting map are the same text");
                    }
                }
                Json::Object(object)
            }
        })
    }

    /// Text of a scalar as JSON, and as documents, write it; `None` for what is no scalar.
    pub(crate) fn scalar_text(&self) -> Option<String> {
        Some(match self {
            Value::Bool(bool) => bool.to_string(),
            Value::Int(int) => int.to_string(),
            Value::Uint(uint) => uint.to_string(),
            Value::Double(double) if double.is_finite() => {
                crate::value::canonical_string(&Json::from(*double))
            }
            Value::Text(text) => text.as_str().to_owned(),
            Value::Timestamp(time) => time.to_string(),
            Value::Duration(millis) => {
                let sign = if *millis < 0 { "-" } else { "" };
                format!("{sign}{}", crate::time::Duration(millis.unsigned_abs()))
            }
            _ => return None,
        })
    }
}

#[derive(Clone, Copy)]
enum Number {
    Whole(i128),
    Double(f64),
}

impl Number {
    fn compare(self, other: Number) -> Option<Ordering> {
        match (self, other) {
            (Number::Whole(a), Number::Whole(b)) => Some(a.cmp(&b)),
            (Number::Double(a), Number::Double(b)) => a.partial_cmp(&b),
            (Number::Whole(a), Number::Double(b)) => compare_whole(a, b),
            (Number::Double(a), Number::Whole(b)) => compare_whole(b, a).map(Ordering::reverse),
        }
    }
}

/// Exact, where turning the whole number into a double would round it.
fn compare_whole(whole: i128, double: f64) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    // Past these no 64-bit number is on the same side; `as` would saturate.
    if double >= 1e30 {
        return Some(Ordering::Less);
    }
    if double <= -1e30 {
        return Some(Ordering::Greater);
    }
    let floor = double.floor();
    Some(whole.cmp(&(floor as i128)).then(if double > floor {
        Ordering::Less
    } else {
        Ordering::Equal
    }))
}
