//! A session that went over a stream.

use super::{PATIENCE, Session, Theatre, typed};
use crate::wire::answered;
use conveyor_api::to_json;
use conveyor_proto::v1;
use conveyor_proto::v1::driver_service_client::DriverServiceClient;
use prost::Message as _;
use serde_json::Value as Json;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

/// For how long a task goes on elsewhere.
const ELSEWHERE: Duration = Duration::from_secs(60);

struct Line {
    tell: mpsc::UnboundedSender<v1::SessionRequest>,
    told: Streaming<v1::SessionResponse>,
    /// Which connection of the session it stands for.
    connection: u32,
    /// The number of the last message.
    said: u64,
    /// Up to where the engine has done with them.
    acknowledged: u64,
}

impl Line {
    async fn open(channel: &Channel, connection: u32) -> Line {
        let (tell, messages) = mpsc::unbounded_channel();
        let mut client = DriverServiceClient::new(channel.clone());
        let told = client.session(UnboundedReceiverStream::new(messages)).await;
        Line {
            tell,
            told: told.expect("it may be a driver").into_inner(),
            connection,
            said: 0,
            acknowledged: 0,
        }
    }

    fn say(&mut self, message: v1::SessionRequest) {
        self.said = message.sequence;
        // Where the engine has ended the stream, nothing of what is waited for comes.
        let _ = self.tell.send(message);
    }

    /// The engine's next message of a kind.
    async fn next(&mut self, about: &str) -> (&'static str, Json) {
        let message = timeout(PATIENCE, self.told.message()).await;
        let message = message.unwrap_or_else(|_| panic!("{about} did not come"));
        let message = message.expect("the stream is whole");
        let message = message.unwrap_or_else(|| panic!("the stream ended before {about}"));
        if let Some(v1::session_response::Message::Acknowledgement(told)) = &message.message {
            self.acknowledged = self.acknowledged.max(told.sequence);
        }
        let told = answered(message.message.as_ref());
        (told.kind, told.body)
    }

    /// Waits until the engine has done with all that was said.
    async fn settle(&mut self) {
        while self.acknowledged < self.said {
            self.next("an acknowledgement").await;
        }
    }
}

/// An instant of then is one of now.
fn renew(json: &mut Json) {
    if let Some(until) = json.pointer_mut("/answer/detached/until_ms") {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let until_now = now.expect("it is later than 1970") + ELSEWHERE;
        *until = (until_now.as_millis() as u64).into();
    }
}

/// Says a session again.
pub(super) async fn replay(session: &Session) {
    let mut theatre = Theatre::open().await;
    let mut line: Option<Line> = None;
    for said in &session.said {
        if said.from == "suite" {
            let line = line.as_mut().expect("there is a connection");
            line.settle().await;
            theatre.act(said).await;
            continue;
        }
        if line
            .as_ref()
            .is_none_or(|line| line.connection != said.connection)
        {
            // The one before breaks as it is dropped.
            drop(line.take());
            line = Some(Line::open(&theatre.channel, said.connection).await);
        }
        let line = line.as_mut().expect("it was opened");
        let bytes = said.bytes();
        if said.from == "driver" {
            let message = v1::SessionRequest::decode(&bytes[..]).expect("it is read");
            assert_eq!(message.encode_to_vec(), bytes, "nothing of it is lost");
            let mut json = theatre.names.now(&to_json("SessionRequest", &message));
            renew(&mut json);
            line.say(typed("SessionRequest", &json));
            continue;
        }
        let before = v1::SessionResponse::decode(&bytes[..]).expect("it is read");
        assert_eq!(before.encode_to_vec(), bytes, "nothing of it is lost");
        let before = answered(before.message.as_ref());
        let about = format!("{}: {}", session.about, said.kind);
        let found = loop {
            let (kind, body) = line.next(&about).await;
            if kind == before.kind {
                break body;
            }
        };
        theatre
            .compare(session, &said.kind, &before.body, &found)
            .await;
    }
    theatre.end(session).await;
}
