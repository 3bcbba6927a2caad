//! How a playing driver talks: over a stream, or by calls of REST. What it says and hears is the same.

use super::{Part, Session};
use crate::engine::http::{Asked, Http};
use crate::engine::link::{self, Teller};
use crate::engine::talk::Talk;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::Code;

/// How long a poll waits: cancels of tasks come with heartbeats meanwhile.
const WAIT_MS: u64 = 2_000;
/// How long it waits after a call that was not answered.
const PAUSE: Duration = Duration::from_millis(50);

/// Why there is no session.
pub(super) enum Refused {
    /// The engine is not there.
    ForNow,
    /// The session is not known any more.
    Unknown,
    /// It was refused, with a sentence.
    ForGood(String),
}

/// What comes.
pub(super) enum Came {
    /// A SessionResponse.
    Message(Value),
    /// The connection, or the session, is gone.
    Gone,
}

/// A connection. It breaks when this is dropped.
pub(super) struct Wire {
    way: Way,
    sequence: u64,
    incoming: mpsc::UnboundedReceiver<Value>,
    told: mpsc::UnboundedSender<Value>,
    feeder: JoinHandle<()>,
}

enum Way {
    /// With whose it is, for a trace.
    Stream(Teller, String, Talk),
    Rest(Box<Caller>),
}

/// Calls of one session.
#[derive(Clone)]
struct Caller {
    http: Http,
    access: Option<String>,
    session: Value,
    secret: Value,
}

impl Wire {
    /// Connects: with `resume` where there is a session, else with `hello`. Gives the welcome.
    pub(super) async fn open(
        part: &Part,
        session: Option<&Session>,
        tokens: &[String],
    ) -> Result<(Wire, Value), Refused> {
        match part.rest {
            true => Wire::register(part, session, tokens).await,
            false => Wire::stream(part, session, tokens).await,
        }
    }

    async fn stream(
        part: &Part,
        session: Option<&Session>,
        tokens: &[String],
    ) -> Result<(Wire, Value), Refused> {
        let opened = link::open(&part.url, part.access.as_deref()).await;
        let (teller, mut stream) = opened.map_err(|status| match status.code() {
            Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented => {
                Refused::ForGood(format!(
                    "the engine refuses driver `{}`: `{}`: {}",
                    part.name,
                    link::word(status.code()),
                    status.message()
                ))
            }
            // A connection that breaks while it is opened has many statuses.
            _ => Refused::ForNow,
        })?;
        let first = match session {
            Some(session) => json!({"sequence": 1, "resume": {
                "session": session.id,
                "resume_secret": session.secret,
                "generation": session.generation,
                "tokens": tokens,
            }}),
            None => json!({"sequence": 1, "hello": hello(part, tokens)}),
        };
        teller.send(link::encoded(&first).map_err(Refused::ForGood)?);
        let whose = |side: &str| format!("{side} {}", part.name);
        let (driver, engine) = (whose("driver"), whose("engine"));
        part.said.message(&driver, &first);
        let answer = match stream.next().await {
            Ok(Some(answer)) => answer,
            _ => return Err(Refused::ForNow),
        };
        part.said.message(&engine, &answer);
        let mut welcome = match (answer.get("welcome"), answer.get("goodbye")) {
            (Some(welcome), _) => welcome.clone(),
            (None, Some(goodbye)) if goodbye["reason"] == "unknown_session" => {
                return Err(Refused::Unknown);
            }
            (None, Some(goodbye)) if goodbye["reason"] == "moved" => return Err(Refused::ForNow),
            _ => {
                return Err(Refused::ForGood(format!(
                    "the engine answers the hello of driver `{}` with {answer}",
                    part.name
                )));
            }
        };
        if let Some(session) = session {
            // A resume is not told the secret again by every engine.
            if welcome["resume_secret"] == "" {
                welcome["resume_secret"] = session.secret.clone();
            }
        }
        let (told, incoming) = mpsc::unbounded_channel();
        let own = told.clone();
        let said = part.said.clone();
        let feeder = tokio::spawn(async move {
            while let Ok(Some(message)) = stream.next().await {
                said.message(&engine, &message);
                if own.send(message).is_err() {
                    return;
                }
            }
            // Whoever listens may be gone, too.
            let _ = own.send(Value::Null);
        });
        let wire = Wire {
            way: Way::Stream(teller, driver, part.said.clone()),
            sequence: 1,
            incoming,
            told,
            feeder,
        };
        Ok((wire, welcome))
    }

    async fn register(
        part: &Part,
        session: Option<&Session>,
        tokens: &[String],
    ) -> Result<(Wire, Value), Refused> {
        let http = Http::new(&part.url, &part.said);
        let welcome = match session {
            // A session without a stream lives over connections, and over restarts.
            Some(session) => json!({
                "session": session.id,
                "resume_secret": session.secret,
                "stale_tokens": [],
            }),
            None => {
                let body = json!({"hello": hello(part, tokens)});
                let asked = Asked::post("/v1/driver/register", &body, part.access.as_deref());
                match http.call(&asked).await {
                    Ok(answer) if answer.status == 200 => answer.body["welcome"].clone(),
                    Ok(answer) if answer.status >= 500 => return Err(Refused::ForNow),
                    Ok(answer) => {
                        return Err(Refused::ForGood(format!(
                            "the engine refuses driver `{}`: {}",
                            part.name,
                            answer.told()
                        )));
                    }
                    Err(_) => return Err(Refused::ForNow),
                }
            }
        };
        let caller = Caller {
            http,
            access: part.access.clone(),
            session: welcome["session"].clone(),
            secret: welcome["resume_secret"].clone(),
        };
        let (told, incoming) = mpsc::unbounded_channel();
        let most = part.hello["capacity"].clone();
        let feeder = tokio::spawn(polls(caller.clone(), most, told.clone()));
        let wire = Wire {
            way: Way::Rest(Box::new(caller)),
            sequence: 1,
            incoming,
            told,
            feeder,
        };
        Ok((wire, welcome))
    }

    /// Says a SessionRequest.
    pub(super) async fn say(&mut self, mut message: Value) {
        self.sequence += 1;
        match &self.way {
            Way::Stream(teller, driver, said) => {
                message["sequence"] = self.sequence.into();
                said.message(driver, &message);
                match link::encoded(&message) {
                    Ok(bytes) => teller.send(bytes),
                    // What a case has a driver say wrongly ends its connection: the case sees no outcome.
                    Err(_) => drop(self.told.send(Value::Null)),
                }
            }
            Way::Rest(caller) => caller.say(&message, &self.told).await,
        }
    }

    /// What comes next.
    pub(super) async fn next(&mut self) -> Came {
        match self.incoming.recv().await {
            Some(Value::Null) | None => Came::Gone,
            Some(message) => Came::Message(message),
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.feeder.abort();
    }
}

fn hello(part: &Part, tokens: &[String]) -> Value {
    let mut hello = part.hello.clone();
    if !tokens.is_empty() {
        hello["adopts"] = tokens.into();
    }
    hello
}

/// Polls for as long as the session is known.
async fn polls(caller: Caller, most: Value, told: mpsc::UnboundedSender<Value>) {
    for number in 0_u64.. {
        let request = format!("poll-{number}");
        let body = json!({
            "session": caller.session,
            "resume_secret": caller.secret,
            "request_id": request,
            "max_tasks": most,
            "wait_ms": WAIT_MS,
        });
        let Some(answer) = caller.call("poll", &body, &told).await else {
            return;
        };
        let each = |name: &str| answer[name].as_array().cloned().unwrap_or_default();
        let tasks = each("tasks").into_iter().map(|task| json!({"task": task}));
        let cancels = each("cancels")
            .into_iter()
            .map(|cancel| json!({"cancel": cancel}));
        for message in tasks.chain(cancels) {
            if told.send(message).is_err() {
                return;
            }
        }
    }
}

impl Caller {
    /// The answer of a call, which is repeated until there is one; `None` once the session is not known.
    async fn call(
        &self,
        name: &str,
        body: &Value,
        told: &mpsc::UnboundedSender<Value>,
    ) -> Option<Value> {
        let path = format!("/v1/driver/{name}");
        let asked = Asked::post(&path, body, self.access.as_deref());
        loop {
            match self.http.call(&asked).await {
                Ok(answer) if answer.status == 200 => return Some(answer.body),
                Ok(answer) if answer.status < 500 => {
                    let gone = json!({"goodbye": {"reason": "unknown_session"}});
                    // Whoever listens may be gone, too.
                    let _ = told.send(gone);
                    return None;
                }
                _ if told.is_closed() => return None,
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Says a SessionRequest by the call for it, and has its answer told as a stream tells it.
    async fn say(&self, message: &Value, told: &mpsc::UnboundedSender<Value>) {
        let mut body = json!({"session": self.session, "resume_secret": self.secret});
        if let Some(answer) = message.get("answer") {
            body["answers"] = json!([answer]);
            if let Some(answer) = self.call("answer", &body, told).await {
                let stale = json!({"acknowledgement": {"stale_tokens": answer["stale_tokens"]}});
                let _ = told.send(stale);
            }
        } else if let Some(heartbeat) = message.get("heartbeat") {
            body["tasks"] = heartbeat["tasks"].clone();
            let Some(answer) = self.call("heartbeat", &body, told).await else {
                return;
            };
            let cancels = answer["cancels"].as_array().cloned().unwrap_or_default();
            for cancel in cancels {
                let _ = told.send(json!({"cancel": cancel}));
            }
            let stale = json!({"acknowledgement": {"stale_tokens": answer["stale_tokens"]}});
            let _ = told.send(stale);
        } else if let Some(logs) = message.get("logs") {
            self.call("logs", &json!({"logs": logs}), told).await;
        } else if let Some(checkpoint) = message.get("checkpoint") {
            self.call("checkpoint", &json!({"checkpoint": checkpoint}), told)
                .await;
        } else if let Some(report) = message.get("report") {
            let answer = self.call("report", &json!({"report": report}), told).await;
            if let Some(answer) = answer {
                let _ = told.send(json!({"outcome": answer["outcome"]}));
            }
        }
        // Credits: each poll says how many it takes.
    }
}
