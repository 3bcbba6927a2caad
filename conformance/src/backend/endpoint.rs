//! An engine that somebody else has started. Where it speaks TLS, a bridge of this process does so for all that the
//! suite asks it: what calls and streams are made with stays one thing.

use super::Unavailable;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long it has to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// The way to an engine that runs.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// `http://HOST:PORT`, for whoever asks it.
    pub(super) url: String,
    bridge: Option<tokio::task::JoinHandle<()>>,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Some(bridge) = &self.bridge {
            bridge.abort();
        }
    }
}

impl Endpoint {
    /// The way to `http://HOST:PORT` or `https://HOST:PORT`, whose certificate one of `ca` has signed, or else an
    /// authority of the system.
    ///
    /// # Errors
    /// A sentence: it is no such address, or nobody who can be believed is there.
    pub(super) async fn reach(url: &str, ca: Option<&Path>) -> Result<Endpoint, Unavailable> {
        let no = |why: &str| {
            Unavailable(format!(
                "`{url}` {why}; an engine's address is `http://HOST:PORT` or `https://HOST:PORT`"
            ))
        };
        let uri: http::Uri = url
            .parse()
            .map_err(|error| no(&format!("cannot be read ({error})")))?;
        let host = uri.host().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| no("names no host"))?;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if authority.contains('@') {
            return Err(no("names a user: who calls says the access token"));
        }
        // Behind the host there is nothing, or a port.
        let port = authority.strip_prefix(host).unwrap_or_default();
        if !port.is_empty() && uri.port_u16().is_none_or(|port| port == 0) {
            return Err(no(&format!(
                "has the port `{}`",
                port.trim_start_matches(':')
            )));
        }
        if !uri.path().trim_end_matches('/').is_empty()
            || uri.query().is_some()
            || url.contains('#')
        {
            return Err(no("has more than a host and a port"));
        }
        match uri.scheme_str() {
            Some("http") => Ok(Endpoint {
                url: url.trim_end_matches('/').to_owned(),
                bridge: None,
            }),
            Some("https") => {
                let host = host.trim_start_matches('[').trim_end_matches(']');
                let engine = Engine {
                    host: host.to_owned(),
                    port: uri.port_u16().unwrap_or(443),
                    name: ServerName::try_from(host.to_owned())
                        .map_err(|_| no("has a host that no certificate can name"))?,
                    connector: connector(ca)?,
                };
                // Before any case: it says why once, and not each of them.
                drop(engine.connect().await?);
                let (address, bridge) = engine.bridge().await?;
                Ok(Endpoint {
                    url: format!("http://{address}"),
                    bridge: Some(bridge),
                })
            }
            Some(scheme) => Err(no(&format!("has the scheme `{scheme}`"))),
            None => Err(no("has no scheme")),
        }
    }
}

/// An engine that speaks TLS.
struct Engine {
    host: String,
    port: u16,
    name: ServerName<'static>,
    connector: TlsConnector,
}

impl Engine {
    async fn connect(&self) -> Result<TlsStream<TcpStream>, Unavailable> {
        let Engine { host, port, .. } = self;
        let no =
            |why: &dyn std::fmt::Display| Unavailable(format!("no TLS with {host}:{port}: {why}"));
        let connected = async {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            self.connector.connect(self.name.clone(), stream).await
        };
        let connected = tokio::time::timeout(CONNECT, connected).await;
        let seconds = CONNECT.as_secs();
        let late = |_| no(&format!("it did not answer within {seconds} s"));
        connected
            .map_err(late)?
            .map_err(|error| no(&format!("{error}; `--ca` names who signed its certificate")))
    }

    /// Listens on loopback, and takes each connection there to the engine.
    async fn bridge(self) -> Result<(SocketAddr, tokio::task::JoinHandle<()>), Unavailable> {
        let no = |error: std::io::Error| Unavailable(format!("a port of loopback: {error}"));
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(no)?;
        let address = listener.local_addr().map_err(no)?;
        let engine = Arc::new(self);
        let accepting = tokio::spawn(async move {
            while let Ok((mut here, _)) = listener.accept().await {
                let engine = Arc::clone(&engine);
                tokio::spawn(async move {
                    // Whoever asked sees that the connection is gone.
                    let Ok(mut there) = engine.connect().await else {
                        return;
                    };
                    let _ = here.set_nodelay(true);
                    let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
                });
            }
        });
        Ok((address, accepting))
    }
}

/// Whom a connection believes. No protocol is offered: the engine sees by what is said whether it is HTTP/1 or 2.
fn connector(ca: Option<&Path>) -> Result<TlsConnector, Unavailable> {
    let mut roots = RootCertStore::empty();
    match ca {
        None => {
            // Those that cannot be read are believed by nobody.
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
        Some(path) => {
            let wrong = |why: &dyn std::fmt::Display| {
                Unavailable(format!("the certificates of {}: {why}", path.display()))
            };
            let certificates =
                CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| wrong(&error))?;
                roots.add(certificate).map_err(|error| wrong(&error))?;
            }
            if roots.is_empty() {
                return Err(wrong(&"it has no certificate"));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Unavailable(format!("TLS: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
