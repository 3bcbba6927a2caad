//! How a server listens, and what it says of it.

use crate::auth::with_tls;
use crate::http;
use crate::site::{Background, Site};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

#[test]
fn an_address_that_others_reach_is_warned_of_at_every_start() {
    let mut site = Site::new(&[]);
    for start in ["the first", "the second"] {
        site.url = "http://0.0.0.0:0".to_owned();
        let mut server = site.serve_with("data", &["--insecure"]);
        server.line(&["WARN", "--insecure", "whoever reaches 0.0.0.0"]);
        // By this machine's own address alone.
        let own = site.url.replace("0.0.0.0", "127.0.0.1");
        let told = http::text(&own, "/v1/runs").expect("it is answered");
        assert_eq!(told.0, 200, "{start}: {}", told.1);
    }
}

#[test]
fn a_log_in_json_is_one_object_a_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_conveyor"));
    command
        .args(["serve", "--data-dir", "data", "--listen", "127.0.0.1:0"])
        .args(["--log-format", "json"])
        .env("CONVEYOR_NOTHING", "1")
        .current_dir(dir.path());
    let mut server = Background::start(&mut command);
    server.line(&["listening"]);
    server.signal(Signal::TERM);
    assert_eq!(server.end(), 0);
    let said = server.rest();
    let lines = said.lines().map(|line| {
        let line: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for field in ["timestamp", "level"] {
            assert!(line[field].is_string(), "{field}: {line}");
        }
        assert!(line["fields"]["message"].is_string(), "{line}");
        line
    });
    let lines: Vec<_> = lines.collect();
    let of = |words: &str| {
        let mut found = lines.iter().filter(|line| {
            let message = line["fields"]["message"].as_str();
            message.is_some_and(|message| message.contains(words))
        });
        found
            .next()
            .unwrap_or_else(|| panic!("no {words:?}: {said}"))
    };
    let listening = of("listening");
    assert_eq!(listening["level"], "INFO", "{listening}");
    for field in ["url", "socket", "data_dir", "version"] {
        assert!(
            listening["fields"][field].is_string(),
            "{field}: {listening}"
        );
    }
    assert_eq!(of("CONVEYOR_NOTHING is no setting")["level"], "WARN");
    assert_eq!(of("told to end")["fields"]["drain_s"], 30);
    of("ended: no run is live");
}

/// A request of whoever has the certificate `ci`: the status and the body.
fn curl(dir: &Path, args: &[&str]) -> (u16, String) {
    let output = Command::new("curl")
        .args(["-sSN", "--cacert", "ca.pem", "--cert", "ci.pem"])
        .args(["--key", "ci.key", "-w", "\n%{http_code}"])
        .args(args)
        .current_dir(dir)
        .output()
        .expect("this test needs the program `curl`");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let (body, status) = text.rsplit_once('\n').expect("it has a status");
    let err = String::from_utf8_lossy(&output.stderr);
    let status = status.parse().unwrap_or_else(|_| panic!("{text}{err}"));
    (status, body.to_owned())
}

#[test]
fn rest_and_events_come_by_tls_and_a_certificate_does_what_its_scope_may() {
    let (site, _server, authority) = with_tls(&[
        "--tls-client-ca",
        "ca.pem",
        "--client-name",
        "ci.example.com=client",
    ]);
    let dir = site.dir.path();
    authority.sign(dir, "ci", "ci.example.com");
    let at = |path: &str| format!("{}{path}", site.url);
    let post = |path: &str, body: &Value| {
        let body = body.to_string();
        curl(dir, &["--json", &body, &at(path)])
    };
    let document = "name: one\nsteps:\n  - {id: a, name: a, transform: {x: 1}}\n";
    let start = json!({"document": {"source": document, "file_name": "one.yaml"}});
    let (status, body) = post("/v1/runs?wait=30s", &start);
    assert_eq!(status, 200, "{body}");
    let started: Value = serde_json::from_str(&body).expect("it is JSON");
    assert_eq!(started["run"]["state"], "succeeded", "{body}");
    assert_eq!(
        started["run"]["actor"], "certificate ci.example.com",
        "{body}"
    );
    let (status, events) = curl(dir, &[&at("/v1/runs/latest/events")]);
    assert_eq!(status, 200, "{events}");
    assert!(events.starts_with(": connected"), "{events}");
    assert!(
        events.contains("event: event") && events.contains("event: end"),
        "{events}"
    );
    // A browser shows its user's certificate for a page as well, which nobody asked to start anything.
    let (status, page) = curl(
        dir,
        &["-H", "origin: https://evil.example", &at("/v1/runs")],
    );
    assert_eq!(status, 403, "{page}");
    assert!(page.contains("https://evil.example"), "{page}");
    let namespace = json!({"namespace": {"metadata": {"name": "team-a"}}});
    let (status, refused) = post("/v1/namespaces", &namespace);
    assert_eq!(status, 403, "{refused}");
    assert!(refused.contains("`admin`"), "{refused}");
}

#[test]
fn pages_are_refused_on_every_address_and_by_every_method() {
    let (tls, _tls_server, _) = with_tls(&[]);
    let mut open = Site::new(&[]);
    open.url = "http://0.0.0.0:0".to_owned();
    let _open_server = open.serve_with("data", &["--insecure"]);
    let mut own = Site::new(&[]);
    let _own_server = own.serve();
    // None has a certificate of its own: the authority's file is for the one with TLS.
    for (site, url) in [
        (&tls, tls.url.clone()),
        (&open, open.url.replace("0.0.0.0", "127.0.0.1")),
        (&own, own.url.clone()),
    ] {
        let curl = |args: &[&str]| {
            let mut command = Command::new("curl");
            if site.dir.path().join("ca.pem").exists() {
                command.args(["--cacert", "ca.pem"]);
            }
            let output = command
                .args(["-sS", "-o", "answer", "-w", "%{http_code}"])
                .args(args)
                .current_dir(site.dir.path())
                .output()
                .expect("this test needs the program `curl`");
            // Why it had no answer, where it had none.
            let all = [output.stdout, output.stderr].concat();
            String::from_utf8_lossy(&all).into_owned()
        };
        for path in ["/v1/runs", "/healthz", "/metrics"] {
            let at = format!("{url}{path}");
            assert_eq!(curl(&[&at]), "200", "{at}");
            let page = ["-H", "origin: https://evil.example", &at];
            assert_eq!(curl(&page), "403", "{at}");
            // A page of the very address is a page as well, and so is one that has no name.
            for origin in [format!("origin: {url}"), "origin: null".to_owned()] {
                assert_eq!(curl(&["-H", &origin, &at]), "403", "{origin} {at}");
            }
        }
        let start = format!("{url}/v1/runs");
        let posted = ["-H", "origin: https://evil.example", "--json", "{}", &start];
        // However the body and the answer pass each other: HTTP/2 resets no stream behind an answer.
        for _ in 0..20 {
            assert_eq!(curl(&posted), "403", "{start}");
        }
        // What a browser asks before it sends such a thing.
        let asked = [
            "-X",
            "OPTIONS",
            "-H",
            "origin: https://evil.example",
            &start,
        ];
        assert_eq!(curl(&asked), "403", "{start}");
    }
}
