use super::Reader;
use crate::error::NodeError;
use crate::id::RunId;
use crate::{keys, storage};
use conveyor_engine::run::Identity;
use conveyor_proto::storage::v1::{LogChunk, LogEnd, LogLine, RecordKind};
use conveyor_store::{Direction, KeyRange};

/// One kept log line.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRecord {
    /// Its number within the attempt, from 0 (PROTOCOL P33).
    pub offset: u64,
    /// The line.
    pub line: LogLine,
}

/// A part of an attempt's log.
#[derive(Clone, Debug, Default)]
pub struct LogPage {
    /// The lines in order.
    pub lines: Vec<LogRecord>,
    /// Whether the log is complete and these are its last lines.
    pub end: bool,
}

impl Reader {
    /// Lines of an attempt's log from `offset` on, at most about `limit`: as far as they are durable.
    ///
    /// # Errors
    /// When the store cannot be read. An attempt that does not exist has no lines.
    pub async fn log(
        &self,
        run: RunId,
        id: Identity,
        offset: u64,
        limit: usize,
    ) -> Result<LogPage, NodeError> {
        self.on_worker(move |reader| reader.log_page(run, id, offset, limit))
            .await
    }

    fn log_page(
        &self,
        run: RunId,
        id: Identity,
        offset: u64,
        limit: usize,
    ) -> Result<LogPage, NodeError> {
        let store = self.store();
        let complete: Option<LogEnd> =
            storage::row(store.as_ref(), RecordKind::LogEnd, &keys::log_end(run, id))?;
        // The piece that has the offset is the last that begins at it or before.
        let before = KeyRange::new(
            keys::log(run, id, 0),
            keys::log(run, id, offset.saturating_add(1)),
        );
        let first = store.scan(&before, Direction::Reverse, 1)?.entries.pop();
        let start = first.map_or_else(|| keys::log(run, id, 0).into(), |(key, _)| key);
        let mut rest = Some(KeyRange {
            start,
            end: Some(keys::log_end(run, id).into()),
        });
        let mut page = LogPage::default();
        let mut next = offset;
        while let Some(range) = rest {
            let part = store.scan(&range, Direction::Forward, 16)?;
            for (_, value) in &part.entries {
                let chunk: LogChunk = storage::decode(RecordKind::LogChunk, value)?;
                for (at, line) in (chunk.first_offset..).zip(chunk.lines) {
                    // A piece that was sent again may begin before the end of the one before.
                    if at == next {
                        next += 1;
                        page.lines.push(LogRecord { offset: at, line });
                    }
                }
                if page.lines.len() >= limit {
                    page.end = complete.is_some_and(|end| next >= end.count);
                    return Ok(page);
                }
            }
            rest = part.rest(&range, Direction::Forward);
        }
        page.end = complete.is_some_and(|end| next >= end.count);
        Ok(page)
    }
}
