use crate::{DEFAULT_URL, Error, Tls};
use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How a driver connects, and what it offers.
#[derive(Clone)]
pub struct Options {
    /// The server: `http://HOST:PORT`, `https://HOST:PORT` or `unix:PATH` (a data directory or its
    /// socket). Default: `CONVEYOR_URL`, else [`DEFAULT_URL`].
    pub url: Option<String>,
    /// The access token. Default: `CONVEYOR_TOKEN`, else none.
    pub token: Option<String>,
    /// For `https`.
    pub tls: Tls,
    /// The namespace to publish the driver in. Default: the token's own, else `default`; all (`*`) where
    /// the server asks for no token, or for one of the scope `admin`.
    pub namespace: String,
    /// How many tasks it takes at once. Default 16.
    pub capacity: u32,
    /// Features beyond the contract's base that it says it has, by name. At most 64. Default none.
    pub capabilities: Vec<String>,
    /// For routing, and for people.
    pub labels: BTreeMap<String, String>,
    /// How long tasks may go on once the driver is told to stop. Those that are left then are handed
    /// back: they begin again elsewhere under the next attempt number. Default 30 s.
    pub drain: Duration,
    /// Whether it waits for a server that is not there yet. Without, the first failure is an error.
    /// Default true.
    pub patient: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            url: None,
            token: None,
            tls: Tls::default(),
            namespace: String::new(),
            capacity: 16,
            capabilities: Vec::new(),
            labels: BTreeMap::new(),
            drain: Duration::from_secs(30),
            patient: true,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("url", &self.url)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("namespace", &self.namespace)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// The server's address.
    pub(crate) fn address(&self) -> String {
        let from_environment = || env::var("CONVEYOR_URL").ok().filter(|url| !url.is_empty());
        let url = self.url.clone().filter(|url| !url.is_empty());
        let url = url.or_else(from_environment);
        url.unwrap_or_else(|| DEFAULT_URL.to_owned())
    }

    pub(crate) fn access_token(&self) -> Option<String> {
        let from_environment = || env::var("CONVEYOR_TOKEN").ok();
        let token = self.token.clone().or_else(from_environment);
        token.filter(|token| !token.is_empty())
    }
}

/// How far a driver is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stopping {
    No,
    /// It takes nothing new and finishes what it holds.
    Drain,
    /// It hands back what it holds.
    Now,
}

/// Tells a driver to stop. Clones are the same.
#[derive(Clone, Debug)]
pub struct Stop {
    sender: Arc<watch::Sender<Stopping>>,
}

impl Default for Stop {
    fn default() -> Stop {
        Stop::new()
    }
}

impl Stop {
    /// Nobody has told it yet.
    #[must_use]
    pub fn new() -> Stop {
        Stop {
            sender: Arc::new(watch::channel(Stopping::No).0),
        }
    }

    /// It takes nothing new, finishes what it holds within [`Options::drain`], and ends.
    pub fn drain(&self) {
        self.to(Stopping::Drain);
    }

    /// It hands back what it holds, and ends.
    pub fn now(&self) {
        self.to(Stopping::Now);
    }

    fn to(&self, stopping: Stopping) {
        self.sender.send_if_modified(|now| {
            let further = stopping > *now;
            *now = stopping.max(*now);
            further
        });
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Stopping> {
        self.sender.subscribe()
    }

    /// SIGTERM and SIGINT: the first one drains, the second one ends at once.
    ///
    /// # Errors
    /// When the system gives no handler, or there is no tokio runtime with signals.
    pub fn on_signals(&self) -> Result<(), Error> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Error::Driver(format!("cannot listen to signals: {error}")))
        };
        let mut terminate = listen(SignalKind::terminate())?;
        let mut interrupt = listen(SignalKind::interrupt())?;
        let stop = self.clone();
        tokio::spawn(async move {
            for stopping in [Stopping::Drain, Stopping::Now] {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                stop.to(stopping);
            }
        });
        Ok(())
    }
}
