//! The header of every stored record (PROTOCOL P3), journals and logs alike: eight bytes, then the
//! payload.
//!
//! | bytes | what |
//! | --- | --- |
//! | 0 | format: 1 |
//! | 1 | kind of record |
//! | 2, 3 | number of the semantics, least significant byte first; 0 where no rule touches the kind |
//! | 4 | codec: 1, none |
//! | 5 | 0, reserved |
//! | 6, 7 | number of the key that sealed the payload; 0: not sealed |
//!
//! Something unknown here is refused by name, never read wrongly (PROTOCOL P35).

use super::v1::{Codec, RecordKind};
use std::fmt;

/// The highest number of the semantics that this release knows (PROTOCOL P35).
pub const SEMANTICS: u32 = 1;

const FORMAT: u8 = 1;
const HEADER: usize = 8;

/// Why stored bytes are not what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopeError(String);

impl fmt::Display for EnvelopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for EnvelopeError {}

/// Puts a payload in its envelope.
#[must_use]
pub fn wrap(kind: RecordKind, semantics: u32, payload: &[u8]) -> Vec<u8> {
    let semantics = u16::try_from(semantics).unwrap_or(u16::MAX).to_le_bytes();
    let mut out = Vec::with_capacity(HEADER + payload.len());
    out.extend([
        FORMAT,
        kind as u8,
        semantics[0],
        semantics[1],
        Codec::None as u8,
        0,
        0,
        0,
    ]);
    out.extend_from_slice(payload);
    out
}

/// Takes a payload out of its envelope.
///
/// # Errors
/// When it is of another kind, or of a format, semantics, codec or key that this release does not
/// know; the message names it.
pub fn unwrap(kind: RecordKind, bytes: &[u8]) -> Result<&[u8], EnvelopeError> {
    let error = |what: &str, found: u32, known: &str| {
        let name = kind.as_str_name();
        Err(EnvelopeError(format!(
            "stored {name}: {what} {found}; this release knows {known}"
        )))
    };
    let Some((header, payload)) = bytes.split_at_checked(HEADER) else {
        return Err(EnvelopeError(format!(
            "stored {}: {} bytes, shorter than its header of {HEADER}",
            kind.as_str_name(),
            bytes.len()
        )));
    };
    let semantics = u32::from(u16::from_le_bytes([header[2], header[3]]));
    let sealed = u32::from(u16::from_le_bytes([header[6], header[7]]));
    if header[0] != FORMAT {
        return error("format", header[0].into(), "1");
    }
    if header[1] != kind as u8 {
        return error("kind", header[1].into(), "only the expected one here");
    }
    if semantics > SEMANTICS {
        return error("semantics", semantics, "up to 1");
    }
    if header[4] != Codec::None as u8 {
        return error("codec", header[4].into(), "1 (none)");
    }
    if header[5] != 0 {
        return error("reserved byte", header[5].into(), "0");
    }
    if sealed != 0 {
        return error("key", sealed, "0 (not sealed)");
    }
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrapped_is_found_again() {
        let bytes = wrap(RecordKind::Journal, 1, b"abc");
        assert_eq!(unwrap(RecordKind::Journal, &bytes), Ok(&b"abc"[..]));
    }

    #[test]
    fn what_is_unknown_is_refused_by_name() {
        for (at, value, word) in [
            (0, 2, "format 2"),
            (1, 2, "kind 2"),
            (3, 1, "semantics 257"),
            (4, 2, "codec 2"),
            (6, 9, "key 9"),
        ] {
            let mut bytes = wrap(RecordKind::Journal, 1, b"abc");
            bytes[at] = value;
            let error = unwrap(RecordKind::Journal, &bytes).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        assert!(
            unwrap(RecordKind::Journal, b"abc")
                .unwrap_err()
                .to_string()
                .contains("3 bytes")
        );
    }
}
