//! States and instants as the words that programs read, and names of instances.

use crate::render::human::printable;
use conveyor_engine::time::Time;
use conveyor_engine::value::Json;
use serde::Serializer;
use std::fmt::Display;

pub(super) fn display<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

/// A state, or that there is none yet.
pub(super) fn or_running<T: Display, S: Serializer>(
    value: &Option<T>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => to.collect_str(value),
        None => to.serialize_str("running"),
    }
}

pub(super) fn time<S: Serializer>(value: &Option<Time>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => to.collect_str(value),
        None => to.serialize_none(),
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands in a reference"
)]
pub(super) fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// `[os=linux node=20]` for a combination, `[eu]` for an item, else `[2]`, the position from 0, by
/// which `logs --instance` and the reasons of the engine name it.
pub(crate) fn label(params: Option<&Json>, position: usize) -> String {
    let inside = match params {
        None => position.to_string(),
        Some(Json::Object(map)) if !map.is_empty() => {
            let pairs: Vec<_> = map
                .iter()
                .map(|(key, v)| format!("{key}={}", scalar(v)))
                .collect();
            pairs.join(" ")
        }
        Some(item) => scalar(item),
    };
    format!("[{}]", printable(&inside))
}

fn scalar(json: &Json) -> String {
    match json {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn instances_are_called_by_what_makes_them_different() {
        assert_eq!(
            label(Some(&json!({"os": "linux", "node": 20})), 0),
            "[node=20 os=linux]"
        );
        assert_eq!(label(Some(&json!("eu\n1")), 0), "[eu·1]");
        assert_eq!(label(Some(&json!([1, 2])), 0), "[[1,2]]");
        assert_eq!(label(None, 2), "[2]");
        assert_eq!(label(Some(&json!({})), 0), "[{}]");
        assert_eq!(label(Some(&json!({"a\u{1b}[2J": "\u{9b}m"})), 0), "[a=·m]");
    }
}
