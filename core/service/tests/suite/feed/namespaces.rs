//! Whose events a follower is told.

use super::{ONE, after, named, namespace, rest, until_succeeded, watch, whole, words};
use crate::{handlers, request, start};
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_service::{Caller, Scope};
use conveyor_store::Bytes;
use tonic::{Code, Request};

#[tokio::test]
async fn a_bound_caller_is_told_of_its_own_namespace_alone() {
    let handlers = handlers().await;
    namespace(&handlers, "team").await;
    let by = |request: v1::WatchEventsRequest| {
        let mut request = Request::new(request);
        request.extensions_mut().insert(Caller {
            principal: "someone".into(),
            scope: Scope::Client,
            namespace: Some("team".into()),
            standing: None,
        });
        request
    };
    let live = handlers
        .watch_events(by(v1::WatchEventsRequest::default()))
        .await;
    let mut live = live.expect("it follows").into_inner();
    let mut all = watch(&handlers, v1::WatchEventsRequest::default())
        .await
        .expect("it follows");
    for namespace in ["default", "none-such"] {
        let theirs = v1::WatchEventsRequest {
            namespace: namespace.to_owned(),
            ..v1::WatchEventsRequest::default()
        };
        let refused = handlers
            .watch_events(by(theirs))
            .await
            .expect_err("not its own");
        assert_eq!(refused.code(), Code::PermissionDenied, "{namespace}");
    }
    let missing = v1::WatchEventsRequest {
        namespace: "none-such".to_owned(),
        ..v1::WatchEventsRequest::default()
    };
    let refused = watch(&handlers, missing).await.expect_err("none such");
    assert_eq!(refused.code(), Code::NotFound);
    start(&handlers, ONE).await;
    until_succeeded(&mut all).await;
    let mut own = request(ONE);
    if let Some(v1::start_run_request::Pipeline::Document(document)) = &mut own.pipeline {
        let text = String::from_utf8(document.source.to_vec()).expect("a text");
        let text = text.replace("{name: p}", "{name: ours, namespace: team}");
        document.source = text.into_bytes().into();
    }
    handlers.start_run(Request::new(own)).await.expect("a run");
    let told = until_succeeded(&mut live).await;
    assert!(told.iter().all(|one| one.namespace == "team"), "{told:?}");
    assert!(words(&until_succeeded(&mut all).await)[0].starts_with("ours "));
    let again = handlers
        .watch_events(by(whole()))
        .await
        .expect("all of its own");
    let again = rest(again.into_inner()).await;
    assert_eq!(words(&again), words(&told));
}

#[tokio::test]
async fn a_namespace_that_is_made_anew_begins_with_nothing() {
    let handlers = handlers().await;
    let of = |name: &str| {
        let metadata = named(name, &[]).map(|metadata| v1::Metadata {
            namespace: "team".to_owned(),
            ..metadata
        });
        (metadata, "app".to_owned())
    };
    let make = async |spec: &'static str| {
        namespace(&handlers, "team").await;
        let request = v1::ApplyDefinitionRequest {
            definition: Some(v1::ResourceDefinition {
                metadata: of("app").0,
                schema: Bytes::from_static(b"{}"),
                ..v1::ResourceDefinition::default()
            }),
            ..v1::ApplyDefinitionRequest::default()
        };
        let defined = handlers.apply_definition(Request::new(request)).await;
        defined.expect("defined");
        let (metadata, definition) = of("web");
        let request = v1::ApplyResourceRequest {
            resource: Some(v1::Resource {
                metadata,
                definition,
                spec: Bytes::from_static(spec.as_bytes()),
                ..v1::Resource::default()
            }),
            ..v1::ApplyResourceRequest::default()
        };
        let applied = handlers.apply_resource(Request::new(request)).await;
        applied.expect("applied");
    };
    let own = |cursor: &str| v1::WatchEventsRequest {
        namespace: "team".to_owned(),
        until_now: true,
        from_oldest: cursor.is_empty(),
        ..after(cursor)
    };
    make("{\"secret\": 1}").await;
    let first = rest(watch(&handlers, own("")).await.expect("all")).await;
    assert_eq!(
        words(&first),
        [
            "definition app 1 created by local",
            "app/web 1 created by local"
        ]
    );
    let resource = v1::DeleteResourceRequest {
        namespace: "team".to_owned(),
        definition: "app".to_owned(),
        name: "web".to_owned(),
        ..v1::DeleteResourceRequest::default()
    };
    let deleted = handlers.delete_resource(Request::new(resource)).await;
    deleted.expect("deleted");
    let definition = v1::DeleteDefinitionRequest {
        namespace: "team".to_owned(),
        name: "app".to_owned(),
        ..v1::DeleteDefinitionRequest::default()
    };
    let deleted = handlers.delete_definition(Request::new(definition)).await;
    deleted.expect("deleted");
    let request = v1::DeleteNamespaceRequest {
        name: "team".to_owned(),
        ..v1::DeleteNamespaceRequest::default()
    };
    let deleted = handlers.delete_namespace(Request::new(request)).await;
    deleted.expect("deleted");
    let gone = watch(&handlers, own("")).await.expect_err("it is gone");
    assert_eq!(gone.code(), Code::NotFound);
    make("{\"secret\": 2}").await;
    // From the oldest on, and also after a place of the earlier one; versions are numbered anew.
    for cursor in ["", first[0].cursor.as_str()] {
        let told = rest(watch(&handlers, own(cursor)).await.expect("all")).await;
        assert_eq!(words(&told), words(&first), "after {cursor:?}");
        assert!(
            told.iter()
                .all(|told| first.iter().all(|old| old.cursor != told.cursor))
        );
    }
    // Whoever follows all is told what happened to the earlier one, too.
    let all = rest(watch(&handlers, whole()).await.expect("all")).await;
    assert_eq!(all.len(), 6, "{:?}", words(&all));
}
