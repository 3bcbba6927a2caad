//! REST under `/v1`: the calls of the services, by method and path.
//!
//! A request's fields come from its body, its path and its query, under the proto's names; two places
//! that both name a field are refused, and so is what no field is called. `Idempotency-Key` and
//! `If-Match` are fields too.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `route` | a route as data |
//! | `calls`, `stream` | the tables of routes, and their routers |
//! | `request`, `headers` | a message out of a request |
//! | `problem` | answers that say no |

mod calls;
mod headers;
mod problem;
mod request;
mod route;
mod stream;
mod texts;

pub(crate) use headers::{IDEMPOTENCY_KEY, etag_path};
pub(crate) use problem::Problem;
pub(crate) use request::{Wants, YAML, unreadable_path};
pub(crate) use route::{Answers, Route};

use crate::router::Services;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use conveyor_proto::v1::driver_service_server::DriverService;
use serde_json::Value as Json;
use std::sync::Arc;

/// The longest body, in bytes.
pub(crate) const BODY_BYTES: usize = crate::router::MESSAGE_BYTES;

/// All that is under `/v1`.
pub(crate) fn router(services: &Services) -> Router {
    let mut router = calls::control(&services.control).merge(stream::router(&services.control));
    if let Some(driver) = &services.driver {
        router = router.merge(drivers(driver));
    }
    router
}

/// What of it drivers call.
pub(crate) fn drivers<D: DriverService>(driver: &Arc<D>) -> Router {
    calls::driver(driver)
}

/// Every route that [`router`] answers.
pub(crate) fn routes() -> impl Iterator<Item = &'static Route> {
    calls::CONTROL
        .iter()
        .chain(stream::STREAMS)
        .chain(calls::DRIVER)
}

/// An answer as a response: one with an object has its etag in the header, too.
fn respond(answer: Result<Json, Problem>) -> Response {
    let answer = match answer {
        Ok(answer) => answer,
        Err(problem) => return problem.into_response(),
    };
    let etag = headers::etag(&answer);
    let mut response = axum::Json(answer).into_response();
    if let Some(etag) = etag {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

/// The path is known, the method is none of it.
pub(crate) async fn not_allowed(method: axum::http::Method, uri: axum::http::Uri) -> Response {
    let why = format!(
        "{} does not take {method}; `allow` has what it takes",
        uri.path()
    );
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "unimplemented", why).into_response()
}
