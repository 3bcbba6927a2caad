//! REST under `/v1`: the calls of the services, by method and path.
//!
//! A request's fields come from its body, its path and its query, under the proto's names; two places
//! that both name a field are refused, and so is what no field is called.

mod calls;
mod problem;
mod request;
mod stream;

pub(crate) use problem::Problem;

use crate::router::Services;
use axum::Router;

/// The longest body, in bytes.
pub(crate) const BODY_BYTES: usize = crate::router::MESSAGE_BYTES;

/// All that is under `/v1`.
pub(crate) fn router(services: &Services) -> Router {
    let mut router = calls::control(&services.control).merge(stream::router(&services.control));
    if let Some(driver) = &services.driver {
        router = router.merge(calls::driver(driver));
    }
    router
}
