//! What followers of a namespace are told of changes of objects.

use super::super::ControlHandlers;
use conveyor_engine::plan::ResourceEvent;
use conveyor_node::objects::Changes;
use conveyor_proto::storage::v1::stored_event::What;
use conveyor_proto::storage::v1::{StoredEvent, StoredMeta, StoredObjectEvent, StoredObjectKind};

/// An object that is made, changed or removed.
pub(super) struct Changed<'a> {
    pub(super) namespace: &'a str,
    pub(super) kind: StoredObjectKind,
    pub(super) name: &'a str,
    pub(super) event: ResourceEvent,
    /// The newest version, or revision; for a removal, the last one.
    pub(super) version: u64,
    pub(super) meta: Option<&'a StoredMeta>,
    pub(super) time_ms: u64,
}

/// What an apply does to an object.
pub(super) fn applied(existed: bool) -> ResourceEvent {
    match existed {
        true => ResourceEvent::Updated,
        false => ResourceEvent::Created,
    }
}

impl ControlHandlers {
    /// Has followers told of a change, in its own commit.
    pub(super) fn tell(&self, changes: &mut Changes, changed: &Changed<'_>) {
        self.tell_of(changes, changed, StoredObjectEvent::default());
    }

    /// The same; `base` has what only some kinds have.
    pub(super) fn tell_of(
        &self,
        changes: &mut Changes,
        changed: &Changed<'_>,
        base: StoredObjectEvent,
    ) {
        changes.tell(StoredEvent {
            namespace: changed.namespace.to_owned(),
            time_ms: changed.time_ms,
            what: Some(What::Object(StoredObjectEvent {
                kind: changed.kind.into(),
                name: changed.name.to_owned(),
                event: changed.event.as_str().to_owned(),
                version: changed.version,
                labels: changed
                    .meta
                    .map(|meta| meta.labels.clone())
                    .unwrap_or_default(),
                actor: self.caller.principal.to_string(),
                ..base
            })),
        });
    }
}
