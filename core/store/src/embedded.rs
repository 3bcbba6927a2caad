//! The embedded store: fjall in a data directory, with a commit counter and a way back after I/O
//! errors (docs/decisions/0010-embedded-store.md).

mod engine;
mod files;
mod journal;
mod view;

use crate::transaction::at_most;
use crate::{
    CommitError, Conflict, DataDir, Direction, Error, ErrorKind, KeyRange, Limits, Page, Stats,
    Store, Transaction, View,
};
use bytes::Bytes;
use engine::{Engine, WriteError};
pub use journal::Cut;
use journal::{Keep, Settled};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use view::Pins;

/// The store's place in a data directory, and where it is made.
const NAME: &str = "store";
const DRAFT: &str = "store.new";

/// Where the bytes of an unfinished commit are kept, the last such bytes only.
const TORN: &str = "store.torn";

/// Journals larger than this are written out and begun anew: reading them is what opening costs,
/// about 5 ms a MiB.
const JOURNAL_BYTES: u64 = 16 << 20;

/// The same when the store is closed: not worth the writing below, as a start has 100 ms.
const CLOSED_JOURNAL_BYTES: u64 = 4 << 20;

/// A store in a data directory of its own process.
///
/// A commit is one append to a journal and one `fdatasync`; commits of several threads happen one
/// after another, so group what can be grouped. Reads go on beside a commit and see nothing of it
/// before it is durable.
///
/// After an I/O error (a full disk, for instance) the store closes its files, cuts what the commit in
/// question left in the journal, opens them again, and only then answers that it failed; reads work
/// all the while, and so do commits as soon as there is space. Where even cutting fails, the answer
/// is [`CommitError::Unknown`], later calls fail with a temporary error, and each of them tries to
/// open the files anew.
///
/// A commit that a power failure left unfinished is cut off when the store is opened
/// ([`Embedded::cut`]). Any other damage to a file is refused by the file's name, when the store is
/// opened or when the damaged part is read.
#[derive(Debug)]
pub struct Embedded {
    directory: DataDir,
    engine: RwLock<Option<Engine>>,
    /// Held through each commit and each recovery. Taken before `engine`.
    writer: Mutex<Writer>,
    cut: Option<Cut>,
    /// The damaged file, once a read has met it. Looked for once: that reads everything.
    damaged: OnceLock<Option<String>>,
    /// Who else has the files open.
    pins: Pins,
}

#[derive(Debug)]
struct Writer {
    /// The number of the last commit that is known to be durable; it grows by one with each commit
    /// and is stored with it.
    last: u64,
    /// About how many bytes the journals hold.
    journal: u64,
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
        let place = directory.path().to_owned();
        Self::open_in(directory).map_err(|error| error.with("directory", place.display()))
    }

    /// Looks whether the store in `directory` can be opened, and reads all of its files. Changes nothing:
    /// tells of an unfinished commit that [`Embedded::open`] would cut off.
    ///
    /// # Errors
    ///
    /// As [`Embedded::open`].
    pub fn check(directory: &DataDir) -> Result<Option<Cut>, Error> {
        let place = path(directory);
        let looked = || {
            // Without one, opening makes it.
            if !place
                .try_exists()
                .map_err(|error| Error::from_io(error, "open"))?
            {
                return Ok(None);
            }
            files::check(&place)?;
            let settled = journal::settle(&place, Keep::Look)?;
            files::verify(&place)?;
            Ok(settled.cut)
        };
        looked().map_err(|error: Error| error.with("directory", directory.path().display()))
    }

    fn open_in(directory: DataDir) -> Result<Self, Error> {
        create(directory.path())?;
        let torn = directory.path().join(TORN);
        let (engine, settled, last) = open(&path(&directory), Keep::All(&torn))?;
        Ok(Self {
            directory,
            engine: RwLock::new(Some(engine)),
            writer: Mutex::new(Writer {
                last,
                journal: settled.bytes,
                commits: 0,
                recoveries: 0,
            }),
            cut: settled.cut,
            damaged: OnceLock::new(),
            pins: Pins::default(),
        })
    }

    /// The unfinished commit that was cut off when the store was opened, where there was one.
    #[must_use]
    pub fn cut(&self) -> Option<&Cut> {
        self.cut.as_ref()
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
            return read(engine).map_err(|error| self.located(error));
        }
        let mut writer = self.writer();
        let opened = self.ensure_open(&mut writer);
        drop(writer);
        opened
            .and_then(|()| self.engine().as_ref().map_or_else(|| Err(closed()), read))
            .map_err(|error| self.located(error))
    }

    fn ensure_open(&self, writer: &mut Writer) -> Result<(), Error> {
        if self.engine().is_some() {
            Ok(())
        } else {
            self.reopen(writer)
        }
    }

    /// Closes the files, cuts off what is not known to be durable, and opens them again.
    ///
    /// Looking whether a commit has arrived proves nothing after a failed `fdatasync`: the kernel may
    /// serve from memory what never reached the disk, and will not try again. Taking it away is
    /// certain, and needs no space.
    fn reopen(&self, writer: &mut Writer) -> Result<(), Error> {
        let mut slot = self.engine.write().unwrap_or_else(PoisonError::into_inner);
        *slot = None;
        // Files are opened by one at a time.
        self.pins.break_views();
        let (engine, settled, last) = open(&path(&self.directory), Keep::Until(writer.last))?;
        if last != writer.last {
            return Err(lost(last, writer.last));
        }
        writer.journal = settled.bytes;
        writer.recoveries += 1;
        *slot = Some(engine);
        Ok(())
    }

    fn commit_checked(&self, transaction: &Transaction) -> Result<(), CommitError> {
        let mut writer = self.writer();
        self.ensure_open(&mut writer).map_err(CommitError::Failed)?;
        let number = writer.last + 1;
        let mut outcome = self.attempt(number, transaction);
        if let Err(Attempt::NotBegun(_)) = outcome {
            // A thread that met damage would end again and again, and nobody would be told.
            self.undamaged().map_err(CommitError::Failed)?;
            self.reopen(&mut writer).map_err(CommitError::Failed)?;
            outcome = self.attempt(number, transaction);
        }
        match outcome {
            Ok(bytes) => {
                writer.last = number;
                writer.journal += bytes;
            }
            Err(Attempt::Ended(error)) => return Err(error),
            Err(Attempt::NotBegun(error)) => return Err(CommitError::Failed(error)),
            Err(Attempt::Broken(error)) => {
                return Err(match self.reopen(&mut writer) {
                    Ok(()) => CommitError::Failed(error),
                    Err(again) => {
                        CommitError::Unknown(error.with("opening the store again", again))
                    }
                });
            }
        }
        writer.commits += 1;
        if writer.journal >= JOURNAL_BYTES {
            self.checkpoint(&mut writer);
        }
        Ok(())
    }

    fn undamaged(&self) -> Result<(), Error> {
        match files::verify(&path(&self.directory)) {
            Err(error) if *error.kind() == ErrorKind::Corrupt => Err(error),
            _ => Ok(()),
        }
    }

    /// Says where the disk is that failed, and which file is damaged.
    fn located(&self, error: Error) -> Error {
        let error = match error.kind() {
            ErrorKind::Corrupt if error.value("file").is_none() => {
                let damaged = self.damaged.get_or_init(|| {
                    let found = files::verify(&path(&self.directory)).err()?;
                    found.value("file").map(str::to_owned)
                });
                match damaged {
                    Some(file) => error.with("file", file),
                    None => error,
                }
            }
            _ => error,
        };
        match error.kind() {
            ErrorKind::DiskFull | ErrorKind::Io | ErrorKind::Corrupt => {
                error.with("directory", self.directory.path().display())
            }
            _ => error,
        }
    }

    /// One try of a commit. Gives the bytes that it took.
    fn attempt(&self, number: u64, transaction: &Transaction) -> Result<u64, Attempt> {
        let failed = |error| Attempt::Ended(CommitError::Failed(error));
        let limits = self.limits();
        let slot = self.engine();
        let engine = slot.as_ref().ok_or_else(|| failed(closed()))?;
        for compare in &transaction.compares {
            let found = engine.get(&compare.key).map_err(failed)?;
            if !compare.expected.matches(found.as_deref()) {
                let key = compare.key.clone();
                let conflict = Conflict { key, found };
                return Err(Attempt::Ended(CommitError::Conflict(conflict)));
            }
        }
        let doomed = doomed(engine, transaction, &limits).map_err(failed)?;
        let deletes = transaction.deletes.iter().chain(&doomed);
        engine
            .write(number, &transaction.puts, deletes)
            .map_err(|error| match error {
                WriteError::NotBegun(error) => Attempt::NotBegun(error),
                WriteError::Broken(error) => Attempt::Broken(error),
            })
    }

    /// Begins the journals anew once they are large, so that opening stays quick. Best effort: they
    /// may be larger.
    fn checkpoint(&self, writer: &mut Writer) {
        // The files cannot be closed while somebody reads a view or merges: after that is soon enough.
        if self.pins.any() {
            return;
        }
        let due = |engine: &Engine| writer.journal >= 3 * JOURNAL_BYTES || engine.is_calm();
        let written = match &*self.engine() {
            Some(engine) if due(engine) => engine.write_out().is_ok(),
            _ => false,
        };
        if written {
            self.begin_anew(writer);
        }
    }

    /// Closes the files and opens them again with an empty journal. All that the journals hold must be in
    /// sorted files. Best effort, as above. Files that were merged into others are gone after it.
    fn begin_anew(&self, writer: &mut Writer) {
        let mut slot = self.engine.write().unwrap_or_else(PoisonError::into_inner);
        // Somebody may have come before the lock was taken; nobody comes while it is held.
        if self.pins.any() {
            return;
        }
        *slot = None;
        // Whatever fails here, the next call opens what there is.
        let place = path(&self.directory);
        if journal::retire(&place).is_ok()
            && let Ok((engine, settled, last)) = open(&place, Keep::Until(writer.last))
            && last == writer.last
        {
            writer.journal = settled.bytes;
            *slot = Some(engine);
        }
    }
}

/// How one try of a commit ended.
enum Attempt {
    /// With an answer.
    Ended(CommitError),
    /// The engine did not begin: something in the background had failed.
    NotBegun(Error),
    /// It may be in the journal, wholly or in part.
    Broken(Error),
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.pins.break_views();
        let slot = self
            .engine
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let writer = self
            .writer
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if writer.journal < CLOSED_JOURNAL_BYTES {
            return;
        }
        // The next start is quicker for it, no more.
        let written = slot.take().is_some_and(|engine| engine.write_out().is_ok());
        if written {
            let _ = journal::retire(&path(&self.directory));
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
        transaction
            .check(&self.limits())
            .map_err(CommitError::Failed)?;
        self.commit_checked(transaction)
            .map_err(|error| match error {
                CommitError::Failed(error) => CommitError::Failed(self.located(error)),
                CommitError::Unknown(error) => CommitError::Unknown(self.located(error)),
                conflict @ CommitError::Conflict(_) => conflict,
            })
    }

    fn limits(&self) -> Limits {
        Limits::LOCAL
    }

    fn view(&self) -> Result<Box<dyn View>, Error> {
        let pinned = self.read(|engine| Ok(self.pins.view(engine.frozen())))?;
        Ok(Box::new(pinned))
    }

    fn reclaim(&self, deleted: u64) -> Result<(), Error> {
        let left = self.read(Engine::bytes_on_disk)?.saturating_sub(deleted);
        let space = rustix::fs::statvfs(self.directory.path())
            .map_err(|error| self.located(Error::from_io(error.into(), "reclaim")))?;
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        if free < left {
            let error = Error::new(ErrorKind::DiskFull, "reclaim")
                .with("needed_bytes", left)
                .with("free_bytes", free);
            return Err(self.located(error));
        }
        // What is in memory first: a deletion that is not in a file removes nothing from one.
        {
            let mut writer = self.writer();
            self.ensure_open(&mut writer)?;
            if let Some(engine) = &*self.engine() {
                engine.write_out().map_err(|error| self.located(error))?;
            }
        }
        let (merger, pin) = self.read(|engine| Ok((engine.merger(), self.pins.merging())))?;
        let merged = merger.merge().map_err(|error| self.located(error));
        drop(merger);
        drop(pin);
        merged?;
        // fjall keeps the old files until it has taken many more commits, or is opened.
        let mut writer = self.writer();
        self.ensure_open(&mut writer)?;
        let written = self.engine().as_ref().map(Engine::write_out);
        if let Some(written) = written {
            written.map_err(|error| self.located(error))?;
            self.begin_anew(&mut writer);
        }
        Ok(())
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

/// Opens the store at `place` once its journals are settled. Gives the number of the last commit too.
fn open(place: &Path, keep: Keep<'_>) -> Result<(Engine, Settled, u64), Error> {
    files::check(place)?;
    let settled = journal::settle(place, keep)?;
    let opened = Engine::open(place).and_then(|engine| {
        let last = engine.last_commit()?;
        let first = settled.first.as_ref();
        let gap = first.map(|first| engine.gap_before(first.number, first.seqno));
        Ok((engine, last, gap.transpose()?.flatten()))
    });
    let (engine, last, gap) = opened.map_err(|error| named(place, error))?;
    if let (Some(first), Some(reached)) = (&settled.first, gap) {
        let problem = format!(
            "it begins with commit {}, and the sorted files end with commit {reached}",
            first.number
        );
        return Err(journal::damaged(&first.journal, 0, &problem));
    }
    match settled.last {
        // The sorted files know of a commit that is not in them and has gone from the journal.
        Some(journal) if journal != last => Err(lost(journal, last)),
        _ => Ok((engine, settled, last)),
    }
}

/// `error`, or a better one: fjall does not say in which file it found something wrong.
fn named(place: &Path, error: Error) -> Error {
    match error.kind() {
        ErrorKind::Corrupt | ErrorKind::Io => files::verify(place).err().unwrap_or(error),
        _ => error,
    }
}

fn lost(found: u64, last: u64) -> Error {
    Error::new(ErrorKind::Corrupt, "open").with(
        "problem",
        format!("commit {last} was made, and the store ends with {found}"),
    )
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
