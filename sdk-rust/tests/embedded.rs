//! A client over an engine in this process.
#![cfg(feature = "embedded")]

use conveyor_sdk::embedded::{Engine, EngineOptions};
use conveyor_sdk::{Client, Driver, ErrorKind, Failure, Fork, Start, Task, v1};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// A driver with an action that waits until it is let go, or told to stop.
fn driver(gate: &Arc<Semaphore>) -> Driver {
    let gate = Arc::clone(gate);
    let work = move |task: Task| {
        let gate = Arc::clone(&gate);
        async move {
            task.log.info(format!("working on {}", task.inputs));
            task.progress(0.5, "half way");
            tokio::select! {
                passed = gate.acquire() => passed?.forget(),
                _ = task.cancelled() => return Err(Failure::cancelled()),
            }
            if task.inputs["fail"] == true {
                return Err(Failure::new("no", "it does not want to").permanent());
            }
            let parameters = task.parameters.unwrap_or_default();
            Ok(json!({ "attempt": task.attempt, "parameters": parameters }))
        }
    };
    Driver::new("gated").version("1.0.0").action("work", work)
}

async fn open(gate: &Arc<Semaphore>) -> Engine {
    let options = EngineOptions {
        drivers: vec![driver(gate)],
        ..EngineOptions::default()
    };
    Engine::open(options).await.expect("an engine")
}

fn document(steps: &str) -> Start {
    Start::document(format!(
        "apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {{name: p}}\nspec:\n  inputs: {{type: object, \
         properties: {{fail: {{type: boolean, default: false}}}}}}\n  steps: {steps}\n"
    ))
}

const ONE: &str = "[{id: one, driver: gated, with: {fail: \"${{ inputs.fail }}\"}}]";

/// Waits until the step's task runs.
async fn begun(client: &Client, run: &str) {
    let mut events = client.run(run).events();
    while let Some(event) = events.next().await {
        let event = event.expect("it is told");
        if matches!(event.event, Some(v1::event::Event::AttemptClaimed(_))) {
            return;
        }
    }
    panic!("the run ended before its task began");
}

#[tokio::test]
async fn a_run_is_started_followed_and_ends_with_its_outputs() {
    let gate = Arc::new(Semaphore::new(0));
    let engine = open(&gate).await;
    let client = engine.client();
    let start = document("[{id: one, driver: gated, matrix: {axes: {n: [1, 2]}}}]");
    let run = client.start(start.label("team", "web")).await;
    let run = run.expect("a run");
    gate.add_permits(2);
    let (mut events, mut logs) = (run.events(), run.logs());
    let mut ids = Vec::new();
    while let Some(event) = events.next().await {
        ids.push(event.expect("it is told").id);
    }
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert!(ids.len() > 5 && distinct.len() == ids.len(), "{ids:?}");
    let mut lines = Vec::new();
    while let Some(record) = logs.next().await {
        let record = record.expect("it is told");
        lines.push(String::from_utf8_lossy(&record.text).into_owned());
    }
    lines.sort();
    assert_eq!(lines, ["working on {}", "working on {}"]);
    let ended = run.wait().await.expect("it has ended");
    assert!(ended.succeeded());
    assert_eq!(ended.0.labels["team"], "web");
    let request = v1::GetRunRequest {
        run: run.id().to_owned(),
        ..v1::GetRunRequest::default()
    };
    let told = client.get_run(request).await.expect("it is there");
    let instances = &told.steps[0].instances;
    let outputs: Vec<Value> = instances
        .iter()
        .map(|one| serde_json::from_slice(&one.outputs).expect("JSON"))
        .collect();
    // What the driver saw is what its instance has.
    assert_eq!(outputs[1], json!({"attempt": 1, "parameters": {"n": 2}}));
    engine.close().await.expect("it was there");
}

#[tokio::test]
async fn a_task_has_its_runs_trace_and_its_progress_is_seen_while_it_runs() {
    let (told, mut said) = tokio::sync::mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let passes = Arc::clone(&gate);
    let work = move |task: Task| {
        let (told, gate) = (told.clone(), Arc::clone(&passes));
        async move {
            task.progress(0.25, "a quarter");
            task.progress(0.5, "half way");
            told.send(task.traceparent)?;
            gate.acquire().await?.forget();
            Ok::<_, Failure>(json!({}))
        }
    };
    let options = EngineOptions {
        drivers: vec![Driver::new("gated").version("1.0.0").action("work", work)],
        ..EngineOptions::default()
    };
    let engine = Engine::open(options).await.expect("an engine");
    let client = engine.client();
    let start = document("[{id: one, driver: gated}]");
    let run = client.start(start).await.expect("a run");
    let trace = said.recv().await.expect("it runs");
    let parts: Vec<_> = trace.split('-').collect();
    let [version, of_run, span, flags] = parts[..] else {
        panic!("{trace}");
    };
    // https://www.w3.org/TR/trace-context/#traceparent-header
    assert_eq!((version, flags), ("00", "01"), "{trace}");
    assert_eq!(of_run, run.id().replace('-', ""));
    let number = u64::from_str_radix(span, 16).expect("a number");
    assert!(number > 0 && span.len() == 16, "{trace}");
    let attempt = async || {
        let request = v1::GetRunRequest {
            run: run.id().to_owned(),
            ..v1::GetRunRequest::default()
        };
        let mut told = client.get_run(request).await.expect("it is there");
        told.steps.remove(0).instances.remove(0).attempts.remove(0)
    };
    let progress = attempt().await.progress.expect("it is told");
    assert_eq!(progress.permille, Some(500));
    assert_eq!(progress.message, "half way");
    assert!(progress.at_ms > 0);
    gate.add_permits(1);
    assert!(run.wait().await.expect("it has ended").succeeded());
    assert_eq!(attempt().await.progress, None);
    engine.close().await.expect("it was there");
}

#[tokio::test]
async fn a_run_is_paused_resumed_and_cancelled() {
    let gate = Arc::new(Semaphore::new(0));
    let engine = open(&gate).await;
    let client = engine.client();
    let run = client.start(document(ONE)).await.expect("a run");
    begun(&client, run.id()).await;
    run.pause("lunch").await.expect("it is paused");
    let state = run.get().await.expect("it is there").state();
    assert_eq!(state, v1::RunState::Paused);
    run.resume("coffee").await.expect("it goes on");
    let first = run.cancel("enough").await.expect("it is cancelled");
    assert_eq!(first.no_effect, "");
    let ended = run.wait().await.expect("it has ended");
    assert_eq!(ended.state(), v1::RunState::Cancelled);
    let error = ended.outputs().expect_err("it has none");
    assert_eq!(error.kind(), ErrorKind::Precondition);
    assert!(error.to_string().contains("cancelled"), "{error}");
    let late = run.terminate("again").await.expect("it is told");
    assert_ne!(late.no_effect, "");
}

#[tokio::test]
async fn a_run_that_failed_is_forked_with_other_inputs() {
    let gate = Arc::new(Semaphore::new(8));
    let engine = open(&gate).await;
    let client = engine.client();
    let start = document(ONE).inputs(json!({"fail": true}));
    let run = client.start(start).await.expect("a run");
    let ended = run.wait().await.expect("it has ended");
    assert_eq!(ended.state(), v1::RunState::Failed);
    let fork = Fork::from_failed().inputs(json!({"fail": false}));
    let again = run.fork(fork).await.expect("another run");
    let ended = again.wait().await.expect("it has ended");
    assert!(ended.succeeded(), "{ended:?}");
    assert_eq!(ended.0.forked_from, run.id());
}

#[tokio::test]
async fn a_start_that_is_repeated_finds_its_run() {
    let gate = Arc::new(Semaphore::new(8));
    let engine = open(&gate).await;
    let client = engine.client();
    let mut request: v1::StartRunRequest = document(ONE).into();
    request.run_id = "01900000-0000-7000-8000-000000000001".to_owned();
    let first = client.start_run(request.clone()).await.expect("a run");
    let second = client.start_run(request).await.expect("the same run");
    assert!(!first.existing && second.existing);
    let other = document(ONE).inputs(json!({"fail": true}));
    let other = other.run_id("01900000-0000-7000-8000-000000000001");
    let error = client.start(other).await.expect_err("it is another's");
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
}

#[tokio::test]
async fn errors_have_kinds_and_all_that_is_wrong() {
    let gate = Arc::new(Semaphore::new(0));
    let engine = open(&gate).await;
    let client = engine.client();
    let wrong = document("[{id: a, driver: gated, wiht: {}}, {id: a, driver: gated}]");
    let error = client.start(wrong).await.expect_err("it is refused");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.details().len() >= 2, "{:?}", error.details());
    assert!(error.details().iter().all(|one| one.line > 0));
    let nobody = client.run("01900000-0000-7000-8000-000000000002");
    let error = nobody.wait().await.expect_err("there is none");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let mut events = nobody.events();
    let error = events.next().await.expect("an answer").expect_err("none");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(events.next().await.is_none(), "an error is the end");
    let absent = document("[{id: a, driver: other}]");
    let error = client.start(absent).await.expect_err("it is refused");
    assert!(error.to_string().contains("`other`"), "{error}");
}

#[tokio::test]
async fn a_directory_keeps_runs_and_one_engine_has_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let gate = Arc::new(Semaphore::new(0));
    let options = || EngineOptions {
        data_dir: Some(directory.path().join("data")),
        drivers: vec![driver(&gate)],
        ..EngineOptions::default()
    };
    let engine = Engine::open(options()).await.expect("an engine");
    let run = engine.client().start(document(ONE)).await.expect("a run");
    begun(&engine.client(), run.id()).await;
    let error = Engine::open(options()).await.expect_err("it is held");
    assert_eq!(error.kind(), ErrorKind::Precondition);
    engine.close().await.expect("it was there");
    let error = run.cancel("too late").await.expect_err("it is closed");
    assert_eq!(error.kind(), ErrorKind::Precondition);
    gate.add_permits(1);
    let engine = Engine::open(options()).await.expect("it is free");
    let ended = engine.client().run(run.id()).wait().await;
    assert!(ended.expect("it has ended").succeeded());
    engine.close().await.expect("it was there");
}

#[tokio::test]
async fn a_driver_of_this_process_cannot_hand_its_tasks_over() {
    async fn away(task: Task) -> Result<Value, Failure> {
        let hour = std::time::Duration::from_secs(3600);
        task.detach(conveyor_sdk::Detach::within(hour)).await?;
        Ok(json!({}))
    }
    let driver = Driver::new("gated").version("1.0.0").action("work", away);
    let options = EngineOptions {
        drivers: vec![driver],
        ..EngineOptions::default()
    };
    let engine = Engine::open(options).await.expect("an engine");
    let run = engine.client().start(document(ONE)).await.expect("a run");
    let ended = run.wait().await.expect("it has ended");
    assert_eq!(ended.state(), v1::RunState::Failed);
}

#[tokio::test]
async fn runs_are_listed_page_after_page() {
    let gate = Arc::new(Semaphore::new(8));
    let engine = open(&gate).await;
    let client = engine.client();
    let mut started = Vec::new();
    for team in ["web", "db", "web", "web"] {
        let start = document(ONE).label("team", team);
        let run = client.start(start).await.expect("a run");
        if team == "web" {
            started.insert(0, run.id().to_owned());
        }
    }
    let request = v1::ListRunsRequest {
        labels: [("team".to_owned(), "web".to_owned())].into(),
        page_size: 1,
        ..v1::ListRunsRequest::default()
    };
    let mut runs = client.runs(request);
    let mut listed = Vec::new();
    while let Some(run) = runs.next().await {
        listed.push(run.expect("it is told").id);
    }
    assert_eq!(listed, started);
    let wrong = v1::ListRunsRequest {
        page_token: "no token".to_owned(),
        ..v1::ListRunsRequest::default()
    };
    let mut runs = client.runs(wrong);
    let error = runs.next().await.expect("an answer").expect_err("none");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(runs.next().await.is_none(), "an error is the end");
}

#[tokio::test]
async fn a_failure_and_a_line_over_the_limits_are_kept_as_they_are_of_a_driver_outside() {
    let work = |task: Task| async move {
        task.log.info("x".repeat(150_000));
        let details = json!({ "far": "y".repeat(40 << 20) });
        let failure = Failure::new("no", "z".repeat(20 << 20)).details(details);
        Err::<Value, _>(failure.permanent())
    };
    let options = EngineOptions {
        drivers: vec![Driver::new("gated").version("1.0.0").action("work", work)],
        ..EngineOptions::default()
    };
    let engine = Engine::open(options).await.expect("an engine");
    let client = engine.client();
    let run = client.start(document("[{id: one, driver: gated}]")).await;
    let run = run.expect("a run");
    assert!(!run.wait().await.expect("it has ended").succeeded());
    let mut logs = run.logs();
    let mut pieces = Vec::new();
    while let Some(record) = logs.next().await {
        let record = record.expect("it is told");
        pieces.push((record.text.len(), record.truncated));
    }
    let (most, rest) = (65_536, 150_000 - 2 * 65_536);
    assert_eq!(pieces, [(most, true), (most, true), (rest, false)]);
    let request = v1::GetRunRequest {
        run: run.id().to_owned(),
        ..v1::GetRunRequest::default()
    };
    let told = client.get_run(request).await.expect("it is there");
    let failure = told.steps[0].instances[0].failure.clone();
    let failure = failure.expect("it has failed");
    assert_eq!(failure.message.len(), 65_536);
    assert!(failure.message.ends_with("z…"));
    let details = String::from_utf8_lossy(&failure.details).into_owned();
    assert!(
        details.contains("`failure_details_bytes` is 262144"),
        "{details}"
    );
    engine.close().await.expect("it was there");
}
