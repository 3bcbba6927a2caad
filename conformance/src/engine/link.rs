//! A stream of gRPC as a driver has it, on which anything can be said.

use conveyor_api::{from_json_of, to_json};
use conveyor_proto::v1;
use prost::Message as _;
use prost::bytes::BufMut as _;
use prost_reflect::{DescriptorPool, MessageDescriptor};
use serde_json::Value;
use std::sync::LazyLock;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::codec::{Codec, EncodeBuf, Encoder};
use tonic::metadata::MetadataValue;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstDecoder;

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    // The bytes are the contract's own: the tests read them.
    DescriptorPool::decode(conveyor_proto::DESCRIPTORS).unwrap_or_default()
});

fn session_request() -> Option<MessageDescriptor> {
    POOL.get_message_by_name("conveyor.v1.SessionRequest")
}

/// Sends bytes as they are.
#[derive(Default)]
struct AsIs;

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

/// What is said on a stream.
#[derive(Clone, Debug)]
pub(super) struct Teller(mpsc::UnboundedSender<Vec<u8>>);

/// What the engine says on it.
pub(super) struct Told(Streaming<v1::SessionResponse>);

/// The bytes of a SessionRequest.
///
/// # Errors
/// A sentence: what of it is none.
pub(super) fn encoded(message: &Value) -> Result<Vec<u8>, String> {
    let of = session_request().ok_or("the contract has no SessionRequest")?;
    let message = from_json_of(&of, message);
    let message = message.map_err(|flaw| format!("{}: {}", flaw.pointer, flaw.message))?;
    Ok(message.encode_to_vec())
}

/// A status as a word: `invalid_argument`.
pub(super) fn word(code: Code) -> String {
    let mut word = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && !word.is_empty() {
            word.push('_');
        }
        word.push(letter.to_ascii_lowercase());
    }
    word
}

/// Opens a stream. Its headers are awaited before anything is said (R4).
///
/// # Errors
/// The status that it is refused with.
pub(super) async fn open(url: &str, token: Option<&str>) -> Result<(Teller, Told), Status> {
    let unavailable = |error: tonic::transport::Error| Status::unavailable(error.to_string());
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(unavailable)?;
    let channel = endpoint.connect().await.map_err(unavailable)?;
    let mut client = tonic::client::Grpc::new(channel)
        .max_encoding_message_size(usize::MAX)
        .max_decoding_message_size(usize::MAX);
    client.ready().await.map_err(unavailable)?;
    let (teller, messages) = mpsc::unbounded_channel();
    let mut request = Request::new(UnboundedReceiverStream::new(messages));
    if let Some(token) = token {
        let value = MetadataValue::try_from(format!("Bearer {token}"));
        let value = value.map_err(|error| Status::invalid_argument(error.to_string()))?;
        request.metadata_mut().insert("authorization", value);
    }
    let path = http::uri::PathAndQuery::from_static("/conveyor.v1.DriverService/Session");
    let told = client.streaming(request, path, AsIs).await?;
    Ok((Teller(teller), Told(told.into_inner())))
}

impl Teller {
    /// Sends; what became of the stream is seen where it is read.
    pub(super) fn send(&self, bytes: Vec<u8>) {
        let _ = self.0.send(bytes);
    }
}

impl Told {
    /// The next message as JSON; `None` at the stream's end.
    ///
    /// # Errors
    /// The status that the stream ends with.
    pub(super) async fn next(&mut self) -> Result<Option<Value>, Status> {
        let message = self.0.message().await?;
        Ok(message.map(|message| to_json("SessionResponse", &message)))
    }
}
