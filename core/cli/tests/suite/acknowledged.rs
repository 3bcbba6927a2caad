//! What a server acknowledged stays, however often it is killed: drivers that write down each
//! acknowledgement, and some of which die with a task, are held against what the server says afterwards.

use crate::http;
use crate::site::{PATIENCE, Site};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const PIPELINE: &str = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: acknowledged}
spec:
  defaults: {timeouts: {heartbeat: 3s}, retry: {lost: 50}}
  steps:
    - {id: say, driver: exec, grace: 1s, foreach: {items: '${{ lists.range(40) }}'}, with: {run: x}}
";
const DRIVERS: usize = 4;
/// Batches of an attempt, and lines of a batch.
const BATCHES: u64 = 4;
const LINES: u64 = 5;
/// Each so-many-th attempt's driver dies with it, after half of the lines.
const DIES: usize = 8;
/// The longest that a run may take.
const STUCK: Duration = Duration::from_secs(180);

/// An attempt: instance and number.
type Attempt = (u64, u64);

/// What drivers were told.
#[derive(Default)]
struct Told {
    /// How many lines of each attempt the server said that it has.
    lines: BTreeMap<Attempt, u64>,
    /// Attempts whose success the server took.
    succeeded: Vec<Attempt>,
    /// Attempts whose driver died.
    abandoned: usize,
}

/// A request that is made until it is answered; `None` when the test is over before.
fn insist(url: &str, path: &str, body: &Value, over: &AtomicBool) -> Option<http::Told> {
    let deadline = Instant::now() + PATIENCE;
    while !over.load(Ordering::Relaxed) {
        match http::ask(url, "POST", path, body) {
            Ok(told) if told.status != 503 => return Some(told),
            Ok(told) => assert!(Instant::now() < deadline, "{path}: {}", told.body),
            Err(error) => assert!(Instant::now() < deadline, "{path}: {error}"),
        }
        thread::sleep(Duration::from_millis(5));
    }
    None
}

/// What an attempt says in a line: nobody else says the same.
fn text((instance, attempt): Attempt, line: u64) -> String {
    format!("{instance} {attempt} {line}")
}

/// One driver after the other, each until it dies; the last until the test is over.
fn drive(url: &str, told: &Mutex<Told>, count: &AtomicUsize, over: &AtomicBool) {
    while life(url, told, count, over).is_some() {}
}

/// A driver's life; `None` when the test is over.
fn life(url: &str, told: &Mutex<Told>, count: &AtomicUsize, over: &AtomicBool) -> Option<()> {
    let ask = |path: &str, body: &Value| insist(url, path, body, over);
    let hello = json!({"hello": {
        "driver": "exec", "contract_versions": [1], "actions": [{"name": "run"}], "capacity": 1,
    }});
    let welcome = ask("/v1/driver/register", &hello)?;
    assert_eq!(welcome.status, 200, "{}", welcome.body);
    let welcome = &welcome.body["welcome"];
    let session = |more: &Value| {
        let mut body = more.clone();
        body["session"] = welcome["session"].clone();
        body["resume_secret"] = welcome["resume_secret"].clone();
        body
    };
    for request in 0.. {
        let poll = session(&json!({"request_id": format!("r{request}"), "wait_ms": 500}));
        let polled = ask("/v1/driver/poll", &poll)?;
        if polled.status != 200 {
            // The session is gone: it was away for too long.
            return Some(());
        }
        for task in polled.body["tasks"].as_array().into_iter().flatten() {
            let token = &task["token"];
            let accept = session(&json!({"answers": [{"token": token, "accepted": {}}]}));
            let answered = ask("/v1/driver/answer", &accept)?;
            if answered.body["stale_tokens"] != json!([]) {
                continue;
            }
            let number = |name: &str| task["id"][name].as_u64().unwrap_or_default();
            let attempt = (number("instance"), number("attempt"));
            let dies = count.fetch_add(1, Ordering::Relaxed) % DIES == DIES - 1;
            let batches = if dies { BATCHES / 2 } else { BATCHES };
            for batch in 0..batches {
                let first = batch * LINES;
                let lines: Vec<_> = (first..first + LINES)
                    .map(|line| json!({"text": text(attempt, line)}))
                    .collect();
                let logs = json!({"logs": {"token": token, "first_offset": first, "lines": lines}});
                let kept = ask("/v1/driver/logs", &logs)?;
                let kept = &kept.body["acknowledgement"];
                // Of an attempt that was taken for lost nothing is taken any more.
                if kept["sealed"] != true
                    && let Some(next) = kept["next_offset"].as_u64()
                {
                    let mut told = told.lock().expect("no driver panics");
                    let lines = told.lines.entry(attempt).or_default();
                    *lines = next.max(*lines);
                }
                let beat = session(&json!({"tasks": [{"token": token}]}));
                ask("/v1/driver/heartbeat", &beat)?;
            }
            if dies {
                told.lock().expect("no driver panics").abandoned += 1;
                return Some(());
            }
            let result = json!({"state": "succeeded", "last_log_offset": BATCHES * LINES - 1});
            let report = json!({"report": {"token": token, "result": result}});
            let reported = ask("/v1/driver/report", &report)?;
            let status = &reported.body["outcome"]["status"];
            if status == "accepted" || status == "already" {
                let mut told = told.lock().expect("no driver panics");
                told.succeeded.push(attempt);
            }
        }
    }
    None
}

/// Takes about 20 s.
#[test]
fn what_a_server_acknowledged_stays_when_it_is_killed_again_and_again() {
    let mut site = Site::new(&[("acknowledged.yaml", PIPELINE)]);
    let mut server = site.serve();
    let run = site.start("acknowledged.yaml");
    let (told, count) = (Mutex::default(), AtomicUsize::new(0));
    let over = AtomicBool::new(false);
    let site = &site;
    let (mut kills, mut next) = (0, 0);
    let view = thread::scope(|scope| {
        let drivers = [(); DRIVERS].map(|()| {
            let (told, count, over) = (&told, &count, &over);
            scope.spawn(move || drive(&site.url, told, count, over))
        });
        let began = Instant::now();
        let view = loop {
            // The instant itself is what is tested: some time after the next success. A server that never lives
            // for long ends no lease: it is left alone once most of the attempts were reported.
            thread::sleep(Duration::from_millis(5 + 13 * (kills % 7)));
            let reported = told.lock().expect("no driver panics").succeeded.len();
            assert!(began.elapsed() < STUCK, "{reported} were reported");
            if reported < 30 {
                if reported < next {
                    continue;
                }
                next = reported + 2;
                server.kill();
                server = site.serve_again();
                server.line(&["listening"]);
                kills += 1;
                continue;
            }
            let view = site.show(&run);
            let state = view["state"].as_str().unwrap_or_default();
            if ["succeeded", "failed", "cancelled"].contains(&state) {
                break view;
            }
            assert!(began.elapsed() < STUCK, "it is stuck: {view:#}");
        };
        over.store(true, Ordering::Relaxed);
        for driver in drivers {
            driver.join().expect("no driver panics");
        }
        view
    });
    assert_eq!(view["state"], "succeeded", "{view:#}");
    let told = told.into_inner().expect("no driver panics");
    assert!(
        kills > 3 && told.abandoned > 2,
        "{kills} kills of the server, {} dead drivers: this proves little",
        told.abandoned
    );
    // Once more, so that what is told is what is durable.
    server.kill();
    let mut again = site.serve_again();
    again.line(&["listening"]);
    let log = site.conveyor(&["logs", &run, "-o", "json"]);
    assert_eq!(log.status, 0, "{}", log.err);
    let mut lines: BTreeMap<Attempt, Vec<String>> = BTreeMap::new();
    for line in log.out.lines() {
        let line: Value = serde_json::from_str(line).expect("it is JSON");
        let number = |name: &str| line[name].as_u64().expect("a number");
        let attempt = (number("instance"), number("attempt"));
        let of = lines.entry(attempt).or_default();
        assert_eq!(number("offset"), of.len() as u64, "{attempt:?}: {line}");
        of.push(line["text"].as_str().expect("a text").to_owned());
    }
    for (attempt, acknowledged) in &told.lines {
        let there = lines.get(attempt).cloned().unwrap_or_default();
        assert!(
            there.len() as u64 >= *acknowledged,
            "{attempt:?}: {there:?}"
        );
        let said: Vec<_> = (0..there.len() as u64)
            .map(|line| text(*attempt, line))
            .collect();
        assert_eq!(there, said, "{attempt:?}");
    }
    assert!(told.succeeded.len() >= 40, "{:?}", told.succeeded);
    for (instance, attempt) in &told.succeeded {
        let attempts = &view["steps"][0]["instances"][*instance as usize]["attempts"];
        let attempts = attempts.as_array().expect("a list");
        assert_eq!(attempts.len() as u64, *attempt, "the last one: {view:#}");
        assert_eq!(
            attempts[attempts.len() - 1]["state"],
            "succeeded",
            "{view:#}"
        );
    }
}
