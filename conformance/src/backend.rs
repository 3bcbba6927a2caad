//! The engines that cases are run against: one within this process, one in a process of its own, or one that
//! somebody else has started.

mod embedded;
mod endpoint;
mod server;

use self::embedded::Embedded;
use self::endpoint::Endpoint;
use self::server::Server;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// Where an engine comes from.
#[derive(Clone, Debug, Default)]
pub enum Backend {
    /// Within this process, over a store in memory.
    #[default]
    Embedded,
    /// A `conveyor serve` process.
    Server {
        /// The program; `None`: `conveyor` beside this program, else the one on `PATH`.
        program: Option<PathBuf>,
    },
    /// One that runs already. It is neither restarted nor arranged.
    Endpoint {
        /// Its address: `http://HOST:PORT` or `https://HOST:PORT`.
        url: String,
        /// Who signed its certificate, PEM; `None` for the authorities of the system.
        ca: Option<PathBuf>,
        /// An access token with the scope `admin`; `None` where it asks for none.
        token: Option<String>,
    },
}

/// What is arranged before an engine is started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Whether whoever comes has to show an access token.
    pub(crate) access: bool,
    /// Secrets that documents may name as `file:NAME`, by name.
    pub(crate) secrets: BTreeMap<String, String>,
}

/// Why an engine is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unavailable(pub(crate) String);

impl fmt::Display for Unavailable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Unavailable {}

/// An engine that answers. It is gone when this is dropped, and so is all that it kept.
#[derive(Debug)]
pub(crate) struct Engine {
    url: String,
    token: Option<String>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Embedded(Box<Embedded>),
    Server(Box<Server>),
    /// Dropped with the value: the way to it ends.
    Endpoint {
        _way: Endpoint,
    },
}

impl Engine {
    /// Starts an engine, and waits until it answers.
    ///
    /// # Errors
    /// A sentence: why it cannot be, or not so.
    pub(crate) async fn start(backend: &Backend, setting: &Setting) -> Result<Engine, Unavailable> {
        match backend {
            Backend::Embedded => {
                let engine = Embedded::start(setting).await?;
                Ok(Engine {
                    url: engine.url(),
                    token: engine.token(),
                    kind: Kind::Embedded(Box::new(engine)),
                })
            }
            Backend::Server { program } => {
                let server = Server::start(program.as_deref(), setting).await?;
                Ok(Engine {
                    url: server.url(),
                    token: server.token(),
                    kind: Kind::Server(Box::new(server)),
                })
            }
            Backend::Endpoint { .. } if *setting != Setting::default() => Err(Unavailable(
                "it needs an engine of its own, with secrets or access tokens: an engine that runs already is not arranged"
                    .to_owned(),
            )),
            Backend::Endpoint { url, ca, token } => {
                let way = Endpoint::reach(url, ca.as_deref()).await?;
                Ok(Engine {
                    url: way.url.clone(),
                    token: token.clone(),
                    kind: Kind::Endpoint { _way: way },
                })
            }
        }
    }

    /// Where it listens: `http://HOST:PORT`, the same over restarts.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// An access token that may do everything; `None` where none is asked for.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Ends it and starts it again over the same store, at the same address.
    ///
    /// `gently`: it is told before, and says its goodbyes; otherwise it ends at once.
    ///
    /// # Errors
    /// A sentence: why it cannot be.
    pub(crate) async fn restart(&mut self, gently: bool) -> Result<(), Unavailable> {
        match &mut self.kind {
            Kind::Embedded(engine) => engine.restart(gently).await,
            Kind::Server(server) => server.restart(gently).await,
            Kind::Endpoint { .. } => Err(Unavailable(
                "it restarts its engine: one that runs already is not restarted".to_owned(),
            )),
        }
    }

    /// Puts its clock forward, as one that was set does.
    ///
    /// # Errors
    /// A sentence: its clock is that of another process.
    pub(crate) fn jump(&self, by: Duration) -> Result<(), Unavailable> {
        match &self.kind {
            Kind::Embedded(engine) => {
                engine.jump(by);
                Ok(())
            }
            Kind::Server(_) | Kind::Endpoint { .. } => Err(Unavailable(
                "it puts the engine's clock forward: only that of `--backend embedded` can be"
                    .to_owned(),
            )),
        }
    }

    /// Ends it.
    pub(crate) async fn stop(self) {
        match self.kind {
            Kind::Embedded(mut engine) => engine.end(false).await,
            Kind::Server(mut server) => server.kill().await,
            Kind::Endpoint { .. } => {}
        }
    }
}

/// A directory with a file for each secret; `None` without secrets.
fn secrets(setting: &Setting) -> Result<Option<TempDir>, Unavailable> {
    if setting.secrets.is_empty() {
        return Ok(None);
    }
    let directory = temporary()?;
    for (name, value) in &setting.secrets {
        let path: &Path = directory.path();
        let written = fs::write(path.join(name), value);
        written.map_err(|error| Unavailable(format!("the secret `{name}`: {error}")))?;
    }
    Ok(Some(directory))
}

fn temporary() -> Result<TempDir, Unavailable> {
    crate::keeper::temporary()
        .map_err(|error| Unavailable(format!("a temporary directory: {error}")))
}
