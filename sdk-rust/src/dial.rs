//! Connections that are no addresses of a network.

use std::path::{Path, PathBuf};
use tonic::transport::{Channel, Endpoint, Error};

/// Connects to a Unix socket, or to that of a data directory.
pub(crate) async fn unix(endpoint: Endpoint, path: &str) -> Result<Channel, Error> {
    let path = PathBuf::from(path);
    endpoint
        .connect_with_connector(tower::service_fn(move |_: tonic::codegen::http::Uri| {
            let path = path.clone();
            async move {
                let stream = tokio::net::UnixStream::connect(socket_in(&path)).await?;
                Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(stream))
            }
        }))
        .await
}

/// The socket of a data directory: in it, or where its file `control.path` says.
fn socket_in(path: &Path) -> PathBuf {
    if !path.is_dir() {
        return path.to_owned();
    }
    match std::fs::read_to_string(path.join("control.path")) {
        Ok(named) if !named.is_empty() => PathBuf::from(named),
        _ => path.join("control.sock"),
    }
}
