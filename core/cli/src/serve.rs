//! `conveyor serve`: the server of one machine.

mod log;

use self::log::Log;
use crate::args::ServeArgs;
use crate::client::{Problem, data_dir, told, with_runtime};
use crate::config::{Config, LogFormat, resolve, strangers};
use crate::drivers::{local_drivers, step_environment};
use crate::exit::{Exit, refuse};
use crate::interrupts::{Interrupt, Interrupts};
use crate::terminal;
use conveyor_api::{
    Admission, ConnectionLimits, Front, Listener, Services, TcpEndpoint, Tls, TlsFiles,
};
use conveyor_node::retention::Retention;
use conveyor_node::{Node, Secrets};
use conveyor_service::{About, ControlHandlers, DriverHandlers, Ending};
use conveyor_store::{Access, DataDir, Embedded, ErrorKind};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

/// `conveyor serve`.
pub(crate) fn serve(args: &ServeArgs) -> Exit {
    let resolved = match resolve(args.given(), |name| std::env::var(name).ok()) {
        Ok(resolved) => resolved,
        Err(problems) => return refuse(problems),
    };
    if args.print_config {
        terminal::print(&resolved.show());
        return Exit::Succeeded;
    }
    let config = resolved.config;
    // Its last lines are written when this ends.
    let _log = match Log::start(&config) {
        Ok(log) => log,
        Err(error) => return refuse(format!("cannot start a thread: {error}")),
    };
    if let Some(file) = &resolved.file {
        tracing::info!(file = %file.display(), "configured");
    }
    for name in strangers() {
        tracing::warn!(
            "{name} is no setting and counts for nothing; --print-config has all of them"
        );
    }
    with_runtime(None, async {
        match Server::start(&config).await {
            Ok((server, interrupts)) => {
                server.until_told(interrupts).await;
                Exit::Succeeded
            }
            Err(problem) => match config.log_format {
                LogFormat::Json => problem.log(),
                LogFormat::Text => problem.tell(),
            },
        }
    })
}

/// A server that answers.
struct Server {
    node: Node,
    control: Arc<ControlHandlers>,
    drivers: Arc<DriverHandlers>,
    stop: watch::Sender<bool>,
    listeners: Vec<tokio::task::JoinHandle<()>>,
    /// Has the certificates read again; `None` without TLS.
    reload: Option<mpsc::Sender<()>>,
    retention: tokio::task::JoinHandle<()>,
    changes: tokio::task::JoinHandle<()>,
    drain: Duration,
}

impl Server {
    async fn start(args: &Config) -> Result<(Server, Interrupts), Problem> {
        safe(args).map_err(Problem::refused)?;
        let tls = tls(args).map_err(Problem::refused)?;
        // First: a second server on this address is to touch nothing.
        let endpoint = bind(args.listen).await?;
        let endpoint = endpoint.for_pages(&args.cors_origins);
        let path = data_dir(args.data_dir.clone()).map_err(Problem::refused)?;
        let directory = open(&path).await?;
        let path = directory.path().to_owned();
        let store = tokio::task::spawn_blocking(move || Embedded::open(directory)).await;
        let store = store
            .map_err(|error| Problem::refused(format!("opening the store: {error}")))?
            .map_err(|error| Problem::refused(error.to_string()))?;
        let (store, telling) = told(store);
        // A line of the log like any other: whoever reads it may read JSON.
        tokio::spawn(telling.tell(|what| tracing::warn!("{what}")));
        let capacity = u32::try_from(args.exec).unwrap_or(u32::MAX);
        let drivers = match capacity {
            0 => Vec::new(),
            _ => local_drivers(),
        };
        let about = about(&path, &drivers, capacity);
        let config = conveyor_node::Config {
            capacity,
            limits: conveyor_node::node::Limits {
                output_bytes: args.output_bytes,
                checkpoint_bytes: args.checkpoint_bytes,
            },
            secrets: Arc::new(Secrets::new(
                args.secrets_directory.clone(),
                args.secrets_env_prefix.clone(),
            )),
            ..conveyor_node::Config::new(Arc::new(store), drivers, Handle::current())
        };
        let node = Node::open(config).await;
        let node = node.map_err(|error| {
            Problem::refused(format!("the data directory {}: {error}", path.display()))
        })?;
        let drivers = Arc::new(DriverHandlers::new(node.clone()).heartbeat_every(args.heartbeat));
        let control = Arc::new(ControlHandlers::new(node.clone(), about));
        let changes = Arc::clone(&control);
        let services = Services {
            control: Arc::clone(&control),
            driver: Some(Arc::clone(&drivers)),
        };
        let (stop, stopped) = watch::channel(false);
        let admission = Admission {
            required: is_checked(args),
            names: args.auth_certificates.clone(),
        };
        let door = (admission, tls.clone());
        // Whoever reads that it listens may ask it to end.
        let interrupts = Interrupts::new();
        let listeners = listen(endpoint, &path, &services, door, limits(args), &stopped)?;
        if args.insecure && safe_without(args).is_some() {
            tracing::warn!(
                "--insecure: whoever reaches {} may do anything, or read what others send",
                args.listen
            );
        }
        let reload = tls.map(|tls| {
            let (asked, reload) = mpsc::channel(1);
            tokio::spawn(async move { tls.keep_up(reload).await });
            asked
        });
        let kept = node.clone();
        let server = Server {
            node,
            control,
            drivers,
            stop,
            listeners,
            reload,
            changes: tokio::spawn(async move { changes.look_after_changes().await }),
            retention: tokio::spawn(kept.retain_always(retention(args), args.retention_interval)),
            drain: args.drain,
        };
        Ok((server, interrupts))
    }

    /// Answers until somebody asks the process to end, and ends.
    async fn until_told(self, mut interrupts: Interrupts) {
        let why = loop {
            match (interrupts.next().await, &self.reload) {
                // One that is asked already is enough.
                (Interrupt::HangUp, Some(reload)) => drop(reload.try_send(())),
                (why, _) => break why,
            }
        };
        tracing::info!(
            ?why,
            drain_s = self.drain.as_secs(),
            "told to end: taking nothing new"
        );
        let ended = async {
            // A node that has ended moves none.
            let live_runs = self.node.live_runs().await.unwrap_or_default();
            self.end().await;
            live_runs
        };
        tokio::select! {
            live_runs = ended => match live_runs {
                0 => tracing::info!("ended: no run is live"),
                live_runs => tracing::info!(live_runs, "ended: live runs go on with the next server"),
            },
            _ = interrupts.next() => {
                tracing::warn!("told again: ending at once; what was not durable begins again");
            }
        }
    }

    async fn end(self) {
        // Nothing new is claimed; what runs in this process has its time.
        self.node.stop_claiming();
        let deadline = self
            .node
            .now()
            .0
            .saturating_add(self.drain.as_millis() as u64);
        self.drivers.end(Ending::Draining(deadline));
        // Each of its turns is a commit: what is left is for the next server.
        self.retention.abort();
        self.changes.abort();
        let idle = self.node.idle_in_process();
        if tokio::time::timeout(self.drain, idle).await.is_err() {
            tracing::warn!("tasks of this process are cut off: their attempts begin again");
        }
        self.drivers.end(Ending::Goodbye);
        // Whoever follows a run is told to come back, and holds up nothing.
        self.control.gate().close();
        self.stop.send_replace(true);
        for listener in self.listeners {
            // It panicked, or it is done.
            let _ = listener.await;
        }
        if let Err(error) = self.node.shutdown().await {
            tracing::warn!(%error, "the node had ended already");
        }
    }
}

/// Whether whoever comes over the address has to say who it is.
fn is_checked(config: &Config) -> bool {
    config.auth_required || config.tls_client_ca.is_some()
}

/// What an address that others reach lacks.
pub(crate) fn safe_without(config: &Config) -> Option<&'static str> {
    if config.listen.ip().is_loopback() {
        return None;
    }
    match (config.tls_cert.is_some(), is_checked(config)) {
        (true, true) => None,
        (false, true) => {
            Some("anybody on the way could read the tokens: give --tls-cert and --tls-key")
        }
        (true, false) => Some("anybody there could do anything: say --auth-required"),
        (false, false) => Some(
            "anybody there could do anything: give --tls-cert and --tls-key, and say --auth-required",
        ),
    }
}

/// Whether it may listen as it is configured to.
///
/// # Errors
/// A sentence: what it lacks.
pub(crate) fn safe(config: &Config) -> Result<(), String> {
    if config.tls_cert.is_some() != config.tls_key.is_some() {
        return Err("`tls.cert` and `tls.key` belong together: one of them is missing".to_owned());
    }
    if config.tls_client_ca.is_some() && config.tls_cert.is_none() {
        return Err("`tls.client_ca` needs `tls.cert` and `tls.key`".to_owned());
    }
    if !config.auth_certificates.is_empty() && config.tls_client_ca.is_none() {
        return Err("`auth.certificates` needs `tls.client_ca`, who signs them".to_owned());
    }
    match safe_without(config) {
        Some(why) if !config.insecure => Err(format!(
            "{} can be reached from other machines, and {why}; or listen on 127.0.0.1, or say --insecure",
            config.listen
        )),
        _ => Ok(()),
    }
}

/// Its certificate and key; `None` without TLS.
///
/// # Errors
/// A sentence: what of them cannot be used.
pub(crate) fn tls(config: &Config) -> Result<Option<Arc<Tls>>, String> {
    let (Some(cert), Some(key)) = (config.tls_cert.clone(), config.tls_key.clone()) else {
        return Ok(None);
    };
    let files = TlsFiles {
        cert,
        key,
        client_ca: config.tls_client_ca.clone(),
    };
    Tls::load(files).map(|tls| Some(Arc::new(tls)))
}

async fn bind(address: SocketAddr) -> Result<TcpEndpoint, Problem> {
    TcpEndpoint::bind(address).await.map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrInUse => "another process listens there; ",
            _ => "",
        };
        Problem::refused(format!(
            "cannot listen on {address}: {error}; {hint}choose another address with --listen"
        ))
    })
}

/// Locks the directory. A process that is just ending has a moment to let it go.
async fn open(path: &Path) -> Result<DataDir, Problem> {
    let mut tries = 0;
    loop {
        match DataDir::open(path, Access::Create) {
            Ok(directory) => return Ok(directory),
            Err(error) if tries < 100 && matches!(error.kind(), ErrorKind::Locked { .. }) => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => {
                let advice = match error.kind() {
                    ErrorKind::Locked { .. } => "end that process, or use another --data-dir",
                    ErrorKind::NewerFormat { .. } => {
                        "use the release that wrote it or a later one, or another --data-dir"
                    }
                    ErrorKind::NotADataDirectory => "use another --data-dir",
                    ErrorKind::DiskFull => "make room there, or use another --data-dir",
                    ErrorKind::Corrupt => "restore a backup into a new directory",
                    _ => "let this user make and write it, or use another --data-dir",
                };
                return Err(Problem::refused(format!("{error}; {advice}")));
            }
        }
    }
}

fn about(path: &Path, drivers: &[Arc<dyn conveyor_node::driver::Driver>], capacity: u32) -> About {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let infos = drivers.iter().map(|driver| driver.info());
    About {
        role: "serve".to_owned(),
        data_directory: path.display().to_string(),
        started_ms: now.map_or(0, |now| now.as_millis() as u64),
        drivers: infos
            .map(|info| (info.name.to_string(), info.version.to_string()))
            .collect(),
        capacity,
        // Only tasks of this process get any of it.
        step_environment: step_environment().filter(|_| capacity > 0).collect(),
        drivers_may_come: true,
    }
}

/// What connections may cost.
fn limits(config: &Config) -> ConnectionLimits {
    ConnectionLimits {
        connections: usize::try_from(config.connections).unwrap_or(usize::MAX),
        streams: u32::try_from(config.streams).unwrap_or(u32::MAX),
        head: config.head,
        keepalive: config.keepalive,
        silence: config.silence,
        goodbye: config.goodbye,
    }
}

/// How long what has ended is kept.
fn retention(config: &Config) -> Retention {
    Retention {
        succeeded: config.keep_succeeded,
        failed: config.keep_failed,
        cancelled: config.keep_cancelled,
        logs: config.keep_logs,
        events: config.keep_events,
    }
}

/// Answers on the address and on the directory's socket.
fn listen(
    endpoint: TcpEndpoint,
    path: &Path,
    services: &Services,
    (admission, tls): (Admission, Option<Arc<Tls>>),
    limits: ConnectionLimits,
    stopped: &watch::Receiver<bool>,
) -> Result<Vec<tokio::task::JoinHandle<()>>, Problem> {
    let front = Front::new(services);
    let scheme = if tls.is_some() { "https" } else { "http" };
    let until = |mut stopped: watch::Receiver<bool>| async move {
        // Its sender lives as long as the server.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    let address = endpoint.address();
    let address = address.map_err(|error| Problem::refused(format!("the address: {error}")))?;
    let socket = Listener::bind(path).map_err(|error| {
        Problem::refused(format!(
            "cannot make the socket in {}: {error}",
            path.display()
        ))
    })?;
    tracing::info!(
        url = format!("{scheme}://{address}"),
        socket = %socket.path().display(),
        data_dir = %path.display(),
        version = env!("CARGO_PKG_VERSION"),
        "listening"
    );
    Ok(vec![
        tokio::spawn(endpoint.serve(
            front.clone(),
            admission,
            tls,
            limits,
            until(stopped.clone()),
        )),
        tokio::spawn(socket.serve(front, limits, until(stopped.clone()))),
    ])
}
