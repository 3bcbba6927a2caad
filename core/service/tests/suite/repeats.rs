//! Requests with an idempotency key.

use super::handlers;
use super::resources::{SCHEMA, apply, define, metadata, resource, version};
use super::support::Hand;
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tonic::{Code, Request};

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
async fn a_key_holds_for_a_day() {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    let clock = Arc::new(Hand(AtomicU64::new(1_700_000_000_000)));
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
