//! Values that lie beside a run's journal, read when they are asked for.

use conveyor_engine::run::Values;
use conveyor_engine::value::{Hash, Value};
use conveyor_node::{RunId, storage};
use conveyor_store::Store;
use std::sync::Arc;

/// Values of one run. Reading blocks: use it on a thread that may.
pub(crate) struct StoredValues {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) run: RunId,
}

impl StoredValues {
    /// The text of a value; empty where it cannot be read, since a reader gets the rest all the same.
    pub(crate) fn text(&self, value: &Value) -> prost::bytes::Bytes {
        match value {
            Value::Inline(text) => prost::bytes::Bytes::copy_from_slice(text),
            Value::Stored { hash, .. } => self
                .get(hash)
                .map(|text| prost::bytes::Bytes::copy_from_slice(&text))
                .unwrap_or_default(),
        }
    }
}

impl Values for StoredValues {
    fn get(&self, hash: &Hash) -> Option<Arc<[u8]>> {
        let found = storage::load_values(self.store.as_ref(), self.run, &[*hash]);
        found.ok()?.pop().map(|(_, text)| text)
    }
}
