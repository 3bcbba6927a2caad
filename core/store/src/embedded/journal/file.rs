//! One journal's file.

use super::batch::{self, Batch, NotWhole};
use super::io_error;
use crate::{Error, ErrorKind};
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes read at once: a few hundred batches of the hot path.
const READ: usize = 256 << 10;
/// What reserved space is compared with, a page at a time: a journal has up to 64 MiB of it, and a walk
/// over single bytes was most of what opening a store took.
const ZEROS: &[u8] = &[0; 4096];

/// A journal's file, with a part of it in memory.
pub(super) struct Journal {
    pub(super) path: PathBuf,
    file: File,
    /// Where in the file `window` begins.
    begin: u64,
    window: Vec<u8>,
}

impl Journal {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
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
    pub(super) fn batch(&mut self, offset: u64) -> Result<Option<Result<Batch, NotWhole>>, Error> {
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
    pub(super) fn last_byte(&self, offset: u64) -> Result<Option<u64>, Error> {
        let failed = |error| io_error(error, &self.path);
        let length = self.file.metadata().map_err(failed)?.len();
        let mut bytes = vec![0; READ];
        for written in self.written(offset, length).into_iter().rev() {
            let mut end = written.end;
            while end > written.start {
                let begin = end.saturating_sub(READ as u64).max(written.start);
                let part = &mut bytes[..(end - begin) as usize];
                self.file.read_exact_at(part, begin).map_err(failed)?;
                if let Some(last) = last_set(part) {
                    return Ok(Some(begin + last as u64));
                }
                end = begin;
            }
        }
        Ok(None)
    }

    /// The parts between `offset` and `length` that were ever written. Reserved space is a hole, which
    /// holds nothing but zeros and need not be read; a file system that does not tell has none.
    fn written(&self, offset: u64, length: u64) -> Vec<Range<u64>> {
        let mut parts = Vec::new();
        let mut at = offset;
        while at < length {
            let begin = match seek(&self.file, SeekFrom::Data(at)) {
                Ok(begin) => begin,
                Err(Errno::NXIO) => break,
                Err(_) => at,
            };
            let hole = seek(&self.file, SeekFrom::Hole(begin)).unwrap_or(length);
            let end = if hole > begin {
                hole.min(length)
            } else {
                length
            };
            parts.push(begin..end);
            at = end;
        }
        parts
    }

    /// What is after `offset`, without zeros at the file's end.
    pub(super) fn rest(&self, offset: u64) -> Result<Vec<u8>, Error> {
        let Some(last) = self.last_byte(offset)? else {
            return Ok(Vec::new());
        };
        let mut rest = vec![0; (last - offset) as usize + 1];
        self.file
            .read_exact_at(&mut rest, offset)
            .map_err(|error| io_error(error, &self.path))?;
        Ok(rest)
    }

    pub(super) fn truncate(&self, length: u64) -> Result<(), Error> {
        let failed = |error| io_error(error, &self.path);
        if self.file.metadata().map_err(failed)?.len() != length {
            self.file.set_len(length).map_err(failed)?;
        }
        self.file.sync_all().map_err(failed)
    }

    /// Writes and syncs what is there already. After a failed `fdatasync` the kernel serves from
    /// memory what never reached the disk, takes it for written and does not try again; whoever saw
    /// that failure may have been killed before it could do anything about it.
    pub(super) fn write_again(&self, offset: u64, bytes: usize) -> Result<(), Error> {
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

/// Where the last byte is that is not zero.
fn last_set(bytes: &[u8]) -> Option<usize> {
    let mut end = bytes.len();
    for page in bytes.rchunks(ZEROS.len()) {
        let begin = end - page.len();
        if page != &ZEROS[..page.len()] {
            return page
                .iter()
                .rposition(|byte| *byte != 0)
                .map(|at| begin + at);
        }
        end = begin;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// What `last_byte` says of a file, from each offset, is what a walk over its bytes says.
    fn agrees(bytes: &[u8], offsets: &[usize]) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("0.jnl");
        fs::write(&path, bytes).expect("written");
        let journal = Journal::open(&path).expect("opened");
        for offset in offsets {
            let walked = (*offset..bytes.len()).rfind(|at| bytes[*at] != 0);
            let found = journal.last_byte(*offset as u64).expect("read");
            assert_eq!(found, walked.map(|at| at as u64), "from {offset}");
            let rest = journal.rest(*offset as u64).expect("read");
            let whole = walked.map_or(&[][..], |last| &bytes[*offset..=last]);
            assert_eq!(rest, whole, "from {offset}");
        }
    }

    #[test]
    fn the_end_of_a_journal_is_found_wherever_it_lies_among_zeros() {
        // Ends on both sides of every boundary: of a page, of what is read at once, of the file.
        let near = |at: usize| at.saturating_sub(1)..at + 2;
        let length = 2 * READ + 5;
        let ends = [0, ZEROS.len(), READ, READ + ZEROS.len() + 5, 2 * READ];
        for end in ends.into_iter().flat_map(near) {
            let mut bytes = vec![0; length];
            bytes[end] = 7;
            // A frame may end in zeros itself, and begin long before.
            bytes[end / 2] = 1;
            agrees(
                &bytes,
                &[0, end.saturating_sub(1), end, end + 1, length - 1, length],
            );
        }
    }

    #[test]
    fn reserved_space_is_not_read_and_what_lies_in_it_is_found() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("0.jnl");
        fs::write(&path, [7; 100]).expect("written");
        let journal = Journal::open(&path).expect("opened");
        let reserved = 64 << 20;
        journal.file.set_len(reserved).expect("reserved");
        assert_eq!(journal.last_byte(0).expect("read"), Some(99));
        assert_eq!(journal.last_byte(100).expect("read"), None);
        for at in [reserved / 2, reserved - 1] {
            journal.file.write_all_at(&[1], at).expect("written");
            // What was written and is zero again is no hole, and no end either.
            journal.file.write_all_at(&[0], at - 9000).expect("written");
            assert_eq!(journal.last_byte(100).expect("read"), Some(at));
            journal.file.write_all_at(&[0], at).expect("written");
            assert_eq!(journal.last_byte(100).expect("read"), None);
        }
        assert_eq!(journal.last_byte(reserved).expect("read"), None);
    }

    #[test]
    fn a_journal_of_zeros_or_of_nothing_has_no_end() {
        for length in [0, 1, ZEROS.len(), READ - 1, READ, READ + 1, 3 * READ + 9] {
            agrees(&vec![0; length], &[0, length / 2, length]);
        }
        // And one of nothing but the last byte.
        let mut bytes = vec![0; READ + 1];
        bytes[READ] = 1;
        agrees(&bytes, &[0, READ, READ + 1]);
    }
}
