//! The tap: it stands between the driver under test and the engine's driver service, takes down all that is said,
//! and interferes as a case wants.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `stream` | sessions over a stream |
//! | `calls` | the calls of those without one |
//! | `judged` | what becomes of a call, and of its answer |
//! | `later` | fields of a later contract, in the bytes |
//! | `numbers` | which message of one side is which of the other |

mod calls;
mod judged;
mod later;
mod numbers;
mod stream;

pub(crate) use calls::Tapped;
pub(crate) use later::Later;

use crate::interfere::{Interferences, Way, unsayable};
use crate::proxy::Proxy;
use crate::wire::{By, Entry, From, Record, Said, TaskName};
use conveyor_api::Shown;
use conveyor_proto::contract::MESSAGE_BYTES;
use conveyor_proto::v1;
use conveyor_proto::v1::driver_service_client::DriverServiceClient;
use conveyor_proto::v1::session_response::Message as Told;
use prost::bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use stream::Down;
use tokio::sync::mpsc;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::transport::Channel;
use tonic::{Request, Status};

type Upstream = DriverServiceClient<Channel>;

/// A driver service that hands on to the engine's.
pub(crate) struct Tap {
    pub(crate) record: Arc<Record>,
    pub(crate) interferences: Arc<Interferences>,
    /// The engine.
    upstream: Channel,
    /// The driver's network, to cut it.
    proxy: RwLock<Option<Arc<Proxy>>>,
    /// Numbers connections.
    connections: AtomicU32,
    state: Arc<Mutex<State>>,
    /// What a later contract has in each message.
    pub(crate) later: Later,
}

#[derive(Default)]
pub(crate) struct State {
    /// The driver's newest stream: what is said in the engine's name goes there.
    stream: Option<mpsc::UnboundedSender<Down>>,
    /// What comes to a driver without a stream with the next answer that can have it.
    waiting: Vec<Waiting>,
    /// Whether a copy came of what an answer was to have twice.
    copied: bool,
    /// What was said in the engine's name, for people, and whether it went on its way.
    said: Vec<(String, Taken)>,
    /// By which ways the driver came: `stream`, `unary`, `rest`.
    came_by: BTreeSet<&'static str>,
}

/// Whether something that a case says was taken. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taken(Arc<AtomicBool>);

impl Taken {
    fn tell(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn was(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Something for the next answer that can have it.
struct Waiting {
    message: Told,
    why: Why,
}

/// Why something waits.
enum Why {
    /// The case says it.
    Said(Taken),
    /// It was held back.
    Held,
    /// It comes a second time.
    Copy,
}

impl Waiting {
    fn held(message: Told) -> Waiting {
        let why = Why::Held;
        Waiting { message, why }
    }

    fn copy(message: Told) -> Waiting {
        let why = Why::Copy;
        Waiting { message, why }
    }

    fn is_copy(&self) -> bool {
        matches!(self.why, Why::Copy)
    }

    /// Whether the engine did not say it, or not so often.
    fn forged(&self) -> bool {
        !matches!(self.why, Why::Held)
    }
}

impl Tap {
    pub(crate) fn new(record: Arc<Record>, upstream: Channel) -> Tap {
        Tap {
            record,
            interferences: Arc::default(),
            upstream,
            proxy: RwLock::default(),
            connections: AtomicU32::new(0),
            state: Arc::default(),
            later: Later::default(),
        }
    }

    /// Which network it cuts.
    pub(crate) fn behind(&self, proxy: Arc<Proxy>) {
        *self.proxy.write().unwrap_or_else(PoisonError::into_inner) = Some(proxy);
    }

    /// Says something in the engine's name: on the driver's newest stream; to a driver without one with the next
    /// answer that can have it. `None` is a message of a kind that this contract does not know. Where it can come
    /// nowhere, that is told at the end: a driver that broke its connection fails by what the case looks for.
    pub(crate) fn say(&self, message: Option<Told>, cut: bool, later: bool) {
        if let Err(why) = self.try_to_say(message, cut, later) {
            self.interferences.void(why);
        }
    }

    fn try_to_say(&self, message: Option<Told>, cut: bool, later: bool) -> Result<(), String> {
        let message = match later {
            true => message.map(crate::wire::later),
            false => message,
        };
        let kind = crate::wire::answered(message.as_ref()).kind;
        let state = &mut *self.state();
        let taken = Taken::default();
        let (by, way) = match (state.came_by.contains("stream"), state.came_by.first()) {
            (true, _) => ("stream", Way::Stream),
            (false, Some(&"rest")) => ("REST", Way::Rest),
            (false, Some(_)) => ("call", Way::Unary),
            (false, None) => {
                return Err(format!(
                    "`{kind}` was to be said to the driver before it had come"
                ));
            }
        };
        if let Some(why) = unsayable(message.as_ref(), cut, later, way) {
            return Err(format!(
                "`{kind}` has no meaning for drivers by {by}: {why}"
            ));
        }
        if later || message.is_none() {
            self.later.on();
        }
        match (way, message) {
            (Way::Stream, message) => {
                let down = Down::forged(message, cut, taken.clone());
                let sent = state
                    .stream
                    .as_ref()
                    .is_some_and(|stream| stream.send(down).is_ok());
                if !sent {
                    return Err(format!(
                        "`{kind}` was to be said while the driver had no stream"
                    ));
                }
            }
            (_, Some(message)) => state.waiting.push(Waiting {
                message,
                why: Why::Said(taken.clone()),
            }),
            // `unsayable` by calls.
            (_, None) => {}
        }
        state.said.push((kind.to_owned(), taken));
        Ok(())
    }

    /// What a case wanted on the way between driver and engine and did not come about: a sentence each.
    pub(crate) fn missed(&self) -> Vec<String> {
        let mut missed = self.interferences.missed();
        let state = self.state();
        let said = state.said.iter().filter(|(_, taken)| !taken.was());
        missed.extend(said.map(|(kind, _)| {
            format!("`{kind}`, which the case says in the engine's name, never came to the driver")
        }));
        if !state.copied
            && let Some(copy) = state.waiting.iter().find(|waiting| waiting.is_copy())
        {
            let kind = crate::wire::answered(Some(&copy.message)).kind;
            missed.push(format!(
                "`{kind}` never came a second time: no call behind it could have it in its answer"
            ));
        }
        missed
    }

    /// By which ways the driver came, as `Launch.transport` calls them.
    pub(crate) fn came_by(&self) -> BTreeSet<&'static str> {
        self.state().came_by.clone()
    }

    fn comes_by(&self, way: &'static str) {
        self.state().came_by.insert(way);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn upstream(&self) -> Upstream {
        DriverServiceClient::new(self.upstream.clone())
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(MESSAGE_BYTES)
    }

    fn proxy(&self) -> Option<Arc<Proxy>> {
        let proxy = self.proxy.read().unwrap_or_else(PoisonError::into_inner);
        proxy.clone()
    }

    fn cut(&self) {
        if let Some(proxy) = self.proxy() {
            proxy.cut();
        }
    }

    fn next_connection(&self) -> u32 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn task(&self, said: &Said) -> Option<TaskName> {
        self.record.task(&said.token)
    }

    /// Takes down a message.
    fn note(&self, from: From, connection: u32, by: By, said: Said, (forged, lost): (bool, bool)) {
        self.record.add(Entry {
            at: Duration::ZERO,
            connection,
            from,
            kind: said.kind,
            token: said.token,
            by,
            body: said.body,
            forged,
            lost,
        });
    }

    /// Takes down that a stream came or went.
    fn event(&self, connection: u32, kind: &'static str, why: &str) {
        let body = serde_json::json!({ "why": why });
        let token = Bytes::new();
        let said = Said { kind, token, body };
        self.note(From::Driver, connection, By::Nothing, said, (false, false));
    }
}

/// A request to the engine, with what the driver showed.
fn onward<T>(message: T, metadata: &MetadataMap, shown: Option<&Shown>) -> Request<T> {
    let mut request = Request::new(message);
    let from_metadata = metadata.get("authorization").cloned();
    let shown = shown.and_then(|Shown(value)| AsciiMetadataValue::try_from(value.as_bytes()).ok());
    if let Some(value) = from_metadata.or(shown) {
        request.metadata_mut().insert("authorization", value);
    }
    request
}

/// What became of the engine: the driver is told that its connection broke.
fn broken(status: &Status) -> Status {
    Status::unavailable(format!("the engine is away: {}", status.message()))
}

/// The session request of a call without a stream, for the record.
fn pseudo(message: &v1::session_request::Message) -> Said {
    crate::wire::told(Some(message))
}
