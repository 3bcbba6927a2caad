//! JSON and YAML for programs.

use crate::render::view::RunView;
use conveyor_engine::value::Json;
use serde::Serialize;
use serde_json::json;

/// Indented JSON with a line feed at the end.
///
/// # Errors
/// When the value has no JSON form.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<String, String> {
    let mut text = serde_json::to_string_pretty(value).map_err(|error| error.to_string())?;
    text.push('\n');
    Ok(text)
}

/// One line of JSON, for streams.
///
/// # Errors
/// When the value has no JSON form.
pub(crate) fn json_line<T: Serialize>(value: &T) -> Result<String, String> {
    let mut text = serde_json::to_string(value).map_err(|error| error.to_string())?;
    text.push('\n');
    Ok(text)
}

/// YAML. It has the same shape as the JSON, whatever the type's own YAML would be.
///
/// # Errors
/// When the value has no YAML form.
pub(crate) fn yaml<T: Serialize>(value: &T) -> Result<String, String> {
    let json: Json = serde_json::to_value(value).map_err(|error| error.to_string())?;
    let mut text = serde_saphyr::to_string(&json).map_err(|error| error.to_string())?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// A run in a list.
pub(crate) fn row(view: &RunView) -> Json {
    json!({
        "id": view.id, "namespace": view.namespace, "pipeline": view.pipeline,
        "state": view.state.as_str(), "interrupted": view.interrupted, "reason": view.reason,
        "actor": view.actor, "labels": view.labels, "warnings": view.warnings,
        "forked_from": view.forked_from,
        "started_at": view.started_at.map(|at| at.to_string()),
        "ended_at": view.ended_at.map(|at| at.to_string()),
    })
}

/// What a request made of a run: its row, and why there was no effect where there was none.
pub(crate) fn told(view: &RunView, no_effect: &str) -> Json {
    let mut told = row(view);
    if !no_effect.is_empty() {
        told["no_effect"] = no_effect.into();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_reads_back_as_the_json_it_came_from() {
        let value = json!({
            "run": "0198", "empty": {}, "none": null, "list": [1, 9_007_199_254_740_993_i64],
            "tricky": ["yes", "1", "a: b", "# no", "", "two\nlines", "~", "- x"],
        });
        let text = yaml(&value).expect("has a YAML form");
        let back: Json = serde_saphyr::from_str(&text).expect("is YAML");
        assert_eq!(back, value, "{text}");
    }
}
