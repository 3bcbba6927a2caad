use crate::server::{Server, answer};
use crate::support::{failure, local, outputs};
use conveyor_sdk::testing::TestTask;
use serde_json::json;

#[tokio::test]
async fn redirects_are_followed_and_a_post_becomes_a_get() {
    let server = Server::start(|request| match request {
        request if request.starts_with("POST /a ") => {
            answer("303 See Other", "location: b\r\n", "")
        }
        request if request.starts_with("GET /b ") => {
            answer("308 Permanent Redirect", "location: /c?d\r\n", "")
        }
        request if request.starts_with("GET /c?d ") => answer("200 OK", "", "there"),
        _ => answer("500 Internal Server Error", "", ""),
    })
    .await;
    let with = json!({"url": format!("{}/a", server.url), "method": "POST", "body": "x"});
    assert_eq!(outputs(with).await["body"], "there");
}

#[tokio::test]
async fn a_redirect_that_keeps_the_method_keeps_the_body() {
    let server = Server::start(|request| match request.starts_with("POST /a ") {
        true => answer("307 Temporary Redirect", "location: /b\r\n", ""),
        false => answer("200 OK", "", ""),
    })
    .await;
    let with = json!({"url": format!("{}/a", server.url), "method": "POST", "body": "x=1"});
    outputs(with).await;
    let asked = &server.asked()[1];
    assert!(
        asked.starts_with("POST /b ") && asked.ends_with("\r\n\r\nx=1"),
        "{asked}"
    );
}

#[tokio::test]
async fn redirects_without_end_end_at_the_limit() {
    let server = Server::start(|_| answer("302 Found", "location: /again\r\n", "")).await;
    let found = failure(json!({"url": server.url, "redirects": 3})).await;
    assert_eq!(
        (found.code.as_str(), found.retryable),
        ("too_many_redirects", Some(false))
    );
    assert_eq!(server.asked().len(), 4);
    let kept = outputs(json!({"url": server.url, "expect": {"status": [302]}})).await;
    assert_eq!(kept["headers"]["location"], "/again");
}

#[tokio::test]
async fn another_server_gets_no_secret_of_this_one() {
    let other = Server::start(|_| answer("200 OK", "", "")).await;
    let location = format!("location: {}/\r\n", other.url);
    let first = Server::start(move |_| answer("307 Temporary Redirect", &location, "")).await;
    let with = json!({
        "url": first.url,
        "headers": {
            "Authorization": "Basic abc", "X-Key": {"secret": "key"}, "X-Other": "kept",
        },
    });
    let task = TestTask::new("request")
        .inputs(with)
        .secret("key", "swordfish");
    task.run(&local()).await.result.expect("a success");
    assert!(first.asked()[0].contains("x-key: swordfish"));
    let asked = &other.asked()[0];
    assert!(asked.contains("x-other: kept"), "{asked}");
    assert!(
        !asked.contains("swordfish") && !asked.contains("authorization"),
        "{asked}"
    );
    let with = json!({"url": first.url, "method": "POST", "body": {"secret": "key"}});
    let task = TestTask::new("request")
        .inputs(with)
        .secret("key", "swordfish");
    let refused = task.run(&local()).await.result.expect_err("refused");
    assert_eq!(refused.code, "redirect_refused");
    assert_eq!(other.asked().len(), 1);
}
