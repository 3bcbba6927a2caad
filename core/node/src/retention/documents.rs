//! Documents that no run and no revision of a pipeline names any more.

use crate::error::NodeError;
use crate::keys;
use crate::node::Node;
use crate::reader::Reader;
use crate::stored::decode;
use conveyor_engine::value::Hash;
use conveyor_proto::storage::v1::{RecordKind, RunSummary, StoredRevision};
use conveyor_store::{Direction, KeyRange, Store, Transaction};
use std::collections::BTreeSet;

/// Rows that are read at once while users are looked for.
const PAGE: usize = 1000;

impl Node {
    /// Deletes the documents of deleted runs and revisions that nobody names any more, and gives how many. One that
    /// this process stored or started a run of stays until the next: something may be about to name it.
    pub(super) async fn drop_unused_documents(&self) -> Result<usize, NodeError> {
        let mut unused = self.reader().on_worker(candidates).await?;
        let candidates = unused.clone();
        for (prefix, direction) in [
            // The newest runs first: a document that is still in use is soon seen to be.
            (keys::summaries(), Direction::Reverse),
            (keys::revisions(), Direction::Forward),
        ] {
            let mut rest = Some(KeyRange::prefix(prefix));
            while let Some(range) = rest.filter(|_| !unused.is_empty()) {
                let looked =
                    move |reader: &Reader| used(reader.store().as_ref(), &range, direction, unused);
                (unused, rest) = self.reader().on_worker(looked).await?;
            }
        }
        self.reader()
            .on_worker(move |reader| delete(reader, &candidates, &unused))
            .await
    }
}

fn candidates(reader: &Reader) -> Result<BTreeSet<Hash>, NodeError> {
    let prefix = keys::all_unused();
    let mut found = BTreeSet::new();
    // As many as one pass takes; the next takes the rest.
    let page = reader
        .store()
        .scan(&KeyRange::prefix(prefix.clone()), Direction::Forward, PAGE)?;
    for (key, _) in &page.entries {
        found.extend(digest(&key[prefix.len()..]));
    }
    Ok(found)
}

/// Takes those out of `unused` that a page of rows names.
fn used(
    store: &dyn Store,
    range: &KeyRange,
    direction: Direction,
    mut unused: BTreeSet<Hash>,
) -> Result<(BTreeSet<Hash>, Option<KeyRange>), NodeError> {
    let page = store.scan(range, direction, PAGE)?;
    for (key, value) in &page.entries {
        let named = if key.starts_with(&keys::summaries()) {
            let row: RunSummary = decode(RecordKind::RunSummary, value)?;
            digest(&row.document)
        } else {
            let row: StoredRevision = decode(RecordKind::Revision, value)?;
            digest(&row.digest)
        };
        if let Some(named) = named {
            unused.remove(&named);
        }
    }
    Ok((unused, page.rest(range, direction)))
}

fn delete(
    reader: &Reader,
    candidates: &BTreeSet<Hash>,
    unused: &BTreeSet<Hash>,
) -> Result<usize, NodeError> {
    let store = reader.store().as_ref();
    let mut deleted = 0;
    for digest in candidates {
        let mut transaction = Transaction::new();
        transaction.delete(keys::unused(digest));
        if !unused.contains(digest) {
            // Whoever deletes its last run finds it again.
            store.commit(&transaction)?;
            continue;
        }
        transaction.delete_range(KeyRange::prefix(keys::document(digest)));
        let committed = reader
            .plans()
            .unless_relied_on(digest, || store.commit(&transaction));
        if let Some(committed) = committed {
            committed?;
            deleted += 1;
        }
    }
    Ok(deleted)
}

fn digest(bytes: &[u8]) -> Option<Hash> {
    Some(Hash(bytes.try_into().ok()?))
}
