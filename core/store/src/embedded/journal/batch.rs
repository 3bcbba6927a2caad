//! One batch as fjall 3.1 writes it to a journal.
//!
//! A start (tag 1, count of items, seqno), items (tag 2, kind, compression, keyspace, three lengths,
//! key, value), an end (tag 3, XXH3 of the items' bytes, a trailer); integers are little-endian. Our
//! batches are not compressed, and the last item of each is the number of the commit. Where another
//! fjall writes something else, no store of the tests opens a second time.

use super::super::engine::{COMMIT_KEY, MAX_ITEMS};
use crate::Limits;
use xxhash_rust::xxh3::xxh3_64;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const TRAILER: &[u8; 4] = b"FJL\x03";

/// Bytes of a start: the tag, the count and the seqno.
const START_BYTES: usize = 1 + 4 + 8;
/// Bytes of an item before its key.
const ITEM_BYTES: usize = 1 + 1 + 1 + 8 + 2 + 4 + 4;
/// Bytes of an end: the tag, the checksum and the trailer.
const END_BYTES: usize = 1 + 8 + 4;

/// A batch that is there whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) bytes: usize,
    /// fjall's number. It is outside of the checksum.
    pub(super) seqno: u64,
    /// The commit's number, which is inside.
    pub(super) number: u64,
}

/// Why some bytes do not begin with a whole batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotWhole {
    /// What is there may be one, but ends early.
    EndsEarly,
    /// It is none.
    Damaged(&'static str),
}

/// The batch at the beginning of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Result<Batch, NotWhole> {
    let damaged = |what| Err(NotWhole::Damaged(what));
    let mut rest = Rest(bytes);
    if rest.byte()? != START {
        return damaged("no batch begins here");
    }
    let items = u32::from_le_bytes(rest.array()?);
    let seqno = u64::from_le_bytes(rest.array()?);
    if items == 0 || u64::from(items) > MAX_ITEMS {
        return damaged("its count of items is none that is written");
    }
    let mut number = None;
    for _ in 0..items {
        if rest.byte()? != ITEM {
            return damaged("it has fewer items than it says");
        }
        let [_kind, compression] = rest.array()?;
        let _keyspace: [u8; 8] = rest.array()?;
        let key = usize::from(u16::from_le_bytes(rest.array()?));
        let value = u32::from_le_bytes(rest.array()?);
        let stored = u32::from_le_bytes(rest.array()?);
        if compression != 0
            || stored != value
            || key as u64 > Limits::LOCAL.key_bytes
            || u64::from(value) > Limits::LOCAL.record_bytes
        {
            return damaged("an item's lengths are none that are written");
        }
        let key = rest.take(key)?;
        let value = rest.take(value as usize)?;
        number = match value.try_into() {
            Ok(value) if key == COMMIT_KEY => Some(u64::from_be_bytes(value)),
            _ => None,
        };
    }
    let checked = &bytes[START_BYTES..bytes.len() - rest.0.len()];
    if rest.byte()? != END {
        return damaged("it has more items than it says");
    }
    let checksum = u64::from_le_bytes(rest.array()?);
    if rest.array::<4>()? != *TRAILER {
        return damaged("its end is not what is written");
    }
    if xxh3_64(checked) != checksum {
        return damaged("its checksum is not that of its items");
    }
    match number {
        Some(number) => Ok(Batch {
            bytes: bytes.len() - rest.0.len(),
            seqno,
            number,
        }),
        None => damaged("it has no commit number"),
    }
}

/// Where in `bytes` the first whole batch with a number above `last` begins.
pub(super) fn search(bytes: &[u8], last: u64) -> Option<usize> {
    let least = START_BYTES + ITEM_BYTES + END_BYTES;
    (0..bytes.len().saturating_sub(least)).find(|at| {
        bytes[*at] == START
            && bytes[at + START_BYTES] == ITEM
            && matches!(parse(&bytes[*at..]), Ok(batch) if batch.number > last)
    })
}

/// What is still to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], NotWhole> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or(NotWhole::EndsEarly)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], NotWhole> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(NotWhole::EndsEarly)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, NotWhole> {
        self.array::<1>().map(|[byte]| byte)
    }
}
