//! Server-sent log lines of many attempts: whoever comes back has each line once.

use crate::polled::{Polling, report};
use crate::program::conveyor;
use crate::rest::{http, post};
use crate::serve::GATED;
use crate::site::Site;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

/// One event.
#[derive(Clone, Debug, Default, PartialEq)]
struct Event {
    kind: String,
    id: Option<String>,
    data: Value,
}

/// Reads a stream after an id, until an event is the last that is wanted.
fn read(site: &Site, path: &str, after: &str, last: impl Fn(&Event) -> bool) -> Vec<Event> {
    let address = site.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("the server answers");
    let header = match after {
        "" => String::new(),
        after => format!("last-event-id: {after}\r\n"),
    };
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: {address}\r\n{header}\r\n"
    )
    .expect("it is sent");
    let (mut events, mut event) = (Vec::new(), Event::default());
    for line in BufReader::new(stream).lines() {
        let line = line.expect("it is read");
        if let Some(kind) = line.strip_prefix("event: ") {
            event.kind = kind.to_owned();
        } else if let Some(id) = line.strip_prefix("id: ") {
            event.id = Some(id.to_owned());
        } else if let Some(data) = line.strip_prefix("data: ") {
            event.data = serde_json::from_str(data).expect("it is JSON");
        } else if line.is_empty() && !event.kind.is_empty() {
            let done = last(&event);
            events.push(std::mem::take(&mut event));
            if done {
                return events;
            }
        }
    }
    panic!("it ended early: {events:#?}");
}

/// What a line says, with the attempt that says it.
fn said(event: &Event) -> Option<String> {
    let id = &event.data["id"];
    let text = event.data["text"].as_str()?;
    (event.kind == "line").then(|| {
        format!(
            "{}.{}.{}: {text}",
            id["step"], id["instance"], id["attempt"]
        )
    })
}

fn lines(site: &Site, task: &Value, first: u64, texts: &[&str]) {
    let lines: Vec<_> = texts.iter().map(|text| json!({"text": text})).collect();
    let logs = json!({"logs": {"token": task["token"], "first_offset": first, "lines": lines}});
    let kept = post(site, "/v1/driver/logs", &logs);
    let next = first + texts.len() as u64;
    assert_eq!(
        kept.body["acknowledgement"]["next_offset"], next,
        "{}",
        kept.body
    );
}

#[test]
fn a_reader_of_many_logs_comes_back_after_any_line() {
    let document = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: wide}
spec:
  steps:
    - id: wide
      driver: exec
      retry: {attempts: 2, backoff: {initial: 1ms}}
      matrix: {axes: {n: [1, 2, 3]}}
      with: {run: x}
";
    let mut site = Site::new(&[("wide.yaml", document)]);
    let _server = site.serve();
    let driver = Polling::register(&site);
    let run = site.start("wide.yaml");
    let path = format!("/v1/runs/{run}/logs");
    let tasks: Vec<Value> = ["one", "two", "three"]
        .map(|request| driver.take(request))
        .into();
    // Live: what came first, then what comes while it is read.
    lines(&site, &tasks[0], 0, &["a", "b"]);
    lines(&site, &tasks[2], 0, &["c"]);
    let live = std::thread::scope(|scope| {
        let reader = scope.spawn(|| read(&site, &path, "", |event| event.kind == "end"));
        let early = read(&site, &path, "", |event| {
            said(event).is_some_and(|line| line.ends_with('c'))
        });
        assert_eq!(early.iter().filter_map(said).count(), 3, "{early:#?}");
        let failed = json!({"state": "failed", "last_log_offset": 1, "failure": {"code": "no", "message": "no"}});
        assert_eq!(report(&site, &tasks[0]["token"], &failed), "accepted");
        let again = driver.take("four");
        lines(&site, &again, 0, &["d"]);
        lines(&site, &tasks[1], 0, &["e", "f", "g"]);
        lines(&site, &tasks[2], 1, &["h"]);
        for (task, last) in [(&again, 0), (&tasks[1], 2), (&tasks[2], 1)] {
            let done = json!({"state": "succeeded", "last_log_offset": last});
            assert_eq!(report(&site, &task["token"], &done), "accepted");
        }
        reader.join().expect("it ends")
    });
    let all = read(&site, &path, "", |event| event.kind == "end");
    for events in [&live, &all] {
        let texts: Vec<_> = events.iter().filter_map(said).collect();
        assert_eq!(texts.len(), 8, "{texts:#?}");
        for (at, event) in events.iter().enumerate() {
            let Some(id) = &event.id else {
                assert_eq!(event.kind, "end", "{event:?}");
                continue;
            };
            let rest = read(&site, &path, id, |event| event.kind == "end");
            let mut together: Vec<_> = events[..=at].iter().chain(&rest).filter_map(said).collect();
            let mut whole = texts.clone();
            together.sort();
            whole.sort();
            assert_eq!(together, whole, "after {id}");
        }
    }
    // One attempt alone, and one step of which nothing is left.
    let one = format!("{path}?step=wide&instance=1");
    let events = read(&site, &one, "", |event| event.kind == "end");
    let second = events[0].id.clone().expect("it has an id");
    let rest = read(&site, &one, &second, |event| event.kind == "end");
    assert_eq!(rest.iter().filter_map(said).count(), 2, "{rest:#?}");
    let over = all
        .iter()
        .rev()
        .find_map(|event| event.id.clone())
        .expect("an id");
    let nothing = read(&site, &path, &over, |event| event.kind == "end");
    assert_eq!(nothing.len(), 1, "{nothing:#?}");
    for (after, status, words) in [
        ("7", 400, "no cursor"),
        ("0000a0b1;99;0-1;98:1", 400, "of another run"),
    ] {
        let path = format!("{path}?after={after}");
        let refused = http(&site.url, "GET", &path, "", "");
        assert_eq!(refused.status, status, "{}", refused.body);
        let detail = refused.body["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(words), "{detail}");
    }
}

/// All lines of a stream that ends by itself.
fn lines_of(site: &Site, path: &str) -> Vec<String> {
    let address = site.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("the server answers");
    let head = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("it is sent");
    let lines = BufReader::new(stream).lines();
    lines.map(|line| line.expect("it is read")).collect()
}

/// Where lines begin so.
fn starting(lines: &[String], with: &str) -> Vec<usize> {
    let lines = lines.iter().enumerate();
    let such = lines.filter(|(_, line)| line.starts_with(with));
    such.map(|(at, _)| at).collect()
}

#[test]
fn a_reader_of_a_namespace_comes_back_after_any_event() {
    let document = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: quick, labels: {team: web}}
spec: {steps: [{id: a, transform: {x: 1}}]}
";
    let mut site = Site::new(&[("quick.yaml", document)]);
    let mut server = site.serve();
    let run = site.start("quick.yaml");
    let path = "/v1/events?from_oldest=true";
    let ended = |event: &Event| event.data["run"]["state"] == "succeeded";
    let live = read(&site, path, "", ended);
    for event in &live {
        assert_eq!(event.kind, "event", "{event:?}");
        assert_eq!(
            event.id.as_deref(),
            event.data["cursor"].as_str(),
            "{event:?}"
        );
        assert_eq!(event.data["namespace"], "default");
        assert_eq!(event.data["run"]["id"], run.as_str());
        assert_eq!(event.data["run"]["labels"]["team"], "web");
    }
    assert_eq!(live[0].data["run_event"]["run_changed"]["from"], "queued");
    server.kill();
    let _server = site.serve();
    for (at, event) in live[..live.len() - 1].iter().enumerate() {
        let id = event.id.as_ref().expect("it has one");
        let rest = read(&site, path, id, ended);
        assert_eq!(rest, live[at + 1..], "after {id}");
    }
    // The one word before all is an id without data.
    let of_state = "/v1/events?from_oldest=true&until_now=true&states=succeeded&labels=team=web";
    let lines = lines_of(&site, of_state);
    let (ids, events) = (starting(&lines, "id: "), starting(&lines, "event: "));
    assert_eq!((ids.len(), events.len()), (2, 1), "{lines:#?}");
    assert!(ids[0] < events[0], "{lines:#?}");
    let malformed = http(&site.url, "GET", "/v1/events?cursor=17.2", "", "");
    assert_eq!(
        (malformed.status, &malformed.body["code"]),
        (400, &json!("invalid_argument"))
    );
    let gap = http(
        &site.url,
        "GET",
        "/v1/events?cursor=1.2.0.00000000-0.00000000",
        "",
        "",
    );
    assert_eq!(
        (gap.status, &gap.body["code"]),
        (410, &json!("gap")),
        "{}",
        gap.body
    );
    let oldest = gap.body["errors"][0]["allowed"][0]
        .as_str()
        .expect("a cursor");
    let again = read(&site, &format!("/v1/events?cursor={oldest}"), "", ended);
    assert_eq!(again, live);
    let said = conveyor(
        site.dir.path(),
        &["events", "--data-dir", "data", "--state", "succeeded"],
    );
    assert_eq!(said.status, 0, "{}", said.err);
    let line = said.out.trim_end();
    assert!(line.contains(&format!("run {run} of quick ")), "{line}");
    assert!(line.ends_with("succeeded"), "{line}");
    let after = live[0].id.as_deref().expect("it has one");
    let said = conveyor(
        site.dir.path(),
        &[
            "events",
            "--data-dir",
            "data",
            "--after",
            after,
            "-o",
            "json",
        ],
    );
    assert_eq!(said.out.lines().count(), live.len() - 1, "{}", said.out);
}

#[test]
fn an_attempt_says_that_it_runs_and_by_which_version_over_a_restart() {
    let mut site = Site::new(&[("gated.yaml", GATED)]);
    let mut server = site.serve();
    let _driver = site.driver();
    let run = site.start("gated.yaml");
    let path = format!("/v1/runs/{run}");
    // The first line of its log: it runs.
    read(&site, &format!("{path}/logs"), "", |event| {
        event.kind == "line"
    });
    let attempt = |site: &Site| {
        let run = http(&site.url, "GET", &path, "", "").body;
        run["steps"][0]["instances"][0]["attempts"][0].clone()
    };
    let before = attempt(&site);
    assert_eq!(before["state"], "running", "{before}");
    let version = before["driver_version"].as_str().expect("a version");
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    let shown = site.show(&run)["steps"][0]["instances"][0]["attempts"][0].clone();
    assert_eq!(
        (&shown["state"], &shown["driver_version"]),
        (&json!("running"), &json!(version))
    );
    server.kill();
    let _server = site.serve();
    assert_eq!(attempt(&site)["state"], "running");
    assert_eq!(attempt(&site)["driver_version"], version);
    std::fs::write(site.dir.path().join("go"), "").expect("it is writable");
    site.ended(&run);
    let after = attempt(&site);
    assert_eq!(after["state"], "succeeded", "{after}");
    assert_eq!(after["driver_version"], version);
    assert_eq!(after["last_log_offset"], 1, "{after}");
}

#[test]
fn a_server_plans_by_the_drivers_that_it_knows() {
    let document = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: greet}
spec:
  steps:
    - id: greet
      driver: exec
      with: {nothing: true}
";
    let good = document.replace("{nothing: true}", "{run: 'true'}");
    let mut site = Site::new(&[("bad.yaml", document), ("good.yaml", &good)]);
    let _server = site.serve();
    let yaml = "application/yaml";
    let before = http(&site.url, "POST", "/v1/plan", yaml, document);
    let plan = |file: &str| {
        let server = ["--server", site.url.as_str()];
        conveyor(site.dir.path(), &[&["plan", file][..], &server].concat())
    };
    // Nobody has registered the driver yet.
    assert_eq!(before.status, 200, "{}", before.body);
    assert_eq!(
        before.body["diagnostics"][0]["code"], "unknown_driver",
        "{}",
        before.body
    );
    assert_eq!(plan("bad.yaml").status, 0);
    let _driver = site.driver();
    let after = http(&site.url, "POST", "/v1/plan", yaml, document);
    assert_eq!(after.status, 422, "{}", after.body);
    let applied = http(&site.url, "POST", "/v1/pipelines", yaml, document);
    assert_eq!(after.body, applied.body);
    let refused = plan("bad.yaml");
    assert_eq!(refused.status, 2, "{}", refused.out);
    assert!(refused.err.contains("bad.yaml:8:"), "{}", refused.err);
    let planned = plan("good.yaml");
    assert_eq!((planned.status, planned.err.as_str()), (0, ""));
    let offline = conveyor(site.dir.path(), &["plan", "good.yaml"]);
    assert_eq!(planned.out, offline.out, "a server says the same");
}
