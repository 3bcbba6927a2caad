//! The network between a driver and the engine: it breaks, or is silent, when a case wants it to.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// How long an address may still be taken that was just let go: another case listened there.
const LET_GO: Duration = Duration::from_secs(5);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Where connections go, and where they come from.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Forwards connections as it is told. Those that are open end with the value.
#[derive(Debug)]
pub(crate) struct Proxy {
    place: Place,
    network: Arc<Network>,
    accepting: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Network {
    to: Place,
    /// Whether nothing is forwarded while nobody is told.
    silent: watch::Sender<bool>,
    /// Counts the cuts: connections of before end.
    cuts: watch::Sender<u64>,
}

impl Proxy {
    /// Before a place of the same kind, at `address` or `path`.
    ///
    /// # Errors
    /// When it cannot listen.
    pub(crate) async fn before(to: Place, address: SocketAddr, path: &Path) -> io::Result<Proxy> {
        let network = Arc::new(Network {
            to,
            silent: watch::channel(false).0,
            cuts: watch::channel(0).0,
        });
        let shared = Arc::clone(&network);
        let (place, accepting) = match &network.to {
            Place::Tcp(_) => {
                let listener = bind(address).await?;
                let place = Place::Tcp(listener.local_addr()?);
                let accepting = tokio::spawn(async move {
                    while let Ok((client, _)) = listener.accept().await {
                        let _ = client.set_nodelay(true);
                        tokio::spawn(Arc::clone(&shared).connect(client));
                    }
                });
                (place, accepting)
            }
            Place::Unix(_) => {
                let listener = UnixListener::bind(path)?;
                let accepting = tokio::spawn(async move {
                    while let Ok((client, _)) = listener.accept().await {
                        tokio::spawn(Arc::clone(&shared).connect(client));
                    }
                });
                (Place::Unix(path.to_owned()), accepting)
            }
        };
        Ok(Proxy {
            place,
            network,
            accepting,
        })
    }

    /// Where it listens.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Ends all connections; new ones are taken.
    pub(crate) fn cut(&self) {
        self.network.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Whether nothing comes through any more, while the connections look as before.
    pub(crate) fn silent(&self, silent: bool) {
        self.network.silent.send_replace(silent);
    }
}

/// Binds an address. One that was just let go has a moment to be free.
async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let until = Instant::now() + LET_GO;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                sleep(LOOK).await;
            }
            Err(error) => {
                let why = format!("cannot listen at {address}: {error}");
                return Err(io::Error::new(error.kind(), why));
            }
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

impl Network {
    async fn connect(self: Arc<Network>, client: impl AsyncRead + AsyncWrite + Send + 'static) {
        match &self.to {
            Place::Tcp(address) => {
                if let Ok(server) = TcpStream::connect(address).await {
                    let _ = server.set_nodelay(true);
                    self.forward(client, server).await;
                }
            }
            Place::Unix(path) => {
                if let Ok(server) = UnixStream::connect(path).await {
                    self.forward(client, server).await;
                }
            }
        }
    }

    async fn forward(
        &self,
        client: impl AsyncRead + AsyncWrite,
        server: impl AsyncRead + AsyncWrite,
    ) {
        let mut cuts = self.cuts.subscribe();
        cuts.mark_unchanged();
        let (client_in, client_out) = tokio::io::split(client);
        let (server_in, server_out) = tokio::io::split(server);
        let there = self.pump(client_in, server_out);
        let back = self.pump(server_in, client_out);
        tokio::select! {
            _ = async { tokio::join!(there, back) } => {}
            // Both ends are dropped.
            _ = cuts.changed() => {}
        }
    }

    async fn pump(&self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
        let mut silent = self.silent.subscribe();
        let mut piece = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from.read(&mut piece).await {
            // Its sender lives as long as this.
            let _ = silent.wait_for(|silent| !silent).await;
            if to.write_all(&piece[..read]).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[tokio::test]
    async fn an_address_that_is_let_go_in_a_moment_is_listened_at() {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let before = std::net::TcpListener::bind(free).expect("a port");
        let address = before.local_addr().expect("it has one");
        let to = Place::Tcp(address);
        let (tried, proxy) = tokio::join!(
            async {
                let tried = TcpListener::bind(address).await;
                sleep(LOOK * 4).await;
                drop(before);
                tried
            },
            Proxy::before(to, address, Path::new("unused"))
        );
        assert!(tried.is_err(), "it was taken");
        let proxy = proxy.expect("it is free now");
        assert!(matches!(proxy.place(), Place::Tcp(at) if *at == address));
    }
}
