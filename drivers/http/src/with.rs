//! `with` of a step.

use crate::failure::permanent;
use crate::secrets::Secrets;
use crate::target::MAX_URL;
use bytes::Bytes;
use conveyor_sdk::{Failure, Task};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest time that a request may take.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(3600);
/// The most redirects that are followed.
pub const MAX_REDIRECTS: u32 = 20;
/// The longest answer that is kept, in bytes: half of what an attempt's outputs may have, which JSON
/// writes longer.
pub const MAX_BYTES: u64 = 4 << 20;

const TIMEOUT: Duration = Duration::from_secs(30);
const REDIRECTS: u32 = 5;
const BYTES: u64 = 1 << 20;

/// What tells a server of the attempt's trace, where the step does not say another.
const TRACEPARENT: &str = "traceparent";

/// Headers that are the connection's own affair.
const OWN: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// A document's words.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    url: String,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, Text>,
    #[serde(default)]
    body: Option<Text>,
    #[serde(default, deserialize_with = "present")]
    json: Option<Value>,
    #[serde(default)]
    timeout: Option<String>,
    #[serde(default)]
    expect: Expected,
    #[serde(default)]
    redirects: Option<u32>,
    #[serde(default)]
    max_bytes: Option<u64>,
}

/// A text, or a secret.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Text {
    Plain(String),
    Number(serde_json::Number),
    Bool(bool),
    Secret(Secret),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Secret {
    secret: String,
    #[serde(default)]
    prefix: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    #[serde(default)]
    status: Option<Vec<Status>>,
}

/// A status, or a class of them: `2xx`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Status {
    One(u16),
    Class(String),
}

/// A checked `with`. Secrets are in it, so that it shows nothing of itself.
pub(crate) struct With {
    pub(crate) url: String,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    /// Names of headers that hold a secret.
    pub(crate) secret_headers: Vec<HeaderName>,
    pub(crate) body: Bytes,
    /// Whether the body is a secret.
    pub(crate) secret_body: bool,
    pub(crate) timeout: Duration,
    pub(crate) expected: Vec<(u16, u16)>,
    pub(crate) redirects: u32,
    pub(crate) max_bytes: u64,
}

/// JSON Schema 2020-12 of `with`.
pub(crate) fn schema() -> Value {
    let text = || json!({ "type": ["string", "number", "boolean"] });
    let secret = || {
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["secret"],
            "properties": {
                "secret": { "description": "The name that the step gives the secret.", "type": "string", "minLength": 1 },
                "prefix": { "description": "What stands before it, such as `Bearer `.", "type": "string" },
            },
        })
    };
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": false,
        "required": ["url"],
        "not": { "required": ["body", "json"] },
        "properties": {
            "url": { "description": "http:// or https://, without a user.", "type": "string", "minLength": 1, "maxLength": MAX_URL },
            "method": { "type": "string", "pattern": "^[A-Z]{1,20}$", "default": "GET" },
            "headers": {
                "description": "Texts, or secrets.",
                "type": "object", "maxProperties": 100,
                "additionalProperties": { "anyOf": [text(), secret()] },
            },
            "body": { "description": "A text, or a secret.", "anyOf": [text(), secret()] },
            "json": { "description": "A body of JSON; sets Content-Type." },
            "timeout": { "description": "Of the request with its redirects; at most 1h.", "type": "string", "default": "30s" },
            "expect": {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "status": {
                        "description": "What is a success: statuses, or classes such as `2xx`.",
                        "type": "array", "minItems": 1, "maxItems": 100, "default": ["2xx"],
                        "items": { "anyOf": [
                            { "type": "integer", "minimum": 100, "maximum": 599 },
                            { "type": "string", "pattern": "^[1-5]xx$" },
                        ] },
                    },
                },
            },
            "redirects": { "description": "How many are followed.", "type": "integer", "minimum": 0, "maximum": MAX_REDIRECTS, "default": REDIRECTS },
            "max_bytes": { "description": "The longest answer; a longer one is a failure.", "type": "integer", "minimum": 0, "maximum": MAX_BYTES, "default": BYTES },
        },
    })
}

/// Null is a value too.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn invalid(message: impl Into<String>) -> Failure {
    permanent("invalid_input", message)
}

fn limit(name: &str, value: u64, most: u64) -> Failure {
    invalid(format!(
        "the limit `{name}` is {most}; the step asks for {value}"
    ))
}

impl With {
    /// Reads what a task says, with its secrets in their places.
    pub(crate) fn read(task: &Task, secrets: &Secrets<'_>) -> Result<With, Failure> {
        let written: Written = task.inputs_as()?;
        let method = written.method.as_deref().unwrap_or("GET");
        let method = Method::from_bytes(method.as_bytes())
            .ok()
            .filter(|method| !matches!(*method, Method::CONNECT | Method::TRACE))
            .ok_or_else(|| invalid(format!("`method`: `{method}` is none that is made here")))?;
        let (mut headers, mut secret_headers) = (HeaderMap::new(), Vec::new());
        for (name, text) in &written.headers {
            let (name, value, secret) = header(name, text, secrets)?;
            if secret {
                secret_headers.push(name.clone());
            }
            headers.append(name, value);
        }
        // What no header can hold is no trace context.
        if let Ok(value) = HeaderValue::from_str(&task.traceparent)
            && !value.is_empty()
        {
            headers.entry(TRACEPARENT).or_insert(value);
        }
        let (body, secret_body) = match (&written.body, &written.json) {
            (Some(_), Some(_)) => return Err(invalid("`body` and `json` are one or the other")),
            (None, None) => (Bytes::new(), false),
            (Some(text), None) => {
                let (text, secret) = text.read(secrets)?;
                (Bytes::from(text), secret)
            }
            (None, Some(json)) => {
                headers
                    .entry(header::CONTENT_TYPE)
                    .or_insert(HeaderValue::from_static("application/json"));
                (Bytes::from(json.to_string()), false)
            }
        };
        let redirects = written.redirects.unwrap_or(REDIRECTS);
        if redirects > MAX_REDIRECTS {
            return Err(limit("redirects", redirects.into(), MAX_REDIRECTS.into()));
        }
        let max_bytes = written.max_bytes.unwrap_or(BYTES);
        if max_bytes > MAX_BYTES {
            return Err(limit("max_bytes", max_bytes, MAX_BYTES));
        }
        Ok(With {
            url: written.url,
            method,
            headers,
            secret_headers,
            body,
            secret_body,
            timeout: timeout(written.timeout.as_deref())?,
            expected: expected(&written.expect)?,
            redirects,
            max_bytes,
        })
    }

    /// Whether a status is a success.
    pub(crate) fn expects(&self, status: StatusCode) -> bool {
        let status = status.as_u16();
        let mut ranges = self.expected.iter();
        ranges.any(|(first, last)| (*first..=*last).contains(&status))
    }

    /// What is a success, for people.
    pub(crate) fn expectation(&self) -> String {
        let ranges = self
            .expected
            .iter()
            .map(|(first, last)| match first == last {
                true => first.to_string(),
                false => format!("{}xx", first / 100),
            });
        ranges.collect::<Vec<_>>().join(", ")
    }
}

impl Text {
    /// The text, and whether it is a secret.
    fn read(&self, secrets: &Secrets<'_>) -> Result<(String, bool), Failure> {
        Ok(match self {
            Text::Plain(text) => (text.clone(), false),
            Text::Number(number) => (number.to_string(), false),
            Text::Bool(value) => (value.to_string(), false),
            Text::Secret(of) => (format!("{}{}", of.prefix, secrets.text(&of.secret)?), true),
        })
    }
}

fn header(
    name: &str,
    text: &Text,
    secrets: &Secrets<'_>,
) -> Result<(HeaderName, HeaderValue, bool), Failure> {
    let read = HeaderName::from_bytes(name.as_bytes());
    let read = read.map_err(|_| invalid(format!("`headers`: {name:?} is no name of a header")))?;
    if OWN.contains(&read.as_str()) {
        return Err(invalid(format!(
            "`headers.{name}` is the connection's own: leave it out"
        )));
    }
    let (text, secret) = text.read(secrets)?;
    // The text is not told: it may be a secret.
    let wrong = || {
        invalid(format!(
            "`headers.{name}` has characters that no header can have, such as a line feed"
        ))
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| wrong())?;
    value.set_sensitive(secret);
    Ok((read, value, secret))
}

fn timeout(text: Option<&str>) -> Result<Duration, Failure> {
    let Some(text) = text else { return Ok(TIMEOUT) };
    let wrong = || {
        invalid(format!(
            "`timeout`: `{text}` is no time such as 500ms, 10s or 5m, at most 1h"
        ))
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let count: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit = match &text[digits..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    let time = Duration::from_millis(count.saturating_mul(unit));
    match !time.is_zero() && time <= MAX_TIMEOUT {
        true => Ok(time),
        false => Err(wrong()),
    }
}

fn expected(expected: &Expected) -> Result<Vec<(u16, u16)>, Failure> {
    let Some(statuses) = &expected.status else {
        return Ok(vec![(200, 299)]);
    };
    let ranges = statuses.iter().map(|status| match status {
        Status::One(one @ 100..=599) => Ok((*one, *one)),
        Status::One(other) => Err(other.to_string()),
        Status::Class(text) => match text.as_bytes() {
            [class @ b'1'..=b'5', b'x', b'x'] => {
                let first = u16::from(class - b'0') * 100;
                Ok((first, first + 99))
            }
            _ => Err(text.clone()),
        },
    });
    let ranges: Result<Vec<_>, _> = ranges.collect();
    ranges.map_err(|other| {
        invalid(format!(
            "`expect.status`: `{other}` is no status, and no class such as 2xx"
        ))
    })
}
