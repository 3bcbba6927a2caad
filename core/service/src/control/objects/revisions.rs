//! Revisions of pipelines, by their digests or in the order in which they came.

use super::super::{ControlHandlers, refuse};
use super::{listing, page_token};
use crate::refusal;
use conveyor_engine::value::Hash;
use conveyor_node::objects::Row;
use conveyor_node::revisions::FoundRevision;
use conveyor_proto::storage::v1::StoredPipeline;
use conveyor_proto::v1;
use tonic::{Code, Status};

/// The fewest digits of a digest's beginning.
const DIGITS: usize = 8;

/// A digest as it is written, or a beginning of it, in lower case.
fn digits(place: &str, text: &str) -> Result<String, Status> {
    let fits = (DIGITS..=64).contains(&text.len());
    match fits && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(text.to_ascii_lowercase()),
        false => {
            let why = format!(
                "`digest` is {text:?}; a digest has 64 hexadecimal digits, and at least {DIGITS} of its \
                 beginning are to be given"
            );
            Err(refusal::value(format!("{place}/digest"), why)
                .found(text)
                .status())
        }
    }
}

/// The revision that is meant where a beginning of its digest is given.
fn only(
    mut found: Vec<FoundRevision>,
    place: &str,
    digits: &str,
) -> Result<Option<FoundRevision>, Status> {
    match found.as_slice() {
        [one, other, ..] => {
            let why = format!(
                "`digest` {digits} fits {} revisions, such as {} and {}; give more of it",
                found.len(),
                one.digest,
                other.digest
            );
            Err(refusal::value(format!("{place}/digest"), why)
                .found(digits)
                .status())
        }
        _ => Ok(found.pop()),
    }
}

impl ControlHandlers {
    /// The digest of the revision that is named; of the newest where none is. `place` is the request's field
    /// that has it as `digest`.
    pub(super) async fn digest_of_revision(
        &self,
        place: &str,
        (namespace, pipeline): (&str, &str),
        row: &Row<StoredPipeline>,
        wanted: &str,
    ) -> Result<Hash, Status> {
        if wanted.is_empty() {
            let digest = row.value.digest.as_ref().try_into();
            return digest
                .map(Hash)
                .map_err(|_| Status::data_loss("a digest has 32 bytes"));
        }
        match self
            .revision_named(place, (namespace, pipeline), wanted)
            .await?
        {
            Some(found) => Ok(found.digest),
            None => Err(Status::not_found(format!(
                "the pipeline `{pipeline}` has no revision {wanted}"
            ))),
        }
    }

    /// The revision of a pipeline whose digest, or a part of it, is given.
    pub(super) async fn revision_named(
        &self,
        place: &str,
        (namespace, pipeline): (&str, &str),
        wanted: &str,
    ) -> Result<Option<FoundRevision>, Status> {
        let wanted = digits(place, wanted)?;
        let known = self
            .reader
            .revisions_with(namespace, Some(pipeline), &wanted);
        only(known.await.map_err(refuse)?, place, &wanted)
    }

    /// The number of the revision that was made last under a name; 0 where none was.
    pub(super) async fn last_revision(
        &self,
        namespace: &str,
        pipeline: &str,
    ) -> Result<u64, Status> {
        let last = self.reader.revisions(namespace, pipeline, None, 1).await;
        let last = last.map_err(refuse)?.revisions;
        Ok(last.first().map_or(0, |last| last.stored.revision))
    }

    /// The name of the pipeline that has a revision: a document names its own.
    pub(super) async fn pipeline_with(
        &self,
        namespace: &str,
        wanted: &str,
    ) -> Result<String, Status> {
        let wanted = digits("", wanted)?;
        let found = self.reader.revisions_with(namespace, None, &wanted);
        match only(found.await.map_err(refuse)?, "", &wanted)? {
            Some(found) => Ok(found.pipeline),
            None => Err(Status::not_found(format!(
                "no pipeline in the namespace `{namespace}` has a revision {wanted}"
            ))),
        }
    }

    pub(in super::super) async fn all_revisions(
        &self,
        request: v1::ListPipelineRevisionsRequest,
    ) -> Result<v1::ListPipelineRevisionsResponse, Status> {
        let namespace = self.namespace(&request.namespace).await?;
        let options = v1::ListOptions {
            page_size: request.page_size,
            page_token: request.page_token,
            ..v1::ListOptions::default()
        };
        let list = listing("revisions", &namespace, Some(options))?;
        let before = list.after.as_deref().map(str::parse::<u64>).transpose();
        let before = before.map_err(|_| {
            let why = "`page_token`: no answer of this listing had it as `next_page_token`";
            refusal::value("/page_token", why).status()
        })?;
        let row = self.pipeline_row("", &namespace, &request.name).await;
        let page = self
            .reader
            .revisions(&namespace, &request.name, before, list.limit);
        let page = page.await.map_err(refuse)?;
        let current = match row {
            Ok(row) => Some(row.value.digest),
            // It is gone; its revisions stay.
            Err(status) if status.code() == Code::NotFound => match page.revisions.is_empty() {
                false => None,
                true => return Err(status),
            },
            Err(status) => return Err(status),
        };
        let next = page.revisions.last().filter(|_| page.more);
        let next = next.map(|last| last.stored.revision.to_string());
        let told = page.revisions.iter().map(|one| v1::PipelineRevision {
            revision: one.stored.revision,
            digest: one.digest.to_string(),
            created_ms: one.stored.created_ms,
            current: current.as_deref() == Some(&one.digest.0[..]),
        });
        Ok(v1::ListPipelineRevisionsResponse {
            revisions: told.collect(),
            next_page_token: page_token("revisions", next),
        })
    }
}
