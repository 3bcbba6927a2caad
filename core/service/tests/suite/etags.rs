//! An etag says of which state a change is: of nothing that is there, none.

use crate::handlers;
use crate::resources::{SCHEMA, define, metadata, resource};
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use tonic::{Code, Request, Status};

const ETAG: &str = "0123456789abcdef";

fn with_etag(name: &str) -> Option<v1::Metadata> {
    Some(v1::Metadata {
        etag: ETAG.to_owned(),
        ..metadata(name).expect("some")
    })
}

#[track_caller]
fn mismatch<T>(answer: Result<T, Status>) {
    let status = answer.map(|_| ()).expect_err("it is not there");
    assert_eq!(status.code(), Code::Aborted, "{status}");
    let message = status.message();
    assert!(message.contains("the object does not exist"), "{message}");
    assert!(message.contains(ETAG), "{message}");
}

#[tokio::test]
async fn an_etag_of_what_is_not_there_makes_nothing() {
    let handlers = handlers().await;
    let namespace = v1::CreateNamespaceRequest {
        namespace: Some(v1::Namespace {
            metadata: with_etag("team"),
        }),
        ..v1::CreateNamespaceRequest::default()
    };
    mismatch(handlers.create_namespace(Request::new(namespace)).await);
    let definition = v1::ApplyDefinitionRequest {
        definition: Some(v1::ResourceDefinition {
            metadata: with_etag("application"),
            schema: SCHEMA.as_bytes().into(),
            ..v1::ResourceDefinition::default()
        }),
        ..v1::ApplyDefinitionRequest::default()
    };
    mismatch(handlers.apply_definition(Request::new(definition)).await);
    define(&handlers, SCHEMA).await.expect("without one");
    let mut web = resource(r#"{"image": "a"}"#);
    web.resource.as_mut().expect("some").metadata = with_etag("web");
    mismatch(handlers.apply_resource(Request::new(web)).await);
    let source = "apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {name: p}\nspec: {steps: [{id: a, transform: \
                  {x: 1}}]}\n";
    for validate_only in [true, false] {
        let pipeline = v1::ApplyPipelineRequest {
            document: Some(v1::Document {
                source: source.into(),
                file_name: "p.yaml".to_owned(),
            }),
            etag: ETAG.to_owned(),
            validate_only,
            ..v1::ApplyPipelineRequest::default()
        };
        mismatch(handlers.apply_pipeline(Request::new(pipeline)).await);
    }
    // There is nothing to remove, whatever its etag was.
    let (name, etag) = ("p".to_owned(), ETAG.to_owned());
    let pipeline = v1::DeletePipelineRequest {
        name,
        etag,
        ..v1::DeletePipelineRequest::default()
    };
    let gone = handlers.delete_pipeline(Request::new(pipeline)).await;
    assert_eq!(gone.expect_err("none").code(), Code::NotFound);
}

#[tokio::test]
async fn a_token_holds_for_a_hundred_years_at_most_unless_it_does_not_end() {
    let handlers = handlers().await;
    let most = 100 * 365 * 24 * 60 * 60 * 1000;
    let create = async |ttl_ms| {
        let request = v1::CreateTokenRequest {
            scope: v1::TokenScope::Client.into(),
            ttl_ms: Some(ttl_ms),
            ..v1::CreateTokenRequest::default()
        };
        let answer = handlers.create_token(Request::new(request)).await?;
        Ok::<_, Status>(answer.into_inner().token.expect("told"))
    };
    let token = create(most).await.expect("a token");
    assert_eq!(token.expires_ms, Some(token.created_ms + most));
    assert_eq!(create(0).await.expect("a token").expires_ms, None);
    for ttl in [most + 1, u64::MAX] {
        let refused = create(ttl).await.expect_err("too long");
        assert_eq!(refused.code(), Code::InvalidArgument);
        let message = format!("the limit `ttl_ms` is {most}; the request has {ttl}");
        assert_eq!(refused.message(), message);
    }
}
