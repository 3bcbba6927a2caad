//! Plans of pipeline revisions, read from the store once and shared.

use crate::error::NodeError;
use crate::keys;
use crate::stored;
use conveyor_engine::plan::Plan;
use conveyor_engine::value::Hash;
use conveyor_proto::storage::v1::{RecordKind, StoredDocument};
use conveyor_store::Store;
use prost::Message as _;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// So many plans are kept although no run in memory has them: parked runs are folded again and
/// again under the same few.
const KEPT: usize = 8;

/// Plans by the digest of their document. Shared by all who fold.
#[derive(Debug, Default)]
pub struct Plans {
    cache: Mutex<Cache>,
    /// Documents that something in this process relied on being stored: those are not deleted while it
    /// lives (`crate::retention`).
    relied_on: Mutex<BTreeSet<Hash>>,
}

#[derive(Debug, Default)]
struct Cache {
    plans: BTreeMap<Hash, Weak<Plan>>,
    recent: VecDeque<Arc<Plan>>,
}

impl Plans {
    /// None yet.
    #[must_use]
    pub fn new() -> Plans {
        Plans::default()
    }

    /// Makes a plan known, and gives the one that others already have of the same document.
    pub fn share(&self, plan: Arc<Plan>) -> Arc<Plan> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = cache.plans.get(&plan.digest).and_then(Weak::upgrade) {
            return known;
        }
        cache.plans.retain(|_, plan| plan.strong_count() > 0);
        cache.plans.insert(plan.digest, Arc::downgrade(&plan));
        cache.recent.push_back(Arc::clone(&plan));
        if cache.recent.len() > KEPT {
            cache.recent.pop_front();
        }
        plan
    }

    /// Says that something is about to name this document, before it looks whether it is stored.
    pub(crate) fn rely_on(&self, digest: Hash) {
        self.relied_on().insert(digest);
    }

    /// Does something unless the document was relied on, which nobody begins to do meanwhile.
    pub(crate) fn unless_relied_on<T>(&self, digest: &Hash, then: impl FnOnce() -> T) -> Option<T> {
        let relied_on = self.relied_on();
        (!relied_on.contains(digest)).then(then)
    }

    fn relied_on(&self) -> MutexGuard<'_, BTreeSet<Hash>> {
        self.relied_on
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The plan of a stored document. Compiles it the first time: call it on a stack of
    /// [`conveyor_engine::STACK_BYTES`].
    ///
    /// # Errors
    /// When the store cannot be read, or has no such document.
    pub fn get(&self, store: &dyn Store, digest: &Hash) -> Result<Arc<Plan>, NodeError> {
        let known = {
            let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            cache.plans.get(digest).and_then(Weak::upgrade)
        };
        if let Some(plan) = known {
            return Ok(plan);
        }
        let document = document(store, digest)?
            .ok_or_else(|| NodeError::Corrupt(format!("the document {digest} is missing")))?;
        let plan = compile(&document.canonical)?;
        if plan.digest != *digest {
            return Err(NodeError::Corrupt(format!(
                "the document {digest} has another digest now"
            )));
        }
        Ok(self.share(Arc::new(plan)))
    }
}

/// A stored document.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn document(
    store: &dyn Store,
    digest: &Hash,
) -> Result<Option<StoredDocument>, NodeError> {
    let payload = stored::read(store, RecordKind::Document, &keys::document(digest))?;
    let payload = payload.map(bytes::Bytes::from);
    payload
        .map(|payload| {
            StoredDocument::decode(payload).map_err(|e| NodeError::Corrupt(e.to_string()))
        })
        .transpose()
}

fn compile(canonical: &[u8]) -> Result<Plan, NodeError> {
    Plan::from_canonical(canonical).map_err(|diagnostics| {
        let first = diagnostics
            .first()
            .map(ToString::to_string)
            .unwrap_or_default();
        NodeError::Corrupt(format!("a stored document does not compile: {first}"))
    })
}
