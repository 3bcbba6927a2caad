//! The driver under an engine: schemas, and tries again.

use crate::server::{Server, answer};
use crate::support::local;
use conveyor_sdk::embedded::{Engine, EngineOptions};
use conveyor_sdk::{Client, ErrorKind, Start, v1};
use std::sync::atomic::{AtomicU32, Ordering};

async fn engine() -> Engine {
    let options = EngineOptions {
        drivers: vec![local()],
        ..EngineOptions::default()
    };
    Engine::open(options).await.expect("an engine")
}

fn document(with: &str) -> Start {
    Start::document(format!(
        "apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {{name: p}}\nspec:\n  steps: [{{id: ask, driver: \
         http, with: {with}, retry: {{attempts: 3, backoff: {{initial: 10ms}}}}}}]\n  outputs: {{status: \"${{{{ \
         steps.ask.outputs.status }}}}\"}}\n"
    ))
}

async fn attempts(client: &Client, run: &str) -> Vec<v1::Attempt> {
    let request = v1::GetRunRequest {
        run: run.to_owned(),
        ..v1::GetRunRequest::default()
    };
    let told = client.get_run(request).await.expect("it is there");
    told.steps[0].instances[0].attempts.clone()
}

#[tokio::test]
async fn the_engine_asks_again_where_that_may_help() {
    let asked = AtomicU32::new(0);
    let server = Server::start(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => answer("503 Service Unavailable", "retry-after: 0\r\n", ""),
        _ => answer("200 OK", "", ""),
    })
    .await;
    let engine = engine().await;
    let client = engine.client();
    let start = document(&format!("{{url: '{}'}}", server.url));
    let run = client.start(start).await.expect("a run");
    let ended = run.wait().await.expect("it has ended");
    assert_eq!(ended.outputs().expect("it succeeded")["status"], 200);
    assert_eq!(attempts(&client, run.id()).await.len(), 2);
}

#[tokio::test]
async fn the_engine_does_not_ask_again_in_vain() {
    let engine = engine().await;
    let client = engine.client();
    let run = client.start(document("{url: 'http://10.0.0.1/'}")).await;
    let run = run.expect("a run");
    let ended = run.wait().await.expect("it has ended");
    assert_eq!(ended.state(), v1::RunState::Failed);
    let attempts = attempts(&client, run.id()).await;
    let failures = attempts.iter().filter_map(|one| one.failure.as_ref());
    let codes: Vec<_> = failures.map(|failure| failure.code.as_str()).collect();
    assert_eq!(codes, ["address_refused"]);
}

#[tokio::test]
async fn a_document_is_checked_against_the_drivers_schema() {
    let engine = engine().await;
    let client = engine.client();
    for with in [
        "{}",
        "{url: 'http://a/', method: get}",
        "{url: 'http://a/', body: x, json: 1}",
        "{url: 'http://a/', colour: red}",
        "{url: 'http://a/', redirects: 21}",
        "{url: 'http://a/', headers: {X: {secret: ''}}}",
    ] {
        let error = client.start(document(with)).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{with}: {error}");
        assert!(error.details()[0].pointer.contains("/with"), "{error:?}");
    }
}
