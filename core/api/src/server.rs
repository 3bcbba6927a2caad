//! Where a process listens: the socket of its data directory, and addresses.

use crate::access::{Admission, Door, enter};
use crate::guard::{Origin, Pages, no_pages, own_name};
use crate::place;
use crate::router::Front;
use crate::serve::{ConnectionLimits, Source, serve};
use crate::tls::Tls;
use axum::middleware::{from_fn, from_fn_with_state};
use std::fs::{self, Permissions};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::{TcpListener, UnixListener};

/// A bound Unix socket. It is taken away when this is dropped.
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

    /// Answers until `shutdown` is ready and all requests that came before it have their answers, or
    /// their time is over.
    pub async fn serve(
        mut self,
        front: Front,
        limits: ConnectionLimits,
        shutdown: impl Future<Output = ()>,
    ) {
        if let Some(listener) = self.listener.take() {
            // Whoever opens it is the user of this process, or root.
            let router = front.behind(Admission::default());
            serve(Source::Unix(listener), router, limits, shutdown).await;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        place::forget(&self.data_dir, &self.socket);
    }
}

/// A bound address.
#[derive(Debug)]
pub struct TcpEndpoint {
    listener: TcpListener,
    pages: Pages,
}

impl TcpEndpoint {
    /// Binds an address; port 0 takes a free one.
    ///
    /// # Errors
    /// When it is taken, or is none of this machine.
    pub async fn bind(address: SocketAddr) -> io::Result<TcpEndpoint> {
        let listener = TcpListener::bind(address).await?;
        let pages = Pages::default();
        Ok(TcpEndpoint { listener, pages })
    }

    /// Answers pages of these origins, too (CORS). By default it answers none.
    #[must_use]
    pub fn for_pages(mut self, origins: &[Origin]) -> TcpEndpoint {
        self.pages = Pages::of(origins);
        self
    }

    /// The address with its port.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// As [`Listener::serve`]. Pages of a browser are not answered but those of [`Self::for_pages`]; nor, where nothing but this machine
    /// reaches it, who comes under another name than this machine's own.
    pub async fn serve(
        self,
        front: Front,
        admission: Admission,
        tls: Option<Arc<Tls>>,
        limits: ConnectionLimits,
        shutdown: impl Future<Output = ()>,
    ) {
        let mut router = front.behind(admission);
        if let Some(cors) = self.pages.cors() {
            router = router.layer(cors);
        }
        router = router.layer(from_fn_with_state(self.pages.clone(), no_pages));
        // With TLS it is asked by the name that its certificate has.
        if tls.is_none()
            && self
                .address()
                .is_ok_and(|address| address.ip().is_loopback())
        {
            router = router.layer(from_fn(own_name));
        }
        serve(Source::Tcp(self.listener, tls), router, limits, shutdown).await;
    }
}

impl Front {
    /// What is answered, to whoever is let in.
    fn behind(self, admission: Admission) -> axum::Router {
        let door = Arc::new(Door {
            access: self.access,
            admission,
        });
        self.router.layer(from_fn_with_state(door, enter))
    }
}
