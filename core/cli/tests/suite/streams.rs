//! Server-sent log lines of many attempts: whoever comes back has each line once.

use crate::rest::{Polling, http, post, report};
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
        ("99;0-1;98:1", 400, "of another run"),
    ] {
        let path = format!("{path}?after={after}");
        let refused = http(&site.url, "GET", &path, "", "");
        assert_eq!(refused.status, status, "{}", refused.body);
        let detail = refused.body["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(words), "{detail}");
    }
}
