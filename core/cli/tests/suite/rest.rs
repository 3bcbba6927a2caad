//! REST and server-sent events.

use crate::polled::{Polling, report};
use crate::serve::GATED;
use crate::site::Site;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

/// A request of a page, or under a name that somebody gave to this machine's address.
fn foreign(site: &Site, host: &str, more: &str) -> u16 {
    let head = format!(
        "POST /v1/runs/latest/cancel HTTP/1.1\r\nhost: {host}\r\n{more}content-length: 0\r\n"
    );
    exchange(&site.url, &head, "").status
}

#[test]
fn a_page_of_a_browser_is_not_answered() {
    let mut site = Site::new(&[]);
    let _server = site.serve();
    let own = site.url.trim_start_matches("http://").to_owned();
    assert_eq!(foreign(&site, &own, ""), 404, "there is no run yet");
    assert_eq!(foreign(&site, "localhost", ""), 404);
    assert_eq!(
        foreign(&site, &own, "origin: https://evil.example\r\n"),
        403
    );
    assert_eq!(foreign(&site, "evil.example:7420", ""), 403);
}

#[test]
fn a_page_of_an_origin_that_the_configuration_names_is_answered_and_told_that_it_may_read() {
    let portal = "http://portal.test:5173";
    let mut site = Site::new(&[]);
    let config = format!("[cors]\norigins = \"{portal}, https://other.test\"\n");
    std::fs::write(site.dir.path().join("conveyor.toml"), config).expect("it is writable");
    let _server = site.serve_with("data", &["--config", "conveyor.toml"]);
    let host = site.url.trim_start_matches("http://").to_owned();
    let ask = |method: &str, origin: &str, more: &str| {
        let head =
            format!("{method} /v1/runs HTTP/1.1\r\nhost: {host}\r\norigin: {origin}\r\n{more}");
        exchange(&site.url, &head, "")
    };
    let listed = ask("GET", portal, "");
    assert_eq!(listed.status, 200, "{}", listed.body);
    let may = format!("access-control-allow-origin: {portal}");
    assert!(listed.head.contains(&may), "{}", listed.head);
    assert!(
        !listed.head.contains("allow-credentials"),
        "{}",
        listed.head
    );
    let wants = "access-control-request-method: POST\r\n\
                 access-control-request-headers: authorization,content-type,idempotency-key\r\n";
    let preflight = ask("OPTIONS", portal, wants);
    assert_eq!(preflight.status, 200);
    for word in [&*may, "post", "idempotency-key", "authorization"] {
        assert!(preflight.head.contains(word), "{word}: {}", preflight.head);
    }
    for (method, more) in [("GET", ""), ("OPTIONS", wants)] {
        let other = ask(method, "https://evil.example", more);
        assert_eq!(other.status, 403, "{method}");
        assert!(!other.head.contains("access-control"), "{}", other.head);
        let why = other.body["detail"].as_str().unwrap_or_default();
        assert!(why.contains("`cors.origins`"), "{}", other.body);
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Value,
}

/// One request over a connection of its own: its lines as they stand, with their ends, and its body.
pub(crate) fn exchange(url: &str, head: &str, body: &str) -> Answer {
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("the server answers");
    write!(stream, "{head}connection: close\r\n\r\n{body}").expect("it is sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it is read");
    let (status, head, body) = parts(&text);
    Answer {
        status,
        head,
        body: serde_json::from_str(body).unwrap_or(Value::Null),
    }
}

/// The status of an answer, its head in lower case, and its body.
pub(crate) fn parts(text: &str) -> (u16, String, &str) {
    let (head, body) = text.split_once("\r\n\r\n").expect("it has a head");
    let status = head.split(' ').nth(1);
    let status = status.and_then(|status| status.parse().ok());
    let status = status.expect("it has a status");
    (status, head.to_ascii_lowercase(), body)
}

/// A request with a body of a kind.
pub(crate) fn http(url: &str, method: &str, path: &str, kind: &str, body: &str) -> Answer {
    let (host, length) = (url.trim_start_matches("http://"), body.len());
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: {kind}\r\n\
         content-length: {length}\r\n"
    );
    exchange(url, &head, body)
}

pub(crate) fn get(site: &Site, path: &str) -> Answer {
    http(&site.url, "GET", path, "", "")
}

pub(crate) fn post(site: &Site, path: &str, body: &Value) -> Answer {
    http(
        &site.url,
        "POST",
        path,
        "application/json",
        &body.to_string(),
    )
}

#[test]
fn a_pipeline_is_applied_started_and_read_by_rest_alone() {
    let mut site = Site::new(&[]);
    let _server = site.serve();
    let applied = http(
        &site.url,
        "POST",
        "/v1/pipelines",
        "application/yaml",
        GATED,
    );
    assert_eq!(applied.status, 200, "{}", applied.body);
    assert_eq!(applied.body["pipeline"]["metadata"]["name"], "gated");
    let started = post(
        &site,
        "/v1/runs",
        &json!({"stored": {"name": "gated"}, "labels": {"team": "a"}}),
    );
    assert_eq!(started.status, 200, "{}", started.body);
    let run = started.body["run"]["id"]
        .as_str()
        .expect("it has an id")
        .to_owned();
    let listed = get(&site, "/v1/runs?labels=team=a&states=running&page_size=1");
    assert_eq!(listed.body["runs"][0]["id"], json!(run), "{}", listed.body);
    assert_eq!(get(&site, "/healthz").status, 200);
    assert_eq!(get(&site, "/readyz").status, 200);
    let told = get(&site, &format!("/v1/runs/{run}"));
    let waits = &told.body["steps"][0]["waiting_for"][0];
    assert_eq!(waits["driver"]["name"], "exec", "{}", told.body);
    let stopped = post(
        &site,
        &format!("/v1/runs/{run}/cancel"),
        &json!({"reason": "enough"}),
    );
    assert_eq!(
        stopped.body["run"]["state"], "cancelled",
        "{}",
        stopped.body
    );
    let again = post(&site, &format!("/v1/runs/{run}/cancel"), &json!({}));
    assert_ne!(again.body["no_effect"], "", "{}", again.body);
}

#[test]
fn inputs_that_are_none_are_a_problem_at_their_place_in_the_body() {
    let mut site = Site::new(&[]);
    let _server = site.serve();
    let document = "apiVersion: conveyor/v1\nkind: Pipeline\nmetadata: {name: p}\nspec:\n  inputs: {type: object, \
                    properties: {n: {type: string}}}\n  steps: [{id: a, transform: {x: 1}}]\n";
    let body = json!({"document": {"source": document}, "inputs": {"n": 5}});
    let answer = post(&site, "/v1/runs", &body);
    assert_eq!(answer.status, 422, "{}", answer.body);
    assert_eq!(
        answer.body["errors"][0]["pointer"], "/inputs/n",
        "{}",
        answer.body
    );
}

#[test]
fn what_is_wrong_with_a_request_is_a_problem_with_its_place() {
    let mut site = Site::new(&[]);
    let _server = site.serve();
    let wrong = GATED.replace("driver: exec", "drivr: exec");
    let cases = [
        (get(&site, "/v1/nothing"), 404, "not_found", "/v1/nothing"),
        (get(&site, "/v1/pipelines/nope"), 404, "not_found", "nope"),
        (
            get(&site, "/v1/runs?page_sise=3"),
            400,
            "invalid_argument",
            "page_size",
        ),
        (
            get(&site, "/v1/runs?page_size=x"),
            400,
            "invalid_argument",
            "from 0 on",
        ),
        (
            get(&site, "/v1/runs?page_token=%00"),
            400,
            "invalid_argument",
            "",
        ),
        (
            get(&site, "/v1/pipelines?namespace=other"),
            404,
            "not_found",
            "other",
        ),
        (
            post(&site, "/v1/runs", &json!({"storred": {}})),
            400,
            "invalid_argument",
            "`stored`",
        ),
        (
            post(&site, "/v1/runs", &json!([])),
            400,
            "invalid_argument",
            "object",
        ),
        (
            http(&site.url, "POST", "/v1/runs", "text/plain", "x"),
            415,
            "invalid_argument",
            "application/json",
        ),
        (
            http(&site.url, "POST", "/v1/runs", "application/json", "{"),
            400,
            "invalid_argument",
            "no JSON",
        ),
        (
            http(
                &site.url,
                "POST",
                "/v1/pipelines",
                "application/yaml",
                &wrong,
            ),
            422,
            "invalid_argument",
            "no kind",
        ),
        (
            post(
                &site,
                "/v1/namespaces",
                &json!({"namespace": {"metadata": {"name": "No"}}}),
            ),
            400,
            "invalid_argument",
            "No",
        ),
    ];
    for (answer, status, code, words) in cases {
        let body = &answer.body;
        assert_eq!(answer.status, status, "{body}");
        assert!(
            answer.head.contains("application/problem+json"),
            "{}",
            answer.head
        );
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["status"], status, "{body}");
        let detail = body["detail"].as_str().expect("it has a detail");
        assert!(detail.contains(words), "{body}");
    }
    let refused = http(
        &site.url,
        "POST",
        "/v1/pipelines",
        "application/yaml",
        &wrong,
    );
    let first = &refused.body["errors"][0];
    assert_eq!(
        (&first["line"], &first["file_name"]),
        (&json!(3), &json!("request.yaml")),
        "{first}"
    );
    let none = get(&site, "/v1/pipelines");
    assert_eq!(none.body["pipelines"], json!([]), "nothing was stored");
}

#[test]
fn events_come_at_once_and_go_on_after_the_last_one_that_was_seen() {
    let mut site = Site::new(&[("gated.yaml", GATED)]);
    let _server = site.serve();
    let run = site.start("gated.yaml");
    let ids = |after: &str, until: &str| {
        let address = site.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).expect("the server answers");
        write!(
            stream,
            "GET /v1/runs/{run}/events HTTP/1.1\r\nhost: {address}\r\nlast-event-id: {after}\r\n\r\n"
        )
        .expect("it is sent");
        let mut ids = Vec::new();
        for line in BufReader::new(stream).lines() {
            let line = line.expect("it is read");
            if let Some(id) = line.strip_prefix("id: ") {
                ids.push(id.to_owned());
            }
            if line.contains(until) {
                return ids;
            }
        }
        panic!("it ended before {until}: {ids:?}");
    };
    let connected = ids("", ": connected");
    assert!(connected.is_empty());
    let driver = Polling::register(&site);
    for request in ["one", "two"] {
        let task = driver.take(request);
        let result = json!({"state": "succeeded"});
        assert_eq!(report(&site, &task["token"], &result), "accepted");
    }
    let all = ids("", "event: end");
    let middle = &all[all.len() / 2];
    let rest = ids(middle, "event: end");
    let at = all
        .iter()
        .position(|id| id == middle)
        .expect("it is among them");
    let (all, rest) = (&all[at + 1..], &rest[..]);
    // The end's own id is the last event's.
    assert_eq!(
        all.iter().collect::<Vec<_>>(),
        rest.iter().collect::<Vec<_>>()
    );
}
