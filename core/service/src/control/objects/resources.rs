//! Resources: immutable versions of objects that satisfy their ResourceDefinition.

use super::super::{ControlHandlers, check, refuse};
use super::definitions::stored_schema;
use super::firing;
use super::repeats::Keyed;
use super::tell::Changed;
use super::{JOINT, annotations_fit, etag_fits, labels_fit, listing, metadata, name, page_token};
use crate::gate::Entry;
use crate::refusal;
use crate::stack::on_stack;
use conveyor_engine::plan::Plan;
use conveyor_engine::value::{Json, canonical_bytes, parse_json};
use conveyor_node::objects::{Changes, Row};
use conveyor_node::resources::{self, Applied, Decided, Happened, Made, Wanted, resource_key};
use conveyor_node::{NodeError, Plans};
use conveyor_proto::storage::v1::{
    StoredDefinitionVersion, StoredMeta, StoredObjectEvent, StoredObjectKind, StoredResource,
    StoredResourceVersion,
};
use conveyor_proto::v1;
use conveyor_store::Store;
use prost::bytes::Bytes;
use std::sync::Arc;
use tokio::sync::OwnedMutexGuard;
use tonic::{Code, Status};

/// The longest `spec`.
const SPEC_BYTES: usize = 1 << 20;

/// A Resource without its spec, as its row and the key of that say.
fn told(namespace: &str, key: &str, row: &Row<StoredResource>) -> v1::Resource {
    let (definition, name) = key.split_once(JOINT).unwrap_or_default();
    let meta = row.value.meta.clone();
    v1::Resource {
        metadata: Some(metadata(name, namespace, meta, row.etag())),
        definition: definition.to_owned(),
        version: row.value.version,
        spec: Bytes::new(),
        pipeline: row.value.pipeline.clone(),
    }
}

/// A version of a Resource that is gone: without an etag, made when the version was.
fn version_alone(
    namespace: &str,
    key: &str,
    version: u64,
    stored: StoredResourceVersion,
) -> v1::Resource {
    let (definition, name) = key.split_once(JOINT).unwrap_or_default();
    let meta = StoredMeta {
        labels: stored.labels,
        annotations: stored.annotations,
        created_ms: stored.created_ms,
        updated_ms: stored.created_ms,
        ..StoredMeta::default()
    };
    v1::Resource {
        metadata: Some(metadata(name, namespace, Some(meta), String::new())),
        definition: definition.to_owned(),
        version,
        spec: stored.spec,
        pipeline: stored.pipeline,
    }
}

/// The spec in one form, if the definition takes it.
async fn spec(given: Bytes, definition: StoredDefinitionVersion) -> Result<Bytes, Status> {
    if given.len() > SPEC_BYTES {
        let bytes = given.len();
        return Err(refusal::limit(
            "/resource/spec",
            "spec_bytes",
            bytes,
            SPEC_BYTES,
        ));
    }
    on_stack(move || {
        let json = match given.is_empty() {
            true => Json::Object(serde_json::Map::new()),
            false => parse_json(&given).map_err(|error| {
                let why = format!("`spec`: {error}");
                refusal::value("/resource/spec", why).status()
            })?,
        };
        if !json.is_object() {
            let why = "`spec` must be a JSON object";
            return Err(refusal::value("/resource/spec", why).status());
        }
        stored_schema(&definition)?.check(&json).map_err(|found| {
            let one = |found: conveyor_engine::plan::Violation| {
                let pointer = format!("/spec{}", found.pointer);
                let message = format!("{pointer}: {}", found.message);
                refusal::input(pointer, message, "resource")
            };
            refusal::refused(found.into_iter().map(one).collect())
        })?;
        Ok(Bytes::from(canonical_bytes(&json)))
    })
    .await?
}

impl ControlHandlers {
    pub(in super::super) async fn apply_one_resource(
        &self,
        mut request: v1::ApplyResourceRequest,
    ) -> Result<v1::ApplyResourceResponse, Status> {
        let entry = self.gate.enter()?;
        let key = std::mem::take(&mut request.idempotency_key);
        let asked = request.clone();
        let wanted = request.resource;
        let wanted =
            wanted.ok_or_else(|| refusal::missing("/resource", "`resource` is missing"))?;
        let meta = wanted.metadata.unwrap_or_default();
        name("/resource/metadata/name", "metadata.name", &meta.name)?;
        labels_fit("/resource/metadata/labels", &meta.labels)?;
        annotations_fit("/resource/metadata/annotations", &meta.annotations)?;
        if !wanted.pipeline.is_empty() {
            name("/resource/pipeline", "pipeline", &wanted.pipeline)?;
        }
        let namespace = self
            .namespace_at("/resource/metadata/namespace", &meta.namespace)
            .await?;
        let turn = Arc::clone(&self.changes.turn).lock_owned().await;
        let key = match request.validate_only {
            true => Keyed::Fresh(Default::default()),
            false => {
                self.keyed("ApplyResource", &namespace, &key, &asked)
                    .await?
            }
        };
        let key = match key {
            Keyed::Repeat(answer) => return Ok(answer),
            Keyed::Fresh(key) => key,
        };
        let definition =
            self.definition_row("/resource/definition", &namespace, &wanted.definition, None);
        let (definition, schema) = definition.await?;
        let spec = spec(wanted.spec, schema).await?;
        let object = resource_key(&wanted.definition, &meta.name);
        let was = self.reader.object::<StoredResource>(&namespace, &object);
        let was = was.await.map_err(refuse)?;
        etag_fits(&meta.etag, was.as_ref())?;
        let wanted = Wanted {
            namespace: namespace.clone(),
            definition: wanted.definition,
            name: meta.name,
            spec,
            labels: meta.labels,
            annotations: meta.annotations,
            pipeline: wanted.pipeline,
        };
        let (now, row) = (self.node.now(), was.clone());
        let spec = wanted.spec.clone();
        let applied = self.decided(move |from, may| {
            resources::apply(from, may, wanted, &definition, row.as_ref(), now)
        });
        let made = match applied.await? {
            Applied::Made(made) => *made,
            Applied::Same => {
                let resource = was.map(|row| told(&namespace, &object, &row));
                let answer = v1::ApplyResourceResponse {
                    resource: resource.map(|told| v1::Resource { spec, ..told }),
                    ..v1::ApplyResourceResponse::default()
                };
                if key.is_some() {
                    let mut changes = Changes::new();
                    key.keep(&mut changes, &answer);
                    self.node.change(changes).await.map_err(refuse)?;
                }
                return Ok(answer);
            }
        };
        let resource = made.row.as_ref().map(|row| {
            let mut resource = told(&namespace, &object, row);
            resource.spec = spec;
            if request.validate_only
                && let Some(metadata) = &mut resource.metadata
            {
                metadata.etag.clear();
            }
            resource
        });
        let answer = v1::ApplyResourceResponse {
            resource,
            runs: match request.validate_only {
                true => Vec::new(),
                false => made.decided.runs(),
            },
            changed: true,
            diagnostics: firing::diagnostics(&made.decided),
        };
        if request.validate_only {
            return Ok(answer);
        }
        let Made {
            happened,
            row,
            mut changes,
            decided,
        } = made;
        self.stands(&mut changes, &namespace).await?;
        if let Some(row) = &row {
            self.tell_of_resource(&mut changes, &happened, row);
        }
        key.keep(&mut changes, &answer);
        self.made(changes, turn, decided, entry).await?;
        Ok(answer)
    }

    fn tell_of_resource(
        &self,
        changes: &mut Changes,
        happened: &Happened,
        row: &Row<StoredResource>,
    ) {
        let changed = Changed {
            namespace: &happened.namespace,
            kind: StoredObjectKind::Resource,
            name: &happened.name,
            event: happened.event,
            version: happened.version,
            meta: row.value.meta.as_ref(),
            time_ms: happened.time_ms,
        };
        let base = StoredObjectEvent {
            definition: happened.definition.clone(),
            ..StoredObjectEvent::default()
        };
        self.tell_of(changes, &changed, base);
    }

    /// Decides a change by what the store has, on a stack of the engine's size.
    async fn decided<T: Send + 'static>(
        &self,
        decide: impl FnOnce(
            (&dyn Store, &Plans),
            &dyn Fn(&Plan) -> Result<(), String>,
        ) -> Result<T, NodeError>
        + Send
        + 'static,
    ) -> Result<T, Status> {
        let (reader, about) = (self.reader.clone(), Arc::clone(&self.about));
        let decided = on_stack(move || {
            let may = |plan: &Plan| {
                let drivers = check::drivers(&about, plan, None);
                drivers.map_err(|status| status.message().to_owned())
            };
            decide((reader.store().as_ref(), reader.plans()), &may)
        });
        decided.await?.map_err(refuse)
    }

    /// Makes a change durable with what it starts, and starts that: to the end, whether or not somebody
    /// still waits for the answer.
    async fn made(
        &self,
        changes: Changes,
        turn: OwnedMutexGuard<()>,
        decided: Decided,
        entry: Entry,
    ) -> Result<(), Status> {
        let handlers = self.clone();
        let made = tokio::spawn(async move {
            let made = handlers.node.change(changes).await;
            if let Err(error) = made {
                // It may have been made all the same, and then has runs to be started.
                if error.is_temporary() {
                    handlers.changes.left.notify_one();
                }
                return Err(refuse(error));
            }
            drop(turn);
            firing::warn(&decided);
            handlers.fire(decided.change, &entry).await;
            Ok(())
        });
        let panicked = |_| Status::internal("a panic while working on the request; see the log");
        made.await.map_err(panicked)?
    }

    /// A version of a Resource, though the Resource may be gone.
    pub(super) async fn resource_version(
        &self,
        namespace: &str,
        object: &str,
        version: u64,
    ) -> Result<Option<StoredResourceVersion>, Status> {
        let key = resources::version_key(object, version);
        let stored = self.reader.object::<StoredResourceVersion>(namespace, &key);
        Ok(stored.await.map_err(refuse)?.map(|row| row.value))
    }

    /// A Resource that is there. `place` is the request's field that has `definition` and `name`.
    async fn resource_row(
        &self,
        place: &str,
        namespace: &str,
        definition: &str,
        resource: &str,
    ) -> Result<Row<StoredResource>, Status> {
        name(&format!("{place}/definition"), "definition", definition)?;
        name(&format!("{place}/name"), "name", resource)?;
        let key = resource_key(definition, resource);
        let row = self.reader.object::<StoredResource>(namespace, &key).await;
        row.map_err(refuse)?.ok_or_else(|| {
            Status::not_found(format!(
                "there is no Resource `{definition}/{resource}` in the namespace `{namespace}`: apply it \
                 first, or name the one that it is in"
            ))
        })
    }

    /// A Resource in the version that is asked for, or in its newest.
    pub(in super::super) async fn resource_at(
        &self,
        place: &str,
        namespace: &str,
        definition: &str,
        resource: &str,
        version: Option<u64>,
    ) -> Result<(v1::Resource, StoredResourceVersion), Status> {
        let row = self
            .resource_row(place, namespace, definition, resource)
            .await?;
        let object = resource_key(definition, resource);
        let wanted = version.unwrap_or(row.value.version);
        let stored = self.resource_version(namespace, &object, wanted).await?;
        let stored = stored.ok_or_else(|| {
            Status::not_found(format!(
                "the Resource `{definition}/{resource}` has no version {wanted}; its newest is {}",
                row.value.version
            ))
        })?;
        let mut told = told(namespace, &object, &row);
        told.version = wanted;
        told.spec = stored.spec.clone();
        told.pipeline.clone_from(&stored.pipeline);
        if let Some(metadata) = &mut told.metadata {
            metadata.labels.clone_from(&stored.labels);
            metadata.annotations.clone_from(&stored.annotations);
            metadata.updated_ms = stored.created_ms;
        }
        Ok((told, stored))
    }

    pub(in super::super) async fn one_resource(
        &self,
        request: v1::GetResourceRequest,
    ) -> Result<v1::GetResourceResponse, Status> {
        let namespace = self.namespace(&request.namespace).await?;
        let (definition, name) = (&request.definition, &request.name);
        let found = self.resource_at("", &namespace, definition, name, request.version);
        let resource = match (found.await, request.version) {
            (Ok((resource, _)), _) => resource,
            // It may be gone; its versions stay for the runs that name them.
            (Err(status), Some(version)) if status.code() == Code::NotFound => {
                let object = resource_key(definition, name);
                let stored = self.resource_version(&namespace, &object, version).await?;
                version_alone(&namespace, &object, version, stored.ok_or(status)?)
            }
            (Err(status), _) => return Err(status),
        };
        Ok(v1::GetResourceResponse {
            resource: Some(resource),
        })
    }

    pub(in super::super) async fn all_resources(
        &self,
        request: v1::ListResourcesRequest,
    ) -> Result<v1::ListResourcesResponse, Status> {
        let namespace = self.namespace(&request.namespace).await?;
        let mut list = listing("resources", &namespace, request.options)?;
        if !request.definition.is_empty() {
            name("/definition", "definition", &request.definition)?;
            list.prefix = format!("{}{JOINT}", request.definition);
        }
        let page = self.reader.objects::<StoredResource>(list).await;
        let page = page.map_err(refuse)?;
        let resources = page
            .rows
            .iter()
            .map(|(key, row)| told(&namespace, key, row));
        Ok(v1::ListResourcesResponse {
            resources: resources.collect(),
            next_page_token: page_token("resources", page.next),
        })
    }

    pub(in super::super) async fn delete_one_resource(
        &self,
        request: v1::DeleteResourceRequest,
    ) -> Result<v1::DeleteResourceResponse, Status> {
        let entry = self.gate.enter()?;
        let namespace = self.namespace(&request.namespace).await?;
        let (definition, name) = (&request.definition, &request.name);
        let turn = Arc::clone(&self.changes.turn).lock_owned().await;
        let row = self.resource_row("", &namespace, definition, name).await?;
        etag_fits(&request.etag, Some(&row))?;
        let names = (namespace, definition.clone(), name.clone());
        let (now, was) = (self.node.now(), row.clone());
        let removed = self.decided(move |from, may| {
            let names = (names.0.as_str(), names.1.as_str(), names.2.as_str());
            resources::remove(from, may, names, &was, now)
        });
        let Made {
            happened,
            mut changes,
            decided,
            ..
        } = removed.await?;
        self.tell_of_resource(&mut changes, &happened, &row);
        let answer = v1::DeleteResourceResponse {
            runs: decided.runs(),
            diagnostics: firing::diagnostics(&decided),
        };
        self.made(changes, turn, decided, entry).await?;
        Ok(answer)
    }
}
