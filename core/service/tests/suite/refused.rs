//! What the engine does not take of a task that goes on is told by name, over a stream and without one (R63); and
//! what it counts for a driver is as the driver counts it.

use crate::stream::{Server, Stream, hello};
use crate::support::Calls;
use crate::wire::{failed, succeeded};
use conveyor_node::{Config, Secrets};
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_proto::v1::driver_service_server::DriverService as _;
use conveyor_proto::v1::session_request::Message as Tell;
use conveyor_proto::v1::session_response::Message as Told;
use conveyor_proto::v1::task_answer::Answer;
use conveyor_store::Memory;
use prost::Message as _;
use prost::bytes::Bytes;
use std::sync::Arc;
use tonic::Request;

const SECRET: &str = "s3cr3t-value-7Q";
/// A step with a secret, that is tried again at once.
const SPEC: &str = "{secrets: [{name: token, from: 'file:token'}], steps: [{id: use, driver: raw, \
     secrets: {TOKEN: token}, retry: {attempts: 2, backoff: {initial: 1ms}}}]}";
const ONE: &str = "{steps: [{id: a, driver: raw}]}";

/// A server whose steps may have the secret.
async fn with_secret() -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("token"), SECRET).expect("it is writable");
    let runtime = tokio::runtime::Handle::current();
    let config = Config {
        secrets: Arc::new(Secrets::new(Some(dir.path().to_owned()), "")),
        ..Config::new(Arc::new(Memory::new()), Vec::new(), runtime)
    };
    (dir, Server::open_by(config).await)
}

/// Checkpoints that are not kept, with what their reason names.
fn unkept() -> [(Bytes, &'static str); 2] {
    let secret = format!("half, with {SECRET}");
    let long = vec![0; (1 << 20) + 1];
    [
        (secret.into(), "the secret `token`"),
        (long.into(), "`checkpoint_bytes` is 1048576"),
    ]
}

/// A task is left to something elsewhere whose name has the secret.
fn detached() -> v1::Detached {
    v1::Detached {
        until_ms: u64::MAX,
        principals: vec![format!("ci-{SECRET}")],
    }
}

fn checkpoint(token: &Bytes, data: impl Into<Bytes>) -> v1::Checkpoint {
    let (token, data) = (token.clone(), data.into());
    v1::Checkpoint { token, data }
}

/// The next acknowledgement that refuses something.
async fn refused(stream: &mut Stream) -> v1::RefusedMessage {
    loop {
        match stream.next().await.expect("the stream goes on") {
            Told::Acknowledgement(told) if !told.refused.is_empty() => {
                assert!(told.stale_tokens.is_empty(), "{told:?}");
                let last = told.refused.last().expect("one").clone();
                assert!(told.sequence >= last.sequence, "{told:?}");
                return last;
            }
            Told::Goodbye(goodbye) => panic!("{goodbye:?}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_checkpoint_that_is_not_kept_is_told_over_a_stream_and_the_one_before_it_counts() {
    let (_dir, server) = with_secret().await;
    server.run("default", SPEC).await;
    let (mut stream, _, mut tasks) = server.session("raw", 1).await;
    let first = tasks.remove(0);
    stream.answer(&first.token, Answer::Accepted(v1::Accepted {}));
    stream.tell(Tell::Checkpoint(checkpoint(&first.token, "good")));
    for (data, why) in unkept() {
        let sequence = stream.tell_as(Tell::Checkpoint(checkpoint(&first.token, data)));
        let told = refused(&mut stream).await;
        assert_eq!(told.kind(), v1::RefusedKind::Checkpoint);
        assert_eq!(told.token, first.token);
        assert!(told.reason.contains(why), "{}", told.reason);
        assert!(!told.reason.contains(SECRET), "{}", told.reason);
        assert!((told.first_sequence..=told.sequence).contains(&sequence));
    }
    stream.credits(1);
    let status = stream.report(&first.token, failed(Some(true), None)).await;
    assert_eq!(status, v1::ReportStatus::Accepted, "its claim is not over");
    let second = stream.task().await;
    assert_eq!(second.checkpoint.as_deref(), Some(&b"good"[..]));
    server.end().await;
}

#[tokio::test]
async fn a_checkpoint_that_is_not_kept_is_told_before_the_report_right_behind_it_is_answered() {
    let (_dir, server) = with_secret().await;
    server.run("default", SPEC).await;
    let (mut stream, _, tasks) = server.session("raw", 1).await;
    let token = &tasks[0].token;
    // The second waits for the first, and goes with the report.
    for (data, _) in unkept() {
        stream.tell(Tell::Checkpoint(checkpoint(token, data)));
    }
    stream.tell(Tell::Report(v1::TaskReport {
        token: token.clone(),
        result: Some(succeeded("{}")),
    }));
    let mut told = Vec::new();
    loop {
        match stream.next().await.expect("the stream goes on") {
            Told::Acknowledgement(one) => told.extend(one.refused),
            Told::Outcome(outcome) => {
                assert_eq!(outcome.status(), v1::ReportStatus::Accepted);
                break;
            }
            other => drop(other),
        }
    }
    assert_eq!(told.len(), 2, "{told:?}");
    server.end().await;
}

#[tokio::test]
async fn a_checkpoint_that_is_not_kept_is_invalid_without_a_stream() {
    let (_dir, server) = with_secret().await;
    server.run("default", SPEC).await;
    let driver = Calls::register(&server.node, 1).await;
    let token = driver.take().await.token;
    for (data, why) in unkept() {
        let request = v1::SaveCheckpointRequest {
            checkpoint: Some(checkpoint(&token, data)),
        };
        let answer = driver.handlers.save_checkpoint(Request::new(request)).await;
        let answer = answer.expect("an answer").into_inner();
        assert_eq!(answer.status(), v1::ReportStatus::Invalid);
        assert!(answer.reason.contains(why), "{}", answer.reason);
    }
    let ended = driver.report(&token, succeeded("{}")).await;
    assert_eq!(ended.status(), v1::ReportStatus::Accepted);
    server.end().await;
}

#[tokio::test]
async fn a_task_that_is_not_handed_over_is_told_so_and_stays_with_its_session() {
    let (_dir, server) = with_secret().await;
    let run = server.run("default", SPEC).await;
    let (mut stream, _, mut tasks) = server.session("raw", 1).await;
    let task = tasks.remove(0);
    stream.answer(&task.token, Answer::Accepted(v1::Accepted {}));
    stream.answer(&task.token, Answer::Detached(detached()));
    let told = refused(&mut stream).await;
    assert_eq!(told.kind(), v1::RefusedKind::Detached);
    assert_eq!(told.token, task.token);
    assert!(told.reason.contains("`principals`"), "{}", told.reason);
    let instance = server.instance(&run, "use").await;
    assert_eq!(instance.attempts[0].detached_until_ms, None);
    let status = stream.report(&task.token, succeeded("{}")).await;
    assert_eq!(status, v1::ReportStatus::Accepted);

    server.end().await;
}

#[tokio::test]
async fn a_task_that_is_not_handed_over_is_told_so_without_a_stream() {
    let (_dir, server) = with_secret().await;
    server.run("default", SPEC).await;
    let driver = Calls::register(&server.node, 1).await;
    let token = driver.take().await.token;
    let answered = driver.answer(&token, Answer::Detached(detached())).await;
    let answered = answered.expect("an answer");
    assert!(answered.stale_tokens.is_empty(), "{answered:?}");
    assert_eq!(answered.refused.len(), 1);
    assert_eq!(answered.refused[0].kind(), v1::RefusedKind::Detached);
    assert_eq!(answered.refused[0].token, token);
    let ended = driver.report(&token, succeeded("{}")).await;
    assert_eq!(ended.status(), v1::ReportStatus::Accepted);
    server.end().await;
}

/// One name more than a task may be handed over to.
fn crowd() -> v1::Detached {
    v1::Detached {
        until_ms: u64::MAX,
        principals: vec!["somebody".to_owned(); 17],
    }
}

const CROWDED: &str = "the limit `principals` of a detached task is 16; 17 are named";

#[tokio::test]
async fn a_task_that_is_handed_over_to_too_many_is_refused_by_name_and_its_stream_goes_on() {
    let server = Server::open().await;
    server.run("default", ONE).await;
    let (mut stream, _, tasks) = server.session("raw", 1).await;
    let token = &tasks[0].token;
    stream.answer(token, Answer::Accepted(v1::Accepted {}));
    stream.answer(token, Answer::Detached(crowd()));
    let told = refused(&mut stream).await;
    assert_eq!(told.kind(), v1::RefusedKind::Detached);
    assert_eq!(&told.token, token);
    assert!(told.reason.contains(CROWDED), "{}", told.reason);
    let status = stream.report(token, succeeded("{}")).await;
    assert_eq!(status, v1::ReportStatus::Accepted);
    server.end().await;
}

#[tokio::test]
async fn of_a_call_with_a_task_for_too_many_that_one_alone_is_refused() {
    let server = Server::open().await;
    server.run("default", ONE).await;
    server.run("default", ONE).await;
    let driver = Calls::register(&server.node, 2).await;
    let (one, other) = (driver.take().await.token, driver.take().await.token);
    let few = v1::Detached {
        principals: vec!["somebody".to_owned(); 16],
        ..crowd()
    };
    let answer = |token: &Bytes, detached| v1::TaskAnswer {
        token: token.clone(),
        answer: Some(Answer::Detached(detached)),
    };
    let request = v1::AnswerRequest {
        answers: vec![answer(&one, crowd()), answer(&other, few)],
        ..driver.answers()
    };
    let answered = driver.handlers.answer(Request::new(request)).await;
    let answered = answered.expect("an answer").into_inner();
    assert!(answered.stale_tokens.is_empty(), "{answered:?}");
    assert_eq!(answered.refused.len(), 1, "{answered:?}");
    assert_eq!(answered.refused[0].token, one);
    assert!(answered.refused[0].reason.contains(CROWDED));
    // What is over is stale, whatever else is wrong with it.
    let ended = driver.report(&one, succeeded("{}")).await;
    assert_eq!(ended.status(), v1::ReportStatus::Accepted);
    let late = driver.answer(&one, Answer::Detached(crowd())).await;
    let late = late.expect("an answer");
    assert_eq!(late.stale_tokens, [one]);
    assert!(late.refused.is_empty(), "{late:?}");
    server.end().await;
}

#[tokio::test]
async fn a_task_may_be_left_to_something_elsewhere_by_its_first_answer() {
    let server = Server::open().await;
    let run = server.run("default", ONE).await;
    let (mut stream, _, tasks) = server.session("raw", 1).await;
    let until_ms = server.node.now().0 + 600_000;
    let principals = Vec::new();
    let detached = v1::Detached {
        until_ms,
        principals,
    };
    let sequence = stream.answer(&tasks[0].token, Answer::Detached(detached));
    loop {
        match stream.next().await.expect("the stream goes on") {
            Told::Acknowledgement(told) if told.sequence >= sequence => {
                assert!(told.refused.is_empty() && told.stale_tokens.is_empty());
                break;
            }
            _ => {}
        }
    }
    let instance = server.instance(&run, "a").await;
    assert_eq!(instance.attempts[0].detached_until_ms, Some(until_ms));
    // Its place is the driver's to offer: what is detached takes none.
    let next = server.run("default", ONE).await;
    stream.tell(Tell::Heartbeat(free(1)));
    let task = stream.task().await;
    assert_eq!(task.id.expect("told").run, next);
    server.end().await;
}

/// A heartbeat that names nothing.
fn free(free: u32) -> v1::SessionHeartbeat {
    v1::SessionHeartbeat {
        tasks: Vec::new(),
        free: Some(free),
    }
}

#[tokio::test]
async fn free_right_behind_a_refused_task_counts_once_the_pause_is_over() {
    let server = Server::open().await;
    server.run("default", ONE).await;
    let (mut stream, _, tasks) = server.session("raw", 1).await;
    stream.answer(&tasks[0].token, Answer::Refused(v1::Refused::default()));
    stream.tell(Tell::Heartbeat(free(1)));
    // No other heartbeat follows.
    let again = stream.task().await;
    assert_eq!(again.id.expect("told").attempt, 2);
    server.end().await;
}

#[tokio::test]
async fn the_window_of_lines_under_a_token_that_is_not_valid_is_given_back() {
    let server = Server::open().await;
    let (mut stream, answer) = server.greet(Server::caller("raw"), hello(1)).await;
    let Told::Welcome(welcome) = answer else {
        panic!("{answer:?}");
    };
    let (mut window, token) = (welcome.log_window, Bytes::from_static(b"nobody's"));
    // More than the window in all: a driver that keeps to it would come to a stand.
    for _ in 0..8 {
        let text = vec![b'x'; 60_000];
        let line = v1::LogLine {
            text: text.into(),
            ..v1::LogLine::default()
        };
        let batch = v1::LogBatch {
            token: token.clone(),
            first_offset: 0,
            lines: vec![line; 5],
        };
        window -= 5 * (60_000 + 64);
        stream.tell(Tell::Logs(batch));
        let mut stale = false;
        loop {
            match stream.next().await.expect("the stream goes on") {
                Told::Acknowledgement(told) => stale |= told.stale_tokens == [token.clone()],
                Told::LogWindow(more) => {
                    window += more.bytes;
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(stale);
        assert_eq!(window, welcome.log_window);
    }
    server.end().await;
}

#[tokio::test]
async fn a_line_without_a_time_has_the_engines_and_one_that_no_date_shows_has_the_last() {
    use v1::read_logs_response::Item;
    let server = Server::open().await;
    let run = server.run("default", ONE).await;
    let driver = Calls::register(&server.node, 1).await;
    let token = driver.take().await.token;
    let lines = [0, 5, u64::MAX].map(|time_ms| v1::LogLine {
        time_ms,
        text: "said".into(),
        ..v1::LogLine::default()
    });
    let before = server.node.now().0;
    driver.log(&token, 0, lines.to_vec()).await;
    let after = server.node.now().0;
    let request = v1::ReadLogsRequest {
        run,
        ..v1::ReadLogsRequest::default()
    };
    let told = server.control.read_logs(Request::new(request)).await;
    let mut told = told.expect("a log").into_inner();
    let mut times = Vec::new();
    while times.len() < 3 {
        let item = tokio_stream::StreamExt::next(&mut told).await;
        if let Some(Item::Records(records)) = item.expect("lines").expect("lines").item {
            times.extend(records.records.iter().map(|record| record.time_ms));
        }
    }
    assert!((before..=after).contains(&times[0]), "{times:?}");
    assert_eq!(times[1..], [5, 253_402_300_799_999]);
    server.end().await;
}

#[tokio::test]
async fn of_a_call_with_an_answer_that_is_none_nothing_is_done() {
    let server = Server::open().await;
    server.run("default", ONE).await;
    let driver = Calls::register(&server.node, 1).await;
    let task = driver.poll().await;
    let answer = |answer| v1::TaskAnswer {
        token: task.token.clone(),
        answer,
    };
    let refuses = answer(Some(Answer::Refused(v1::Refused::default())));
    let request = v1::AnswerRequest {
        answers: vec![refuses, answer(None)],
        ..driver.answers()
    };
    let answered = driver.handlers.answer(Request::new(request)).await;
    let status = answered.expect_err("it is refused");
    assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status}");
    let details = v1::Refusal::decode(status.details()).expect("it says where");
    assert_eq!(details.diagnostics[0].pointer, "/answers/1/accepted");
    // It was not taken back.
    driver.accept(&task).await;
    server.end().await;
}

#[tokio::test]
async fn labels_and_capabilities_that_are_too_long_and_credits_for_a_queue_are_refused_by_name() {
    let server = Server::open().await;
    let label = |key: String, value: String| v1::Hello {
        labels: [(key, value)].into(),
        ..hello(1)
    };
    let capable = v1::Hello {
        capabilities: vec!["c".repeat(64)],
        ..hello(1)
    };
    for (said, words) in [
        (
            label("k".repeat(64), String::new()),
            "`label_key` has 64; the limit is 63",
        ),
        (
            label(String::new(), String::new()),
            "the key of a label is empty",
        ),
        (
            label("k".to_owned(), "v".repeat(257)),
            "`label_value` has 257; the limit is 256",
        ),
        (capable, "`capability` has 64; the limit is 63"),
    ] {
        let mut stream = server.stream("raw").await;
        stream.tell(Tell::Hello(said));
        let [Told::Goodbye(goodbye)] = &stream.end().await[..] else {
            panic!("{words}");
        };
        assert_eq!(goodbye.reason(), v1::GoodbyeReason::Refused);
        assert!(goodbye.message.contains(words), "{}", goodbye.message);
    }
    let (mut stream, _, _) = server.session("raw", 0).await;
    stream.tell(Tell::Credits(v1::Credits {
        count: 1,
        queue: "gpu".to_owned(),
    }));
    let rest = stream.end().await;
    let Some(Told::Goodbye(goodbye)) = rest.last() else {
        panic!("{rest:?}");
    };
    assert!(
        goodbye.message.contains("the queue \"gpu\""),
        "{}",
        goodbye.message
    );
    server.end().await;
}
