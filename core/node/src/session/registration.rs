//! A driver says hello.

use super::directory::{self, Scope};
use super::{Link, rows};
use crate::driver::ActionInfo;
use crate::error::NodeError;
use crate::node::{Message, Node, ended, unexpected};
use crate::owner::{Answer, SessionInfo};
use crate::token::Claimed;
use conveyor_engine::value::canonical_bytes;
use conveyor_proto::storage::v1::{AdoptedClaim, StoredAction, StoredDriver, StoredSession};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Who a driver is, and what it can do.
#[derive(Clone, Debug)]
pub struct Hello {
    /// Who it belongs to.
    pub principal: Arc<str>,
    /// The namespace that it is published in; `None` for all.
    pub scope: Option<Arc<str>>,
    /// The driver's name.
    pub driver: Arc<str>,
    /// Its version.
    pub version: Arc<str>,
    /// Its actions; the first is the default one.
    pub actions: Vec<(ActionInfo, String)>,
    /// How many tasks it takes at once.
    pub capacity: u32,
    /// For routing.
    pub labels: BTreeMap<String, String>,
    /// Queues that it serves.
    pub queues: Vec<String>,
    /// Name and version of its SDK.
    pub sdk: String,
    /// Host, process and the like.
    pub instance: String,
    /// Claims of an earlier process of the same principal that it goes on with.
    pub adopts: Vec<Claimed>,
}

/// Why a driver is not taken.
#[derive(Clone, Debug)]
pub enum HelloError {
    /// What it says cannot be: connecting again does not help.
    Refused(String),
    /// The node cannot answer now.
    Node(NodeError),
}

impl fmt::Display for HelloError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HelloError::Refused(reason) => f.write_str(reason),
            HelloError::Node(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for HelloError {}

impl From<NodeError> for HelloError {
    fn from(error: NodeError) -> HelloError {
        match error {
            NodeError::Invalid(reason) => HelloError::Refused(reason),
            other => HelloError::Node(other),
        }
    }
}

/// Whether a version's schema may change (PROTOCOL P27).
fn may_change(version: &str) -> bool {
    version.ends_with("-dev")
}

pub(super) async fn open(node: &Node, hello: Hello) -> Result<(Link, Vec<Claimed>), HelloError> {
    let now = node.now();
    let driver = stored_driver(&hello, now.0);
    let contract = Arc::new(directory::contract(&driver)?);
    let driver = StoredDriver {
        digest: contract.digest.0.to_vec().into(),
        ..driver
    };
    let scope: Scope = hello.scope.clone();
    let known = node
        .directory()
        .version(&scope, &hello.driver, &hello.version);
    let driver = match known {
        None => driver,
        Some(known) if known.digest == driver.digest => known,
        Some(known) if may_change(&hello.version) => StoredDriver {
            first_seen_ms: known.first_seen_ms,
            ..driver
        },
        Some(known) => {
            return Err(HelloError::Refused(format!(
                "driver `{}` {} is registered with other actions or schemas: their digest is {}, the \
                 one that was offered has {}; raise its version",
                hello.driver,
                hello.version,
                hex(&known.digest),
                hex(&driver.digest),
            )));
        }
    };
    let stored = stored_session(&hello, now.0);
    let (store, directory) = (Arc::clone(node.reader().store()), node.shared_directory());
    let (row, driver_row) = (stored.clone(), driver.clone());
    let keep = move || {
        let _turn = directory.registers();
        rows::keep(&*store, &row, &driver_row)
    };
    let kept = node.reader().workers().run(keep).await;
    node.doubt(kept.ok_or_else(|| NodeError::Unavailable("keeping the session panicked".into()))?)?;
    node.directory()
        .insert_driver(driver, Arc::clone(&contract));
    let known = node
        .directory()
        .insert_session(stored, Arc::clone(&contract), scope.clone(), now);
    let info = SessionInfo {
        id: Arc::clone(&known.id),
        drivers: [(hello.driver, hello.version)].into(),
        schemas: [(Arc::clone(&contract.name), contract.digest)].into(),
        capacity: hello.capacity,
        scope,
        remote: true,
        restored: false,
        adopted: hello.adopts.clone(),
    };
    let (outbox, inbox) = mpsc::unbounded_channel();
    let (reply, answer) = oneshot::channel();
    let number = known.next_link();
    node.send(Message::Open {
        info,
        number,
        adopts: hello.adopts,
        outbox,
        reply,
    })?;
    let link = Link {
        node: node.clone(),
        known,
        number,
        inbox,
        refused: false,
    };
    match answer.await.map_err(|_| ended())?? {
        Answer::Tokens { stale } => Ok((link, stale)),
        other => Err(unexpected(&other).into()),
    }
}

fn stored_driver(hello: &Hello, now: u64) -> StoredDriver {
    let text = |schema: &Option<conveyor_engine::value::Json>| {
        schema
            .as_ref()
            .map(canonical_bytes)
            .unwrap_or_default()
            .into()
    };
    let actions = hello
        .actions
        .iter()
        .map(|(action, description)| StoredAction {
            name: action.name.to_string(),
            description: description.clone(),
            inputs_schema: text(&action.inputs),
            outputs_schema: text(&action.outputs),
        });
    StoredDriver {
        name: hello.driver.to_string(),
        version: hello.version.to_string(),
        scope: hello.scope.as_deref().unwrap_or_default().to_owned(),
        digest: Default::default(),
        actions: actions.collect(),
        first_seen_ms: now,
    }
}

fn stored_session(hello: &Hello, now: u64) -> StoredSession {
    let adopted = hello.adopts.iter().map(|claimed| AdoptedClaim {
        run: claimed.run.0.to_vec().into(),
        step: claimed.id.step,
        instance: claimed.id.instance,
        attempt: claimed.id.attempt,
        nonce: claimed.nonce,
    });
    StoredSession {
        id: uuid::Uuid::now_v7().to_string(),
        principal: hello.principal.to_string(),
        driver: hello.driver.to_string(),
        version: hello.version.to_string(),
        scope: hello.scope.as_deref().unwrap_or_default().to_owned(),
        capacity: hello.capacity,
        labels: hello.labels.clone(),
        queues: hello.queues.clone(),
        sdk: hello.sdk.clone(),
        instance: hello.instance.clone(),
        connected_ms: now,
        adopted: adopted.collect(),
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
