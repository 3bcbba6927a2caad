//! Long records in pieces: a store has a limit for one value, and no user should meet it.
//!
//! The first piece lies under the record's own key, the next under that key followed by 1, 2 … as
//! four bytes. A piece of full length says that another follows, even an empty one. All pieces are
//! put by one transaction.

use crate::envelope;
use conveyor_proto::storage::v1::RecordKind;

/// The length of a full piece: 512 KiB, far below what any store takes (PROTOCOL P8, P14).
pub(crate) const PIECE: usize = 512 << 10;

/// The keys and values that hold a record.
pub(crate) fn split(
    kind: RecordKind,
    semantics: u32,
    key: &[u8],
    payload: &[u8],
) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let pieces = payload.len() / PIECE + 1;
    (0..pieces).map(move |at| {
        let end = payload.len().min((at + 1) * PIECE);
        let value = envelope::wrap(kind, semantics, &payload[at * PIECE..end]);
        (piece_key(key, at as u32), value)
    })
}

/// Where a piece lies.
pub(crate) fn piece_key(key: &[u8], piece: u32) -> Vec<u8> {
    let mut key = key.to_vec();
    if piece > 0 {
        key.extend(piece.to_be_bytes());
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_records_are_one_piece_and_full_pieces_are_followed() {
        for (len, pieces) in [
            (0, 1),
            (1, 1),
            (PIECE - 1, 1),
            (PIECE, 2),
            (PIECE + 1, 2),
            (3 * PIECE, 4),
        ] {
            let payload = vec![7; len];
            let split: Vec<_> = split(RecordKind::Value, 0, b"k", &payload).collect();
            assert_eq!(split.len(), pieces, "{len} bytes");
            let joined: Vec<u8> = split
                .iter()
                .flat_map(|(_, value)| envelope::unwrap(RecordKind::Value, value).unwrap().to_vec())
                .collect();
            assert_eq!(joined, payload);
            assert!(split.is_sorted());
        }
    }
}
