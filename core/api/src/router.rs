//! Everything that is answered, as one router.

use crate::rest::{self, Problem};
use crate::{health, metrics, undecoded};
use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
pub use conveyor_proto::contract::MESSAGE_BYTES;
use conveyor_proto::v1::control_service_server::ControlServiceServer;
use conveyor_proto::v1::driver_service_server::{DriverService, DriverServiceServer};
use conveyor_service::{Access, ControlHandlers, DriverHandlers};
use std::sync::Arc;
use tonic::Status;
use tonic::server::NamedService as _;
use tonic::service::Routes;

/// What a process answers with.
#[derive(Clone, Debug)]
pub struct Services {
    /// What clients call.
    pub control: Arc<ControlHandlers>,
    /// What drivers call; `None` where none may come.
    pub driver: Option<Arc<DriverHandlers>>,
}

/// The service under its limits.
pub(crate) fn control_service(
    handlers: Arc<ControlHandlers>,
) -> ControlServiceServer<ControlHandlers> {
    ControlServiceServer::from_arc(handlers)
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES)
}

/// Everything that is answered, and who knows who asks. Clones share everything.
#[derive(Clone, Debug)]
pub struct Front {
    pub(crate) router: Router,
    /// `None` where whatever comes is let through, and what it shows with it.
    pub(crate) access: Option<Access>,
}

impl Front {
    /// Before these services.
    #[must_use]
    pub fn new(services: &Services) -> Front {
        Front {
            router: router(services),
            access: Some(services.control.access().clone()),
        }
    }

    /// Before a driver service that is none of the engine's handlers, such as one that hands on to them. It
    /// sees to it by itself who comes: a request has what it showed as [`crate::Shown`].
    pub fn of_drivers<D: DriverService>(driver: &Arc<D>) -> Front {
        let router = Routes::new(driver_service(Arc::clone(driver)))
            .prepare()
            .into_axum_router()
            .layer(map_response(undecoded::told))
            .merge(rest::drivers(driver))
            .method_not_allowed_fallback(rest::not_allowed)
            .fallback(nothing);
        Front {
            router,
            access: None,
        }
    }
}

impl Front {
    /// The same, with what a program puts around it.
    #[must_use]
    pub fn layered(mut self, around: impl FnOnce(Router) -> Router) -> Front {
        self.router = around(self.router);
        self
    }
}

/// The driver service under its limits.
fn driver_service<D: DriverService>(driver: Arc<D>) -> DriverServiceServer<D> {
    DriverServiceServer::from_arc(driver)
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES)
}

/// Everything that is answered.
fn router(services: &Services) -> Router {
    let mut grpc = Routes::new(control_service(Arc::clone(&services.control)));
    if let Some(driver) = &services.driver {
        grpc = grpc.add_service(driver_service(Arc::clone(driver)));
    }
    let mut names = vec![ControlServiceServer::<ControlHandlers>::NAME];
    if services.driver.is_some() {
        names.push(DriverServiceServer::<DriverHandlers>::NAME);
    }
    grpc = grpc.add_service(health::service(&services.control, names));
    // Older tools ask by the older name.
    if let (Ok(now), Ok(before)) = (reflection().build_v1(), reflection().build_v1alpha()) {
        grpc = grpc.add_service(now).add_service(before);
    }
    // Last: a router of gRPC has a fallback of its own.
    grpc.prepare()
        .into_axum_router()
        .layer(map_response(undecoded::told))
        .merge(rest::router(services))
        .merge(health::router(&services.control))
        .merge(metrics::router(&services.control))
        .route("/v1/openapi.json", get(document))
        .method_not_allowed_fallback(rest::not_allowed)
        .fallback(nothing)
}

/// The document of the API.
async fn document() -> Response {
    (
        [(header::CONTENT_TYPE, "application/json")],
        crate::openapi(),
    )
        .into_response()
}

/// What tools ask for the contract. The bytes are the contract's own, and are read.
fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(conveyor_proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// There is no such path.
async fn nothing(uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path();
    if is_grpc(&headers) {
        return Status::unimplemented(format!("there is no method {path}")).into_http();
    }
    if let Some(unreadable) = rest::unreadable_path(path) {
        return unreadable.into_response();
    }
    let why = format!("there is nothing at {path}; the API is under /v1");
    Problem::new(StatusCode::NOT_FOUND, "not_found", why).into_response()
}

/// Whether a request is one of gRPC.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}
