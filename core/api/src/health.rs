//! Whether the process lives, and whether it takes new work: for load balancers and supervisors, by HTTP
//! and as gRPC's own health service.

use crate::rest::Problem;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use conveyor_service::ControlHandlers;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::Status;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

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

/// `grpc.health.v1`: what `/readyz` says.
pub(crate) fn service(
    handlers: &Arc<ControlHandlers>,
    names: Vec<&'static str>,
) -> HealthServer<Readiness> {
    HealthServer::new(Readiness {
        failing: handlers.node().watch_failing(),
        closed: handlers.gate().closed(),
        names,
    })
}

/// The readiness of all services of this process: they have one store.
#[derive(Clone, Debug)]
pub(crate) struct Readiness {
    failing: watch::Receiver<Option<String>>,
    /// Whether the process is about to end: nobody is told anything after that.
    closed: watch::Receiver<bool>,
    /// Those that may be asked for, besides the whole server (the empty name).
    names: Vec<&'static str>,
}

impl Readiness {
    /// A stream of answers that ends with the process.
    fn until_closed(
        &self,
        answers: impl Stream<Item = Result<HealthCheckResponse, Status>> + Send + 'static,
    ) -> tonic::Response<Statuses> {
        let mut closed = self.closed.clone();
        let closed = async move {
            // Its sender lives as long as the process.
            let _ = closed.wait_for(|closed| *closed).await;
        };
        let answers = futures_util::StreamExt::take_until(answers, Box::pin(closed));
        tonic::Response::new(Box::pin(answers))
    }

    fn knows(&self, name: &str) -> bool {
        name.is_empty() || self.names.contains(&name)
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

fn status(failing: Option<&String>) -> ServingStatus {
    match failing {
        None => ServingStatus::Serving,
        Some(_) => ServingStatus::NotServing,
    }
}

type Statuses = std::pin::Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Health for Readiness {
    type WatchStream = Statuses;

    async fn check(
        &self,
        request: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<HealthCheckResponse>, Status> {
        let name = request.into_inner().service;
        if !self.knows(&name) {
            return Err(Status::not_found(format!(
                "there is no service `{name}`; there are: {}",
                self.names.join(", ")
            )));
        }
        let status = status(self.failing.borrow().as_ref());
        Ok(tonic::Response::new(answer(status)))
    }

    async fn watch(
        &self,
        request: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<Statuses>, Status> {
        if !self.knows(&request.into_inner().service) {
            // It may come with a later release: whoever watches is told then.
            let unknown = tokio_stream::once(Ok(answer(ServingStatus::ServiceUnknown)));
            return Ok(self.until_closed(unknown.chain(tokio_stream::pending())));
        }
        let mut last = None;
        let changes = WatchStream::new(self.failing.clone()).filter_map(move |failing| {
            let now = status(failing.as_ref());
            (last.replace(now) != Some(now)).then(|| Ok(answer(now)))
        });
        Ok(self.until_closed(changes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: &str) -> tonic::Request<HealthCheckRequest> {
        tonic::Request::new(HealthCheckRequest {
            service: name.to_owned(),
        })
    }

    #[tokio::test]
    async fn health_follows_the_store() {
        let (store, failing) = watch::channel(None);
        let (closing, closed) = watch::channel(false);
        let readiness = Readiness {
            failing,
            closed,
            names: vec!["conveyor.v1.ControlService"],
        };
        let check = async |name| readiness.check(asked(name)).await.map(|it| it.into_inner());
        let watch = readiness.watch(asked("")).await.expect("it is known");
        let mut watch = watch.into_inner();
        let next = async |watch: &mut Statuses| {
            let next = watch.next().await.expect("it goes on");
            next.expect("it is told")
        };
        assert_eq!(next(&mut watch).await, answer(ServingStatus::Serving));
        store.send_replace(Some("the disk is full".to_owned()));
        assert_eq!(next(&mut watch).await, answer(ServingStatus::NotServing));
        let named = check("conveyor.v1.ControlService").await;
        assert_eq!(
            named.expect("it is known"),
            answer(ServingStatus::NotServing)
        );
        store.send_replace(None);
        assert_eq!(next(&mut watch).await, answer(ServingStatus::Serving));
        assert_eq!(
            check("").await.expect("it is known"),
            answer(ServingStatus::Serving)
        );
        closing.send_replace(true);
        assert!(watch.next().await.is_none(), "it holds up no end");
    }

    #[tokio::test]
    async fn a_service_that_is_not_there_is_said_so() {
        let (_store, failing) = watch::channel(None);
        let (_closing, closed) = watch::channel(false);
        let readiness = Readiness {
            failing,
            closed,
            names: Vec::new(),
        };
        let check = readiness.check(asked("nothing")).await;
        assert_eq!(check.expect_err("it is none").code(), tonic::Code::NotFound);
        let watch = readiness.watch(asked("nothing")).await.expect("a stream");
        let first = watch.into_inner().next().await.expect("it goes on");
        assert_eq!(
            first.expect("it is told"),
            answer(ServingStatus::ServiceUnknown)
        );
    }
}
