//! A connection to an address that was checked.

use crate::failure::{passing, permanent};
use crate::policy::Policy;
use crate::target::Target;
use conveyor_sdk::Failure;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long one address of a host has to accept a connection, before the next one is tried.
const CONNECT: Duration = Duration::from_secs(10);

/// What carries a request.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Whose certificates are believed.
#[derive(Clone)]
pub struct Trust {
    roots: RootCertStore,
}

/// Why a file of certificates cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustError(String);

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TrustError {}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust")
            .field("roots", &self.roots.len())
            .finish()
    }
}

impl Default for Trust {
    /// Mozilla's authorities, as this release knows them.
    fn default() -> Trust {
        let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
        Trust { roots }
    }
}

impl Trust {
    /// Also those of a PEM file.
    ///
    /// # Errors
    /// When it cannot be read, or has no certificate.
    pub fn file(mut self, path: &Path) -> Result<Trust, TrustError> {
        let wrong = |why: &dyn fmt::Display| TrustError(format!("{}: {why}", path.display()));
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))?;
        let mut added = 0;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| wrong(&error))?;
            self.roots.add(certificate).map_err(|error| wrong(&error))?;
            added += 1;
        }
        match added {
            0 => Err(wrong(&"it has no certificate")),
            _ => Ok(self),
        }
    }

    pub(crate) fn connector(self) -> Result<TlsConnector, Failure> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| permanent("tls_failed", error.to_string()))?
            .with_root_certificates(self.roots)
            .with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

/// Connects to a target, at one of its addresses that the policy permits.
pub(crate) async fn connect(
    policy: &Policy,
    tls: &TlsConnector,
    target: &Target,
) -> Result<Box<dyn Wire>, Failure> {
    let stream = reach(policy, target).await?;
    if !target.tls {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(target.host.clone()).map_err(|_| {
        let message = format!("`{}` is no name that a certificate can have", target.host);
        permanent("tls_failed", message)
    })?;
    match tls.connect(name, stream).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => {
            let message = format!("no TLS with {}: {error}", target.authority());
            let inner = error.get_ref();
            let certificate = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
            Err(match certificate {
                Some(rustls::Error::InvalidCertificate(_)) => permanent("tls_failed", message),
                _ => passing("tls_failed", message),
            })
        }
    }
}

async fn reach(policy: &Policy, target: &Target) -> Result<TcpStream, Failure> {
    let (host, port) = (target.host.as_str(), target.port);
    let (mut refused, mut failed) = (None, None);
    for address in resolve(host, port).await? {
        if let Err(kind) = policy.permits(host, port, address.ip()) {
            refused = Some((address.ip(), kind));
            continue;
        }
        // The address itself, which nobody resolves again: a name may lead elsewhere the next time.
        match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // An answer is waited for: there is nothing to collect.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => failed = Some((address, error.to_string())),
            Err(_) => failed = Some((address, format!("no answer in {CONNECT:?}"))),
        }
    }
    Err(match (failed, refused) {
        (Some((address, why)), _) => {
            let message = format!(
                "no connection to {} at {address}: {why}",
                target.authority()
            );
            passing("connect_failed", message)
        }
        (None, Some((address, kind))) => closed(target, address, kind),
        (None, None) => passing("no_such_host", format!("`{host}` has no address")),
    })
}

fn closed(target: &Target, address: IpAddr, kind: &str) -> Failure {
    let (host, bits) = (&target.host, if address.is_ipv4() { 32 } else { 128 });
    let message = format!(
        "`{host}` is {address}, {kind}: the driver connects there only if it is started with \
         `--allow-host {host}` or `--allow-net {address}/{bits}`"
    );
    permanent("address_refused", message)
}

/// The addresses of a host: it may be one itself.
async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    match tokio::net::lookup_host((host, port)).await {
        Ok(addresses) => Ok(addresses.collect()),
        Err(error) => {
            let message = format!("`{host}` has no address: {error}");
            Err(passing("no_such_host", message))
        }
    }
}
