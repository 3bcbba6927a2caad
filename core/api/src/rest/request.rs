//! A message out of a request's body, path and query.

use super::headers::{acceptable, conditions};
use super::route::Answers;
use super::{BODY_BYTES, Problem};
use crate::json::{self, at};
use axum::body::Body;
use axum::extract::{FromRequestParts as _, RawPathParams, Request};
use axum::http::{Extensions, HeaderMap, Method, StatusCode, header};
use conveyor_engine::time::Duration;
use conveyor_service::Asked;
use prost::Message;
use prost_reflect::{Kind, MessageDescriptor};
use serde_json::{Map, Value as Json};
use tonic::{Code, Status};

/// A request as it came, with the fields that it names.
pub(super) struct Read {
    told: Told,
    extensions: Extensions,
    fields: Map<String, Json>,
}

/// What decides how a refusal is told.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// The pointer of the field that `If-Match` stands for, where it is there.
    conditional: Option<String>,
    /// Whether all fields stand in path and query: those of `options` do so by their own names.
    listing: bool,
}

impl Told {
    /// What a handler refused.
    pub(super) fn refused(self, status: Status) -> Problem {
        match status.code() {
            Code::Aborted => match &self.conditional {
                Some(pointer) => Problem::field(pointer, status.message())
                    .with(StatusCode::PRECONDITION_FAILED, "aborted"),
                None => self.of(status.into()),
            },
            // Of a list it is a place that is not there. Of what comes in a body it is the body: gRPC has this code for
            // a message over its limit.
            Code::OutOfRange if !self.listing && status.details().is_empty() => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "out_of_range",
                status.message(),
            ),
            _ => self.of(status.into()),
        }
    }

    /// A problem with the fields as they were sent.
    fn of(&self, problem: Problem) -> Problem {
        match self.listing {
            true => problem.of_a_query(),
            false => problem,
        }
    }
}

/// What a call wants of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    /// None.
    Nothing,
    /// A JSON object of the request's fields; none is an empty one.
    Fields,
    /// The same, or a document as it is: `application/yaml`, or JSON that is sent as such.
    Document,
}

/// Media types of a document that is sent as it is.
pub(crate) const YAML: [&str; 3] = ["application/yaml", "application/x-yaml", "text/yaml"];

/// Reads a request, for the message of a name.
pub(super) async fn read(
    request: Request,
    asked: Asked,
    name: &str,
    wants: Wants,
    answers: Answers,
) -> Result<Read, Problem> {
    let of = json::message(name).ok_or_else(|| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            format!("no message {name}"),
        )
    })?;
    let (mut parts, body) = request.into_parts();
    acceptable(&parts.headers, answers)?;
    as_it_is(&parts.headers)?;
    let mut fields = match wants {
        Wants::Nothing => nothing(body).await?,
        Wants::Fields => object(&parts.headers, body).await?,
        Wants::Document => document(&parts.headers, body).await?,
    };
    let query = parts.uri.query().unwrap_or_default().to_owned();
    readable(asked.path, parts.uri.path())?;
    let path = RawPathParams::from_request_parts(&mut parts, &()).await;
    let path = path.map_err(|error| Problem::request(error.body_text()))?;
    for (key, value) in &path {
        put(&of, &mut fields, key, value, true)?;
    }
    for (key, value) in pairs(&query)? {
        put(&of, &mut fields, &key, &value, false).map_err(Problem::of_a_query)?;
    }
    let changes = parts.method != Method::GET && parts.method != Method::HEAD;
    let conditional = conditions(&of, &parts.headers, changes, &mut fields)?;
    parts.extensions.insert(asked);
    Ok(Read {
        told: Told {
            conditional,
            listing: wants == Wants::Nothing,
        },
        extensions: parts.extensions,
        fields,
    })
}

impl Read {
    /// Sets a field that the path implies.
    pub(super) fn set(&mut self, name: &str, value: impl Into<Json>) -> Result<(), Problem> {
        match self.fields.insert(name.to_owned(), value.into()) {
            None => Ok(()),
            Some(_) => Err(Problem::field(
                &format!("/{name}"),
                format!("`{name}` is what the path says"),
            )),
        }
    }

    /// The message, what came with it, and how refusals of it are told.
    pub(super) fn message<M: Message + Default>(
        self,
        name: &str,
    ) -> Result<(Told, Extensions, M), Problem> {
        let message = json::from_json(name, &Json::Object(self.fields));
        let message = message.map_err(|flaw| self.told.of(flaw.into()))?;
        Ok((self.told, self.extensions, message))
    }
}

fn kind_of(headers: &HeaderMap) -> &str {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim()
}

async fn bytes(headers: &HeaderMap, body: Body) -> Result<axum::body::Bytes, Problem> {
    let too_large = |size: &str| {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "invalid_argument",
            format!("the limit `body_bytes` is {BODY_BYTES}; the body {size}"),
        )
    };
    // Said before anything of it is read.
    let said = headers.get(header::CONTENT_LENGTH);
    let said = said.and_then(|said| said.to_str().ok()?.parse::<u64>().ok());
    if let Some(said) = said.filter(|said| *said > BODY_BYTES as u64) {
        return Err(too_large(&format!("has {said}")));
    }
    let read = axum::body::to_bytes(body, BODY_BYTES).await;
    read.map_err(|_| too_large("is larger, or was cut off"))
}

/// A guard in a body that nobody reads would guard nothing.
async fn nothing(body: Body) -> Result<Map<String, Json>, Problem> {
    let read = axum::body::to_bytes(body, 0).await;
    let none = read.map_err(|_| {
        Problem::field(
            "",
            "this request has no body: its fields stand in the path and the query, an etag in `If-Match`",
        )
    });
    none.map(|_| Map::new())
}

/// Bodies are what they are, in UTF-8.
fn as_it_is(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: header::HeaderName| {
        let value = headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        value.unwrap_or_default().to_ascii_lowercase()
    };
    let encoding = text(header::CONTENT_ENCODING);
    let kind = text(header::CONTENT_TYPE);
    let charset = kind
        .split(';')
        .filter_map(|part| part.trim().strip_prefix("charset="));
    let charset = charset
        .map(|charset| charset.trim_matches('"'))
        .find(|charset| *charset != "utf-8");
    let why = match (encoding.as_str(), charset) {
        ("" | "identity", None) => return Ok(()),
        ("" | "identity", Some(charset)) => format!("the body is in {charset:?}; send UTF-8"),
        (encoding, _) => format!("the body is encoded ({encoding:?}); send it as it is"),
    };
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "invalid_argument",
        why,
    ))
}

async fn object(headers: &HeaderMap, body: Body) -> Result<Map<String, Json>, Problem> {
    let body = bytes(headers, body).await?;
    if body.is_empty() {
        return Ok(Map::new());
    }
    let kind = kind_of(headers);
    if kind != "application/json" {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "invalid_argument",
            format!("the body is {kind:?}; send application/json"),
        ));
    }
    match conveyor_engine::value::parse_json(&body) {
        Ok(Json::Object(fields)) => Ok(fields),
        Ok(_) => Err(Problem::field("", "the body must be a JSON object")),
        Err(error) => {
            let what = match error.syntax {
                true => "the body is no JSON",
                false => "the body is JSON that is not taken",
            };
            Err(Problem::field(&error.pointer, format!("{what}: {error}")))
        }
    }
}

/// A document may come as it is.
async fn document(headers: &HeaderMap, body: Body) -> Result<Map<String, Json>, Problem> {
    if !YAML.contains(&kind_of(headers)) {
        return object(headers, body).await;
    }
    let source = String::from_utf8(bytes(headers, body).await?.to_vec())
        .map_err(|_| Problem::field("/document/source", "the document is not UTF-8"))?;
    let document = serde_json::json!({ "source": source, "file_name": "request.yaml" });
    Ok(Map::from_iter([("document".to_owned(), document)]))
}

/// The query's keys and values.
fn pairs(query: &str) -> Result<Vec<(String, String)>, Problem> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = |text| {
                let why = || format!("`{pair}` in the query is no text in percent-encoding");
                decoded(text).ok_or_else(|| Problem::field(&at("", key), why()))
            };
            Ok((decoded(key)?, decoded(value)?))
        })
        .collect()
}

/// A path that no text stands for is refused, with the parameter of the route that has it.
fn readable(route: &str, path: &str) -> Result<(), Problem> {
    for (part, text) in route.split('/').zip(path.split('/')) {
        let name = part
            .strip_prefix('{')
            .and_then(|part| part.strip_suffix('}'));
        if decoded(text).is_none() {
            return Err(unreadable(&at("", name.unwrap_or(part)), text));
        }
    }
    Ok(())
}

/// A path that leads nowhere, and is no text.
pub(crate) fn unreadable_path(path: &str) -> Option<Problem> {
    let part = path.split('/').find(|part| decoded(part).is_none())?;
    Some(unreadable("", part))
}

fn unreadable(pointer: &str, part: &str) -> Problem {
    Problem::field(
        pointer,
        format!("`{part}` in the path is no text: percent-encoding stands for the bytes of UTF-8"),
    )
}

/// What a part of the path or the query stands for; `None` where it is no text.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let (hex, after) = after.split_at_checked(2)?;
                rest = after;
                let hex = hex.iter().all(u8::is_ascii_hexdigit).then_some(hex)?;
                u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Puts a value of the path or the query into the fields. What a listing may be asked for lies in the
/// field `options`.
fn put(
    of: &MessageDescriptor,
    fields: &mut Map<String, Json>,
    key: &str,
    value: &str,
    path: bool,
) -> Result<(), Problem> {
    let wrong = |why: String| Problem::field(&at("", key), why);
    if key == "wait" && of.get_field_by_name("wait_ms").is_some() {
        let wait = Duration::parse(value).map_err(|_| {
            wrong(format!(
                "`wait` is {value:?}; expected a duration such as 300ms or 30s, at most 60s"
            ))
        })?;
        return match fields.insert("wait_ms".to_owned(), wait.0.into()) {
            None => Ok(()),
            Some(_) => Err(wrong("`wait`, or `wait_ms`, is there twice".to_owned())),
        };
    }
    if let Some(field) = of.get_field_by_name(key) {
        if path && fields.contains_key(key) {
            return Err(wrong(format!("`{key}` is in the path and in the body")));
        }
        if !path && field.kind() == Kind::Bytes && json::form(&field) == json::Form::Base64 {
            return Err(wrong(format!(
                "`{key}` may be a secret: it stands in the body, not in the query"
            )));
        }
        if field.is_map() {
            let (name, text) = value
                .split_once('=')
                .ok_or_else(|| wrong(format!("`{key}` is {value:?}; expected NAME=VALUE")))?;
            let map = fields
                .entry(key)
                .or_insert_with(|| Json::Object(Map::new()));
            let twice = match map {
                Json::Object(map) => map.insert(name.to_owned(), text.into()).is_some(),
                // What it is instead of an object is told with its place.
                _ => false,
            };
            return match twice {
                true => Err(wrong(format!("`{key}` has {name:?} twice"))),
                false => Ok(()),
            };
        }
        let json = json::field_of_text(&field, value);
        let json = json.map_err(|flaw| wrong(flaw.message))?;
        if field.is_list() {
            let list = fields.entry(key).or_insert_with(|| Json::Array(Vec::new()));
            if let Json::Array(list) = list {
                list.push(json);
            }
            return Ok(());
        }
        if fields.insert(key.to_owned(), json).is_some() {
            return Err(wrong(format!("`{key}` is there twice")));
        }
        return Ok(());
    }
    if let Some(options) = of.get_field_by_name("options")
        && let Kind::Message(of) = options.kind()
        && !path
    {
        let nested = fields
            .entry("options")
            .or_insert_with(|| Json::Object(Map::new()));
        if let Json::Object(nested) = nested {
            return put(&of, nested, key, value, false);
        }
    }
    let known: Vec<_> = of
        .fields()
        .map(|field| format!("`{}`", field.name()))
        .collect();
    Err(wrong(format!(
        "unknown parameter `{key}`; known are {}",
        known.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_told_as_that_and_a_place_that_is_not_there_by_its_field() {
        let told = |listing| Told {
            conditional: None,
            listing,
        };
        let refused = |listing| {
            let status = Status::out_of_range("it is too much");
            told(listing).refused(status).to_json()
        };
        let body = refused(false);
        assert_eq!(
            (&body["status"], &body["code"], &body["detail"]),
            (
                &413.into(),
                &"out_of_range".into(),
                &"it is too much".into()
            )
        );
        let place = refused(true);
        assert_eq!(place["status"], 400, "{place}");
        assert_eq!(place["errors"][0]["pointer"], "/after", "{place}");
    }
}
