//! What a driver says that masks nothing: the server does, whatever it is and in whatever form the secret is.

mod lines;
mod reports;

use crate::start;
use crate::stream::about;
use crate::support::Calls;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use conveyor_node::{Config, Node, Secrets};
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_server::ControlService as _;
use conveyor_service::ControlHandlers;
use conveyor_store::{Direction, KeyRange, Memory, Store as _};
use prost::Message as _;
use std::sync::Arc;
use tonic::Request;

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
    driver: Calls,
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
        World {
            dir,
            store,
            driver: Calls::register(&node, 4).await,
            control: ControlHandlers::new(node, about()),
        }
    }

    /// A run, and the task of its step.
    async fn task(&self) -> (String, v1::Task) {
        let run = start(&self.control, SPEC).await;
        (run, self.driver.take().await)
    }

    async fn log(&self, task: &v1::Task, first_offset: u64, texts: &[String]) {
        let lines = texts.iter().map(|text| line(text, false)).collect();
        self.log_lines(task, first_offset, lines).await;
    }

    async fn log_lines(&self, task: &v1::Task, first_offset: u64, lines: Vec<v1::LogLine>) {
        let next_offset = first_offset + lines.len() as u64;
        let next = self
            .driver
            .log(&task.token, first_offset, lines)
            .await
            .next_offset;
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
        self.driver.report(&task.token, result).await
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
