//! User values: JSON documents, their canonical text and their hashes.
//!
//! Inputs, outputs, `with` and failure details travel and rest as UTF-8 JSON text, so that a 64-bit
//! integer survives everywhere; [`parse_json`] reads it. Canonical text has RFC 8785's key order and
//! strings, 64-bit integers in full, and larger numbers with an exponent, so that it reads back as
//! what it was written from.

mod canonical;
mod hash;
mod number;
mod parse;
mod read;

pub use canonical::{canonical_bytes, canonical_string};
pub use hash::Hash;
pub use parse::{JsonError, parse_json};

pub(crate) use number::{beyond, number};
pub(crate) use read::{Build, Fault, read};

use std::sync::Arc;

/// A JSON value in memory. Integral numbers within 64 bits are kept as integers.
pub type Json = serde_json::Value;

/// A user value as facts and states hold it: its canonical JSON text, inline or named by its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// The text itself.
    Inline(Arc<[u8]>),
    /// The text is kept beside the journal, under (namespace, run, hash).
    Stored {
        /// SHA-256 of the text.
        hash: Hash,
        /// Its length in bytes.
        len: u64,
    },
}

impl Value {
    /// The canonical text of `json`, inline.
    #[must_use]
    pub fn inline(json: &Json) -> Value {
        Value::Inline(canonical_bytes(json).into())
    }

    /// The length of the text in bytes, wherever it is.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Value::Inline(text) => text.len() as u64,
            Value::Stored { len, .. } => *len,
        }
    }

    /// Whether the text is empty, which no JSON text is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
