//! Records as stored bytes: `proto/conveyor/storage/v1/journal.proto`.
//!
//! Reading is strict (PROTOCOL P35): what this release does not know is refused, never dropped. A
//! decoded message that encodes to another length than it was read from had a field that is not known
//! here.

mod from_wire;
mod to_wire;

use super::Record;
use conveyor_proto::storage::v1 as wire;
use prost::Message as _;
use std::fmt;

/// Why stored bytes are not a record that this release can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError(String);

impl DecodeError {
    fn new(reason: impl Into<String>) -> DecodeError {
        DecodeError(reason.into())
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "not a journal record that this release can read: {}",
            self.0
        )
    }
}

impl std::error::Error for DecodeError {}

/// A record as its stored bytes.
#[must_use]
pub fn encode_record(record: &Record) -> Vec<u8> {
    to_wire::record(record).encode_to_vec()
}

/// The record of stored bytes.
///
/// # Errors
/// When a field, a kind or a number in it is unknown or missing.
pub fn decode_record(bytes: &[u8]) -> Result<Record, DecodeError> {
    let wire = wire::Record::decode(bytes).map_err(|error| DecodeError::new(error.to_string()))?;
    if wire.encoded_len() != bytes.len() {
        return Err(DecodeError::new("it has a field that is not known here"));
    }
    from_wire::record(wire)
}
