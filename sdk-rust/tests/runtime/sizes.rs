//! What a task says is made to fit: an engine breaks the connection of whoever sends more than it takes.

use super::*;
use conveyor_sdk::Stream;
use serde_json::{Value, json};

/// What the engine of these tests takes.
fn limits() -> Limits {
    Limits {
        message_bytes: 64 << 20,
        outputs_bytes: 1_000,
        log_line_bytes: 64 << 10,
        log_batch_bytes: 100_000,
        checkpoint_bytes: 100,
        failure_details_bytes: 500,
    }
}

/// Its task, sent.
async fn peer<F, R>(action: F, task: conveyor_proto::v1::Task) -> Peer
where
    F: Fn(Task) -> R + Send + Sync + 'static,
    R: Future<Output = std::result::Result<Value, Failure>> + Send + 'static,
{
    let driver = |url: &str| {
        Driver::new("d").action("run", action).options(|options| {
            options.url = Some(url.to_owned());
            options.token = Some(String::new());
        })
    };
    let mut peer = connected(driver, Some(limits())).await;
    peer.tell(Tell::Task(task)).await;
    peer.accepted().await;
    peer
}

#[tokio::test(start_paused = true)]
async fn outputs_that_no_message_has_are_an_error_and_the_connection_stays() {
    let whole = || json!({ "all": "x".repeat(69 << 20) });
    let mut peer = peer(move |_| async move { Ok(whole()) }, task()).await;
    let result = peer.reported().await;
    assert_eq!(result.state(), AttemptState::Errored);
    assert!(result.outputs.is_empty(), "{}", result.outputs.len());
    let failure = result.failure.expect("it says why");
    assert_eq!(failure.code, "output_too_large");
    assert_eq!(failure.retryable, Some(false));
    let bytes = (69 << 20) + 10;
    let why = format!("the outputs have {bytes} bytes; the limit `outputs_bytes` is 1000");
    assert_eq!(failure.message, why);
}

/// More lines than messages may be on their way, each said by itself.
const LINES: u64 = 600;

#[tokio::test(start_paused = true)]
async fn lines_wait_while_nothing_is_acknowledged() {
    let action = |task: Task| async move {
        for at in 0..LINES {
            task.log.line(Stream::Stdout, at.to_string()).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(json!({}))
    };
    let mut peer = peer(action, task()).await;
    let mut on_their_way = 0;
    peer.until(|said| {
        on_their_way += u64::from(!matches!(said, Said::Heartbeat(_)));
        matches!(said, Said::Report(_)).then_some(())
    })
    .await;
    assert!(on_their_way < 256, "{on_their_way}");
    peer.acknowledge(LINES + 100, Vec::new()).await;
    let mut lines = 0;
    peer.until(|said| match said {
        Said::Logs(batch) => {
            lines = batch.first_offset + batch.lines.len() as u64;
            (lines == LINES).then_some(())
        }
        _ => None,
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_is_too_long_is_told_as_far_as_it_may_be() {
    let failure = || {
        Failure::new("compiler", format!("{}ends", "ä".repeat(40_000)))
            .details(json!({ "log": "y".repeat(600) }))
            .outputs(json!({ "log": "z".repeat(2_000) }))
            .permanent()
    };
    let mut peer = peer(move |_| async move { Err(failure()) }, task()).await;
    let result = peer.reported().await;
    assert_eq!(result.state(), AttemptState::Failed);
    assert!(result.outputs.is_empty(), "{}", result.outputs.len());
    let failure = result.failure.expect("it says why");
    assert_eq!(failure.code, "compiler");
    assert_eq!(failure.message, format!("{}…", "ä".repeat(32_766)));
    let details: Value = serde_json::from_slice(&failure.details).expect("it is JSON");
    let why = "the details have 610 bytes; the limit `failure_details_bytes` is 500";
    assert_eq!(details, json!({ "left_out": why }));
    assert_eq!(failure.retryable, Some(false));
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_over_the_limit_is_refused_here_and_words_of_progress_are_cut() {
    let action = |task: Task| async move {
        task.progress(0.5, "ö".repeat(1_000));
        let refused = task.save_checkpoint(vec![0; 101]).await;
        Err(refused.expect_err("it is over the limit"))
    };
    let mut peer = peer(action, task()).await;
    let failure = peer.reported().await.failure.expect("it says why");
    assert_eq!(
        failure.message,
        "the checkpoint has 101 bytes; the limit `checkpoint_bytes` is 100"
    );
    // Nobody has answered the report: the task is told of.
    let told = peer
        .until(|said| match said {
            Said::Heartbeat(beat) => beat.tasks.into_iter().next(),
            Said::Checkpoint(_) => panic!("it was sent"),
            _ => None,
        })
        .await;
    assert_eq!(told.message, format!("{}…", "ö".repeat(510)));
}

/// All lines of the task until its log is whole, each batch acknowledged as the window wants it.
async fn lines(peer: &mut Peer) -> Vec<LogLine> {
    let whole = tokio::time::timeout(PATIENCE, all_lines(peer)).await;
    whole.expect("its log is whole in time")
}

async fn all_lines(peer: &mut Peer) -> Vec<LogLine> {
    let (mut lines, mut last) = (Vec::new(), None);
    while last.is_none_or(|last: u64| last + 1 > lines.len() as u64) {
        match peer.next().await {
            Said::Report(report) => last = report.result.and_then(|result| result.last_log_offset),
            Said::Logs(batch) => {
                assert_eq!(batch.first_offset, lines.len() as u64);
                let text: usize = batch.lines.iter().map(|line| line.text.len()).sum();
                assert!(text as u64 <= limits().log_batch_bytes, "{text}");
                let bytes = batch.lines.iter().map(|line| line.text.len() as u64 + 64);
                let bytes = bytes.sum();
                lines.extend(batch.lines);
                let next_offset = lines.len() as u64;
                peer.tell(Tell::Acknowledgement(Acknowledgement {
                    logs: vec![LogAcknowledgement {
                        token: batch.token,
                        next_offset,
                        sealed: false,
                    }],
                    ..Acknowledgement::default()
                }))
                .await;
                peer.tell(Tell::LogWindow(LogWindow { bytes })).await;
            }
            _ => {}
        }
    }
    lines
}

/// The lines as they were said: what goes on in the next, with that.
fn said(lines: &[LogLine]) -> Vec<Vec<u8>> {
    let mut said = vec![Vec::new()];
    for line in lines {
        assert!(line.text.len() <= 64 << 10, "{}", line.text.len());
        let whole = said.last_mut().expect("there is one");
        whole.extend_from_slice(&line.text);
        if !line.truncated {
            said.push(Vec::new());
        }
    }
    assert_eq!(said.pop(), Some(Vec::new()), "the last goes on");
    said
}

#[tokio::test(start_paused = true)]
async fn a_line_that_no_window_has_goes_in_pieces_and_those_after_it_too() {
    // Letters of two and three bytes: no piece ends where a power of two does.
    let long = || "aäあ".repeat(1 << 20);
    let action = move |task: Task| async move {
        task.log.info("before");
        // What does not wait for room is first: there is room for it.
        task.log.info(&long()[..3 << 19]);
        // More than all of the room of a task's log.
        task.log.line(Stream::Stdout, long()).await;
        task.log.line(Stream::Stderr, vec![0xbf; 3 << 16]).await;
        task.log.line(Stream::Stdout, "").await;
        task.log.line(Stream::Driver, "after").await;
        Ok(json!({}))
    };
    let mut peer = peer(action, task()).await;
    let lines = lines(&mut peer).await;
    let all = said(&lines);
    let lengths: Vec<_> = all.iter().map(Vec::len).collect();
    assert_eq!(lengths, [6, 3 << 19, 6 << 20, 3 << 16, 0, 5]);
    assert!(all[2] == long().as_bytes(), "it is another");
    assert_eq!(all[5], b"after");
    let strange = |line: &&LogLine| line.stream() == LogStream::Stderr;
    for line in lines.iter().filter(|line| !strange(line)) {
        assert!(std::str::from_utf8(&line.text).is_ok(), "a letter is cut");
    }
    // What is no UTF-8 is cut at the limit.
    assert_eq!(lines.iter().filter(strange).count(), 3);
    let pieces = lines
        .iter()
        .filter(|line| line.stream() == LogStream::Stdout);
    assert_eq!(pieces.count(), 98);
}

#[tokio::test(start_paused = true)]
async fn batches_and_lines_are_as_short_as_the_welcome_says() {
    const LINES: u64 = 60;
    let action = |task: Task| async move {
        for _ in 0..LINES {
            task.log.line(Stream::Stdout, "x".repeat(1_024)).await;
        }
        Ok(json!({}))
    };
    let limits = Limits {
        log_batch_bytes: 8_192,
        log_line_bytes: 1_000,
        ..limits()
    };
    let driver = |url: &str| {
        Driver::new("d").action("run", action).options(|options| {
            options.url = Some(url.to_owned());
            options.token = Some(String::new());
        })
    };
    let mut peer = connected(driver, Some(limits)).await;
    peer.tell(Tell::Task(task())).await;
    let mut parts = 0;
    peer.until(|said| match said {
        Said::Logs(batch) => {
            let lengths = batch.lines.iter().map(|line| line.text.len() as u64);
            assert!(lengths.clone().all(|length| length <= 1_000));
            let text: u64 = lengths.sum();
            assert!(text <= 8_192, "{text}");
            parts += batch.lines.len() as u64;
            (parts == 2 * LINES).then_some(())
        }
        _ => None,
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_masked_before_a_line_is_cut_within_it() {
    const SECRET: &str = "swordfish-of-the-seven-seas";
    let action = |task: Task| async move {
        // The first piece ends in the middle of it.
        let line = format!("{}{SECRET} and on", "x".repeat((64 << 10) - 10));
        task.log.line(Stream::Stdout, line).await;
        Ok(json!({}))
    };
    let task = conveyor_proto::v1::Task {
        secrets: [("KEY".to_owned(), SECRET.into())].into(),
        ..task()
    };
    let mut peer = peer(action, task).await;
    let all = said(&lines(&mut peer).await);
    let masked = format!("{}*** and on", "x".repeat((64 << 10) - 10));
    assert_eq!(all, [masked.into_bytes()]);
}
