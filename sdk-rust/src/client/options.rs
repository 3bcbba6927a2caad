use crate::Tls;
use std::fmt;
use std::time::Duration;

/// Where a server is, and how patient a client is with it.
#[derive(Clone)]
pub struct ClientOptions {
    /// The server: `http://HOST:PORT`, `https://HOST:PORT`, or `unix:PATH` of a socket or a data
    /// directory. Default: `CONVEYOR_URL`, else [`crate::DEFAULT_URL`].
    pub url: Option<String>,
    /// The access token. Default: `CONVEYOR_TOKEN`, else none.
    pub token: Option<String>,
    /// For `https`.
    pub tls: Tls,
    /// How long a server that is away is tried again, by calls that may be made twice and by streams of
    /// events and logs; zero: not at all. Default 30 s: a server starts again in less.
    pub patience: Duration,
}

impl Default for ClientOptions {
    fn default() -> ClientOptions {
        ClientOptions {
            url: None,
            token: None,
            tls: Tls::default(),
            patience: Duration::from_secs(30),
        }
    }
}

impl fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientOptions")
            .field("url", &self.url)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("patience", &self.patience)
            .finish()
    }
}
