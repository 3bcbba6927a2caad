//! What a store has under one key, or in a range of them. Everything here blocks.

use crate::chunks;
use crate::envelope;
use crate::error::NodeError;
use conveyor_proto::storage::v1::RecordKind;
use conveyor_store::{CommitError, Direction, Error, ErrorKind, KeyRange, Store};
use prost::Message;

/// How many entries are read at once.
pub(crate) const PAGE: usize = 1024;

impl From<Error> for NodeError {
    fn from(error: Error) -> NodeError {
        told(error.kind(), error.to_string())
    }
}

impl From<CommitError> for NodeError {
    fn from(error: CommitError) -> NodeError {
        match error.error() {
            Some(cause) => told(cause.kind(), error.to_string()),
            None => NodeError::Unavailable(error.to_string()),
        }
    }
}

fn told(kind: &ErrorKind, message: String) -> NodeError {
    match kind {
        ErrorKind::Corrupt => NodeError::Corrupt(message),
        ErrorKind::DiskFull => NodeError::Full(message),
        // The same call never succeeds: whoever tries again would do so for ever.
        ErrorKind::TooLarge { .. } | ErrorKind::Invalid => NodeError::Invalid(message),
        _ => NodeError::Unavailable(message),
    }
}

pub(crate) fn corrupt(error: impl std::fmt::Display) -> NodeError {
    NodeError::Corrupt(error.to_string())
}

/// The payload of a record, whatever number of pieces it has.
///
/// # Errors
/// When the store cannot be read, or has something else there.
pub(crate) fn read(
    store: &dyn Store,
    kind: RecordKind,
    key: &[u8],
) -> Result<Option<Vec<u8>>, NodeError> {
    let mut whole = Vec::new();
    for piece in 0.. {
        let Some(value) = store.get(&chunks::piece_key(key, piece))? else {
            if piece == 0 {
                return Ok(None);
            }
            return Err(corrupt(format!(
                "piece {piece} of a stored record is missing"
            )));
        };
        let payload = envelope::unwrap(kind, &value).map_err(corrupt)?;
        whole.extend_from_slice(payload);
        if payload.len() < chunks::PIECE {
            break;
        }
    }
    Ok(Some(whole))
}

/// A row: a small record that is one message.
///
/// # Errors
/// When the store cannot be read, or has something else there.
pub(crate) fn row<M: Message + Default>(
    store: &dyn Store,
    kind: RecordKind,
    key: &[u8],
) -> Result<Option<M>, NodeError> {
    store
        .get(key)?
        .map(|value| decode(kind, &value))
        .transpose()
}

/// Whether something is stored under a key.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn row_exists(store: &dyn Store, key: &[u8]) -> Result<bool, NodeError> {
    Ok(store.get(key)?.is_some())
}

/// The message in an envelope. Unknown fields are refused (PROTOCOL P35).
///
/// # Errors
/// When it is something else.
pub(crate) fn decode<M: Message + Default>(kind: RecordKind, value: &[u8]) -> Result<M, NodeError> {
    let payload = envelope::unwrap(kind, value).map_err(corrupt)?;
    let message = M::decode(payload).map_err(corrupt)?;
    if message.encoded_len() != payload.len() {
        return Err(corrupt(format!(
            "stored {}: it has a field that is not known here",
            kind.as_str_name()
        )));
    }
    Ok(message)
}

/// Goes through what is in a range.
///
/// # Errors
/// When the store cannot be read, or `each` fails.
pub(crate) fn scan(
    store: &dyn Store,
    range: KeyRange,
    mut each: impl FnMut(&[u8], &[u8]) -> Result<(), NodeError>,
) -> Result<(), NodeError> {
    let mut next = Some(range);
    while let Some(range) = next {
        let page = store.scan(&range, Direction::Forward, PAGE)?;
        for (key, value) in &page.entries {
            each(key, value)?;
        }
        next = page.rest(&range, Direction::Forward);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use conveyor_store::{Memory, Transaction};

    #[test]
    fn what_is_too_large_for_the_store_is_not_tried_again() {
        let store = Memory::new();
        let bytes = usize::try_from(store.limits().record_bytes).unwrap() + 1;
        let mut transaction = Transaction::new();
        transaction.put("key", vec![0; bytes]);
        let refused = store.commit(&transaction);
        let error = NodeError::from(refused.expect_err("it is too large"));
        assert!(matches!(error, NodeError::Invalid(_)), "{error:?}");
        assert!(!error.is_temporary());
    }
}
