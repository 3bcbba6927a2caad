//! Namespaces: `default` is always there, others are made.

use super::super::{ControlHandlers, DEFAULT_NAMESPACE, refuse};
use super::repeats::Keyed;
use super::{annotations_fit, changed, etag_fits, labels_fit, listing, metadata, name, page_token};
use crate::access::holds;
use crate::refusal;
use conveyor_engine::time::Time;
use conveyor_node::objects::{Changes, ListObjects, Object, Row};
use conveyor_node::reader::Filter;
use conveyor_node::repeats;
use conveyor_node::resources::left;
use conveyor_proto::storage::v1::{
    StoredDefinition, StoredDefinitionVersion, StoredEventFloor, StoredIdempotency,
    StoredNamespace, StoredPipeline, StoredResourceVersion, StoredToken,
};
use conveyor_proto::v1;
use tonic::Status;

/// Rows that one commit removes.
const TURN: usize = 500;

fn told(name: &str, row: &Row<StoredNamespace>) -> v1::Namespace {
    let metadata = metadata(name, "", row.value.meta.clone(), row.etag());
    v1::Namespace {
        metadata: Some(metadata),
    }
}

fn none(name: &str) -> Status {
    Status::not_found(format!("there is no namespace `{name}`"))
}

/// The one that nobody has to make.
fn default() -> v1::Namespace {
    v1::Namespace {
        metadata: Some(metadata(DEFAULT_NAMESPACE, "", None, String::new())),
    }
}

impl ControlHandlers {
    pub(in super::super) async fn create_one_namespace(
        &self,
        mut request: v1::CreateNamespaceRequest,
    ) -> Result<v1::CreateNamespaceResponse, Status> {
        let key = std::mem::take(&mut request.idempotency_key);
        let asked = request.clone();
        let wanted = request.namespace.and_then(|namespace| namespace.metadata);
        let wanted = wanted.ok_or_else(|| {
            refusal::missing("/namespace/metadata", "`namespace.metadata` is missing")
        })?;
        name("/namespace/metadata/name", "metadata.name", &wanted.name)?;
        labels_fit("/namespace/metadata/labels", &wanted.labels)?;
        annotations_fit("/namespace/metadata/annotations", &wanted.annotations)?;
        let taken = || Status::already_exists(format!("there is a namespace `{}`", wanted.name));
        let same = |row: &Row<StoredNamespace>| {
            let meta = row.value.meta.clone().unwrap_or_default();
            meta.labels == wanted.labels && meta.annotations == wanted.annotations
        };
        if wanted.name == DEFAULT_NAMESPACE {
            return Err(taken());
        }
        let _turn = self.changes.turn.lock().await;
        let key = match self.keyed("CreateNamespace", "", &key, &asked).await? {
            Keyed::Repeat(answer) => return Ok(answer),
            Keyed::Fresh(key) => key,
        };
        let row = self.reader.object::<StoredNamespace>("", &wanted.name);
        let there = row.await.map_err(refuse)?;
        etag_fits(&wanted.etag, there.as_ref())?;
        let mut changes = Changes::new();
        let row = match &there {
            // What was there as it was asked for is a repeat of the request.
            Some(row) if same(row) => row.clone(),
            Some(_) => return Err(taken()),
            None => {
                self.forget_keys_of(&wanted.name).await?;
                let now = self.node.now().0;
                let (labels, annotations) = (wanted.labels.clone(), wanted.annotations.clone());
                let row = Row::new(StoredNamespace {
                    meta: Some(changed(None, labels, annotations, now)),
                });
                changes.put("", &wanted.name, &row.value, None);
                self.begin_events(&wanted.name, &mut changes).await?;
                row
            }
        };
        let answer = v1::CreateNamespaceResponse {
            namespace: Some(told(&wanted.name, &row)),
        };
        if there.is_none() || key.is_some() {
            key.keep(&mut changes, &answer);
            self.node.change(changes).await.map_err(refuse)?;
        }
        Ok(answer)
    }

    pub(in super::super) async fn update_one_namespace(
        &self,
        request: v1::UpdateNamespaceRequest,
    ) -> Result<v1::UpdateNamespaceResponse, Status> {
        let wanted = request.name;
        if wanted == DEFAULT_NAMESPACE {
            return Err(Status::failed_precondition(
                "the namespace `default` is always there, and has neither labels nor annotations",
            ));
        }
        name("/name", "name", &wanted)?;
        labels_fit("/labels", &request.labels)?;
        annotations_fit("/annotations", &request.annotations)?;
        let _turn = self.changes.turn.lock().await;
        let row = self.reader.object::<StoredNamespace>("", &wanted).await;
        let row = row.map_err(refuse)?.ok_or_else(|| none(&wanted))?;
        etag_fits(&request.etag, Some(&row))?;
        let meta = row.value.meta.clone().unwrap_or_default();
        let same = meta.labels == request.labels && meta.annotations == request.annotations;
        let row = match same {
            true => row,
            false => {
                let (labels, annotations) = (request.labels, request.annotations);
                let next = Row::new(StoredNamespace {
                    meta: Some(changed(Some(&meta), labels, annotations, self.node.now().0)),
                });
                let mut changes = Changes::new();
                changes.put("", &wanted, &next.value, Some(&row));
                self.node.change(changes).await.map_err(refuse)?;
                next
            }
        };
        Ok(v1::UpdateNamespaceResponse {
            namespace: Some(told(&wanted, &row)),
            changed: !same,
        })
    }

    pub(in super::super) async fn all_namespaces(
        &self,
        request: v1::ListNamespacesRequest,
    ) -> Result<v1::ListNamespacesResponse, Status> {
        let list = listing("namespaces", "", request.options)?;
        if let Some(own) = &self.caller.namespace {
            return self.own_namespace(own, &list).await;
        }
        let first = list.after.is_none() && list.labels.is_empty() && !list.is_dated();
        let page = self
            .reader
            .objects::<StoredNamespace>(list)
            .await
            .map_err(refuse)?;
        let mut namespaces: Vec<_> = first.then(default).into_iter().collect();
        namespaces.extend(page.rows.iter().map(|(name, row)| told(name, row)));
        Ok(v1::ListNamespacesResponse {
            namespaces,
            next_page_token: page_token("namespaces", page.next),
        })
    }

    /// All that a caller which is bound to one may know of: no other's name, not even as a place in
    /// the listing.
    async fn own_namespace(
        &self,
        own: &str,
        list: &ListObjects,
    ) -> Result<v1::ListNamespacesResponse, Status> {
        let row = self.reader.object::<StoredNamespace>("", own).await;
        let found = match row.map_err(refuse)? {
            Some(row) => Some(told(own, &row)),
            None => (own == DEFAULT_NAMESPACE).then(default),
        };
        let fits = |namespace: &v1::Namespace| {
            let metadata = namespace.metadata.as_ref();
            let created = metadata.map(|metadata| Time(metadata.created_ms));
            let made = created.filter(|created| *created > Time(0));
            list.takes(metadata.map(|metadata| &metadata.labels), made)
                && list.after.as_deref().is_none_or(|after| own > after)
        };
        Ok(v1::ListNamespacesResponse {
            namespaces: found.into_iter().filter(fits).collect(),
            next_page_token: String::new(),
        })
    }

    pub(in super::super) async fn one_namespace(
        &self,
        request: v1::GetNamespaceRequest,
    ) -> Result<v1::GetNamespaceResponse, Status> {
        name("/name", "name", &request.name)?;
        self.caller.within(&request.name)?;
        let row = self.reader.object::<StoredNamespace>("", &request.name);
        let found = match row.await.map_err(refuse)? {
            Some(row) => told(&request.name, &row),
            None if request.name == DEFAULT_NAMESPACE => default(),
            None => return Err(none(&request.name)),
        };
        Ok(v1::GetNamespaceResponse {
            namespace: Some(found),
        })
    }

    /// Events of an earlier namespace of the same name are kept until they come of age, for whoever follows
    /// all: those of this one begin after all that there are.
    async fn begin_events(&self, namespace: &str, changes: &mut Changes) -> Result<(), Status> {
        let was = self.reader.object::<StoredEventFloor>("", namespace).await;
        let end = self.reader.feed_end().await.map_err(refuse)?;
        let begun = StoredEventFloor::from(end);
        changes.put("", namespace, &begun, was.map_err(refuse)?.as_ref());
        Ok(())
    }

    /// Removes what is left of definitions, Resources and pipelines that were deleted: a namespace that is
    /// made anew under the name begins with nothing.
    async fn forget_versions(&self, namespace: &str) -> Result<(), Status> {
        let all = ListObjects {
            namespace: namespace.to_owned(),
            ..ListObjects::default()
        };
        self.forget_all::<StoredResourceVersion>(all.clone())
            .await?;
        self.forget_all::<StoredDefinitionVersion>(all).await?;
        self.node.forget_revisions(namespace).await.map_err(refuse)
    }

    /// Removes the keys of requests to an earlier namespace of the name: none of them is one to this one.
    /// Nobody writes another while there is no such namespace.
    async fn forget_keys_of(&self, namespace: &str) -> Result<(), Status> {
        let of = ListObjects {
            prefix: repeats::prefix(namespace),
            ..ListObjects::default()
        };
        self.forget_all::<StoredIdempotency>(of).await
    }

    async fn forget_all<M: Object>(&self, mut list: ListObjects) -> Result<(), Status> {
        list.limit = TURN;
        loop {
            let page = self.reader.objects::<M>(list.clone()).await;
            let page = page.map_err(refuse)?;
            if page.rows.is_empty() {
                return Ok(());
            }
            let mut changes = Changes::new();
            for (name, row) in &page.rows {
                changes.delete(&list.namespace, name, row);
            }
            self.node.change(changes).await.map_err(refuse)?;
            list.after = page.next;
            if list.after.is_none() {
                return Ok(());
            }
        }
    }

    pub(in super::super) async fn delete_one_namespace(
        &self,
        request: v1::DeleteNamespaceRequest,
    ) -> Result<v1::DeleteNamespaceResponse, Status> {
        let wanted = request.name;
        if wanted == DEFAULT_NAMESPACE {
            return Err(Status::failed_precondition(
                "the namespace `default` is always there",
            ));
        }
        name("/name", "name", &wanted)?;
        let _turn = self.changes.turn.lock().await;
        let row = self.reader.object::<StoredNamespace>("", &wanted).await;
        let row = row.map_err(refuse)?;
        let row = row.ok_or_else(|| none(&wanted))?;
        etag_fits(&request.etag, Some(&row))?;
        self.is_empty(&wanted).await?;
        self.forget_versions(&wanted).await?;
        self.forget_tokens(&wanted).await?;
        // No run begins between this look and the end; no object is made, as it is this call's turn.
        let _starts = self.changes.starts.write().await;
        self.is_empty(&wanted).await?;
        let mut changes = Changes::new();
        changes.delete("", &wanted, &row);
        self.node.change(changes).await.map_err(refuse)?;
        Ok(v1::DeleteNamespaceResponse {})
    }

    /// Refuses unless nothing is left in a namespace.
    async fn is_empty(&self, namespace: &str) -> Result<(), Status> {
        // Before the runs: what is not left to be started is a run.
        let starting = self.reader.blocking(|reader| left(reader.store().as_ref()));
        let starting = starting.await.map_err(refuse)?;
        let starting = starting.iter().any(|(_, of)| of.namespace == namespace);
        let filter = Filter {
            namespace: Some(namespace.to_owned()),
            ..Filter::default()
        };
        let runs = self.reader.list(filter, None, 1).await.map_err(refuse)?;
        let there = [
            ("pipelines", self.has::<StoredPipeline>(namespace).await?),
            // There is no Resource without one.
            (
                "definitions",
                self.has::<StoredDefinition>(namespace).await?,
            ),
            ("runs", starting || !runs.rows.is_empty()),
            // They would be good for whatever is made under the name. One whose time is over is not.
            ("access tokens", self.has_tokens(namespace).await?),
        ];
        let there = there.iter().filter_map(|(what, is)| is.then_some(*what));
        let there: Vec<_> = there.collect();
        match there.is_empty() {
            true => Ok(()),
            false => Err(Status::failed_precondition(format!(
                "the namespace `{namespace}` has {}: delete them first",
                there.join(", ")
            ))),
        }
    }

    async fn has<M: Object>(&self, namespace: &str) -> Result<bool, Status> {
        let list = ListObjects {
            namespace: namespace.to_owned(),
            limit: 1,
            ..ListObjects::default()
        };
        let page = self.reader.objects::<M>(list).await.map_err(refuse)?;
        Ok(!page.rows.is_empty())
    }

    /// Whether a token that holds is bound to it.
    async fn has_tokens(&self, namespace: &str) -> Result<bool, Status> {
        let now = self.node.now();
        let tokens = self.tokens_of(namespace).await?;
        let held =
            |(_, row): &(String, Row<StoredToken>)| holds(row.value.expires_ms.map(Time), now);
        Ok(tokens.iter().any(held))
    }

    /// Removes the tokens that are bound to it, none of which holds any more.
    async fn forget_tokens(&self, namespace: &str) -> Result<(), Status> {
        for some in self.tokens_of(namespace).await?.chunks(TURN) {
            let mut changes = Changes::new();
            for (id, row) in some {
                changes.delete("", id, row);
            }
            self.node.change(changes).await.map_err(refuse)?;
        }
        Ok(())
    }

    async fn tokens_of(&self, namespace: &str) -> Result<Vec<(String, Row<StoredToken>)>, Status> {
        let mut found = Vec::new();
        let mut list = ListObjects {
            limit: TURN,
            ..ListObjects::default()
        };
        loop {
            let page = self.reader.objects::<StoredToken>(list.clone()).await;
            let page = page.map_err(refuse)?;
            let own = |(_, row): &(String, Row<StoredToken>)| row.value.namespace == namespace;
            found.extend(page.rows.into_iter().filter(own));
            list.after = page.next;
            if list.after.is_none() {
                return Ok(found);
            }
        }
    }
}
