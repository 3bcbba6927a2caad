//! The Rust SDK against a server that comes and goes.

mod sizes;
mod tasks;

use crate::serve::GATED;
use crate::site::{PATIENCE, Site};
use conveyor_sdk::{Client, ClientOptions, ErrorKind, Start, v1};
use std::time::Duration;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("threads")
}

async fn connect(site: &Site) -> Client {
    let options = ClientOptions {
        url: Some(site.url.clone()),
        patience: PATIENCE,
        ..ClientOptions::default()
    };
    Client::open(options).await.expect("the server answers")
}

/// The next line of a log.
async fn line(logs: &mut conveyor_sdk::Logs) -> Option<String> {
    let record = tokio::time::timeout(PATIENCE, logs.next()).await;
    let record = record.expect("it comes in time")?.expect("it is told");
    let step = record.id.unwrap_or_default().step;
    Some(format!(
        "{step} {}: {}",
        record.offset,
        String::from_utf8_lossy(&record.text)
    ))
}

#[test]
fn a_client_follows_events_and_logs_over_a_killed_server_without_gap_or_repeat() {
    let mut site = Site::new(&[]);
    let mut server = site.serve();
    let _driver = site.driver();
    let runtime = runtime();
    let (client, run) = runtime.block_on(async {
        let client = connect(&site).await;
        let run = client.start(Start::document(GATED)).await.expect("a run");
        (client, run)
    });
    let (mut logs, mut events) = (run.logs(), run.events());
    let mut ids = Vec::new();
    let first = runtime.block_on(async {
        let event = events.next().await.expect("there is one");
        ids.push(event.expect("it is told").id);
        line(&mut logs).await
    });
    assert_eq!(first.as_deref(), Some("first 0: begun"));
    server.kill();
    std::fs::write(site.dir.path().join("go"), "").expect("it is writable");
    // A call that may be made twice waits for the server, and so do both streams.
    let listed =
        runtime.spawn(async move { client.list_runs(v1::ListRunsRequest::default()).await });
    let _server = site.serve();
    let lines = runtime.block_on(async {
        let listed = listed.await.expect("no panic").expect("it is answered");
        assert_eq!(listed.runs.len(), 1);
        while let Some(event) = events.next().await {
            ids.push(event.expect("it is told").id);
        }
        let ended = run.wait().await.expect("it has ended");
        assert!(ended.succeeded(), "{ended:?}");
        let mut lines = Vec::new();
        while let Some(line) = line(&mut logs).await {
            lines.push(line);
        }
        lines
    });
    lines
        .iter()
        .for_each(|line| assert_ne!(line, "first 0: begun"));
    assert_eq!(lines, ["first 1: done", "second 0: second"]);
    let all = runtime.block_on(async {
        let mut all = Vec::new();
        let mut again = run.events();
        while let Some(event) = again.next().await {
            all.push(event.expect("it is told").id);
        }
        all
    });
    assert_eq!(ids, all);
}

#[test]
fn a_client_that_is_not_patient_is_told_that_nobody_answers() {
    let mut site = Site::new(&[]);
    let mut server = site.serve();
    let runtime = runtime();
    let client = runtime.block_on(connect(&site)).patience(Duration::ZERO);
    server.kill();
    let asked = client.get_server_info(v1::GetServerInfoRequest {});
    let error = runtime.block_on(asked).expect_err("nobody is there");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let nobody = runtime.block_on(Client::connect(site.url.clone()));
    assert_eq!(
        nobody.expect_err("nobody is there").kind(),
        ErrorKind::Unavailable
    );
    let wrong = runtime.block_on(Client::connect("not an address"));
    assert_eq!(wrong.expect_err("it is none").kind(), ErrorKind::Address);
}

#[test]
fn a_client_reaches_the_socket_of_a_data_directory() {
    let mut site = Site::new(&[]);
    let _server = site.serve();
    let url = format!("unix:{}", site.dir.path().join("data").display());
    let info = runtime().block_on(async {
        let client = Client::connect(url).await.expect("the server answers");
        client.get_server_info(v1::GetServerInfoRequest {}).await
    });
    assert_eq!(info.expect("it tells").role, "serve");
}

#[test]
fn a_namespace_is_followed_over_killed_servers_without_gap_or_repeat() {
    const QUICK: &str = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: quick}
spec: {steps: [{id: a, transform: {x: 1}}]}
";
    let mut site = Site::new(&[]);
    let mut server = site.serve();
    let runtime = runtime();
    let client = runtime.block_on(connect(&site));
    let mut feed = runtime.block_on(async {
        let begun = client.watch_events(v1::WatchEventsRequest::default()).await;
        let first = begun
            .expect("it is followed")
            .message()
            .await
            .expect("it is told");
        // Before anything happens it is told where it is.
        client.feed(v1::WatchEventsRequest {
            cursor: first.expect("it goes on").cursor,
            ..v1::WatchEventsRequest::default()
        })
    });
    // One word for each change, of runs by the order in which they were started.
    let mut runs: Vec<String> = Vec::new();
    let mut told: Vec<(String, i32)> = Vec::new();
    let until_ended =
        async |feed: &mut conveyor_sdk::Feed, told: &mut Vec<(String, i32)>, run: &str| loop {
            let next = tokio::time::timeout(PATIENCE, feed.next()).await;
            let event = next
                .expect("it comes in time")
                .expect("it goes on")
                .expect("it is told");
            let run_told = event.run.expect("nothing but runs");
            told.push((run_told.id.clone(), run_told.state));
            if run_told.id == run && run_told.state() == v1::RunState::Succeeded {
                return;
            }
        };
    for round in 0..6 {
        let run = runtime.block_on(async {
            let run = client.start(Start::document(QUICK)).await.expect("a run");
            let run = run.id().to_owned();
            // Some are told before the server dies, others are not.
            if round % 2 == 0 {
                until_ended(&mut feed, &mut told, &run).await;
            }
            run
        });
        runs.push(run);
        server.kill();
        server = site.serve();
    }
    let last = runtime.block_on(async {
        let last = client.start(Start::document(QUICK)).await.expect("a run");
        let last = last.id().to_owned();
        until_ended(&mut feed, &mut told, &last).await;
        last
    });
    runs.push(last);
    // Runs that were cut off go on beside later ones; wait for the end of each.
    for run in &runs {
        let over = |told: &[(String, i32)]| {
            told.iter()
                .any(|(id, state)| id == run && *state == i32::from(v1::RunState::Succeeded))
        };
        if !over(&told) {
            runtime.block_on(until_ended(&mut feed, &mut told, run));
        }
    }
    let all = runtime.block_on(async {
        let mut all = Vec::new();
        let mut again = client.feed(v1::WatchEventsRequest {
            from_oldest: true,
            until_now: true,
            ..v1::WatchEventsRequest::default()
        });
        while let Some(event) = again.next().await {
            let run = event.expect("it is told").run.expect("nothing but runs");
            all.push((run.id, run.state));
        }
        all
    });
    assert_eq!(told, all, "each once, in the order of commits");
    // Of each run the events are those of its own journal.
    for run in &runs {
        let of_run: Vec<i32> = all
            .iter()
            .filter(|(id, _)| id == run)
            .map(|(_, state)| *state)
            .collect();
        let own = runtime.block_on(async {
            let mut events = client.run(run.as_str()).events();
            let mut own = Vec::new();
            while let Some(event) = events.next().await {
                if let Some(v1::event::Event::RunChanged(changed)) = event.expect("told").event {
                    own.push(changed.to);
                }
            }
            own
        });
        assert_eq!(of_run, own, "{run}");
    }
}
