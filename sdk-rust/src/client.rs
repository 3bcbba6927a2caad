//! A client of the whole control API.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `client/options.rs` | where the server is, and how long it is waited for |
//! | `client/calls.rs` | every call, message in and message out |
//! | `client/again.rs` | what is tried again, and when |
//! | `client/start.rs` | what a run is started with |
//! | `client/run.rs`, `client/runs.rs` | one run, and all of them |
//! | `client/events.rs`, `client/logs.rs` | what happens, and what is said, without gap or repeat |
//! | `client/feed.rs` | what happens to all runs and objects of a namespace |
//! | `client/tasks.rs` | tasks that go on outside of their drivers |

mod again;
mod calls;
mod events;
mod feed;
mod logs;
mod options;
mod run;
mod runs;
mod start;
mod tasks;

pub use events::Events;
pub use feed::Feed;
pub use logs::Logs;
pub use options::ClientOptions;
pub use run::{Ended, Run};
pub use runs::Runs;
pub use start::{Fork, Start};
pub use tasks::{Appended, Told};

use crate::dial::{self, MESSAGE_BYTES};
use crate::{DEFAULT_URL, Error};
use conveyor_proto::v1::control_service_client::ControlServiceClient;
use conveyor_proto::v1::driver_service_client::DriverServiceClient;
use std::fmt;
use std::time::Duration;
use tonic::body::Body;
use tonic::codegen::StdError;
use tonic::codegen::http::{Request, Response};
use tonic::metadata::{Ascii, MetadataValue};
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

/// Where requests go: over a connection, or to handlers in this process.
pub(crate) type Transport = BoxCloneSyncService<Request<Body>, Response<Body>, Broken>;

/// What became of a connection: a type of its own, so that futures of calls can be sent.
#[derive(Debug)]
pub(crate) struct Broken(StdError);

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

/// A client of a server, or of an engine in this process (feature `embedded`). Clones share one
/// connection, which is made again whenever it breaks.
///
/// ```no_run
/// use conveyor_sdk::{Client, Start};
/// use serde_json::json;
///
/// # async fn example() -> Result<(), conveyor_sdk::Error> {
/// let client = Client::connect("http://127.0.0.1:7420").await?;
/// let run = client.start(Start::pipeline("release").inputs(json!({ "ref": "main" }))).await?;
/// let mut logs = run.logs();
/// while let Some(record) = logs.next().await {
///     println!("{}", String::from_utf8_lossy(&record?.text));
/// }
/// let ended = run.wait().await?;
/// println!("{:?}: {}", ended.state(), ended.outputs()?);
/// # Ok(())
/// # }
/// ```
///
/// Calls that change nothing, and those that may be made twice, are made again while the server is
/// away, for as long as [`ClientOptions::patience`] allows. A run's id is made before the first try, so
/// that a start whose answer was lost finds the run that it made.
#[derive(Clone)]
pub struct Client {
    control: ControlServiceClient<Transport>,
    driver: DriverServiceClient<Transport>,
    token: Option<MetadataValue<Ascii>>,
    patience: Duration,
    url: String,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Connects to a server: `http://HOST:PORT`, `https://HOST:PORT`, or `unix:PATH` of a socket or a
    /// data directory. The access token is that of `CONVEYOR_TOKEN`, if there is one.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Address`] when the address is none, [`crate::ErrorKind::Unavailable`] when
    /// nobody answers there.
    pub async fn connect(url: impl Into<String>) -> Result<Client, Error> {
        Client::open(ClientOptions {
            url: Some(url.into()),
            ..ClientOptions::default()
        })
        .await
    }

    /// As [`Client::connect`], with all that can be said. The default options take the address from
    /// `CONVEYOR_URL`, else [`DEFAULT_URL`].
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn open(options: ClientOptions) -> Result<Client, Error> {
        let url = options.address();
        let token = options.access_token();
        let channel = dial::dial(&url, &options.tls, token.as_deref()).await?;
        let token = token.map(|token| dial::bearer(&token)).transpose()?;
        let transport = BoxCloneSyncService::new(channel.map_err(|error| Broken(error.into())));
        let mut client = Client::over(transport.clone(), transport, url);
        (client.token, client.patience) = (token, options.patience);
        Ok(client)
    }

    /// Over services that are there already: control, and driver.
    pub(crate) fn over(control: Transport, driver: Transport, url: String) -> Client {
        Client {
            control: ControlServiceClient::new(control)
                .max_decoding_message_size(MESSAGE_BYTES)
                .max_encoding_message_size(MESSAGE_BYTES),
            driver: DriverServiceClient::new(driver)
                .max_decoding_message_size(MESSAGE_BYTES)
                .max_encoding_message_size(MESSAGE_BYTES),
            token: None,
            patience: ClientOptions::default().patience,
            url,
        }
    }

    /// The server's address; empty for an engine in this process.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The client with another patience: see [`ClientOptions::patience`].
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Client {
        self.patience = patience;
        self
    }
}

impl ClientOptions {
    fn address(&self) -> String {
        let from_environment = || std::env::var("CONVEYOR_URL").ok();
        let url = self.url.clone().or_else(from_environment);
        let url = url.filter(|url| !url.is_empty());
        url.unwrap_or_else(|| DEFAULT_URL.to_owned())
    }

    fn access_token(&self) -> Option<String> {
        let from_environment = || std::env::var("CONVEYOR_TOKEN").ok();
        let token = self.token.clone().or_else(from_environment);
        token.filter(|token| !token.is_empty())
    }
}
