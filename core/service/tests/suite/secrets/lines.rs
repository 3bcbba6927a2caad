//! Log lines.

use super::{World, failed, forms, line, masked};
use conveyor_proto::v1;

#[tokio::test]
async fn lines_of_calls_without_a_stream_are_masked_in_every_form() {
    let world = World::new().await;
    let (run, task) = world.task().await;
    let lines: Vec<_> = forms().iter().map(|form| format!("<{form}>")).collect();
    // In one call, and sent again in others.
    world.log(&task, 0, &lines).await;
    world.log(&task, 0, &lines[..2]).await;
    world.log(&task, lines.len() as u64, &lines).await;
    let kept = world.lines(&run).await;
    assert_eq!(kept.len(), 2 * lines.len());
    for (form, line) in forms().iter().cycle().zip(&kept) {
        masked(line, form);
        assert!(line.starts_with('<') && line.ends_with('>'), "{line}");
    }
    world.is_nowhere();
}

#[tokio::test]
async fn a_value_of_many_lines_is_masked_though_each_comes_in_a_call_of_its_own() {
    let value = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0IG9mIG1hbnkgbGluZXM=\n3Jd8sKq0\n-----END PRIVATE KEY-----\n";
    let world = World::with(value).await;
    let (run, task) = world.task().await;
    let lines: Vec<_> = value.lines().map(str::to_owned).collect();
    for (at, line) in (0..).zip(&lines) {
        world.log(&task, at, std::slice::from_ref(line)).await;
    }
    // What everybody knows stays.
    let expected = [
        "-----BEGIN PRIVATE KEY-----",
        "***",
        "***",
        "-----END PRIVATE KEY-----",
    ];
    assert_eq!(world.lines(&run).await, expected);
}

#[tokio::test]
async fn lines_that_come_after_the_report_are_masked() {
    let world = World::new().await;
    let (run, task) = world.task().await;
    let lines: Vec<_> = forms().iter().map(|form| format!("<{form}>")).collect();
    world.log(&task, 0, &lines[..1]).await;
    let result = v1::Result {
        last_log_offset: Some(lines.len() as u64 - 1),
        ..failed("no", "no", "")
    };
    let told = world.report(&task, result).await;
    assert_eq!(told.status(), v1::ReportStatus::Accepted);
    world.log(&task, 1, &lines[1..]).await;
    let kept = world.lines(&run).await;
    assert_eq!(kept.len(), lines.len());
    for (form, line) in forms().iter().zip(&kept) {
        masked(line, form);
    }
    world.is_nowhere();
}

#[tokio::test]
async fn an_offset_beyond_all_numbers_ends_an_attempt_and_no_server() {
    let world = World::new().await;
    let (run, task) = world.task().await;
    world.log(&task, 0, &["a line".to_owned()]).await;
    let result = v1::Result {
        last_log_offset: Some(u64::MAX),
        ..failed("no", "no", "")
    };
    let told = world.report(&task, result).await;
    assert_eq!(told.status(), v1::ReportStatus::Invalid);
    let limit = "`last_log_offset` is 18446744073709551615; the limit is 4611686018427387903";
    assert_eq!(told.reason, limit);
    world.log(&task, 1, &["late".to_owned()]).await;
    assert_eq!(world.lines(&run).await, ["a line", "late"]);
    // One from nowhere is told where to go on.
    let lines = vec![v1::LogLine::default()];
    let told = world.driver.log(&task.token, u64::MAX, lines).await;
    assert_eq!(told.next_offset, 2);
}

#[tokio::test]
async fn a_secret_that_goes_on_in_the_next_line_is_masked_in_both() {
    let world = World::with("hunter2-\"q\"-end").await;
    let (run, task) = world.task().await;
    let error = |text: &str| v1::LogLine {
        stream: v1::LogStream::Stderr.into(),
        ..line(text, false)
    };
    // In one batch, with a line of another stream between.
    let lines = vec![
        line("half hunter2-\"q", true),
        error("\"-end"),
        line("\"-end.", false),
    ];
    world.log_lines(&task, 0, lines).await;
    // Over batches, escaped, and cut in an escape.
    world
        .log_lines(&task, 3, vec![line("more hunter2%2", true)])
        .await;
    let second = vec![line("D\\u0022q", true)];
    world.log_lines(&task, 4, second.clone()).await;
    // Sent again: alone, and with what comes next.
    world.log_lines(&task, 4, second.clone()).await;
    let next = [second, vec![line("&quot;-end!", false)]].concat();
    world.log_lines(&task, 4, next).await;
    // The attempt ends between the two.
    world
        .log_lines(&task, 6, vec![line("last hunter2-\"q", true)])
        .await;
    let result = v1::Result {
        last_log_offset: Some(7),
        ..failed("no", "no", "")
    };
    let told = world.report(&task, result).await;
    assert_eq!(told.status(), v1::ReportStatus::Accepted);
    world
        .log_lines(&task, 7, vec![line("\"-end?", false)])
        .await;
    let expected = [
        "half ***", "\"-end", "***.", "more ***", "***", "***!", "last ***", "***?",
    ];
    assert_eq!(world.lines(&run).await, expected);
}

#[tokio::test]
async fn lines_that_do_not_go_on_are_masked_by_themselves() {
    let world = World::with("hunter2-\"q\"-end").await;
    let (run, task) = world.task().await;
    let lines = vec![
        line("half hunter2-\"q", false),
        line("\"-end.", false),
        // What may be a beginning is hidden before anybody knows, and nothing else.
        line("cut hunter", true),
        line("s hut", true),
        line("\"-end.", false),
    ];
    world.log_lines(&task, 0, lines).await;
    let expected = ["half hunter2-\"q", "\"-end.", "cut ***", "s hut", "\"-end."];
    assert_eq!(world.lines(&run).await, expected);
}
