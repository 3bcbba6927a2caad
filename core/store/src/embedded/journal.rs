//! The journals, checked and cut before fjall reads them.
//!
//! fjall takes the first thing that it does not understand for the end of a journal and drops all
//! that follows, and refuses to open when a batch's checksum is wrong, also where that batch is the
//! last one and was never acknowledged. Neither will do, so it gets to see journals only that hold
//! whole batches and nothing else (docs/decisions/0010-embedded-store.md has what was tried).
//!
//! Each batch is synced before the next is written. So a power failure can tear the last one only,
//! and what is damaged before a whole one was damaged by something else: that is refused.

mod batch;

use crate::{Error, ErrorKind};
use batch::{Batch, NotWhole};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes read at once: a few hundred batches of the hot path.
const READ: usize = 256 << 10;

/// How much higher a batch's seqno can be than that of the one before: each flush and merge takes
/// some. More is a sign of damage, since the checksum does not cover it.
const SEQNO_STEP: u64 = 1 << 20;

/// An unfinished commit that was found at the end of a journal when the store was opened, and cut
/// off. It was never acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The journal.
    pub journal: PathBuf,
    /// Where in it the unfinished commit began.
    pub offset: u64,
    /// How many bytes of it were there.
    pub bytes: u64,
    /// What was wrong with them.
    pub problem: String,
    /// Where they were kept; `None` when that failed.
    pub kept: Option<PathBuf>,
}

/// What is to become of whole batches.
#[derive(Clone, Copy, Debug)]
pub(super) enum Keep<'a> {
    /// All are kept. Who wrote them has gone, and may not have seen the last one synced, so it is
    /// written and synced once more. Torn bytes are kept aside under this path.
    All(&'a Path),
    /// Those up to the last one that this process knows to be durable. What follows is of a commit
    /// that failed.
    Until(u64),
}

/// What the journals hold, once they are settled.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// The first commit in them.
    pub(super) first: Option<First>,
    /// The number of the last commit in them.
    pub(super) last: Option<u64>,
    /// Bytes of batches.
    pub(super) bytes: u64,
    pub(super) cut: Option<Cut>,
}

/// The first batch of the journals. What was before it must be in the sorted files.
#[derive(Debug)]
pub(super) struct First {
    pub(super) journal: PathBuf,
    pub(super) number: u64,
    pub(super) seqno: u64,
}

/// Where a whole batch is.
#[derive(Clone, Copy)]
struct Place {
    journal: usize,
    offset: u64,
    batch: Batch,
}

/// Where the first thing is that is no batch to keep.
struct End {
    journal: usize,
    offset: u64,
    problem: &'static str,
}

/// Checks every batch in `directory`, cuts off what is torn, and syncs what is kept.
pub(super) fn settle(directory: &Path, keep: Keep<'_>) -> Result<Settled, Error> {
    let paths = journals(directory)?;
    if paths.is_empty() {
        return Err(Error::new(ErrorKind::Corrupt, "open")
            .with("file", directory.join("*.jnl").display())
            .with("problem", "there is no journal"));
    }
    let mut files = Vec::with_capacity(paths.len());
    for path in &paths {
        files.push(Journal::open(path)?);
    }
    let mut settled = Settled::default();
    let (mut before, mut last) = (None::<Place>, None::<Place>);
    let mut end = None;
    'journals: for (index, journal) in files.iter_mut().enumerate() {
        let mut offset = 0;
        loop {
            let found = journal.batch(offset)?;
            let problem = match found {
                None => break,
                Some(Ok(batch)) => match follows(before, last, batch) {
                    Order::Next if keep.takes(batch.number) => {
                        settled.first.get_or_insert_with(|| First {
                            journal: journal.path.clone(),
                            number: batch.number,
                            seqno: batch.seqno,
                        });
                        before = last;
                        last = Some(Place {
                            journal: index,
                            offset,
                            batch,
                        });
                        settled.bytes += batch.bytes as u64;
                        offset += batch.bytes as u64;
                        continue;
                    }
                    Order::Next => "its commit failed",
                    Order::Damaged => WRONG_SEQNO,
                    Order::DamagedBefore(place) => {
                        let path = &paths[place.journal];
                        return Err(damaged(path, place.offset, WRONG_SEQNO));
                    }
                    Order::Missing(problem) => {
                        return Err(damaged(&journal.path, offset, &problem));
                    }
                },
                Some(Err(NotWhole::EndsEarly)) => "it ends early",
                Some(Err(NotWhole::Damaged(problem))) => problem,
            };
            // Zeros to the end are space that was reserved and not used.
            if journal.last_byte(offset)?.is_none() {
                journal.truncate(offset)?;
                break;
            }
            end = Some(End {
                journal: index,
                offset,
                problem,
            });
            break 'journals;
        }
    }
    if let Some(end) = end {
        if let Keep::All(_) = keep {
            nothing_follows(&mut files[end.journal..], &end, last)?;
        }
        settled.cut = cut(&files[end.journal..], &end, keep)?;
    }
    settled.last = last.map(|last| last.batch.number);
    if let (Keep::All(_), Some(last)) = (keep, last) {
        files[last.journal].write_again(last.offset, last.batch.bytes)?;
    }
    Ok(settled)
}

/// Makes an empty journal the only one. What the others hold must be in synced files.
pub(super) fn retire(directory: &Path) -> Result<(), Error> {
    let old = journals(directory)?;
    let next = old.last().and_then(|path| id(path)).map_or(0, |id| id + 1);
    let path = directory.join(format!("{next}.jnl"));
    File::create_new(&path)
        .and_then(|file| file.sync_all())
        .and_then(|()| sync_directory(directory))
        .map_err(|error| io_error(error, &path))?;
    // The oldest first: what is left when this stops is a whole end of the sequence.
    for path in &old {
        fs::remove_file(path).map_err(|error| io_error(error, path))?;
    }
    sync_directory(directory).map_err(|error| io_error(error, directory))
}

/// The journals' files in the order of their numbers.
fn journals(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let list = || -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(directory)?;
        entries.map(|entry| Ok(entry?.path())).collect()
    };
    let mut paths = list().map_err(|error| io_error(error, directory))?;
    paths.retain(|path| id(path).is_some());
    paths.sort_by_key(|path| id(path));
    Ok(paths)
}

fn id(path: &Path) -> Option<u64> {
    path.file_name()?
        .to_str()?
        .strip_suffix(".jnl")?
        .parse()
        .ok()
}

const WRONG_SEQNO: &str = "its seqno is none that is written";

enum Order {
    Next,
    /// The batch itself is damaged.
    Damaged,
    /// The one before it is.
    DamagedBefore(Place),
    /// Batches are missing before it, or it is there twice.
    Missing(String),
}

/// Whether `batch` is the one that comes after `last`, which comes after `before`.
fn follows(before: Option<Place>, last: Option<Place>, batch: Batch) -> Order {
    let Some(last) = last else { return Order::Next };
    // The number is under the checksum: no torn write changes it.
    if batch.number != last.batch.number + 1 {
        let (found, before) = (batch.number, last.batch.number);
        return Order::Missing(format!("commit {found} follows commit {before}"));
    }
    let fits = |seqno: u64, after: u64| seqno > after && seqno - after <= SEQNO_STEP;
    if fits(batch.seqno, last.batch.seqno) {
        return Order::Next;
    }
    // One of the two is wrong: the earlier one, where this one fits without it.
    let before = before.map_or(0, |before| before.batch.seqno);
    if last.batch.seqno != before + 1 && fits(batch.seqno, before) {
        Order::DamagedBefore(last)
    } else {
        Order::Damaged
    }
}

impl Keep<'_> {
    fn takes(self, number: u64) -> bool {
        match self {
            Self::All(_) => true,
            Self::Until(last) => number <= last,
        }
    }
}

/// Refuses where a whole batch comes after `end`: then that is no torn end but damage.
fn nothing_follows(files: &mut [Journal], end: &End, last: Option<Place>) -> Result<(), Error> {
    let number = last.map_or(0, |last| last.batch.number);
    for index in 0..files.len() {
        let from = if index == 0 { end.offset + 1 } else { 0 };
        let rest = files[index].rest(from)?;
        if let Some(at) = batch::search(&rest, number) {
            let problem = format!(
                "{}, and a whole commit follows in {} at {}",
                end.problem,
                files[index].path.display(),
                from + at as u64
            );
            return Err(damaged(&files[0].path, end.offset, &problem));
        }
    }
    Ok(())
}

/// Cuts off all from `end` on. The first of `files` is the one that has it.
fn cut(files: &[Journal], end: &End, keep: Keep<'_>) -> Result<Option<Cut>, Error> {
    let told = match keep {
        Keep::Until(_) => None,
        Keep::All(aside) => {
            let torn = files[0].rest(end.offset)?;
            let kept = fs::write(aside, &torn).and_then(|()| File::open(aside)?.sync_all());
            Some(Cut {
                journal: files[0].path.clone(),
                offset: end.offset,
                bytes: torn.len() as u64,
                problem: end.problem.to_owned(),
                // A help for people; a full disk must not keep the store from being opened.
                kept: kept.is_ok().then(|| aside.to_owned()),
            })
        }
    };
    files[0].truncate(end.offset)?;
    for later in &files[1..] {
        later.truncate(0)?;
    }
    Ok(told)
}

/// A journal's file, with a part of it in memory.
struct Journal {
    path: PathBuf,
    file: File,
    /// Where in the file `window` begins.
    begin: u64,
    window: Vec<u8>,
}

impl Journal {
    fn open(path: &Path) -> Result<Self, Error> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(|error| io_error(error, path))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            begin: 0,
            window: Vec::new(),
        })
    }

    /// The batch at `offset`; `None` at the file's end.
    fn batch(&mut self, offset: u64) -> Result<Option<Result<Batch, NotWhole>>, Error> {
        let mut at = offset.saturating_sub(self.begin) as usize;
        loop {
            let found = batch::parse(self.window.get(at..).unwrap_or_default());
            if found != Err(NotWhole::EndsEarly) {
                return Ok(Some(found));
            }
            self.window.drain(..at.min(self.window.len()));
            (self.begin, at) = (offset, 0);
            let had = self.window.len();
            let more = READ.max(had);
            self.window.resize(had + more, 0);
            let read = self.read(offset + had as u64, had)?;
            self.window.truncate(had + read);
            if read == 0 {
                return Ok((had > 0).then_some(found));
            }
        }
    }

    /// Reads what is at `offset` into the window from `at` on; 0 at the file's end.
    fn read(&mut self, offset: u64, at: usize) -> Result<usize, Error> {
        loop {
            match self.file.read_at(&mut self.window[at..], offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read.map_err(|error| io_error(error, &self.path)),
            }
        }
    }

    /// Where the last byte after `offset` is that is not zero.
    fn last_byte(&self, offset: u64) -> Result<Option<u64>, Error> {
        let failed = |error| io_error(error, &self.path);
        let mut end = self.file.metadata().map_err(failed)?.len();
        let mut bytes = vec![0; READ];
        while end > offset {
            let begin = end.saturating_sub(READ as u64).max(offset);
            let part = &mut bytes[..(end - begin) as usize];
            self.file.read_exact_at(part, begin).map_err(failed)?;
            if let Some(last) = part.iter().rposition(|byte| *byte != 0) {
                return Ok(Some(begin + last as u64));
            }
            end = begin;
        }
        Ok(None)
    }

    /// What is after `offset`, without zeros at the file's end.
    fn rest(&self, offset: u64) -> Result<Vec<u8>, Error> {
        let Some(last) = self.last_byte(offset)? else {
            return Ok(Vec::new());
        };
        let mut rest = vec![0; (last - offset) as usize + 1];
        self.file
            .read_exact_at(&mut rest, offset)
            .map_err(|error| io_error(error, &self.path))?;
        Ok(rest)
    }

    fn truncate(&self, length: u64) -> Result<(), Error> {
        let failed = |error| io_error(error, &self.path);
        if self.file.metadata().map_err(failed)?.len() != length {
            self.file.set_len(length).map_err(failed)?;
        }
        self.file.sync_all().map_err(failed)
    }

    /// Writes and syncs what is there already. After a failed `fdatasync` the kernel serves from
    /// memory what never reached the disk, takes it for written and does not try again; whoever saw
    /// that failure may have been killed before it could do anything about it.
    fn write_again(&self, offset: u64, bytes: usize) -> Result<(), Error> {
        let failed = |error| io_error(error, &self.path);
        let mut batch = vec![0; bytes];
        self.file
            .read_exact_at(&mut batch, offset)
            .map_err(failed)?;
        match self.file.write_all_at(&batch, offset).map_err(failed) {
            // A file system that never writes in place has no room for it. What is there can be read
            // all the same, and all but sure to be on the disk.
            Err(error) if *error.kind() == ErrorKind::DiskFull => {}
            written => written?,
        }
        self.file.sync_data().map_err(failed)
    }
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

pub(super) fn io_error(error: io::Error, path: &Path) -> Error {
    Error::from_io(error, "open").with("file", path.display())
}

pub(super) fn damaged(path: &Path, offset: u64, problem: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "open")
        .with("file", path.display())
        .with("offset", offset)
        .with("problem", problem)
}
