//! Who follows a run while its server ends, or its network breaks: each event and each line comes once.

use crate::http;
use crate::proxy::Proxy;
use crate::serve::GATED;
use crate::site::{Background, PATIENCE, Site};
use crate::tally;
use conveyor_sdk::{Client, ClientOptions, v1};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// `conveyor` that follows something, with what it says in files. Killed with the value.
struct Follower {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Follower {
    fn start(site: &Site, name: &str, args: &[&str]) -> Follower {
        let file = |kind: &str| site.dir.path().join(format!("{name}.{kind}"));
        let (out, err) = (file("out"), file("err"));
        let create = |path: &PathBuf| File::create(path).expect("it is writable");
        let child = Command::new(env!("CARGO_BIN_EXE_conveyor"))
            .args(args)
            .args(["--server", &site.url])
            .env("NO_COLOR", "1")
            .current_dir(site.dir.path())
            .stdin(Stdio::null())
            .stdout(create(&out))
            .stderr(create(&err))
            .spawn()
            .expect("the program starts");
        Follower { child, out, err }
    }

    fn out(&self) -> String {
        std::fs::read_to_string(&self.out).expect("it is there")
    }

    fn err(&self) -> String {
        std::fs::read_to_string(&self.err).expect("it is there")
    }

    /// Waits until it has said something.
    fn until(&self, words: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.out().contains(words) && !self.err().contains(words) {
            assert!(
                Instant::now() < deadline,
                "no {words}: {} {}",
                self.out(),
                self.err()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Its exit status, once it has ended.
    fn end(&mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status.code().expect("no signal ended it");
            }
            assert!(Instant::now() < deadline, "it did not end: {}", self.err());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ends a server, by force or not.
fn stop(server: &mut Background, signal: Signal) {
    server.signal(signal);
    if signal == Signal::KILL {
        server.child.wait().expect("it ends");
    } else {
        assert_eq!(server.end(), 0);
    }
}

#[test]
fn logs_and_events_are_followed_over_a_server_that_is_started_again() {
    for signal in [Signal::KILL, Signal::TERM] {
        let mut site = Site::new(&[("gated.yaml", GATED)]);
        let mut server = site.serve();
        let _driver = site.driver();
        let run = site.start("gated.yaml");
        let mut logs = Follower::start(&site, "logs", &["logs", &run, "-f"]);
        let mut events = Follower::start(&site, "events", &["events", &run, "-f", "-o", "json"]);
        logs.until("begun");
        events.until("attempt_claimed");
        stop(&mut server, signal);
        logs.until("does not answer");
        events.until("does not answer");
        std::fs::write(site.dir.path().join("go"), "").expect("it is writable");
        let _server = site.serve();
        assert_eq!(logs.end(), 0, "{}", logs.err());
        assert_eq!(events.end(), 0, "{}", events.err());
        for err in [logs.err(), events.err()] {
            assert_eq!(err.matches("does not answer").count(), 1, "{err}");
            assert_eq!(err.matches("is back").count(), 1, "{err}");
        }
        assert_eq!(logs.out(), "first | begun\nfirst | done\nsecond | second\n");
        let all = site.conveyor(&["events", &run, "-o", "json"]);
        assert_eq!(events.out(), all.out);
        // From an offset on, as `events` from an event on.
        let args = ["logs", &run, "first", "--attempt", "1", "--after", "0"];
        let rest = site.conveyor(&args);
        assert_eq!(rest.out, "done\n", "{}", rest.err);
        let unclear = site.conveyor(&["logs", &run, "first", "--after", "0"]);
        assert_eq!(unclear.status, 2);
        assert!(unclear.err.contains("--attempt"), "{}", unclear.err);
    }
}

#[test]
fn all_runs_are_followed_over_a_server_that_is_started_again() {
    for signal in [Signal::KILL, Signal::TERM] {
        let mut site = Site::new(&[("gated.yaml", GATED)]);
        let mut server = site.serve();
        let _driver = site.driver();
        let follow = ["events", "--follow", "--all", "-o", "json"];
        let mut feed = Follower::start(&site, "feed", &follow);
        let run = site.start("gated.yaml");
        feed.until("\"to\":\"running\"");
        stop(&mut server, signal);
        feed.until("does not answer");
        std::fs::write(site.dir.path().join("go"), "").expect("it is writable");
        let mut server = site.serve();
        feed.until("is back");
        site.ended(&run);
        feed.until("\"to\":\"succeeded\"");
        let all = site.conveyor(&["events", "-o", "json"]);
        assert_eq!(feed.out(), all.out, "{}", all.err);
        let err = feed.err();
        assert_eq!(err.matches("does not answer").count(), 1, "{err}");
        stop(&mut server, signal);
        kill_process(Pid::from_child(&feed.child), Signal::INT).expect("it is there");
        assert!(feed.child.wait().expect("it ends").code() != Some(0));
    }
}

#[test]
fn a_run_that_was_started_is_shown_over_a_server_that_is_started_again() {
    for signal in [Signal::KILL, Signal::TERM] {
        let mut site = Site::new(&[("gated.yaml", GATED)]);
        let mut server = site.serve();
        let _driver = site.driver();
        let start = ["start", "-f", "gated.yaml", "--follow"];
        let mut started = Follower::start(&site, "start", &start);
        started.until("begun");
        stop(&mut server, signal);
        started.until("does not answer");
        std::fs::write(site.dir.path().join("go"), "").expect("it is writable");
        let _server = site.serve();
        assert_eq!(started.end(), 0, "{}", started.err());
        let err = started.err();
        assert!(!err.contains("--continue"), "{err}");
        for said in [
            "| begun",
            "| done",
            "| second",
            "does not answer",
            "is back",
        ] {
            assert_eq!(err.matches(said).count(), 1, "{said}: {err}");
        }
    }
}

#[test]
fn who_follows_a_server_that_is_away_leaves_with_ctrl_c() {
    let mut site = Site::new(&[("gated.yaml", GATED)]);
    let mut server = site.serve();
    let _driver = site.driver();
    let start = ["start", "-f", "gated.yaml", "--follow"];
    let mut started = Follower::start(&site, "start", &start);
    started.until("begun");
    server.kill();
    started.until("does not answer");
    kill_process(Pid::from_child(&started.child), Signal::INT).expect("it is there");
    assert_eq!(started.end(), 3, "{}", started.err());
    let err = started.err();
    assert!(err.contains("goes on with the server"), "{err}");
    // It was not cancelled.
    std::fs::write(site.dir.path().join("go"), "").expect("it is writable");
    let _server = site.serve();
    assert_eq!(site.ended("latest")["state"], "succeeded");
}

#[test]
fn followers_hold_up_no_server_that_ends_and_are_told_why() {
    let config = "[connections]\ngoodbye = \"10m\"\n";
    let mut site = Site::new(&[("gated.yaml", GATED), ("conveyor.toml", config)]);
    let mut server = site.serve_with("data", &["--config", "conveyor.toml"]);
    let _driver = site.driver();
    let run = site.start("gated.yaml");
    let follower = Follower::start(&site, "logs", &["logs", &run, "-f"]);
    follower.until("begun");
    let connected = Arc::new(AtomicUsize::new(0));
    let followers = ["events", "logs"].map(|what| {
        let (url, path) = (site.url.clone(), format!("/v1/runs/{run}/{what}"));
        let connected = Arc::clone(&connected);
        thread::spawn(move || {
            let mut last = http::Sent::default();
            let whole = http::events(&url, &path, None, |event| {
                if last.kind.is_empty() {
                    connected.fetch_add(1, Ordering::Relaxed);
                }
                last = event;
                false
            });
            assert!(matches!(whole, Ok(false)), "it was cut off: {whole:?}");
            last
        })
    });
    let deadline = Instant::now() + PATIENCE;
    while connected.load(Ordering::Relaxed) < 2 {
        assert!(Instant::now() < deadline, "not all are connected");
        thread::sleep(Duration::from_millis(20));
    }
    server.signal(Signal::TERM);
    // Far less than the ten minutes that connections have.
    assert_eq!(server.end(), 0);
    for last in followers.map(|follower| follower.join().expect("no panic")) {
        assert_eq!(last.kind, "error", "{last:?}");
        assert_eq!(last.data["status"], 503, "{last:?}");
        assert!(last.id.is_empty(), "{last:?}");
    }
    follower.until("does not answer");
}

/// Twenty steps, four at once, that say fifty lines each.
const TALKING: &str = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: talking}
spec:
  steps:
    - id: talk
      driver: exec
      foreach: {items: '${{ lists.range(20) }}', max_parallel: 4}
      with: {run: 'n=0; while [ $n -lt 50 ]; do echo $CONVEYOR_INSTANCE $n; n=$((n+1)); sleep 0.01; done'}
";

/// What was said, in the order of instances and offsets.
fn talk() -> Vec<(u64, u64, String)> {
    let all = (0..20).flat_map(|one| (0..50).map(move |line| (one, line)));
    all.map(|(one, line)| (one, line, format!("{one} {line}")))
        .collect()
}

/// Follows server-sent events over as many connections as it takes.
fn over_connections(url: &str, path: &str, kind: &str) -> (Vec<http::Sent>, usize) {
    let (mut seen, mut last): (Vec<http::Sent>, Option<String>) = (Vec::new(), None);
    let deadline = Instant::now() + PATIENCE;
    let mut connections = 0;
    loop {
        connections += 1;
        let done = http::events(url, path, last.clone().as_deref(), |event| {
            if event.kind == "end" {
                return true;
            }
            assert!(!event.id.is_empty(), "{event:?}");
            last = Some(event.id.clone());
            if event.kind == kind {
                seen.push(event);
            }
            false
        });
        if matches!(done, Ok(true)) {
            return (seen, connections);
        }
        assert!(Instant::now() < deadline, "it does not end");
    }
}

#[test]
fn followers_behind_a_network_that_is_cut_again_and_again_see_each_event_and_line_once() {
    let mut site = Site::new(&[("talking.yaml", TALKING)]);
    let _server = site.serve();
    let _driver = site.driver();
    let proxy = Proxy::new(&site.url);
    let run = site.start("talking.yaml");
    let (url, run) = (proxy.url(), run.as_str());
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let sse = |what: &'static str, kind: &'static str| {
            let url = url.clone();
            let path = format!("/v1/runs/{run}/{what}");
            scope.spawn(move || over_connections(&url, &path, kind))
        };
        let (events, lines) = (sse("events", "event"), sse("logs", "line"));
        let sdk = scope.spawn(|| sdk(&url, run));
        let cutter = scope.spawn(|| {
            let (mut cuts, began) = (0, Instant::now());
            while !over.load(Ordering::Relaxed) && began.elapsed() < PATIENCE {
                // The instant itself is what is tested.
                thread::sleep(Duration::from_millis(41 * (1 + cuts % 5)));
                proxy.cut();
                cuts += 1;
            }
            cuts
        });
        site.ended(run);
        over.store(true, Ordering::Relaxed);
        let cuts = cutter.join().expect("no panic");
        let (events, connected) = events.join().expect("they end");
        assert!(connected > 3, "only {connected} connections");
        let (lines, connected) = lines.join().expect("they end");
        assert!(connected > 3, "only {connected} connections");
        let (sdk_events, sdk_lines) = sdk.join().expect("they end");
        let all = site.conveyor(&["events", run, "-o", "json"]);
        let id = |event: &Value| event["id"].as_str().expect("it has an id").to_owned();
        let ids: Vec<_> = all
            .out
            .lines()
            .map(|line| id(&serde_json::from_str(line).expect("it is JSON")))
            .collect();
        let seen: Vec<_> = events.iter().map(|event| id(&event.data)).collect();
        assert_eq!(seen, ids);
        assert_eq!(sdk_events, ids);
        let line = |event: &http::Sent| {
            let number = |value: &Value| value.as_u64().expect("a number");
            let instance = number(&event.data["id"]["instance"]);
            let text = event.data["text"].as_str().expect("a text").to_owned();
            (instance, number(&event.data["offset"]), text)
        };
        let mut lines: Vec<_> = lines.iter().map(line).collect();
        lines.sort();
        assert_eq!(lines, talk());
        assert_eq!(sdk_lines, talk());
        const TEST: &str = "followers behind a network that is cut";
        tally::done(TEST, "times all connections were cut", cuts as usize);
        tally::held(TEST, "each event and each line was seen once, in order");
    });
}

async fn connect(url: &str) -> Client {
    let options = ClientOptions {
        url: Some(url.to_owned()),
        patience: PATIENCE,
        ..ClientOptions::default()
    };
    Client::open(options).await.expect("the server answers")
}

/// Ids of the events, and the lines, as the SDK tells them.
fn sdk(url: &str, run: &str) -> (Vec<String>, Vec<(u64, u64, String)>) {
    crate::raw::talk(async {
        let run = connect(url).await.run(run);
        let (mut events, mut logs) = (run.events(), run.logs());
        let events = async {
            let mut ids = Vec::new();
            while let Some(event) = events.next().await {
                ids.push(event.expect("it is told").id);
            }
            ids
        };
        let lines = async {
            let mut lines = Vec::new();
            while let Some(record) = logs.next().await {
                lines.push(said(&record.expect("it is told")));
            }
            lines.sort();
            lines
        };
        tokio::join!(events, lines)
    })
}

fn said(record: &v1::LogRecord) -> (u64, u64, String) {
    let instance = record.id.as_ref().map_or(0, |id| id.instance);
    let text = String::from_utf8_lossy(&record.text).into_owned();
    (instance.into(), record.offset, text)
}

/// Four steps that say 10,000 lines each.
const LONG: &str = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: long}
spec:
  steps:
    - id: talk
      driver: exec
      foreach: {items: '${{ lists.range(4) }}'}
      with: {run: 'seq -f \"%0100g\" 10000'}
";

#[test]
fn what_a_client_has_of_many_logs_is_not_read_again_when_its_connection_breaks() {
    let mut site = Site::new(&[("long.yaml", LONG)]);
    let _server = site.serve();
    let _driver = site.driver();
    let run = site.start("long.yaml");
    site.ended(&run);
    let proxy = Proxy::new(&site.url);
    crate::raw::talk(async {
        let run = connect(&proxy.url()).await.run(run);
        let mut whole = run.logs();
        let mut count = 0;
        while let Some(record) = whole.next().await {
            record.expect("it is told");
            count += 1;
        }
        assert_eq!(count, 40_000);
        let once = proxy.bytes();
        let mut logs = run.logs();
        for _ in 0..30_000 {
            logs.next().await.expect("it goes on").expect("it is told");
        }
        proxy.cut();
        let before = proxy.bytes();
        let mut count = 30_000;
        while let Some(record) = logs.next().await {
            record.expect("it is told");
            count += 1;
        }
        assert_eq!(count, 40_000);
        let again = proxy.bytes() - before;
        assert!(again < once / 2, "{again} of {once} bytes");
    });
}
