//! What a driver says of itself, checked before anything is stored.

use super::CONTRACT_VERSIONS;
use crate::caller::{Caller, Scope};
use crate::control::{DEFAULT_NAMESPACE, LABEL_KEY, LABEL_VALUE};
use conveyor_engine::value::{Json, parse_json};
use conveyor_node::driver::ActionInfo;
use conveyor_node::session::Hello;
use conveyor_node::{Node, NodeError};
use conveyor_proto::storage::v1::StoredNamespace;
use conveyor_proto::v1;
use std::sync::Arc;

/// Why a hello is not taken.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) reason: v1::GoodbyeReason,
    pub(super) message: String,
    /// JSON pointer of the field in the hello.
    pub(super) pointer: String,
}

fn refused(pointer: impl Into<String>, message: String) -> Refused {
    Refused {
        reason: v1::GoodbyeReason::Refused,
        message,
        pointer: pointer.into(),
    }
}

/// The one queue of this release.
pub(super) const QUEUE: &str = "default";
const DRIVER_CAPACITY: u32 = 10_000;
const ACTIONS: usize = 256;
/// Bytes of a capability's name.
const CAPABILITY: usize = 63;
const SCHEMA_BYTES: usize = 256 << 10;

/// A name as documents write it: lower-case letters, digits and hyphens between them.
fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn bounded(name: &str, len: usize, most: usize) -> Result<(), Refused> {
    bounded_at(&format!("/{name}"), name, len, most)
}

fn bounded_at(pointer: &str, name: &str, len: usize, most: usize) -> Result<(), Refused> {
    match len > most {
        true => {
            let why = format!("`{name}` has {len}; the limit is {most}");
            Err(refused(pointer, why))
        }
        false => Ok(()),
    }
}

/// The hello in the node's words, with the contract version that holds and notes for people. Claims
/// that it adopts are still to be opened.
pub(super) fn read(
    hello: &v1::Hello,
    caller: &Caller,
) -> Result<(Hello, u32, Vec<String>), Refused> {
    let spoken = |version: &&u32| hello.contract_versions.contains(version);
    let Some(version) = CONTRACT_VERSIONS.iter().find(spoken) else {
        return Err(Refused {
            reason: v1::GoodbyeReason::Version,
            message: format!(
                "the driver speaks contract versions {:?}; this engine speaks {CONTRACT_VERSIONS:?}",
                hello.contract_versions
            ),
            pointer: "/contract_versions".to_owned(),
        });
    };
    if !is_name(&hello.driver) {
        return Err(refused(
            "/driver",
            format!(
                "`driver` is {:?}; a driver's name has 1 to 63 lower-case letters, digits and hyphens, \
             and neither begins nor ends with a hyphen",
                hello.driver
            ),
        ));
    }
    bounded("version", hello.version.len(), 64)?;
    let driver_version = match hello.version.as_str() {
        "" => "0.0.0-dev",
        version => version,
    };
    if conveyor_engine::plan::version_order(driver_version).0.len() != 3 {
        return Err(refused(
            "/version",
            format!(
                "`version` is {driver_version:?}, which is no semantic version, such as `1.4.2`"
            ),
        ));
    }
    bounded("sdk", hello.sdk.len(), 128)?;
    bounded("instance", hello.instance.len(), 256)?;
    bounded("labels", hello.labels.len(), 64)?;
    for (key, value) in &hello.labels {
        let pointer = crate::refusal::at("/labels", key);
        if key.is_empty() {
            let why = format!("the key of a label is empty; it has 1 to {LABEL_KEY} bytes");
            return Err(refused(pointer, why));
        }
        bounded_at(&pointer, "label_key", key.len(), LABEL_KEY)?;
        bounded_at(&pointer, "label_value", value.len(), LABEL_VALUE)?;
    }
    bounded("queues", hello.queues.len(), 64)?;
    bounded("capabilities", hello.capabilities.len(), 64)?;
    for (at, name) in hello.capabilities.iter().enumerate() {
        bounded_at(
            &format!("/capabilities/{at}"),
            "capability",
            name.len(),
            CAPABILITY,
        )?;
    }
    let capacity = hello.capacity.max(1);
    bounded("capacity", capacity as usize, DRIVER_CAPACITY as usize)?;
    bounded("adopts", hello.adopts.len(), capacity as usize)?;
    if hello.actions.is_empty() {
        return Err(refused(
            "/actions",
            "`actions` is empty; a driver has at least one".to_owned(),
        ));
    }
    bounded("actions", hello.actions.len(), ACTIONS)?;
    let mut actions = Vec::new();
    for (at, action) in hello.actions.iter().enumerate() {
        let place = format!("/actions/{at}");
        actions.push(read_action(&place, action)?);
        let earlier = &hello.actions[..at];
        if earlier.iter().any(|other| other.name == action.name) {
            let why = format!("the action `{}` is there twice", action.name);
            return Err(refused(place + "/name", why));
        }
    }
    let other: Vec<_> = hello
        .queues
        .iter()
        .filter(|queue| *queue != QUEUE)
        .collect();
    if !other.is_empty() {
        return Err(refused(
            "/queues",
            format!(
                "`queues` names {other:?}; queues other than `{QUEUE}` come with a later release"
            ),
        ));
    }
    let notes = hello
        .capabilities
        .iter()
        .map(|name| format!("the capability `{name}` is not known here, and is ignored"));
    let read = Hello {
        principal: Arc::clone(&caller.principal),
        scope: scope(&hello.namespace, caller)?,
        driver: hello.driver.as_str().into(),
        version: driver_version.into(),
        actions,
        capacity,
        labels: hello.labels.clone(),
        queues: vec![QUEUE.to_owned()],
        sdk: hello.sdk.clone(),
        instance: hello.instance.clone(),
        adopts: Vec::new(),
    };
    Ok((read, *version, notes.collect()))
}

/// Whether the namespace that it is published in is there.
///
/// # Errors
/// [`NodeError::NotFound`] where it is not; that of a store which cannot be read.
pub(super) async fn is_somewhere(node: &Node, hello: &Hello) -> Result<(), NodeError> {
    let Some(name) = hello.scope.as_deref() else {
        return Ok(());
    };
    if name == DEFAULT_NAMESPACE {
        return Ok(());
    }
    match node.reader().object::<StoredNamespace>("", name).await? {
        Some(_) => Ok(()),
        None => Err(NodeError::NotFound(format!(
            "the driver `{}` is to be published in the namespace `{name}`, which is not there; make it first \
             (`conveyor namespaces create {name}`), or name another in `namespace`",
            hello.driver
        ))),
    }
}

fn read_action(place: &str, action: &v1::Action) -> Result<(ActionInfo, String), Refused> {
    if action.name.is_empty() || action.name.len() > 63 {
        return Err(refused(
            format!("{place}/name"),
            format!(
                "an action's name has 1 to 63 bytes; {:?} has {}",
                action.name,
                action.name.len()
            ),
        ));
    }
    let field = |name: &str| format!("{place}/{name}");
    let bytes = action.description.len();
    bounded_at(&field("description"), "actions.description", bytes, 4096)?;
    let schema = |what: &str, text: &[u8]| -> Result<Option<Json>, Refused> {
        bounded_at(&field(what), what, text.len(), SCHEMA_BYTES)?;
        if text.is_empty() {
            return Ok(None);
        }
        let read = parse_json(text);
        read.map(Some).map_err(|error| {
            let why = format!("`{what}` of the action `{}`: {error}", action.name);
            refused(field(what), why)
        })
    };
    let info = ActionInfo {
        name: action.name.as_str().into(),
        inputs: schema("inputs_schema", &action.inputs_schema)?,
        outputs: schema("outputs_schema", &action.outputs_schema)?,
    };
    Ok((info, action.description.clone()))
}

/// Where it is published (PROTOCOL P27).
fn scope(namespace: &str, caller: &Caller) -> Result<Option<Arc<str>>, Refused> {
    match (namespace, &caller.namespace) {
        ("" | "*", None) if caller.scope == Scope::Admin => Ok(None),
        ("*", _) => Err(refused(
            "/namespace",
            "publishing a driver in all namespaces (`*`) takes a token of the scope `admin`"
                .to_owned(),
        )),
        ("", Some(own)) => Ok(Some(Arc::clone(own))),
        ("", None) => Ok(Some(DEFAULT_NAMESPACE.into())),
        (name, Some(own)) if **own != *name => Err(refused(
            "/namespace",
            format!(
                "this token is bound to the namespace `{own}`, and cannot publish a driver in `{name}`"
            ),
        )),
        (name, _) if is_name(name) => Ok(Some(name.into())),
        (name, _) => Err(refused(
            "/namespace",
            format!("`namespace` is {name:?}, which is no name"),
        )),
    }
}
