//! A driver that says whatever a test wants, message by message.

use crate::site::PATIENCE;
use conveyor_proto::v1;
use conveyor_proto::v1::session_request::Message as Tell;
use conveyor_proto::v1::session_response::Message as Told;
use prost::Message as _;
use prost::bytes::BufMut as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::codec::{Codec, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstDecoder;

/// What a contract of later has in each message, and this one does not know: the field 1000, twelve bytes.
const LATER: &[u8] = b"\xc2\x3e\x0cfrom-the-far";

/// One session over one stream.
pub(crate) struct Raw {
    incoming: Streaming<v1::SessionResponse>,
    outgoing: mpsc::UnboundedSender<Vec<u8>>,
    sequence: u64,
    /// Whether it speaks a contract of later.
    later: bool,
}

/// Sends bytes as they are.
#[derive(Default)]
pub(crate) struct AsIs;

impl Codec for AsIs {
    type Encode = Vec<u8>;
    type Decode = v1::SessionResponse;
    type Encoder = AsIs;
    type Decoder = ProstDecoder<v1::SessionResponse>;

    fn encoder(&mut self) -> AsIs {
        AsIs
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::default()
    }
}

impl Encoder for AsIs {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Raw {
    /// Connects as the driver `name` with the action `run`, and waits for its welcome.
    pub(crate) async fn connect(url: &str, name: &str, capacity: u32) -> Raw {
        Raw::speaking(url, name, capacity, false).await
    }

    /// The same, in a contract of later: each message has a field that this one does not know.
    pub(crate) async fn of_later(url: &str, name: &str) -> Raw {
        Raw::speaking(url, name, 1, true).await
    }

    async fn speaking(url: &str, name: &str, capacity: u32, later: bool) -> Raw {
        let endpoint = Endpoint::from_shared(url.to_owned()).expect("it is an address");
        let channel = endpoint.connect().await.expect("the server answers");
        let mut client = tonic::client::Grpc::new(channel).max_encoding_message_size(usize::MAX);
        client.ready().await.expect("the server answers");
        let (outgoing, messages) = mpsc::unbounded_channel();
        let stream = UnboundedReceiverStream::new(messages);
        let hello = v1::Hello {
            driver: name.to_owned(),
            version: "1.0.0".to_owned(),
            contract_versions: vec![1],
            actions: vec![v1::Action {
                name: "run".to_owned(),
                ..v1::Action::default()
            }],
            capacity,
            ..v1::Hello::default()
        };
        let first = v1::SessionRequest {
            sequence: 1,
            message: Some(Tell::Hello(hello)),
        };
        outgoing
            .send(bytes(&first, later))
            .expect("the stream is there");
        let path = PathAndQuery::from_static("/conveyor.v1.DriverService/Session");
        let incoming = client.streaming(Request::new(stream), path, AsIs).await;
        let mut raw = Raw {
            incoming: incoming.expect("it may be a driver").into_inner(),
            outgoing,
            sequence: 1,
            later,
        };
        raw.until("a welcome", |told| match told {
            Told::Welcome(welcome) => Some(welcome),
            _ => None,
        })
        .await;
        raw
    }

    /// Sends a message; what became of the stream is seen where it is read.
    pub(crate) fn tell(&mut self, message: Tell) {
        self.sequence += 1;
        let request = v1::SessionRequest {
            sequence: self.sequence,
            message: Some(message),
        };
        let _ = self.outgoing.send(bytes(&request, self.later));
    }

    /// Sends a message of a kind that comes later.
    pub(crate) fn tell_of_later(&mut self) {
        self.sequence += 1;
        let request = v1::SessionRequest {
            sequence: self.sequence,
            message: None,
        };
        let _ = self.outgoing.send(bytes(&request, true));
    }

    /// Sends what may be no message.
    pub(crate) fn tell_bytes(&mut self, bytes: Vec<u8>) {
        let _ = self.outgoing.send(bytes);
    }

    pub(crate) fn credits(&mut self, count: u32) {
        let queue = String::new();
        self.tell(Tell::Credits(v1::Credits { count, queue }));
    }

    pub(crate) fn accept(&mut self, task: &v1::Task) {
        let answer = Some(v1::task_answer::Answer::Accepted(v1::Accepted {}));
        let token = task.token.clone();
        self.tell(Tell::Answer(v1::TaskAnswer { token, answer }));
    }

    pub(crate) fn succeed(&mut self, task: &v1::Task, outputs: &str) {
        let result = v1::Result {
            state: v1::AttemptState::Succeeded.into(),
            outputs: outputs.to_owned().into(),
            ..v1::Result::default()
        };
        let token = task.token.clone();
        let result = Some(result);
        self.tell(Tell::Report(v1::TaskReport { token, result }));
    }

    /// Reads until something comes that is wanted.
    pub(crate) async fn until<T>(&mut self, what: &str, wanted: impl Fn(Told) -> Option<T>) -> T {
        let read = async {
            loop {
                let told = self.incoming.message().await.expect("the stream is whole");
                let told = told.unwrap_or_else(|| panic!("it ended without {what}"));
                if let Some(found) = told.message.and_then(&wanted) {
                    return found;
                }
            }
        };
        let read = tokio::time::timeout(PATIENCE, read).await;
        read.unwrap_or_else(|_| panic!("no {what} came"))
    }

    pub(crate) async fn task(&mut self) -> v1::Task {
        self.until("a task", |told| match told {
            Told::Task(task) => Some(task),
            _ => None,
        })
        .await
    }

    pub(crate) async fn outcome(&mut self) -> v1::ReportStatus {
        self.until("an outcome", |told| match told {
            Told::Outcome(outcome) => Some(outcome.status()),
            _ => None,
        })
        .await
    }

    pub(crate) async fn goodbye(&mut self) -> v1::Goodbye {
        self.until("a goodbye", |told| match told {
            Told::Goodbye(goodbye) => Some(goodbye),
            _ => None,
        })
        .await
    }

    /// The end of the stream, however it comes.
    pub(crate) async fn broken(&mut self) -> String {
        loop {
            match self.incoming.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return "closed".to_owned(),
                Err(status) => return status.message().to_owned(),
            }
        }
    }
}

fn bytes(request: &v1::SessionRequest, later: bool) -> Vec<u8> {
    let mut bytes = request.encode_to_vec();
    if later {
        bytes.extend(LATER);
    }
    bytes
}

/// Runs a test's conversation.
pub(crate) fn talk<T>(conversation: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(conversation)
}
