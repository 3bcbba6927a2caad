//! One driver's session, over whatever connections it takes.

use super::connect::{self, Connection};
use super::held::Held;
use super::options::Stopping;
use super::sink::Event;
use super::{Options, Stop};
use crate::bounds;
use crate::{Driver, Error};
use conveyor_proto::v1;
use conveyor_proto::v1::session_request::Message as Tell;
use prost::bytes::Bytes;
use serde_json::Value;
use std::collections::{HashMap, HashSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior};

/// What this runtime speaks.
const CONTRACT_VERSION: u32 = 1;
/// How often the runtime looks at its deadlines.
const LOOK: Duration = Duration::from_millis(100);
/// What the engine knows this driver by.
pub(super) struct Identity {
    pub(super) session: String,
    pub(super) secret: Bytes,
    pub(super) generation: u64,
}

/// A connection that is there.
pub(super) struct Link {
    pub(super) connection: Connection,
    pub(super) sequence: u64,
    /// Whether the engine has said welcome.
    pub(super) welcome: bool,
    pub(super) since: Instant,
    /// Bytes of log text that may be sent.
    pub(super) window: u64,
    /// The engine is done with all messages up to this number.
    pub(super) acknowledged: u64,
    pub(super) draining: bool,
}

pub(super) type Connecting = Pin<Box<dyn Future<Output = Result<Connection, Error>> + Send>>;

/// One driver's session.
pub(super) struct Runtime {
    pub(super) driver: Arc<Driver>,
    /// Where actions run.
    pub(super) work: Handle,
    pub(super) options: Options,
    pub(super) stop: watch::Receiver<Stopping>,
    pub(super) events: mpsc::UnboundedReceiver<Event>,
    pub(super) to_events: mpsc::UnboundedSender<Event>,
    pub(super) held: HashMap<Bytes, Held>,
    pub(super) ended: HashSet<Bytes>,
    pub(super) ended_order: VecDeque<Bytes>,
    /// Tokens of tasks that were given back after the connection's first message named them.
    pub(super) given_back: Vec<Bytes>,
    pub(super) identity: Option<Identity>,
    /// What the engine takes.
    pub(super) limits: v1::Limits,
    pub(super) link: Option<Link>,
    pub(super) connecting: Option<Connecting>,
    pub(super) failures: u32,
    /// When the engine last answered a heartbeat (R22).
    pub(super) answered: Instant,
    /// When the next heartbeat is to go out, as it was known when the last one did.
    pub(super) due: Instant,
    /// When the first of those heartbeats went out, or was to, that are not answered.
    pub(super) asked: Option<Instant>,
    /// How often heartbeats go out on this connection.
    pub(super) interval: Duration,
    pub(super) beat: Interval,
    /// When it was told to stop.
    pub(super) stopping: Option<Instant>,
}

/// Why the loop ends.
pub(super) enum End {
    Stopped,
    Failed(Error),
}

impl Runtime {
    pub(super) fn new(driver: Arc<Driver>, stop: &Stop, work: Handle) -> Runtime {
        let (to_events, events) = mpsc::unbounded_channel();
        Runtime {
            options: driver.options.clone(),
            driver,
            work,
            stop: stop.watch(),
            events,
            to_events,
            held: HashMap::new(),
            ended: HashSet::new(),
            ended_order: VecDeque::new(),
            given_back: Vec::new(),
            identity: None,
            limits: bounds::known(v1::Limits::default()),
            link: None,
            connecting: None,
            failures: 0,
            answered: Instant::now(),
            due: Instant::now(),
            asked: None,
            interval: Duration::from_secs(5),
            beat: heartbeats(Duration::from_secs(5)),
            stopping: None,
        }
    }

    pub(super) async fn run(mut self) -> Result<(), Error> {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.stop.mark_changed();
        let mut watched = true;
        loop {
            if self.link.is_none() && self.connecting.is_none() {
                self.begin_to_connect(Duration::ZERO);
            }
            let step = tokio::select! {
                told = told(&mut self.link) => self.take(told),
                connected = connected(&mut self.connecting) => self.connected(connected),
                Some(event) = self.events.recv() => {
                    self.event(event);
                    // What comes together goes out together.
                    while let Ok(event) = self.events.try_recv() {
                        self.event(event);
                    }
                    Ok(())
                }
                _ = self.beat.tick() => {
                    self.heartbeat();
                    Ok(())
                }
                _ = look.tick() => self.look(),
                changed = self.stop.changed(), if watched => {
                    watched = changed.is_ok();
                    let stopping = *self.stop.borrow_and_update();
                    self.stop_now(stopping)
                }
            };
            self.flush_logs();
            match step.and_then(|()| self.is_done()) {
                Ok(()) => {}
                Err(End::Stopped) => break,
                Err(End::Failed(error)) => return Err(error),
            }
        }
        self.leave().await;
        Ok(())
    }

    // Connections.

    pub(super) fn begin_to_connect(&mut self, at_least: Duration) {
        let options = self.options.clone();
        let pause = match self.failures {
            0 => Duration::ZERO,
            failures => crate::dial::pause(failures),
        };
        self.connecting = Some(Box::pin(async move {
            tokio::time::sleep(pause.max(at_least)).await;
            connect::connect(options).await
        }));
    }

    fn connected(&mut self, connected: Result<Connection, Error>) -> Result<(), End> {
        self.connecting = None;
        let connection = match connected {
            Ok(connection) => connection,
            Err(error @ (Error::Refused(_) | Error::Address(_))) => return Err(End::Failed(error)),
            Err(error) if !self.options.patient && self.identity.is_none() => {
                return Err(End::Failed(error));
            }
            Err(error) => {
                if self.failures == 0 {
                    tracing::warn!(%error, "no connection; trying again");
                }
                self.failures += 1;
                return Ok(());
            }
        };
        self.link = Some(Link {
            connection,
            sequence: 0,
            welcome: false,
            since: Instant::now(),
            window: 0,
            acknowledged: 0,
            draining: false,
        });
        self.given_back.clear();
        let first = match &mut self.identity {
            None => Tell::Hello(self.hello()),
            Some(identity) => {
                identity.generation += 1;
                let resume = v1::Resume {
                    session: identity.session.clone(),
                    resume_secret: identity.secret.clone(),
                    generation: identity.generation,
                    tokens: self.unanswered(),
                    received_sequence: 0,
                };
                Tell::Resume(resume)
            }
        };
        self.tell(first);
        Ok(())
    }

    pub(super) fn hello(&self) -> v1::Hello {
        let driver = &self.driver;
        let schema = |schema: &Option<Value>| {
            let text = schema.as_ref().map(|schema| schema.to_string());
            Bytes::from(text.unwrap_or_default())
        };
        let actions = driver.actions.iter().map(|(action, _)| v1::Action {
            name: action.name.clone(),
            description: action.description.clone(),
            inputs_schema: schema(&action.inputs),
            outputs_schema: schema(&action.outputs),
        });
        v1::Hello {
            driver: driver.name.clone(),
            version: driver.version.clone(),
            sdk: concat!("conveyor-sdk-rust ", env!("CARGO_PKG_VERSION")).to_owned(),
            contract_versions: vec![CONTRACT_VERSION],
            actions: actions.collect(),
            capabilities: self.options.capabilities.clone(),
            labels: self.options.labels.clone(),
            queues: Vec::new(),
            capacity: self.options.capacity,
            namespace: self.options.namespace.clone(),
            // What an earlier session of this very process held goes on in the new one.
            adopts: self.unanswered(),
            instance: format!("process {}", std::process::id()),
        }
    }

    /// Tokens of tasks whose reports are not answered.
    pub(super) fn unanswered(&self) -> Vec<Bytes> {
        let held = self.held.iter().filter(|(_, held)| !held.answered);
        held.map(|(token, _)| token.clone()).collect()
    }

    pub(super) fn disconnect(&mut self, why: &str, at_least: Duration) {
        if self.link.take().is_some_and(|link| link.welcome) {
            tracing::info!(why, "the connection is gone; coming back");
        }
        self.failures += 1;
        self.begin_to_connect(at_least);
    }

    /// Sends a message, if there is a connection. What is lost with one is sent again over the next.
    pub(super) fn tell(&mut self, message: Tell) -> u64 {
        let Some(link) = &mut self.link else { return 0 };
        link.sequence += 1;
        let request = v1::SessionRequest {
            sequence: link.sequence,
            message: Some(message),
        };
        // A broken connection is seen where it is read.
        let _ = link.connection.outgoing.send(request);
        link.sequence
    }

    pub(super) fn is_welcome(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.welcome)
    }
}

pub(super) fn heartbeats(interval: Duration) -> Interval {
    let mut beat = tokio::time::interval_at(Instant::now() + interval, interval);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat
}

async fn told(link: &mut Option<Link>) -> Result<Option<v1::SessionResponse>, tonic::Status> {
    match link {
        Some(link) => link.connection.incoming.message().await,
        None => std::future::pending().await,
    }
}

async fn connected(connecting: &mut Option<Connecting>) -> Result<Connection, Error> {
    match connecting {
        Some(connecting) => connecting.await,
        None => std::future::pending().await,
    }
}
