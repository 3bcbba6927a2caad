//! ResourceDefinitions: immutable versions of a JSON Schema under a name.

use super::super::{ControlHandlers, refuse};
use super::repeats::Keyed;
use super::tell::{Changed, applied};
use super::{
    JOINT, annotations_fit, changed, etag_fits, labels_fit, listing, metadata, name, page_token,
    version_key,
};
use crate::refusal;
use crate::stack::on_stack;
use conveyor_engine::plan::{ResourceEvent, Schema};
use conveyor_engine::value::{Json, canonical_bytes, parse_json};
use conveyor_node::objects::{Changes, Row};
use conveyor_proto::storage::v1::{
    StoredDefinition, StoredDefinitionVersion, StoredObjectKind, StoredUse,
};
use conveyor_proto::v1;
use prost::bytes::Bytes;
use tonic::Status;

/// The longest schema.
const SCHEMA_BYTES: usize = 256 << 10;

fn told(namespace: &str, name: &str, row: &Row<StoredDefinition>) -> v1::ResourceDefinition {
    let meta = row.value.meta.clone();
    v1::ResourceDefinition {
        metadata: Some(metadata(name, namespace, meta, row.etag())),
        version: row.value.version,
        schema: Bytes::new(),
    }
}

/// The schema in one form, with every reason why it is none.
async fn schema(given: Bytes) -> Result<Bytes, Status> {
    if given.is_empty() {
        return Err(refusal::missing(
            "/definition/schema",
            "`schema` is missing",
        ));
    }
    if given.len() > SCHEMA_BYTES {
        let bytes = given.len();
        let pointer = "/definition/schema";
        return Err(refusal::limit(pointer, "schema_bytes", bytes, SCHEMA_BYTES));
    }
    on_stack(move || {
        let json = parse_json(&given).map_err(|error| {
            let why = format!("`schema`: {error}");
            refusal::value("/definition/schema", why).status()
        })?;
        let wrong = |found: Vec<conveyor_engine::plan::Violation>| {
            let one = |found: conveyor_engine::plan::Violation| {
                let pointer = format!("/schema{}", found.pointer);
                let message = format!("{pointer}: {}", found.message);
                refusal::input(pointer, message, "schema")
            };
            refusal::refused(found.into_iter().map(one).collect())
        };
        Schema::compile_resource(&json).map_err(wrong)?;
        Ok(Bytes::from(canonical_bytes(&json)))
    })
    .await?
}

/// A stored schema, compiled. On a stack of the engine's size.
pub(super) fn stored_schema(version: &StoredDefinitionVersion) -> Result<Schema, Status> {
    let json: Json = parse_json(&version.schema)
        .map_err(|error| Status::data_loss(format!("a stored schema: {error}")))?;
    Schema::compile_resource(&json).map_err(|found| {
        let first = found.first().map(|found| found.message.clone());
        Status::data_loss(format!("a stored schema: {}", first.unwrap_or_default()))
    })
}

impl ControlHandlers {
    pub(in super::super) async fn apply_one_definition(
        &self,
        mut request: v1::ApplyDefinitionRequest,
    ) -> Result<v1::ApplyDefinitionResponse, Status> {
        let key = std::mem::take(&mut request.idempotency_key);
        let asked = request.clone();
        let wanted = request.definition;
        let wanted =
            wanted.ok_or_else(|| refusal::missing("/definition", "`definition` is missing"))?;
        let meta = wanted.metadata.unwrap_or_default();
        name("/definition/metadata/name", "metadata.name", &meta.name)?;
        labels_fit("/definition/metadata/labels", &meta.labels)?;
        annotations_fit("/definition/metadata/annotations", &meta.annotations)?;
        let schema = schema(wanted.schema).await?;
        let namespace = self
            .namespace_at("/definition/metadata/namespace", &meta.namespace)
            .await?;
        let _turn = self.changes.turn.lock().await;
        let key = match request.validate_only {
            true => Keyed::Fresh(Default::default()),
            false => {
                self.keyed("ApplyDefinition", &namespace, &key, &asked)
                    .await?
            }
        };
        let key = match key {
            Keyed::Repeat(answer) => return Ok(answer),
            Keyed::Fresh(key) => key,
        };
        let was = self
            .reader
            .object::<StoredDefinition>(&namespace, &meta.name);
        let was = was.await.map_err(refuse)?;
        etag_fits(&meta.etag, was.as_ref())?;
        let last = self.last_definition(&namespace, &meta.name).await?;
        let newest = was.as_ref().map(|row| row.value.version);
        let same_schema =
            newest.is_some() && last.as_ref().is_some_and(|last| last.1.schema == schema);
        let same = same_schema
            && was
                .as_ref()
                .and_then(|row| row.value.meta.as_ref())
                .is_some_and(|stored| {
                    stored.labels == meta.labels && stored.annotations == meta.annotations
                });
        let number = last.map_or(0, |last| last.0);
        let now = self.node.now().0;
        let mut changes = Changes::new();
        let row = match (same, &was) {
            (true, Some(row)) => row.clone(),
            _ => {
                let earlier = was.as_ref().and_then(|row| row.value.meta.as_ref());
                let version = if same_schema { number } else { number + 1 };
                let row = Row::new(StoredDefinition {
                    meta: Some(changed(earlier, meta.labels, meta.annotations, now)),
                    version,
                });
                changes.put(&namespace, &meta.name, &row.value, was.as_ref());
                if !same_schema {
                    let stored = StoredDefinitionVersion {
                        schema: schema.clone(),
                        created_ms: now,
                    };
                    changes.put(&namespace, &version_key(&meta.name, version), &stored, None);
                }
                row
            }
        };
        let mut definition = told(&namespace, &meta.name, &row);
        definition.schema = schema;
        if request.validate_only
            && !same
            && let Some(metadata) = &mut definition.metadata
        {
            metadata.etag.clear();
        }
        let answer = v1::ApplyDefinitionResponse {
            definition: Some(definition),
            changed: !same,
        };
        if !request.validate_only && (!same || key.is_some()) {
            if !same {
                self.stands(&mut changes, &namespace).await?;
                let changed = Changed {
                    namespace: &namespace,
                    kind: StoredObjectKind::Definition,
                    name: &meta.name,
                    event: applied(was.is_some()),
                    version: row.value.version,
                    meta: row.value.meta.as_ref(),
                    time_ms: now,
                };
                self.tell(&mut changes, &changed);
            }
            key.keep(&mut changes, &answer);
            self.node.change(changes).await.map_err(refuse)?;
        }
        Ok(answer)
    }

    /// The last version that was ever made under a name, and its number.
    async fn last_definition(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<(u64, StoredDefinitionVersion)>, Status> {
        let prefix = format!("{name}{JOINT}");
        let last = self
            .reader
            .last_object::<StoredDefinitionVersion>(namespace, &prefix)
            .await
            .map_err(refuse)?;
        let number = |name: &str| name.rsplit(JOINT).next()?.parse().ok();
        Ok(last.and_then(|(name, row)| Some((number(&name)?, row.value))))
    }

    /// A definition that is there, with the version that is asked for, or its newest.
    ///
    /// `pointer` is the request's field that has its name.
    pub(super) async fn definition_row(
        &self,
        pointer: &str,
        namespace: &str,
        definition: &str,
        version: Option<u64>,
    ) -> Result<(Row<StoredDefinition>, StoredDefinitionVersion), Status> {
        name(pointer, "definition", definition)?;
        let row = self
            .reader
            .object::<StoredDefinition>(namespace, definition);
        let row = row.await.map_err(refuse)?.ok_or_else(|| {
            Status::not_found(format!(
                "there is no ResourceDefinition `{definition}` in the namespace `{namespace}`: apply it \
                 first, or name the one that it is in"
            ))
        })?;
        let wanted = version.unwrap_or(row.value.version);
        let key = version_key(definition, wanted);
        let stored = self
            .reader
            .object::<StoredDefinitionVersion>(namespace, &key);
        let stored = stored.await.map_err(refuse)?.ok_or_else(|| {
            Status::not_found(format!(
                "the ResourceDefinition `{definition}` has no version {wanted}; its newest is {}",
                row.value.version
            ))
        })?;
        Ok((row, stored.value))
    }

    pub(in super::super) async fn one_definition(
        &self,
        request: v1::GetDefinitionRequest,
    ) -> Result<v1::GetDefinitionResponse, Status> {
        let namespace = self.namespace(&request.namespace).await?;
        let found = self.definition_row("/name", &namespace, &request.name, request.version);
        let (row, stored) = found.await?;
        let definition = v1::ResourceDefinition {
            version: request.version.unwrap_or(row.value.version),
            schema: stored.schema,
            ..told(&namespace, &request.name, &row)
        };
        Ok(v1::GetDefinitionResponse {
            definition: Some(definition),
        })
    }

    pub(in super::super) async fn all_definitions(
        &self,
        request: v1::ListDefinitionsRequest,
    ) -> Result<v1::ListDefinitionsResponse, Status> {
        let namespace = self.namespace(&request.namespace).await?;
        let list = listing("definitions", &namespace, request.options)?;
        let page = self.reader.objects::<StoredDefinition>(list).await;
        let page = page.map_err(refuse)?;
        let definitions = page
            .rows
            .iter()
            .map(|(name, row)| told(&namespace, name, row));
        Ok(v1::ListDefinitionsResponse {
            definitions: definitions.collect(),
            next_page_token: page_token("definitions", page.next),
        })
    }

    pub(in super::super) async fn delete_one_definition(
        &self,
        request: v1::DeleteDefinitionRequest,
    ) -> Result<v1::DeleteDefinitionResponse, Status> {
        let namespace = self.namespace(&request.namespace).await?;
        let _turn = self.changes.turn.lock().await;
        let (row, _) = self
            .definition_row("/name", &namespace, &request.name, None)
            .await?;
        etag_fits(&request.etag, Some(&row))?;
        let used = self.reader.object::<StoredUse>(&namespace, &request.name);
        let used = used.await.map_err(refuse)?;
        let resources = used.as_ref().map_or(0, |used| used.value.resources);
        if resources > 0 {
            return Err(Status::failed_precondition(format!(
                "the ResourceDefinition `{}` has {resources} Resources: delete them first",
                request.name
            )));
        }
        let mut changes = Changes::new();
        changes.delete(&namespace, &request.name, &row);
        match &used {
            Some(used) => changes.delete(&namespace, &request.name, used),
            None => changes.absent::<StoredUse>(&namespace, &request.name),
        };
        let changed = Changed {
            namespace: &namespace,
            kind: StoredObjectKind::Definition,
            name: &request.name,
            event: ResourceEvent::Deleted,
            version: row.value.version,
            meta: row.value.meta.as_ref(),
            time_ms: self.node.now().0,
        };
        self.tell(&mut changes, &changed);
        self.node.change(changes).await.map_err(refuse)?;
        Ok(v1::DeleteDefinitionResponse {})
    }
}
