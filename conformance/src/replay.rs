//! Sessions as they were said by a release, said again to this one: what was right once stays right.
//!
//! `conformance/sessions/RELEASE/*.json` has each message as the bytes that went over the wire. This release reads
//! them, puts the tokens and secrets of now in their places, says the driver's part to an engine, and looks that the
//! engine's part comes as it did. `CONVEYOR_RECORD=1` records those of this release.

use crate::backend::{Backend, Engine, Setting};
use crate::site::Transport;
use crate::wire::{By, Entry, From, answered, descriptor, told};
use conveyor_api::{from_json_of, to_json};
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_client::ControlServiceClient;
use conveyor_proto::v1::driver_service_client::DriverServiceClient;
use prost::Message as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

const PATIENCE: Duration = Duration::from_secs(10);
/// What the engine says that is the same each time, but for names and instants.
const COMPARED: [&str; 5] = ["welcome", "task", "cancel", "outcome", "goodbye"];

#[derive(Deserialize, Serialize)]
struct Session {
    release: String,
    about: String,
    /// The pipeline that gives the tasks.
    document: Json,
    said: Vec<Said>,
}

#[derive(Deserialize, Serialize)]
struct Said {
    connection: u32,
    from: String,
    kind: String,
    /// Bytes of the SessionRequest or SessionResponse, in base64.
    bytes: String,
}

/// What is recorded: a name, a sentence, the program of its task, and whether the connection is cut in the midst.
const SESSIONS: [(&str, &str, &str, bool); 3] = [
    (
        "success",
        "A task that logs, tells how far it is, saves a checkpoint, and succeeds.",
        r#"[{"log": {"text": "one\ntwo"}}, {"progress": {"permille": 500, "message": "half"}}, {"checkpoint": {"text": "kept"}}, {"return": {"outputs": {"n": 1}}}]"#,
        false,
    ),
    (
        "failure",
        "A task that fails on purpose, with all that a failure can have.",
        r#"[{"fail": {"code": "no", "message": "it says no", "retryable": false, "details": {"why": [1, "two"]}}}]"#,
        false,
    ),
    (
        "resume",
        "A task that is held while the connection is cut, and reported over the next.",
        r#"[{"log": {"text": "before"}}, {"sleep": {"ms": 700}}, {"log": {"text": "after"}}, {"return": {"outputs": {"n": 2}}}]"#,
        true,
    ),
];

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sessions")
}

fn document(program: &str) -> Json {
    let program: Json = serde_json::from_str(program).expect("a program is JSON");
    json!({
        "apiVersion": "conveyor/v1",
        "kind": "Pipeline",
        "metadata": {"name": "session"},
        "spec": {"steps": [
            {"id": "a", "driver": "under-test", "with": {"program": program}, "allow_failure": true},
        ]},
    })
}

async fn control(engine: &Engine) -> (ControlServiceClient<Channel>, Channel) {
    let endpoint = Endpoint::from_shared(engine.url().to_owned()).expect("an address");
    let channel = endpoint.connect().await.expect("the engine answers");
    (ControlServiceClient::new(channel.clone()), channel)
}

async fn start(control: &mut ControlServiceClient<Channel>, document: &Json) -> String {
    let request = v1::StartRunRequest {
        pipeline: Some(v1::start_run_request::Pipeline::Document(v1::Document {
            source: document.to_string().into_bytes().into(),
            file_name: "session.json".to_owned(),
        })),
        ..v1::StartRunRequest::default()
    };
    let started = control.start_run(request).await.expect("it can run");
    started.into_inner().run.expect("it has a run").id
}

/// A message of a record as the bytes that it was.
fn bytes(entry: &Entry) -> Vec<u8> {
    let By::Stream { sequence } = entry.by else {
        return Vec::new();
    };
    let (name, message) = match (entry.from, entry.kind) {
        (From::Driver, kind @ ("accepted" | "refused" | "detached")) => {
            let mut body = entry.body.clone();
            let token = body["token"].take();
            body.as_object_mut().expect("it is one").remove("token");
            let answer = json!({"token": token, kind: body});
            (
                "SessionRequest",
                json!({"sequence": sequence, "answer": answer}),
            )
        }
        (From::Driver, kind) => (
            "SessionRequest",
            json!({"sequence": sequence, kind: entry.body}),
        ),
        (From::Engine, kind) => (
            "SessionResponse",
            json!({"sequence": sequence, kind: entry.body}),
        ),
    };
    let of = descriptor(name).expect("it is a message");
    let message = from_json_of(&of, &message).unwrap_or_else(|flaw| panic!("{flaw:?}"));
    message.encode_to_vec()
}

/// What stands for what: names of the record, and those of now.
#[derive(Default)]
struct Names(BTreeMap<String, String>);

impl Names {
    fn now(&self, json: &Json) -> Json {
        match json {
            Json::String(text) => self.0.get(text).unwrap_or(text).clone().into(),
            Json::Array(items) => items.iter().map(|item| self.now(item)).collect(),
            Json::Object(fields) => {
                let fields = fields.iter();
                let fields = fields.map(|(key, value)| (key.clone(), self.now(value)));
                Json::Object(fields.collect())
            }
            other => other.clone(),
        }
    }

    fn learn(&mut self, before: &Json, now: &Json, pointers: &[&str]) {
        for pointer in pointers {
            if let (Some(before), Some(now)) = (
                before.pointer(pointer).and_then(Json::as_str),
                now.pointer(pointer).and_then(Json::as_str),
            ) {
                self.0.insert(before.to_owned(), now.to_owned());
            }
        }
    }
}

/// Without what is another each time.
fn lasting(mut body: Json) -> Json {
    let volatile = [
        "deadline_ms",
        "time_left_ms",
        "traceparent",
        "engine",
        "heartbeat_interval_ms",
    ];
    if let Some(body) = body.as_object_mut() {
        body.retain(|key, _| !volatile.contains(&key.as_str()));
    }
    body
}

struct Line {
    tell: mpsc::UnboundedSender<v1::SessionRequest>,
    told: Streaming<v1::SessionResponse>,
}

/// Says a session again.
async fn replay(session: &Session) {
    let engine = Engine::start(&Backend::Embedded, &Setting::default()).await;
    let engine = engine.expect("an engine");
    let (mut control, channel) = control(&engine).await;
    let mut names = Names::default();
    let mut line: Option<(u32, Line)> = None;
    let mut run = None;
    for said in &session.said {
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::STANDARD.decode(&said.bytes);
        let bytes = bytes.expect("bytes are base64");
        if line
            .as_ref()
            .is_none_or(|(connection, _)| *connection != said.connection)
        {
            // The one before breaks as it is dropped.
            drop(line.take());
            let (tell, messages) = mpsc::unbounded_channel();
            let mut client = DriverServiceClient::new(channel.clone());
            let told = client.session(UnboundedReceiverStream::new(messages)).await;
            let told = told.expect("it may be a driver").into_inner();
            line = Some((said.connection, Line { tell, told }));
        }
        let (_, line) = line.as_mut().expect("it was opened");
        if said.from == "driver" {
            let message = v1::SessionRequest::decode(&bytes[..]).expect("it is read");
            assert_eq!(message.encode_to_vec(), bytes, "nothing of it is lost");
            let json = names.now(&to_json("SessionRequest", &message));
            let of = descriptor("SessionRequest").expect("it is a message");
            let message = from_json_of(&of, &json).unwrap_or_else(|flaw| panic!("{flaw:?}"));
            let message = v1::SessionRequest::decode(&message.encode_to_vec()[..]);
            let _ = line.tell.send(message.expect("it is one"));
            continue;
        }
        let before = v1::SessionResponse::decode(&bytes[..]).expect("it is read");
        assert_eq!(before.encode_to_vec(), bytes, "nothing of it is lost");
        let before = answered(before.message.as_ref());
        let found = timeout(PATIENCE, async {
            loop {
                let told = line.told.message().await.expect("the stream is whole");
                let told = answered(told.expect("it goes on").message.as_ref());
                if told.kind == before.kind {
                    return told;
                }
            }
        });
        let found = found.await;
        let found = found.unwrap_or_else(|_| panic!("{}: no {} came", session.about, said.kind));
        let pointers = ["/session", "/resume_secret", "/token", "/id/run"];
        names.learn(&before.body, &found.body, &pointers);
        assert_eq!(
            lasting(names.now(&before.body)),
            lasting(found.body),
            "{}: {}",
            session.about,
            said.kind
        );
        if said.kind == "welcome" && run.is_none() {
            run = Some(start(&mut control, &session.document).await);
        }
    }
    let run = run.expect("it was welcome");
    let request = v1::GetRunRequest {
        run,
        ..v1::GetRunRequest::default()
    };
    let view = control
        .get_run(request)
        .await
        .expect("it is there")
        .into_inner();
    let state = view.run.expect("it has a run").state();
    assert_eq!(state, v1::RunState::Succeeded, "{}", session.about);
    engine.stop().await;
}

/// Records a session of the driver over the stubs.
async fn record(about: &str, program: &str, cut: bool) -> Session {
    use crate::driver::{Overheard, Process, Program};
    use crate::runner::place;
    use crate::site::{Certificates, Site};
    use base64::Engine as _;
    let (directory, own) = place().expect("a directory");
    let certificates = Certificates::make(directory.path()).expect("certificates");
    let setting = Setting::default();
    let site = Site::start(
        &Backend::Embedded,
        directory.path(),
        Transport::Tcp,
        &certificates,
        &setting,
        None,
    );
    let site = site.await.expect("a site");
    let beside = std::env::current_exe().expect("a program");
    let driver = beside
        .parent()
        .and_then(Path::parent)
        .expect("it lies in deps");
    let driver = driver.join("conveyor-conformance-raw");
    let program_of_driver = Program {
        command: vec![driver.display().to_string()],
        environment: Vec::new(),
    };
    let launch = crate::v1::Launch {
        url: site.url.clone(),
        transport: "stream".to_owned(),
        driver: "under-test".to_owned(),
        version: "1.0.0".to_owned(),
        capacity: 1,
        drain_ms: 1_000,
        ..crate::v1::Launch::default()
    };
    let overheard = Arc::new(Overheard::new(Arc::clone(&site.record)));
    let process = Process::start(&program_of_driver, &launch, &own, false, &overheard);
    let mut process = process.expect("a driver");
    let mut grown = site.record.grown();
    let mut seen = async |kind: &'static str| {
        while site.record.find(0, |entry, _| entry.kind == kind).is_none() {
            grown.changed().await.expect("it is recorded");
        }
    };
    seen("welcome").await;
    let mut control = site.control().expect("a client");
    let document = document(program);
    start(&mut control, &document).await;
    if cut {
        seen("logs").await;
        site.proxy.cut();
        seen("resume").await;
    }
    seen("outcome").await;
    process.end().await;
    let entries = site.record.entries();
    let kept = entries.iter().filter(|entry| {
        let engine = entry.from == From::Engine && COMPARED.contains(&entry.kind);
        matches!(entry.by, By::Stream { .. }) && (entry.from == From::Driver || engine)
    });
    let said = kept.map(|entry| Said {
        connection: entry.connection,
        from: entry.from.name().to_owned(),
        kind: entry.kind.to_owned(),
        bytes: base64::engine::general_purpose::STANDARD.encode(bytes(entry)),
    });
    Session {
        release: env!("CARGO_PKG_VERSION").to_owned(),
        about: about.to_owned(),
        document,
        said: said.collect(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_of_each_release_are_understood_by_this_one() {
    let mine = directory().join(env!("CARGO_PKG_VERSION"));
    if std::env::var_os("CONVEYOR_RECORD").is_some() {
        std::fs::create_dir_all(&mine).expect("a directory");
        for (name, about, program, cut) in SESSIONS {
            let session = record(about, program, cut).await;
            let text = serde_json::to_string_pretty(&session).expect("it is JSON");
            std::fs::write(mine.join(format!("{name}.json")), text + "\n").expect("written");
        }
    }
    let mut replayed = 0;
    for release in std::fs::read_dir(directory()).expect("sessions are recorded") {
        let release = release.expect("it can be read").path();
        for file in std::fs::read_dir(release).expect("it is a directory") {
            let file = file.expect("it can be read").path();
            let text = std::fs::read_to_string(&file).expect("it can be read");
            let session: Session = serde_json::from_str(&text).expect("it is a session");
            replay(&session).await;
            replayed += 1;
        }
    }
    assert!(replayed >= SESSIONS.len(), "{replayed} sessions");
    // What the record calls a driver's message is what it is.
    assert_eq!(told(None).kind, "unknown");
}
