//! What a driver says that masks nothing: the server does, whatever it is and in whatever form the secret is.

use crate::start;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use conveyor_node::{Config, Node, Secrets};
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_proto::v1::driver_service_server::DriverService as _;
use conveyor_service::{About, ControlHandlers, DriverHandlers};
use conveyor_store::{Direction, KeyRange, Memory, Store as _};
use prost::Message as _;
use prost::bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use tonic::{Code, Request, Status};

/// Some of it is escaped in JSON, and some in URLs.
const VALUE: &str = "s3cr3t \"value\"/+&\u{e9}7Q";
const SPEC: &str = "{secrets: [{name: token, from: 'file:token'}], \
     steps: [{id: use, driver: raw, secrets: {TOKEN: token}}]}";

/// The secret as programs write it.
fn forms() -> Vec<String> {
    let percent = |upper: bool| -> String {
        let each = VALUE.bytes().map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            _ if upper => format!("%{byte:02X}"),
            _ => format!("%{byte:02x}"),
        });
        each.collect()
    };
    let json = serde_json::to_string(VALUE).expect("JSON");
    let json = &json[1..json.len() - 1];
    let mut forms = vec![
        VALUE.to_owned(),
        percent(true),
        percent(false),
        percent(true).replace("%20", "+"),
        json.to_owned(),
        json.replace('\u{e9}', "\\u00e9"),
        json.replace('/', "\\/"),
    ];
    for before in ["", "a", "ab"] {
        forms.push(STANDARD.encode(format!("{before}{VALUE}")));
        forms.push(URL_SAFE.encode(format!("{before}{VALUE}")));
    }
    forms
}

/// Whether anything of the secret is left, in any form.
fn shows(bytes: &[u8]) -> bool {
    let of = |form: String| match form.starts_with("s3cr3t") {
        true => "s3cr3t".to_owned(),
        // Letters in the middle: those at the ends are shared with what stands beside.
        false => form[6..form.len() - 6].to_owned(),
    };
    let mut needles = forms().into_iter().map(of);
    needles.any(|needle| {
        let mut parts = bytes.windows(needle.len());
        parts.any(|part| part == needle.as_bytes())
    })
}

/// A line of standard output; `truncated`: it goes on in the next.
fn line(text: &str, truncated: bool) -> v1::LogLine {
    v1::LogLine {
        time_ms: 1,
        stream: v1::LogStream::Stdout.into(),
        text: text.to_owned().into(),
        truncated,
    }
}

/// A server without a socket, and a driver that does not use the SDK.
struct World {
    dir: tempfile::TempDir,
    store: Arc<Memory>,
    control: ControlHandlers,
    drivers: DriverHandlers,
    session: v1::Welcome,
}

impl World {
    async fn new() -> World {
        World::with(VALUE).await
    }

    async fn with(value: &str) -> World {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("token"), value).expect("it is writable");
        let store = Arc::new(Memory::new());
        let runtime = tokio::runtime::Handle::current();
        let config = Config {
            secrets: Arc::new(Secrets::new(Some(dir.path().to_owned()), "")),
            ..Config::new(store.clone(), Vec::new(), runtime)
        };
        let node = Node::open(config).await.expect("a node");
        let about = About {
            role: "test".to_owned(),
            data_directory: String::new(),
            started_ms: 0,
            drivers: BTreeMap::new(),
            capacity: 0,
            step_environment: BTreeMap::new(),
            drivers_may_come: true,
        };
        let drivers = DriverHandlers::new(node.clone());
        let hello = v1::Hello {
            driver: "raw".to_owned(),
            version: "1.0.0".to_owned(),
            contract_versions: vec![1],
            capacity: 4,
            actions: vec![v1::Action {
                name: "run".to_owned(),
                ..v1::Action::default()
            }],
            ..v1::Hello::default()
        };
        let hello = Request::new(v1::RegisterRequest { hello: Some(hello) });
        let registered = drivers.register(hello).await.expect("a session");
        World {
            dir,
            store,
            control: ControlHandlers::new(node, about),
            drivers,
            session: registered.into_inner().welcome.expect("told"),
        }
    }

    /// A run, and the task of its step.
    async fn task(&self) -> (String, v1::Task) {
        let run = start(&self.control, SPEC).await;
        let poll = v1::PollRequest {
            session: self.session.session.clone(),
            resume_secret: self.session.resume_secret.clone(),
            max_tasks: 1,
            wait_ms: 60_000,
            ..v1::PollRequest::default()
        };
        let polled = self.drivers.poll(Request::new(poll)).await.expect("polled");
        let task = polled.into_inner().tasks.remove(0);
        self.answer(&task, v1::task_answer::Answer::Accepted(v1::Accepted {}))
            .await
            .expect("it is the driver's");
        (run, task)
    }

    async fn answer(&self, task: &v1::Task, answer: v1::task_answer::Answer) -> Result<(), Status> {
        let request = v1::AnswerRequest {
            session: self.session.session.clone(),
            resume_secret: self.session.resume_secret.clone(),
            answers: vec![v1::TaskAnswer {
                token: task.token.clone(),
                answer: Some(answer),
            }],
        };
        self.drivers.answer(Request::new(request)).await.map(drop)
    }

    async fn log(&self, task: &v1::Task, first_offset: u64, texts: &[String]) {
        let lines = texts.iter().map(|text| line(text, false)).collect();
        self.log_lines(task, first_offset, lines).await;
    }

    async fn log_lines(&self, task: &v1::Task, first_offset: u64, lines: Vec<v1::LogLine>) {
        let next_offset = first_offset + lines.len() as u64;
        let request = v1::AppendLogsRequest {
            logs: Some(v1::LogBatch {
                token: task.token.clone(),
                first_offset,
                lines,
            }),
        };
        let kept = self.drivers.append_logs(Request::new(request)).await;
        let kept = kept.expect("kept").into_inner().acknowledgement;
        let next = kept.expect("told").next_offset;
        assert!(next >= next_offset);
    }

    async fn lines(&self, run: &str) -> Vec<String> {
        use v1::read_logs_response::Item;
        let request = v1::ReadLogsRequest {
            run: run.to_owned(),
            ..v1::ReadLogsRequest::default()
        };
        let told = self.control.read_logs(Request::new(request)).await;
        let mut told = told.expect("a log").into_inner();
        let mut lines = Vec::new();
        while let Some(item) = tokio_stream::StreamExt::next(&mut told).await {
            if let Some(Item::Records(records)) = item.expect("lines").item {
                let text =
                    |record: &v1::LogRecord| String::from_utf8_lossy(&record.text).into_owned();
                lines.extend(records.records.iter().map(text));
            }
        }
        lines
    }

    async fn report(&self, task: &v1::Task, result: v1::Result) -> v1::ReportOutcome {
        let report = v1::TaskReport {
            token: task.token.clone(),
            result: Some(result),
        };
        let report = v1::ReportRequest {
            report: Some(report),
        };
        let told = self.drivers.report(Request::new(report)).await;
        told.expect("an answer").into_inner().outcome.expect("told")
    }

    async fn attempt(&self, run: &str) -> v1::Attempt {
        let request = v1::GetRunRequest {
            run: run.to_owned(),
            ..v1::GetRunRequest::default()
        };
        let told = crate::get(&self.control, request).await.expect("a run");
        assert!(!shows(&told.encode_to_vec()), "{told:?}");
        told.steps[0].instances[0].attempts[0].clone()
    }

    /// Looks at all that is kept.
    fn is_nowhere(&self) {
        let mut rest = Some(KeyRange::prefix(Vec::new()));
        let mut seen = 0;
        while let Some(range) = rest {
            let page = self
                .store
                .scan(&range, Direction::Forward, 100)
                .expect("rows");
            for (key, value) in &page.entries {
                assert!(!shows(value), "{}", String::from_utf8_lossy(key));
                seen += 1;
            }
            rest = page.rest(&range, Direction::Forward);
        }
        assert!(seen > 5, "what is kept cannot be looked at");
    }

    fn secret_is(&self, value: Option<&str>) {
        let path = self.dir.path().join("token");
        match value {
            Some(value) => std::fs::write(path, value).expect("it is writable"),
            None => std::fs::remove_file(path).expect("it is there"),
        }
    }
}

fn failed(code: &str, message: &str, details: &str) -> v1::Result {
    v1::Result {
        state: v1::AttemptState::Failed.into(),
        failure: Some(v1::Failure {
            code: code.to_owned(),
            message: message.to_owned(),
            details: details.to_owned().into(),
            ..v1::Failure::default()
        }),
        ..v1::Result::default()
    }
}

fn succeeded(outputs: String) -> v1::Result {
    v1::Result {
        state: v1::AttemptState::Succeeded.into(),
        outputs: outputs.into(),
        ..v1::Result::default()
    }
}

/// What is expected of `<FORM>`: base64 keeps letters that it shares.
#[track_caller]
fn masked(text: &str, form: &str) {
    assert!(text.contains("***"), "{form}: {text}");
    assert!(!shows(text.as_bytes()), "{form}: {text}");
}

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
async fn words_of_progress_are_masked_in_every_form() {
    let world = World::new().await;
    let (run, task) = world.task().await;
    for form in forms() {
        // A cut at 1 KiB comes after the masking: it leaves no half of a secret.
        for before in [0, 1015] {
            let request = v1::HeartbeatRequest {
                session: world.session.session.clone(),
                resume_secret: world.session.resume_secret.clone(),
                tasks: vec![v1::TaskProgress {
                    token: task.token.clone(),
                    permille: Some(500),
                    message: format!("{}<{form}>", "-".repeat(before)),
                }],
            };
            world
                .drivers
                .heartbeat(Request::new(request))
                .await
                .expect("heard");
            let progress = world.attempt(&run).await.progress.expect("told");
            masked(&progress.message, &form);
        }
    }
}

#[tokio::test]
async fn every_word_of_a_failure_is_masked_in_every_form() {
    let world = World::new().await;
    for form in forms() {
        let (run, task) = world.task().await;
        let details = serde_json::json!({ "text": [format!("<{form}>")], format!("k {form}"): 1 });
        let code = format!("c {form}");
        let told = world
            .report(
                &task,
                failed(&code, &format!("<{form}>"), &details.to_string()),
            )
            .await;
        assert_eq!(told.status(), v1::ReportStatus::Accepted, "{form}");
        let failure = world.attempt(&run).await.failure.expect("it failed");
        masked(&failure.code, &form);
        masked(&failure.message, &form);
        masked(&String::from_utf8_lossy(&failure.details), &form);
    }
    world.is_nowhere();
}

#[tokio::test]
async fn outputs_with_a_secret_in_any_form_are_kept_nowhere() {
    let world = World::new().await;
    for form in forms() {
        let outputs = serde_json::json!({ "x": [{ "y": format!("<{form}>") }] }).to_string();
        let (run, task) = world.task().await;
        let told = world.report(&task, succeeded(outputs.clone())).await;
        assert_eq!(told.status(), v1::ReportStatus::Invalid, "{form}");
        assert!(told.reason.contains("`token`") && !shows(told.reason.as_bytes()));
        let attempt = world.attempt(&run).await;
        assert_eq!(attempt.state(), v1::AttemptState::Errored);
        let code = attempt.failure.expect("it is in error").code;
        assert_eq!(code, "secret_in_outputs", "{form}");
        // Those of a failure are left out.
        let (run, task) = world.task().await;
        let result = v1::Result {
            outputs: outputs.into(),
            ..failed("no", "no", "")
        };
        assert_eq!(
            world.report(&task, result).await.status(),
            v1::ReportStatus::Accepted
        );
        assert!(world.attempt(&run).await.outputs.is_empty(), "{form}");
    }
    world.is_nowhere();
}

#[tokio::test]
async fn why_a_report_cannot_be_read_is_said_without_its_secrets() {
    let world = World::new().await;
    let key = serde_json::to_string(VALUE).expect("JSON");
    for outputs in [
        format!("{{{key}: 1, {key}: 2}}"),
        format!("{{{key}: 18446744073709551616}}"),
        format!("{{\"a\": {key}"),
        format!("{{\"a\": {VALUE}}}"),
    ] {
        let (run, task) = world.task().await;
        let told = world.report(&task, succeeded(outputs.clone())).await;
        assert_eq!(told.status(), v1::ReportStatus::Invalid, "{outputs}");
        assert!(!shows(told.reason.as_bytes()), "{}", told.reason);
        let failure = world.attempt(&run).await.failure.expect("it is in error");
        assert_eq!(failure.message, told.reason);
    }
    world.is_nowhere();
}

#[tokio::test]
async fn checkpoints_with_a_secret_in_any_form_are_refused() {
    let world = World::new().await;
    let (_, task) = world.task().await;
    let save = async |data: String| {
        let checkpoint = v1::Checkpoint {
            token: task.token.clone(),
            data: data.into(),
        };
        let request = v1::SaveCheckpointRequest {
            checkpoint: Some(checkpoint),
        };
        world.drivers.save_checkpoint(Request::new(request)).await
    };
    for form in forms() {
        let refused = save(format!("at <{form}>")).await.expect_err("refused");
        assert_eq!(refused.code(), Code::FailedPrecondition, "{form}");
        let why = refused.message();
        assert!(why.contains("`token`") && !shows(why.as_bytes()), "{why}");
    }
    let kept = save("at 7".to_owned()).await.expect("kept").into_inner();
    assert_eq!(kept.status(), v1::ReportStatus::Accepted);
    world.is_nowhere();
}

#[tokio::test]
async fn a_task_that_goes_on_elsewhere_is_masked_as_any_other() {
    let world = World::new().await;
    let detach = |principals: Vec<String>| {
        v1::task_answer::Answer::Detached(v1::Detached {
            until_ms: u64::MAX,
            principals,
        })
    };
    for form in forms() {
        let (run, task) = world.task().await;
        let refused = world.answer(&task, detach(vec!["a".into(), form.clone()]));
        let refused = refused.await.expect_err("names are kept");
        assert_eq!(refused.code(), Code::FailedPrecondition, "{form}");
        let why = refused.message();
        assert!(why.contains("`token`") && !shows(why.as_bytes()), "{why}");
        world
            .answer(&task, detach(vec!["a".into()]))
            .await
            .expect("it is the driver's");
        world.log(&task, 0, &[format!("<{form}>")]).await;
        let result = v1::Result {
            last_log_offset: Some(1),
            ..failed("no", &format!("<{form}>"), "")
        };
        let report = v1::TaskReport {
            token: task.token.clone(),
            result: Some(result),
        };
        let request = v1::CompleteTaskRequest {
            report: Some(report),
        };
        let told = world.drivers.complete_task(Request::new(request)).await;
        let told = told.expect("an answer").into_inner().outcome.expect("told");
        assert_eq!(told.status(), v1::ReportStatus::Accepted);
        world.log(&task, 1, &[format!("late <{form}>")]).await;
        let failure = world.attempt(&run).await.failure.expect("it failed");
        masked(&failure.message, &form);
        for line in world.lines(&run).await {
            masked(&line, &form);
        }
    }
    world.is_nowhere();
}

#[tokio::test]
async fn a_report_said_again_is_known_though_its_secret_has_gone_or_changed() {
    let world = World::new().await;
    let details = serde_json::json!({ "said": VALUE, "n": 1 }).to_string();
    let mut said = Vec::new();
    for result in [
        failed(
            &format!("c{VALUE}"),
            &format!("no: {VALUE}, twice {VALUE}."),
            &details,
        ),
        succeeded(serde_json::json!({ "x": VALUE }).to_string()),
        v1::Result {
            outputs: Bytes::from(serde_json::json!({ "x": VALUE }).to_string()),
            ..failed("no", "nothing of it", "")
        },
        succeeded(r#"{"x": 1}"#.to_owned()),
        succeeded("[1]".to_owned()),
        succeeded("{".to_owned()),
    ] {
        let (_, task) = world.task().await;
        let first = world.report(&task, result.clone()).await.status();
        assert_ne!(first, v1::ReportStatus::Stale);
        said.push((task, result));
    }
    for secret in [Some(VALUE), None, Some("another one")] {
        world.secret_is(secret);
        for (task, result) in &said {
            let told = world.report(task, result.clone()).await;
            assert_eq!(
                told.status(),
                v1::ReportStatus::Already,
                "{secret:?} {result:?}"
            );
            let mut other = result.clone();
            match &mut other.failure {
                Some(failure) => failure.message.push('!'),
                None => other = failed("no", "no", ""),
            }
            let last = v1::Result {
                last_log_offset: Some(7),
                ..result.clone()
            };
            for other in [other, last] {
                let told = world.report(task, other).await;
                assert_eq!(
                    told.status(),
                    v1::ReportStatus::Stale,
                    "{secret:?} {result:?}"
                );
            }
        }
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
    let batch = v1::LogBatch {
        token: task.token.clone(),
        first_offset: u64::MAX,
        lines: vec![v1::LogLine::default()],
    };
    let request = v1::AppendLogsRequest { logs: Some(batch) };
    let told = world.drivers.append_logs(Request::new(request)).await;
    let told = told.expect("an answer").into_inner().acknowledgement;
    assert_eq!(told.expect("told").next_offset, 2);
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
