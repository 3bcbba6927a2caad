//! What one attempt hands to the next, over the wire.

use crate::stream::{Server, Stream};
use crate::support::Hand;
use crate::wire::{failed, succeeded};
use conveyor_node::{Clock, Config};
use conveyor_proto::v1;
use conveyor_proto::v1::session_request::Message as Tell;
use conveyor_proto::v1::session_response::Message as Told;
use conveyor_proto::v1::waiting_for::What;
use conveyor_store::Memory;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// A step that is tried again at once.
const AT_ONCE: &str =
    "{steps: [{id: a, driver: raw, retry: {attempts: 3, backoff: {initial: 1ms}}}]}";
/// One that is tried again after a minute, to the millisecond.
const AFTER_A_MINUTE: &str = "{steps: [{id: a, driver: raw, retry: {attempts: 3, \
     backoff: {initial: 1m, jitter: 0}}}]}";

#[tokio::test]
async fn a_checkpoint_comes_with_the_task_of_the_next_attempt() {
    let server = Server::open().await;
    let run = server.run("default", AT_ONCE).await;
    let (mut stream, _, mut tasks) = server.session("raw", 1).await;
    let first = tasks.remove(0);
    assert_eq!(first.checkpoint, None);
    // Bytes that are no text; the last one counts.
    for data in [&b"earlier"[..], &[0, 0xff, 0x80, b'\n']] {
        stream.tell(Tell::Checkpoint(v1::Checkpoint {
            token: first.token.clone(),
            data: data.into(),
        }));
    }
    stream.credits(1);
    let status = stream.report(&first.token, failed(Some(true), None)).await;
    assert_eq!(status, v1::ReportStatus::Accepted);
    let second = stream.task().await;
    let id = second.id.clone().expect("told");
    assert_eq!((id.run, id.attempt), (run.clone(), 2));
    assert_eq!(
        second.checkpoint.as_deref(),
        Some(&[0, 0xff, 0x80, b'\n'][..])
    );
    // One that saves nothing hands on what it was given.
    stream.credits(1);
    let status = stream.report(&second.token, failed(Some(true), None)).await;
    assert_eq!(status, v1::ReportStatus::Accepted);
    let third = stream.task().await;
    assert_eq!(third.id.expect("told").attempt, 3);
    assert_eq!(third.checkpoint, second.checkpoint);
    server.end().await;
}

/// A server whose time stands still, at an instant.
async fn still() -> (Server, u64) {
    let now = 1_700_000_000_000;
    let runtime = tokio::runtime::Handle::current();
    let config = Config {
        clock: Arc::new(Hand(AtomicU64::new(now))) as Arc<dyn Clock>,
        ..Config::new(Arc::new(Memory::new()), Vec::new(), runtime)
    };
    (Server::open_by(config).await, now)
}

/// A run of `AFTER_A_MINUTE` whose first attempt ends so.
async fn ended(server: &Server, stream: &mut Stream, result: v1::Result) -> String {
    let run = server.run("default", AFTER_A_MINUTE).await;
    stream.credits(1);
    let task = stream.task().await;
    assert_eq!(task.id.expect("told").run, run);
    let status = stream.report(&task.token, result).await;
    assert_eq!(status, v1::ReportStatus::Accepted);
    run
}

#[tokio::test]
async fn what_is_not_retryable_ends_the_step_whatever_its_retry_allows() {
    let (server, _) = still().await;
    let (mut stream, _, _) = server.session("raw", 0).await;
    let run = ended(&server, &mut stream, failed(Some(false), None)).await;
    let told = server.told(&run).await;
    assert_eq!(told.run.expect("told").state(), v1::RunState::Failed);
    let instance = server.instance(&run, "a").await;
    assert_eq!(instance.state(), v1::StepState::Failed);
    assert_eq!(instance.attempts.len(), 1);
    let failure = instance.attempts[0].failure.as_ref().expect("it failed");
    assert_eq!(failure.retryable, Some(false));
    server.end().await;
}

#[tokio::test]
async fn retry_after_says_when_the_next_attempt_is_due() {
    let (server, now) = still().await;
    let (mut stream, _, _) = server.session("raw", 0).await;
    let hour = 3_600_000;
    // Without it, as the step says; sooner and later than that; at most an hour.
    for (asked, after) in [
        (None, 60_000),
        (Some(1_234), 1_234),
        (Some(600_000), 600_000),
        (Some(2 * hour), hour),
    ] {
        let run = ended(&server, &mut stream, failed(None, asked)).await;
        let instance = server.instance(&run, "a").await;
        let waiting = instance.waiting_for.into_iter().find_map(|one| one.what);
        let Some(What::Retry(retry)) = waiting else {
            panic!("{waiting:?}");
        };
        assert_eq!((retry.attempt, retry.at_ms - now), (2, after), "{asked:?}");
    }
    server.end().await;
}

/// The trace and the span of a `traceparent`.
fn trace(task: &v1::Task) -> (String, String) {
    let text = &task.traceparent;
    let parts: Vec<_> = text.split('-').collect();
    let [version, trace, span, flags] = parts[..] else {
        panic!("{text}");
    };
    // https://www.w3.org/TR/trace-context/#traceparent-header
    assert_eq!((version, flags), ("00", "01"), "{text}");
    for (part, len) in [(trace, 32), (span, 16)] {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        assert!(part.len() == len && part.bytes().all(hex), "{text}");
        assert!(part.bytes().any(|byte| byte != b'0'), "{text}: it is none");
    }
    (trace.to_owned(), span.to_owned())
}

#[tokio::test]
async fn attempts_of_a_run_are_spans_of_one_trace() {
    let server = Server::open().await;
    let (mut stream, _, _) = server.session("raw", 0).await;
    let spec = "{steps: [{id: a, driver: raw, foreach: {items: [1, 2]}, \
         retry: {attempts: 2, backoff: {initial: 1ms}}}, {id: b, driver: raw}]}";
    let mut traces = BTreeSet::new();
    for _ in 0..2 {
        let run = server.run("default", spec).await;
        let mut spans = BTreeSet::new();
        let mut of_this = BTreeSet::new();
        // Two attempts of each instance, and one of the step after them.
        for _ in 0..5 {
            stream.credits(1);
            let task = stream.task().await;
            let (trace, span) = trace(&task);
            of_this.insert(trace);
            assert!(spans.insert(span), "{}", task.traceparent);
            let id = task.id.expect("told");
            assert_eq!(id.run, run);
            let result = match (id.step.as_str(), id.attempt) {
                ("a", 1) => failed(None, None),
                _ => succeeded("{}"),
            };
            let status = stream.report(&task.token, result).await;
            assert_eq!(status, v1::ReportStatus::Accepted);
        }
        assert_eq!(of_this.len(), 1, "{of_this:?}");
        traces.append(&mut of_this);
    }
    assert_eq!(traces.len(), 2, "{traces:?}");
    stream.tell(Tell::Leaving(v1::Leaving::default()));
    let rest = stream.end().await;
    assert!(!rest.iter().any(|told| matches!(told, Told::Task(_))));
    server.end().await;
}
