//! The next version of a Resource, or its removal.

use super::decide::{Decided, decide};
use super::happened::Happened;
use super::{JOINT, resource_key, version_key};
use crate::error::NodeError;
use crate::objects::{self, Changes, Row};
use crate::plans::Plans;
use bytes::Bytes;
use conveyor_engine::plan::{Plan, ResourceEvent};
use conveyor_engine::planted;
use conveyor_engine::time::Time;
use conveyor_proto::storage::v1::{
    StoredDefinition, StoredMeta, StoredResource, StoredResourceVersion, StoredUse,
};
use conveyor_store::Store;
use std::collections::BTreeMap;

/// What somebody wants a Resource to be: checked, by its definition too.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Of which namespace.
    pub namespace: String,
    /// Of which ResourceDefinition.
    pub definition: String,
    /// Its name.
    pub name: String,
    /// Its spec: canonical JSON, an object.
    pub spec: Bytes,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// The pipeline that each of its changes starts too; empty for none.
    pub pipeline: String,
}

/// What an apply comes to.
#[derive(Clone, Debug)]
pub enum Applied {
    /// It is so already.
    Same,
    /// A new version.
    Made(Box<Made>),
}

/// A change that is decided: to be made by one commit.
#[derive(Clone, Debug)]
pub struct Made {
    /// What it is.
    pub happened: Happened,
    /// The Resource's row once it is made; `None` for a removal.
    pub row: Option<Row<StoredResource>>,
    /// The commit: refused where anything that it was decided by has changed.
    pub changes: Changes,
    /// The runs that it starts.
    pub decided: Decided,
}

/// Decides what the next version of a Resource is and starts. `may` says whether a plan can be run here
/// at all; `was` is the Resource's row. Compiles documents: call it on a stack of
/// [`conveyor_engine::STACK_BYTES`].
///
/// # Errors
/// When the store cannot be read, or holds what this release cannot read.
pub fn apply(
    (store, plans): (&dyn Store, &Plans),
    may: &dyn Fn(&Plan) -> Result<(), String>,
    wanted: Wanted,
    definition: &Row<StoredDefinition>,
    was: Option<&Row<StoredResource>>,
    now: Time,
) -> Result<Applied, NodeError> {
    let namespace = wanted.namespace.as_str();
    let object = resource_key(&wanted.definition, &wanted.name);
    let next = StoredResourceVersion {
        spec: wanted.spec,
        definition_version: definition.value.version,
        labels: wanted.labels,
        annotations: wanted.annotations,
        pipeline: wanted.pipeline,
        created_ms: now.0,
    };
    // One that was deleted goes on with the number after its last one.
    let (number, old) = match last(store, namespace, &object)? {
        Some((number, last)) => (number, was.is_some().then_some(last)),
        None => (0, None),
    };
    let same = |old: &StoredResourceVersion| {
        old.spec == next.spec
            && old.labels == next.labels
            && old.annotations == next.annotations
            && old.pipeline == next.pipeline
    };
    if old.as_ref().is_some_and(same) {
        return Ok(Applied::Same);
    }
    let version = number + 1;
    let earlier = was.and_then(|row| row.value.meta.as_ref());
    let row = Row::new(StoredResource {
        meta: Some(StoredMeta {
            labels: next.labels.clone(),
            annotations: next.annotations.clone(),
            created_ms: earlier.map_or(now.0, |was| was.created_ms),
            updated_ms: now.0,
            change: earlier.map_or(1, |was| was.change + 1),
        }),
        version,
        pipeline: next.pipeline.clone(),
    });
    let happened = Happened {
        namespace: namespace.to_owned(),
        definition: wanted.definition.clone(),
        name: wanted.name.clone(),
        version,
        event: match was {
            Some(_) => ResourceEvent::Updated,
            None => ResourceEvent::Created,
        },
        time_ms: now.0,
        new: Some(next.clone()),
        old,
    };
    let mut changes = Changes::new();
    let decided = decide((store, plans), may, &happened, &mut changes)?;
    changes.keep(namespace, &wanted.definition, definition);
    changes.put(namespace, &object, &row.value, was);
    changes.put(namespace, &version_key(&object, version), &next, None);
    let more = i64::from(was.is_none());
    count(store, namespace, &wanted.definition, more, &mut changes)?;
    Ok(Applied::Made(Box::new(Made {
        happened,
        row: Some(row),
        changes,
        decided,
    })))
}

/// Decides what the removal of a Resource, whose row `was` is, starts. As [`apply`].
///
/// # Errors
/// As [`apply`].
pub fn remove(
    (store, plans): (&dyn Store, &Plans),
    may: &dyn Fn(&Plan) -> Result<(), String>,
    (namespace, definition, name): (&str, &str, &str),
    was: &Row<StoredResource>,
    now: Time,
) -> Result<Made, NodeError> {
    let object = resource_key(definition, name);
    let last = was.value.version;
    let happened = Happened {
        namespace: namespace.to_owned(),
        definition: definition.to_owned(),
        name: name.to_owned(),
        version: last,
        event: ResourceEvent::Deleted,
        time_ms: now.0,
        new: None,
        old: version(store, namespace, &object, last)?,
    };
    let mut changes = Changes::new();
    let decided = decide((store, plans), may, &happened, &mut changes)?;
    changes.delete(namespace, &object, was);
    count(store, namespace, definition, -1, &mut changes)?;
    Ok(Made {
        happened,
        row: None,
        changes,
        decided,
    })
}

/// A version of a Resource, though the Resource may be gone. `object` is its key.
///
/// # Errors
/// When the store cannot be read.
pub fn version(
    store: &dyn Store,
    namespace: &str,
    object: &str,
    version: u64,
) -> Result<Option<StoredResourceVersion>, NodeError> {
    let key = version_key(object, version);
    let stored = objects::get::<StoredResourceVersion>(store, namespace, &key)?;
    Ok(stored.map(|row| row.value))
}

/// The last version that was ever made of a Resource, and its number.
fn last(
    store: &dyn Store,
    namespace: &str,
    object: &str,
) -> Result<Option<(u64, StoredResourceVersion)>, NodeError> {
    let prefix = format!("{object}{JOINT}");
    let last = objects::last::<StoredResourceVersion>(store, namespace, &prefix)?;
    let number = |name: &str| name.rsplit(JOINT).next()?.parse().ok();
    Ok(last.and_then(|(name, row)| Some((number(&name)?, row.value))))
}

/// So many Resources more of a definition. Its row also says whether the pipelines are the ones that the
/// change was decided by: a new one has no row that [`decide`] could have found.
fn count(
    store: &dyn Store,
    namespace: &str,
    definition: &str,
    more: i64,
    changes: &mut Changes,
) -> Result<(), NodeError> {
    let used = objects::get::<StoredUse>(store, namespace, definition)?;
    if more != 0 {
        let before = used.as_ref().map(|used| used.value).unwrap_or_default();
        let next = StoredUse {
            resources: before.resources.saturating_add_signed(more),
            ..before
        };
        changes.put(namespace, definition, &next, used.as_ref());
    } else if !planted!(PipelinesUnguarded) {
        match &used {
            Some(used) => changes.keep(namespace, definition, used),
            None => changes.absent::<StoredUse>(namespace, definition),
        };
    }
    Ok(())
}
