//! Answers that say no, as RFC 9457 has them.

use crate::json::{self, Flaw};
use axum::Json as Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use conveyor_proto::v1::{Diagnostic, EventsGap, Refusal};
use conveyor_service::is_of_the_request;
use prost::Message as _;
use serde_json::{Value as Json, json};
use tonic::{Code, Status};

/// When to come back, in seconds, where a store is down or a process is about to end.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// What is wrong with a request, or with what answers it.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    /// The code's word, as gRPC has it: `not_found`.
    code: &'static str,
    detail: String,
    /// Each thing that is wrong, with its place.
    errors: Vec<Json>,
}

impl Problem {
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<String>,
    ) -> Problem {
        Problem {
            status,
            code,
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    /// The document.
    pub(crate) fn to_json(&self) -> Json {
        json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
            "errors": self.errors,
        })
    }

    /// A request that cannot be read.
    pub(crate) fn request(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "invalid_argument", detail)
    }

    /// A field of a request that cannot be read: one of the body, by its JSON pointer, or a parameter, by
    /// `/` and its name.
    pub(crate) fn field(pointer: &str, detail: impl Into<String>) -> Problem {
        let detail = detail.into();
        Problem {
            errors: vec![json!({ "pointer": pointer, "code": "value", "message": detail })],
            ..Problem::request(detail)
        }
    }

    /// The same under another status.
    pub(super) fn with(self, status: StatusCode, code: &'static str) -> Problem {
        Problem {
            status,
            code,
            ..self
        }
    }

    /// The same with fields of `options` told as what the query has them as: parameters of their own.
    pub(super) fn of_a_query(mut self) -> Problem {
        for error in &mut self.errors {
            let pointer = error.get("pointer").and_then(Json::as_str);
            let own = pointer.and_then(|pointer| pointer.strip_prefix("/options/"));
            if let Some(own) = own.map(|own| format!("/{own}")) {
                error["pointer"] = own.into();
            }
        }
        self
    }
}

impl From<Flaw> for Problem {
    fn from(flaw: Flaw) -> Problem {
        let detail = match flaw.pointer.as_str() {
            "" => flaw.message.clone(),
            pointer => format!("{pointer}: {}", flaw.message),
        };
        Problem {
            errors: vec![json!({
                "pointer": flaw.pointer,
                "code": "value",
                "message": flaw.message,
            })],
            ..Problem::request(detail)
        }
    }
}

impl From<Status> for Problem {
    fn from(status: Status) -> Problem {
        let (mut http, code) = of(status.code());
        let mut refusal = Refusal::default();
        match (status.code(), status.details()) {
            // A place that the run does not have, in the field that readers come back with.
            (Code::OutOfRange, []) => {
                return Problem {
                    errors: vec![json!({
                        "pointer": "/after",
                        "code": "value",
                        "message": status.message(),
                    })],
                    ..Problem::new(http, code, status.message())
                };
            }
            (_, []) => {}
            (Code::OutOfRange, details) => {
                let gap = EventsGap::decode(details).unwrap_or_default();
                return Problem {
                    errors: vec![json!({
                        "pointer": "/cursor",
                        "code": "gap",
                        "message": "go on from the oldest cursor, or from now",
                        "allowed": [gap.oldest],
                    })],
                    ..Problem::new(StatusCode::GONE, "gap", status.message())
                };
            }
            (_, details) => refusal = Refusal::decode(details).unwrap_or_default(),
        }
        if refusal
            .diagnostics
            .iter()
            .any(|one| !is_of_the_request(one))
        {
            // The request can be read; the document in it, or the inputs, cannot be accepted.
            http = StatusCode::UNPROCESSABLE_ENTITY;
        }
        let errors = refusal.diagnostics.iter();
        Problem {
            status: http,
            code,
            detail: status.message().to_owned(),
            errors: errors.map(error).collect(),
        }
    }
}

/// One of the things that are wrong. Inputs have pointers of their own: here they are a field of the body.
fn error(one: &Diagnostic) -> Json {
    let mut error = json::to_json("Diagnostic", one);
    if one.code == "input" {
        error["pointer"] = json!(format!("/inputs{}", one.pointer));
    }
    error
}

fn of(code: Code) -> (StatusCode, &'static str) {
    match code {
        Code::InvalidArgument => (StatusCode::BAD_REQUEST, "invalid_argument"),
        Code::OutOfRange => (StatusCode::BAD_REQUEST, "out_of_range"),
        Code::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated"),
        Code::PermissionDenied => (StatusCode::FORBIDDEN, "permission_denied"),
        Code::NotFound => (StatusCode::NOT_FOUND, "not_found"),
        Code::AlreadyExists => (StatusCode::CONFLICT, "already_exists"),
        Code::Aborted => (StatusCode::CONFLICT, "aborted"),
        Code::FailedPrecondition => (StatusCode::CONFLICT, "failed_precondition"),
        Code::ResourceExhausted => (StatusCode::INSUFFICIENT_STORAGE, "resource_exhausted"),
        Code::Unimplemented => (StatusCode::NOT_IMPLEMENTED, "unimplemented"),
        Code::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        Code::DeadlineExceeded => (StatusCode::GATEWAY_TIMEOUT, "deadline_exceeded"),
        Code::DataLoss => (StatusCode::INTERNAL_SERVER_ERROR, "data_loss"),
        Code::Ok | Code::Cancelled | Code::Unknown | Code::Internal => {
            (StatusCode::INTERNAL_SERVER_ERROR, "internal")
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Body(self.to_json())).into_response();
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, kind);
        if self.status == StatusCode::SERVICE_UNAVAILABLE
            || self.status == StatusCode::INSUFFICIENT_STORAGE
        {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}
