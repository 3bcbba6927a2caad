//! The end of a namespace.

use crate::handlers;
use crate::resources::{SCHEMA, metadata};
use crate::wire::within;
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_service::ControlHandlers;
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

#[tokio::test]
async fn a_namespace_is_deleted_once_nothing_is_in_it() {
    let handlers = handlers().await;
    make(&handlers).await;

    let mut start = within(TEAM, "{steps: [{id: a, transform: {x: 1}}]}");
    start.wait_ms = 30_000;
    let run = handlers.start_run(Request::new(start)).await;
    let run = run.expect("a run").into_inner().run.expect("told");
    assert_eq!(run.state(), v1::RunState::Succeeded);
    holds(&handlers, "runs").await;
    let request = v1::DeleteRunRequest { run: run.id };
    let deleted = handlers.delete_run(Request::new(request)).await;
    deleted.expect("it has ended");

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
    applied.expect("it is stored");
    holds(&handlers, "pipelines").await;
    let request = v1::DeletePipelineRequest {
        name: "p".to_owned(),
        namespace: TEAM.to_owned(),
        ..v1::DeletePipelineRequest::default()
    };
    let deleted = handlers.delete_pipeline(Request::new(request)).await;
    deleted.expect("nobody needs it");

    let definition = v1::ResourceDefinition {
        metadata: inside("application"),
        schema: SCHEMA.into(),
        ..v1::ResourceDefinition::default()
    };
    let request = v1::ApplyDefinitionRequest {
        definition: Some(definition),
        ..v1::ApplyDefinitionRequest::default()
    };
    let applied = handlers.apply_definition(Request::new(request)).await;
    applied.expect("it is stored");
    holds(&handlers, "definitions").await;
    let request = v1::DeleteDefinitionRequest {
        name: "application".to_owned(),
        namespace: TEAM.to_owned(),
        ..v1::DeleteDefinitionRequest::default()
    };
    let deleted = handlers.delete_definition(Request::new(request)).await;
    deleted.expect("it has no resources");

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
    let handlers = handlers().await;
    let (mut kept, mut refused) = (0, 0);
    for round in 0..100 {
        make(&handlers).await;
        let mut start = within(TEAM, "{steps: [{id: a, transform: {x: 1}}]}");
        start.wait_ms = 30_000;
        let document = v1::Document {
            source:
                "apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {name: p, namespace: team-a}\n\
                 spec: {steps: [{id: a, transform: {x: 1}}]}\n"
                    .into(),
            file_name: "p.yaml".to_owned(),
        };
        let apply = v1::ApplyPipelineRequest {
            document: Some(document),
            ..v1::ApplyPipelineRequest::default()
        };
        let own = handlers.clone();
        let comes = tokio::spawn(async move {
            match round % 2 {
                0 => {
                    let started = own.start_run(Request::new(start)).await;
                    started.map(|run| run.into_inner().run.expect("told").id)
                }
                _ => {
                    let applied = own.apply_pipeline(Request::new(apply)).await;
                    applied.map(|_| String::new())
                }
            }
        });
        // At different moments of the other.
        for _ in 0..round % 20 {
            tokio::task::yield_now().await;
        }
        let deleted = delete(&handlers).await;
        let came = comes.await.expect("no panic");
        assert_eq!(
            deleted.is_ok(),
            came.is_err(),
            "{round}: {deleted:?}, {came:?}"
        );
        match came {
            Err(status) => {
                assert_eq!(status.code(), Code::NotFound, "{status:?}");
                refused += 1;
            }
            Ok(run) if !run.is_empty() => {
                let request = v1::DeleteRunRequest { run };
                let gone = handlers.delete_run(Request::new(request)).await;
                gone.expect("it has ended");
                delete(&handlers).await.expect("it is empty");
                kept += 1;
            }
            Ok(_) => {
                let request = v1::DeletePipelineRequest {
                    name: "p".to_owned(),
                    namespace: TEAM.to_owned(),
                    ..v1::DeletePipelineRequest::default()
                };
                let gone = handlers.delete_pipeline(Request::new(request)).await;
                gone.expect("it is there");
                delete(&handlers).await.expect("it is empty");
                kept += 1;
            }
        }
    }
    // Both happen, or this shows nothing.
    assert!(kept > 0 && refused > 0, "{kept} and {refused}");
}

#[tokio::test]
async fn a_key_of_an_earlier_namespace_is_none_of_a_later_one() {
    let handlers = handlers().await;
    for _ in 0..2 {
        make(&handlers).await;
        let definition = v1::ResourceDefinition {
            metadata: inside("application"),
            schema: SCHEMA.into(),
            ..v1::ResourceDefinition::default()
        };
        let request = v1::ApplyDefinitionRequest {
            definition: Some(definition),
            idempotency_key: "k".to_owned(),
            ..v1::ApplyDefinitionRequest::default()
        };
        let applied = handlers.apply_definition(Request::new(request)).await;
        assert!(applied.expect("it is stored").into_inner().changed);
        let request = v1::DeleteDefinitionRequest {
            name: "application".to_owned(),
            namespace: TEAM.to_owned(),
            ..v1::DeleteDefinitionRequest::default()
        };
        // It is there, and is no answer that was kept.
        let deleted = handlers.delete_definition(Request::new(request)).await;
        deleted.expect("it is there");
        delete(&handlers).await.expect("it is empty");
    }
}
