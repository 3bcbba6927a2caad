//! What changes of resources start.

use super::handlers;
use super::resources::{SCHEMA, apply, define, metadata, outputs, pipeline, resource, version};
use conveyor_node::objects::Changes;
use conveyor_proto::storage::v1::{StoredChange, StoredFiring};
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use tonic::{Code, Request};

pub(super) const TRIGGERED: &str = "  triggers:
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
