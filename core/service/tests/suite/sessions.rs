//! Streams that say nothing, and two of one session.

use crate::stream::Server;
use conveyor_proto::v1;
use conveyor_proto::v1::session_request::Message as Tell;
use conveyor_proto::v1::session_response::Message as Told;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test]
async fn a_stream_that_says_nothing_is_ended_after_ten_seconds() {
    let server = Server::open().await;
    let mut stream = server.stream("raw").await;
    // From here on time goes by where all wait.
    tokio::time::pause();
    let began = Instant::now();
    let answer = stream.next().await;
    let Some(Told::Goodbye(goodbye)) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(goodbye.reason(), v1::GoodbyeReason::Limit);
    assert!(goodbye.message.contains("10s"), "{}", goodbye.message);
    let limit = Duration::from_millis(conveyor_proto::contract::FIRST_MESSAGE_MS);
    let took = began.elapsed();
    let about = limit - Duration::from_millis(100)..limit + Duration::from_millis(100);
    assert!(about.contains(&took), "{took:?}");
    assert!(stream.next().await.is_none(), "the stream ends");
    tokio::time::resume();
    server.end().await;
}

#[tokio::test]
async fn a_later_resume_replaces_the_stream_before_it() {
    let server = Server::open().await;
    server.start().await;
    let (mut first, welcome, tasks) = server.session("raw", 1).await;
    let token = tasks[0].token.clone();
    let resume = |generation| {
        Tell::Resume(v1::Resume {
            session: welcome.session.clone(),
            resume_secret: welcome.resume_secret.clone(),
            generation,
            tokens: vec![token.clone()],
            received_sequence: 0,
        })
    };
    let mut second = server.stream("raw").await;
    second.tell(resume(2));
    let answer = second.next().await;
    let Some(Told::Welcome(again)) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(again.session, welcome.session);
    assert!(again.stale_tokens.is_empty());
    // The first is told why, and ends.
    let goodbye = loop {
        match first.next().await {
            Some(Told::Goodbye(goodbye)) => break goodbye,
            Some(_) => {}
            None => panic!("it ends without a word"),
        }
    };
    assert_eq!(goodbye.reason(), v1::GoodbyeReason::Replaced);
    assert!(first.next().await.is_none(), "the stream ends");
    // One that comes late is none: the second goes on, and the task is its own.
    for late in [1, 2] {
        let mut third = server.stream("raw").await;
        third.tell(resume(late));
        let answer = third.next().await;
        let Some(Told::Goodbye(goodbye)) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(goodbye.reason(), v1::GoodbyeReason::Replaced, "{late}");
    }
    let status = second.report(&token, crate::wire::succeeded("{}")).await;
    assert_eq!(status, v1::ReportStatus::Accepted);
    server.end().await;
}

#[tokio::test]
async fn a_step_whose_driver_drains_says_so() {
    let server = Server::open().await;
    let (mut stream, _, _) = server.session("raw", 0).await;
    stream.tell(Tell::Drain(v1::Drain::default()));
    let run = server
        .run("default", "{steps: [{id: a, driver: raw}]}")
        .await;
    let waits = async {
        loop {
            let request = v1::GetRunRequest {
                run: run.clone(),
                ..v1::GetRunRequest::default()
            };
            let told = crate::get(&server.control, request).await.expect("a run");
            let waits = told.steps[0].waiting_for.first().cloned();
            let says = waits.is_some_and(|waits| {
                waits.message == "the driver `raw`, which takes nothing new: it drains"
            });
            if says {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(30), waits).await;
    told.expect("it says why");
    server.end().await;
}
