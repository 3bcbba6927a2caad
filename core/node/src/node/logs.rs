//! The log of one attempt on its way to the store.

use crate::driver::{LogLine, LogStream};
use crate::keys;
use crate::owner::Write;
use crate::token::Claimed;
use conveyor_bus::AttemptLog;
use conveyor_proto::storage::v1 as wire;

/// Lines that are not acknowledged yet. A line's offset is its number within the attempt
/// (PROTOCOL P33), so that storing it twice does no harm.
pub(super) struct LogBuffer {
    /// The log as far as it is acknowledged.
    kept: AttemptLog,
    /// The log as far as it was sent.
    sent: AttemptLog,
    /// Lines from the end of `kept` on.
    lines: Vec<wire::LogLine>,
}

impl LogBuffer {
    pub(super) fn new(claimed: &Claimed) -> LogBuffer {
        let kept = AttemptLog::new(keys::log(claimed.run, claimed.id));
        LogBuffer {
            sent: kept.clone(),
            kept,
            lines: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, lines: impl Iterator<Item = LogLine>) {
        self.lines.extend(lines.map(|line| {
            wire::LogLine {
                time_ms: line.time.0,
                stream: match line.stream {
                    LogStream::Log => wire::LogStream::Driver,
                    LogStream::Stdout => wire::LogStream::Stdout,
                    LogStream::Stderr => wire::LogStream::Stderr,
                }
                .into(),
                text: line.text,
                truncated: false,
            }
        }));
    }

    /// The offset of the last line ever added.
    pub(super) fn last(&self) -> Option<u64> {
        (self.kept.state().next + self.lines.len() as u64).checked_sub(1)
    }

    /// The puts of all lines here.
    pub(super) fn writes(&mut self) -> Vec<Write> {
        self.sent = self.kept.clone();
        let rows = self.sent.append(self.kept.state().next, self.lines.clone());
        // Nothing is refused: the log has no gap, and is sealed with the last of its lines.
        rows.unwrap_or_default().into_iter().map(write).collect()
    }

    /// What was sent last is durable.
    pub(super) fn kept(&mut self) {
        let kept = self.sent.state().next - self.kept.state().next;
        self.lines.drain(..kept as usize);
        self.kept = self.sent.clone();
    }

    /// The puts of all lines here, and of the log's end.
    pub(super) fn finish(&mut self) -> Vec<Write> {
        let mut writes = self.writes();
        if self.last().is_some() {
            writes.extend(self.sent.seal().map(write));
        }
        writes
    }
}

fn write((key, value): (bytes::Bytes, bytes::Bytes)) -> Write {
    Write {
        key: key.to_vec(),
        value: Some(value.to_vec()),
    }
}
