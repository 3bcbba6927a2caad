use super::encoding;
use super::key::AttemptKey;
use conveyor_proto::storage::v1::{LogChunk, LogEnd, LogLine, RecordKind};
use conveyor_store::{Bytes, Direction, Error, Store};
use prost::Message;
use std::fmt;

/// Bytes of one line that are kept, 64 KiB; the rest is cut off and the line marked as truncated.
pub const LINE_BYTES: usize = 64 << 10;

/// Bytes of one chunk beyond which the next line begins another: a quarter of a megabyte, the size
/// up to which the embedded store keeps values inline.
const CHUNK_BYTES: usize = 256 << 10;

/// How far an attempt's log is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogState {
    /// The offset that the next new line has; as many lines are there.
    pub next: u64,
    /// Whether no more lines are taken.
    pub sealed: bool,
}

/// Why lines are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The log is sealed (PROTOCOL P33); it has this many lines.
    Sealed {
        /// Lines of the log.
        count: u64,
    },
    /// Lines before the batch are missing: send again from `expected`.
    Gap {
        /// The offset of the first missing line.
        expected: u64,
        /// The batch's first offset.
        found: u64,
    },
}

/// The writing end of one attempt's log: what is there, and the rows that a batch adds.
///
/// [`AttemptLog::append`] only builds rows; the caller puts them into a commit of its own, so that
/// lines become durable by the same `fdatasync` as everything else. Batches may be built ahead of
/// the commits that carry them, in order. If such a commit fails, drop this and load it again.
#[derive(Clone, Debug)]
pub struct AttemptLog {
    key: AttemptKey,
    state: LogState,
}

impl AttemptLog {
    /// That of an attempt which has just begun and has no rows.
    #[must_use]
    pub fn new(key: AttemptKey) -> Self {
        Self {
            key,
            state: LogState::default(),
        }
    }

    /// Reads from `store` how far the log is: at most two rows.
    ///
    /// # Errors
    ///
    /// The store's, and [`conveyor_store::ErrorKind::Corrupt`].
    pub fn load(store: &dyn Store, key: AttemptKey) -> Result<Self, Error> {
        if let Some(end) = store.get(&key.end())? {
            let next = encoding::end(&end)?.count;
            return Ok(Self {
                key,
                state: LogState { next, sealed: true },
            });
        }
        let last = store.scan(&key.rows(), Direction::Reverse, 1)?;
        let next = match last.entries.first() {
            None => 0,
            Some((key, bytes)) => {
                let chunk = encoding::chunk(key, bytes)?;
                chunk.first_offset + chunk.lines.len() as u64
            }
        };
        Ok(Self {
            key,
            state: LogState {
                next,
                sealed: false,
            },
        })
    }

    /// How far the log is, batches counted that were built and not yet committed.
    #[must_use]
    pub fn state(&self) -> LogState {
        self.state
    }

    /// The rows that add `lines`, of which the first has the offset `first`, to the commit of that number
    /// ([`crate::LogCommits`]). Lines that are there already are dropped; none is left of a batch that only
    /// repeats.
    ///
    /// # Errors
    ///
    /// [`Refused`]; nothing is added. A repeat is refused too once the log is sealed.
    pub fn append(
        &mut self,
        commit: u64,
        first: u64,
        lines: Vec<LogLine>,
    ) -> Result<Vec<(Bytes, Bytes)>, Refused> {
        let LogState { next, sealed } = self.state;
        if sealed {
            return Err(Refused::Sealed { count: next });
        }
        if first > next {
            return Err(Refused::Gap {
                expected: next,
                found: first,
            });
        }
        let repeated = usize::try_from(next - first).unwrap_or(usize::MAX);
        let mut rows = Vec::new();
        let mut chunk = LogChunk {
            first_offset: next,
            lines: Vec::new(),
            commit,
        };
        let mut bytes = 0;
        for mut line in lines.into_iter().skip(repeated) {
            cut(&mut line);
            let length = line.encoded_len();
            if bytes + length > CHUNK_BYTES && !chunk.lines.is_empty() {
                let first_offset = chunk.first_offset + chunk.lines.len() as u64;
                rows.push(self.row(&chunk));
                chunk = LogChunk {
                    first_offset,
                    lines: Vec::new(),
                    commit,
                };
                bytes = 0;
            }
            bytes += length;
            chunk.lines.push(line);
        }
        self.state.next = chunk.first_offset + chunk.lines.len() as u64;
        if !chunk.lines.is_empty() {
            rows.push(self.row(&chunk));
        }
        Ok(rows)
    }

    /// The row that seals the log, `None` where it is sealed.
    pub fn seal(&mut self) -> Option<(Bytes, Bytes)> {
        if self.state.sealed {
            return None;
        }
        self.state.sealed = true;
        let end = LogEnd {
            count: self.state.next,
        };
        Some((self.key.end(), encoding::encode(RecordKind::LogEnd, &end)))
    }

    fn row(&self, chunk: &LogChunk) -> (Bytes, Bytes) {
        (
            self.key.chunk(chunk.first_offset),
            encoding::encode(RecordKind::LogChunk, chunk),
        )
    }
}

fn cut(line: &mut LogLine) {
    if line.text.len() > LINE_BYTES {
        line.text.truncate(LINE_BYTES);
        line.truncated = true;
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sealed { count } => write!(f, "the log is sealed with {count} lines"),
            Self::Gap { expected, found } => {
                write!(
                    f,
                    "the batch begins at line {found}, send again from line {expected}"
                )
            }
        }
    }
}

impl std::error::Error for Refused {}
