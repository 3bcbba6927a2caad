//! The API as an OpenAPI 3.1 document, made from what answers it: paths from the tables of routes,
//! schemas from the contract's descriptors, descriptions from its comments. The same code gives the same
//! bytes.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `paths` | routes as operations: parameters, bodies, answers |
//! | `plain` | what is no call: health, metrics, this document |
//! | `schemas` | messages as JSON Schemas |
//! | `limits` | the bounds that a comment names |
//! | `comments` | the contract's comments |

mod comments;
mod limits;
mod paths;
mod plain;
mod schemas;

pub(crate) use plain::PLAIN;

use crate::rest;
use serde_json::{Map, Value as Json, json};
use std::sync::LazyLock;

static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let mut text = format!("{:#}", build());
    text.push('\n');
    text
});

/// The document, as JSON that people can read.
#[must_use]
pub fn openapi() -> &'static str {
    &DOCUMENT
}

const ABOUT: &str = "The control API of Conveyor, and the driver contract for drivers that hold no stream.\n\n\
    Fields have the names of the gRPC contract. Instants and lengths of time are milliseconds, in fields \
    that end in `_ms`; 64-bit numbers are numbers. User values (inputs, outputs, schemas) stand as the JSON \
    that they are. Unknown fields and parameters are refused with their place. Lists are paged with \
    `page_size` and `page_token`. Every error is a problem document (RFC 9457).";

fn build() -> Json {
    let comments = comments::Comments::new();
    let mut schemas = schemas::Schemas::new(&comments);
    let mut paths: Map<String, Json> = Map::new();
    let mut tags: Vec<&str> = Vec::new();
    let mut add = |path: &str, method: &str, tag: &'static str, operation: Json| {
        let item = paths.entry(path).or_insert_with(|| json!({}));
        item[method] = operation;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    };
    for route in rest::routes() {
        let tag = paths::tag(route);
        let operation = paths::operation(route, &comments, &mut schemas);
        add(route.path, route.method, tag, operation);
    }
    for one in PLAIN {
        add(one.path, "get", "server", one.operation());
    }
    let tags: Vec<Json> = tags.iter().map(|tag| json!({ "name": tag })).collect();
    let mut components = schemas.into_components();
    components.insert("Problem".to_owned(), schemas::problem());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Conveyor",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "tags": tags,
        // A server on this machine alone may be asked without one.
        "security": [{ "token": [] }, {}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An access token, as `conveyor tokens create` prints it.",
                },
            },
        },
    })
}

#[cfg(test)]
mod tests;
