//! How a process reaches the control service.

use crate::{Control, place, router};
use conveyor_service::ControlHandlers;
use hyper_util::rt::TokioIo;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use tonic::body::Body;
use tonic::codegen::StdError;
use tonic::codegen::http::header::{AUTHORIZATION, HeaderValue};
use tonic::codegen::http::{Request, Uri};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tower::ServiceExt;
use tower::util::BoxCloneService;

/// How long a server has to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a silent server is waited for before it is asked whether it is there, and as long again.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// What became of a connection: a type of its own, so that futures of calls can be sent.
#[derive(Debug)]
pub struct Broken(StdError);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Broken {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}

/// The handlers of this process, without a socket in between.
pub fn in_process(handlers: Arc<ControlHandlers>) -> Control {
    let service = router::control_service(handlers);
    let service = ServiceExt::<Request<Body>>::map_err(service, |never| match never {});
    BoxCloneService::new(service)
}

/// The holder of `data_dir`, over its socket.
///
/// # Errors
/// When nobody listens there.
pub async fn connect(data_dir: &Path) -> io::Result<Control> {
    let channel = connect_socket(data_dir).await?;
    Ok(BoxCloneService::new(
        channel.map_err(|error| Broken(error.into())),
    ))
}

/// A socket, or that of a data directory.
async fn connect_socket(path: &Path) -> io::Result<Channel> {
    let socket = match path.is_dir() {
        true => place::find(path),
        false => path.to_owned(),
    };
    // The address is only a name in the requests; the connector knows the socket.
    let endpoint = Endpoint::from_static("http://conveyor.invalid");
    endpoint
        .connect_with_connector(tower::service_fn(move |_: Uri| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        }))
        .await
        .map_err(io::Error::other)
}

/// What a connection shows, and whom it believes.
#[derive(Clone, Default)]
pub struct Credentials {
    /// An access token.
    pub token: Option<String>,
    /// The authority that signed the server's certificate, PEM; `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// A certificate and its key, PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("ca", &self.ca)
            .field("identity", &self.identity)
            .finish()
    }
}

impl Credentials {
    fn tls(&self) -> io::Result<ClientTlsConfig> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", path.display()))
            })
        };
        let config = match &self.ca {
            Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca)?)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        Ok(match &self.identity {
            Some((cert, key)) => config.identity(Identity::from_pem(read(cert)?, read(key)?)),
            None => config,
        })
    }

    /// What goes before each request.
    fn header(&self, url: &str) -> io::Result<Option<HeaderValue>> {
        let Some(token) = &self.token else {
            return Ok(None);
        };
        let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
        let uri: Uri = match url.starts_with("unix:") {
            // Of this machine, and no address with a host.
            true => Uri::from_static("http://localhost"),
            false => url
                .parse()
                .map_err(|_| invalid(format!("{url} is no address")))?,
        };
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let near = host.eq_ignore_ascii_case("localhost")
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|ip| ip.is_loopback());
        if uri.scheme_str() == Some("http") && !near {
            return Err(invalid(format!(
                "the access token would go to {host} in the clear: use https://"
            )));
        }
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| invalid("the access token has characters that none has".to_owned()))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// A server, by its address: `http://HOST:PORT`, `https://HOST:PORT`, or `unix:PATH` (also `unix://PATH`)
/// of a data directory or its socket.
///
/// # Errors
/// When the address is none, nobody listens there, its certificate is not believed, or a token would go
/// out in the clear.
pub async fn connect_to(url: &str, credentials: &Credentials) -> io::Result<Control> {
    let known = ["http://", "https://", "unix:"];
    if !known.iter().any(|scheme| url.starts_with(scheme)) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the address of a server is http://HOST:PORT, https://HOST:PORT, or unix:PATH of its data \
             directory or socket",
        ));
    }
    let header = credentials.header(url)?;
    if let Some(path) = url.strip_prefix("unix:") {
        let path = Path::new(path.strip_prefix("//").unwrap_or(path));
        return Ok(shown(connect_socket(path).await?, header));
    }
    let invalid =
        |error: tonic::transport::Error| io::Error::new(io::ErrorKind::InvalidInput, error);
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(invalid)?;
    let mut endpoint = endpoint
        .tcp_nodelay(true)
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE);
    if url.starts_with("https://") {
        let config = endpoint.tls_config(credentials.tls()?);
        endpoint = config.map_err(io::Error::other)?;
    }
    let channel = endpoint.connect().await.map_err(io::Error::other)?;
    Ok(shown(channel, header))
}

/// A connection whose requests show a token.
fn shown(channel: Channel, header: Option<HeaderValue>) -> Control {
    let shown = channel.map_request(move |mut request: Request<Body>| {
        if let Some(value) = &header {
            request.headers_mut().insert(AUTHORIZATION, value.clone());
        }
        request
    });
    BoxCloneService::new(shown.map_err(|error| Broken(error.into())))
}
