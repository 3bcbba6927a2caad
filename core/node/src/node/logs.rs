//! The log of one attempt on its way to the store.

use crate::driver::{LogLine, LogStream};
use crate::envelope;
use crate::keys;
use crate::owner::Write;
use crate::token::Claimed;
use conveyor_engine::run::Identity;
use conveyor_proto::storage::v1 as wire;
use prost::Message as _;

/// The longest line that is kept: 64 KiB. What is beyond is cut, and marked.
const LINE_BYTES: usize = 64 << 10;
/// A stored piece is closed once it has so many bytes: some pages of a reader.
const PIECE_BYTES: usize = 256 << 10;

/// Lines that are not acknowledged yet. A line's offset is its number within the attempt
/// (PROTOCOL P33), so that storing it twice does no harm.
pub(super) struct LogBuffer {
    run: crate::RunId,
    id: Identity,
    /// The offset of the first line here.
    first: u64,
    lines: Vec<wire::LogLine>,
    /// How many of them were sent last.
    sent: usize,
}

impl LogBuffer {
    pub(super) fn new(claimed: &Claimed) -> LogBuffer {
        LogBuffer {
            run: claimed.run,
            id: claimed.id,
            first: 0,
            lines: Vec::new(),
            sent: 0,
        }
    }

    pub(super) fn add(&mut self, lines: impl Iterator<Item = LogLine>) {
        self.lines.extend(lines.map(|line| {
            let truncated = line.text.len() > LINE_BYTES;
            wire::LogLine {
                time_ms: line.time.0,
                stream: match line.stream {
                    LogStream::Log => wire::LogStream::Driver,
                    LogStream::Stdout => wire::LogStream::Stdout,
                    LogStream::Stderr => wire::LogStream::Stderr,
                }
                .into(),
                text: line.text.slice(..line.text.len().min(LINE_BYTES)),
                truncated,
            }
        }));
    }

    /// The offset of the last line ever added.
    pub(super) fn last(&self) -> Option<u64> {
        (self.first + self.lines.len() as u64).checked_sub(1)
    }

    /// The puts of all lines here.
    pub(super) fn writes(&mut self) -> Vec<Write> {
        self.sent = self.lines.len();
        let mut writes = Vec::new();
        let (mut start, mut bytes) = (0, 0);
        for (at, line) in self.lines.iter().enumerate() {
            bytes += line.text.len() + 16;
            if bytes >= PIECE_BYTES || at + 1 == self.lines.len() {
                let first_offset = self.first + start as u64;
                let chunk = wire::LogChunk {
                    first_offset,
                    lines: self.lines[start..=at].to_vec(),
                };
                writes.push(Write {
                    key: keys::log(self.run, self.id, first_offset),
                    value: Some(envelope::wrap(
                        wire::RecordKind::LogChunk,
                        0,
                        &chunk.encode_to_vec(),
                    )),
                });
                (start, bytes) = (at + 1, 0);
            }
        }
        writes
    }

    /// What was sent last is durable.
    pub(super) fn kept(&mut self) {
        let kept = std::mem::take(&mut self.sent);
        self.lines.drain(..kept);
        self.first += kept as u64;
    }

    /// The put that says that the log is complete.
    pub(super) fn end(&self) -> Option<Write> {
        let count = self.last()? + 1;
        let end = wire::LogEnd { count };
        Some(Write {
            key: keys::log_end(self.run, self.id),
            value: Some(envelope::wrap(
                wire::RecordKind::LogEnd,
                0,
                &end.encode_to_vec(),
            )),
        })
    }
}
