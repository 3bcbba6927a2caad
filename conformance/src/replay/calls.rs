//! A session that went over calls, as messages of gRPC or as JSON.

use super::{PATIENCE, Said, Session, Theatre, Way, typed};
use crate::engine::http::{Asked, Http};
use crate::engine::talk::Talk;
use crate::runner::Trace;
use crate::wire::{answered, descriptor};
use conveyor_api::{from_json_of, to_json, to_json_of};
use conveyor_proto::v1;
use conveyor_proto::v1::driver_service_client::DriverServiceClient;
use prost::Message as _;
use prost_reflect::DynamicMessage;
use serde_json::Value as Json;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tonic::transport::Channel;

/// How long what an answer is to say may be missing until the driver's next heartbeat asks for it.
const BEAT: Duration = Duration::from_millis(500);

/// Calls an engine.
#[derive(Clone)]
struct Caller {
    channel: Channel,
    http: Http,
    way: Way,
}

/// A call of gRPC by its name, with JSON on both sides.
macro_rules! unary {
    ($channel:expr, $name:expr, $json:expr, $($call:literal $method:ident $request:ident $response:ident;)*) => {
        match $name {
            $($call => {
                let request: v1::$request = typed(stringify!($request), $json);
                let mut client = DriverServiceClient::new($channel);
                let answer = client.$method(request).await.map_err(|status| status.to_string())?;
                Ok(to_json(stringify!($response), &answer.into_inner()))
            })*
            other => Err(format!("`{other}` is no call of a driver")),
        }
    };
}

impl Caller {
    async fn call(&self, name: &str, json: &Json) -> Result<Json, String> {
        if self.way == Way::Rest {
            let path = match name {
                "SaveCheckpoint" => "checkpoint".to_owned(),
                "AppendLogs" => "logs".to_owned(),
                name => name.to_ascii_lowercase(),
            };
            let asked = Asked::post(&format!("/v1/driver/{path}"), json, None);
            let answer = self.http.call(&asked).await?;
            return match answer.status {
                200 => Ok(answer.body),
                status => Err(format!("{name} is answered {status}: {}", answer.body)),
            };
        }
        unary! {
            self.channel.clone(), name, json,
            "Register" register RegisterRequest RegisterResponse;
            "Poll" poll PollRequest PollResponse;
            "Answer" answer AnswerRequest AnswerResponse;
            "Heartbeat" heartbeat HeartbeatRequest HeartbeatResponse;
            "SaveCheckpoint" save_checkpoint SaveCheckpointRequest SaveCheckpointResponse;
            "AppendLogs" append_logs AppendLogsRequest AppendLogsResponse;
            "Report" report ReportRequest ReportResponse;
            "Leave" leave LeaveRequest LeaveResponse;
        }
    }
}

/// What an answer says, as on a stream.
fn parts(answer: &Json) -> Vec<(&'static str, Json)> {
    let list = |key: &str| answer[key].as_array().cloned().unwrap_or_default();
    let mut parts: Vec<(&'static str, Json)> = Vec::new();
    for kind in ["welcome", "outcome"] {
        parts.extend(answer.get(kind).map(|one| (kind, one.clone())));
    }
    parts.extend(list("tasks").into_iter().map(|one| ("task", one)));
    parts.extend(list("cancels").into_iter().map(|one| ("cancel", one)));
    parts
}

/// The JSON of a request, as it was said.
fn request(session: &Session, said: &Said) -> Json {
    let bytes = said.bytes();
    let of = descriptor(&format!("{}Request", said.kind)).expect("it is a call");
    if session.way == Way::Rest {
        let json: Json = serde_json::from_slice(&bytes).expect("it is JSON");
        if let Err(flaw) = from_json_of(&of, &json) {
            panic!("{} is not read any more: {flaw:?}", said.kind);
        }
        return json;
    }
    let message = DynamicMessage::decode(of, &bytes[..]).expect("it is read");
    assert_eq!(message.encode_to_vec(), bytes, "nothing of it is lost");
    to_json_of(&message)
}

/// What the engine said in an answer.
fn before(session: &Session, said: &Said) -> Json {
    let bytes = said.bytes();
    if session.way == Way::Rest {
        return serde_json::from_slice(&bytes).expect("it is JSON");
    }
    let message = v1::SessionResponse::decode(&bytes[..]).expect("it is read");
    answered(message.message.as_ref()).body
}

/// Says a session again.
pub(super) async fn replay(session: &Session) {
    let mut theatre = Theatre::open().await;
    let caller = Caller {
        channel: theatre.channel.clone(),
        http: Http::new(theatre.engine.url(), &Talk::new(Trace::Off)),
        way: session.way,
    };
    let (tell, mut heard) = mpsc::unbounded_channel();
    // Polls wait while other calls are made. Those that wait at the end are dropped.
    let mut polls = JoinSet::new();
    let mut beat = None;
    for said in &session.said {
        match said.from.as_str() {
            "suite" => theatre.act(said).await,
            "driver" => {
                let json = theatre.names.now(&request(session, said));
                if said.kind == "Poll" {
                    let (caller, tell) = (caller.clone(), tell.clone());
                    polls.spawn(async move {
                        if let Ok(answer) = caller.call("Poll", &json).await {
                            // Nobody may wait for it any more.
                            let _ = tell.send(parts(&answer));
                        }
                    });
                    continue;
                }
                let answer = caller.call(&said.kind, &json).await;
                let answer = answer.unwrap_or_else(|why| panic!("{}: {why}", session.about));
                let _ = tell.send(parts(&answer));
                if said.kind == "Heartbeat" {
                    beat = Some(json);
                }
            }
            _ => {
                let until = Instant::now() + PATIENCE;
                let found = loop {
                    match timeout(BEAT, heard.recv()).await {
                        Ok(all) => {
                            let mut all: Vec<_> = all.expect("its other end is here");
                            if let Some(at) = all.iter().position(|(kind, _)| *kind == said.kind) {
                                let (_, body) = all.swap_remove(at);
                                break body;
                            }
                        }
                        Err(_) => {
                            let missing = format!("{}: no {} came", session.about, said.kind);
                            assert!(Instant::now() < until, "{missing}");
                            if let Some(beat) = &beat {
                                let answer = caller.call("Heartbeat", beat).await;
                                let _ = tell.send(parts(&answer.expect(&missing)));
                            }
                        }
                    }
                };
                let before = before(session, said);
                theatre.compare(session, &said.kind, &before, &found).await;
            }
        }
    }
    theatre.end(session).await;
}
