use crate::server::{Server, answer};
use crate::support::{ask, failure, local, outputs};
use conveyor_sdk::testing::TestTask;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn an_answer_of_json_becomes_json_and_other_text_text() {
    let server = Server::start(|request| match request.starts_with("GET /json ") {
        true => answer(
            "200 OK",
            "content-type: application/problem+json; charset=utf-8\r\nx-many: a\r\nx-many: b\r\n",
            "{\"big\": 9007199254740993}",
        ),
        false => answer("201 Created", "content-type: text/plain\r\n", "hello"),
    })
    .await;
    let json = outputs(json!({"url": format!("{}/json", server.url)})).await;
    assert_eq!(json["status"], 200);
    assert_eq!(json["json"], json!({"big": 9_007_199_254_740_993_u64}));
    assert_eq!(json["headers"]["x-many"], "a, b");
    let text = outputs(json!({"url": server.url, "method": "PUT"})).await;
    assert_eq!(
        (&text["status"], &text["body"]),
        (&json!(201), &json!("hello"))
    );
}

#[tokio::test]
async fn a_request_is_sent_as_it_is_written() {
    let server = Server::start(|_| answer("204 No Content", "", "")).await;
    let with = json!({
        "url": format!("{}/a/b?x=1#part", server.url),
        "method": "POST",
        "headers": {"X-Count": 3, "Accept": "application/json"},
        "json": {"on": true},
    });
    outputs(with).await;
    let asked = server.asked().remove(0);
    assert!(asked.starts_with("POST /a/b?x=1 HTTP/1.1\r\n"), "{asked}");
    for part in [
        "x-count: 3\r\n",
        "accept: application/json\r\n",
        "content-type: application/json\r\n",
        "user-agent: conveyor-driver-http/",
        "\r\n\r\n{\"on\":true}",
    ] {
        assert!(asked.contains(part), "{part}: {asked}");
    }
    assert!(asked.contains(&format!("host: 127.0.0.1:{}\r\n", server.port)));
}

#[tokio::test]
async fn a_server_is_told_the_attempts_trace_unless_the_step_says_another() {
    let server = Server::start(|_| answer("204 No Content", "", "")).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";
    for (headers, expected) in [(json!({}), trace), (json!({"Traceparent": "own"}), "own")] {
        let with = json!({"url": server.url, "headers": headers});
        let task = TestTask::new("request").inputs(with).traceparent(trace);
        task.run(&local()).await.result.expect("a success");
        let asked = server.asked().pop().expect("a request");
        let told: Vec<_> = asked
            .lines()
            .filter_map(|line| line.strip_prefix("traceparent: "))
            .collect();
        assert_eq!(told, [expected], "{asked}");
    }
}

#[tokio::test]
async fn a_status_that_was_not_expected_is_a_failure_with_its_outputs() {
    let server = Server::start(|_| answer("404 Not Found", "", "no such thing")).await;
    let found = failure(json!({"url": format!("{}/x?key=abc", server.url)})).await;
    assert_eq!(found.code, "unexpected_status");
    assert_eq!(found.retryable, Some(false));
    assert_eq!(found.details, Some(json!({"status": 404})));
    assert!(
        found.message.contains("/x: 404 Not Found, expected 2xx"),
        "{found}"
    );
    assert!(
        !found.message.contains("abc"),
        "a query is not shown: {found}"
    );
    let kept = found.outputs.expect("they are kept");
    assert_eq!(kept["body"], "no such thing");
    let with = json!({"url": server.url, "expect": {"status": ["2xx", 404]}});
    assert_eq!(outputs(with).await["status"], 404);
}

#[tokio::test]
async fn what_may_pass_is_tried_again_when_the_server_says() {
    let server = Server::start(|request| match request {
        request if request.contains("/429") => {
            answer("429 Too Many Requests", "retry-after: 7\r\n", "")
        }
        request if request.contains("/503") => answer("503 Service Unavailable", "", ""),
        _ => answer("500 Internal Server Error", "retry-after: soon\r\n", ""),
    })
    .await;
    for (path, after) in [("429", Some(7)), ("503", None), ("500", None)] {
        let found = failure(json!({"url": format!("{}/{path}", server.url)})).await;
        assert_eq!(found.retryable, Some(true), "{path}");
        assert_eq!(found.retry_after, after.map(Duration::from_secs), "{path}");
    }
}

#[tokio::test]
async fn nobody_who_listens_may_come_later() {
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let address = server.and_then(|server| server.local_addr());
    let address = address.expect("an address");
    let found = failure(json!({"url": format!("http://{address}/")})).await;
    assert_eq!(
        (found.code.as_str(), found.retryable),
        ("connect_failed", Some(true))
    );
}

#[tokio::test]
async fn an_answer_over_the_limit_is_a_failure_that_names_it() {
    let long = "x".repeat(2000);
    let chunked =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7d0\r\n{long}\r\n0\r\n\r\n");
    let server = Server::start(move |request| match request.contains("/told") {
        true => answer("200 OK", "", &long),
        false => chunked.clone().into_bytes(),
    })
    .await;
    for path in ["told", "chunked"] {
        let with = json!({"url": format!("{}/{path}", server.url), "max_bytes": 1000});
        let found = failure(with).await;
        assert_eq!(
            (found.code.as_str(), found.retryable),
            ("response_too_large", Some(false))
        );
        assert!(found.message.contains("`max_bytes` is 1000"), "{found}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_not_waited_for() {
    let mut server = Server::start(|_| Vec::new()).await;
    let with = |method| json!({"url": server.url, "method": method, "timeout": "300ms"});
    let (get, post) = (with("GET"), with("POST"));
    let found = failure(get).await;
    assert_eq!(
        (found.code.as_str(), found.retryable),
        ("timeout", Some(true))
    );
    // It may have been done: the document decides.
    let found = failure(post).await;
    assert_eq!((found.code.as_str(), found.retryable), ("timeout", None));
    for _ in 0..2 {
        server.gone.recv().await.expect("the connection is closed");
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_before_anything_is_asked() {
    let server = Server::start(|_| answer("200 OK", "", "")).await;
    for (with, code) in [
        (json!({}), "invalid_input"),
        (json!({"url": server.url, "colour": "red"}), "invalid_input"),
        (
            json!({"url": server.url, "method": "CONNECT"}),
            "invalid_input",
        ),
        (
            json!({"url": server.url, "body": "x", "json": null}),
            "invalid_input",
        ),
        (json!({"url": server.url, "timeout": "2h"}), "invalid_input"),
        (json!({"url": server.url, "redirects": 21}), "invalid_input"),
        (
            json!({"url": server.url, "max_bytes": 5_000_000}),
            "invalid_input",
        ),
        (
            json!({"url": server.url, "expect": {"status": ["20x"]}}),
            "invalid_input",
        ),
        (
            json!({"url": server.url, "headers": {"Host": "other"}}),
            "invalid_input",
        ),
        (
            json!({"url": server.url, "headers": {"X": "a\r\nY: b"}}),
            "invalid_input",
        ),
        (json!({"url": "/relative"}), "invalid_url"),
        (json!({"url": "ftp://example.org/"}), "invalid_url"),
        (
            json!({"url": "http://ada:secret@example.org/"}),
            "invalid_url",
        ),
    ] {
        let found = failure(with.clone()).await;
        assert_eq!(
            (found.code.as_str(), found.retryable),
            (code, Some(false)),
            "{with}"
        );
    }
    assert_eq!(server.asked(), [""; 0]);
}

#[tokio::test]
async fn a_line_of_the_log_says_what_was_asked() {
    let server = Server::start(|_| answer("200 OK", "", "hello")).await;
    let run = ask(json!({"url": format!("{}/a?token=abc", server.url)})).await;
    let line = &run.lines[0];
    let said = format!("GET {}/a: 200 OK, 5 bytes in ", server.url);
    assert!(line.starts_with(&said), "{line}");
}
