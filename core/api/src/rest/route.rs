//! A route as data: what the router answers, and what the document of the API tells of it.

use super::request::Wants;

/// How a route answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    /// With one JSON object.
    Once,
    /// With server-sent events.
    Events,
}

/// A call by its method and path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    /// In lower case: `get`.
    pub(crate) method: &'static str,
    /// As axum and OpenAPI write it: `/v1/runs/{run}`.
    pub(crate) path: &'static str,
    /// The message of the request, by its name in `conveyor.v1`.
    pub(crate) request: &'static str,
    /// That of the answer, or of each event.
    pub(crate) response: &'static str,
    pub(crate) wants: Wants,
    /// Fields of the request that the path implies, with their values.
    pub(crate) implied: &'static [(&'static str, &'static str)],
    pub(crate) answers: Answers,
}

impl Route {
    /// The name of its call in the services.
    pub(crate) fn call(&self) -> &'static str {
        self.request.strip_suffix("Request").unwrap_or(self.request)
    }
}
