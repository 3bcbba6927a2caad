//! The holder of a data directory answers on its socket.

use crate::place;
use conveyor_proto::v1::control_service_server::{ControlService, ControlServiceServer};
use std::fs::{self, Permissions};
use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;

/// The longest message, in bytes: a document of 64 MiB and what goes with it.
pub const MESSAGE_BYTES: usize = 68 << 20;

/// Streams at once on one connection. A client has a handful.
const STREAMS: u32 = 256;

/// A bound socket. It is taken away when this is dropped.
#[derive(Debug)]
pub struct Listener {
    listener: Option<UnixListener>,
    data_dir: PathBuf,
    socket: PathBuf,
}

impl Listener {
    /// Binds the socket of `data_dir`, an absolute path, with mode 0600. Only who holds the lock of
    /// the directory may call this: a socket that is there is taken to be dead, and is replaced.
    /// Needs a tokio runtime.
    ///
    /// # Errors
    /// When there is no place for it, or it cannot be bound.
    pub fn bind(data_dir: &Path) -> io::Result<Listener> {
        let socket = place::choose(data_dir)?;
        place::remove(&socket)?;
        let listener = UnixListener::bind(&socket)?;
        // The directory around it is closed to others already.
        fs::set_permissions(&socket, Permissions::from_mode(0o600))?;
        Ok(Listener {
            listener: Some(listener),
            data_dir: data_dir.to_owned(),
            socket,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.socket
    }

    /// Answers until `shutdown` is ready and all requests that came before it have their answers.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn serve<S: ControlService>(
        mut self,
        service: Arc<S>,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let Some(listener) = self.listener.take() else {
            return Ok(());
        };
        tonic::transport::Server::builder()
            .max_concurrent_streams(STREAMS)
            .add_service(service_of(service))
            .serve_with_incoming_shutdown(UnixListenerStream::new(listener), shutdown)
            .await
            .map_err(io::Error::other)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        place::forget(&self.data_dir, &self.socket);
    }
}

/// The service under its limits.
pub(crate) fn service_of<S: ControlService>(service: Arc<S>) -> ControlServiceServer<S> {
    ControlServiceServer::from_arc(service)
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES)
}
