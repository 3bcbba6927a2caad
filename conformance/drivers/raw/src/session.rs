//! The driver's session, over whatever connections it takes: one loop, and one owner of all that is held.
//!
//! | file | what the session does there |
//! | --- | --- |
//! | `session.rs` | connects, waits for what comes, ends |
//! | `told.rs` | what the engine says |
//! | `tasks.rs` | tasks begin, and are told to stop |
//! | `said.rs` | what user code says, and how it ends |
//! | `clock.rs` | what time brings: cut-offs, deadlines, silence |
//! | `push.rs` | what is to be said goes out, as far as there is room |

use crate::breaks::{Break, Breaks};
use crate::connect::{self, is_final};
use crate::held::{Held, Memory};
use crate::hello::hello;
use crate::pace::Pace;
use crate::polled;
use crate::says::Event;
use crate::v1::Launch;
use crate::wire::{Heard, Link, Wire};
use conveyor_proto::v1;
use conveyor_proto::v1::session_request::Message as Tell;
use prost::bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tonic::{Code, Status};

/// How often it looks at its deadlines.
const LOOK: Duration = Duration::from_millis(20);
/// How long a new connection has for its welcome.
const WELCOME: Duration = Duration::from_secs(15);
/// The first pause before another try; it doubles up to [`MOST`].
const FIRST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(10);
/// A connection that lasted so long was none of those that fail.
const LASTED: Duration = Duration::from_secs(3);
/// How long the engine has to read the last message.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the engine knows the session by.
pub(crate) struct Identity {
    pub(crate) session: String,
    pub(crate) secret: Bytes,
    pub(crate) generation: u64,
}

/// Why the loop ends.
pub(crate) enum Over {
    /// It was told to stop.
    Stopped,
    /// It cannot go on.
    Failed(String),
}

type Connecting = Pin<Box<dyn Future<Output = Result<Wire, Status>> + Send>>;

/// The driver's session.
pub struct Session {
    pub(crate) launch: Launch,
    pub(crate) breaks: Breaks,
    /// Where programs run: not in this thread, which they would hold up (R20).
    pub(crate) programs: tokio::runtime::Handle,
    pub(crate) to_events: mpsc::UnboundedSender<Event>,
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
    pub(crate) held: BTreeMap<Bytes, Held>,
    pub(crate) past: Memory,
    pub(crate) identity: Option<Identity>,
    pub(crate) limits: v1::Limits,
    pub(crate) link: Option<Link>,
    /// Messages that go out before all others.
    pub(crate) outbox: VecDeque<Tell>,
    pub(crate) pace: Pace,
    connecting: Option<Connecting>,
    failures: u32,
    pub(crate) stopping: Option<Instant>,
}

impl Session {
    /// A driver that is started so. Its user code runs in `programs`.
    pub fn new(launch: Launch, breaks: Breaks, programs: tokio::runtime::Handle) -> Session {
        let (to_events, events) = mpsc::unbounded_channel();
        Session {
            launch,
            breaks,
            programs,
            to_events,
            events,
            held: BTreeMap::new(),
            past: Memory::default(),
            identity: None,
            limits: v1::Limits::default(),
            link: None,
            outbox: VecDeque::new(),
            pace: Pace::new(breaks),
            connecting: None,
            failures: 0,
            stopping: None,
        }
    }

    /// Works until it is told to stop: then it finishes what it holds, as far as `drain_ms` goes.
    ///
    /// # Errors
    /// Why it cannot go on, as a sentence.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<(), String> {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.link.is_none() && self.connecting.is_none() {
                self.connect_after(Duration::ZERO);
            }
            let (welcome, next_beat) = (self.is_welcome(), self.next_beat());
            let step = tokio::select! {
                heard = heard(&mut self.link) => self.heard(heard),
                wire = connected(&mut self.connecting) => self.connected(wire),
                Some(event) = self.events.recv() => {
                    self.event(event);
                    // What comes together goes out together.
                    while let Ok(event) = self.events.try_recv() {
                        self.event(event);
                    }
                    Ok(())
                }
                () = tokio::time::sleep_until(next_beat), if welcome => {
                    self.heartbeat();
                    Ok(())
                }
                _ = look.tick() => {
                    self.look();
                    Ok(())
                }
                Ok(_) = stop.wait_for(|stop| *stop), if self.stopping.is_none() => {
                    self.stop();
                    Ok(())
                }
            };
            self.push();
            match step.and_then(|()| self.is_done()) {
                Ok(()) => {}
                Err(Over::Stopped) => break,
                Err(Over::Failed(why)) => return Err(why),
            }
        }
        self.leave().await;
        Ok(())
    }

    // Connections.

    fn connect_after(&mut self, at_least: Duration) {
        let pause = pause(self.failures).max(at_least);
        let (launch, breaks) = (self.launch.clone(), self.breaks);
        self.connecting = Some(Box::pin(async move {
            tokio::time::sleep(pause).await;
            let client = connect::connect(&launch, breaks).await?;
            match launch.transport.as_str() {
                "unary" | "rest" => Ok(polled::open(client, breaks)),
                _ => Wire::stream(client, breaks).await,
            }
        }));
    }

    fn connected(&mut self, wire: Result<Wire, Status>) -> Result<(), Over> {
        self.connecting = None;
        let wire = match wire {
            Ok(wire) => wire,
            Err(status) => return self.broken(&status),
        };
        self.link = Some(Link::new(wire, self.launch.capacity, self.breaks));
        let mut tokens = self.open_tokens();
        let first = match &mut self.identity {
            None => Tell::Hello(hello(&self.launch, self.breaks, tokens)),
            Some(identity) => {
                if identity.generation == 0 || !self.breaks.has(Break::GenerationStays) {
                    identity.generation += 1;
                }
                if self.breaks.has(Break::LeavesTokenOut) && tokens.len() > 1 {
                    tokens.pop();
                }
                Tell::Resume(v1::Resume {
                    session: identity.session.clone(),
                    resume_secret: identity.secret.clone(),
                    generation: identity.generation,
                    tokens,
                    received_sequence: 0,
                })
            }
        };
        self.tell(first);
        Ok(())
    }

    /// The tokens that it goes on with, those that run first.
    fn open_tokens(&self) -> Vec<Bytes> {
        let mut open: Vec<_> = self
            .held
            .iter()
            .filter(|(_, held)| held.is_open())
            .collect();
        open.sort_by_key(|(_, held)| !held.runs());
        open.into_iter().map(|(token, _)| token.clone()).collect()
    }

    /// A connection, or the try to make one, ended with a status (R74).
    pub(crate) fn broken(&mut self, status: &Status) -> Result<(), Over> {
        let is_final = is_final(status) && !self.breaks(Break::StrangerComesBack);
        let cannot = matches!(status.code(), Code::InvalidArgument | Code::Unimplemented);
        if is_final || cannot && self.link.is_none() {
            return Err(Over::Failed(format!(
                "{}: {}",
                status.code(),
                status.message()
            )));
        }
        note(&format!(
            "no connection; trying again: {}",
            status.message()
        ));
        if self.link.is_some() && self.breaks(Break::StreamEndHello) {
            self.identity = None;
        }
        self.disconnect(Duration::ZERO);
        Ok(())
    }

    /// Comes back: after a pause that grows, and has jitter (R42).
    pub(crate) fn disconnect(&mut self, at_least: Duration) {
        let lasted = |link: &Link| link.welcome && link.since.elapsed() >= LASTED;
        if self.link.take().as_ref().is_some_and(lasted) {
            self.failures = 0;
        }
        // What it had to say is said anew after the welcome.
        self.outbox.clear();
        self.connect_after(at_least);
        self.failures += 1;
    }

    pub(crate) fn is_welcome(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.welcome)
    }

    /// Where there is no welcome within the time, the connection is given up.
    pub(crate) fn look_for_welcome(&mut self) {
        let waits = |link: &Link| !link.welcome && link.since.elapsed() > WELCOME;
        if self.link.as_ref().is_some_and(waits) {
            note("the engine did not say welcome; trying again");
            self.disconnect(Duration::ZERO);
        }
    }

    // The end.

    fn stop(&mut self) {
        note(&format!("told to stop: {} tasks are held", self.held.len()));
        self.stopping = Some(Instant::now());
        self.say_drain();
        if self.breaks(Break::LeavesEarly) {
            self.say(leaving());
        }
    }

    pub(crate) fn say_drain(&mut self) {
        let reason = "the driver is told to stop".to_owned();
        self.say(Tell::Drain(v1::Drain {
            reason,
            deadline_ms: None,
        }));
    }

    fn is_done(&self) -> Result<(), Over> {
        let Some(since) = self.stopping else {
            return Ok(());
        };
        let late = since.elapsed() >= Duration::from_millis(self.launch.drain_ms);
        match self.held.is_empty() || late {
            true => Err(Over::Stopped),
            false => Ok(()),
        }
    }

    /// Ends what is left, hands it back, and waits until the engine has read that (R47).
    async fn leave(mut self) {
        self.held.values().for_each(|held| held.abort.abort());
        let handed_back = self.held.len();
        if !self.is_welcome() {
            return;
        }
        if self.breaks(Break::HelloAgain) {
            self.tell(Tell::Hello(hello(&self.launch, self.breaks, Vec::new())));
        }
        if !self.breaks(Break::GoesInSilence) {
            self.tell(leaving());
        }
        note(&format!("stopped: {handed_back} tasks are handed back"));
        let Some(mut link) = self.link.take() else {
            return;
        };
        link.wire.no_more();
        let end = async { while let Ok(Some(_)) = link.wire.heard().await {} };
        // An engine that does not answer keeps nobody here.
        let _ = tokio::time::timeout(FAREWELL, end).await;
    }

    pub(crate) fn breaks(&self, one: Break) -> bool {
        self.breaks.has(one)
    }
}

fn leaving() -> Tell {
    let reason = "the driver was told to stop".to_owned();
    Tell::Leaving(v1::Leaving { reason })
}

/// A line for people, on standard error. Tokens and secrets have no place in it (R61, R71).
#[allow(clippy::print_stderr, reason = "standard error is this program's log")]
pub fn note(line: &str) {
    eprintln!("raw: {line}");
}

/// How long to wait before the try after so many failures: twice as long each time, and of that a random
/// half (R42). The first is at once.
fn pause(failures: u32) -> Duration {
    if failures == 0 {
        return Duration::ZERO;
    }
    let most = FIRST.saturating_mul(1 << (failures - 1).min(10)).min(MOST);
    let random = f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX);
    most.mul_f64(0.5 + random / 2.0)
}

async fn heard(link: &mut Option<Link>) -> Result<Option<Heard>, Status> {
    match link {
        Some(link) => link.wire.heard().await,
        None => std::future::pending().await,
    }
}

async fn connected(connecting: &mut Option<Connecting>) -> Result<Wire, Status> {
    match connecting {
        Some(connecting) => connecting.await,
        None => std::future::pending().await,
    }
}
