//! Whether the process lives, and whether it takes new work: for load balancers and supervisors.

use crate::rest::Problem;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use conveyor_service::ControlHandlers;
use std::sync::Arc;

pub(crate) fn router(handlers: &Arc<ControlHandlers>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .with_state(Arc::clone(handlers))
}

async fn ready(State(handlers): State<Arc<ControlHandlers>>) -> Response {
    match handlers.not_ready() {
        None => "ready\n".into_response(),
        Some(why) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", why).into_response()
        }
    }
}
