//! Headers that say more about a request or an answer: `Accept`, `If-Match`, `ETag`, `Idempotency-Key`.

use super::Problem;
use super::route::Answers;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use prost_reflect::{Kind, MessageDescriptor};
use serde_json::{Map, Value as Json};

/// The header that makes repeats of a request one.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Refuses who takes nothing of what a route answers with.
pub(super) fn acceptable(headers: &HeaderMap, answers: Answers) -> Result<(), Problem> {
    let kind = match answers {
        Answers::Once => "application/json",
        Answers::Events => "text/event-stream",
    };
    let family = kind.split('/').next().unwrap_or_default();
    let mut ranges = headers
        .get_all(header::ACCEPT)
        .into_iter()
        .flat_map(|value| {
            let text = value.to_str().unwrap_or_default();
            text.split(',').map(str::trim).filter(|one| !one.is_empty())
        })
        .peekable();
    let takes = |range: &str| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let named = name == kind || name == "*/*" || name == format!("{family}/*");
        let refused = parts.any(|part| {
            let weight = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
            weight.is_some_and(|weight| weight.parse::<f32>().is_ok_and(|weight| weight == 0.0))
        });
        named && !refused
    };
    if ranges.peek().is_none() || ranges.any(takes) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::NOT_ACCEPTABLE,
        "invalid_argument",
        format!("the answer is {kind}; ask for it with `Accept`, or leave the header out"),
    ))
}

/// Where a request has its etag: a field of its own, or that of the object which it carries.
pub(crate) fn etag_path(of: &MessageDescriptor) -> Option<Vec<String>> {
    if of.get_field_by_name("etag").is_some() {
        return Some(vec!["etag".to_owned()]);
    }
    of.fields().find_map(|field| {
        let Kind::Message(object) = field.kind() else {
            return None;
        };
        let Kind::Message(metadata) = object.get_field_by_name("metadata")?.kind() else {
            return None;
        };
        metadata.get_field_by_name("etag")?;
        let path = [field.name(), "metadata", "etag"];
        (!field.is_list()).then(|| path.map(ToOwned::to_owned).to_vec())
    })
}

/// Puts what `If-Match` and `Idempotency-Key` say into the fields. The pointer of the field that `If-Match` stands
/// for, if it is there.
pub(super) fn conditions(
    of: &MessageDescriptor,
    headers: &HeaderMap,
    changes: bool,
    fields: &mut Map<String, Json>,
) -> Result<Option<String>, Problem> {
    if let Some(key) = one(headers, IDEMPOTENCY_KEY)? {
        if of.get_field_by_name("idempotency_key").is_none() {
            return Err(Problem::field(
                "/idempotency_key",
                "`Idempotency-Key` is not for this call: repeating it does no harm, or the request's own \
                 id makes repeats one",
            ));
        }
        set(fields, &["idempotency_key".to_owned()], key)?;
    }
    if changes && headers.contains_key(header::IF_NONE_MATCH) {
        return Err(Problem::field(
            "/etag",
            "`If-None-Match` is not taken by what changes something: name what you have seen in `If-Match`",
        ));
    }
    let Some(wanted) = one(headers, header::IF_MATCH.as_str())? else {
        return Ok(None);
    };
    let Some(path) = etag_path(of).filter(|_| changes) else {
        return Err(Problem::field(
            "/etag",
            "`If-Match` is not for this call: it changes no object that has an etag",
        ));
    };
    let pointer = format!("/{}", path.join("/"));
    let etag = wanted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .filter(|etag| !etag.is_empty() && !etag.contains('"'));
    let Some(etag) = etag else {
        return Err(Problem::field(
            &pointer,
            format!("`If-Match` is {wanted}; expected one etag in quotes, as `ETag` had it"),
        ));
    };
    set(fields, &path, etag)?;
    Ok(Some(pointer))
}

fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(unread(name, format!("the header `{name}` is there twice")));
    }
    match value.to_str() {
        Ok("") => Err(unread(name, format!("the header `{name}` is empty"))),
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(unread(
            name,
            format!("the header `{name}` has other characters than visible ASCII"),
        )),
    }
}

/// A header that cannot be read, by the field that it stands for.
fn unread(name: &str, why: String) -> Problem {
    let field = match name {
        IDEMPOTENCY_KEY => "/idempotency_key",
        _ => "/etag",
    };
    Problem::field(field, why)
}

fn set(fields: &mut Map<String, Json>, path: &[String], value: &str) -> Result<(), Problem> {
    let Some((name, rest)) = path.split_first() else {
        return Ok(());
    };
    if rest.is_empty() {
        return match fields.insert(name.clone(), value.into()) {
            None => Ok(()),
            Some(_) => Err(Problem::field(
                &format!("/{name}"),
                format!("`{name}` is in a header and in the request"),
            )),
        };
    }
    let nested = fields
        .entry(name)
        .or_insert_with(|| Json::Object(Map::new()));
    match nested {
        Json::Object(nested) => set(nested, rest, value),
        // What it is instead of an object is told with its place.
        _ => Ok(()),
    }
}

/// The etag of the one object that an answer has.
pub(super) fn etag(answer: &Json) -> Option<HeaderValue> {
    let mut found = answer
        .as_object()?
        .values()
        .filter_map(|value| value.get("metadata")?.get("etag")?.as_str());
    let etag = found.next().filter(|etag| !etag.is_empty())?;
    HeaderValue::from_str(&format!("\"{etag}\"")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_json_is_answered() {
        for (accept, taken) in [
            (None, true),
            (Some("*/*"), true),
            (Some("text/html, application/*;q=0.5"), true),
            (Some("Application/JSON; charset=utf-8"), true),
            (Some("text/html"), false),
            (Some("application/json;q=0"), false),
            (Some("text/event-stream"), false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            }
            let answer = acceptable(&headers, Answers::Once);
            assert_eq!(answer.is_ok(), taken, "{accept:?}");
        }
    }

    #[test]
    fn an_etag_is_put_where_the_request_has_it() {
        for (name, place) in [
            ("DeletePipelineRequest", "/etag"),
            ("ApplyResourceRequest", "/resource/metadata/etag"),
        ] {
            let of = crate::json::message(name).expect("it is there");
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_MATCH, HeaderValue::from_static("\"x1\""));
            let mut fields = Map::new();
            let condition = conditions(&of, &headers, true, &mut fields);
            assert_eq!(condition.expect("it can be read").as_deref(), Some(place));
            let fields = Json::Object(fields);
            assert_eq!(fields.pointer(place), Some(&Json::from("x1")), "{name}");
        }
    }

    #[test]
    fn headers_that_mean_nothing_are_refused() {
        let of = crate::json::message("PauseRunRequest").expect("it is there");
        for (name, value) in [("if-match", "\"x\""), ("idempotency-key", "k")] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            let refused = conditions(&of, &headers, true, &mut Map::new());
            assert!(refused.is_err(), "{name}");
        }
        let of = crate::json::message("DeletePipelineRequest").expect("it is there");
        for value in ["*", "x", "W/\"x\"", "\"\"", "\"a\", \"b\""] {
            let mut headers = HeaderMap::new();
            headers.insert("if-match", HeaderValue::from_static(value));
            let refused = conditions(&of, &headers, true, &mut Map::new());
            assert!(refused.is_err(), "{value}");
        }
    }
}
