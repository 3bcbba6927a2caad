//! Values that are kept beside the journal, by hash (PROTOCOL P32).

use crate::value::{Hash, Json, Texts, Value};
use std::sync::Arc;

/// Finds the text of values that are kept beside the journal.
pub trait Values {
    /// The text with that hash, if it is at hand.
    fn get(&self, hash: &Hash) -> Option<Arc<[u8]>>;
}

/// No stored values at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoValues;

impl Values for NoValues {
    fn get(&self, _hash: &Hash) -> Option<Arc<[u8]>> {
        None
    }
}

impl Values for Texts {
    fn get(&self, hash: &Hash) -> Option<Arc<[u8]>> {
        Texts::get(self, hash).cloned()
    }
}

/// Values that were loaded, and those that the open record made.
pub(crate) struct AtHand<'a> {
    pub(crate) values: &'a dyn Values,
    pub(crate) stored: &'a Texts,
}

impl Values for AtHand<'_> {
    fn get(&self, hash: &Hash) -> Option<Arc<[u8]>> {
        Texts::get(self.stored, hash)
            .cloned()
            .or_else(|| self.values.get(hash))
    }
}

/// The JSON of a value; `None` when its text is not at hand.
pub(crate) fn read(value: &Value, values: &dyn Values) -> Option<Json> {
    match value {
        Value::Inline(text) => serde_json::from_slice(text).ok(),
        Value::Stored { hash, .. } => serde_json::from_slice(&values.get(hash)?).ok(),
    }
}
