//! `inputs` and `vars`: one value that many expressions read.

use super::values::{self, Values};
use crate::value::{Hash, Json, Value};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, OnceLock};

/// A value, and its JSON once somebody has read it. A stored one is read when an expression first
/// names it, so that a fold needs no stored values.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Root {
    value: Value,
    #[serde(skip)]
    json: OnceLock<Arc<Json>>,
}

impl PartialEq for Root {
    /// Whether somebody has read it makes no difference.
    fn eq(&self, other: &Root) -> bool {
        let read = self.json.get().zip(other.json.get());
        self.value == other.value && read.is_none_or(|(json, other)| json == other)
    }
}

impl Root {
    /// A value; `adapt` declares its numbers.
    pub(crate) fn new(value: Value, adapt: impl Fn(&mut Json)) -> Root {
        let root = Root {
            value,
            json: OnceLock::new(),
        };
        root.read(&values::NoValues, adapt);
        root
    }

    /// A value that is known already.
    pub(crate) fn known(json: Json) -> Root {
        Root {
            value: Value::Inline(Arc::from(*b"{}")),
            json: OnceLock::from(Arc::new(json)),
        }
    }

    /// The value itself.
    pub(crate) fn value(&self) -> &Value {
        &self.value
    }

    /// What has to be loaded before it can be read.
    pub(crate) fn missing(&self) -> Option<Hash> {
        self.value.hash().filter(|_| self.json.get().is_none())
    }

    /// The JSON; `None` when its text is not at hand.
    pub(crate) fn read(&self, values: &dyn Values, adapt: impl Fn(&mut Json)) -> Option<Arc<Json>> {
        if let Some(json) = self.json.get() {
            return Some(Arc::clone(json));
        }
        let mut json = match values::read(&self.value, values)? {
            json @ Json::Object(_) => json,
            _ => Json::Object(serde_json::Map::new()),
        };
        adapt(&mut json);
        Some(Arc::clone(self.json.get_or_init(|| Arc::new(json))))
    }
}
