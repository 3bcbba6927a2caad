//! Revisions of pipelines, after what they were of is deleted, and what it costs to read them.

use crate::support::Counting;
use crate::{handlers, handlers_over};
use conveyor_node::retention::Retention;
use conveyor_node::{SystemClock, keys};
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_service::ControlHandlers;
use conveyor_store::{Direction, KeyRange, Memory, Page, Store};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tonic::{Code, Request, Status};

/// Applies `release` with this value: its number and its digest.
async fn apply(handlers: &ControlHandlers, namespace: &str, value: usize) -> (u64, String) {
    let text = format!(
        "apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {{name: release, namespace: {namespace}, \
         labels: {{of: v{value}}}}}\nspec: {{steps: [{{id: a, transform: {{x: {value}}}}}]}}\n"
    );
    let request = v1::ApplyPipelineRequest {
        document: Some(v1::Document {
            source: text.into_bytes().into(),
            file_name: "p.yaml".to_owned(),
        }),
        ..v1::ApplyPipelineRequest::default()
    };
    let applied = handlers.apply_pipeline(Request::new(request)).await;
    let told = applied.expect("applied").into_inner().pipeline;
    let told = told.expect("told");
    (told.revision, told.digest)
}

async fn delete(handlers: &ControlHandlers, namespace: &str) {
    let request = v1::DeletePipelineRequest {
        namespace: namespace.to_owned(),
        name: "release".to_owned(),
        ..v1::DeletePipelineRequest::default()
    };
    let deleted = handlers.delete_pipeline(Request::new(request)).await;
    deleted.expect("it is there");
}

/// A page of the revisions of `release`.
async fn page(
    handlers: &ControlHandlers,
    namespace: &str,
    page_size: u32,
    page_token: &str,
) -> Result<v1::ListPipelineRevisionsResponse, Status> {
    let request = v1::ListPipelineRevisionsRequest {
        namespace: namespace.to_owned(),
        name: "release".to_owned(),
        page_size,
        page_token: page_token.to_owned(),
    };
    let answer = handlers.list_pipeline_revisions(Request::new(request));
    Ok(answer.await?.into_inner())
}

/// All of them, a page for each: their numbers, and which of them is the current one.
async fn numbers(handlers: &ControlHandlers, namespace: &str) -> Vec<(u64, bool)> {
    let (mut told, mut token) = (Vec::new(), String::new());
    loop {
        let answer = page(handlers, namespace, 1, &token).await.expect("a page");
        told.extend(
            answer
                .revisions
                .iter()
                .map(|one| (one.revision, one.current)),
        );
        token = answer.next_page_token;
        if token.is_empty() {
            return told;
        }
    }
}

async fn get(
    handlers: &ControlHandlers,
    namespace: &str,
    (name, digest): (&str, &str),
) -> Result<v1::Pipeline, Status> {
    let request = v1::GetPipelineRequest {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        digest: digest.to_owned(),
    };
    let answer = handlers.get_pipeline(Request::new(request)).await?;
    Ok(answer.into_inner().pipeline.expect("told"))
}

#[tokio::test]
async fn revisions_outlive_their_pipeline_and_no_number_is_given_twice() {
    let handlers = handlers().await;
    let (_, first) = apply(&handlers, "default", 1).await;
    let (second, old) = apply(&handlers, "default", 2).await;
    assert_eq!(second, 2);
    delete(&handlers, "default").await;
    // They are read as before; no name stands for any of them.
    assert_eq!(
        numbers(&handlers, "default").await,
        [(2, false), (1, false)]
    );
    for name in ["release", ""] {
        let found = get(&handlers, "default", (name, &first[..8])).await;
        let found = found.expect("it is readable");
        assert_eq!((found.revision, &found.digest), (1, &first));
        assert!(!found.document.is_empty());
        let metadata = found.metadata.expect("it has");
        assert_eq!(
            (metadata.name.as_str(), metadata.etag.as_str()),
            ("release", "")
        );
        assert_eq!(metadata.labels["of"], "v1");
    }
    let newest = get(&handlers, "default", ("release", "")).await;
    assert_eq!(newest.expect_err("it is gone").code(), Code::NotFound);
    // Another document has another number, and the old one its own.
    assert_eq!(apply(&handlers, "default", 3).await.0, 3);
    assert_eq!(apply(&handlers, "default", 2).await, (2, old));
    assert_eq!(apply(&handlers, "default", 4).await.0, 4);
    delete(&handlers, "default").await;
    // Also where an old one is the first that comes.
    assert_eq!(apply(&handlers, "default", 1).await.0, 1);
    assert_eq!(apply(&handlers, "default", 5).await.0, 5);
    let told: Vec<_> = (1..=5).rev().map(|number| (number, number == 5)).collect();
    assert_eq!(numbers(&handlers, "default").await, told);
}

fn documents(store: &dyn Store) -> usize {
    let documents = KeyRange::prefix(vec![keys::SHARD, b'd']);
    let page = store.scan(&documents, Direction::Forward, 1000);
    page.expect("read").entries.len()
}

#[tokio::test]
async fn a_namespace_takes_its_revisions_along_and_retention_their_documents() {
    const REVISIONS: usize = 300;
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let open = || handlers_over(Arc::clone(&store), Arc::new(SystemClock::new()));
    let handlers = open().await;
    let make = || v1::CreateNamespaceRequest {
        namespace: Some(v1::Namespace {
            metadata: crate::resources::metadata("team"),
        }),
        ..v1::CreateNamespaceRequest::default()
    };
    let made = handlers.create_namespace(Request::new(make())).await;
    made.expect("a namespace");
    apply(&handlers, "default", 0).await;
    let (_, first) = apply(&handlers, "team", 0).await;
    for value in 1..REVISIONS {
        apply(&handlers, "team", value).await;
    }
    delete(&handlers, "team").await;
    drop(handlers);

    // Revisions of a pipeline that is gone hold their documents.
    let handlers = open().await;
    let kept = Retention::default();
    let swept = handlers.node().retain(&kept).await.expect("a pass");
    assert_eq!(swept.documents, 0);
    assert_eq!(documents(store.as_ref()), REVISIONS + 1);

    let request = v1::DeleteNamespaceRequest {
        name: "team".to_owned(),
        ..v1::DeleteNamespaceRequest::default()
    };
    let deleted = handlers.delete_namespace(Request::new(request)).await;
    deleted.expect("it is empty");
    let made = handlers.create_namespace(Request::new(make())).await;
    made.expect("its name is free");
    let nothing = page(&handlers, "team", 1, "").await;
    assert_eq!(nothing.expect_err("none").code(), Code::NotFound);
    for name in ["release", ""] {
        let nothing = get(&handlers, "team", (name, &first)).await;
        assert_eq!(nothing.expect_err("none").code(), Code::NotFound);
    }
    // Those of the other namespace stay.
    let swept = handlers.node().retain(&kept).await.expect("a pass");
    assert_eq!(swept.documents, REVISIONS);
    assert_eq!(documents(store.as_ref()), 1);
    assert_eq!(numbers(&handlers, "default").await, [(1, true)]);
    assert_eq!(apply(&handlers, "team", 7).await.0, 1);
}

/// Rows of revisions that a read of a range gives.
fn rows(range: &KeyRange, page: &Page) -> u64 {
    let of = |kind| range.start.starts_with(&[keys::SHARD, kind]);
    match of(b'P') || of(b'N') {
        true => page.entries.len() as u64,
        false => 0,
    }
}

#[tokio::test]
async fn a_page_of_revisions_and_a_part_of_a_digest_read_what_they_tell_alone() {
    const REVISIONS: usize = 200;
    let store = Arc::new(Counting::new(|_| 0, rows));
    let handlers = handlers_over(Arc::clone(&store) as _, Arc::new(SystemClock::new())).await;
    let mut digests = Vec::new();
    for value in 0..REVISIONS {
        digests.push(apply(&handlers, "default", value).await.1);
    }
    let count = || store.count.load(Ordering::SeqCst);
    let mut token = String::new();
    let mut told = 0;
    loop {
        let before = count();
        let answer = page(&handlers, "default", 10, &token).await;
        let answer = answer.expect("a page");
        told += answer.revisions.len();
        let read = count() - before;
        // Those of the page, and one that says whether there are more.
        assert!(read <= 11, "after {told}: {read} rows");
        token = answer.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(told, REVISIONS);
    for digest in [
        &digests[0],
        &digests[REVISIONS / 2],
        &digests[REVISIONS - 1],
    ] {
        for name in ["release", ""] {
            for length in [64, 9, 8] {
                let before = count();
                let found = get(&handlers, "default", (name, &digest[..length])).await;
                assert_eq!(&found.expect("there is one").digest, digest);
                // By name alone what the digest names; by itself the name is looked for first.
                let read = count() - before;
                assert!((1..=2).contains(&read), "{name:?} {length}: {read} rows");
            }
        }
    }
}
