//! All that a store holds, as a file: written from one instant's view while runs go on, and checked to the
//! last byte before any of it is used.
//!
//! A file is a line that says its format, then frames: a byte for the kind, four for the length (least
//! significant first), the payload, eight of checksum (64-bit xxh3 of all before it in the frame).
//!
//! | kind | payload |
//! | --- | --- |
//! | `H` | JSON: when it was made, and by which release; first |
//! | `E` | entries in the order of their keys: the lengths of key and value, four bytes each, then both |
//! | `T` | JSON: how many entries, and the SHA-256 of all bytes before this frame; last |
//!
//! What is not in it: the store's key of tokens and the rows of drivers' sessions. A restored store has a
//! key of its own, so that no token of a claim or secret of a session that was handed out before is taken
//! by it: drivers say hello anew, and attempts that were under way begin again under their next number,
//! uncharged. Access tokens are in it, as hashes, and a restore leaves them out unless it is told to keep
//! them. Secrets are never in a store, only the names that they are found under.

mod read;
mod write;

pub use read::{Contents, Tokens, restore, verify};
pub use write::Backup;

/// The format that this release writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

const MAGIC: &str = "conveyor backup, format ";

/// Bytes before and after a payload.
const HEAD: usize = 5;
const CHECKSUM: usize = 8;

/// Payloads are not longer than this, 16 MiB: an entry is at most a transaction, and a damaged length must
/// not take a machine's memory.
const PAYLOAD_BYTES: usize = 17 << 20;

/// What a file says of itself at its beginning.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Header {
    created_ms: u64,
    created_by: String,
}

/// What a file says of itself at its end.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Trailer {
    entries: u64,
    sha256: String,
}

fn checksum(frame: &[u8]) -> [u8; CHECKSUM] {
    xxhash_rust::xxh3::xxh3_64(frame).to_le_bytes()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
