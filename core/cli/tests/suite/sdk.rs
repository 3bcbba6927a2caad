//! The Rust SDK against a server that comes and goes.

use crate::rest::http;
use crate::serve::GATED;
use crate::site::{PATIENCE, Site};
use conveyor_sdk::{
    Client, ClientOptions, Detach, Driver, ErrorKind, Failure, Handover, Start, Stop, Task, Told,
    v1,
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};

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

const APPROVED: &str = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: approved}
spec:
  steps:
    - {id: ask, driver: people, action: approve, grace: 1s, with: {what: release}}
  outputs: {by: \"${{ steps.ask.outputs.by }}\"}
";

/// A driver that hands each task over and tells how.
fn people(handed: mpsc::UnboundedSender<Handover>, site: &Site) -> Driver {
    let approve = move |task: Task| {
        let handed = handed.clone();
        async move {
            task.log.info("asking somebody");
            let detach = Detach::within(Duration::from_secs(600)).principal("approvals");
            let handover = task.detach(detach).await?;
            // Whoever has the task now numbers its lines.
            task.log.info("this is told to nobody");
            let _ = handed.send(handover);
            Ok::<_, Failure>(json!({ "by": "nobody" }))
        }
    };
    let url = site.url.clone();
    Driver::new("people")
        .version("1.0.0")
        .action("approve", approve)
        .capacity(1)
        .options(|options| options.url = Some(url))
}

#[test]
fn a_task_is_handed_over_and_ended_from_outside_while_its_driver_is_gone() {
    let mut site = Site::new(&[]);
    let mut server = site.serve();
    let runtime = runtime();
    let (sender, mut handed) = mpsc::unbounded_channel();
    let stop = Stop::new();
    let driver = runtime.spawn(people(sender, &site).run_until(stop.clone()));
    let (client, first, second, handover, other) = runtime.block_on(async {
        let client = connect(&site).await;
        let start = || Start::document(APPROVED);
        let first = client.start(start()).await.expect("a run");
        let handover = handed.recv().await.expect("it is handed over");
        // The driver's one place is free again.
        let second = client.start(start()).await.expect("a run");
        let other = handed.recv().await.expect("it is handed over");
        // The driver leaves, and the first task is no less somebody's.
        stop.drain();
        driver.await.expect("no panic").expect("it was told to");
        (client, first, second, handover, other)
    });
    assert_eq!(
        (handover.url.as_str(), handover.next_log_offset),
        (site.url.as_str(), 1)
    );
    assert!(!format!("{handover:?}").contains("token"), "it is a secret");
    server.kill();
    let _server = site.serve();
    runtime.block_on(async {
        let token = handover.token.clone();
        let hour = SystemTime::now() + Duration::from_secs(3600);
        let until = client
            .extend(token.clone(), hour)
            .await
            .expect("it is answered");
        assert!(until.expect("it is waited for") > handover.until);
        let more = v1::LogLine {
            text: "Ada says yes".into(),
            ..v1::LogLine::default()
        };
        let next = client.append_logs(token.clone(), 1, vec![more]).await;
        assert_eq!(next.expect("it is kept"), 2);
        let outputs = || Ok(json!({ "by": "Ada" }));
        let told = client.complete(token.clone(), outputs(), Some(1)).await;
        assert_eq!(told.expect("it is answered"), Told::Accepted);
        let again = client.complete(token.clone(), outputs(), Some(1)).await;
        assert_eq!(again.expect("it is answered"), Told::Already);
        let other = Err(Failure::new("no", "Bob says no"));
        let late = client.complete(token.clone(), other, Some(1)).await;
        assert_eq!(late.expect("it is answered"), Told::Stale);
        assert_eq!(
            client.extend(token, hour).await.expect("it is answered"),
            None
        );
        let ended = first.wait().await.expect("it has ended");
        assert_eq!(
            ended.outputs().expect("it succeeded"),
            json!({ "by": "Ada" })
        );
        let mut logs = first.logs();
        let mut lines = Vec::new();
        while let Some(line) = line(&mut logs).await {
            lines.push(line);
        }
        assert_eq!(lines, ["ask 0: asking somebody", "ask 1: Ada says yes"]);
    });
    // The outside may be any program that speaks JSON over HTTP.
    let other = other.to_json();
    let result = json!({"state": "succeeded", "outputs": {"by": "Bob"}, "last_log_offset": 0});
    let report = json!({"report": {"token": other["token"], "result": result}}).to_string();
    let path = other["complete"].as_str().expect("a path");
    let answer = http(&site.url, "POST", path, "application/json", &report);
    assert_eq!(
        answer.body["outcome"]["status"], "accepted",
        "{}",
        answer.body
    );
    let ended = runtime.block_on(second.wait()).expect("it has ended");
    assert_eq!(
        ended.outputs().expect("it succeeded"),
        json!({ "by": "Bob" })
    );
}

#[test]
fn what_a_task_says_of_its_progress_is_seen() {
    let mut site = Site::new(&[]);
    let _server = site.serve();
    let runtime = runtime();
    let stop = Stop::new();
    let work = |task: Task| async move {
        task.progress(0.25, "a quarter is done");
        task.cancelled().await;
        Err::<Value, _>(Failure::cancelled())
    };
    let url = site.url.clone();
    let driver = Driver::new("people").action("approve", work);
    let driver = driver.options(|options| options.url = Some(url));
    let driver = runtime.spawn(driver.run_until(stop.clone()));
    let run = runtime.block_on(async {
        let client = connect(&site).await;
        client
            .start(Start::document(APPROVED))
            .await
            .expect("a run")
    });
    let view = runtime.block_on(async {
        let client = connect(&site).await;
        let request = v1::GetRunRequest {
            run: run.id().to_owned(),
            ..v1::GetRunRequest::default()
        };
        let seen = async {
            loop {
                let told = client.get_run(request.clone()).await.expect("it is there");
                let instances = told.steps.into_iter().flat_map(|step| step.instances);
                let mut attempts = instances.flat_map(|instance| instance.attempts);
                if let Some(progress) = attempts.find_map(|attempt| attempt.progress) {
                    return progress;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, seen)
            .await
            .expect("it comes in time")
    });
    assert_eq!(view.permille, Some(250));
    assert_eq!(view.message, "a quarter is done");
    runtime.block_on(async {
        run.cancel("enough").await.expect("it is told");
        run.wait().await.expect("it has ended");
        stop.now();
        driver.await.expect("no panic").expect("it was told to");
    });
}

/// A way to the server that loses what a driver says, and breaks, when it is told to.
struct Way {
    url: String,
    loses: Arc<AtomicBool>,
    lost: Arc<AtomicUsize>,
    broken: Arc<Notify>,
}

impl Way {
    async fn to(site: &Site) -> Way {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = site.url.trim_start_matches("http://").to_owned();
        let way = Way {
            url: format!("http://{address}"),
            loses: Arc::default(),
            lost: Arc::default(),
            broken: Arc::default(),
        };
        let (loses, lost) = (Arc::clone(&way.loses), Arc::clone(&way.lost));
        let broken = Arc::clone(&way.broken);
        tokio::spawn(async move {
            while let Ok((driver, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.expect("it is there");
                let (loses, lost) = (Arc::clone(&loses), Arc::clone(&lost));
                let broken = Arc::clone(&broken);
                tokio::spawn(async move {
                    let (mut said, mut hears) = driver.into_split();
                    let (mut told, mut taken) = server.into_split();
                    let there = async {
                        let mut buffer = [0; 4096];
                        while let Ok(read @ 1..) = said.read(&mut buffer).await {
                            if loses.load(Ordering::SeqCst) {
                                lost.fetch_add(read, Ordering::SeqCst);
                            } else if taken.write_all(&buffer[..read]).await.is_err() {
                                break;
                            }
                        }
                    };
                    tokio::select! {
                        () = there => {}
                        _ = tokio::io::copy(&mut told, &mut hears) => {}
                        () = broken.notified() => {}
                    }
                });
            }
        });
        way
    }
}

#[test]
fn a_task_that_is_handed_over_while_the_connection_breaks_is_handed_over_once_it_is_back() {
    let mut site = Site::new(&[]);
    let _server = site.serve();
    runtime().block_on(async {
        let way = Way::to(&site).await;
        let (handed, mut handovers) = mpsc::unbounded_channel();
        let (begun, mut begins) = mpsc::unbounded_channel();
        let go = Arc::new(Notify::new());
        let gate = Arc::clone(&go);
        let approve = move |task: Task| {
            let (handed, begun, gate) = (handed.clone(), begun.clone(), Arc::clone(&gate));
            async move {
                let _ = begun.send(());
                gate.notified().await;
                let handover = task
                    .detach(Detach::within(Duration::from_secs(600)))
                    .await?;
                let _ = handed.send(handover);
                Ok::<_, Failure>(json!({}))
            }
        };
        let url = way.url.clone();
        let stop = Stop::new();
        let driver = Driver::new("people").action("approve", approve);
        let driver = driver.options(|options| options.url = Some(url));
        let driver = tokio::spawn(driver.run_until(stop.clone()));
        let client = connect(&site).await;
        let run = client
            .start(Start::document(APPROVED))
            .await
            .expect("a run");
        begins.recv().await.expect("it begins");
        way.loses.store(true, Ordering::SeqCst);
        go.notify_one();
        while way.lost.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        way.loses.store(false, Ordering::SeqCst);
        way.broken.notify_waiters();
        let handover = tokio::time::timeout(PATIENCE, handovers.recv()).await;
        let handover = handover
            .expect("it comes in time")
            .expect("it is handed over");
        let outputs = Ok(json!({ "by": "Ada" }));
        let told = client.complete(handover.token, outputs, None).await;
        assert_eq!(told.expect("it is answered"), Told::Accepted);
        let ended = run.wait().await.expect("it has ended");
        assert_eq!(
            ended.outputs().expect("it succeeded"),
            json!({ "by": "Ada" })
        );
        assert!(begins.try_recv().is_err(), "it began once");
        stop.now();
        driver.await.expect("no panic").expect("it was told to");
    });
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
