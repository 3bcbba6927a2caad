//! What an answer becomes.

use crate::exchange::Answer;
use crate::secrets::Secrets;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header;
use serde_json::{Map, Value, json};

/// JSON Schema 2020-12 of the outputs.
pub(crate) fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": ["status", "headers"],
        "properties": {
            "status": { "type": "integer", "minimum": 100, "maximum": 599 },
            "headers": {
                "description": "By lower-case name; one that comes several times is joined by commas.",
                "type": "object", "additionalProperties": { "type": "string" },
            },
            "json": { "description": "The body, where its media type is JSON and it is." },
            "body": { "description": "The body, where it is other text.", "type": "string" },
            "body_base64": { "description": "The body, where it is no UTF-8.", "type": "string" },
        },
    })
}

/// The outputs of an answer. A secret that the server sends back is not in them.
pub(crate) fn outputs(answer: &Answer, secrets: &Secrets<'_>) -> Value {
    let mut headers = Map::new();
    for (name, value) in &answer.headers {
        let value = secrets.masked(&String::from_utf8_lossy(value.as_bytes()));
        match headers.get_mut(name.as_str()) {
            Some(Value::String(before)) => {
                before.push_str(", ");
                before.push_str(&value);
            }
            _ => {
                headers.insert(name.as_str().to_owned(), Value::String(value));
            }
        }
    }
    let mut outputs = json!({ "status": answer.status.as_u16(), "headers": headers });
    let (name, body) = body(answer, secrets);
    outputs[name] = body;
    outputs
}

fn body(answer: &Answer, secrets: &Secrets<'_>) -> (&'static str, Value) {
    let Ok(text) = std::str::from_utf8(&answer.body) else {
        return ("body_base64", Value::String(STANDARD.encode(&answer.body)));
    };
    let text = secrets.masked(text);
    let kind = answer.headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let is_json = kind.eq_ignore_ascii_case("application/json")
        || kind.to_ascii_lowercase().ends_with("+json");
    match is_json.then(|| serde_json::from_str(&text)) {
        Some(Ok(json)) => ("json", json),
        _ => ("body", Value::String(text)),
    }
}
