//! Versions of Resources, and the runs that their changes start.
//!
//! All of it is without threads, clocks or I/O but the store: handlers drive it with a node, the
//! simulator with a seed.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `change` | the next version of a Resource, or its removal |
//! | `happened` | what a change is, and what expressions see of it |
//! | `decide` | which runs a change starts: decided before it is made, and durable with it |
//! | `firings` | those runs, started one after the other |

mod change;
mod decide;
mod firings;
mod happened;

pub use change::{Applied, Made, Wanted, apply, remove, version};
pub use decide::{Decided, Refused, keep_triggers};
pub use firings::{Firings, Unstarted, left};
pub use happened::Happened;

use crate::error::NodeError;
use conveyor_engine::value::{Hash, Json, parse_json};
use conveyor_proto::storage::v1::StoredResourceVersion;
use serde_json::json;

/// Separates the names in the key of what has several: no name has it.
pub const JOINT: char = ':';

/// A Resource's key among those of its namespace.
#[must_use]
pub fn resource_key(definition: &str, resource: &str) -> String {
    format!("{definition}{JOINT}{resource}")
}

/// The key of a version; in the order of their numbers.
#[must_use]
pub fn version_key(object: &str, version: u64) -> String {
    format!("{object}{JOINT}{version:020}")
}

/// A version of a Resource as expressions and drivers see it.
#[must_use]
pub fn object(
    (namespace, definition, name): (&str, &str, &str),
    version: u64,
    stored: &StoredResourceVersion,
) -> Json {
    json!({
        "namespace": namespace,
        "definition": definition,
        "name": name,
        "version": version,
        "labels": stored.labels,
        "annotations": stored.annotations,
        // It was one when it was stored.
        "spec": parse_json(&stored.spec).unwrap_or_default(),
    })
}

fn digest(stored: &[u8]) -> Result<Hash, NodeError> {
    let digest = stored.try_into().map(Hash);
    digest.map_err(|_| NodeError::Corrupt("a digest has 32 bytes".to_owned()))
}
