//! The end of a namespace.

use crate::resources::{SCHEMA, metadata};
use crate::support::Hand;
use crate::wire::within;
use crate::{handlers, handlers_at};
use conveyor_node::retention::{EXPIRED_TOKENS, Retention};
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_service::ControlHandlers;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tonic::{Code, Request, Status};

const TEAM: &str = "team-a";

async fn make(handlers: &ControlHandlers) {
    let request = v1::CreateNamespaceRequest {
        namespace: Some(v1::Namespace {
            metadata: metadata(TEAM),
        }),
        ..v1::CreateNamespaceRequest::default()
    };
    let made = handlers.create_namespace(Request::new(request)).await;
    made.expect("a namespace");
}

async fn delete(handlers: &ControlHandlers) -> Result<(), Status> {
    let request = v1::DeleteNamespaceRequest {
        name: TEAM.to_owned(),
        ..v1::DeleteNamespaceRequest::default()
    };
    let deleted = handlers.delete_namespace(Request::new(request)).await;
    deleted.map(|_| ())
}

async fn is_there(handlers: &ControlHandlers) -> bool {
    let request = v1::GetNamespaceRequest {
        name: TEAM.to_owned(),
    };
    match handlers.get_namespace(Request::new(request)).await {
        Ok(_) => true,
        Err(status) => {
            assert_eq!(status.code(), Code::NotFound);
            false
        }
    }
}

/// It is not deleted while this is in it.
async fn holds(handlers: &ControlHandlers, what: &str) {
    let refused = delete(handlers).await.expect_err("it is not empty");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains(what), "{}", refused.message());
    assert!(is_there(handlers).await);
}

fn inside(name: &str) -> Option<v1::Metadata> {
    Some(v1::Metadata {
        namespace: TEAM.to_owned(),
        ..metadata(name).expect("some")
    })
}

/// A run in it, to its end: its id.
async fn run(handlers: &ControlHandlers) -> Result<String, Status> {
    let mut start = within(TEAM, "{steps: [{id: a, transform: {x: 1}}]}");
    start.wait_ms = 30_000;
    let started = handlers.start_run(Request::new(start)).await?;
    let run = started.into_inner().run.expect("told");
    assert_eq!(run.state(), v1::RunState::Succeeded);
    Ok(run.id)
}

async fn delete_run(handlers: &ControlHandlers, run: String) {
    let request = v1::DeleteRunRequest { run };
    let deleted = handlers.delete_run(Request::new(request)).await;
    deleted.expect("it has ended");
}

async fn apply_pipeline(handlers: &ControlHandlers) -> Result<(), Status> {
    let document = "apiVersion: conveyor/v1\nkind: Pipeline\n\
         metadata: {name: p, namespace: team-a}\nspec: {steps: [{id: a, transform: {x: 1}}]}\n";
    let request = v1::ApplyPipelineRequest {
        document: Some(v1::Document {
            source: document.into(),
            file_name: "p.yaml".to_owned(),
        }),
        ..v1::ApplyPipelineRequest::default()
    };
    let applied = handlers.apply_pipeline(Request::new(request)).await;
    applied.map(|_| ())
}

async fn delete_pipeline(handlers: &ControlHandlers) {
    let request = v1::DeletePipelineRequest {
        name: "p".to_owned(),
        namespace: TEAM.to_owned(),
        ..v1::DeletePipelineRequest::default()
    };
    let deleted = handlers.delete_pipeline(Request::new(request)).await;
    deleted.expect("nobody needs it");
}

/// A definition in it; whether that changed anything.
async fn apply_definition(handlers: &ControlHandlers, key: &str) -> bool {
    let definition = v1::ResourceDefinition {
        metadata: inside("application"),
        schema: SCHEMA.into(),
        ..v1::ResourceDefinition::default()
    };
    let request = v1::ApplyDefinitionRequest {
        definition: Some(definition),
        idempotency_key: key.to_owned(),
        ..v1::ApplyDefinitionRequest::default()
    };
    let applied = handlers.apply_definition(Request::new(request)).await;
    applied.expect("it is stored").into_inner().changed
}

async fn delete_definition(handlers: &ControlHandlers) {
    let request = v1::DeleteDefinitionRequest {
        name: "application".to_owned(),
        namespace: TEAM.to_owned(),
        ..v1::DeleteDefinitionRequest::default()
    };
    let deleted = handlers.delete_definition(Request::new(request)).await;
    deleted.expect("it is there, and has no resources");
}

#[tokio::test]
async fn a_namespace_is_deleted_once_nothing_is_in_it() {
    let handlers = handlers().await;
    make(&handlers).await;

    let run = run(&handlers).await.expect("a run");
    holds(&handlers, "runs").await;
    delete_run(&handlers, run).await;

    apply_pipeline(&handlers).await.expect("it is stored");
    holds(&handlers, "pipelines").await;
    delete_pipeline(&handlers).await;

    assert!(apply_definition(&handlers, "").await);
    holds(&handlers, "definitions").await;
    delete_definition(&handlers).await;

    // It would be good for whatever is made under the name.
    let request = v1::CreateTokenRequest {
        scope: v1::TokenScope::Driver.into(),
        namespace: TEAM.to_owned(),
        ..v1::CreateTokenRequest::default()
    };
    let token = handlers.create_token(Request::new(request)).await;
    let token = token.expect("a token").into_inner().token.expect("told");
    holds(&handlers, "access tokens").await;
    let request = v1::RevokeTokenRequest { id: token.id };
    let revoked = handlers.revoke_token(Request::new(request)).await;
    revoked.expect("it is there");

    delete(&handlers).await.expect("it is empty");
    assert!(!is_there(&handlers).await);
    let again = delete(&handlers).await.expect_err("it is gone");
    assert_eq!(again.code(), Code::NotFound);
    // Its name is free.
    make(&handlers).await;
    assert!(is_there(&handlers).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_and_a_pipeline_that_come_as_their_namespace_goes_are_in_one_or_refused() {
    const ROUNDS: usize = 100;
    let handlers = handlers().await;
    let (mut kept, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        make(&handlers).await;
        let own = handlers.clone();
        let comes = async move {
            match round % 2 {
                0 => run(&own).await.map(Some),
                _ => apply_pipeline(&own).await.map(|()| None),
            }
        };
        // The first and the last one after the other, and all between them at once, at different moments.
        let (deleted, came) = match round {
            0 => (delete(&handlers).await, comes.await),
            _ if round + 1 == ROUNDS => {
                let came = comes.await;
                (delete(&handlers).await, came)
            }
            _ => {
                let comes = tokio::spawn(comes);
                for _ in 0..round % 20 {
                    tokio::task::yield_now().await;
                }
                (delete(&handlers).await, comes.await.expect("no panic"))
            }
        };
        assert_eq!(
            deleted.is_ok(),
            came.is_err(),
            "{round}: {deleted:?}, {came:?}"
        );
        match came {
            Err(status) => {
                assert_eq!(status.code(), Code::NotFound, "{status:?}");
                refused += 1;
                continue;
            }
            Ok(Some(run)) => delete_run(&handlers, run).await,
            Ok(None) => delete_pipeline(&handlers).await,
        }
        delete(&handlers).await.expect("it is empty");
        kept += 1;
    }
    assert!(kept > 0 && refused > 0, "{kept} and {refused}");
}

#[tokio::test]
async fn a_key_of_an_earlier_namespace_is_none_of_a_later_one() {
    let handlers = handlers().await;
    for _ in 0..2 {
        make(&handlers).await;
        assert!(apply_definition(&handlers, "k").await);
        // It is there, and is no answer that was kept.
        delete_definition(&handlers).await;
        delete(&handlers).await.expect("it is empty");
    }
}

/// A token that is bound to it, for so many milliseconds.
async fn token(handlers: &ControlHandlers, ttl_ms: u64) -> String {
    let request = v1::CreateTokenRequest {
        scope: v1::TokenScope::Client.into(),
        namespace: TEAM.to_owned(),
        ttl_ms: Some(ttl_ms),
        ..v1::CreateTokenRequest::default()
    };
    let token = handlers.create_token(Request::new(request)).await;
    token.expect("a token").into_inner().token.expect("told").id
}

async fn tokens(handlers: &ControlHandlers) -> Vec<String> {
    let request = Request::new(v1::ListTokensRequest::default());
    let answer = handlers.list_tokens(request).await.expect("a page");
    let tokens = answer.into_inner().tokens;
    tokens.into_iter().map(|token| token.id).collect()
}

#[tokio::test]
async fn a_token_whose_time_is_over_holds_no_namespace_and_is_forgotten() {
    let clock = Arc::new(Hand(AtomicU64::new(1_000_000)));
    let handlers = handlers_at(Arc::clone(&clock) as _).await;
    let after = |millis: u64| clock.0.fetch_add(millis, Ordering::SeqCst);
    make(&handlers).await;
    token(&handlers, 1_000).await;
    holds(&handlers, "access tokens").await;
    after(1_000);
    assert_eq!(tokens(&handlers).await.len(), 1);
    delete(&handlers).await.expect("nothing holds it");
    assert_eq!(tokens(&handlers).await, Vec::<String>::new());

    // What is not taken along is listed for a while.
    make(&handlers).await;
    let (short, long) = (
        token(&handlers, 1_000).await,
        token(&handlers, 2_000 + EXPIRED_TOKENS.0).await,
    );
    let kept = Retention::default();
    let sweep = async || handlers.node().retain(&kept).await.expect("a pass").tokens;
    after(1_000 + EXPIRED_TOKENS.0 - 1);
    assert_eq!(sweep().await, 0);
    assert!(tokens(&handlers).await.contains(&short));
    after(1);
    assert_eq!(sweep().await, 1);
    assert_eq!(tokens(&handlers).await, [long]);
    holds(&handlers, "access tokens").await;
}

async fn update(
    handlers: &ControlHandlers,
    name: &str,
    labels: &[(&str, &str)],
    etag: &str,
) -> Result<v1::UpdateNamespaceResponse, Status> {
    let pairs = labels.iter();
    let request = v1::UpdateNamespaceRequest {
        name: name.to_owned(),
        labels: pairs
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        annotations: [("contact".to_owned(), "ann".to_owned())].into(),
        etag: etag.to_owned(),
    };
    let answer = handlers.update_namespace(Request::new(request)).await?;
    Ok(answer.into_inner())
}

#[tokio::test]
async fn a_namespace_gets_other_labels_and_annotations_as_it_was_read() {
    let clock = Arc::new(Hand(AtomicU64::new(1_000_000)));
    let handlers = handlers_at(Arc::clone(&clock) as _).await;
    let code = |answer: Result<_, Status>| answer.map(|_| ()).expect_err("refused").code();
    assert_eq!(code(update(&handlers, TEAM, &[], "").await), Code::NotFound);
    let always = update(&handlers, "default", &[], "").await;
    assert_eq!(code(always), Code::FailedPrecondition);
    make(&handlers).await;
    clock.0.fetch_add(5, Ordering::SeqCst);
    let meta = |answer: v1::UpdateNamespaceResponse| {
        let namespace = answer.namespace.expect("told");
        (namespace.metadata.expect("it has"), answer.changed)
    };
    let told = update(&handlers, TEAM, &[("of", "shop")], "").await;
    let (first, changed) = meta(told.expect("changed"));
    assert!(changed);
    assert_eq!((first.created_ms, first.updated_ms), (1_000_000, 1_000_005));
    assert_eq!(
        (
            first.labels["of"].as_str(),
            first.annotations["contact"].as_str()
        ),
        ("shop", "ann")
    );
    // A repeat changes nothing.
    let (again, changed) = meta(
        update(&handlers, TEAM, &[("of", "shop")], "")
            .await
            .expect("told"),
    );
    assert_eq!((&again, changed), (&first, false));
    // What is not given goes; who has not seen that changes nothing.
    let told = update(&handlers, TEAM, &[("tier", "1")], &first.etag).await;
    let (second, _) = meta(told.expect("changed"));
    assert_eq!(second.labels.keys().collect::<Vec<_>>(), ["tier"]);
    let late = update(&handlers, TEAM, &[("of", "shop")], &first.etag).await;
    assert_eq!(code(late), Code::Aborted);
    let wrong = update(&handlers, TEAM, &[("", "shop")], "").await;
    assert_eq!(code(wrong), Code::InvalidArgument);
    // They are found by what they have.
    let listed = async |key: &str, value: &str| {
        let options = v1::ListOptions {
            labels: [(key.to_owned(), value.to_owned())].into(),
            ..v1::ListOptions::default()
        };
        let request = Request::new(v1::ListNamespacesRequest {
            options: Some(options),
        });
        let answer = handlers.list_namespaces(request).await.expect("a page");
        answer.into_inner().namespaces.len()
    };
    assert_eq!(
        (listed("tier", "1").await, listed("of", "shop").await),
        (1, 0)
    );
}
