//! An engine within this process, put together as `conveyor serve` does, over a store in memory and a loopback port.

use super::{Setting, Unavailable, secrets};
use conveyor_api::{Admission, ConnectionLimits, Front, Services, TcpEndpoint};
use conveyor_engine::time::Time;
use conveyor_node::{Clock, Config, Node, Secrets, SystemClock};
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_service::{About, ControlHandlers, DriverHandlers, Ending};
use conveyor_store::{Memory, Store};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a port that was just let go may still be taken.
const LET_GO: Duration = Duration::from_secs(5);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// How long connections have to end where the engine ends gently: its streams end by themselves.
const GOODBYE: Duration = Duration::from_millis(500);

/// The system's clock, and how far it was put forward.
#[derive(Debug, Default)]
struct Forward {
    clock: SystemClock,
    by_ms: AtomicU64,
}

impl Clock for Forward {
    fn now(&self) -> Time {
        let Time(now) = self.clock.now();
        Time(now + self.by_ms.load(Ordering::Relaxed))
    }
}

/// What stays over restarts, and what runs.
#[derive(Debug)]
pub(super) struct Embedded {
    store: Arc<Memory>,
    clock: Arc<Forward>,
    secrets: Option<TempDir>,
    access: bool,
    address: SocketAddr,
    token: Option<String>,
    /// `None` between two lives.
    life: Option<Life>,
}

/// One life of an engine. It has a runtime of its own, with which all of it ends at once, connections included.
#[derive(Debug)]
struct Life {
    runtime: Threads,
    node: Node,
    control: Arc<ControlHandlers>,
    drivers: Arc<DriverHandlers>,
    stop: watch::Sender<bool>,
    listener: JoinHandle<()>,
}

impl Embedded {
    pub(super) async fn start(setting: &Setting) -> Result<Embedded, Unavailable> {
        let mut engine = Embedded {
            store: Arc::new(Memory::new()),
            clock: Arc::default(),
            secrets: secrets(setting)?,
            access: setting.access,
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            token: None,
            life: None,
        };
        engine.open().await?;
        if let Some(life) = engine.life.as_ref().filter(|_| setting.access) {
            // Who calls the handlers itself is this process, which may do everything.
            let request = v1::CreateTokenRequest {
                scope: v1::TokenScope::Admin.into(),
                principal: "conformance".to_owned(),
                ..v1::CreateTokenRequest::default()
            };
            let made = life
                .control
                .create_token(tonic::Request::new(request))
                .await;
            let made = made.map_err(|status| Unavailable(status.message().to_owned()))?;
            engine.token = Some(made.into_inner().secret);
        }
        Ok(engine)
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn token(&self) -> Option<String> {
        self.token.clone()
    }

    /// Puts its clock forward.
    pub(super) fn jump(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.clock.by_ms.fetch_add(by, Ordering::Relaxed);
    }

    pub(super) async fn restart(&mut self, gently: bool) -> Result<(), Unavailable> {
        self.end(gently).await;
        self.open().await
    }

    async fn open(&mut self) -> Result<(), Unavailable> {
        let why =
            |what: &str, error: &dyn std::fmt::Display| Unavailable(format!("{what}: {error}"));
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("conformance-engine")
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| why("a runtime", &error))?;
        let runtime = Threads(Some(runtime));
        let directory = self.secrets.as_ref();
        let config = Config {
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            secrets: Arc::new(Secrets::new(
                directory.map(|directory| directory.path().to_owned()),
                "",
            )),
            ..Config::new(
                Arc::clone(&self.store) as Arc<dyn Store>,
                Vec::new(),
                runtime.handle(),
            )
        };
        let opened = runtime.handle().spawn(begin(config, self.address)).await;
        let opened = opened.map_err(|error| why("the engine", &error))?;
        let (node, control, drivers, endpoint) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                return Err(error);
            }
        };
        let address = endpoint.address();
        self.address = address.map_err(|error| why("the address", &error))?;
        let (stop, mut stopped) = watch::channel(false);
        let services = Services {
            control: Arc::clone(&control),
            driver: Some(Arc::clone(&drivers)),
        };
        let admission = Admission {
            required: self.access,
            ..Admission::default()
        };
        let limits = ConnectionLimits {
            goodbye: GOODBYE,
            ..ConnectionLimits::default()
        };
        let serve = endpoint.serve(Front::new(&services), admission, None, limits, async move {
            // Its sender lives as long as the engine.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        });
        let changes = Arc::clone(&control);
        runtime
            .handle()
            .spawn(async move { changes.look_after_changes().await });
        let listener = runtime.handle().spawn(serve);
        self.life = Some(Life {
            runtime,
            node,
            control,
            drivers,
            stop,
            listener,
        });
        Ok(())
    }

    /// Ends it, once.
    pub(super) async fn end(&mut self, gently: bool) {
        let Some(life) = self.life.take() else {
            return;
        };
        let Life {
            runtime,
            node,
            control,
            drivers,
            stop,
            listener,
        } = life;
        let ended = runtime.handle().spawn(async move {
            if !gently {
                node.abandon().await;
                return;
            }
            node.stop_claiming();
            drivers.end(Ending::Goodbye);
            control.gate().close();
            stop.send_replace(true);
            // It panicked, or it is done; either way the node ends.
            let _ = listener.await;
            let _ = node.shutdown().await;
        });
        // Whatever became of it, nothing of it is left.
        let _ = ended.await;
        drop(runtime);
    }
}

/// The threads of a life. What still runs on them ends with the value, and nobody waits for it: a runtime must not be
/// waited for within another, and what is started may be given up at any moment.
#[derive(Debug)]
struct Threads(Option<Runtime>);

impl Threads {
    fn handle(&self) -> Handle {
        // It is there until it is dropped.
        self.0
            .as_ref()
            .map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

type Begun = (Node, Arc<ControlHandlers>, Arc<DriverHandlers>, TcpEndpoint);

async fn begin(config: Config, address: SocketAddr) -> Result<Begun, Unavailable> {
    let node = Node::open(config).await;
    let node = node.map_err(|error| Unavailable(format!("the engine: {error}")))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let about = About {
        role: "serve".to_owned(),
        data_directory: String::new(),
        started_ms: now.map_or(0, |now| now.as_millis() as u64),
        drivers: Default::default(),
        capacity: 0,
        step_environment: Default::default(),
        drivers_may_come: true,
    };
    let control = Arc::new(ControlHandlers::new(node.clone(), about));
    let drivers = Arc::new(DriverHandlers::new(node.clone()));
    let endpoint = bind(address).await;
    let endpoint = endpoint.map_err(|error| Unavailable(format!("the port {address}: {error}")))?;
    Ok((node, control, drivers, endpoint))
}

/// Binds an address. One that an earlier life had has a moment to be free.
async fn bind(address: SocketAddr) -> io::Result<TcpEndpoint> {
    let until = Instant::now() + LET_GO;
    loop {
        match TcpEndpoint::bind(address).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                tokio::time::sleep(LOOK).await;
            }
            bound => return bound,
        }
    }
}
