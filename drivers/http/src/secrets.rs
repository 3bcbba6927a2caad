//! Values that are never told.

use crate::failure::permanent;
use conveyor_sdk::{Failure, SecretValues};

/// What stands in their place.
const MASK: &str = "***";

/// The task's secrets.
pub(crate) struct Secrets<'a>(pub(crate) &'a SecretValues);

impl Secrets<'_> {
    /// The value of one, as text.
    pub(crate) fn text(&self, name: &str) -> Result<&str, Failure> {
        let Some(value) = self.0.get(name) else {
            let known: Vec<_> = self.0.names().collect();
            let known = match known.is_empty() {
                true => "none".to_owned(),
                false => known.join(", "),
            };
            let message = format!("the step has no secret `{name}`; it has: {known}");
            return Err(permanent("no_secret", message));
        };
        std::str::from_utf8(value).map_err(|_| {
            let message = format!("the secret `{name}` is no UTF-8 text");
            permanent("no_secret", message)
        })
    }

    /// A text in which none of them can be read.
    pub(crate) fn masked(&self, text: &str) -> String {
        let mut values: Vec<_> = self
            .0
            .iter()
            .filter_map(|(_, value)| std::str::from_utf8(value).ok())
            .filter(|value| !value.is_empty())
            .collect();
        // The longest first: one may be the beginning of another.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        let mut text = text.to_owned();
        for value in values {
            if text.contains(value) {
                text = text.replace(value, MASK);
            }
        }
        text
    }
}
