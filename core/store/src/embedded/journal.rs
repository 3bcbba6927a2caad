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
mod file;

use crate::{Error, ErrorKind};
use batch::{Batch, NotWhole};
use file::Journal;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

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
    /// As [`Keep::All`], but nothing is written: what would be cut off is told.
    Look,
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
                if !matches!(keep, Keep::Look) {
                    journal.truncate(offset)?;
                }
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
        if !matches!(keep, Keep::Until(_)) {
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
            Self::All(_) | Self::Look => true,
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
        Keep::All(_) | Keep::Look => {
            let torn = files[0].rest(end.offset)?;
            let put = |aside: &Path| -> io::Result<()> {
                fs::write(aside, &torn)?;
                File::open(aside)?.sync_all()
            };
            let kept = match keep {
                // A help for people; a full disk must not keep the store from being opened.
                Keep::All(aside) => put(aside).is_ok().then(|| aside.to_owned()),
                _ => None,
            };
            Some(Cut {
                journal: files[0].path.clone(),
                offset: end.offset,
                bytes: torn.len() as u64,
                problem: end.problem.to_owned(),
                kept,
            })
        }
    };
    if matches!(keep, Keep::Look) {
        return Ok(told);
    }
    files[0].truncate(end.offset)?;
    for later in &files[1..] {
        later.truncate(0)?;
    }
    Ok(told)
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
