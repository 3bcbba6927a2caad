//! The driver service's handlers: what drivers in other processes talk to.
//!
//! docs/driver-contract.md numbers what each side owes the other; the numbers stand beside the code.

mod convert;
mod hello;
mod logs;
mod pending;
mod polled;
mod stream;
mod tokens;
mod unary;

pub use polled::WAIT_MS;

use crate::caller::{Call, Caller, Scope};
use conveyor_node::Node;
use conveyor_proto::contract::MESSAGE_BYTES;
use conveyor_proto::v1;
use polled::PolledSessions;
use std::sync::Arc;
use tokio::sync::watch;

/// The contract versions that this release speaks, best first (R3).
pub const CONTRACT_VERSIONS: &[u32] = &[1];
/// How often a driver's runtime sends heartbeats (R20).
pub const HEARTBEAT_INTERVAL_MS: u64 = 5_000;
/// How long a session without tasks can be resumed (R40).
pub const RESUME_WINDOW_MS: u64 = conveyor_node::owner::SESSION_WINDOW.0;
/// Bytes of log lines that a session may have on its way to the store (R31).
pub const LOG_WINDOW: u64 = 1 << 20;

/// What a driver may hand over besides what the node itself bounds.
const LOG_BATCH_BYTES: u64 = 1 << 20;
const DETAILS_BYTES: u64 = 256 << 10;

/// Whether this process is about to end, as its sessions are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// It is not.
    #[default]
    No,
    /// It takes nothing new; what is held may finish until the instant: milliseconds since 1970.
    Draining(u64),
    /// Sessions are told goodbye.
    Goodbye,
}

/// The handlers of the driver service over a node. Clones share everything.
#[derive(Clone, Debug)]
pub struct DriverHandlers {
    node: Node,
    polled: Arc<PolledSessions>,
    ending: Arc<watch::Sender<Ending>>,
    heartbeat_interval_ms: u64,
}

impl DriverHandlers {
    /// Over a node.
    #[must_use]
    pub fn new(node: Node) -> DriverHandlers {
        DriverHandlers {
            node,
            polled: Arc::default(),
            ending: Arc::new(watch::channel(Ending::No).0),
            heartbeat_interval_ms: HEARTBEAT_INTERVAL_MS,
        }
    }

    /// The same, with another interval of heartbeats than [`HEARTBEAT_INTERVAL_MS`]. At most a third of
    /// [`RESUME_WINDOW_MS`], so that one that is late loses no session.
    #[must_use]
    pub fn heartbeat_every(mut self, interval: std::time::Duration) -> DriverHandlers {
        let most = RESUME_WINDOW_MS / 3;
        let millis = u64::try_from(interval.as_millis()).unwrap_or(most);
        self.heartbeat_interval_ms = millis.clamp(1, most);
        self
    }

    /// Tells all sessions that the process is about to end.
    pub fn end(&self, ending: Ending) {
        self.ending.send_replace(ending);
    }

    fn limits(&self) -> v1::Limits {
        let limits = self.node.limits();
        v1::Limits {
            message_bytes: MESSAGE_BYTES as u64,
            outputs_bytes: limits.output_bytes,
            log_line_bytes: conveyor_bus::LINE_BYTES as u64,
            log_batch_bytes: LOG_BATCH_BYTES,
            checkpoint_bytes: limits.checkpoint_bytes,
            failure_details_bytes: DETAILS_BYTES,
        }
    }

    fn welcome(
        &self,
        session: &conveyor_node::session::Session,
        version: u32,
        stale: Vec<prost::bytes::Bytes>,
        notes: Vec<String>,
    ) -> v1::Welcome {
        v1::Welcome {
            session: session.id().to_string(),
            resume_secret: self.node.resume_secret(session).into(),
            contract_version: version,
            heartbeat_interval_ms: self.heartbeat_interval_ms,
            resume_window_ms: RESUME_WINDOW_MS,
            limits: Some(self.limits()),
            log_window: LOG_WINDOW,
            stale_tokens: stale,
            engine: concat!("conveyor ", env!("CARGO_PKG_VERSION")).to_owned(),
            received_sequence: 0,
            notes,
        }
    }
}

/// Who asks, if it may be a driver at all.
fn driving(call: &str, extensions: &tonic::Extensions) -> Result<Caller, tonic::Status> {
    let caller = Caller::of(extensions);
    match caller.scope {
        Scope::Driver | Scope::Admin => Ok(caller),
        Scope::Client => Err(caller.lacks(Call::of(call, extensions), Scope::Driver)),
    }
}
