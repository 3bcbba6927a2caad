//! Where one case runs: an engine, the tap, its front, the network before it.

use crate::backend::{Backend, Engine, Setting};
use crate::proxy::{Place, Proxy};
use crate::tap::{Tap, Tapped};
use crate::wire::Record;
use conveyor_api::{Admission, ConnectionLimits, Front, Listener, TcpEndpoint, Tls, TlsFiles};
use conveyor_proto::v1::control_service_client::ControlServiceClient;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{Mutex, watch};
use tonic::transport::{Channel, Endpoint};

/// How the driver talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Transport {
    Tcp,
    Tls,
    Unix,
    Unary,
    UnaryTls,
    UnaryUnix,
    Rest,
    RestTls,
    RestUnix,
}

impl Transport {
    pub(crate) const ALL: [Transport; 9] = [
        Transport::Tcp,
        Transport::Tls,
        Transport::Unix,
        Transport::Unary,
        Transport::UnaryTls,
        Transport::UnaryUnix,
        Transport::Rest,
        Transport::RestTls,
        Transport::RestUnix,
    ];

    /// Those of a case that names none: calls are the same over TCP, TLS and a socket, which a few cases show.
    pub(crate) const USUAL: [Transport; 5] = [
        Transport::Tcp,
        Transport::Tls,
        Transport::Unix,
        Transport::Unary,
        Transport::Rest,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Unix => "unix",
            Transport::Unary => "unary",
            Transport::UnaryTls => "unary-tls",
            Transport::UnaryUnix => "unary-unix",
            Transport::Rest => "rest",
            Transport::RestTls => "rest-tls",
            Transport::RestUnix => "rest-unix",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Transport> {
        Transport::ALL
            .into_iter()
            .find(|transport| transport.name() == name)
    }

    /// All names, for who gave another.
    pub(crate) fn names() -> String {
        Transport::ALL.map(Transport::name).join(", ")
    }

    /// The word of `Launch.transport`.
    pub(crate) fn spoken(self) -> &'static str {
        match self {
            Transport::Unary | Transport::UnaryTls | Transport::UnaryUnix => "unary",
            Transport::Rest | Transport::RestTls | Transport::RestUnix => "rest",
            Transport::Tcp | Transport::Tls | Transport::Unix => "stream",
        }
    }

    /// Features of a driver who can be tested so.
    pub(crate) fn features(self) -> Vec<&'static str> {
        let secured = self.is_tls().then_some("tls");
        let local = self.is_unix().then_some("unix");
        let kind = secured.or(local);
        [self.spoken()].into_iter().chain(kind).collect()
    }

    fn is_tls(self) -> bool {
        matches!(
            self,
            Transport::Tls | Transport::UnaryTls | Transport::RestTls
        )
    }

    fn is_unix(self) -> bool {
        matches!(
            self,
            Transport::Unix | Transport::UnaryUnix | Transport::RestUnix
        )
    }
}

/// Certificates for loopback, made once for all cases.
#[derive(Clone, Debug)]
pub(crate) struct Certificates {
    pub(crate) ca: PathBuf,
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificates {
    /// Makes them in a directory.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(crate) fn make(directory: &Path) -> io::Result<Certificates> {
        let made = |error: rcgen::Error| io::Error::other(error.to_string());
        let mut authority = rcgen::CertificateParams::new(Vec::new()).map_err(made)?;
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority_key = rcgen::KeyPair::generate().map_err(made)?;
        let signed = authority.self_signed(&authority_key).map_err(made)?;
        let issuer = rcgen::Issuer::new(authority, authority_key);
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut server = rcgen::CertificateParams::new(names).map_err(made)?;
        // By the usual name it would be its own issuer's: OpenSSL takes it for signed by itself.
        server
            .distinguished_name
            .push(rcgen::DnType::CommonName, "localhost");
        let key = rcgen::KeyPair::generate().map_err(made)?;
        let cert = server.signed_by(&key, &issuer).map_err(made)?;
        let made = Certificates {
            ca: directory.join("ca.pem"),
            cert: directory.join("cert.pem"),
            key: directory.join("key.pem"),
        };
        std::fs::write(&made.ca, signed.pem())?;
        std::fs::write(&made.cert, cert.pem())?;
        std::fs::write(&made.key, key.serialize_pem())?;
        Ok(made)
    }
}

/// What a case needs, from the engine to the address that the driver is given.
pub(crate) struct Site {
    pub(crate) engine: Arc<Mutex<Engine>>,
    /// Where it listens.
    engine_url: String,
    /// Who may do everything there; `None` where nobody is asked.
    pub(crate) admin: Option<String>,
    pub(crate) tap: Arc<Tap>,
    pub(crate) record: Arc<Record>,
    pub(crate) proxy: Arc<Proxy>,
    pub(crate) transport: Transport,
    /// The address for the driver.
    pub(crate) url: String,
    pub(crate) ca: Option<PathBuf>,
    stop: watch::Sender<bool>,
}

impl Site {
    /// Puts all of it up in a directory of the case's own.
    ///
    /// # Errors
    /// What does not come about, as an error of the system.
    pub(crate) async fn start(
        backend: &Backend,
        directory: &Path,
        transport: Transport,
        certificates: &Certificates,
        setting: &Setting,
        listen: Option<SocketAddr>,
    ) -> io::Result<Site> {
        let engine = Engine::start(backend, setting).await;
        let engine = engine.map_err(|error| io::Error::other(error.to_string()))?;
        let record = Arc::new(Record::new());
        let tap = Arc::new(Tap::new(Arc::clone(&record), channel(engine.url())?));
        let front = Front::of_drivers(&Arc::new(Tapped(Arc::clone(&tap))));
        let later = tap.later.clone();
        let front = front.layered(|router| later.around(router));
        let (stop, stopped) = watch::channel(false);
        let mut until = stopped;
        let until = async move {
            let _ = until.wait_for(|stopped| *stopped).await;
        };
        let limits = ConnectionLimits::default();
        let place = match transport.is_unix() {
            true => {
                let data = directory.join("front");
                std::fs::create_dir_all(&data)?;
                let socket = Listener::bind(&data)?;
                let place = Place::Unix(socket.path().to_owned());
                tokio::spawn(socket.serve(front, limits, until));
                place
            }
            false => {
                let address = "127.0.0.1:0".parse().map_err(io::Error::other)?;
                let endpoint = TcpEndpoint::bind(address).await?;
                let place = Place::Tcp(endpoint.address()?);
                let tls = match transport.is_tls() {
                    true => Some(Arc::new(
                        Tls::load(TlsFiles {
                            cert: certificates.cert.clone(),
                            key: certificates.key.clone(),
                            client_ca: None,
                        })
                        .map_err(io::Error::other)?,
                    )),
                    false => None,
                };
                let admission = Admission::default();
                tokio::spawn(endpoint.serve(front, admission, tls, limits, until));
                place
            }
        };
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let socket = directory.join("driver.sock");
        let proxy = Proxy::before(place, listen.unwrap_or(free), &socket).await?;
        let proxy = Arc::new(proxy);
        tap.behind(Arc::clone(&proxy));
        let url = match (proxy.place(), transport.is_tls()) {
            (Place::Unix(path), _) => format!("unix:{}", path.display()),
            (Place::Tcp(address), true) => {
                format!("https://localhost:{}", address.port())
            }
            (Place::Tcp(address), false) => format!("http://{address}"),
        };
        let ca = transport.is_tls().then(|| certificates.ca.clone());
        Ok(Site {
            engine_url: engine.url().to_owned(),
            admin: engine.token().map(str::to_owned),
            engine: Arc::new(Mutex::new(engine)),
            tap,
            record,
            proxy,
            transport,
            url,
            ca,
            stop,
        })
    }

    /// A client of the engine.
    ///
    /// # Errors
    /// When its address is none.
    pub(crate) fn control(&self) -> io::Result<ControlServiceClient<Channel>> {
        let most = conveyor_proto::contract::MESSAGE_BYTES;
        Ok(ControlServiceClient::new(channel(&self.engine_url)?)
            .max_decoding_message_size(most)
            .max_encoding_message_size(most))
    }

    /// A connection to the engine itself.
    ///
    /// # Errors
    /// When its address is none.
    pub(crate) fn channel(&self) -> io::Result<Channel> {
        channel(&self.engine_url)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

fn channel(url: &str) -> io::Result<Channel> {
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(io::Error::other)?;
    Ok(endpoint.tcp_nodelay(true).connect_lazy())
}
