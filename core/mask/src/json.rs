//! JSON without the secrets that are in it.

use crate::mask::{HIDDEN, Mask};
use serde_json::Value;

impl Mask {
    /// The name of a secret that is in a JSON value.
    #[must_use]
    pub fn find_in_json(&self, value: &Value) -> Option<&str> {
        if self.is_empty() {
            return None;
        }
        let whole = self.find(value.to_string().as_bytes());
        whole.or_else(|| self.find_inside(value))
    }

    /// As it is read: a text that is JSON itself escapes what is escaped once more around it.
    fn find_inside(&self, value: &Value) -> Option<&str> {
        match value {
            Value::String(text) => self.find(text.as_bytes()),
            Value::Array(items) => items.iter().find_map(|item| self.find_inside(item)),
            Value::Object(fields) => fields.iter().find_map(|(name, value)| {
                let named = self.find(name.as_bytes());
                named.or_else(|| self.find_inside(value))
            }),
            _ => None,
        }
    }

    /// Masks the texts, names and numbers of a JSON value. Where a secret is in it all the same, as one
    /// that is JSON itself, nothing of the value is left.
    #[must_use]
    pub fn json(&self, value: &Value) -> Value {
        if self.find_in_json(value).is_none() {
            return value.clone();
        }
        let masked = self.walk(value);
        match self.find_in_json(&masked) {
            None => masked,
            Some(_) => HIDDEN.into(),
        }
    }

    fn walk(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.text(text).into_owned().into(),
            Value::Array(items) => items.iter().map(|item| self.walk(item)).collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(name, value)| (self.text(name).into_owned(), self.walk(value)))
                .collect(),
            Value::Number(number) if self.find(number.to_string().as_bytes()).is_some() => {
                HIDDEN.into()
            }
            other => other.clone(),
        }
    }
}
