//! Connections: each is answered by one router, whatever it came by.

use crate::access::Names;
use crate::leftover::hear_out;
use crate::presence::{self, Patient};
use crate::tls::{self, Tls};
use crate::wire::Wire;
use axum::extract::Request;
use axum::middleware::from_fn;
use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

/// What a client may send on a connection before it is read, in bytes: as much as a session may have of log
/// lines under way. A window that adapts would ping each connection that is not idle, to measure it.
pub(crate) const WINDOW: u32 = 1 << 20;

/// What connections may cost. Each has a name in the configuration.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// The most connections at once; more wait to be accepted. Default 10,000.
    pub connections: usize,
    /// The most streams at once on one connection. Default 256.
    pub streams: u32,
    /// How long a client has for its part of TLS, and for the head of a request. Default 10 s.
    pub head: Duration,
    /// A connection that is silent for so long is asked whether anybody is there, and closed where
    /// nobody answers within as long; one whose client takes nothing of what it is sent for so long is
    /// closed, too. Default 20 s.
    pub keepalive: Duration,
    /// How long server-sent events are silent before a comment tells that somebody is there. Default 15 s.
    pub silence: Duration,
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
            silence: Duration::from_secs(15),
            goodbye: Duration::from_secs(5),
        }
    }
}

/// What [`ConnectionLimits::silence`] is, for whoever streams an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Silence(pub(crate) Duration);

/// Where connections come from.
#[derive(Debug)]
pub(crate) enum Source {
    Tcp(TcpListener, Option<Arc<Tls>>),
    Unix(UnixListener),
}

enum Accepted {
    Tcp(TcpStream, Option<Arc<Tls>>),
    Unix(UnixStream),
}

impl Source {
    async fn accept(&self, keepalive: Duration) -> io::Result<Accepted> {
        match self {
            Source::Tcp(listener, tls) => {
                let (stream, _) = listener.accept().await?;
                // Answers are small and somebody waits for each.
                stream.set_nodelay(true)?;
                presence::ask(&stream, keepalive)?;
                Ok(Accepted::Tcp(stream, tls.clone()))
            }
            Source::Unix(listener) => {
                let mine = rustix::process::geteuid().as_raw();
                let stream = loop {
                    let (stream, _) = listener.accept().await?;
                    let theirs = stream.peer_cred()?.uid();
                    if is_welcome(theirs, mine) {
                        break stream;
                    }
                    // Whoever comes by the socket may do everything.
                    tracing::warn!(
                        user = theirs,
                        "a connection to the Unix socket was refused: it takes the server's own user or root"
                    );
                };
                Ok(Accepted::Unix(stream))
            }
        }
    }
}

/// Whether a user may come by the socket of a process of the user `mine`.
fn is_welcome(theirs: u32, mine: u32) -> bool {
    theirs == mine || theirs == 0
}

/// How connections are answered.
#[derive(Clone)]
struct Answering {
    router: Router,
    builder: Builder<TokioExecutor>,
    head: Duration,
    keepalive: Duration,
}

impl Answering {
    fn new(router: Router, limits: ConnectionLimits) -> Answering {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .keep_alive_interval(limits.keepalive)
            .keep_alive_timeout(limits.keepalive);
        Answering {
            router: router
                .layer(Extension(Silence(limits.silence)))
                .layer(from_fn(hear_out)),
            builder,
            head: limits.head,
            keepalive: limits.keepalive,
        }
    }

    async fn answer(self, accepted: Accepted, watcher: Watcher) {
        match accepted {
            Accepted::Unix(stream) => self.converse(Wire::Unix(stream), None, watcher).await,
            Accepted::Tcp(stream, None) => self.converse(Wire::Tcp(stream), None, watcher).await,
            Accepted::Tcp(stream, Some(tls)) => {
                let greeted = tokio::time::timeout(self.head, tls.acceptor().accept(stream)).await;
                let stream = match greeted {
                    Ok(Ok(stream)) => stream,
                    Ok(Err(error)) => return tracing::debug!(%error, "TLS did not come about"),
                    Err(_) => return tracing::debug!("a client was too slow for TLS"),
                };
                let certificates = stream.get_ref().1.peer_certificates();
                let names = certificates.and_then(|all| all.first()).map(tls::names);
                let wire = Wire::Tls(Box::new(stream));
                self.converse(wire, names, watcher).await;
            }
        }
    }

    async fn converse(self, wire: Wire, names: Option<Arc<[String]>>, watcher: Watcher) {
        let service = self.router.map_request(move |request: http::Request<_>| {
            let mut request: Request = request.map(axum::body::Body::new);
            if let Some(names) = &names {
                request.extensions_mut().insert(Names(Arc::clone(names)));
            }
            request
        });
        let service = TowerToHyperService::new(service);
        let wire = TokioIo::new(Patient::new(wire, self.keepalive));
        let connection = self.builder.serve_connection_with_upgrades(wire, service);
        if let Err(error) = watcher.watch(connection.into_owned()).await {
            tracing::debug!(%error, "a connection broke");
        }
    }
}

/// Answers connections until `shutdown` is ready, and those that are open then for as long as the
/// limit `goodbye` allows.
pub(crate) async fn serve(
    source: Source,
    router: Router,
    limits: ConnectionLimits,
    shutdown: impl Future<Output = ()>,
) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(limits.connections));
    let answering = Answering::new(router, limits);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        // Those that hold all places may stay: whoever ends the server does not wait for them.
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = &mut shutdown => break,
        };
        let Ok(place) = place else {
            break;
        };
        let accepted = tokio::select! {
            accepted = source.accept(limits.keepalive) => accepted,
            () = &mut shutdown => break,
        };
        let accepted = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Of one connection, or no more files: both pass.
                tracing::debug!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        let (answering, watcher) = (answering.clone(), graceful.watcher());
        tokio::spawn(async move {
            answering.answer(accepted, watcher).await;
            drop(place);
        });
    }
    drop(source);
    // Whoever is still there after that is cut off.
    let _ = tokio::time::timeout(limits.goodbye, graceful.shutdown()).await;
}

#[cfg(test)]
mod tests {
    use super::{Accepted, ConnectionLimits, Source, is_welcome, serve};
    use axum::Router;
    use rustix::net::sockopt;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn who_still_writes_when_the_connection_ends_has_its_answer_and_no_broken_pipe() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path).expect("it is free");
        let (end, ended) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            let router = Router::new().fallback(|| async { "the last word" });
            let limits = ConnectionLimits::default();
            let ended = async { drop(ended.await) };
            serve(Source::Unix(listener), router, limits, ended).await;
        });
        let mut client = UnixStream::connect(&path).await.expect("it is served");
        let ask = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        client.write_all(ask).await.expect("it is read");
        let mut answer = String::new();
        let read = client.read_to_string(&mut answer).await;
        read.expect("it comes to its end");
        assert!(answer.ends_with("the last word"), "{answer}");
        let more = client.write_all(b"what nobody wants").await;
        more.expect("somebody hears it out");
        drop(client);
        end.send(()).expect("it serves");
        serving.await.expect("no panic");
    }

    #[tokio::test]
    async fn a_connection_that_was_accepted_is_asked_by_the_system_whether_anybody_is_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it has one");
        let source = Source::Tcp(listener, None);
        let _client = TcpStream::connect(address).await.expect("it is taken");
        let accepted = source.accept(Duration::from_millis(20_500)).await;
        let Ok(Accepted::Tcp(stream, None)) = accepted else {
            panic!("it came by TCP, in the clear");
        };
        assert_eq!(sockopt::tcp_nodelay(&stream), Ok(true));
        assert_eq!(sockopt::socket_keepalive(&stream), Ok(true));
        let secs = Duration::from_secs;
        assert_eq!(sockopt::tcp_keepidle(&stream), Ok(secs(21)));
        assert_eq!(sockopt::tcp_keepintvl(&stream), Ok(secs(6)));
        assert_eq!(sockopt::tcp_keepcnt(&stream), Ok(4));
        #[cfg(target_os = "linux")]
        assert_eq!(sockopt::tcp_user_timeout(&stream), Ok(41_000));
    }

    #[test]
    fn the_socket_takes_its_own_user_and_root_alone() {
        assert!(is_welcome(1000, 1000));
        assert!(is_welcome(0, 1000));
        assert!(!is_welcome(1001, 1000));
        assert!(!is_welcome(1000, 0));
    }
}
