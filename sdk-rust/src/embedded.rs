//! The engine in this process: no server, no network, the same [`Client`].
//!
//! ```
//! use conveyor_sdk::embedded::{Engine, EngineOptions};
//! use conveyor_sdk::{Driver, Failure, Start, Task};
//! use serde_json::{Value, json};
//!
//! async fn greet(task: Task) -> Result<Value, Failure> {
//!     let name = task.inputs["name"].as_str().unwrap_or("nobody");
//!     task.log.info(format!("greeting {name}"));
//!     Ok(json!({ "text": format!("hello {name}") }))
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), conveyor_sdk::Error> {
//! let driver = Driver::new("greet").version("1.0.0").action("say", greet);
//! let engine = Engine::open(EngineOptions { drivers: vec![driver], ..Default::default() }).await?;
//! let run = engine.client().start(Start::document(r#"
//! apiVersion: conveyor/v1
//! kind: Pipeline
//! metadata: {name: hello}
//! spec:
//!   steps: [{id: say, driver: greet, with: {name: Ada}}]
//!   outputs: {text: "${{ steps.say.outputs.text }}"}
//! "#)).await?;
//! let ended = run.wait().await?;
//! assert_eq!(ended.outputs()?, json!({ "text": "hello Ada" }));
//! engine.close().await
//! # }
//! ```

mod task;

pub use task::in_process;

use crate::client::Transport;
use crate::dial::MESSAGE_BYTES;
use crate::error::ErrorKind;
use crate::{Client, Driver, Error};
use conveyor_node::{Config, Node, Secrets};
use conveyor_proto::v1::control_service_server::ControlServiceServer;
use conveyor_proto::v1::driver_service_server::DriverServiceServer;
use conveyor_service::{About, ControlHandlers, DriverHandlers};
use conveyor_store::{Access, DataDir, Embedded, Memory, Store};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::Request;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

/// What an engine is opened with.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Where everything is kept: a directory that one process at a time has, made where it is not there.
    /// `None`: in memory, and gone with the engine. Default `None`.
    pub data_dir: Option<PathBuf>,
    /// The drivers. Pipelines that name others are refused.
    pub drivers: Vec<Driver>,
    /// How many tasks of theirs run at once, all together. Default 16.
    pub capacity: u32,
    /// Where files lie that steps may name as secrets (`file:NAME`). Default: none may.
    pub secrets_dir: Option<PathBuf>,
    /// What variables of this process begin with that steps may name as secrets (`env:NAME`). Default:
    /// empty, none may.
    pub secrets_env: String,
}

impl Default for EngineOptions {
    fn default() -> EngineOptions {
        EngineOptions {
            data_dir: None,
            drivers: Vec::new(),
            capacity: 16,
            secrets_dir: None,
            secrets_env: String::new(),
        }
    }
}

/// How long what is left of an engine has to let the store go.
const LET_GO: Duration = Duration::from_secs(5);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// An engine in this process. Runs that an earlier one of the same directory left go on by themselves.
pub struct Engine {
    node: Node,
    client: Client,
    open: Open,
    /// To see that nobody has it any more.
    store: Weak<dyn Store>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Engine(..)")
    }
}

impl Engine {
    /// Opens an engine on the caller's tokio runtime, which has I/O and time.
    ///
    /// # Errors
    /// [`ErrorKind::Driver`] when a driver cannot be; [`ErrorKind::Precondition`] when the directory cannot
    /// be used, or another process has it.
    pub async fn open(options: EngineOptions) -> Result<Engine, Error> {
        let mut drivers = Vec::new();
        for driver in options.drivers {
            driver.check()?;
            drivers.push(in_process(driver));
        }
        let directory = options.data_dir.clone();
        let store = tokio::task::spawn_blocking(move || store(directory)).await;
        let store = store.map_err(|error| unusable(&format!("opening the store: {error}")))??;
        let kept = Arc::downgrade(&store);
        let infos = drivers.iter().map(|driver| driver.info());
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let about = About {
            role: "embedded".to_owned(),
            data_directory: options
                .data_dir
                .map_or_else(String::new, |directory| directory.display().to_string()),
            started_ms: now.unwrap_or_default().as_millis() as u64,
            drivers: infos
                .map(|info| (info.name.to_string(), info.version.to_string()))
                .collect(),
            capacity: options.capacity,
            step_environment: Default::default(),
            drivers_may_come: false,
        };
        let config = Config {
            capacity: options.capacity,
            secrets: Arc::new(Secrets::new(options.secrets_dir, options.secrets_env)),
            ..Config::new(store, drivers, tokio::runtime::Handle::current())
        };
        let node = Node::open(config).await;
        let node = node.map_err(|error| unusable(&error.to_string()))?;
        let control = ControlHandlers::new(node.clone(), about);
        let left = control.start_left_changes().await;
        left.map_err(|status| unusable(status.message()))?;
        let (client, open) = client(&node, control);
        Ok(Engine {
            node,
            client,
            open,
            store: kept,
        })
    }

    /// A client of it. Clones share it, and work until the engine is closed.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Ends it, and lets the directory go. Tasks that run are cut off: they begin again where the directory
    /// is opened next. Clients that are left are answered [`ErrorKind::Precondition`].
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when it had ended already, because its store failed, or when a stream of
    /// events or logs holds the directory for longer than 5 s: drop it.
    pub async fn close(self) -> Result<(), Error> {
        let Engine {
            node, open, store, ..
        } = self;
        open.lock().unwrap_or_else(PoisonError::into_inner).take();
        let unavailable = |why: String| Error::answer(ErrorKind::Unavailable, why);
        let ended = node.shutdown().await;
        drop(node);
        // Threads and streams of the node end by themselves, and have the store until then.
        let deadline = Instant::now() + LET_GO;
        while store.strong_count() > 0 {
            if Instant::now() > deadline {
                let why =
                    "the engine has ended, but a stream of its events or logs holds the store";
                return Err(unavailable(why.to_owned()));
            }
            tokio::time::sleep(LOOK).await;
        }
        ended.map_err(|error| unavailable(error.to_string()))
    }
}

fn store(directory: Option<PathBuf>) -> Result<Arc<dyn Store>, Error> {
    let Some(path) = directory else {
        return Ok(Arc::new(Memory::new()));
    };
    let directory = DataDir::open(&path, Access::Create);
    let directory = directory.map_err(|error| unusable(&error.to_string()))?;
    let store = Embedded::open(directory).map_err(|error| unusable(&error.to_string()))?;
    Ok(Arc::new(store))
}

fn unusable(why: &str) -> Error {
    Error::answer(ErrorKind::Precondition, why)
}

/// A client of the node's own handlers, without a socket in between.
fn client(node: &Node, control: ControlHandlers) -> (Client, Open) {
    let control = ControlServiceServer::new(control)
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES);
    let driver = DriverServiceServer::new(DriverHandlers::new(node.clone()))
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES);
    let control = ServiceExt::<Request<Body>>::map_err(control, |never| match never {});
    let driver = ServiceExt::<Request<Body>>::map_err(driver, |never| match never {});
    let services = Arc::new(Mutex::new(Some(Services {
        control: BoxCloneSyncService::new(control),
        driver: BoxCloneSyncService::new(driver),
    })));
    let control = while_open(&services, |services| services.control.clone());
    let driver = while_open(&services, |services| services.driver.clone());
    (Client::over(control, driver, String::new()), services)
}

/// What clients reach, until the engine is closed: they may outlive it, the store may not.
struct Services {
    control: Transport,
    driver: Transport,
}

type Open = Arc<Mutex<Option<Services>>>;

fn while_open(services: &Open, which: fn(&Services) -> Transport) -> Transport {
    let services = Arc::clone(services);
    BoxCloneSyncService::new(tower::service_fn(move |request| {
        let open = services.lock().unwrap_or_else(PoisonError::into_inner);
        let service = open.as_ref().map(which);
        async move {
            match service {
                Some(service) => service.oneshot(request).await,
                None => Ok(closed().into_http()),
            }
        }
    }))
}

fn closed() -> Status {
    Status::failed_precondition("the engine of this client is closed")
}
