//! Routes as operations.

use super::comments::{Comments, sentence};
use super::schemas::{Schemas, Way};
use crate::json::{self, Form, form};
use crate::rest::{Answers, IDEMPOTENCY_KEY, Route, Wants, YAML, etag_path};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value as Json, json};

/// The group of a route: what follows `/v1` in its path.
pub(super) fn tag(route: &Route) -> &'static str {
    route.path.split('/').nth(2).unwrap_or("server")
}

/// A route as an operation.
pub(super) fn operation(route: &Route, comments: &Comments, schemas: &mut Schemas<'_>) -> Json {
    let method = json::methods().find(|method| method.name() == route.call());
    let about = method.map(|method| comments.method(&method).to_owned());
    let about = about.unwrap_or_default();
    let mut name = route.call().to_owned();
    for (_, value) in route.implied {
        name.push_str(&value[..1].to_ascii_uppercase());
        name.push_str(&value[1..]);
    }
    // A call that has several paths is named by what the others of them hold.
    let first = crate::rest::routes().find(|other| other.call() == route.call());
    if route.implied.is_empty() && first.is_some_and(|first| first.path != route.path) {
        for held in in_path(route.path) {
            name.push_str("By");
            name.push_str(&held[..1].to_ascii_uppercase());
            name.push_str(&held[1..]);
        }
    }
    let Some(request) = json::message(route.request) else {
        return json!({});
    };
    let mut operation = json!({
        "operationId": name,
        "tags": [tag(route)],
        "summary": sentence(&about),
        "description": about,
        "parameters": parameters(route, &request, schemas),
        "responses": responses(route, &request, schemas),
    });
    if route.wants != Wants::Nothing {
        operation["requestBody"] = body(route, &request, schemas);
    }
    operation
}

/// The names in a path's braces.
fn in_path(path: &'static str) -> Vec<&'static str> {
    let parts = path.split('/');
    parts
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .collect()
}

fn parameter(name: &str, place: &str, about: &str, schema: &Json) -> Json {
    let mut parameter = json!({
        "name": name,
        "in": place,
        "description": about,
        "schema": schema,
    });
    if place == "path" {
        parameter["required"] = true.into();
    }
    parameter
}

fn parameters(route: &Route, of: &MessageDescriptor, schemas: &mut Schemas<'_>) -> Vec<Json> {
    let mut all = Vec::new();
    let path = in_path(route.path);
    for name in &path {
        let field = of.get_field_by_name(name);
        let mut schema =
            field.map_or_else(|| json!({}), |field| schemas.field(&field, Way::Request));
        let about = describe(&mut schema);
        // A segment has something in it.
        schema["minLength"] = 1.into();
        all.push(parameter(name, "path", &about, &schema));
    }
    let mut fields = in_query(of);
    if let Some(Kind::Message(options)) = of.get_field_by_name("options").map(|field| field.kind())
    {
        fields.extend(in_query(&options));
    }
    for field in fields {
        let name = field.name();
        let implied = route.implied.iter().any(|(implied, _)| *implied == name);
        if path.contains(&name) || implied {
            continue;
        }
        let mut schema = schemas.field(&field, Way::Request);
        let about = describe(&mut schema);
        if field.is_map() {
            let most = schema["maxProperties"].take();
            schema = json!({ "type": "array", "items": { "type": "string", "pattern": "=" } });
            if !most.is_null() {
                schema["maxItems"] = most;
            }
            let about = format!("`NAME=VALUE`, once for each. {about}");
            all.push(parameter(name, "query", &about, &schema));
            continue;
        }
        all.push(parameter(name, "query", &about, &schema));
    }
    if of.get_field_by_name("wait_ms").is_some() {
        let schema = json!({ "type": "string", "pattern": "^([0-9]+(ms|s|m))+$" });
        let about = "As `wait_ms`, as people write it: `30s`.";
        all.push(parameter("wait", "query", about, &schema));
    }
    let visible = json!({ "type": "string", "pattern": "^[!-~]{1,128}$" });
    if of.get_field_by_name("idempotency_key").is_some() {
        let about = "Makes repeats of the same request one.";
        let mut key = parameter(IDEMPOTENCY_KEY, "header", about, &visible);
        key["name"] = "Idempotency-Key".into();
        all.push(key);
    }
    if route.method != "get" && etag_path(of).is_some() {
        let about = "The etag that the object must have, in quotes, as `ETag` had it.";
        let schema = json!({ "type": "string", "pattern": "^\"[!#-~]+\"$" });
        all.push(parameter("If-Match", "header", about, &schema));
    }
    if route.answers == Answers::Events {
        let about = "The `id` of the last event that the reader has: it goes on after it.";
        let schema = json!({ "type": "string" });
        all.push(parameter("Last-Event-ID", "header", about, &schema));
    }
    all
}

/// Fields that may stand in a query: no messages, and nothing that may be a secret.
fn in_query(of: &MessageDescriptor) -> Vec<FieldDescriptor> {
    let fits = |field: &FieldDescriptor| match field.kind() {
        Kind::Message(_) => field.is_map(),
        Kind::Bytes => form(field) == Form::Inline,
        _ => true,
    };
    // Streams always follow.
    of.fields()
        .filter(|field| fits(field) && field.name() != "follow")
        .collect()
}

/// Takes the description out of a schema.
fn describe(schema: &mut Json) -> String {
    let about = schema
        .as_object_mut()
        .and_then(|object| object.remove("description"));
    about
        .and_then(|about| about.as_str().map(ToOwned::to_owned))
        .unwrap_or_default()
}

fn body(route: &Route, of: &MessageDescriptor, schemas: &mut Schemas<'_>) -> Json {
    let mut without = in_path(route.path);
    without.extend(route.implied.iter().map(|(name, _)| *name));
    let schema = match without.is_empty() {
        true => schemas.message(of, Way::Request),
        false => schemas.object(of, Way::Request, &without),
    };
    let mut content = json!({ "application/json": { "schema": schema } });
    if route.wants == Wants::Document {
        for kind in YAML {
            content[kind] = json!({
                "schema": { "type": "string", "description": "The document as it is." },
            });
        }
    }
    json!({ "content": content })
}

/// What every call may be answered with, besides what it gives.
const ALWAYS: &[(u16, &str)] = &[
    (
        400,
        "The request cannot be read, or has a field, parameter or value that is none.",
    ),
    (401, "There is no token, or it does not hold."),
    (
        403,
        "The token does not allow it, or a page of a browser asked.",
    ),
    (404, "There is no such thing."),
    (406, "`Accept` takes nothing of what is answered."),
    (
        409,
        "It does not fit what is there: another etag, an id that is taken, a run that has not ended.",
    ),
    (500, "A mistake of the server, or damaged data."),
    (
        501,
        "A part of the contract that comes with a later release.",
    ),
    (
        503,
        "The store fails for now, or the server is about to end.",
    ),
];
const WITH_BODY: &[(u16, &str)] = &[
    (413, "The body is too large."),
    (415, "The body has another media type."),
    (422, "The document, or the inputs, are refused."),
    (507, "The store is full."),
];

/// One event of a stream: its items by the fields of the message's choice.
fn sent(answer: Option<&MessageDescriptor>, schemas: &mut Schemas<'_>) -> Json {
    let fields = answer
        .into_iter()
        .flat_map(|of| of.fields().collect::<Vec<_>>());
    let mut items: Vec<Json> = Vec::new();
    // What says more than its choice comes whole.
    let whole = answer.filter(|of| of.fields().any(|field| field.containing_oneof().is_none()));
    items.extend(whole.map(|of| schemas.message(of, Way::Answer)));
    for field in fields.into_iter().filter(|_| whole.is_none()) {
        if let Kind::Message(item) = field.kind() {
            // Lines that come together are an event each.
            let line = item
                .get_field_by_name("records")
                .map(|records| records.kind());
            match line {
                Some(Kind::Message(line)) => items.push(schemas.message(&line, Way::Answer)),
                _ => items.push(schemas.message(&item, Way::Answer)),
            }
        }
    }
    items.push(json!({ "$ref": "#/components/schemas/Problem" }));
    json!({
        "type": "object",
        "required": ["data", "event"],
        "properties": {
            "event": {
                "type": "string",
                "enum": ["event", "line", "log_end", "end", "error"],
                "description": "What it is; `end` is the last, `error` is a problem: why a stream \
                    breaks.",
            },
            "id": {
                "type": "string",
                "description": "Where to go on from: the `Last-Event-ID` of a later request.",
            },
            "data": {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": { "anyOf": items },
            },
        },
    })
}

fn responses(route: &Route, request: &MessageDescriptor, schemas: &mut Schemas<'_>) -> Json {
    let mut all = Map::new();
    let answer = json::message(route.response);
    let schema = answer.as_ref().map(|of| schemas.message(of, Way::Answer));
    let mut ok = match route.answers {
        Answers::Once => json!({
            "description": "Done.",
            "content": { "application/json": { "schema": schema } },
        }),
        Answers::Events => json!({
            "description": "Server-sent events, of which the schema tells one. The first comment comes at \
                once, another after 15 s of silence (the setting `connections.silence`).",
            "content": { "text/event-stream": { "schema": sent(answer.as_ref(), schemas) } },
        }),
    };
    if answer.as_ref().and_then(etag_path).is_some() {
        ok["headers"] = json!({
            "ETag": {
                "description": "The object's etag in quotes, for `If-Match`.",
                "schema": { "type": "string" },
            },
        });
    }
    all.insert("200".to_owned(), ok);
    let conditional = route.method != "get" && etag_path(request).is_some();
    let condition = [(412, "The object has another etag than `If-Match`.")];
    let body = route.method != "get";
    let kept = route.answers == Answers::Events && request.get_field_by_name("cursor").is_some();
    let gone = [(
        410,
        "The cursor is of no event that is kept; `errors` has the oldest cursor there is, as `allowed`.",
    )];
    let said = ALWAYS
        .iter()
        .chain(WITH_BODY.iter().filter(|_| body))
        .chain(condition.iter().filter(|_| conditional))
        .chain(gone.iter().filter(|_| kept));
    for (status, about) in said {
        let mut response = json!({
            "description": about,
            "content": {
                "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } },
            },
        });
        if [503, 507].contains(status) {
            response["headers"] = json!({
                "Retry-After": {
                    "description": "When to come back, in seconds.",
                    "schema": { "type": "integer", "minimum": 0 },
                },
            });
        }
        all.insert(status.to_string(), response);
    }
    Json::Object(all)
}
