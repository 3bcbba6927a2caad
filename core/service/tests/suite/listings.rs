//! Where listings and readings go on is a text of an answer, for the same question alone.

use crate::support::Hand;
use crate::{handlers, handlers_at, request, start};
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_service::ControlHandlers;
use prost::Message as _;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tonic::{Code, Request, Status};

/// One byte longer than a key may be.
const LONG_KEY: &str = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk";
const ONE: &str = "{steps: [{id: a, transform: {x: 1}}]}";

/// A change of a request that lists runs.
type Change = fn(&mut v1::ListRunsRequest);

/// Runs of the pipeline `p`, two on a page.
fn runs(page_token: &str, change: Change) -> v1::ListRunsRequest {
    let mut request = v1::ListRunsRequest {
        pipeline: "p".to_owned(),
        page_size: 2,
        page_token: page_token.to_owned(),
        ..v1::ListRunsRequest::default()
    };
    change(&mut request);
    request
}

async fn list(
    handlers: &ControlHandlers,
    request: v1::ListRunsRequest,
) -> Result<v1::ListRunsResponse, Status> {
    let answer = handlers.list_runs(Request::new(request)).await;
    answer.map(tonic::Response::into_inner)
}

#[track_caller]
fn refused<T>(answer: Result<T, Status>, what: &str, words: &str) {
    let status = answer.map(|_| ()).expect_err(what);
    assert_eq!(status.code(), Code::InvalidArgument, "{what}: {status}");
    assert!(status.message().contains(words), "{what}: {status}");
}

#[tokio::test]
async fn a_page_token_of_runs_is_for_the_listing_that_told_it() {
    let handlers = handlers().await;
    let mut all = Vec::new();
    for _ in 0..5 {
        all.push(start(&handlers, ONE).await);
    }
    let first = list(&handlers, runs("", |_| {})).await.expect("a page");
    let token = first.next_page_token.as_str();
    // The same question, with another size of its pages.
    let rest = list(&handlers, runs(token, |asked| asked.page_size = 10)).await;
    let rest = rest.expect("the rest").runs;
    let ids = first.runs.iter().chain(&rest).map(|run| run.id.clone());
    let mut ids: Vec<_> = ids.collect();
    ids.sort();
    all.sort();
    assert_eq!(ids, all, "each once");
    let others: [(&str, Change); 7] = [
        ("a namespace", |asked| {
            asked.namespace = "default".to_owned();
        }),
        ("no pipeline", |asked| asked.pipeline.clear()),
        ("a state", |asked| {
            asked.states = vec![v1::RunState::Succeeded.into()];
        }),
        ("a label", |asked| {
            asked.labels = BTreeMap::from([("k".to_owned(), "x".to_owned())]);
        }),
        ("an instant", |asked| asked.created_from_ms = Some(0)),
        ("another instant", |asked| {
            asked.created_before_ms = Some(u64::MAX);
        }),
        ("interrupted ones", |asked| asked.interrupted = true),
    ];
    for (what, change) in others {
        let other = list(&handlers, runs(token, change)).await;
        refused(other, what, "or of one with other filters");
    }
    let (before, id) = token.rsplit_once('/').expect("it ends in an id");
    for wrong in [
        // Any id, and one in the place of another.
        id.to_owned(),
        format!("{before}/{}", all[0]),
        format!("runs/{id}"),
        "runs".to_owned(),
        "x".to_owned(),
    ] {
        let answer = list(&handlers, runs(&wrong, |_| {})).await;
        refused(answer, &wrong, "not one of this listing");
    }
}

#[tokio::test]
async fn a_label_that_is_none_is_refused_wherever_it_is_given() {
    let handlers = handlers().await;
    let bad = [
        (
            "",
            "x".to_owned(),
            "",
            "the key of a label is empty; it has 1 to 63 bytes",
        ),
        (
            "k",
            "v".repeat(257),
            "k",
            "the limit `label_value` is 256; the request has 257",
        ),
        (
            LONG_KEY,
            String::new(),
            LONG_KEY,
            "the limit `label_key` is 63; the request has 64",
        ),
        (
            "k=v",
            String::new(),
            "k=v",
            "the key of a label has no `=`, no `,` and no control character, and neither begins nor ends with a \
             space; the request has \"k=v\"",
        ),
        (
            " a/b",
            String::new(),
            " a~1b",
            "the key of a label has no `=`, no `,` and no control character, and neither begins nor ends with a \
             space; the request has \" a/b\"",
        ),
    ];
    for (key, value, place, words) in bad {
        let labels = BTreeMap::from([(key.to_owned(), value)]);
        let metadata = v1::Metadata {
            name: "other".to_owned(),
            labels: labels.clone(),
            ..v1::Metadata::default()
        };
        let mut run = request(ONE);
        run.labels = labels.clone();
        let namespace = v1::CreateNamespaceRequest {
            namespace: Some(v1::Namespace {
                metadata: Some(metadata.clone()),
            }),
            ..v1::CreateNamespaceRequest::default()
        };
        let definition = v1::ApplyDefinitionRequest {
            definition: Some(v1::ResourceDefinition {
                metadata: Some(metadata.clone()),
                schema: b"{}".as_slice().into(),
                ..v1::ResourceDefinition::default()
            }),
            ..v1::ApplyDefinitionRequest::default()
        };
        let resource = v1::ApplyResourceRequest {
            resource: Some(v1::Resource {
                metadata: Some(metadata),
                definition: "app".to_owned(),
                ..v1::Resource::default()
            }),
            ..v1::ApplyResourceRequest::default()
        };
        let filter = v1::ListRunsRequest {
            labels,
            ..v1::ListRunsRequest::default()
        };
        let answers = [
            (
                "/labels",
                handlers.start_run(Request::new(run)).await.map(|_| ()),
            ),
            (
                "/namespace/metadata/labels",
                handlers
                    .create_namespace(Request::new(namespace))
                    .await
                    .map(|_| ()),
            ),
            (
                "/definition/metadata/labels",
                handlers
                    .apply_definition(Request::new(definition))
                    .await
                    .map(|_| ()),
            ),
            (
                "/resource/metadata/labels",
                handlers
                    .apply_resource(Request::new(resource))
                    .await
                    .map(|_| ()),
            ),
            ("/labels", list(&handlers, filter).await.map(|_| ())),
        ];
        for (of, answer) in answers {
            let status = answer.expect_err(of);
            assert_eq!(status.message(), words, "{of}");
            let refusal = v1::Refusal::decode(status.details()).expect("a refusal");
            assert_eq!(refusal.diagnostics[0].pointer, format!("{of}/{place}"));
        }
    }
    // A document says where in it the label stands.
    for (labels, words) in [
        ("{\"\": x}".to_owned(), "a key of `labels` has 0 bytes"),
        (
            format!("{{{LONG_KEY}: x}}"),
            "the limit `label_key` is 63; the request has 64",
        ),
        (
            "{ok: x, \"a,b\": x}".to_owned(),
            "the key of a label has no `=`, no `,` and no control character, and neither begins nor ends with a \
             space; `labels` has \"a,b\"",
        ),
        ("{\"a\\tb\": x}".to_owned(), "`labels` has \"a\\tb\""),
    ] {
        let source = format!(
            "apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {{name: p, labels: {labels}}}\nspec: {ONE}\n"
        );
        let document = v1::Document {
            source: source.into_bytes().into(),
            file_name: "p.yaml".to_owned(),
        };
        let asked = v1::ApplyPipelineRequest {
            document: Some(document),
            ..v1::ApplyPipelineRequest::default()
        };
        let answer = handlers.apply_pipeline(Request::new(asked)).await;
        let status = answer.expect_err("a refusal");
        assert!(status.message().contains(words), "{status}");
        let refusal = v1::Refusal::decode(status.details()).expect("a refusal");
        let one = &refusal.diagnostics[0];
        assert!(one.pointer.starts_with("/metadata/labels"), "{one:?}");
        if one.code == "document" {
            assert_eq!((&*one.file_name, one.line), ("p.yaml", 3), "{one:?}");
        }
    }
    assert!(
        list(&handlers, v1::ListRunsRequest::default())
            .await
            .expect("none")
            .runs
            .is_empty()
    );
}

/// The names of what was made at or after one instant and before another, in pages of one.
async fn made(
    handlers: &ControlHandlers,
    kind: &str,
    from: Option<u64>,
    before: Option<u64>,
) -> Vec<String> {
    let (mut names, mut page_token) = (Vec::new(), String::new());
    loop {
        let options = Some(v1::ListOptions {
            page_size: 1,
            page_token,
            created_from_ms: from,
            created_before_ms: before,
            ..v1::ListOptions::default()
        });
        let namespace = String::new();
        let (some, next) = match kind {
            "namespaces" => {
                let request = v1::ListNamespacesRequest { options };
                let answer = handlers.list_namespaces(Request::new(request)).await;
                let answer = answer.expect("a page").into_inner();
                let some: Vec<_> = answer
                    .namespaces
                    .into_iter()
                    .map(|one| one.metadata)
                    .collect();
                (some, answer.next_page_token)
            }
            "definitions" => {
                let request = v1::ListDefinitionsRequest { namespace, options };
                let answer = handlers.list_definitions(Request::new(request)).await;
                let answer = answer.expect("a page").into_inner();
                let some = answer.definitions.into_iter().map(|one| one.metadata);
                (some.collect(), answer.next_page_token)
            }
            "resources" => {
                let request = v1::ListResourcesRequest {
                    namespace,
                    options,
                    ..v1::ListResourcesRequest::default()
                };
                let answer = handlers.list_resources(Request::new(request)).await;
                let answer = answer.expect("a page").into_inner();
                let some = answer.resources.into_iter().map(|one| one.metadata);
                (some.collect(), answer.next_page_token)
            }
            _ => {
                let request = v1::ListPipelinesRequest { namespace, options };
                let answer = handlers.list_pipelines(Request::new(request)).await;
                let answer = answer.expect("a page").into_inner();
                let some = answer.pipelines.into_iter().map(|one| one.metadata);
                (some.collect(), answer.next_page_token)
            }
        };
        names.extend(
            some.into_iter()
                .map(|metadata| metadata.expect("it has").name),
        );
        page_token = next;
        if page_token.is_empty() {
            return names;
        }
    }
}

#[tokio::test]
async fn objects_are_listed_by_when_they_were_made() {
    let clock = Arc::new(Hand(AtomicU64::new(1_000)));
    let handlers = handlers_at(Arc::clone(&clock) as _).await;
    for (at, name) in [(1_000, "a"), (2_000, "b"), (3_000, "c")] {
        clock.0.store(at, Ordering::SeqCst);
        let metadata = Some(v1::Metadata {
            name: name.to_owned(),
            ..v1::Metadata::default()
        });
        let namespace = v1::CreateNamespaceRequest {
            namespace: Some(v1::Namespace {
                metadata: metadata.clone(),
            }),
            ..v1::CreateNamespaceRequest::default()
        };
        let answer = handlers.create_namespace(Request::new(namespace)).await;
        answer.expect("a namespace");
        let definition = v1::ApplyDefinitionRequest {
            definition: Some(v1::ResourceDefinition {
                metadata: metadata.clone(),
                schema: b"{}".as_slice().into(),
                ..v1::ResourceDefinition::default()
            }),
            ..v1::ApplyDefinitionRequest::default()
        };
        let answer = handlers.apply_definition(Request::new(definition)).await;
        answer.expect("a definition");
        let resource = v1::ApplyResourceRequest {
            resource: Some(v1::Resource {
                metadata,
                definition: "a".to_owned(),
                ..v1::Resource::default()
            }),
            ..v1::ApplyResourceRequest::default()
        };
        let answer = handlers.apply_resource(Request::new(resource)).await;
        answer.expect("a resource");
        let source = format!(
            "apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {{name: {name}}}\nspec: {ONE}\n"
        );
        let pipeline = v1::ApplyPipelineRequest {
            document: Some(v1::Document {
                source: source.into_bytes().into(),
                file_name: "p.yaml".to_owned(),
            }),
            ..v1::ApplyPipelineRequest::default()
        };
        let answer = handlers.apply_pipeline(Request::new(pipeline)).await;
        answer.expect("a pipeline");
    }
    for kind in ["namespaces", "definitions", "resources", "pipelines"] {
        for (from, before, names) in [
            (Some(2_000), None, &["b", "c"][..]),
            (None, Some(2_000), &["a"]),
            (Some(1_001), Some(3_000), &["b"]),
            (Some(3_001), None, &[]),
            (Some(0), Some(3_001), &["a", "b", "c"]),
        ] {
            let listed = made(&handlers, kind, from, before).await;
            assert_eq!(listed, names, "{kind} from {from:?} before {before:?}");
        }
    }
    // What is not made at an instant is not looked for by one.
    let options = Some(v1::ListOptions {
        created_before_ms: Some(1),
        ..v1::ListOptions::default()
    });
    let request = v1::ListDriversRequest {
        options: options.clone(),
        ..v1::ListDriversRequest::default()
    };
    let answer = handlers.list_drivers(Request::new(request)).await;
    refused(
        answer,
        "drivers",
        "leave the filter `created_before_ms` out",
    );
    let request = v1::ListTokensRequest { options };
    let answer = handlers.list_tokens(Request::new(request)).await;
    refused(answer, "tokens", "leave the filter `created_before_ms` out");
}
