//! Runs, forks and tokens made under an idempotency key; annotations; page tokens.

use crate::{get, handlers, request, start};
use conveyor_engine::value::Hash;
use conveyor_node::objects::Changes;
use conveyor_proto::storage::v1::StoredIdempotency;
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_service::ControlHandlers;
use prost::Message as _;
use std::collections::BTreeMap;
use tonic::{Code, Request, Status};

/// Ends at once.
const ONE: &str = "{steps: [{id: a, transform: {x: 1}}]}";

fn keyed(spec: &str, key: &str) -> v1::StartRunRequest {
    v1::StartRunRequest {
        idempotency_key: key.to_owned(),
        wait_ms: 30_000,
        ..request(spec)
    }
}

async fn started(
    handlers: &ControlHandlers,
    request: v1::StartRunRequest,
) -> Result<(String, bool), Status> {
    let answer = handlers
        .start_run(Request::new(request))
        .await?
        .into_inner();
    Ok((answer.run.expect("told").id, answer.existing))
}

async fn runs(handlers: &ControlHandlers) -> usize {
    let list = handlers.list_runs(Request::new(v1::ListRunsRequest::default()));
    list.await.expect("a list").into_inner().runs.len()
}

#[tokio::test]
async fn a_start_that_is_repeated_under_its_key_is_one_run() {
    let handlers = handlers().await;
    let (run, existing) = started(&handlers, keyed(ONE, "k")).await.expect("a run");
    assert!(!existing);
    let mut again = keyed(ONE, "k");
    // However long it waits, and whatever id a client made for it, it is the same request.
    again.wait_ms = 0;
    again.run_id = conveyor_node::RunId::fresh().to_string();
    let again = started(&handlers, again).await.expect("a repeat");
    assert_eq!(again, (run.clone(), true));
    let other = keyed("{steps: [{id: b, transform: {x: 1}}]}", "k");
    let other = started(&handlers, other).await.expect_err("another");
    assert_eq!(other.code(), Code::AlreadyExists, "{other:?}");
    let (second, _) = started(&handlers, keyed(ONE, "l")).await.expect("a run");
    assert_ne!(second, run);
    assert_eq!(runs(&handlers).await, 2);
}

#[tokio::test]
async fn a_start_that_is_refused_or_only_checked_leaves_its_key_free() {
    let handlers = handlers().await;
    let check = v1::StartRunRequest {
        validate_only: true,
        ..keyed(ONE, "k")
    };
    started(&handlers, check).await.expect("it is right");
    let wrong = keyed("{steps: []}", "k");
    started(&handlers, wrong).await.expect_err("no steps");
    let (_, existing) = started(&handlers, keyed(ONE, "k")).await.expect("a run");
    assert!(!existing);
    assert_eq!(runs(&handlers).await, 1);
}

/// As after a stop between the two commits of a start: the key is there, and no run.
async fn left(handlers: &ControlHandlers, request: &v1::StartRunRequest, ago_ms: u64) -> String {
    let mut asked = request.clone();
    asked.wait_ms = 0;
    let key = std::mem::take(&mut asked.idempotency_key);
    let mut bytes = b"StartRun\0".to_vec();
    bytes.extend(asked.encode_to_vec());
    let run = conveyor_node::RunId::fresh().to_string();
    let row = StoredIdempotency {
        request: Hash::of(&bytes).0.to_vec().into(),
        run: run.clone(),
        created_ms: handlers.node().now().0 - ago_ms,
        ..Default::default()
    };
    let mut changes = Changes::new();
    changes.put("", &format!("default:{key}"), &row, None);
    handlers.node().change(changes).await.expect("it is kept");
    run
}

#[tokio::test]
async fn a_run_whose_first_try_ended_before_it_was_made_is_made_by_the_repeat() {
    let handlers = handlers().await;
    let run = left(&handlers, &keyed(ONE, "k"), 10_000).await;
    let made = started(&handlers, keyed(ONE, "k")).await.expect("a run");
    assert_eq!(made, (run.clone(), false));
    let again = started(&handlers, keyed(ONE, "k")).await.expect("a run");
    assert_eq!(again, (run, true));
    assert_eq!(runs(&handlers).await, 1);
}

#[tokio::test]
async fn a_key_whose_run_is_gone_makes_no_other() {
    let handlers = handlers().await;
    let run = left(&handlers, &keyed(ONE, "k"), 100_000).await;
    let refused = started(&handlers, keyed(ONE, "k")).await;
    let refused = refused.expect_err("it may have been there");
    assert_eq!(refused.code(), Code::NotFound);
    assert!(refused.message().contains(&run), "{refused:?}");
    assert_eq!(runs(&handlers).await, 0);
}

#[tokio::test]
async fn starts_at_once_under_one_key_are_one_run() {
    let handlers = handlers().await;
    let mut tasks = Vec::new();
    for _ in 0..20 {
        let handlers = handlers.clone();
        tasks.push(tokio::spawn(async move {
            started(&handlers, keyed(ONE, "k")).await
        }));
    }
    let (mut made, mut fresh) = (std::collections::BTreeSet::new(), 0);
    for task in tasks {
        let (run, existing) = task.await.expect("no panic").expect("each has the run");
        made.insert(run);
        fresh += u32::from(!existing);
    }
    assert_eq!(fresh, 1);
    assert_eq!((made.len(), runs(&handlers).await), (1, 1));
}

#[tokio::test]
async fn a_fork_that_is_repeated_under_its_key_is_one_run() {
    let handlers = handlers().await;
    let (run, _) = started(&handlers, keyed(ONE, "k")).await.expect("a run");
    let fork = v1::ForkRunRequest {
        run,
        from_steps: vec!["a".to_owned()],
        idempotency_key: "f".to_owned(),
        ..Default::default()
    };
    let mut ids = Vec::new();
    for existing in [false, true] {
        let answer = handlers.fork_run(Request::new(fork.clone())).await;
        let answer = answer.expect("a fork").into_inner();
        assert_eq!(answer.existing, existing);
        ids.push(answer.run.expect("told").id);
    }
    assert_eq!(ids[0], ids[1]);
    assert_eq!(runs(&handlers).await, 2);
}

#[tokio::test]
async fn a_token_that_is_asked_for_again_under_its_key_is_one_and_keeps_its_secret_to_itself() {
    let handlers = handlers().await;
    let request = v1::CreateTokenRequest {
        principal: "ann".to_owned(),
        scope: v1::TokenScope::Client.into(),
        idempotency_key: "k".to_owned(),
        ..Default::default()
    };
    let make = async || {
        let made = handlers.create_token(Request::new(request.clone())).await;
        made.expect("a token").into_inner()
    };
    let first = make().await;
    assert!(!first.secret.is_empty());
    let again = make().await;
    assert_eq!(again.token, first.token);
    assert_eq!(again.secret, "", "nobody has it to tell it again");
    let all = handlers.list_tokens(Request::new(v1::ListTokensRequest::default()));
    assert_eq!(all.await.expect("a list").into_inner().tokens.len(), 1);
}

#[tokio::test]
async fn annotations_are_the_documents_and_over_them_what_the_run_was_given() {
    let handlers = handlers().await;
    let text = "apiVersion: conveyor/v1\nkind: Pipeline\n\
                metadata: {name: p, annotations: {team: a, note: hi}}\nspec: {steps: [{id: a, transform: {x: 1}}]}\n";
    let document = v1::Document {
        source: text.as_bytes().to_vec().into(),
        file_name: "p.yaml".to_owned(),
    };
    let apply = v1::ApplyPipelineRequest {
        document: Some(document),
        ..Default::default()
    };
    let applied = handlers.apply_pipeline(Request::new(apply)).await;
    let pipeline = applied
        .expect("applied")
        .into_inner()
        .pipeline
        .expect("told");
    let told = pipeline.metadata.expect("told").annotations;
    assert_eq!(told.get("note").map(String::as_str), Some("hi"));
    let stored = v1::PipelineRef {
        name: "p".to_owned(),
        ..Default::default()
    };
    let request = v1::StartRunRequest {
        pipeline: Some(v1::start_run_request::Pipeline::Stored(stored)),
        annotations: [("note".to_owned(), "mine".to_owned())].into(),
        wait_ms: 30_000,
        ..Default::default()
    };
    let told = handlers.start_run(Request::new(request.clone())).await;
    let told = told.expect("a run").into_inner().run.expect("told");
    let (run, at_once) = (told.id, told.annotations);
    let of = async |run: &str| {
        let request = v1::GetRunRequest {
            run: run.to_owned(),
            ..Default::default()
        };
        let told = get(&handlers, request).await.expect("a run").run;
        let told = told.expect("told").annotations;
        told.into_iter().collect::<Vec<_>>()
    };
    let both = |note: &str| {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        vec![pair("note", note), pair("team", "a")]
    };
    assert_eq!(of(&run).await, both("mine"));
    assert_eq!(
        at_once.into_iter().collect::<Vec<_>>(),
        both("mine"),
        "at once"
    );
    let mut again = request;
    (again.run_id, again.annotations) = (run.clone(), BTreeMap::new());
    let again = handlers
        .start_run(Request::new(again))
        .await
        .expect("it is there")
        .into_inner();
    let there = again.run.expect("told").annotations;
    assert!(again.existing);
    assert_eq!(
        there.into_iter().collect::<Vec<_>>(),
        both("mine"),
        "what it has"
    );
    let fork = v1::ForkRunRequest {
        run,
        from_steps: vec!["a".to_owned()],
        ..Default::default()
    };
    let fork = handlers.fork_run(Request::new(fork)).await.expect("a fork");
    let fork = fork.into_inner().run.expect("told");
    assert_eq!(
        fork.annotations.into_iter().collect::<Vec<_>>(),
        both("mine"),
        "at once"
    );
    let fork = fork.id;
    assert_eq!(
        of(&fork).await,
        both("mine"),
        "a fork has them from the old run"
    );
}

#[tokio::test]
async fn too_much_in_annotations_is_named() {
    let handlers = handlers().await;
    let mut request = request(ONE);
    request.annotations = [("a".to_owned(), "x".repeat(257 << 10))].into();
    let refused = started(&handlers, request).await.expect_err("too much");
    assert!(
        refused.message().contains("annotation_bytes"),
        "{refused:?}"
    );
    assert_eq!(runs(&handlers).await, 0);
}

#[tokio::test]
async fn runs_of_a_namespace_that_is_not_there_are_not_found() {
    let handlers = handlers().await;
    start(&handlers, ONE).await;
    let request = v1::ListRunsRequest {
        namespace: "nope".to_owned(),
        ..Default::default()
    };
    let refused = handlers.list_runs(Request::new(request)).await;
    assert_eq!(refused.expect_err("there is none").code(), Code::NotFound);
}

#[tokio::test]
async fn a_page_token_of_another_listing_is_refused() {
    let handlers = handlers().await;
    for name in ["one", "two"] {
        let namespace = v1::Namespace {
            metadata: Some(v1::Metadata {
                name: name.to_owned(),
                ..Default::default()
            }),
        };
        let request = v1::CreateNamespaceRequest {
            namespace: Some(namespace),
            ..Default::default()
        };
        handlers
            .create_namespace(Request::new(request))
            .await
            .expect("made");
    }
    let options = |page_token: &str| {
        Some(v1::ListOptions {
            page_size: 1,
            page_token: page_token.to_owned(),
            ..Default::default()
        })
    };
    let namespaces = async |page_token: &str| {
        let options = options(page_token);
        let request = v1::ListNamespacesRequest { options };
        handlers.list_namespaces(Request::new(request)).await
    };
    let first = namespaces("").await.expect("a page").into_inner();
    assert!(!first.next_page_token.is_empty());
    namespaces(&first.next_page_token).await.expect("a page");
    for wrong in ["one", "pipelines/one", "namespaces"] {
        let refused = namespaces(wrong).await.expect_err("not of this listing");
        assert_eq!(refused.code(), Code::InvalidArgument, "{wrong}");
    }
    let request = v1::ListPipelinesRequest {
        options: options(&first.next_page_token),
        ..Default::default()
    };
    let refused = handlers.list_pipelines(Request::new(request)).await;
    let refused = refused.expect_err("not of this listing");
    assert_eq!(refused.code(), Code::InvalidArgument);
}
