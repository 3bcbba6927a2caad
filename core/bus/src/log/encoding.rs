//! Chunks and ends in their envelopes, read strictly (PROTOCOL P3, P35).

use super::key::AttemptKey;
use conveyor_proto::storage::envelope;
use conveyor_proto::storage::v1::{LogChunk, LogCommits, LogEnd, RecordKind};
use conveyor_store::{Bytes, Error, ErrorKind};
use prost::Message;

pub(super) fn encode(kind: RecordKind, message: &impl Message) -> Bytes {
    // No rule of the semantics touches logs.
    envelope::wrap(kind, 0, &message.encode_to_vec()).into()
}

/// More lines than any log has. What a chunk or an end says beyond it is damage, and what a driver says a
/// mistake; offsets below it are counted on without an overflow.
pub const LOG_LINES: u64 = 1 << 62;

/// The chunk that lies under a key.
pub(super) fn chunk(key: &[u8], bytes: &[u8]) -> Result<LogChunk, Error> {
    let chunk: LogChunk = decode(RecordKind::LogChunk, bytes)?;
    if AttemptKey::offset_of(key) != Some(chunk.first_offset) {
        return Err(damaged("a chunk lies under another offset than its own"));
    }
    if chunk.lines.is_empty() || chunk.first_offset > LOG_LINES {
        return Err(damaged("a chunk that no writer makes"));
    }
    Ok(chunk)
}

pub(super) fn end(bytes: &[u8]) -> Result<LogEnd, Error> {
    let end: LogEnd = decode(RecordKind::LogEnd, bytes)?;
    match end.count > LOG_LINES {
        true => Err(damaged("an end that no writer makes")),
        false => Ok(end),
    }
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

pub(super) fn damaged(problem: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "read log").with("problem", problem)
}
