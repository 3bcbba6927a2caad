//! The log of one attempt in this process, on its way to the log store.

use super::log_writer::{Batch, LogWriter};
use super::messages::RESEND;
use crate::driver::{LogLine, LogStream};
use crate::keys;
use crate::token::Claimed;
use bytes::Bytes;
use conveyor_bus::{AttemptKey, LINE_BYTES};
use conveyor_mask::Mask;
use conveyor_proto::line::cut;
use conveyor_proto::storage::v1 as wire;
use std::time::Duration;

/// A batch with so many bytes of text gets no further line: a commit of the log store takes several.
const BATCH_BYTES: usize = 1 << 20;

/// Counts an attempt's lines: a line's offset is its number within the attempt (PROTOCOL P33), so that
/// sending it twice does no harm.
pub(super) struct AttemptLines {
    attempt: AttemptKey,
    writer: LogWriter,
    /// The offset of the next line.
    next: u64,
    /// The attempt's secrets.
    pub(super) mask: Mask,
}

impl AttemptLines {
    pub(super) fn new(claimed: &Claimed, writer: LogWriter) -> AttemptLines {
        AttemptLines {
            attempt: keys::log(claimed.run, claimed.id),
            writer,
            next: 0,
            mask: Mask::default(),
        }
    }

    /// The offset of the last line.
    pub(super) fn last(&self) -> Option<u64> {
        self.next.checked_sub(1)
    }

    /// Keeps lines; they are durable when the future is ready. It tries until they are, or the node
    /// has ended. `seal`: these are the last ones.
    pub(super) fn keep(
        &mut self,
        lines: Vec<LogLine>,
        seal: bool,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (attempt, mut first, writer) = (self.attempt, self.next, self.writer.clone());
        let lines: Vec<_> = lines
            .into_iter()
            .flat_map(|line| stored(line, &self.mask))
            .collect();
        self.next += lines.len() as u64;
        let nothing = self.next == 0 || lines.is_empty() && !seal;
        async move {
            if nothing {
                return;
            }
            let mut lines = lines.into_iter().peekable();
            loop {
                let mut bytes = 0;
                let some = std::iter::from_fn(|| {
                    let next = lines.next_if(|_| bytes < BATCH_BYTES)?;
                    bytes += next.text.len();
                    Some(next)
                });
                let some: Vec<_> = some.collect();
                let (count, last) = (some.len() as u64, lines.peek().is_none());
                let batch = Batch {
                    attempt,
                    first,
                    lines: some,
                    seal: seal && last,
                };
                if !append(&writer, batch).await || last {
                    return;
                }
                first += count;
            }
        }
    }
}

/// Tries until the lines are durable. False where they never will be: the node has ended, or they are refused,
/// which is where the run has gone.
async fn append(writer: &LogWriter, batch: Batch) -> bool {
    let mut pause = RESEND;
    loop {
        match writer.append(batch.clone()).await {
            Err(error) if error.is_temporary() && !writer.has_ended() => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(1));
            }
            appended => return matches!(appended, Ok(Ok(_))),
        }
    }
}

/// A line without secrets as the store has it: in pieces, each of which but the last goes on in the next, and
/// that where the line does.
fn stored(line: LogLine, mask: &Mask) -> impl Iterator<Item = wire::LogLine> + use<> {
    let stream = match line.stream {
        LogStream::Log => wire::LogStream::Driver,
        LogStream::Stdout => wire::LogStream::Stdout,
        LogStream::Stderr => wire::LogStream::Stderr,
    };
    let goes_on = line.goes_on;
    let mut rest = Some(masked(mask, line.text));
    std::iter::from_fn(move || {
        let mut text = rest.take()?;
        let after = text.split_off(cut(&text, LINE_BYTES));
        let has_more = !after.is_empty();
        rest = has_more.then_some(after);
        Some(wire::LogLine {
            time_ms: line.time.0,
            stream: stream.into(),
            text,
            truncated: has_more || goes_on,
        })
    })
}

/// A line without secrets.
pub(crate) fn masked(mask: &Mask, text: Bytes) -> Bytes {
    match mask.mask(&text) {
        std::borrow::Cow::Borrowed(_) => text,
        std::borrow::Cow::Owned(masked) => masked.into(),
    }
}
