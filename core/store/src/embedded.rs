//! The embedded store: fjall in a data directory, with a commit counter and a way back after I/O
//! errors (docs/decisions/0010-embedded-store.md).

mod engine;

use crate::transaction::at_most;
use crate::{
    CommitError, Conflict, DataDir, Direction, Error, ErrorKind, KeyRange, Limits, Page, Stats,
    Store, Transaction,
};
use bytes::Bytes;
use engine::{Engine, WriteError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

/// The store's place in a data directory, and where it is made.
const NAME: &str = "store";
const DRAFT: &str = "store.new";

/// A store in a data directory of its own process.
///
/// A commit is one append to a journal and one `fdatasync`; commits of several threads happen one
/// after another, so group what can be grouped. Reads go on beside a commit and see nothing of it
/// before it is durable.
///
/// After an I/O error (a full disk, for instance) the store closes its files, opens them again,
/// looks whether the commit in question reached them, writes what they hold to new files, and only
/// then answers. Where even that fails, the answer is [`CommitError::Unknown`], later calls fail
/// with a temporary error, and each of them tries to open the files anew: the store recovers by
/// itself once there is space.
#[derive(Debug)]
pub struct Embedded {
    directory: DataDir,
    engine: RwLock<Option<Engine>>,
    /// Held through each commit and each recovery. Taken before `engine`.
    writer: Mutex<Writer>,
}

#[derive(Debug)]
struct Writer {
    /// The number of the last commit that is known to be durable; it grows by one with each commit
    /// and is stored with it.
    last: u64,
    commits: u64,
    recoveries: u64,
}

impl Embedded {
    /// Opens the store in `directory`, which is held as long as the store.
    ///
    /// # Errors
    ///
    /// Those of I/O, and [`ErrorKind::Corrupt`].
    pub fn open(directory: DataDir) -> Result<Self, Error> {
        create(directory.path())?;
        let engine = Engine::open(&path(&directory))?;
        let last = engine.last_commit()?;
        Ok(Self {
            directory,
            engine: RwLock::new(Some(engine)),
            writer: Mutex::new(Writer {
                last,
                commits: 0,
                recoveries: 0,
            }),
        })
    }

    /// The data directory that it holds.
    #[must_use]
    pub fn directory(&self) -> &DataDir {
        &self.directory
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        // Whatever a panicking commit left undone, the next one compares against the files.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn engine(&self) -> RwLockReadGuard<'_, Option<Engine>> {
        self.engine.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `read` on the open engine, opening it first where an earlier attempt failed.
    fn read<T>(&self, read: impl Fn(&Engine) -> Result<T, Error>) -> Result<T, Error> {
        if let Some(engine) = &*self.engine() {
            return read(engine);
        }
        let mut writer = self.writer();
        self.ensure_open(&mut writer)?;
        drop(writer);
        self.engine().as_ref().map_or_else(|| Err(closed()), read)
    }

    fn ensure_open(&self, writer: &mut Writer) -> Result<(), Error> {
        if self.engine().is_some() {
            Ok(())
        } else {
            self.reopen(writer)
        }
    }

    /// Closes the files and opens them again. On success everything that they hold is durable and
    /// `writer.last` is the number of the last commit among it.
    ///
    /// Reading a commit back proves nothing after a failed `fdatasync`: the kernel may serve from
    /// memory what never reached the disk, and will not try again. So what the journals hold is
    /// written to new files, which are synced on their own, before anything depends on it.
    fn reopen(&self, writer: &mut Writer) -> Result<(), Error> {
        let mut slot = self.engine.write().unwrap_or_else(PoisonError::into_inner);
        *slot = None;
        let engine = Engine::open(&path(&self.directory))?;
        engine.rewrite_journals()?;
        writer.last = engine.last_commit()?;
        writer.recoveries += 1;
        *slot = Some(engine);
        Ok(())
    }

    /// Finds out, by opening the files anew, what became of commit `number`.
    fn settle(&self, writer: &mut Writer, number: u64, error: Error) -> Result<(), CommitError> {
        if let Err(again) = self.reopen(writer) {
            return Err(CommitError::Unknown(
                error.with("opening the store again", again),
            ));
        }
        if writer.last >= number {
            Ok(())
        } else {
            Err(CommitError::Failed(error))
        }
    }
}

impl Store for Embedded {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.read(|engine| engine.get(key))
    }

    fn scan(&self, range: &KeyRange, direction: Direction, limit: usize) -> Result<Page, Error> {
        if range.is_empty() {
            return Ok(Page::default());
        }
        self.read(|engine| engine.scan(range, direction, limit))
    }

    fn commit(&self, transaction: &Transaction) -> Result<(), CommitError> {
        let limits = self.limits();
        transaction.check(&limits).map_err(CommitError::Failed)?;
        let mut writer = self.writer();
        self.ensure_open(&mut writer).map_err(CommitError::Failed)?;
        let number = writer.last + 1;
        let outcome = {
            let slot = self.engine();
            let engine = slot.as_ref().ok_or_else(|| CommitError::Failed(closed()))?;
            for compare in &transaction.compares {
                let found = engine.get(&compare.key).map_err(CommitError::Failed)?;
                if !compare.expected.matches(found.as_deref()) {
                    let key = compare.key.clone();
                    return Err(CommitError::Conflict(Conflict { key, found }));
                }
            }
            let doomed = doomed(engine, transaction, &limits).map_err(CommitError::Failed)?;
            engine.write(
                number,
                &transaction.puts,
                transaction.deletes.iter().chain(&doomed),
            )
        };
        match outcome {
            Ok(()) => writer.last = number,
            // The engine refused to begin: an earlier background write had failed. Its files are
            // opened anew here, so that the next commit finds a store that works.
            Err(WriteError::NotBegun(error)) => {
                let _ = self.reopen(&mut writer);
                return Err(CommitError::Failed(error));
            }
            Err(WriteError::Broken(error)) => self.settle(&mut writer, number, error)?,
        }
        writer.commits += 1;
        Ok(())
    }

    fn limits(&self) -> Limits {
        Limits::LOCAL
    }

    fn stats(&self) -> Result<Stats, Error> {
        let bytes_on_disk = self.read(Engine::bytes_on_disk)?;
        let writer = self.writer();
        Ok(Stats {
            bytes_on_disk,
            commits: writer.commits,
            recoveries: writer.recoveries,
        })
    }
}

/// The keys in the ranges to delete, but for those that are deleted by name too.
fn doomed(
    engine: &Engine,
    transaction: &Transaction,
    limits: &Limits,
) -> Result<Vec<Bytes>, Error> {
    let mut doomed = Vec::new();
    for range in transaction
        .delete_ranges
        .iter()
        .filter(|range| !range.is_empty())
    {
        engine.keys(range, |key| {
            doomed.push(key);
            at_most(
                "operations",
                transaction.operations() + doomed.len(),
                limits.operations,
            )
        })?;
    }
    // Ranges may overlap, and the engine is to see each key once.
    doomed.sort_unstable();
    doomed.dedup();
    if !doomed.is_empty() && !transaction.deletes.is_empty() {
        let named: std::collections::HashSet<&Bytes> = transaction.deletes.iter().collect();
        doomed.retain(|key| !named.contains(key));
    }
    Ok(doomed)
}

fn path(directory: &DataDir) -> PathBuf {
    directory.path().join(NAME)
}

/// Makes an empty store where there is none. fjall does not open what it had half made when it was
/// killed, so that is made aside and renamed once it is whole.
fn create(directory: &Path) -> Result<(), Error> {
    let (draft, place) = (directory.join(DRAFT), directory.join(NAME));
    let io_error = |error| Error::from_io(error, "open");
    if place.try_exists().map_err(io_error)? {
        return Ok(());
    }
    match std::fs::remove_dir_all(&draft) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io_error(error)),
        _ => {}
    }
    drop(Engine::open(&draft)?);
    std::fs::rename(&draft, &place).map_err(io_error)?;
    std::fs::File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(io_error)
}

fn closed() -> Error {
    Error::new(ErrorKind::Io, "open").with("problem", "the store could not be opened again")
}
