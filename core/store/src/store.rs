use crate::{CommitError, Direction, Error, ErrorKind, KeyRange, Limits, Page, Transaction};
use bytes::Bytes;

/// Ordered keys with guarded, durable commits.
///
/// Every call blocks the calling thread: for a local store as long as its disk takes, for a remote
/// one as long as the request takes, on a runtime of the store's own. Do not call it from a task of
/// an asynchronous runtime; give it a thread.
pub trait Store: Send + Sync {
    /// The value under `key`, `None` where there is none.
    ///
    /// # Errors
    ///
    /// When the store cannot answer now ([`crate::Status::Temporary`]) or ever
    /// ([`crate::Status::Permanent`]).
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// The first entries of `range` in `direction`: at most `limit`, and at most about
    /// [`crate::PAGE_BYTES`] of keys and values, but one entry at least where there is one.
    /// [`Page::rest`] gives the range of the next page. One page is a consistent view; a sequence of
    /// pages is not.
    ///
    /// # Errors
    ///
    /// As [`Store::get`].
    fn scan(&self, range: &KeyRange, direction: Direction, limit: usize) -> Result<Page, Error>;

    /// Applies `transaction` whole or not at all, and returns once it is durable.
    ///
    /// # Errors
    ///
    /// [`CommitError::Conflict`] and [`CommitError::Failed`]: nothing of it happened.
    /// [`CommitError::Unknown`]: it may have happened, or may still do so; read a key that it writes
    /// to find out (PROTOCOL P11).
    fn commit(&self, transaction: &Transaction) -> Result<(), CommitError>;

    /// What one transaction may hold.
    fn limits(&self) -> Limits;

    /// Everything that the store holds now, to be read page by page while commits go on.
    ///
    /// # Errors
    ///
    /// As [`Store::get`]; [`ErrorKind::Invalid`] of a store that cannot.
    fn view(&self) -> Result<Box<dyn View>, Error> {
        Err(Error::new(ErrorKind::Invalid, "view")
            .with("problem", "this kind of store has no consistent views"))
    }

    /// Gives the space of what was deleted back to the file system, beside commits. It may write all
    /// that the store holds anew: ask for it when much was deleted, `deleted` bytes or so. Nothing happens
    /// in a store without files.
    ///
    /// # Errors
    ///
    /// As [`Store::get`]; [`ErrorKind::DiskFull`] where there is no room for what is left beside what is
    /// there: commits need it more. What was deleted stays deleted.
    fn reclaim(&self, deleted: u64) -> Result<(), Error> {
        let _ = deleted;
        Ok(())
    }

    /// What the store holds and has done, for metrics.
    ///
    /// # Errors
    ///
    /// As [`Store::get`].
    fn stats(&self) -> Result<Stats, Error>;
}

/// What a store held at one instant. Drop it soon: what is deleted meanwhile keeps its space.
pub trait View: Send {
    /// As [`Store::scan`], forward, as of the view's instant.
    ///
    /// # Errors
    ///
    /// As [`Store::get`]; also when the store had to open its files anew since, after an I/O error: the
    /// view is lost then.
    fn scan(&self, range: &KeyRange, limit: usize) -> Result<Page, Error>;
}

/// Figures of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes on disk, with what is reserved but not yet used; 0 for a store without a disk.
    pub bytes_on_disk: u64,
    /// Commits that succeeded since the store was opened.
    pub commits: u64,
    /// How often the store opened itself anew after an I/O error.
    pub recoveries: u64,
}

impl<S: Store + ?Sized> Store for std::sync::Arc<S> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        (**self).get(key)
    }

    fn scan(&self, range: &KeyRange, direction: Direction, limit: usize) -> Result<Page, Error> {
        (**self).scan(range, direction, limit)
    }

    fn commit(&self, transaction: &Transaction) -> Result<(), CommitError> {
        (**self).commit(transaction)
    }

    fn limits(&self) -> Limits {
        (**self).limits()
    }

    fn view(&self) -> Result<Box<dyn View>, Error> {
        (**self).view()
    }

    fn reclaim(&self, deleted: u64) -> Result<(), Error> {
        (**self).reclaim(deleted)
    }

    fn stats(&self) -> Result<Stats, Error> {
        (**self).stats()
    }
}
