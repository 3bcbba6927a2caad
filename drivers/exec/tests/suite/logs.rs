use crate::support::{alive, eventually, exec, run, submit, task, texts};
use conveyor_driver_exec::{MAX_LINE_BYTES, MAX_LOG_BYTES};
use conveyor_node::driver::{LogStream, Outcome};
use conveyor_sdk::testing::TestTask;
use serde_json::json;

#[tokio::test]
async fn both_streams_come_as_lines_whatever_their_bytes() {
    let (_, lines) = run(json!({"run": r"printf 'one\r\n\ntwo'; printf '\377\001\n' >&2"})).await;
    assert_eq!(texts(&lines, LogStream::Stdout), ["one", "", "two"]);
    let error = lines
        .iter()
        .find(|line| line.stream == LogStream::Stderr)
        .expect("a line");
    assert_eq!(&error.text[..], b"\xFF\x01");
    assert!(lines.iter().all(|line| line.time.0 > 1_700_000_000_000));
}

#[tokio::test]
async fn a_line_is_seen_while_the_command_runs() {
    let mut running = submit(&*exec(), task(json!({"run": "echo here; exec sleep 60"})));
    assert_eq!(running.line().await, "here");
    assert!(!running.outcome.is_finished());
    running.cancel();
    assert_eq!(running.end().await.0, Outcome::Cancelled);
}

#[tokio::test]
async fn a_line_without_end_comes_in_parts() {
    let with = format!("head -c {} /dev/zero | tr '\\0' x", 2 * MAX_LINE_BYTES + 1);
    let (_, lines) = run(json!({"run": with})).await;
    let part = "x".repeat(MAX_LINE_BYTES);
    let expected = [part.as_str(), part.as_str(), "x"];
    assert!(texts(&lines, LogStream::Stdout) == expected);
    let go_on: Vec<bool> = lines.iter().map(|line| line.goes_on).collect();
    assert_eq!(go_on, [true, true, false]);
}

#[tokio::test]
async fn a_secret_where_a_long_line_is_cut_is_masked() {
    const SECRET: &str = "s3cr3t-value-7Q";
    // Its first half ends the first part; the next one is at another's end without a line feed.
    let script = format!(
        "x() {{ head -c $1 /dev/zero | tr '\\0' x; }}; x {}; printf %s {SECRET}; x {}; printf %s {SECRET}",
        MAX_LINE_BYTES - SECRET.len() / 2,
        MAX_LINE_BYTES,
    );
    let driver = conveyor_driver_exec::driver();
    let test = TestTask::new("run").secret("KEY", SECRET);
    let run = test.inputs(json!({"run": script})).run(&driver).await;
    run.result.expect("it ends well");
    let said = run.lines.concat();
    assert_eq!(said.matches("***").count(), 2, "both are masked");
    let without = said.replace("***", "");
    assert!(without.bytes().all(|byte| byte == b'x'));
    assert_eq!(without.len(), 2 * MAX_LINE_BYTES - SECRET.len() / 2);
    let (last, others) = run.go_on.split_last().expect("lines");
    assert!(
        !last && others.iter().all(|goes_on| *goes_on),
        "{:?}",
        run.go_on
    );
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(target_os = "linux")]
async fn a_flood_waits_for_its_reader() {
    let mut running = submit(&*exec(), task(json!({"run": "echo $$; exec yes"})));
    let pid = running.line().await;
    let written = || {
        let io = std::fs::read_to_string(format!("/proc/{pid}/io")).expect("its counters");
        io.lines()
            .find_map(|line| line.strip_prefix("wchar: ")?.parse::<u64>().ok())
            .expect("a count")
    };
    // Nobody reads on: `yes` has written what pipe and channel hold, and nothing more in 20 looks.
    let (mut last, mut same) = (0, 0);
    eventually("what `yes` has written stops growing", || {
        let now = written();
        same = if now > 0 && now == last { same + 1 } else { 0 };
        last = now;
        same == 20
    });
    assert!(last < 4 << 20, "{last} bytes");
    assert!(alive(&pid));
    running.cancel();
    assert_eq!(running.end().await.0, Outcome::Cancelled);
}

#[tokio::test]
async fn what_is_over_the_limit_is_drained_and_told() {
    let megabytes = (MAX_LOG_BYTES >> 20) + 2;
    let line = "x".repeat(1023);
    let script = format!(
        "yes {line} | head -n {}; echo done=1 >$CONVEYOR_OUTPUT",
        megabytes << 10
    );
    let mut running = submit(&*exec(), task(json!({"run": script})));
    let (mut bytes, mut notes) = (0, Vec::new());
    while let Some(line) = running.logs.recv().await {
        match line.stream {
            LogStream::Stdout => bytes += line.text.len() as u64 + 1,
            _ => notes.push(String::from_utf8_lossy(&line.text).into_owned()),
        }
    }
    assert_eq!(
        running.outcome.await.expect("no panic"),
        Outcome::Succeeded(json!({"done": "1"}))
    );
    assert_eq!(bytes, MAX_LOG_BYTES);
    assert_eq!(notes.len(), 2);
    assert!(
        notes[0].contains("log truncated: the limit of an attempt is 67108864 bytes"),
        "{}",
        notes[0]
    );
    assert!(
        notes[1].contains("log truncated: 2097152 bytes after the first"),
        "{}",
        notes[1]
    );
}
