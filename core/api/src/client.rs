//! How a process reaches the control service.

use crate::{Control, place, router};
use conveyor_proto::v1::control_service_server::ControlService;
use hyper_util::rt::TokioIo;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use tonic::body::Body;
use tonic::codegen::http::{Request, Uri};
use tonic::transport::Endpoint;
use tower::ServiceExt;
use tower::util::BoxCloneService;

/// How long a server has to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a silent server is waited for before it is asked whether it is there, and as long again.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// The handlers of this process, without a socket in between.
pub fn in_process<S: ControlService>(service: Arc<S>) -> Control {
    let service = router::control_service(service);
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

/// A server, by its address: `http://HOST:PORT`.
///
/// # Errors
/// When the address is none, or nobody listens there.
pub async fn connect_to(url: &str) -> io::Result<Control> {
    let invalid =
        |error: tonic::transport::Error| io::Error::new(io::ErrorKind::InvalidInput, error);
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(invalid)?;
    let endpoint = endpoint
        .tcp_nodelay(true)
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE);
    let channel = endpoint.connect().await.map_err(io::Error::other)?;
    Ok(BoxCloneService::new(channel.map_err(Into::into)))
}
