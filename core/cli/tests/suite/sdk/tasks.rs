//! What tasks do beside their work: they are handed over, and tell how far they are.

use super::{connect, line, runtime};
use crate::rest::http;
use crate::site::{PATIENCE, Site};
use conveyor_sdk::{Appended, Detach, Driver, Failure, Handover, Start, Stop, Task, Told, v1};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};

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
        let kept = client.append_logs(token.clone(), 1, vec![more]).await;
        let expected = Appended {
            next_offset: 2,
            sealed: false,
        };
        assert_eq!(kept.expect("it is kept"), expected);
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
