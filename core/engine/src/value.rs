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

pub(crate) use canonical::typed_bytes;
pub(crate) use number::{beyond, number};
pub(crate) use read::{Build, Fault, read};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A JSON value in memory. Integral numbers within 64 bits are kept as integers.
pub type Json = serde_json::Value;

/// Texts up to this length are in the record that names them; longer ones are stored by hash.
pub const INLINE_BYTES: usize = 64 << 10;

/// The longest user value, as JSON text: 8 MiB. What is longer is an error that says so
/// (SEMANTICS 7, 9).
pub const VALUE_BYTES: u64 = 8 << 20;

/// Texts that are to be stored beside a journal, by their hashes.
pub type Texts = BTreeMap<Hash, Arc<[u8]>>;

/// A user value as facts and states hold it: its canonical JSON text, inline or named by its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

    /// The canonical text of `json`: inline, or by its hash when it is long. The text then is among
    /// `stored`, and must be durable before the fact that has the value.
    #[must_use]
    pub fn keep(json: &Json, stored: &mut Texts) -> Value {
        Value::keep_text(canonical_bytes(json).into(), INLINE_BYTES, stored)
    }

    /// The same, where doubles stay doubles: the text is for the engine alone.
    pub(crate) fn keep_typed(json: &Json, stored: &mut Texts) -> Value {
        Value::keep_text(typed_bytes(json).into(), INLINE_BYTES, stored)
    }

    /// The same for a text that is canonical already, with another length up to which it is inline.
    #[must_use]
    pub fn keep_text(text: Arc<[u8]>, inline: usize, stored: &mut Texts) -> Value {
        if text.len() <= inline {
            return Value::Inline(text);
        }
        let (hash, len) = (Hash::of(&text), text.len() as u64);
        stored.insert(hash, text);
        Value::Stored { hash, len }
    }

    /// The hash of a value that is stored.
    #[must_use]
    pub fn hash(&self) -> Option<Hash> {
        match self {
            Value::Stored { hash, .. } => Some(*hash),
            Value::Inline(_) => None,
        }
    }

    /// The hash of its text, wherever that is.
    #[must_use]
    pub fn digest(&self) -> Hash {
        match self {
            Value::Inline(text) => Hash::of(text),
            Value::Stored { hash, .. } => *hash,
        }
    }

    /// How many bytes of a record it takes, about.
    pub(crate) fn recorded(&self) -> usize {
        match self {
            Value::Inline(text) => text.len(),
            Value::Stored { .. } => 40,
        }
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
