use crate::{Direction, Error, ErrorKind, KeyRange, Limits, Page};
use bytes::Bytes;
use fjall::config::{BlockSizePolicy, CompressionPolicy};
use fjall::{
    AbstractTree, CompressionType, Database, Guard, Keyspace, KeyspaceCreateOptions, PersistMode,
    Readable, SeqNo,
};
use std::ops::Bound;
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes that the memory table holds before it is written out as a sorted file: small enough for an
/// engine of some 30 MB, large enough that a busy one writes a file every few thousand commits.
const MEMTABLE_BYTES: u64 = 8 << 20;

/// Bytes of blocks read from files that are kept: recovery and listing read each block once, and
/// the hot path does not read.
const CACHE_BYTES: u64 = 4 << 20;

/// Journal files are removed once what they hold is in sorted files; at this many bytes that is
/// forced. It is the least that fjall takes.
const JOURNAL_BYTES: u64 = 64 << 20;

/// Bytes of a memory table that are written out in a few milliseconds.
const CALM_BYTES: u64 = 1 << 20;

/// Sorted files held open at once.
const OPEN_FILES: usize = 64;

/// One thread writes out memory tables, the other merges files.
const WORKERS: usize = 2;

/// How long a process that was forked may take to its exec.
const CHILD: Duration = Duration::from_secs(1);

/// Where the number of the last commit lies, in a keyspace apart from the callers' keys.
pub(super) const COMMIT_KEY: &[u8] = b"commit";

/// fjall's highest number of a keyspace: 0 has the names, 1 the callers' keys, 2 the commit's number.
pub(super) const KEYSPACES: u64 = 2;

/// Items of one batch: what a transaction may hold, and the commit's number.
pub(super) const MAX_ITEMS: u64 = Limits::LOCAL.operations + 1;

/// Bytes that a batch takes for each item and once, beside keys and values.
const ITEM_BYTES: usize = 21;
const BATCH_BYTES: usize = 60;

/// Full memory tables that may wait to be written out when a commit begins. With four fjall stops
/// within the commit until one is written, and if that fails for ever; a commit that begins at one
/// can meet three.
const WAITING_TABLES: usize = 1;

/// Files of the first level that may wait to be merged when a commit begins. With 20 fjall slows
/// commits down, with 30 it stops within them, as above.
const WAITING_FILES: usize = 16;

/// fjall, in the words of this crate.
pub(super) struct Engine {
    // Before `database`: the last handle closes the files.
    entries: Keyspace,
    own: Keyspace,
    database: Database,
}

/// How a write failed.
pub(super) enum WriteError {
    /// Nothing of it was written.
    NotBegun(Error),
    /// It may be in the journal, wholly or in part.
    Broken(Error),
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Engine {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let open = || -> fjall::Result<Self> {
            let database = Database::builder(path)
                .manual_journal_persist(true)
                .journal_compression(CompressionType::None)
                .cache_size(CACHE_BYTES)
                .max_journaling_size(JOURNAL_BYTES)
                .max_cached_files(Some(OPEN_FILES))
                .worker_threads(WORKERS)
                .open()?;
            let entries = database.keyspace("entries", || options(MEMTABLE_BYTES))?;
            let own = database.keyspace("own", || options(MEMTABLE_BYTES))?;
            Ok(Self {
                entries,
                own,
                database,
            })
        };
        // fjall has a lock of its own, beneath ours. Only a child of this process can have it, as a
        // copy, between its fork and its exec.
        let deadline = Instant::now() + CHILD;
        loop {
            match open() {
                Err(fjall::Error::Locked) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                opened => return opened.map_err(|error| foreign(error, "open")),
            }
        }
    }

    /// The number of the last commit, 0 in a new store.
    pub(super) fn last_commit(&self) -> Result<u64, Error> {
        self.commit_before(SeqNo::MAX)
    }

    /// The last commit in the sorted files, where some are missing between that and the journals,
    /// which begin with `number` and `seqno`.
    pub(super) fn gap_before(&self, number: u64, seqno: u64) -> Result<Option<u64>, Error> {
        let persisted = self.own.tree.get_highest_persisted_seqno();
        if persisted.is_some_and(|persisted| persisted >= seqno) {
            return Ok(None);
        }
        let last = self.commit_before(seqno)?;
        Ok((last + 1 < number).then_some(last))
    }

    /// The commit's number as of `seqno`.
    fn commit_before(&self, seqno: SeqNo) -> Result<u64, Error> {
        let found = self.own.tree.get(COMMIT_KEY, seqno);
        match found.map_err(|error| foreign(error.into(), "open"))? {
            None => Ok(0),
            Some(bytes) => match bytes.as_ref().try_into() {
                Ok(bytes) => Ok(u64::from_be_bytes(bytes)),
                Err(_) => Err(Error::new(ErrorKind::Corrupt, "open")
                    .with("problem", "the commit's number is not one")),
            },
        }
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let found = self
            .entries
            .get(key)
            .map_err(|error| foreign(error, "get"))?;
        Ok(found.map(|value| Bytes::copy_from_slice(&value)))
    }

    pub(super) fn scan(
        &self,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Page, Error> {
        // Without a snapshot fjall shows a batch key by key as it applies it.
        let entries = self
            .database
            .snapshot()
            .range::<&[u8], _>(&self.entries, bounds(range));
        match direction {
            Direction::Forward => Page::collect(entries.map(entry), limit),
            Direction::Reverse => Page::collect(entries.rev().map(entry), limit),
        }
    }

    /// Hands each key of `range` to `each`, until that fails.
    pub(super) fn keys(
        &self,
        range: &KeyRange,
        mut each: impl FnMut(Bytes) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for guard in self.entries.range::<&[u8], _>(bounds(range)) {
            let key = guard.key().map_err(|error| foreign(error, "commit"))?;
            each(Bytes::copy_from_slice(&key))?;
        }
        Ok(())
    }

    /// Appends one batch to the journal and syncs it: one `fdatasync`. Gives its bytes.
    pub(super) fn write<'a>(
        &self,
        number: u64,
        puts: &[(Bytes, Bytes)],
        deletes: impl Iterator<Item = &'a Bytes>,
    ) -> Result<u64, WriteError> {
        self.keep_up().map_err(WriteError::NotBegun)?;
        let mut bytes = BATCH_BYTES;
        let mut batch = self
            .database
            .batch()
            .durability(Some(PersistMode::SyncData));
        for (key, value) in puts {
            // Copied: a caller's bytes may be a small part of a large buffer, which the memory
            // table would keep alive.
            bytes += key.len() + value.len() + ITEM_BYTES;
            batch.insert(&self.entries, key.as_ref(), value.as_ref());
        }
        for key in deletes {
            bytes += key.len() + ITEM_BYTES;
            batch.remove(&self.entries, key.as_ref());
        }
        batch.insert(&self.own, COMMIT_KEY, number.to_be_bytes());
        batch.commit().map_err(|error| match error {
            // fjall looks at this before it writes.
            fjall::Error::Poisoned => WriteError::NotBegun(foreign(error, "commit")),
            error => WriteError::Broken(foreign(error, "commit")),
        })?;
        Ok(bytes as u64)
    }

    /// Waits until fjall's threads are not far behind, or says that they have ended.
    fn keep_up(&self) -> Result<(), Error> {
        while self.waiting_tables() > WAITING_TABLES
            || self.entries.l0_table_count() > WAITING_FILES
        {
            self.working("commit")?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn waiting_tables(&self) -> usize {
        self.entries.sealed_memtable_count() + self.own.sealed_memtable_count()
    }

    /// Fails when a thread of fjall's has ended with an error. The error itself is in no call's
    /// result; a poisoned database is how it shows.
    fn working(&self, operation: &'static str) -> Result<(), Error> {
        self.database
            .persist(PersistMode::Buffer)
            .map_err(|error| foreign(error, operation))
    }

    /// Whether what the journals alone hold is little, so that writing it out is soon done.
    pub(super) fn is_calm(&self) -> bool {
        self.waiting_tables() == 0 && self.entries.tree.active_memtable().size() < CALM_BYTES
    }

    /// Writes what the journals alone hold to sorted files and syncs those.
    pub(super) fn write_out(&self) -> Result<(), Error> {
        for keyspace in [&self.entries, &self.own] {
            keyspace
                .rotate_memtable()
                .map_err(|error| foreign(error, "checkpoint"))?;
        }
        // fjall's own waiting never returns when its thread has ended.
        while self.waiting_tables() > 0 {
            self.working("checkpoint")?;
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    /// What the files hold now.
    pub(super) fn frozen(&self) -> Frozen {
        Frozen {
            entries: self.entries.clone(),
            snapshot: self.database.snapshot(),
        }
    }

    /// What merges the files. A handle of its own: the merging is to go on beside commits, and needs
    /// no lock of the store's.
    pub(super) fn merger(&self) -> Merger {
        Merger(self.entries.clone())
    }

    pub(super) fn bytes_on_disk(&self) -> Result<u64, Error> {
        self.database
            .disk_space()
            .map_err(|error| foreign(error, "stats"))
    }
}

/// What the files held at one instant.
pub(super) struct Frozen {
    snapshot: fjall::Snapshot,
    entries: Keyspace,
}

impl Frozen {
    pub(super) fn scan(&self, range: &KeyRange, limit: usize) -> Result<Page, Error> {
        let entries = self
            .snapshot
            .range::<&[u8], _>(&self.entries, bounds(range));
        Page::collect(entries.map(entry), limit)
    }
}

/// Merges files.
pub(super) struct Merger(Keyspace);

impl Merger {
    /// Merges all sorted files into new ones without what was deleted. Blocks until it is done.
    pub(super) fn merge(&self) -> Result<(), Error> {
        self.0
            .major_compact()
            .map_err(|error| foreign(error, "reclaim"))
    }
}

fn options(memtable_bytes: u64) -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .manual_journal_persist(true)
        .max_memtable_size(memtable_bytes)
        .data_block_size_policy(BlockSizePolicy::all(4 << 10))
        .data_block_compression_policy(CompressionPolicy::disabled())
        .index_block_compression_policy(CompressionPolicy::disabled())
}

fn bounds(range: &KeyRange) -> (Bound<&[u8]>, Bound<&[u8]>) {
    let end = range
        .end
        .as_deref()
        .map_or(Bound::Unbounded, Bound::Excluded);
    (Bound::Included(range.start.as_ref()), end)
}

fn entry(guard: Guard) -> Result<(Bytes, Bytes), Error> {
    let (key, value) = guard.into_inner().map_err(|error| foreign(error, "scan"))?;
    // Copied: the originals keep the whole block that they were read from.
    Ok((Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value)))
}

/// fjall's error as one of ours.
fn foreign(error: fjall::Error, operation: &'static str) -> Error {
    let storage = |error: std::io::Error| Error::from_io(error, operation);
    match error {
        fjall::Error::Io(error) => storage(error),
        fjall::Error::Storage(fjall::LsmError::Io(error)) => storage(error),
        fjall::Error::Poisoned => Error::new(ErrorKind::Io, operation)
            .with("problem", "an earlier write in the background failed"),
        fjall::Error::Locked => Error::new(ErrorKind::Locked { pid: None }, operation),
        error => Error::new(ErrorKind::Corrupt, operation).with("problem", in_words(&error)),
    }
}

/// What fjall says of damage: its own text is that of a debugger.
fn in_words(error: &fjall::Error) -> String {
    let fjall::Error::Storage(storage) = error else {
        return format!("fjall says {error:?}");
    };
    match storage {
        fjall::LsmError::ChecksumMismatch { .. } => {
            "a checksum is not that of its bytes".to_owned()
        }
        fjall::LsmError::Unrecoverable => "a sorted file is missing or cut short".to_owned(),
        fjall::LsmError::InvalidTrailer | fjall::LsmError::InvalidHeader(_) => {
            "a block is not what is written".to_owned()
        }
        other => format!("fjall says {other:?}"),
    }
}
