//! Connections: each is answered by one router, whatever it came by.

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;

/// What connections may cost. Each has a name in the configuration.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// The most connections at once; more wait to be accepted. Default 10,000.
    pub connections: usize,
    /// The most streams at once on one connection. Default 256.
    pub streams: u32,
    /// How long a client has for the head of a request. Default 10 s.
    pub head: Duration,
    /// A connection that is silent for so long is asked whether anybody is there, and closed where
    /// nobody answers within as long. Default 20 s.
    pub keepalive: Duration,
    /// How long connections have to end with the server. Default 5 s.
    pub goodbye: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> ConnectionLimits {
        ConnectionLimits {
            connections: 10_000,
            streams: 256,
            head: Duration::from_secs(10),
            keepalive: Duration::from_secs(20),
            goodbye: Duration::from_secs(5),
        }
    }
}

/// Where connections come from.
pub(crate) trait Accept: Send {
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Io>> + Send;
}

impl Accept for TcpListener {
    type Io = tokio::net::TcpStream;

    async fn accept(&mut self) -> io::Result<Self::Io> {
        let (stream, _) = TcpListener::accept(self).await?;
        // Answers are small and somebody waits for each.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Accept for UnixListener {
    type Io = tokio::net::UnixStream;

    async fn accept(&mut self) -> io::Result<Self::Io> {
        Ok(UnixListener::accept(self).await?.0)
    }
}

/// Answers connections until `shutdown` is ready, and those that are open then for as long as the
/// limit `goodbye` allows.
pub(crate) async fn serve<A: Accept>(
    mut listener: A,
    router: Router,
    limits: ConnectionLimits,
    shutdown: impl Future<Output = ()>,
) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .adaptive_window(true)
        .keep_alive_interval(limits.keepalive)
        .keep_alive_timeout(limits.keepalive);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            break;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        let io = match accepted {
            Ok(io) => io,
            Err(error) => {
                // Of one connection, or no more files: both pass.
                tracing::debug!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(io), service);
        let connection = graceful.watch(connection.into_owned());
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke");
            }
            drop(place);
        });
    }
    drop(listener);
    // Whoever is still there after that is cut off.
    let _ = tokio::time::timeout(limits.goodbye, graceful.shutdown()).await;
}
