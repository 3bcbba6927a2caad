//! The API against its own document, and the rules of HTTP that it keeps.

use crate::pages::{blocks, page};
use crate::polled::{Polling, report};
use crate::rest::{Answer, exchange, get, http, post};
use crate::serve::GATED;
use crate::site::Site;
use serde_json::{Value, json};
use std::process::Command;

/// A request with headers of its own.
pub(crate) fn send(
    site: &Site,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let host = site.url.trim_start_matches("http://");
    let headers = headers.iter();
    let headers: String = headers
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let length = match headers.contains("content-length") {
        true => String::new(),
        false => format!("content-length: {}\r\n", body.len()),
    };
    let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{headers}{length}");
    exchange(&site.url, &head, body)
}

/// The document that a server serves. Its answers have no fields that it does not tell.
struct Document(Value);

impl Document {
    fn of(site: &Site) -> Document {
        let answer = get(site, "/v1/openapi.json");
        assert_eq!(answer.status, 200, "{}", answer.head);
        assert!(
            answer.head.contains("content-type: application/json\r\n"),
            "{}",
            answer.head
        );
        let mut document = answer.body;
        let schemas = document["components"]["schemas"].as_object_mut();
        for (_, schema) in schemas.expect("it has schemas") {
            // A diagnostic among the errors of a problem has more.
            if schema["type"] == "object" && schema["properties"].get("errors").is_none() {
                schema["additionalProperties"] = false.into();
            }
        }
        Document(document)
    }

    /// Checks an answer of a path, as the document writes it.
    fn fits(&self, method: &str, path: &str, answer: &Answer) {
        let operation = &self.0["paths"][path][method];
        let told = &operation["responses"][answer.status.to_string()];
        assert!(
            told.is_object(),
            "{method} {path} does not tell of {}",
            answer.status
        );
        let kind = match answer.status {
            200 => "application/json",
            _ => "application/problem+json",
        };
        assert!(answer.head.contains(kind), "{}", answer.head);
        let mut schema = told["content"][kind]["schema"].clone();
        schema["components"] = self.0["components"].clone();
        let validator = jsonschema::draft202012::new(&schema).expect("it is a schema");
        let wrong: Vec<_> = validator
            .iter_errors(&answer.body)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(
            wrong.is_empty(),
            "{method} {path}: {wrong:#?} in {:#}",
            answer.body
        );
    }
}

#[test]
fn real_answers_fit_the_document() {
    let mut site = Site::new(&[("gated.yaml", GATED)]);
    let _server = site.serve();
    let document = Document::of(&site);
    let fits = |method: &str, path: &str, answer: Answer| {
        document.fits(method, path, &answer);
        answer
    };
    let get_of = |path: &str, real: &str| fits("get", path, get(&site, real));
    let applied = http(
        &site.url,
        "POST",
        "/v1/pipelines",
        "application/yaml",
        GATED,
    );
    assert_eq!(fits("post", "/v1/pipelines", applied).status, 200);
    let started = post(
        &site,
        "/v1/runs",
        &json!({"stored": {"name": "gated"}, "labels": {"a": "b"}}),
    );
    let started = fits("post", "/v1/runs", started);
    let run = started.body["run"]["id"]
        .as_str()
        .expect("it has an id")
        .to_owned();
    let told = |what: &str| {
        let answer = get_of(
            "/v1/runs/{run}",
            &format!("/v1/runs/{run}?include_document=true"),
        );
        assert_eq!(answer.status, 200, "{what}");
        answer
    };
    told("waiting for a driver");
    let driver = Polling::register(&site);
    get_of("/v1/drivers", "/v1/drivers");
    let task = driver.take("one");
    let beat =
        json!({"tasks": [{"token": task["token"], "permille": 250, "message": "a quarter"}]});
    fits(
        "post",
        "/v1/driver/heartbeat",
        driver.call("heartbeat", &beat),
    );
    let attempt = |told: &Answer| told.body["steps"][0]["instances"][0]["attempts"][0].clone();
    let running = attempt(&told("running"));
    assert_eq!(running["progress"]["permille"], 250, "{running:#}");
    assert_eq!(running["progress"]["message"], "a quarter", "{running:#}");
    let failed = json!({
        "state": "failed", "failure": {"code": "no", "message": "it said no", "details": [1]}, "outputs": {"n": 1},
    });
    assert_eq!(report(&site, &task["token"], &failed), "accepted");
    site.ended(&run);
    let ended = attempt(&told("ended"));
    assert!(ended.get("progress").is_none(), "{ended:#}");
    for (path, real) in [
        ("/v1/runs", "/v1/runs"),
        ("/v1/server", "/v1/server"),
        ("/v1/namespaces", "/v1/namespaces"),
        ("/v1/pipelines", "/v1/pipelines"),
        ("/v1/pipelines/{name}", "/v1/pipelines/gated"),
    ] {
        assert_eq!(get_of(path, real).status, 200, "{real}");
    }
    let forked = post(
        &site,
        &format!("/v1/runs/{run}/fork"),
        &json!({"from_failed": true, "preview": true}),
    );
    assert_eq!(fits("post", "/v1/runs/{run}/fork", forked).status, 200);
    for call in ["cancel", "pause", "resume"] {
        let answer = post(&site, &format!("/v1/runs/{run}/{call}"), &json!({}));
        fits("post", &format!("/v1/runs/{{run}}/{call}"), answer);
    }
    let wrong = GATED.replace("driver: exec", "drivr: exec");
    let check = json!({"documents": [{"source": wrong}]});
    fits("post", "/v1/check", post(&site, "/v1/check", &check));
    let refused = http(
        &site.url,
        "POST",
        "/v1/pipelines",
        "application/yaml",
        &wrong,
    );
    assert_eq!(fits("post", "/v1/pipelines", refused).status, 422);
    assert_eq!(get_of("/v1/runs/{run}", "/v1/runs/01999999").status, 404);
    assert_eq!(get_of("/v1/runs", "/v1/runs?page_token=x").status, 400);
    let printed = site.conveyor_alone(&["contract", "openapi"]);
    let printed: Value = serde_json::from_str(&printed.out).expect("it is JSON");
    assert_eq!(
        printed["paths"], document.0["paths"],
        "served and printed are the same"
    );
}

#[test]
fn the_rules_of_http_are_kept() {
    let mut site = Site::new(&[]);
    let _server = site.serve();
    let json = [("content-type", "application/json")];
    let large = [
        ("content-type", "application/json"),
        ("content-length", "99999999999"),
    ];
    let unasked = [("accept", "text/html")];
    let keyed = [
        ("content-type", "application/json"),
        ("idempotency-key", "k"),
    ];
    let matched = [("if-match", "\"x\"")];
    let cases = [
        (send(&site, "PUT", "/v1/runs", &json, "{}"), 405, "GET"),
        (
            send(
                &site,
                "OPTIONS",
                "/v1/runs",
                &[("access-control-request-method", "POST")],
                "",
            ),
            405,
            "`allow`",
        ),
        (send(&site, "DELETE", "/healthz", &[], ""), 405, "DELETE"),
        (
            send(&site, "POST", "/v1/runs", &large, ""),
            413,
            "`body_bytes` is 71303168; the body has 99999999999",
        ),
        (
            send(
                &site,
                "POST",
                "/v1/runs",
                &[("content-type", "application/xml")],
                "<a/>",
            ),
            415,
            "application/json",
        ),
        (
            send(&site, "GET", "/v1/runs", &unasked, ""),
            406,
            "application/json",
        ),
        (
            send(&site, "GET", "/v1/runs/latest/events", &unasked, ""),
            406,
            "text/event-stream",
        ),
        (
            send(&site, "GET", "/v1/runs?nothing=1", &[], ""),
            400,
            "unknown parameter `nothing`",
        ),
        (
            send(&site, "GET", "/v1/runs?page_size=1&page_size=2", &[], ""),
            400,
            "twice",
        ),
        (
            send(&site, "GET", "/v1/runs?labels=a=1&labels=a=2", &[], ""),
            400,
            "twice",
        ),
        (
            send(&site, "GET", "/v1/runs?page_size=1001", &[], ""),
            400,
            "the limit `page_size` is 1000; the request has 1001",
        ),
        (
            send(
                &site,
                "POST",
                "/v1/runs?wait=2m",
                &json,
                "{\"stored\":{\"name\":\"x\"}}",
            ),
            400,
            "the limit `wait_ms` is 60000",
        ),
        (
            send(&site, "GET", "/v1/runs", &matched, ""),
            400,
            "`If-Match`",
        ),
        (
            send(&site, "POST", "/v1/runs/latest/pause", &keyed, "{}"),
            400,
            "`Idempotency-Key`",
        ),
        (
            send(&site, "POST", "/v1/runs", &json, "{\"stored\":null}"),
            400,
            "/stored: `stored` is null; leave it out",
        ),
        (
            send(
                &site,
                "POST",
                "/v1/driver/poll?resume_secret=AAAA",
                &json,
                "{}",
            ),
            400,
            "not in the query",
        ),
    ];
    for (answer, status, words) in cases {
        assert_eq!(
            answer.status, status,
            "{words}: {}{}",
            answer.head, answer.body
        );
        assert!(
            answer.head.contains("application/problem+json"),
            "{}",
            answer.head
        );
        let detail = answer.body["detail"].as_str().unwrap_or_default();
        assert!(
            detail.contains(words) || status == 405,
            "{words}: {}",
            answer.body
        );
        assert_eq!(
            answer.head.contains("\r\nallow: "),
            status == 405,
            "{}",
            answer.head
        );
        assert!(
            !answer.head.contains("access-control-"),
            "CORS is off: {}",
            answer.head
        );
    }
    let allowed = send(&site, "PUT", "/v1/runs", &[], "");
    let allow = allowed.head.lines().find(|line| line.starts_with("allow:"));
    assert_eq!(allow, Some("allow: get,head,post"));
    let head = send(&site, "HEAD", "/v1/server", &[], "");
    assert_eq!(
        (head.status, &head.body),
        (200, &Value::Null),
        "{}",
        head.head
    );
    assert!(
        head.head.contains("content-type: application/json"),
        "{}",
        head.head
    );
}

#[test]
fn an_object_is_changed_only_as_it_was_read() {
    let mut site = Site::new(&[]);
    let _server = site.serve();
    let yaml = |more: &[(&str, &str)]| {
        let mut headers = vec![("content-type", "application/yaml")];
        headers.extend(more);
        send(&site, "POST", "/v1/pipelines", &headers, GATED)
    };
    let etag = |answer: &Answer| {
        let line = answer.head.lines().find(|line| line.starts_with("etag: "));
        let line = line.unwrap_or_else(|| panic!("it has an etag: {}", answer.head));
        line["etag: ".len()..].to_owned()
    };
    let first = etag(&yaml(&[]));
    let read = get(&site, "/v1/pipelines/gated");
    assert_eq!(etag(&read), first);
    let named = read.body["pipeline"]["metadata"]["etag"]
        .as_str()
        .expect("a text");
    assert_eq!(first, format!("\"{}\"", named.to_ascii_lowercase()));
    let path = "/v1/pipelines/gated";
    let other = send(&site, "DELETE", path, &[("if-match", "\"other\"")], "");
    assert_eq!(other.status, 412, "{}", other.body);
    assert_eq!(other.body["code"], "aborted", "{}", other.body);
    assert_eq!(other.body["errors"][0]["pointer"], "/etag");
    let asked = send(&site, "DELETE", "/v1/pipelines/gated?etag=other", &[], "");
    assert_eq!(
        asked.status, 409,
        "without the header it is a conflict: {}",
        asked.body
    );
    let both = format!("{path}?etag={named}");
    let both = send(&site, "DELETE", &both, &[("if-match", &first)], "");
    assert_eq!(both.status, 400, "{}", both.body);
    assert_eq!(
        send(&site, "DELETE", path, &[("if-match", &first)], "").status,
        200
    );
    assert_eq!(get(&site, path).status, 404);
    // It is not made anew by who thinks that it is there.
    let gone = yaml(&[("if-match", &first)]);
    assert_eq!(gone.status, 412, "{}", gone.body);
    let detail = gone.body["detail"].as_str().expect("a text");
    assert!(detail.contains("the object does not exist"), "{detail}");
    assert_eq!(get(&site, path).status, 404);
}

#[test]
fn the_guides_commands_do_what_it_says() {
    let hello = "\
name: hello
steps:
  - {id: greet, name: greet, driver: exec, with: {run: echo hello}}
";
    let mut site = Site::new(&[("hello.yaml", hello)]);
    let _server = site.serve();
    let _driver = site.driver();
    let blocks = blocks(&page("docs/api.md"), "sh");
    let mut said = Vec::new();
    for block in &blocks {
        let output = Command::new("sh")
            .args(["-ec", block])
            .current_dir(site.dir.path())
            .env("URL", &site.url)
            .output()
            .expect("there is a shell");
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{block}: {err}");
        said.push(String::from_utf8(output.stdout).expect("UTF-8"));
    }
    let words = [
        "\"changed\":true",
        "\"state\":\"succeeded\"",
        "\"id\":\"greet\"",
        "\"critical_path\":[\"greet\"]",
        "\"current\":true",
        "\"labels\":{\"of\":\"shop\"}",
        "\"sessions\":[{",
        "\"pipeline\":\"hello\"",
        "{}",
        "event: end",
        "\"change\":\"created\"",
        "known are `namespace`",
        "conveyor_runs_started_total 1",
    ];
    assert_eq!(said.len(), words.len(), "{said:#?}");
    for ((block, said), word) in blocks.iter().zip(&said).zip(words) {
        assert!(said.contains(word), "{block}: {said}");
    }
    assert!(
        said[9].contains("event: line") && said[9].contains("\"text\":\"hello\""),
        "{}",
        said[9]
    );
}

#[test]
fn what_would_be_left_unread_of_a_request_is_refused() {
    let mut site = Site::new(&[]);
    let _server = site.serve();
    let namespace = json!({"namespace": {"metadata": {"name": "team"}}});
    assert_eq!(post(&site, "/v1/namespaces", &namespace).status, 200);
    let json = ("content-type", "application/json");
    for body in [r#"{"etag": "bad"}"#, "garbage"] {
        for method in ["DELETE", "GET"] {
            let refused = send(&site, method, "/v1/namespaces/team", &[json], body);
            assert_eq!(refused.status, 400, "{method} {body}: {}", refused.body);
        }
    }
    let bad = ("if-match", "\"bad\"");
    assert_eq!(
        send(&site, "DELETE", "/v1/namespaces/team", &[bad], "").status,
        412
    );
    assert_eq!(get(&site, "/v1/namespaces/team").status, 200);

    let text = namespace.to_string();
    for (header, status) in [
        (("content-encoding", "gzip"), 415),
        (("content-type", "application/json; charset=latin1"), 415),
        (("if-none-match", "*"), 400),
    ] {
        let headers = match header.0 {
            "content-type" => vec![header],
            _ => vec![json, header],
        };
        let refused = send(&site, "POST", "/v1/namespaces", &headers, &text);
        assert_eq!(refused.status, status, "{header:?}: {}", refused.body);
    }
    for query in ["labels=%zz=1", "labels=a%ff=1", "labels=%4", "%ff=1"] {
        let refused = get(&site, &format!("/v1/pipelines?{query}"));
        assert_eq!(refused.status, 400, "{query}: {}", refused.body);
    }
    assert_eq!(get(&site, "/v1/pipelines?labels=%61=%C3%A4+b").status, 200);
    assert_eq!(get(&site, "/v1/tokens?labels=a=b").status, 400);
    // The driver that speaks JSON has a session without labels.
    let _driver = Polling::register(&site);
    let drivers = |query: &str| get(&site, &format!("/v1/drivers{query}")).body["drivers"].clone();
    assert_eq!(drivers("").as_array().map(Vec::len), Some(1));
    assert_eq!(drivers("?labels=a=b"), json!([]));
}
