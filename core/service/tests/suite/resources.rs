//! Definitions and resources, and their versions.

use super::handlers;
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_service::ControlHandlers;
use prost::Message as _;
use tonic::{Code, Request, Status};

pub(super) const SCHEMA: &str =
    r#"{"type": "object", "required": ["image"], "properties": {"image": {"type": "string"}}}"#;

pub(super) fn metadata(name: &str) -> Option<v1::Metadata> {
    Some(v1::Metadata {
        name: name.to_owned(),
        ..v1::Metadata::default()
    })
}

pub(super) async fn define(
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

pub(super) fn resource(spec: &str) -> v1::ApplyResourceRequest {
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

pub(super) async fn apply(
    handlers: &ControlHandlers,
    request: v1::ApplyResourceRequest,
) -> Result<v1::ApplyResourceResponse, Status> {
    let answer = handlers.apply_resource(Request::new(request)).await?;
    Ok(answer.into_inner())
}

pub(super) fn version(answer: &v1::ApplyResourceResponse) -> u64 {
    answer
        .resource
        .as_ref()
        .map_or(0, |resource| resource.version)
}

pub(super) async fn pipeline(
    handlers: &ControlHandlers,
    name: &str,
    spec: &str,
) -> v1::ApplyPipelineResponse {
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
pub(super) fn pointers(status: &Status) -> Vec<String> {
    let refusal = v1::Refusal::decode(status.details()).expect("a refusal");
    refusal
        .diagnostics
        .into_iter()
        .map(|one| one.pointer)
        .collect()
}

/// What a run gave, once it has ended.
pub(super) async fn outputs(handlers: &ControlHandlers, run: &str) -> serde_json::Value {
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

#[tokio::test]
async fn versions_of_a_resource_that_was_deleted_are_read_by_their_numbers() {
    let handlers = handlers().await;
    define(&handlers, SCHEMA).await.expect("defined");
    for image in ["a", "b"] {
        let spec = format!("{{\"image\": \"{image}\"}}");
        apply(&handlers, resource(&spec)).await.expect("applied");
    }
    let get = async |version: Option<u64>| {
        let request = v1::GetResourceRequest {
            definition: "application".to_owned(),
            name: "web".to_owned(),
            version,
            ..v1::GetResourceRequest::default()
        };
        let answer = handlers.get_resource(Request::new(request)).await?;
        Ok::<_, Status>(answer.into_inner().resource.expect("told"))
    };
    let before = get(Some(1)).await.expect("an old version");
    let request = v1::DeleteResourceRequest {
        definition: "application".to_owned(),
        name: "web".to_owned(),
        ..v1::DeleteResourceRequest::default()
    };
    let deleted = handlers.delete_resource(Request::new(request)).await;
    deleted.expect("it is deleted");
    for version in [1, 2] {
        let told = get(Some(version)).await.expect("it stays");
        assert_eq!(told.version, version);
        assert!(!told.spec.is_empty());
        let metadata = told.metadata.expect("a name");
        assert_eq!((&*metadata.name, &*metadata.etag), ("web", ""));
    }
    let after = get(Some(1)).await.expect("it stays");
    assert_eq!(
        (after.spec, after.definition),
        (before.spec, before.definition)
    );
    for version in [None, Some(3)] {
        let refused = get(version).await.expect_err("there is none");
        assert_eq!(refused.code(), Code::NotFound, "{version:?}");
    }
    // No new run is for what is gone.
    let mut run = crate::request("{steps: [{id: a, transform: {x: 1}}]}");
    run.resource = Some(v1::ResourceVersion {
        definition: "application".to_owned(),
        name: "web".to_owned(),
        version: 1,
        ..v1::ResourceVersion::default()
    });
    let refused = handlers.start_run(Request::new(run)).await;
    assert_eq!(refused.expect_err("it is gone").code(), Code::NotFound);
}

#[tokio::test]
async fn a_trigger_on_a_definition_that_nobody_made_is_warned_of_with_its_place() {
    let handlers = handlers().await;
    let spec = "  triggers: [{id: a, resource: {definition: application}}, {id: b, resource: {definition: \
                application, events: [deleted]}}]\n  steps: [{id: s, transform: {x: 1}}]";
    let told = pipeline(&handlers, "early", spec).await;
    let [one] = <[_; 1]>::try_from(told.diagnostics).expect("one warning");
    assert_eq!(one.severity(), v1::Severity::Warning);
    assert_eq!(one.code, "unknown_definition");
    assert_eq!(one.pointer, "/spec/triggers/0/resource/definition");
    assert_eq!((&*one.file_name, one.line), ("p.yaml", 5));
    for words in ["`a`", "`application`", "`default`"] {
        assert!(one.message.contains(words), "{}", one.message);
    }
    // It stands all the same, and is nothing to warn of once the definition is there.
    define(&handlers, SCHEMA).await.expect("it is made");
    let told = pipeline(&handlers, "early", spec).await;
    assert!(!told.changed && told.diagnostics.is_empty(), "{told:?}");
}
