//! Stored events of a namespace as messages.

use super::run;
use conveyor_node::RunId;
use conveyor_node::reader::EventId;
use conveyor_proto::storage::v1::stored_event::What;
use conveyor_proto::storage::v1::{
    StoredEvent, StoredObjectEvent, StoredObjectKind, StoredRunEvent,
};
use conveyor_proto::v1;
use conveyor_proto::v1::watch_events_response::Item;

/// An event as followers of its namespace see it, without the cursor.
pub(crate) fn told(event: &StoredEvent) -> v1::WatchEventsResponse {
    let mut told = v1::WatchEventsResponse {
        namespace: event.namespace.clone(),
        ..v1::WatchEventsResponse::default()
    };
    match &event.what {
        Some(What::Run(of)) => {
            told.item = Some(Item::RunEvent(run_event(of, event.time_ms)));
            told.run = of.run.as_ref().and_then(|row| {
                let id = RunId::parse(&row.run)?;
                Some(run::summary(id, row))
            });
        }
        Some(What::Object(of)) => told.item = Some(object_event(of, event.time_ms)),
        None => {}
    }
    told
}

fn run_event(of: &StoredRunEvent, time_ms: u64) -> v1::Event {
    let id = EventId {
        sequence: of.sequence,
        ordinal: of.ordinal,
    };
    v1::Event {
        id: match of.sequence {
            0 => String::new(),
            _ => id.to_string(),
        },
        run: of
            .run
            .as_ref()
            .map(|row| row.run.clone())
            .unwrap_or_default(),
        time_ms,
        event: Some(v1::event::Event::RunChanged(v1::RunChanged {
            from: of.from,
            to: of.to,
            reason: of.reason.clone(),
        })),
    }
}

fn object_event(of: &StoredObjectEvent, time_ms: u64) -> Item {
    let change = match of.event.as_str() {
        "created" => v1::ResourceChange::Created,
        "updated" => v1::ResourceChange::Updated,
        "deleted" => v1::ResourceChange::Deleted,
        _ => v1::ResourceChange::Unspecified,
    };
    let kind = match of.kind() {
        StoredObjectKind::Resource => {
            return Item::ResourceEvent(v1::ResourceEvent {
                change: change.into(),
                resource: Some(v1::ResourceVersion {
                    definition: of.definition.clone(),
                    name: of.name.clone(),
                    version: of.version,
                    spec: Default::default(),
                }),
                time_ms,
                actor: of.actor.clone(),
            });
        }
        StoredObjectKind::Pipeline => v1::ObjectKind::Pipeline,
        StoredObjectKind::Definition => v1::ObjectKind::Definition,
        StoredObjectKind::Unspecified => v1::ObjectKind::Unspecified,
    };
    Item::ObjectEvent(v1::ObjectEvent {
        kind: kind.into(),
        name: of.name.clone(),
        change: change.into(),
        version: of.version,
        digest: run::hex(&of.digest),
        time_ms,
        actor: of.actor.clone(),
    })
}
