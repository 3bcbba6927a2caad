//! Definitions, resources, what their changes start, and requests with an idempotency key.

use super::handlers;
use conveyor_engine::time::Time;
use conveyor_node::Clock;
use conveyor_node::objects::Changes;
use conveyor_proto::storage::v1::{StoredChange, StoredFiring};
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_service::ControlHandlers;
use prost::Message as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tonic::{Code, Request, Status};

const SCHEMA: &str =
    r#"{"type": "object", "required": ["image"], "properties": {"image": {"type": "string"}}}"#;

fn metadata(name: &str) -> Option<v1::Metadata> {
    Some(v1::Metadata {
        name: name.to_owned(),
        ..v1::Metadata::default()
    })
}

async fn define(
    handlers: &ControlHandlers,
    schema: &str,
) -> Result<v1::ApplyDefinitionResponse, Status> {
    let definition = v1::ResourceDefinition {
        metadata: metadata("application"),
        schema: schema.as_bytes().to_vec().into(),
        ..v1::ResourceDefinition::default()
    };
    let request = v1::ApplyDefinitionRequest {
        definition: Some(definition),
        ..v1::ApplyDefinitionRequest::default()
    };
    let answer = handlers.apply_definition(Request::new(request)).await?;
    Ok(answer.into_inner())
}

fn resource(spec: &str) -> v1::ApplyResourceRequest {
    let resource = v1::Resource {
        metadata: metadata("web"),
        definition: "application".to_owned(),
        spec: spec.as_bytes().to_vec().into(),
        ..v1::Resource::default()
    };
    v1::ApplyResourceRequest {
        resource: Some(resource),
        ..v1::ApplyResourceRequest::default()
    }
}

async fn apply(
    handlers: &ControlHandlers,
    request: v1::ApplyResourceRequest,
) -> Result<v1::ApplyResourceResponse, Status> {
    let answer = handlers.apply_resource(Request::new(request)).await?;
    Ok(answer.into_inner())
}

fn version(answer: &v1::ApplyResourceResponse) -> u64 {
    answer
        .resource
        .as_ref()
        .map_or(0, |resource| resource.version)
}

async fn pipeline(handlers: &ControlHandlers, name: &str, spec: &str) -> v1::ApplyPipelineResponse {
    let text = format!(
        "apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {{name: {name}}}\nspec:\n{spec}\n"
    );
    let request = v1::ApplyPipelineRequest {
        document: Some(v1::Document {
            source: text.into_bytes().into(),
            file_name: "p.yaml".to_owned(),
        }),
        ..v1::ApplyPipelineRequest::default()
    };
    let answer = handlers.apply_pipeline(Request::new(request)).await;
    answer.expect("it is stored").into_inner()
}

/// Pointers of all that a refusal tells.
fn pointers(status: &Status) -> Vec<String> {
    let refusal = v1::Refusal::decode(status.details()).expect("a refusal");
    refusal
        .diagnostics
        .into_iter()
        .map(|one| one.pointer)
        .collect()
}

/// What a run gave, once it has ended.
async fn outputs(handlers: &ControlHandlers, run: &str) -> serde_json::Value {
    let id = conveyor_node::RunId::parse(run).expect("an id");
    let mut follower = handlers.reader().follow(id);
    let ended = async || {
        let row = handlers.reader().summary(id).await.expect("a row");
        row.state().is_terminal()
    };
    while !ended().await {
        follower.changed().await;
    }
    let request = v1::GetRunRequest {
        run: run.to_owned(),
        ..v1::GetRunRequest::default()
    };
    let answer = super::get(handlers, request)
        .await
        .expect("there is the run");
    let run = answer.run.expect("told");
    assert_eq!(run.state(), v1::RunState::Succeeded, "{run:?}");
    assert_eq!(
        run.resource.map(|resource| resource.name).as_deref(),
        Some("web")
    );
    serde_json::from_slice(&run.outputs).expect("JSON")
}

#[tokio::test]
async fn versions_of_a_definition_are_made_by_changes_alone() {
    let handlers = handlers().await;
    let first = define(&handlers, SCHEMA).await.expect("a definition");
    assert!(first.changed);
    let again = define(&handlers, SCHEMA).await.expect("the same");
    assert!(!again.changed);
    assert_eq!(again.definition, first.definition);
    let second = define(&handlers, r#"{"type": "object"}"#)
        .await
        .expect("another");
    assert_eq!(second.definition.map(|it| it.version), Some(2));
    let request = v1::GetDefinitionRequest {
        name: "application".to_owned(),
        version: Some(1),
        ..v1::GetDefinitionRequest::default()
    };
    let there = handlers
        .get_definition(Request::new(request))
        .await
        .expect("version 1");
    let there = there.into_inner().definition.expect("told");
    let schema: serde_json::Value = serde_json::from_slice(&there.schema).expect("JSON");
    assert_eq!(schema["required"][0], "image");
}

#[tokio::test]
async fn a_schema_is_refused_with_the_place_of_what_is_wrong() {
    let handlers = handlers().await;
    let wrong = define(&handlers, r#"{"properties": {"a": {"type": "nothing"}}}"#).await;
    let wrong = wrong.expect_err("no such type");
    assert_eq!(pointers(&wrong), ["/schema/properties/a/type"]);
    let remote = define(
        &handlers,
        r#"{"properties": {"a": {"$ref": "https://example.org/s"}}}"#,
    )
    .await;
    let remote = remote.expect_err("remote");
    assert!(
        remote.message().contains("a remote `$ref` is not followed"),
        "{remote}"
    );
    let long = format!(r#"{{"description": "{}"}}"#, "x".repeat(300 << 10));
    let long = define(&handlers, &long).await.expect_err("too long");
    assert!(
        long.message().contains("`schema_bytes` is 262144"),
        "{long}"
    );
    // Only draft 4 knows `exclusiveMinimum: true`.
    let draft_4 = r#"{"$schema": "http://json-schema.org/draft-04/schema#", "properties":
        {"n": {"type": "integer", "minimum": 1, "exclusiveMinimum": true}}}"#;
    define(&handlers, draft_4).await.expect("draft 4");
    assert!(apply(&handlers, resource(r#"{"n": 2}"#)).await.is_ok());
    let low = apply(&handlers, resource(r#"{"n": 1}"#))
        .await
        .expect_err("too low");
    assert_eq!(pointers(&low), ["/spec/n"]);
}

#[tokio::test]
async fn every_change_of_a_resource_is_a_version_and_a_wrong_one_changes_nothing() {
    let handlers = handlers().await;
    let early = apply(&handlers, resource("{}"))
        .await
        .expect_err("no definition");
    assert_eq!(early.code(), Code::NotFound);
    define(&handlers, SCHEMA).await.expect("a definition");
    let first = apply(&handlers, resource(r#"{"image": "a"}"#))
        .await
        .expect("a resource");
    let again = apply(&handlers, resource(r#"{ "image" : "a" }"#))
        .await
        .expect("the same");
    assert_eq!((version(&again), again.changed), (1, false));
    let wrong = apply(&handlers, resource(r#"{"image": 7}"#))
        .await
        .expect_err("no text");
    assert_eq!(pointers(&wrong), ["/spec/image"]);
    let mut stale = resource(r#"{"image": "b"}"#);
    let etag = first
        .resource
        .and_then(|it| it.metadata)
        .expect("told")
        .etag;
    let second = apply(&handlers, resource(r#"{"image": "b"}"#))
        .await
        .expect("a change");
    assert_eq!(version(&second), 2);
    if let Some(metadata) = stale.resource.as_mut().and_then(|it| it.metadata.as_mut()) {
        metadata.etag = etag;
    }
    let stale = apply(&handlers, stale).await.expect_err("it was changed");
    assert_eq!(stale.code(), Code::Aborted);
    let mut tried = resource(r#"{"image": "c"}"#);
    tried.validate_only = true;
    assert_eq!(version(&apply(&handlers, tried).await.expect("checked")), 3);
    let get = |version| v1::GetResourceRequest {
        definition: "application".to_owned(),
        name: "web".to_owned(),
        version,
        ..v1::GetResourceRequest::default()
    };
    for (asked, image) in [(Some(1), "a"), (Some(2), "b"), (None, "b")] {
        let answer = handlers.get_resource(Request::new(get(asked))).await;
        let there = answer.expect("there").into_inner().resource.expect("told");
        let spec: serde_json::Value = serde_json::from_slice(&there.spec).expect("JSON");
        assert_eq!(spec["image"], image);
    }
    let third = handlers.get_resource(Request::new(get(Some(3)))).await;
    assert_eq!(third.expect_err("only checked").code(), Code::NotFound);
}

#[tokio::test]
async fn a_definition_goes_after_its_resources_and_a_resource_comes_back_under_a_new_version() {
    let handlers = handlers().await;
    define(&handlers, SCHEMA).await.expect("a definition");
    apply(&handlers, resource(r#"{"image": "a"}"#))
        .await
        .expect("a resource");
    let delete = || {
        Request::new(v1::DeleteDefinitionRequest {
            name: "application".to_owned(),
            ..v1::DeleteDefinitionRequest::default()
        })
    };
    let used = handlers
        .delete_definition(delete())
        .await
        .expect_err("in use");
    assert_eq!(used.code(), Code::FailedPrecondition);
    let gone = || {
        Request::new(v1::DeleteResourceRequest {
            definition: "application".to_owned(),
            name: "web".to_owned(),
            ..v1::DeleteResourceRequest::default()
        })
    };
    handlers.delete_resource(gone()).await.expect("deleted");
    let back = apply(&handlers, resource(r#"{"image": "a"}"#))
        .await
        .expect("made anew");
    assert_eq!((version(&back), back.changed), (2, true));
    handlers.delete_resource(gone()).await.expect("deleted");
    handlers
        .delete_definition(delete())
        .await
        .expect("not in use");
}

const TRIGGERED: &str = "  triggers:
    - id: changed
      resource:
        definition: application
        events: [created, updated]
        when: \"old == null || new.spec.image != old.spec.image\"
        inputs: {image: \"${{ new.spec.image }}\"}
  inputs: {type: object, properties: {image: {type: string, maxLength: 5}}}
  steps:
    - {id: see, transform: {all: \"${{ inputs.image }} ${{ resource.spec.image }} ${{ event.type }} ${{ resource.version }}\"}}
  outputs: {all: \"${{ steps.see.outputs.all }}\"}";

#[tokio::test]
async fn a_change_starts_the_pipelines_whose_triggers_want_it() {
    let handlers = handlers().await;
    define(&handlers, SCHEMA).await.expect("a definition");
    pipeline(&handlers, "deploy", TRIGGERED).await;
    let removal = TRIGGERED.replace("created, updated", "deleted");
    pipeline(&handlers, "other", &removal).await;
    let first = apply(&handlers, resource(r#"{"image": "a"}"#))
        .await
        .expect("a resource");
    let [run] = &first.runs[..] else {
        panic!("one run: {first:?}");
    };
    assert_eq!(outputs(&handlers, run).await["all"], "a a created 1");
    let same = apply(&handlers, resource(r#"{"image": "a", "n": 1}"#))
        .await
        .expect("a change");
    assert_eq!(
        (version(&same), same.runs.len()),
        (2, 0),
        "its `when` says no"
    );
    let third = apply(&handlers, resource(r#"{"image": "b"}"#))
        .await
        .expect("a change");
    assert_eq!(
        outputs(&handlers, &third.runs[0]).await["all"],
        "b b updated 3"
    );
    // A pipeline that refuses does not undo the change, and says so.
    let long = apply(&handlers, resource(r#"{"image": "too long"}"#))
        .await
        .expect("a change");
    assert_eq!((version(&long), long.runs.len()), (4, 0));
    assert!(long.diagnostics[0].message.contains("`deploy`"), "{long:?}");
    assert!(long.diagnostics[0].message.contains("/image"), "{long:?}");
}

#[tokio::test]
async fn the_resources_own_pipeline_and_the_seed_form_start_one_run_for_a_change() {
    let handlers = handlers().await;
    define(&handlers, SCHEMA).await.expect("a definition");
    let mut request = resource(r#"{"image": "a"}"#);
    if let Some(resource) = &mut request.resource {
        resource.pipeline = "own".to_owned();
    }
    let missing = apply(&handlers, request.clone())
        .await
        .expect("it is stored");
    assert!(missing.runs.is_empty());
    assert!(
        missing.diagnostics[0].message.contains("no such pipeline"),
        "{missing:?}"
    );
    pipeline(&handlers, "own", "  steps: [{id: a, transform: {x: 1}}]").await;
    let mut change = |image: &str| {
        if let Some(resource) = &mut request.resource {
            resource.spec = format!(r#"{{"image": "{image}"}}"#).into_bytes().into();
        }
        request.clone()
    };
    let own = apply(&handlers, change("b")).await.expect("a change");
    assert_eq!(own.runs.len(), 1);
    pipeline(
        &handlers,
        "own",
        "  resource: application\n  triggers: [{id: resource, resource: {}}]\n  steps: [{id: a, transform: \
         {x: 1}}]",
    )
    .await;
    let both = apply(&handlers, change("c")).await.expect("a change");
    assert_eq!(both.runs.len(), 1, "one run, not one for each reason");
}

#[tokio::test]
async fn a_key_makes_repeats_one_and_is_refused_for_another_request() {
    let handlers = handlers().await;
    define(&handlers, SCHEMA).await.expect("a definition");
    let mut request = resource(r#"{"image": "a"}"#);
    request.idempotency_key = "k".to_owned();
    let first = apply(&handlers, request.clone()).await.expect("a resource");
    let changed = apply(&handlers, resource(r#"{"image": "b"}"#))
        .await
        .expect("a change");
    assert_eq!(version(&changed), 2);
    // The repeat does not undo what came since.
    let repeat = apply(&handlers, request.clone()).await.expect("a repeat");
    assert_eq!(repeat, first);
    let again = apply(&handlers, resource(r#"{"image": "b"}"#))
        .await
        .expect("the same");
    assert_eq!((version(&again), again.changed), (2, false));
    if let Some(resource) = &mut request.resource {
        resource.spec = br#"{"image": "c"}"#.to_vec().into();
    }
    let other = apply(&handlers, request)
        .await
        .expect_err("another request");
    assert_eq!(other.code(), Code::AlreadyExists);
    let namespace = |name: &str| {
        Request::new(v1::CreateNamespaceRequest {
            namespace: Some(v1::Namespace {
                metadata: metadata(name),
            }),
            idempotency_key: "k".to_owned(),
        })
    };
    handlers
        .create_namespace(namespace("one"))
        .await
        .expect("made");
    handlers
        .create_namespace(namespace("one"))
        .await
        .expect("a repeat");
    let two = handlers.create_namespace(namespace("two")).await;
    assert_eq!(two.expect_err("another").code(), Code::AlreadyExists);
}

#[tokio::test]
async fn a_change_that_an_earlier_process_left_starts_its_run_once() {
    let handlers = handlers().await;
    define(&handlers, SCHEMA).await.expect("a definition");
    apply(&handlers, resource(r#"{"image": "a"}"#))
        .await
        .expect("a resource");
    let stored = pipeline(&handlers, "deploy", TRIGGERED).await;
    let digest = stored.pipeline.expect("told").digest;
    let byte = |at| u8::from_str_radix(&digest[at..at + 2], 16).expect("a digit");
    let run = conveyor_node::RunId::fresh().to_string();
    let firing = |trigger: &str, run: &str| StoredFiring {
        run: run.to_owned(),
        digest: (0..64).step_by(2).map(byte).collect::<Vec<_>>().into(),
        trigger: trigger.to_owned(),
    };
    // What was durable when the process ended: the change, and which run it starts.
    let left = StoredChange {
        namespace: "default".to_owned(),
        definition: "application".to_owned(),
        name: "web".to_owned(),
        version: 1,
        event: "created".to_owned(),
        time_ms: 1_700_000_000_000,
        firings: vec![firing("changed", &run)],
    };
    for _ in 0..2 {
        let mut changes = Changes::new();
        changes.put("", "left", &left, None);
        handlers.node().change(changes).await.expect("it is kept");
        handlers
            .start_left_changes()
            .await
            .expect("they are started");
        assert_eq!(outputs(&handlers, &run).await["all"], "a a created 1");
        let row = handlers.reader().object::<StoredChange>("", "left").await;
        assert_eq!(row.expect("it is read"), None);
    }
    let request = v1::ListRunsRequest::default();
    let runs = handlers
        .list_runs(Request::new(request))
        .await
        .expect("runs");
    assert_eq!(runs.into_inner().runs.len(), 1);
}

#[tokio::test]
async fn changes_at_once_wait_for_each_other_and_none_is_lost() {
    let handlers = handlers().await;
    define(&handlers, SCHEMA).await.expect("a definition");
    let mut tasks = Vec::new();
    for number in 0..20 {
        let handlers = handlers.clone();
        tasks.push(tokio::spawn(async move {
            let mut request = resource(r#"{"image": "a"}"#);
            if let Some(resource) = &mut request.resource {
                resource.metadata = metadata(&format!("web-{number:02}"));
            }
            apply(&handlers, request).await.expect("a resource")
        }));
    }
    for task in tasks {
        assert!(task.await.expect("no panic").changed);
    }
    let list = |page_size, page_token| {
        Request::new(v1::ListResourcesRequest {
            definition: "application".to_owned(),
            options: Some(v1::ListOptions {
                page_size,
                page_token,
                ..v1::ListOptions::default()
            }),
            ..v1::ListResourcesRequest::default()
        })
    };
    let first = handlers
        .list_resources(list(15, String::new()))
        .await
        .expect("a page");
    let first = first.into_inner();
    let rest = handlers
        .list_resources(list(15, first.next_page_token))
        .await;
    let rest = rest.expect("a page").into_inner();
    assert_eq!((first.resources.len(), rest.resources.len()), (15, 5));
    assert!(rest.next_page_token.is_empty());
}

#[tokio::test]
async fn a_run_may_be_started_for_any_version_of_a_resource() {
    let handlers = handlers().await;
    define(&handlers, SCHEMA).await.expect("a definition");
    for image in ["a", "b"] {
        let spec = format!(r#"{{"image": "{image}"}}"#);
        apply(&handlers, resource(&spec)).await.expect("a resource");
    }
    let spec = "{resource: application, steps: [{id: a, transform: {x: \"${{ resource.spec.image }}\"}}], \
                outputs: {x: \"${{ steps.a.outputs.x }}\"}}";
    for (version, image) in [(0, "b"), (1, "a")] {
        let mut request = super::request(spec);
        request.resource = Some(v1::ResourceVersion {
            definition: "application".to_owned(),
            name: "web".to_owned(),
            version,
            ..v1::ResourceVersion::default()
        });
        let run = handlers
            .start_run(Request::new(request))
            .await
            .expect("a run");
        let run = run.into_inner().run.expect("told").id;
        assert_eq!(outputs(&handlers, &run).await["x"], image);
    }
    let mut other = super::request(spec);
    other.resource = Some(v1::ResourceVersion {
        definition: "machine".to_owned(),
        name: "web".to_owned(),
        ..v1::ResourceVersion::default()
    });
    let other = handlers
        .start_run(Request::new(other))
        .await
        .expect_err("another definition");
    assert_eq!(other.code(), Code::InvalidArgument);
}

/// A clock that a test moves: milliseconds.
struct Moved(AtomicU64);

impl Clock for Moved {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test]
async fn a_key_holds_for_a_day() {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    let clock = Arc::new(Moved(AtomicU64::new(1_700_000_000_000)));
    let handlers = super::handlers_at(Arc::clone(&clock) as _).await;
    define(&handlers, SCHEMA).await.expect("a definition");
    let with_key = |image: &str| {
        let mut request = resource(&format!(r#"{{"image": "{image}"}}"#));
        request.idempotency_key = "k".to_owned();
        request
    };
    apply(&handlers, with_key("a")).await.expect("a resource");
    clock.0.fetch_add(DAY - 1, Ordering::SeqCst);
    let early = apply(&handlers, with_key("b")).await.expect_err("it holds");
    assert_eq!(early.code(), Code::AlreadyExists);
    clock.0.fetch_add(1, Ordering::SeqCst);
    let later = apply(&handlers, with_key("b")).await.expect("it is over");
    assert_eq!(version(&later), 2);
}
