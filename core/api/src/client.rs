//! How a process reaches the control service.

use crate::{Control, place, server};
use conveyor_proto::v1::control_service_server::ControlService;
use hyper_util::rt::TokioIo;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::net::UnixStream;
use tonic::body::Body;
use tonic::codegen::http::{Request, Uri};
use tonic::transport::Endpoint;
use tower::ServiceExt;
use tower::util::BoxCloneService;

/// The handlers of this process, without a socket in between.
pub fn in_process<S: ControlService>(service: Arc<S>) -> Control {
    let service = server::service_of(service);
    let service = ServiceExt::<Request<Body>>::map_err(service, |never| match never {});
    BoxCloneService::new(service)
}

/// The holder of `data_dir`, over its socket.
///
/// # Errors
/// When nobody listens there.
pub async fn connect(data_dir: &Path) -> io::Result<Control> {
    let socket = place::find(data_dir);
    // The address is only a name in the requests; the connector knows the socket.
    let endpoint = Endpoint::from_static("http://conveyor.invalid");
    let channel = endpoint
        .connect_with_connector(tower::service_fn(move |_: Uri| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        }))
        .await
        .map_err(io::Error::other)?;
    Ok(BoxCloneService::new(channel.map_err(Into::into)))
}
