//! TLS: certificates from files, read again when they change.

use crate::validity::{Standing, Validity};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use tokio_rustls::TlsAcceptor;

/// How often it is looked whether a file has changed.
const LOOK: Duration = Duration::from_secs(2);

/// How often it is told that a certificate has ended, or is about to.
const REMIND: Duration = Duration::from_secs(86_400);

/// Where a server's certificates are.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The server's certificate and those between it and a root, PEM.
    pub cert: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// Who signs the certificates of clients, PEM. `None`: none is asked for.
    pub client_ca: Option<PathBuf>,
}

/// What connections are accepted with.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    current: RwLock<Current>,
}

#[derive(Debug)]
struct Current {
    config: Arc<ServerConfig>,
    seen: Stamps,
}

/// When each file was changed, and how long it was.
type Stamps = Vec<Option<(SystemTime, u64)>>;

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// Which file cannot be used, and why.
    pub fn load(files: TlsFiles) -> Result<Tls, String> {
        let seen = files.stamps();
        let config = files.read()?;
        files.warn();
        Ok(Tls {
            files,
            current: RwLock::new(Current { config, seen }),
        })
    }

    /// From when until when the server's certificate, and those between it and a root, hold. `None` where that
    /// cannot be read.
    #[must_use]
    pub fn validity(&self) -> Option<Validity> {
        self.files.validity()
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&current.config))
    }

    /// Reads the files again whenever one has changed, and whenever `asked` says so. What cannot be used
    /// is told, and the certificates before it stay. So is, once a day, one that has ended or is about to. Ends
    /// with `asked`.
    pub async fn keep_up(&self, mut asked: tokio::sync::mpsc::Receiver<()>) {
        let mut warned = tokio::time::Instant::now();
        loop {
            if warned.elapsed() >= REMIND {
                self.files.warn();
                warned = tokio::time::Instant::now();
            }
            let forced = tokio::select! {
                () = tokio::time::sleep(LOOK) => false,
                asked = asked.recv() => match asked {
                    Some(()) => true,
                    None => return,
                },
            };
            self.look(forced);
        }
    }

    fn look(&self, forced: bool) {
        let stamps = self.files.stamps();
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if !forced && current.seen == stamps {
            return;
        }
        // Said once for each change, also where it is none for the better.
        current.seen = stamps;
        match self.files.read() {
            Ok(config) => {
                current.config = config;
                tracing::info!(cert = %self.files.cert.display(), "the certificates were read again");
                self.files.warn();
            }
            Err(why) => {
                tracing::error!(why, "new certificates are not taken: the ones before stay");
            }
        }
    }
}

impl TlsFiles {
    fn all(&self) -> impl Iterator<Item = &Path> {
        let ca = self.client_ca.as_deref();
        [&*self.cert, &*self.key].into_iter().chain(ca)
    }

    fn stamps(&self) -> Stamps {
        let stamp = |path: &Path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        self.all().map(stamp).collect()
    }

    fn validity(&self) -> Option<Validity> {
        Validity::of(&certificates(&self.cert).ok()?)
    }

    fn warn(&self) {
        let validity = self.validity();
        if let Some(found) = validity.filter(|found| found.standing() != Standing::Good) {
            let cert = self.cert.display();
            tracing::warn!(%cert, "{found}: clients that verify it connect only while it holds");
        }
    }

    fn read(&self) -> Result<Arc<ServerConfig>, String> {
        let chain = certificates(&self.cert)?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| format!("the private key {}: {error}", self.key.display()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS: {error}"))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for root in certificates(path)? {
                    roots.add(root).map_err(|error| {
                        format!("the authority of clients {}: {error}", path.display())
                    })?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                let verifier = verifier.map_err(|error| {
                    format!("the authority of clients {}: {error}", path.display())
                })?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| {
            format!(
                "the certificate {} with the key {}: {error}",
                self.cert.display(),
                self.key.display()
            )
        })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let failed = |error| format!("the certificate {}: {error}", path.display());
    let all = CertificateDer::pem_file_iter(path).map_err(failed)?;
    let all: Vec<_> = all.collect::<Result<_, _>>().map_err(failed)?;
    match all.is_empty() {
        true => Err(format!("{} has no certificate", path.display())),
        false => Ok(all),
    }
}

/// The names of a client's certificate: DNS names and URIs. It was verified before.
pub(crate) fn names(certificate: &CertificateDer<'_>) -> Arc<[String]> {
    let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else {
        return Arc::new([]);
    };
    let dns = certificate.valid_dns_names();
    let uris = certificate.valid_uri_names();
    dns.chain(uris).map(str::to_owned).collect()
}
