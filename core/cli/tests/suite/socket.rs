//! The Unix socket of a data directory answers what an address does: REST, events, health, figures.

use crate::rest::{get, parts};
use crate::site::Site;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;

/// One request by the socket, as `curl --unix-socket` sends it: the status, the head and the body.
fn by_socket(site: &Site, method: &str, path: &str, body: &str) -> (u16, String, String) {
    let socket = site.dir.path().join("data/control.sock");
    let mut stream = UnixStream::connect(socket).expect("the server answers");
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .expect("it is sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it is read");
    let (status, head, body) = parts(&text);
    (status, head, body.to_owned())
}

#[test]
fn what_an_address_answers_comes_by_the_socket_too() {
    let mut site = Site::new(&[]);
    // Whoever comes by the socket is the server's own user, and shows no token.
    let _server = site.serve_with("data", &["--auth-required"]);
    let socket = site.dir.path().join("data/control.sock");
    let mode = std::fs::metadata(&socket)
        .expect("it is there")
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    assert_eq!(get(&site, "/v1/runs").status, 401, "the address asks");

    let document = "name: one\nsteps:\n  - {id: a, name: a, transform: {x: 1}}\n";
    let start = json!({"document": {"source": document, "file_name": "one.yaml"}});
    let (status, head, body) = by_socket(&site, "POST", "/v1/runs?wait=30s", &start.to_string());
    assert_eq!(status, 200, "{head}\n{body}");
    let started: Value = serde_json::from_str(&body).expect("it is JSON");
    assert_eq!(started["run"]["state"], "succeeded", "{body}");
    let run = started["run"]["id"].as_str().expect("it has an id");

    let (status, head, events) = by_socket(&site, "GET", &format!("/v1/runs/{run}/events"), "");
    assert_eq!(status, 200, "{head}");
    assert!(head.contains("text/event-stream"), "{head}");
    assert!(events.contains(": connected"), "{events}");
    let has = |words: &str| events.contains(words);
    assert!(
        has("id: ") && has("event: event") && has("event: end"),
        "{events}"
    );

    for (path, words) in [
        ("/healthz", ""),
        ("/readyz", ""),
        (
            "/metrics",
            "conveyor_runs_ended_total{state=\"succeeded\"} 1",
        ),
        ("/v1/openapi.json", "\"openapi\": \"3.1."),
    ] {
        let (status, head, body) = by_socket(&site, "GET", path, "");
        assert_eq!(status, 200, "{path}: {head}\n{body}");
        assert!(body.contains(words), "{path}: {words} is not in {body}");
    }
    let (status, head, body) = by_socket(&site, "GET", "/v1/pipelines/none", "");
    assert_eq!(status, 404, "{body}");
    assert!(head.contains("application/problem+json"), "{head}");
}
