//! Sessions as they were said by a release, said again to this one: what was right once stays right.
//!
//! `conformance/sessions/RELEASE/*.json` has each message as the bytes that went over the wire. This release reads
//! them, puts the tokens and secrets of now in their places, says the driver's part to an engine, and looks that the
//! engine's part comes as it did. `CONVEYOR_RECORD=1` records those of this release.
//!
//! | module | what it is for |
//! | --- | --- |
//! | `record` | sessions of this release, of the driver over the stubs |
//! | `stream` | one that went over a stream, said again |
//! | `calls` | one that went over calls, as gRPC or as JSON |

mod calls;
mod record;
mod stream;

use crate::backend::{Backend, Engine, Setting};
use crate::wire::told;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conveyor_proto::v1;
use conveyor_proto::v1::control_service_client::ControlServiceClient;
use conveyor_proto::v1::driver_service_client::DriverServiceClient;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tonic::transport::{Channel, Endpoint};

const PATIENCE: Duration = Duration::from_secs(10);
/// What the engine says that is the same each time, but for names and instants.
const COMPARED: [&str; 5] = ["welcome", "task", "cancel", "outcome", "goodbye"];

#[derive(Deserialize, Serialize)]
struct Session {
    release: String,
    about: String,
    /// How it was said.
    #[serde(default)]
    way: Way,
    /// What became of the run.
    #[serde(default = "succeeded")]
    state: String,
    /// The pipeline that gives the tasks.
    document: Json,
    said: Vec<Said>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Way {
    #[default]
    Stream,
    Unary,
    Rest,
}

fn succeeded() -> String {
    "succeeded".to_owned()
}

#[derive(Deserialize, Serialize)]
struct Said {
    connection: u32,
    /// `driver`, `engine`, or `suite` for what was done to the run: `stop`, `complete`.
    from: String,
    /// Of a call its name.
    kind: String,
    /// Bytes in base64: of the SessionRequest or SessionResponse; of a call its request, as a message or as JSON, and each
    /// thing that an answer says, as on a stream; of `complete` the CompleteTaskRequest.
    bytes: String,
}

impl Said {
    fn new(connection: u32, from: &str, kind: &str, bytes: &[u8]) -> Said {
        Said {
            connection,
            from: from.to_owned(),
            kind: kind.to_owned(),
            bytes: STANDARD.encode(bytes),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        STANDARD.decode(&self.bytes).expect("bytes are base64")
    }
}

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
        "until_ms",
    ];
    if let Some(body) = body.as_object_mut() {
        body.retain(|key, _| !volatile.contains(&key.as_str()));
    }
    body
}

/// The engine that a session is said to, and the run that gives its tasks.
struct Theatre {
    engine: Engine,
    control: ControlServiceClient<Channel>,
    channel: Channel,
    names: Names,
    run: Option<String>,
}

impl Theatre {
    async fn open() -> Theatre {
        let engine = Engine::start(&Backend::Embedded, &Setting::default()).await;
        let engine = engine.expect("an engine");
        let (control, channel) = control(&engine).await;
        Theatre {
            engine,
            control,
            channel,
            names: Names::default(),
            run: None,
        }
    }

    /// What the engine says is what it said then. The first welcome starts the run.
    async fn compare(&mut self, session: &Session, kind: &str, before: &Json, found: &Json) {
        let pointers = ["/session", "/resume_secret", "/token", "/id/run"];
        self.names.learn(before, found, &pointers);
        assert_eq!(
            lasting(self.names.now(before)),
            lasting(found.clone()),
            "{}: {kind}",
            session.about
        );
        if kind == "welcome" && self.run.is_none() {
            self.run = Some(start(&mut self.control, &session.document).await);
        }
    }

    /// What was done to the run is done again.
    async fn act(&mut self, said: &Said) {
        match said.kind.as_str() {
            "stop" => {
                let run = self.run.clone().expect("it was started");
                stop(&mut self.control, run).await;
            }
            "complete" => {
                let request: v1::CompleteTaskRequest =
                    prost::Message::decode(&said.bytes()[..]).expect("it is read");
                let json = conveyor_api::to_json("CompleteTaskRequest", &request);
                let request: v1::CompleteTaskRequest =
                    typed("CompleteTaskRequest", &self.names.now(&json));
                complete(self.channel.clone(), request).await;
            }
            other => panic!("`{other}` is nothing that a suite does"),
        }
    }

    /// The run ends as it did.
    async fn end(mut self, session: &Session) {
        let run = self.run.take().expect("it was welcome");
        let state = ended(&mut self.control, run).await;
        assert_eq!(state, session.state, "{}", session.about);
        self.engine.stop().await;
    }
}

/// The message of JSON that this test made of one.
fn typed<M: prost::Message + Default>(name: &str, json: &Json) -> M {
    let of = crate::wire::descriptor(name).expect("it is a message");
    let message =
        conveyor_api::from_json_of(&of, json).unwrap_or_else(|flaw| panic!("{name}: {flaw:?}"));
    M::decode(&prost::Message::encode_to_vec(&message)[..]).expect("it is one")
}

async fn stop(control: &mut ControlServiceClient<Channel>, run: String) {
    let request = v1::StopRunRequest {
        run,
        kind: v1::StopKind::Cancel.into(),
        ..v1::StopRunRequest::default()
    };
    control.stop_run(request).await.expect("it can be stopped");
}

/// Ends a task that goes on elsewhere.
async fn complete(channel: Channel, request: v1::CompleteTaskRequest) {
    let mut client = DriverServiceClient::new(channel);
    let answer = client.complete_task(request).await.expect("it is answered");
    let outcome = answer.into_inner().outcome;
    let outcome = outcome.expect("it says what became of it");
    assert_eq!(outcome.status(), v1::ReportStatus::Accepted, "{outcome:?}");
}

/// The word of the state that a run ends in.
async fn ended(control: &mut ControlServiceClient<Channel>, run: String) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        let request = v1::GetRunRequest {
            run: run.clone(),
            ..v1::GetRunRequest::default()
        };
        let view = control.get_run(request).await.expect("it is there");
        let state = view.into_inner().run.expect("it has a run").state();
        let word = state.as_str_name().trim_start_matches("RUN_STATE_");
        let word = word.to_ascii_lowercase();
        if matches!(word.as_str(), "succeeded" | "failed" | "cancelled") {
            return word;
        }
        assert!(Instant::now() < until, "it is still {word}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_of_each_release_are_understood_by_this_one() {
    if std::env::var_os("CONVEYOR_RECORD").is_some() {
        record::all(&directory().join(env!("CARGO_PKG_VERSION"))).await;
    }
    let mut replayed = BTreeMap::new();
    for release in std::fs::read_dir(directory()).expect("sessions are recorded") {
        let release = release.expect("it can be read").path();
        for file in std::fs::read_dir(release).expect("it is a directory") {
            let file = file.expect("it can be read").path();
            let text = std::fs::read_to_string(&file).expect("it can be read");
            let session: Session = serde_json::from_str(&text).expect("it is a session");
            match session.way {
                Way::Stream => stream::replay(&session).await,
                Way::Unary | Way::Rest => calls::replay(&session).await,
            }
            let name = file.file_stem().expect("it has a name").to_owned();
            replayed.insert(name.to_string_lossy().into_owned(), session.way);
        }
    }
    for (name, way) in record::names() {
        assert_eq!(replayed.get(name), Some(&way), "the session {name}");
    }
    // What the record calls a driver's message is what it is.
    assert_eq!(told(None).kind, "unknown");
}
