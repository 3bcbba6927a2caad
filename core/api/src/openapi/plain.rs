//! What is answered and is no call.

use serde_json::{Value as Json, json};

/// A path that is answered with a text, without parameters.
pub(crate) struct Plain {
    pub(crate) path: &'static str,
    name: &'static str,
    about: &'static str,
    kind: &'static str,
    /// Whether it may say that it is not ready.
    ready: bool,
}

/// All of them.
pub(crate) const PLAIN: &[Plain] = &[
    Plain {
        path: "/healthz",
        name: "Healthz",
        about: "Tells that the process lives.",
        kind: "text/plain",
        ready: false,
    },
    Plain {
        path: "/readyz",
        name: "Readyz",
        about: "Tells whether the server takes new work.",
        kind: "text/plain",
        ready: true,
    },
    Plain {
        path: "/metrics",
        name: "Metrics",
        about: "Figures in the text format of Prometheus.",
        kind: "text/plain",
        ready: false,
    },
    Plain {
        path: "/v1/openapi.json",
        name: "OpenApi",
        about: "This document.",
        kind: "application/json",
        ready: false,
    },
];

impl Plain {
    pub(super) fn operation(&self) -> Json {
        let schema = match self.kind {
            "application/json" => json!({ "type": "object" }),
            _ => json!({ "type": "string" }),
        };
        let problem = |about: &str| {
            json!({
                "description": about,
                "content": {
                    "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } },
                },
            })
        };
        let mut responses = json!({
            "200": {
                "description": "Done.",
                "content": { (self.kind): { "schema": schema } },
            },
            "401": problem("There is no token, or it does not hold."),
            "403": problem("The token does not allow it, or a page of a browser asked."),
        });
        if self.ready {
            responses["503"] = problem("It does not, and why.");
            responses["503"]["headers"] = json!({
                "Retry-After": { "schema": { "type": "integer", "minimum": 0 } },
            });
        }
        json!({
            "operationId": self.name,
            "tags": ["server"],
            "summary": self.about.trim_end_matches('.'),
            "parameters": [],
            "responses": responses,
        })
    }
}
