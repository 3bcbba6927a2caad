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

#[cfg(test)]
mod tests {
    use super::*;
    use wire::fact::Fact as Body;

    /// A stored record of one fact.
    fn stored(body: Body) -> Vec<u8> {
        let fact = wire::Fact {
            time_ms: 1,
            fact: Some(body),
            ..Default::default()
        };
        let record = wire::Record {
            sequence: 1,
            facts: vec![fact],
            ..Default::default()
        };
        record.encode_to_vec()
    }

    #[track_caller]
    fn refused(bytes: &[u8], message: &str) {
        let error = decode_record(bytes).expect_err("a refusal").to_string();
        assert!(error.contains(message), "{error}");
    }

    #[test]
    fn a_field_that_is_not_known_is_refused_at_any_depth() {
        let paused = wire::Paused {
            actor: "ann".to_owned(),
            reason: String::new(),
        };
        let bytes = stored(Body::Paused(paused.clone()));
        assert!(decode_record(&bytes).is_ok());
        // Field 15, the number 1.
        let unknown = [0x78, 1];
        let mut outside = bytes.clone();
        outside.extend(unknown);
        refused(&outside, "a field that is not known");
        // The same at the end of the innermost message, and of those around it.
        let inner = paused.encode_to_vec();
        let at = bytes
            .windows(inner.len())
            .position(|window| window == inner)
            .expect("the innermost message");
        let mut inside = bytes;
        inside.splice(at + inner.len()..at + inner.len(), unknown);
        inside[at - 1] += 2;
        inside[3] += 2;
        refused(&inside, "a field that is not known");
    }

    #[test]
    fn what_is_missing_or_has_no_meaning_is_refused_by_name() {
        refused(
            &stored(Body::Lost(wire::Lost::default())),
            "`id` is missing",
        );
        let id = Some(wire::Identity::default());
        let cause = 99;
        refused(
            &stored(Body::Lost(wire::Lost { id, cause })),
            "`lost cause` has the unknown number 99",
        );
        let step = wire::InheritedStep {
            step: "a".to_owned(),
            state: wire::StepState::Succeeded.into(),
            instances: vec![wire::InheritedInstance::default()],
            ..Default::default()
        };
        let started = wire::Started {
            document: vec![0; 32].into(),
            inputs: Some(wire::Value {
                place: Some(wire::value::Place::Inline(b"{}"[..].into())),
            }),
            inherited: vec![step],
            ..Default::default()
        };
        refused(
            &stored(Body::Started(started)),
            "has instances and was not expanded",
        );
        refused(&[0xff], "not a journal record");
        refused(&wire::Record::default().encode_to_vec(), "`facts` is empty");
    }
}
