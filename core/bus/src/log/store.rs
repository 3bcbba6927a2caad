use super::attempt::{AttemptLog, LogState, Refused};
use super::commits::LogCommits;
use super::encoding;
use super::key::AttemptKey;
use conveyor_proto::storage::v1::LogLine;
use conveyor_store::{Bytes, CommitError, Direction, Error, Expected, Store, Transaction};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Where log lines lie (PROTOCOL P31, P33). Calls block, as the store's.
pub trait LogStore: Send + Sync {
    /// Adds `lines`, the first of which has the offset `first`, and returns once they are durable.
    /// Lines that are there already are dropped.
    ///
    /// # Errors
    ///
    /// [`LogError::Refused`] or the store's. After an unknown outcome send the batch again: what is
    /// there is dropped.
    fn append(
        &self,
        attempt: AttemptKey,
        first: u64,
        lines: Vec<LogLine>,
    ) -> Result<LogState, LogError>;

    /// The lines from the offset `from` on, at most about `limit` of them and no more than 64 KiB and a chunk:
    /// pages end where stored chunks do. Of a log that is coming of age, those that are left.
    ///
    /// # Errors
    ///
    /// The store's, and [`conveyor_store::ErrorKind::Corrupt`] where lines are missing.
    fn read(&self, attempt: AttemptKey, from: u64, limit: usize) -> Result<LogPage, Error> {
        self.read_before(attempt, from, limit, u64::MAX)
    }

    /// As [`LogStore::read`], of what was written before the commit of a number ([`LogCommits`]).
    ///
    /// # Errors
    ///
    /// As of [`LogStore::read`].
    fn read_before(
        &self,
        attempt: AttemptKey,
        from: u64,
        limit: usize,
        commit: u64,
    ) -> Result<LogPage, Error>;

    /// How many lines of a log were written before the commit of a number: the offset of the first later
    /// one. Reads the log backwards from its end: as much as was written since, and one chunk.
    ///
    /// # Errors
    ///
    /// The store's.
    fn count_before(&self, attempt: AttemptKey, commit: u64) -> Result<u64, Error>;

    /// Takes no more lines of `attempt`. Sealing twice is no error.
    ///
    /// # Errors
    ///
    /// The store's.
    fn seal(&self, attempt: AttemptKey) -> Result<LogState, LogError>;

    /// How far the log is.
    ///
    /// # Errors
    ///
    /// The store's.
    fn state(&self, attempt: AttemptKey) -> Result<LogState, Error>;
}

/// A line and its offset.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberedLine {
    /// The driver's own number within the attempt, from 0.
    pub offset: u64,
    /// The line.
    pub line: LogLine,
}

/// Lines in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogPage {
    /// The lines; none where the log has not come that far.
    pub lines: Vec<NumberedLine>,
    /// Where to read on: the offset after the last line, or `from` where there is none.
    pub next: u64,
    /// Whether the log is sealed and this page reaches its end.
    pub end: bool,
    /// Whether the page ends because it has enough: there may be more to read at once.
    pub more: bool,
    /// Bytes of its lines.
    bytes: usize,
}

/// Why lines are not stored.
#[derive(Debug)]
pub enum LogError {
    /// They are not taken.
    Refused(Refused),
    /// The store did not take them, or may not have.
    Commit(CommitError),
    /// The store could not be read.
    Read(Error),
}

/// Chunks that a page reads at once, at first and at most: it does not read much more than it has.
const FORWARDS: (usize, usize) = (2, 64);
/// A page of so many bytes of lines has enough, however few lines they are.
const PAGE_BYTES: usize = 64 << 10;
/// Chunks that one look at the end of a log reads: the first look mostly ends the search.
const BACKWARDS: usize = 4;

/// Logs in a [`Store`], one commit a call.
///
/// One writer at a time may write an attempt's log: either through this or, in a group commit, by
/// [`AttemptLog`]. Commits expect that their rows are absent, so a second one conflicts.
pub struct StoreLogs {
    store: Arc<dyn Store>,
    writing: Mutex<()>,
}

/// What there is at an offset.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    /// Lines that the page did not have.
    Lines,
    /// A chunk that ends before.
    Before,
    /// A chunk that was written later than what is asked for.
    Later,
    /// No chunk: nothing was written, or all of it has come of age.
    Nothing,
}

impl StoreLogs {
    /// Logs in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            writing: Mutex::new(()),
        }
    }

    /// Takes the lines of the last chunk that begins at an offset or before it.
    ///
    /// What comes of age goes from its first row on: where a chunk is there, so is whatever was written after
    /// it.
    fn hold(
        &self,
        attempt: AttemptKey,
        at: u64,
        commit: u64,
        page: &mut LogPage,
    ) -> Result<Held, Error> {
        let range = attempt.chunks_to(at);
        let holder = self.store.scan(&range, Direction::Reverse, 1)?;
        let Some((key, bytes)) = holder.entries.first() else {
            return Ok(Held::Nothing);
        };
        let next = page.next;
        if !page.take(key, bytes, commit)? {
            return Ok(Held::Later);
        }
        Ok(match page.next > next {
            true => Held::Lines,
            false => Held::Before,
        })
    }

    fn write(
        &self,
        attempt: AttemptKey,
        rows: impl FnOnce(&mut AttemptLog, u64) -> Result<Vec<(Bytes, Bytes)>, Refused>,
    ) -> Result<LogState, LogError> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut log = AttemptLog::load(&*self.store, attempt).map_err(LogError::Read)?;
        let commits = LogCommits::load(&*self.store).map_err(LogError::Read)?;
        let mut transaction = Transaction::new();
        for (key, value) in rows(&mut log, commits.next().count()).map_err(LogError::Refused)? {
            transaction
                .compare(key.clone(), Expected::Absent)
                .put(key, value);
        }
        if !transaction.writes_nothing() {
            commits.count_in(&mut transaction);
            self.store.commit(&transaction).map_err(LogError::Commit)?;
        }
        Ok(log.state())
    }
}

impl LogStore for StoreLogs {
    fn append(
        &self,
        attempt: AttemptKey,
        first: u64,
        lines: Vec<LogLine>,
    ) -> Result<LogState, LogError> {
        self.write(attempt, |log, commit| log.append(commit, first, lines))
    }

    fn read_before(
        &self,
        attempt: AttemptKey,
        from: u64,
        limit: usize,
        commit: u64,
    ) -> Result<LogPage, Error> {
        // Read before the lines: what is sealed now has all of its lines.
        let end = self
            .store
            .get(&attempt.end())?
            .map(|bytes| encoding::end(&bytes))
            .transpose()?;
        let mut page = LogPage {
            next: from,
            ..LogPage::default()
        };
        // The chunk that holds `from` may begin before it.
        let mut rest = match self.hold(attempt, from, commit, &mut page)? {
            Held::Later => None,
            // From the end of that chunk, and not from behind `from`: the next one may have come meanwhile.
            _ => Some(attempt.chunks_from(page.next)),
        };
        let (mut all, mut at_once) = (false, FORWARDS.0);
        while let Some(range) = rest.filter(|_| !page.has_enough(limit)) {
            let chunks = self.store.scan(&range, Direction::Forward, at_once)?;
            at_once = FORWARDS.1.min(2 * at_once);
            for (key, bytes) in &chunks.entries {
                if page.has_enough(limit) {
                    page.more = true;
                    return Ok(page);
                }
                let behind = AttemptKey::offset_of(key).is_none_or(|first| first > page.next);
                if behind {
                    match self.hold(attempt, page.next, commit, &mut page)? {
                        Held::Before => {
                            return Err(encoding::damaged("lines are missing before a chunk"));
                        }
                        Held::Later => return Ok(page),
                        Held::Lines | Held::Nothing => {}
                    }
                }
                if !page.take(key, bytes, commit)? {
                    return Ok(page);
                }
            }
            rest = chunks.rest(&range, Direction::Forward);
            all = rest.is_none();
        }
        page.end = match end {
            None => false,
            Some(end) if page.next > end.count && !page.lines.is_empty() => {
                return Err(encoding::damaged("lines are there after the end"));
            }
            Some(end) if page.next >= end.count => true,
            Some(_) if !all => false,
            Some(end) => match self.hold(attempt, end.count, commit, &mut page)? {
                Held::Nothing => true,
                Held::Later => false,
                Held::Lines | Held::Before => {
                    return Err(encoding::damaged("lines are missing before the end"));
                }
            },
        };
        page.more = !page.end && page.has_enough(limit);
        Ok(page)
    }

    fn count_before(&self, attempt: AttemptKey, commit: u64) -> Result<u64, Error> {
        let mut rest = Some(attempt.chunks_from(0));
        let mut limit = 1;
        while let Some(range) = rest {
            let chunks = self.store.scan(&range, Direction::Reverse, limit)?;
            for (key, bytes) in &chunks.entries {
                let chunk = encoding::chunk(key, bytes)?;
                if chunk.commit < commit {
                    return Ok(chunk.first_offset + chunk.lines.len() as u64);
                }
            }
            rest = chunks.rest(&range, Direction::Reverse);
            limit = BACKWARDS;
        }
        Ok(0)
    }

    fn seal(&self, attempt: AttemptKey) -> Result<LogState, LogError> {
        self.write(attempt, |log, _| Ok(log.seal().into_iter().collect()))
    }

    fn state(&self, attempt: AttemptKey) -> Result<LogState, Error> {
        AttemptLog::load(&*self.store, attempt).map(|log| log.state())
    }
}

impl LogPage {
    fn has_enough(&self, limit: usize) -> bool {
        self.lines.len() >= limit || self.bytes >= PAGE_BYTES
    }

    /// Adds the lines of a stored chunk from `next` on; false where it was not written before `commit`,
    /// as none after it was.
    fn take(&mut self, key: &[u8], bytes: &[u8], commit: u64) -> Result<bool, Error> {
        let chunk = encoding::chunk(key, bytes)?;
        if chunk.commit >= commit {
            return Ok(false);
        }
        for (offset, line) in (chunk.first_offset..).zip(chunk.lines) {
            if offset >= self.next {
                self.next = offset + 1;
                self.bytes += line.text.len();
                self.lines.push(NumberedLine { offset, line });
            }
        }
        Ok(true)
    }
}

impl fmt::Debug for StoreLogs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreLogs").finish_non_exhaustive()
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refused) => write!(f, "{refused}"),
            Self::Commit(error) => write!(f, "{error}"),
            Self::Read(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for LogError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(refused) => Some(refused),
            Self::Commit(error) => Some(error),
            Self::Read(error) => Some(error),
        }
    }
}
