//! Sessions of this release, as the driver over the stubs says them.

use super::{COMPARED, Said, Session, Way, complete, document, ended, start, stop, typed};
use crate::backend::{Backend, Setting};
use crate::driver::{Overheard, Process, Program};
use crate::runner::place;
use crate::site::{Certificates, Site, Transport};
use crate::wire::{By, Entry, From, descriptor};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conveyor_api::from_json_of;
use conveyor_proto::v1;
use prost::Message as _;
use serde_json::{Value as Json, json};
use std::path::Path;
use std::sync::Arc;
use tonic::transport::Endpoint;

/// What is done in the midst of a session.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Nothing,
    /// The connection is cut once lines came.
    Cut,
    /// The run is stopped once lines came.
    Stop,
    /// What went on elsewhere is completed.
    Complete,
}

/// What is recorded.
struct Plan {
    name: &'static str,
    about: &'static str,
    way: Way,
    /// The program of its task.
    program: &'static str,
    act: Act,
}

const PLANS: [Plan; 7] = [
    Plan {
        name: "success",
        about: "A task that logs, tells how far it is, saves a checkpoint, and succeeds.",
        way: Way::Stream,
        program: r#"[{"log": {"text": "one\ntwo"}}, {"progress": {"permille": 500, "message": "half"}}, {"checkpoint": {"text": "kept"}}, {"return": {"outputs": {"n": 1}}}]"#,
        act: Act::Nothing,
    },
    Plan {
        name: "failure",
        about: "A task that fails on purpose, with all that a failure can have.",
        way: Way::Stream,
        program: r#"[{"fail": {"code": "no", "message": "it says no", "retryable": false, "details": {"why": [1, "two"]}}}]"#,
        act: Act::Nothing,
    },
    Plan {
        name: "resume",
        about: "A task that is held while the connection is cut, and reported over the next.",
        way: Way::Stream,
        program: r#"[{"log": {"text": "before"}}, {"sleep": {"ms": 700}}, {"log": {"text": "after"}}, {"return": {"outputs": {"n": 2}}}]"#,
        act: Act::Cut,
    },
    Plan {
        name: "cancel",
        about: "A task that is cancelled with a grace, and reported within it.",
        way: Way::Stream,
        program: r#"[{"log": {"text": "before"}}, {"sleep": {"ms": 60000}}]"#,
        act: Act::Stop,
    },
    Plan {
        name: "detach",
        about: "A task that goes on elsewhere, and is completed by its token.",
        way: Way::Stream,
        program: r#"[{"log": {"text": "before"}}, {"detach": {"within_ms": 60000, "principals": ["somebody"]}}]"#,
        act: Act::Complete,
    },
    Plan {
        name: "unary",
        about: "A task of a driver that polls by gRPC: lines, a checkpoint, success.",
        way: Way::Unary,
        program: r#"[{"log": {"text": "one\ntwo"}}, {"checkpoint": {"text": "kept"}}, {"return": {"outputs": {"n": 1}}}]"#,
        act: Act::Nothing,
    },
    Plan {
        name: "rest",
        about: "A task of a driver that speaks JSON: lines, a checkpoint, a cancel by a heartbeat, its report.",
        way: Way::Rest,
        program: r#"[{"checkpoint": {"text": "~~~???"}}, {"log": {"text": "before"}}, {"sleep": {"ms": 60000}}]"#,
        act: Act::Stop,
    },
];

/// The names of all, and how they are said.
pub(super) fn names() -> impl Iterator<Item = (&'static str, Way)> {
    PLANS.iter().map(|plan| (plan.name, plan.way))
}

/// Records all that are not there yet: what was said once stays as it was.
pub(super) async fn all(directory: &Path) {
    std::fs::create_dir_all(directory).expect("a directory");
    for plan in &PLANS {
        let file = directory.join(format!("{}.json", plan.name));
        if file.exists() {
            continue;
        }
        let session = record(plan).await;
        let text = serde_json::to_string_pretty(&session).expect("it is JSON");
        std::fs::write(file, text + "\n").expect("written");
    }
}

/// A message of a record as the bytes that it was.
fn bytes(entry: &Entry) -> Vec<u8> {
    let sequence = match entry.by {
        By::Stream { sequence } => sequence,
        By::Call | By::Nothing => 0,
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

/// The call that an entry is, as its request: what of a session is shown is as the welcome gave it.
fn call(entry: &Entry, welcome: &Json) -> Option<(&'static str, Json)> {
    let body = entry.body.clone();
    let shown = |mut json: Json| {
        for key in ["session", "resume_secret"] {
            json[key] = welcome[key].clone();
        }
        json
    };
    Some(match entry.kind {
        "hello" => ("Register", json!({"hello": body})),
        // It is taken down as it was.
        "poll" => ("Poll", body),
        kind @ ("accepted" | "refused" | "detached") => {
            let mut inner = body;
            let token = inner["token"].take();
            inner.as_object_mut()?.remove("token");
            let answers = json!([{"token": token, kind: inner}]);
            ("Answer", shown(json!({"answers": answers})))
        }
        "heartbeat" => ("Heartbeat", shown(json!({"tasks": body["tasks"]}))),
        "logs" => ("AppendLogs", json!({"logs": body})),
        "checkpoint" => ("SaveCheckpoint", json!({"checkpoint": body})),
        "report" => ("Report", json!({"report": body})),
        "leaving" => ("Leave", shown(json!({"reason": body["reason"]}))),
        _ => return None,
    })
}

/// An entry as it is kept; `None` for what is another each time, or no message.
fn kept(entry: &Entry, way: Way, welcome: &Json) -> Option<Said> {
    let connection = entry.connection;
    let compared = COMPARED.contains(&entry.kind);
    match (entry.from, entry.by, way) {
        (From::Driver, By::Stream { .. }, Way::Stream) => {
            Some(Said::new(connection, "driver", entry.kind, &bytes(entry)))
        }
        (From::Driver, By::Call, Way::Unary | Way::Rest) => {
            let (name, json) = call(entry, welcome)?;
            let bytes = match way {
                Way::Rest => json.to_string().into_bytes(),
                _ => {
                    let of = descriptor(&format!("{name}Request")).expect("it is a message");
                    let message = from_json_of(&of, &json);
                    message
                        .unwrap_or_else(|flaw| panic!("{flaw:?}"))
                        .encode_to_vec()
                }
            };
            Some(Said::new(connection, "driver", name, &bytes))
        }
        (From::Engine, By::Stream { .. }, Way::Stream) if compared => {
            Some(Said::new(connection, "engine", entry.kind, &bytes(entry)))
        }
        // The answer to a checkpoint is an outcome of no token.
        (From::Engine, By::Call, Way::Unary | Way::Rest)
            if compared && entry.body["token"] != "" =>
        {
            let bytes = match way {
                Way::Rest => entry.body.to_string().into_bytes(),
                _ => bytes(entry),
            };
            Some(Said::new(connection, "engine", entry.kind, &bytes))
        }
        _ => None,
    }
}

/// Records a session of the driver over the stubs.
async fn record(plan: &Plan) -> Session {
    let (directory, own) = place().expect("a directory");
    let certificates = Certificates::make(directory.path()).expect("certificates");
    let setting = Setting::default();
    let transport = match plan.way {
        Way::Stream => Transport::Tcp,
        Way::Unary => Transport::Unary,
        Way::Rest => Transport::Rest,
    };
    let site = Site::start(
        &Backend::Embedded,
        directory.path(),
        transport,
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
    let program = Program {
        command: vec![
            driver
                .join("conveyor-conformance-raw")
                .display()
                .to_string(),
        ],
        environment: Vec::new(),
    };
    let launch = crate::v1::Launch {
        url: site.url.clone(),
        transport: transport.spoken().to_owned(),
        driver: "under-test".to_owned(),
        version: "1.0.0".to_owned(),
        capacity: 1,
        drain_ms: 1_000,
        ..crate::v1::Launch::default()
    };
    let overheard = Arc::new(Overheard::new(Arc::clone(&site.record)));
    let process = Process::start(&program, &launch, &own, false, &overheard);
    let mut process = process.expect("a driver");
    let mut grown = site.record.grown();
    let mut seen = async |test: &dyn Fn(&Entry) -> bool| loop {
        if let Some((at, entry)) = site.record.find(0, |entry, _| test(entry)) {
            return (at, entry);
        }
        grown.changed().await.expect("it is recorded");
    };
    seen(&|entry| entry.kind == "welcome").await;
    let mut control = site.control().expect("a client");
    let document = document(plan.program);
    let run = start(&mut control, &document).await;
    // What the suite does stands in the place where it is done.
    let mut done: Option<(usize, Said)> = None;
    match plan.act {
        Act::Nothing => {}
        Act::Cut => {
            seen(&|entry| entry.kind == "logs").await;
            site.proxy.cut();
            seen(&|entry| entry.kind == "resume").await;
        }
        Act::Stop => {
            seen(&|entry| entry.kind == "logs").await;
            done = Some((site.record.len(), Said::new(0, "suite", "stop", b"")));
            stop(&mut control, run.clone()).await;
        }
        Act::Complete => {
            let (_, detached) = seen(&|entry| entry.kind == "detached").await;
            let By::Stream { sequence } = detached.by else {
                panic!("it went over a stream");
            };
            seen(&|entry| {
                let told = entry.body["sequence"].as_u64().unwrap_or(0);
                entry.kind == "acknowledgement" && told >= sequence
            })
            .await;
            let token = STANDARD.encode(&detached.token);
            let result = json!({"state": "succeeded", "outputs": {"n": 3}, "last_log_offset": 0});
            let request: v1::CompleteTaskRequest = typed(
                "CompleteTaskRequest",
                &json!({"report": {"token": token, "result": result}}),
            );
            let bytes = request.encode_to_vec();
            done = Some((site.record.len(), Said::new(0, "suite", "complete", &bytes)));
            let endpoint = Endpoint::from_shared(site.url.clone()).expect("an address");
            let channel = endpoint.connect().await.expect("the tap answers");
            complete(channel, request).await;
        }
    }
    if plan.act != Act::Complete {
        seen(&|entry| entry.kind == "outcome" && !entry.token.is_empty()).await;
    }
    let state = ended(&mut control, run).await;
    process.end().await;
    let entries = site.record.entries();
    let welcome = entries.iter().find(|entry| entry.kind == "welcome");
    let welcome = welcome.map_or(Json::Null, |welcome| welcome.body.clone());
    let mut said = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        if let Some((_, act)) = done.take_if(|(place, _)| *place <= at) {
            said.push(act);
        }
        said.extend(kept(entry, plan.way, &welcome));
    }
    said.extend(done.map(|(_, act)| act));
    Session {
        release: env!("CARGO_PKG_VERSION").to_owned(),
        about: plan.about.to_owned(),
        way: plan.way,
        state,
        document,
        said,
    }
}
