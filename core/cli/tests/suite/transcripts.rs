//! The transcripts that `conveyor contract export` writes: recorded here, from a real server.

use crate::program::root;
use crate::rest::http;
use crate::site::{PATIENCE, Site};
use conveyor_proto::v1;
use conveyor_proto::v1::driver_service_client::DriverServiceClient;
use conveyor_proto::v1::session_request::Message as Tell;
use conveyor_proto::v1::session_response::Message as Told;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;

const GREETING: &str = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: greeting}
spec:
  steps: [{id: greet, driver: greet, with: {name: Ada}, grace: 10s, timeouts: {attempt: 10m}}]
  outputs: {text: \"${{ steps.greet.outputs.text }}\"}
";

/// What was said, with the same word for the same thing in each recording.
#[derive(Default)]
struct Transcript {
    lines: Vec<String>,
    words: BTreeMap<String, String>,
}

impl Transcript {
    fn line(&mut self, mut line: Value) {
        self.tame("", &mut line);
        self.lines.push(line.to_string());
    }

    /// Replaces what is another each time.
    fn tame(&mut self, key: &str, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    self.tame(key, value);
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.tame(key, value)),
            Value::String(text) if !text.is_empty() => match key {
                "token" | "tokens" | "stale_tokens" | "adopts" => *text = self.word("token", text),
                "session" | "resume_secret" | "run" => *text = self.word(key, text),
                "traceparent" => *text = "00-TRACE-SPAN-01".to_owned(),
                "engine" => *text = "conveyor RELEASE".to_owned(),
                _ => {}
            },
            // Instants, and what is left until one.
            Value::Number(number) => match key {
                "deadline_ms" | "time_ms" | "until_ms" => *value = json!(1_800_000_000_000_u64),
                "time_left_ms" => {
                    let left = number.as_u64().expect("a time");
                    *value = json!(left.next_multiple_of(60_000));
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn word(&mut self, kind: &str, text: &str) -> String {
        let known = self.words.values().filter(|word| word.starts_with(kind));
        let next = format!("{kind}-{}", known.count() + 1);
        let key = format!("{kind} {text}");
        self.words.entry(key).or_insert(next).clone()
    }

    /// Compares with what is in the repository; with `CONVEYOR_RECORD` set, writes it there instead.
    fn is_as_recorded(&self, name: &str) {
        let path = root().join(format!(
            "core/cli/src/offline/contract/transcripts/{name}.jsonl"
        ));
        let text = self.lines.join("\n") + "\n";
        if std::env::var_os("CONVEYOR_RECORD").is_some() {
            return std::fs::write(path, text).expect("it is writable");
        }
        let recorded = std::fs::read_to_string(path).expect("it is there");
        for (at, (now, then)) in text.lines().zip(recorded.lines()).enumerate() {
            assert_eq!(
                now,
                then,
                "{name}, line {}: record it anew with CONVEYOR_RECORD=1",
                at + 1
            );
        }
        assert_eq!(text.lines().count(), recorded.lines().count(), "{name}");
    }
}

/// A driver that says what the test lets it say, over a stream.
struct Session {
    transcript: Transcript,
    client: DriverServiceClient<tonic::transport::Channel>,
    outgoing: mpsc::UnboundedSender<v1::SessionRequest>,
    incoming: Streaming<v1::SessionResponse>,
    sequence: u64,
}

impl Session {
    async fn connect(site: &Site) -> Session {
        let endpoint = tonic::transport::Endpoint::from_shared(site.url.clone());
        let channel = endpoint.expect("an address").connect().await;
        let mut client = DriverServiceClient::new(channel.expect("the server answers"));
        let (outgoing, incoming) = Session::open(&mut client).await;
        Session {
            transcript: Transcript::default(),
            client,
            outgoing,
            incoming,
            sequence: 0,
        }
    }

    async fn open(
        client: &mut DriverServiceClient<tonic::transport::Channel>,
    ) -> (
        mpsc::UnboundedSender<v1::SessionRequest>,
        Streaming<v1::SessionResponse>,
    ) {
        let (outgoing, messages) = mpsc::unbounded_channel();
        let stream = UnboundedReceiverStream::new(messages);
        let opened = client.session(stream).await.expect("a stream");
        (outgoing, opened.into_inner())
    }

    /// The connection breaks, and another one is made.
    async fn again(&mut self) {
        let (outgoing, incoming) = Session::open(&mut self.client).await;
        (self.outgoing, self.incoming, self.sequence) = (outgoing, incoming, 0);
        let broken = json!({"between": "the connection breaks, and the driver makes another one"});
        self.transcript.line(broken);
    }

    fn say(&mut self, message: Tell) {
        self.sequence += 1;
        let request = v1::SessionRequest {
            sequence: self.sequence,
            message: Some(message),
        };
        let json = conveyor_api::to_json("SessionRequest", &request);
        self.transcript.line(json!({"driver": json}));
        self.outgoing.send(request).expect("the stream is there");
    }

    async fn hear(&mut self) -> Told {
        let told = tokio::time::timeout(PATIENCE, self.incoming.message()).await;
        let told = told.expect("it comes in time").expect("no error");
        let told = told.expect("it is not the end");
        let json = conveyor_api::to_json("SessionResponse", &told);
        self.transcript.line(json!({"engine": json}));
        told.message.expect("it says something")
    }

    async fn end(mut self) -> Transcript {
        let reason = "the driver stops".to_owned();
        self.say(Tell::Leaving(v1::Leaving { reason }));
        let end = tokio::time::timeout(PATIENCE, self.incoming.message()).await;
        let end = end.expect("it comes in time").expect("no error");
        assert_eq!(end, None, "the engine ends the stream");
        self.transcript
            .line(json!({"between": "the engine ends the stream"}));
        self.transcript
    }

    async fn hello(&mut self) -> v1::Welcome {
        let action = v1::Action {
            name: "hello".to_owned(),
            description: "Greets somebody.".to_owned(),
            inputs_schema: json!({"type": "object", "required": ["name"]})
                .to_string()
                .into(),
            outputs_schema: Default::default(),
        };
        self.say(Tell::Hello(v1::Hello {
            driver: "greet".to_owned(),
            version: "1.0.0".to_owned(),
            sdk: "none".to_owned(),
            contract_versions: vec![1],
            actions: vec![action],
            capacity: 1,
            instance: "a transcript".to_owned(),
            ..v1::Hello::default()
        }));
        match self.hear().await {
            Told::Welcome(welcome) => welcome,
            other => panic!("{other:?}"),
        }
    }

    /// Takes the task of a run that is started meanwhile.
    async fn take(&mut self, site: &Site) -> (String, v1::Task) {
        self.credits();
        let run = site.start("greeting.yaml");
        match self.hear().await {
            Told::Task(task) => {
                let answer = v1::task_answer::Answer::Accepted(v1::Accepted {});
                self.say(Tell::Answer(v1::TaskAnswer {
                    token: task.token.clone(),
                    answer: Some(answer),
                }));
                (run, task)
            }
            other => panic!("{other:?}"),
        }
    }

    fn credits(&mut self) {
        let queue = String::new();
        self.say(Tell::Credits(v1::Credits { count: 1, queue }));
    }

    /// A heartbeat, so that what was said before it is known to be read.
    async fn beat(&mut self, task: &v1::Task) {
        let progress = v1::TaskProgress {
            token: task.token.clone(),
            permille: Some(500),
            message: "half way".to_owned(),
        };
        self.say(Tell::Heartbeat(v1::SessionHeartbeat {
            tasks: vec![progress],
            free: Some(0),
        }));
        let told = self.hear().await;
        assert!(matches!(told, Told::Acknowledgement(_)), "{told:?}");
    }

    async fn report(&mut self, task: &v1::Task, result: v1::Result) {
        self.say(Tell::Report(v1::TaskReport {
            token: task.token.clone(),
            result: Some(result),
        }));
        let told = self.hear().await;
        let Told::Outcome(outcome) = told else {
            panic!("{told:?}");
        };
        assert_eq!(outcome.status(), v1::ReportStatus::Accepted);
    }
}

fn greeted(last_log_offset: Option<u64>) -> v1::Result {
    v1::Result {
        state: v1::AttemptState::Succeeded.into(),
        outputs: json!({"text": "hello Ada"}).to_string().into(),
        last_log_offset,
        ..v1::Result::default()
    }
}

/// Runs a conversation with a server of its own.
fn with_server<F: Future<Output = ()>>(talk: impl FnOnce(Site) -> F) {
    let mut site = Site::new(&[("greeting.yaml", GREETING)]);
    let _server = site.serve();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("threads").block_on(talk(site));
}

#[test]
fn a_whole_session_is_as_its_transcript() {
    with_server(|site| async move {
        let mut session = Session::connect(&site).await;
        session.hello().await;
        let (run, task) = session.take(&site).await;
        session.beat(&task).await;
        let line = |text: &str| v1::LogLine {
            time_ms: 1,
            stream: v1::LogStream::Driver.into(),
            text: text.to_owned().into(),
            truncated: false,
        };
        session.say(Tell::Logs(v1::LogBatch {
            token: task.token.clone(),
            first_offset: 0,
            lines: vec![line("greeting Ada"), line("she smiles")],
        }));
        assert!(matches!(session.hear().await, Told::Acknowledgement(_)));
        assert!(matches!(session.hear().await, Told::LogWindow(_)));
        session.say(Tell::Checkpoint(v1::Checkpoint {
            token: task.token.clone(),
            data: "greeted".into(),
        }));
        assert!(matches!(session.hear().await, Told::Acknowledgement(_)));
        session.report(&task, greeted(Some(1))).await;
        session.end().await.is_as_recorded("session");
        assert_eq!(site.ended(&run)["state"], "succeeded");
        assert_eq!(site.log(&run), "greet | greeting Ada\ngreet | she smiles\n");
    });
}

#[test]
fn a_task_that_is_cancelled_is_as_its_transcript() {
    with_server(|site| async move {
        let mut session = Session::connect(&site).await;
        session.hello().await;
        let (run, task) = session.take(&site).await;
        session.beat(&task).await;
        let cancelled = site.conveyor(&["cancel", &run]);
        assert_eq!(cancelled.status, 0, "{}", cancelled.err);
        let told = session.hear().await;
        assert!(matches!(told, Told::Cancel(_)), "{told:?}");
        let result = v1::Result {
            state: v1::AttemptState::Cancelled.into(),
            ..v1::Result::default()
        };
        session.report(&task, result).await;
        session.end().await.is_as_recorded("cancel");
        assert_eq!(site.ended(&run)["state"], "cancelled");
    });
}

#[test]
fn a_session_that_is_resumed_is_as_its_transcript() {
    with_server(|site| async move {
        let mut session = Session::connect(&site).await;
        let welcome = session.hello().await;
        let (run, task) = session.take(&site).await;
        session.beat(&task).await;
        session.again().await;
        session.say(Tell::Resume(v1::Resume {
            session: welcome.session,
            resume_secret: welcome.resume_secret,
            generation: 1,
            tokens: vec![task.token.clone()],
            received_sequence: 3,
        }));
        let told = session.hear().await;
        assert!(matches!(told, Told::Welcome(_)), "{told:?}");
        session.report(&task, greeted(None)).await;
        session.end().await.is_as_recorded("resume");
        let view = site.ended(&run);
        let attempts = &view["steps"][0]["instances"][0]["attempts"];
        assert_eq!(attempts.as_array().map(Vec::len), Some(1), "{view:#}");
    });
}

#[test]
fn a_session_without_a_stream_is_as_its_transcript() {
    let mut site = Site::new(&[("greeting.yaml", GREETING)]);
    let _server = site.serve();
    let mut transcript = Transcript::default();
    let mut post = |call: &str, body: Value| {
        let path = format!("/v1/driver/{call}");
        transcript.line(json!({"driver": {"post": path, "body": body}}));
        let answer = http(
            &site.url,
            "POST",
            &path,
            "application/json",
            &body.to_string(),
        );
        transcript.line(json!({"engine": {"status": answer.status, "body": answer.body}}));
        assert_eq!(answer.status, 200, "{call}: {}", answer.body);
        answer.body
    };
    let hello = json!({
        "driver": "greet", "version": "1.0.0", "contract_versions": [1], "actions": [{"name": "hello"}],
    });
    let welcome = post("register", json!({"hello": hello}));
    let welcome = &welcome["welcome"];
    let (id, secret) = (welcome["session"].clone(), welcome["resume_secret"].clone());
    let of = |more: Value| {
        let mut body = json!({"session": id, "resume_secret": secret});
        for (key, value) in more.as_object().expect("an object") {
            body[key] = value.clone();
        }
        body
    };
    let run = site.start("greeting.yaml");
    let polled = post(
        "poll",
        of(json!({"request_id": "1", "max_tasks": 1, "wait_ms": 30_000})),
    );
    let token = polled["tasks"][0]["token"].clone();
    post(
        "answer",
        of(json!({"answers": [{"token": token, "accepted": {}}]})),
    );
    post(
        "heartbeat",
        of(json!({"tasks": [{"token": token, "permille": 500}]})),
    );
    let lines = json!([{"time_ms": 1, "stream": "driver", "text": "greeting Ada"}]);
    post(
        "logs",
        json!({"logs": {"token": token, "first_offset": 0, "lines": lines}}),
    );
    post(
        "checkpoint",
        json!({"checkpoint": {"token": token, "data": "Z3JlZXRlZA=="}}),
    );
    let result = json!({
        "state": "succeeded", "outputs": {"text": "hello Ada"}, "last_log_offset": 0,
    });
    let report = || json!({"report": {"token": token, "result": result}});
    post("report", report());
    // What was answered already is answered so again.
    let again = post("report", report());
    assert_eq!(again["outcome"]["status"], "already");
    post("leave", of(json!({"reason": "the driver stops"})));
    transcript.is_as_recorded("poll");
    assert_eq!(site.ended(&run)["state"], "succeeded");
}
