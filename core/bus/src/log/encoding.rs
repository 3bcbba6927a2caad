//! Chunks and ends in their envelopes, read strictly (PROTOCOL P3, P35).

use conveyor_proto::storage::v1::{Codec, Envelope, LogChunk, LogEnd, RecordKind};
use conveyor_store::{Bytes, Error, ErrorKind};
use prost::Message;

/// The version of the envelope's layout.
const FORMAT: u32 = 1;

pub(super) fn encode(kind: RecordKind, message: &impl Message) -> Bytes {
    let envelope = Envelope {
        format: FORMAT,
        kind: kind.into(),
        // No rule of the semantics touches logs.
        semantics: 0,
        codec: Codec::None.into(),
        key_id: 0,
        payload: message.encode_to_vec().into(),
    };
    envelope.encode_to_vec().into()
}

pub(super) fn chunk(bytes: &[u8]) -> Result<LogChunk, Error> {
    decode(RecordKind::LogChunk, bytes)
}

pub(super) fn end(bytes: &[u8]) -> Result<LogEnd, Error> {
    decode(RecordKind::LogEnd, bytes)
}

fn decode<M: Message + Default>(kind: RecordKind, bytes: &[u8]) -> Result<M, Error> {
    let envelope: Envelope = strictly(bytes)?;
    if envelope.format != FORMAT
        || envelope.kind != i32::from(kind)
        || envelope.codec != i32::from(Codec::None)
        || envelope.key_id != 0
    {
        return Err(damaged("an envelope of another program's version or kind"));
    }
    strictly(&envelope.payload)
}

/// What does not encode to the same length again held a field that this program does not know.
fn strictly<M: Message + Default>(bytes: &[u8]) -> Result<M, Error> {
    let message = M::decode(bytes).map_err(|error| damaged(&error.to_string()))?;
    if message.encoded_len() == bytes.len() {
        Ok(message)
    } else {
        Err(damaged("a field that this program does not know"))
    }
}

fn damaged(problem: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "read log").with("problem", problem)
}
