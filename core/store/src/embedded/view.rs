//! Who has the store's files open beside its commits: readers of a view, and whoever merges files.

use super::engine::Frozen;
use crate::{Error, ErrorKind, KeyRange, Page, View};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Those who have the files open. While there is one, the files are not closed to begin a new journal.
#[derive(Debug, Default)]
pub(super) struct Pins {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    views: Vec<Weak<Slot>>,
    mergers: Weak<()>,
}

/// What a view reads; empty once the store had to close its files.
struct Slot(Mutex<Option<Frozen>>);

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Slot(..)")
    }
}

impl Pins {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A view that the store can take back. Called while the engine is open and cannot be closed.
    pub(super) fn view(&self, frozen: Frozen) -> Pinned {
        let slot = Arc::new(Slot(Mutex::new(Some(frozen))));
        let mut held = self.held();
        held.views.retain(|view| view.strong_count() > 0);
        held.views.push(Arc::downgrade(&slot));
        Pinned(slot)
    }

    /// Keeps the files from being closed until it is dropped.
    pub(super) fn merging(&self) -> Arc<()> {
        let mut held = self.held();
        if let Some(merging) = held.mergers.upgrade() {
            return merging;
        }
        let merging = Arc::new(());
        held.mergers = Arc::downgrade(&merging);
        merging
    }

    /// Whether somebody has the files open.
    pub(super) fn any(&self) -> bool {
        let held = self.held();
        held.mergers.strong_count() > 0 || held.views.iter().any(|view| view.strong_count() > 0)
    }

    /// Takes the files from all views: their readers are told.
    pub(super) fn break_views(&self) {
        for slot in std::mem::take(&mut self.held().views) {
            if let Some(slot) = slot.upgrade() {
                *slot.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
        }
    }
}

/// A view of an embedded store.
#[derive(Debug)]
pub(super) struct Pinned(Arc<Slot>);

impl View for Pinned {
    fn scan(&self, range: &KeyRange, limit: usize) -> Result<Page, Error> {
        if range.is_empty() {
            return Ok(Page::default());
        }
        let slot = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*slot {
            Some(frozen) => frozen.scan(range, limit),
            None => Err(Error::new(ErrorKind::Io, "view").with(
                "problem",
                "the store opened its files anew meanwhile: begin again",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Access, DataDir, Embedded, Store as _, Transaction};

    fn put(store: &Embedded, value: u8) {
        let mut transaction = Transaction::new();
        transaction.put(&b"key"[..], vec![value]);
        store.commit(&transaction).unwrap();
    }

    #[test]
    fn a_view_is_lost_when_the_files_are_opened_anew_and_the_store_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let store = Embedded::open(DataDir::open(dir.path(), Access::Create).unwrap()).unwrap();
        put(&store, 1);
        let view = store.view().unwrap();
        put(&store, 2);
        let page = view.scan(&KeyRange::all(), 10).unwrap();
        assert_eq!(page.entries[0].1[..], [1]);
        // What an I/O error of a commit leads to.
        store.reopen(&mut store.writer()).unwrap();
        let lost = view.scan(&KeyRange::all(), 10).unwrap_err();
        assert_eq!(*lost.kind(), ErrorKind::Io);
        put(&store, 3);
        assert_eq!(store.get(b"key").unwrap().unwrap()[..], [3]);
        let next = store.view().unwrap();
        drop(store);
        assert!(
            next.scan(&KeyRange::all(), 10).is_err(),
            "it does not outlive its store"
        );
    }
}
