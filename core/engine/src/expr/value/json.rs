//! From JSON, without a copy, and to it.

use super::{List, Map, Text, Value};
use crate::expr::budget::Budget;
use crate::expr::error::{Failure, error};
use crate::value::Json;

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

    /// JSON of what an expression gave. `depth` is how deep this may still nest.
    pub(crate) fn to_json(&self, budget: &Budget, depth: usize) -> Result<Json, Failure> {
        budget.work(1)?;
        let Some(below) = depth.checked_sub(1) else {
            return Err(Failure::Limit(format!(
                "the result nests deeper than {} (limit `result_depth`)",
                budget.limits().result_depth
            )));
        };
        Ok(match self {
            Value::Null => Json::Null,
            Value::Bool(bool) => Json::Bool(*bool),
            Value::Int(int) => Json::from(*int),
            // A reader would make another number of it.
            Value::Uint(uint) => match i64::try_from(*uint) {
                Ok(int) => Json::from(int),
                Err(_) => return error(crate::value::beyond(&uint.to_string())),
            },
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
