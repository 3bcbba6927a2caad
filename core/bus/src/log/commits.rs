use super::encoding;
use super::key::COMMITS;
use conveyor_proto::storage::v1::{self, RecordKind};
use conveyor_store::{Bytes, Error, Expected, Store, Transaction};

/// How many commits of log lines a store has had.
///
/// Each chunk of lines bears the number of its commit. So one number says what of all logs together a
/// reader has, however many there are: all of the commits before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogCommits(u64);

impl LogCommits {
    /// Reads it. Lines of all these commits can be read from then on, and no commit that comes later
    /// has one of these numbers.
    ///
    /// # Errors
    ///
    /// The store's, and [`conveyor_store::ErrorKind::Corrupt`].
    pub fn load(store: &dyn Store) -> Result<LogCommits, Error> {
        let row = store.get(COMMITS)?;
        let row = row.map(|bytes| encoding::commits(&bytes)).transpose()?;
        Ok(LogCommits(row.map_or(0, |row| row.count)))
    }

    /// The number of the last one; 0 where there was none.
    #[must_use]
    pub fn count(self) -> u64 {
        self.0
    }

    /// The number of the next one.
    #[must_use]
    pub fn next(self) -> LogCommits {
        LogCommits(self.0 + 1)
    }

    /// Makes a transaction the next commit: it happens only if none has come between.
    pub fn count_in(self, transaction: &mut Transaction) {
        let expected = match self.0 {
            0 => Expected::Absent,
            _ => Expected::Value(self.row()),
        };
        transaction
            .compare(COMMITS, expected)
            .put(COMMITS, self.next().row());
    }

    fn row(self) -> Bytes {
        let row = v1::LogCommits { count: self.0 };
        encoding::encode(RecordKind::LogCommits, &row)
    }
}
