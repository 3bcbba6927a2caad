//! What this process does for others while it holds the data directory.

use super::status::Problem;
use super::told::told;
use crate::drivers::{local_drivers, step_environment};
use crate::interrupts::Interrupts;
use crate::render::human;
use crate::terminal;
use conveyor_api::{ConnectionLimits, Control, Front, Listener, Services};
use conveyor_node::{Adopt, Config, Node, Secrets};
use conveyor_service::{About, ControlHandlers};
use conveyor_store::{Cut, DataDir, Embedded};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long requests that are being answered have when the process ends.
const GOODBYE: Duration = Duration::from_secs(2);

/// The node of this process, and its socket.
pub(crate) struct Holder {
    node: Node,
    handlers: Arc<ControlHandlers>,
    stop: oneshot::Sender<()>,
    server: Option<JoinHandle<()>>,
}

impl Holder {
    /// Opens the store in a directory that is locked, the node over it, and the socket in it.
    ///
    /// # Errors
    /// When the store cannot be opened.
    pub(crate) async fn open(
        directory: DataDir,
        capacity: u32,
        secrets: &Arc<Secrets>,
    ) -> Result<(Holder, Control), Problem> {
        let path = directory.path().to_owned();
        let opened = tokio::task::spawn_blocking(move || Embedded::open(directory)).await;
        let store = opened
            .map_err(|error| Problem::refused(format!("opening the store: {error}")))?
            .map_err(|error| Problem::refused(error.to_string()))?;
        if let Some(cut) = store.cut() {
            terminal::warning(&unfinished(cut));
        }
        let (store, telling) = told(store);
        let drivers = local_drivers();
        let about = About {
            role: "run".to_owned(),
            data_directory: path.display().to_string(),
            started_ms: now(),
            drivers: drivers
                .iter()
                .map(|driver| driver.info())
                .map(|info| (info.name.to_string(), info.version.to_string()))
                .collect(),
            capacity,
            step_environment: step_environment().collect(),
            drivers_may_come: false,
        };
        let config = Config {
            capacity,
            adopt: Adopt::None,
            secrets: Arc::clone(secrets),
            ..Config::new(Arc::new(store), drivers, Handle::current())
        };
        let node = Node::open(config).await;
        let node = node.map_err(|error| {
            Problem::refused(format!("the data directory {}: {error}", path.display()))
        })?;
        tokio::spawn(telling.tell(terminal::warning));
        let handlers = Arc::new(ControlHandlers::new(node.clone(), about));
        let control = conveyor_api::in_process(Arc::clone(&handlers));
        let (stop, stopped) = oneshot::channel();
        let server = match Listener::bind(&path) {
            Ok(listener) => {
                let handlers = Arc::clone(&handlers);
                Some(tokio::spawn(async move {
                    let stopped = async {
                        // Dropped or told: both mean the end.
                        let _ = stopped.await;
                    };
                    let services = Services {
                        control: handlers,
                        driver: None,
                    };
                    let limits = ConnectionLimits::default();
                    listener.serve(Front::new(&services), limits, stopped).await;
                }))
            }
            Err(error) => {
                terminal::warning(&format!(
                    "other processes cannot reach this one: no control socket: {error}"
                ));
                None
            }
        };
        Ok((
            Holder {
                node,
                handlers,
                stop,
                server,
            },
            control,
        ))
    }

    /// Stays until every run that was given to this process has ended, and ends then. Ctrl-C twice
    /// leaves at once; the runs are interrupted then.
    pub(crate) async fn finish(self) {
        let (gate, reader) = (self.handlers.gate(), self.handlers.reader());
        let mut interrupts = Interrupts::new();
        let (mut told, mut asked) = (0, false);
        while let Err(live) = gate.try_close(reader).await {
            if live.len() > told {
                terminal::note(&format!(
                    "this process holds the data directory and stays until {} that it \
                     moves {} ended",
                    human::count(live.len(), "run"),
                    if live.len() == 1 { "has" } else { "have" },
                ));
            }
            told = live.len();
            tokio::select! {
                () = gate.changed(reader, &live) => {}
                _ = interrupts.next() => {
                    if asked {
                        gate.close();
                        break;
                    }
                    asked = true;
                    terminal::note(
                        "leaving now would interrupt them; press Ctrl-C again to leave",
                    );
                }
            }
        }
        let _ = self.stop.send(());
        if let Some(mut server) = self.server
            && tokio::time::timeout(GOODBYE, &mut server).await.is_err()
        {
            server.abort();
            // The socket has to be gone before the lock is.
            let _ = server.await;
        }
        if let Err(error) = self.node.shutdown().await {
            terminal::warning(&error.to_string());
        }
    }
}

/// What a power failure left, in a sentence.
fn unfinished(cut: &Cut) -> String {
    let Cut {
        journal,
        offset,
        bytes,
        ..
    } = cut;
    let kept = match &cut.kept {
        Some(kept) => format!("kept in {}", kept.display()),
        None => "not kept".to_owned(),
    };
    format!(
        "{} ended in a commit that a crash left unfinished ({}, {bytes} bytes at {offset}): it was \
         never confirmed, is cut off and {kept}",
        journal.display(),
        cut.problem
    )
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| now.as_millis() as u64)
}
