use crate::server::{Server, answer};
use crate::support::local;
use conveyor_sdk::testing::TestTask;
use serde_json::json;

#[tokio::test]
async fn secrets_go_into_headers_and_body_and_nowhere_else() {
    // It sends back all that it gets.
    let server = Server::start(|request| {
        let body = request.replace('\r', "");
        answer("418 I'm a teapot", "x-echo: swordfish\r\n", &body)
    })
    .await;
    let with = json!({
        "url": format!("{}/a", server.url),
        "method": "POST",
        "headers": {"Authorization": {"secret": "token", "prefix": "Bearer "}},
        "body": {"secret": "token"},
    });
    let task = TestTask::new("request")
        .inputs(with)
        .secret("token", "swordfish");
    let run = task.run(&local()).await;
    let asked = &server.asked()[0];
    assert!(
        asked.contains("authorization: Bearer swordfish\r\n"),
        "{asked}"
    );
    assert!(asked.ends_with("\r\n\r\nswordfish"), "{asked}");
    let told = format!("{run:?}");
    assert!(
        told.contains("unexpected_status") && told.contains("Bearer ***"),
        "{told}"
    );
    assert!(!told.contains("swordfish"), "{told}");
}

#[tokio::test]
async fn a_secret_that_the_step_does_not_have_is_named() {
    let with = json!({"url": "http://127.0.0.1:1/", "headers": {"X": {"secret": "tokne"}}});
    let task = TestTask::new("request")
        .inputs(with)
        .secret("token", "swordfish");
    let failure = task.run(&local()).await.result.expect_err("refused");
    assert_eq!(
        (failure.code.as_str(), failure.retryable),
        ("no_secret", Some(false))
    );
    assert!(failure.message.contains("tokne") && failure.message.contains("token"));
}

#[tokio::test]
async fn a_secret_that_is_no_header_is_refused_and_not_told() {
    let with = json!({"url": "http://127.0.0.1:1/", "headers": {"X": {"secret": "token"}}});
    let task = TestTask::new("request")
        .inputs(with)
        .secret("token", "sword\nfish");
    let failure = task.run(&local()).await.result.expect_err("refused");
    assert_eq!(failure.code, "invalid_input");
    assert!(!failure.message.contains("sword"), "{failure}");
}
