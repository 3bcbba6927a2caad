//! Drivers in this process: one session, one task of the runtime for each claim.

use super::Config;
use super::attempt::{Attempt, Sent};
use super::config::Limits;
use super::judge::{self, failure};
use super::log_writer::LogWriter;
use super::logs::AttemptLines;
use super::messages::Message;
use crate::driver::{Checkpoints, Context, Driver, Logs};
use crate::owner::StartTask;
use crate::reader::Reader;
use crate::secrets::Secrets;
use crate::token::Claimed;
use conveyor_engine::plan::{ActionContract, Drivers};
use conveyor_engine::run::Failure;
use conveyor_engine::value::Hash;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

/// The drivers of this process, as one session.
pub(super) struct Session {
    pub(super) id: Arc<str>,
    drivers: BTreeMap<Arc<str>, Arc<dyn Driver>>,
    contracts: Arc<Drivers>,
    limits: Limits,
    secrets: Arc<Secrets>,
}

impl Session {
    pub(super) fn new(config: &Config, contracts: Arc<Drivers>) -> Session {
        let drivers = config.drivers.iter();
        Session {
            id: format!("in-process-{}", uuid::Uuid::now_v7()).into(),
            drivers: drivers
                .map(|driver| (driver.info().name, Arc::clone(driver)))
                .collect(),
            contracts,
            limits: config.limits,
            secrets: Arc::clone(&config.secrets),
        }
    }

    /// Drivers by name, with the version of each.
    pub(super) fn versions(&self) -> BTreeMap<Arc<str>, Arc<str>> {
        let each = self.contracts.iter();
        each.map(|driver| (Arc::clone(&driver.name), Arc::clone(&driver.version)))
            .collect()
    }

    /// Drivers by name, with the digest of the schemas of each.
    pub(super) fn schemas(&self) -> BTreeMap<Arc<str>, Hash> {
        let each = self.contracts.iter();
        each.map(|driver| (Arc::clone(&driver.name), driver.digest))
            .collect()
    }
}

/// The tasks that run in this process.
pub(super) struct Tasks {
    session: Session,
    runtime: Handle,
    reader: Reader,
    messages: Sender<Message>,
    logs: LogWriter,
    running: HashMap<Claimed, Running>,
    count: watch::Sender<usize>,
}

/// Dropping it ends the task.
struct Running {
    cancel: watch::Sender<Option<Arc<str>>>,
    _abort: oneshot::Sender<()>,
}

impl Tasks {
    pub(super) fn new(
        session: Session,
        runtime: Handle,
        reader: Reader,
        messages: Sender<Message>,
        logs: LogWriter,
    ) -> Tasks {
        Tasks {
            session,
            runtime,
            reader,
            messages,
            logs,
            running: HashMap::new(),
            count: watch::channel(0).0,
        }
    }

    /// How many run.
    pub(super) fn running(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    fn counted(&self) {
        self.count.send_replace(self.running.len());
    }

    pub(super) fn session(&self) -> &Arc<str> {
        &self.session.id
    }

    pub(super) fn start(&mut self, start: StartTask) {
        let (cancel, cancelled) = watch::channel(None);
        let (abort, aborted) = oneshot::channel();
        self.running.insert(
            start.claimed,
            Running {
                cancel,
                _abort: abort,
            },
        );
        self.counted();
        let (logs, lines) = Logs::channel();
        let (saves, checkpoints) = Checkpoints::channel();
        let driver = self.driver(&start);
        let attempt = Attempt {
            claimed: start.claimed,
            reader: self.reader.clone(),
            messages: self.messages.clone(),
            log: AttemptLines::new(&start.claimed, self.logs.clone()),
            limits: self.session.limits,
            secrets: Arc::clone(&self.session.secrets),
        };
        self.runtime.spawn(async move {
            let context = Context {
                logs,
                cancelled,
                checkpoints: saves,
            };
            let sent = Sent { lines, checkpoints };
            attempt.run(driver, start, context, sent, aborted).await;
        });
    }

    /// The driver of a task, and what its action says of itself.
    fn driver(&self, start: &StartTask) -> Result<(Arc<dyn Driver>, ActionContract), Failure> {
        let name = &start.spec.driver;
        let driver = self.session.drivers.get(name);
        let (Some(driver), Some(contract)) = (driver, self.session.contracts.get(name)) else {
            let message = format!("this process has no driver `{name}`");
            return Err(failure("no_such_driver", message, false));
        };
        let action = judge::action(contract, start.spec.action.as_deref())?;
        Ok((Arc::clone(driver), action.clone()))
    }

    pub(super) fn cancel(&self, claimed: &Claimed, reason: Arc<str>) {
        if let Some(running) = self.running.get(claimed) {
            running.cancel.send_replace(Some(reason));
        }
    }

    /// Ends a task whose claim is over; false when it has ended.
    pub(super) fn abort(&mut self, claimed: &Claimed) -> bool {
        let ran = self.running.remove(claimed).is_some();
        self.counted();
        ran
    }

    pub(super) fn ended(&mut self, claimed: &Claimed) {
        self.running.remove(claimed);
        self.counted();
    }
}
