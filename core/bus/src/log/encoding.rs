//! Chunks and ends in their envelopes, read strictly (PROTOCOL P3, P35).

use conveyor_proto::storage::envelope;
use conveyor_proto::storage::v1::{LogChunk, LogCommits, LogEnd, RecordKind};
use conveyor_store::{Bytes, Error, ErrorKind};
use prost::Message;

pub(super) fn encode(kind: RecordKind, message: &impl Message) -> Bytes {
    // No rule of the semantics touches logs.
    envelope::wrap(kind, 0, &message.encode_to_vec()).into()
}

pub(super) fn chunk(bytes: &[u8]) -> Result<LogChunk, Error> {
    decode(RecordKind::LogChunk, bytes)
}

pub(super) fn end(bytes: &[u8]) -> Result<LogEnd, Error> {
    decode(RecordKind::LogEnd, bytes)
}

pub(super) fn commits(bytes: &[u8]) -> Result<LogCommits, Error> {
    decode(RecordKind::LogCommits, bytes)
}

fn decode<M: Message + Default>(kind: RecordKind, bytes: &[u8]) -> Result<M, Error> {
    let payload = envelope::unwrap(kind, bytes).map_err(|error| damaged(&error.to_string()))?;
    let message = M::decode(payload).map_err(|error| damaged(&error.to_string()))?;
    // What does not encode to the same length again held a field that this program does not know.
    if message.encoded_len() == payload.len() {
        Ok(message)
    } else {
        Err(damaged("a field that this program does not know"))
    }
}

fn damaged(problem: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "read log").with("problem", problem)
}
