//! Output as log lines: read only as fast as the lines are taken, and bounded.

use crate::lines::{Line, Lines};
use conveyor_sdk::Stream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::watch;

/// The most text that one attempt may log, in bytes: 64 MiB. What comes after it is read, so that
/// the command goes on, and dropped. A person reads no more, and a store should not keep more.
pub const MAX_LOG_BYTES: u64 = 64 << 20;

/// How long an ended process's pipe must be silent before it is given up, where something that left
/// the group still holds it. All that the group wrote is in the pipe by then.
const QUIET: Duration = Duration::from_millis(100);

/// The most that is read after the end: as much as a pipe can be made to hold by default.
const MAX_DRAIN_BYTES: usize = 1 << 20;

/// How many characters of the last line of standard error a failure repeats: enough for one
/// sentence; the log has the rest.
const LAST_CHARS: usize = 200;

/// The log of one attempt.
#[derive(Debug)]
pub(crate) struct Log {
    lines: conveyor_sdk::Log,
    written: AtomicU64,
    dropped: AtomicU64,
    /// The last line of standard error that says something.
    last: Mutex<Vec<u8>>,
}

impl Log {
    pub(crate) fn new(lines: conveyor_sdk::Log) -> Log {
        Log {
            lines,
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            last: Mutex::default(),
        }
    }

    /// Reads a pipe to its end, or, once `ended`, until it is silent.
    pub(crate) async fn copy(
        &self,
        mut pipe: impl AsyncRead + Unpin,
        stream: Stream,
        mut ended: watch::Receiver<bool>,
    ) {
        let mut buffer = vec![0; 16 << 10];
        let mut lines = Lines::default();
        // Before the stream is cut into lines, and a last line into what a failure repeats of it.
        let mut masker = self.lines.masker();
        let mut found = Vec::new();
        let mut drained = 0;
        while drained < MAX_DRAIN_BYTES {
            let over = *ended.borrow_and_update();
            let read = if over {
                match tokio::time::timeout(QUIET, pipe.read(&mut buffer)).await {
                    Ok(read) => read,
                    Err(_) => break,
                }
            } else {
                tokio::select! {
                    read = pipe.read(&mut buffer) => read,
                    Ok(()) = ended.changed() => continue,
                }
            };
            let Ok(read @ 1..) = read else { break };
            drained += if over { read } else { 0 };
            lines.push(&masker.push(&buffer[..read]), |line| found.push(line));
            for line in found.drain(..) {
                self.line(stream, line).await;
            }
        }
        lines.push(&masker.finish(), |line| found.push(line));
        found.extend(lines.finish());
        for line in found {
            self.line(stream, line).await;
        }
    }

    /// Says something in the driver's own name.
    pub(crate) async fn say(&self, text: impl Into<Vec<u8>>) {
        self.lines.line(Stream::Driver, text).await;
    }

    /// Says how much was dropped, if anything was.
    pub(crate) async fn close(&self) {
        let dropped = self.dropped.load(Relaxed);
        if dropped > 0 {
            self.say(format!(
                "log truncated: {dropped} bytes after the first {MAX_LOG_BYTES} were dropped"
            ))
            .await;
        }
    }

    /// What the command said last on standard error, cut where it is long.
    pub(crate) fn last_error(&self) -> Option<String> {
        let last = self.last.lock().ok()?;
        let text = String::from_utf8_lossy(&last);
        let text = text.trim();
        let mut said: String = text.chars().take(LAST_CHARS).collect();
        if said.len() < text.len() {
            said.push('…');
        }
        (!said.is_empty()).then_some(said)
    }

    async fn line(&self, stream: Stream, line: Line) {
        let Line { text, goes_on } = line;
        if stream == Stream::Stderr
            && !text.iter().all(u8::is_ascii_whitespace)
            && let Ok(mut last) = self.last.lock()
        {
            last.clear();
            // A character has at most four bytes; one more tells that the line goes on.
            let end = text.len().min(4 * LAST_CHARS + 4);
            last.extend_from_slice(&text[..end]);
        }
        // A line feed counts, so that empty lines have an end too.
        let bytes = text.len() as u64 + u64::from(!goes_on);
        if self.written.fetch_add(bytes, Relaxed) + bytes <= MAX_LOG_BYTES {
            // Nobody left to read the log is no reason to stop the command.
            match goes_on {
                true => self.lines.part(stream, text).await,
                false => self.lines.line(stream, text).await,
            }
        } else if self.dropped.fetch_add(bytes, Relaxed) == 0 {
            self.say(format!("log truncated: the limit of an attempt is {MAX_LOG_BYTES} bytes; what follows is dropped"))
                .await;
        }
    }
}
