//! Pipelines: immutable revisions under a name.

use super::super::{ControlHandlers, check, refuse};
use super::repeats::Keyed;
use super::tell::{Changed, applied};
use super::{annotations_fit, changed, etag_fits, labels_fit, listing, metadata, name, page_token};
use crate::refusal;
use crate::stack::on_stack;
use conveyor_engine::plan::{Plan, ResourceEvent};
use conveyor_node::objects::{Changes, Row};
use conveyor_node::resources;
use conveyor_proto::storage::v1::{
    StoredMeta, StoredObjectEvent, StoredObjectKind, StoredPipeline, StoredRevision,
};
use conveyor_proto::v1;
use std::collections::BTreeSet;
use std::sync::Arc;
use tonic::{Code, Status};

fn told(namespace: &str, name: &str, row: &Row<StoredPipeline>) -> v1::Pipeline {
    v1::Pipeline {
        metadata: Some(metadata(
            name,
            namespace,
            row.value.meta.clone(),
            row.etag(),
        )),
        digest: hex(&row.value.digest),
        revision: row.value.revision,
        document: Default::default(),
    }
}

/// A revision of a pipeline that is gone: without an etag, made when the revision was.
fn revision_alone(
    namespace: &str,
    name: &str,
    plan: &Plan,
    stored: &StoredRevision,
) -> v1::Pipeline {
    let meta = StoredMeta {
        labels: plan.labels.clone(),
        annotations: plan.annotations.clone(),
        created_ms: stored.created_ms,
        updated_ms: stored.created_ms,
        ..StoredMeta::default()
    };
    v1::Pipeline {
        metadata: Some(metadata(name, namespace, Some(meta), String::new())),
        digest: plan.digest.to_string(),
        revision: stored.revision,
        document: Default::default(),
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl ControlHandlers {
    pub(in super::super) async fn apply_one_pipeline(
        &self,
        mut request: v1::ApplyPipelineRequest,
    ) -> Result<v1::ApplyPipelineResponse, Status> {
        let key = std::mem::take(&mut request.idempotency_key);
        let asked = request.clone();
        let document = request.document;
        let document =
            document.ok_or_else(|| refusal::missing("/document", "`document` is missing"))?;
        check::within(&self.caller, &document)?;
        let (node, about) = (self.node.clone(), Arc::clone(&self.about));
        let (read, unregistered, file_name) = on_stack(move || -> Result<_, Status> {
            let read = check::read(&node, &document)?;
            let plan = read.plan();
            check::drivers(&about, &plan, Some(&document))?;
            let unregistered = check::unregistered(&node, &about, &plan, &document);
            Ok((read, unregistered, document.file_name))
        })
        .await??;
        let plan = read.plan();
        let namespace = self.namespace(&plan.namespace).await?;
        labels_fit("/metadata/labels", &plan.labels)?;
        annotations_fit("/metadata/annotations", &plan.annotations)?;
        let mut diagnostics: Vec<_> = read.diagnostics.iter().map(refusal::diagnostic).collect();
        diagnostics.extend(unregistered);
        diagnostics.extend(self.undefined(&read, &file_name).await?);
        let pipeline = plan.name.to_string();
        let digest = read.digest;
        let _turn = self.changes.turn.lock().await;
        let key = match request.validate_only {
            true => Keyed::Fresh(Default::default()),
            false => {
                self.keyed("ApplyPipeline", &namespace, &key, &asked)
                    .await?
            }
        };
        let key = match key {
            Keyed::Repeat(answer) => return Ok(answer),
            Keyed::Fresh(key) => key,
        };
        let was = self
            .reader
            .object::<StoredPipeline>(&namespace, &pipeline)
            .await;
        let was = was.map_err(refuse)?;
        etag_fits(&request.etag, was.as_ref())?;
        let same = |row: &Row<StoredPipeline>| *row.value.digest == digest.0;
        if let Some(row) = was.as_ref().filter(|row| same(row)) {
            let answer = v1::ApplyPipelineResponse {
                pipeline: Some(told(&namespace, &pipeline, row)),
                changed: false,
                diagnostics,
            };
            if key.is_some() {
                let mut changes = Changes::new();
                key.keep(&mut changes, &answer);
                self.node.change(changes).await.map_err(refuse)?;
            }
            return Ok(answer);
        }
        let now = self.node.now().0;
        let earlier = self.reader.revision(&namespace, &pipeline, digest).await;
        let earlier = earlier.map_err(refuse)?;
        let revisions = match &was {
            Some(row) => row.value.revisions,
            // Those of an earlier pipeline of the name stay, and none has the number of another.
            None => self.last_revision(&namespace, &pipeline).await?,
        };
        let revision = earlier
            .as_ref()
            .map_or(revisions + 1, |earlier| earlier.revision);
        let triggers = plan.triggers.iter();
        let definitions: BTreeSet<_> = triggers.map(|of| of.definition.to_string()).collect();
        let stored = StoredPipeline {
            meta: Some(changed(
                was.as_ref().and_then(|row| row.value.meta.as_ref()),
                plan.labels.clone(),
                plan.annotations.clone(),
                now,
            )),
            digest: digest.0.to_vec().into(),
            revision,
            revisions: revisions.max(revision),
            definitions: definitions.into_iter().collect(),
        };
        if request.validate_only {
            let pipeline = v1::Pipeline {
                metadata: Some(metadata(&pipeline, &namespace, stored.meta, String::new())),
                digest: digest.to_string(),
                revision,
                document: Default::default(),
            };
            return Ok(v1::ApplyPipelineResponse {
                pipeline: Some(pipeline),
                changed: true,
                diagnostics,
            });
        }
        // First the document, which does no harm where nobody names it; then what names it.
        let (canonical, source) = (&read.canonical, &read.source);
        let kept = self
            .node
            .keep_document(digest, canonical, source, file_name);
        kept.await.map_err(refuse)?;
        let names = (namespace.as_str(), pipeline.as_str());
        let triggered = self.triggered(names, was.as_ref(), Some(&stored), Changes::new());
        let mut changes = triggered.await?;
        self.stands(&mut changes, &namespace).await?;
        changes.put(&namespace, &pipeline, &stored, was.as_ref());
        if earlier.is_none() {
            changes.revision(&namespace, &pipeline, &digest, (revision, now));
        }
        let row = Row::new(stored);
        let (event, name) = (applied(was.is_some()), &pipeline);
        self.tell_of_pipeline(&mut changes, (&namespace, name), &row, event, now);
        let answer = v1::ApplyPipelineResponse {
            pipeline: Some(told(&namespace, &pipeline, &row)),
            changed: true,
            diagnostics,
        };
        key.keep(&mut changes, &answer);
        self.node.change(changes).await.map_err(refuse)?;
        Ok(answer)
    }

    /// Keeps the rows by which changes of Resources find the pipeline.
    async fn triggered(
        &self,
        (namespace, pipeline): (&str, &str),
        was: Option<&Row<StoredPipeline>>,
        stored: Option<&StoredPipeline>,
        mut changes: Changes,
    ) -> Result<Changes, Status> {
        let names = (namespace.to_owned(), pipeline.to_owned());
        let (was, stored) = (was.cloned(), stored.cloned());
        let kept = self.reader.blocking(move |reader| {
            let (store, names) = (
                reader.store().as_ref(),
                (names.0.as_str(), names.1.as_str()),
            );
            let (was, stored) = (was.as_ref(), stored.as_ref());
            resources::keep_triggers(store, names, was, stored, &mut changes)?;
            Ok(changes)
        });
        kept.await.map_err(refuse)
    }

    /// A pipeline that is there. `place` is the request's field that has its name as `name`.
    pub(super) async fn pipeline_row(
        &self,
        place: &str,
        namespace: &str,
        pipeline: &str,
    ) -> Result<Row<StoredPipeline>, Status> {
        name(&format!("{place}/name"), "name", pipeline)?;
        let row = self
            .reader
            .object::<StoredPipeline>(namespace, pipeline)
            .await;
        row.map_err(refuse)?.ok_or_else(|| {
            Status::not_found(format!(
                "there is no pipeline `{pipeline}` in the namespace `{namespace}`: apply it first, or name \
                 the one that it is in"
            ))
        })
    }

    /// The revision of a stored pipeline that a request names.
    pub(in super::super) async fn stored_document(
        &self,
        namespace: &str,
        wanted: &v1::PipelineRef,
    ) -> Result<v1::Document, Status> {
        let namespace = self.namespace(namespace).await?;
        let row = self
            .pipeline_row("/stored", &namespace, &wanted.name)
            .await?;
        let digest = self
            .digest_of_revision("/stored", (&namespace, &wanted.name), &row, &wanted.digest)
            .await?;
        let stored = self.reader.document(digest).await.map_err(refuse)?;
        let file_name = format!("{}.json", wanted.name);
        Ok(v1::Document {
            source: stored.canonical,
            file_name,
        })
    }

    pub(in super::super) async fn one_pipeline(
        &self,
        request: v1::GetPipelineRequest,
    ) -> Result<v1::GetPipelineResponse, Status> {
        let namespace = self.namespace(&request.namespace).await?;
        let wanted = &request.digest;
        let named = match (request.name.as_str(), wanted.as_str()) {
            ("", "") => {
                let why = "give the pipeline's `name`, or the `digest` of a revision";
                return Err(refusal::missing("/name", why));
            }
            ("", wanted) => self.pipeline_with(&namespace, wanted).await?,
            (name, _) => name.to_owned(),
        };
        let pipeline = &named;
        let row = match self.pipeline_row("", &namespace, pipeline).await {
            Ok(row) => row,
            // It may be gone; its revisions stay.
            Err(status) if status.code() == Code::NotFound && !wanted.is_empty() => {
                let gone = self.gone_pipeline((&namespace, pipeline), wanted).await?;
                return Ok(v1::GetPipelineResponse {
                    pipeline: Some(gone.ok_or(status)?),
                });
            }
            Err(status) => return Err(status),
        };
        let digest = self
            .digest_of_revision("", (&namespace, pipeline), &row, wanted)
            .await?;
        let document = self.reader.document(digest).await.map_err(refuse)?;
        let revision = self.reader.revision(&namespace, pipeline, digest).await;
        let revision = revision.map_err(refuse)?;
        let pipeline = v1::Pipeline {
            digest: digest.to_string(),
            revision: revision.map_or(row.value.revision, |revision| revision.revision),
            document: document.canonical,
            ..told(&namespace, pipeline, &row)
        };
        Ok(v1::GetPipelineResponse {
            pipeline: Some(pipeline),
        })
    }

    /// A revision of a pipeline that is gone.
    async fn gone_pipeline(
        &self,
        (namespace, pipeline): (&str, &str),
        wanted: &str,
    ) -> Result<Option<v1::Pipeline>, Status> {
        let found = self.revision_named("", (namespace, pipeline), wanted);
        let Some(found) = found.await? else {
            return Ok(None);
        };
        let document = self.reader.document(found.digest).await.map_err(refuse)?;
        let (store, plans) = (Arc::clone(self.reader.store()), self.node.clone());
        let digest = found.digest;
        let plan = on_stack(move || plans.reader().plans().get(store.as_ref(), &digest));
        let plan = plan.await?.map_err(refuse)?;
        Ok(Some(v1::Pipeline {
            document: document.canonical,
            ..revision_alone(namespace, pipeline, &plan, &found.stored)
        }))
    }

    pub(in super::super) async fn all_pipelines(
        &self,
        request: v1::ListPipelinesRequest,
    ) -> Result<v1::ListPipelinesResponse, Status> {
        let namespace = self.namespace(&request.namespace).await?;
        let list = listing("pipelines", &namespace, request.options)?;
        let page = self
            .reader
            .objects::<StoredPipeline>(list)
            .await
            .map_err(refuse)?;
        let pipelines = page
            .rows
            .iter()
            .map(|(name, row)| told(&namespace, name, row));
        Ok(v1::ListPipelinesResponse {
            pipelines: pipelines.collect(),
            next_page_token: page_token("pipelines", page.next),
        })
    }

    pub(in super::super) async fn delete_one_pipeline(
        &self,
        request: v1::DeletePipelineRequest,
    ) -> Result<v1::DeletePipelineResponse, Status> {
        let namespace = self.namespace(&request.namespace).await?;
        let _turn = self.changes.turn.lock().await;
        let row = self.pipeline_row("", &namespace, &request.name).await?;
        etag_fits(&request.etag, Some(&row))?;
        let names = (namespace.as_str(), request.name.as_str());
        let triggered = self.triggered(names, Some(&row), None, Changes::new());
        let mut changes = triggered.await?;
        changes.delete(&namespace, &request.name, &row);
        let (event, now) = (ResourceEvent::Deleted, self.node.now().0);
        self.tell_of_pipeline(&mut changes, (&namespace, &request.name), &row, event, now);
        self.node.change(changes).await.map_err(refuse)?;
        Ok(v1::DeletePipelineResponse {})
    }

    fn tell_of_pipeline(
        &self,
        changes: &mut Changes,
        (namespace, name): (&str, &str),
        row: &Row<StoredPipeline>,
        event: ResourceEvent,
        time_ms: u64,
    ) {
        let changed = Changed {
            namespace,
            kind: StoredObjectKind::Pipeline,
            name,
            event,
            version: row.value.revision,
            meta: row.value.meta.as_ref(),
            time_ms,
        };
        let base = StoredObjectEvent {
            digest: row.value.digest.clone(),
            ..StoredObjectEvent::default()
        };
        self.tell_of(changes, &changed, base);
    }
}
