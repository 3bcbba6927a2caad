use crate::secrets::SecretValues;
use crate::sink::Sink;
use conveyor_mask::{Mask, Masker};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where a line comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The driver itself.
    Driver,
    /// A process's standard output.
    Stdout,
    /// A process's standard error.
    Stderr,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) time_ms: u64,
    pub(crate) stream: Stream,
    pub(crate) text: Vec<u8>,
    /// Whether it goes on in the next line of its stream.
    pub(crate) goes_on: bool,
}

impl Line {
    pub(crate) fn new(stream: Stream, text: impl Into<Vec<u8>>) -> Line {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Line {
            time_ms: now.unwrap_or_default().as_millis() as u64,
            stream,
            text: text.into(),
            goes_on: false,
        }
    }

    /// The line in pieces of at most so many bytes, each of which but the last goes on in the next, and that
    /// where the line does. No letter of UTF-8 is cut in two, unless it is longer than a piece.
    pub(crate) fn pieces(self, most: usize) -> Vec<Line> {
        if self.text.len() <= most {
            return vec![self];
        }
        let mut rest = self.text.as_slice();
        let mut pieces = Vec::with_capacity(rest.len() / most.max(1) + 1);
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(conveyor_proto::line::cut(rest, most));
            pieces.push(Line {
                text: piece.to_vec(),
                goes_on: !after.is_empty() || self.goes_on,
                ..self
            });
            rest = after;
        }
        pieces
    }
}

/// The task's part of the run's log. Clones are the same.
///
/// [`Log::line`] waits where the server is behind; the others never wait, and leave lines out where
/// more than 4 MiB of one task are on their way: a later line says how many.
#[derive(Clone)]
pub struct Log {
    sink: Arc<dyn Sink>,
    left_out: Arc<AtomicU64>,
    /// The task's secrets.
    mask: Mask,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log(..)")
    }
}

impl Log {
    pub(crate) fn new(sink: Arc<dyn Sink>, secrets: &SecretValues) -> Log {
        Log {
            sink,
            left_out: Arc::default(),
            mask: Mask::new(secrets.iter()),
        }
    }

    /// Something that a reader of the log should know. Each line of the text is one.
    pub fn info(&self, text: impl fmt::Display) {
        self.say("", &text.to_string());
    }

    /// As [`Log::info`], marked as a warning.
    pub fn warn(&self, text: impl fmt::Display) {
        self.say("warning: ", &text.to_string());
    }

    /// As [`Log::info`], marked as an error.
    pub fn error(&self, text: impl fmt::Display) {
        self.say("error: ", &text.to_string());
    }

    fn say(&self, mark: &str, text: &str) {
        // Before it is cut: a secret may have lines.
        for line in self.mask.text(text).lines() {
            self.now(Line::new(Stream::Driver, format!("{mark}{line}")));
        }
    }

    /// Masks the task's secrets in a stream of bytes, before it is cut into lines. [`Log::line`] masks
    /// each line by itself, and cannot know of a secret that goes on in the next.
    #[must_use]
    pub fn masker(&self) -> Masker {
        self.mask.stream()
    }

    pub(crate) fn mask(&self) -> &Mask {
        &self.mask
    }

    fn masked(&self, line: Line) -> Line {
        match self.mask.mask(&line.text) {
            Cow::Borrowed(_) => line,
            Cow::Owned(text) => Line { text, ..line },
        }
    }

    pub(crate) fn now(&self, line: Line) {
        let line = self.masked(line);
        let missing = self.left_out.swap(0, Ordering::Relaxed);
        if missing > 0 {
            let note = format!("({missing} lines were left out: the log could not keep up)");
            if !self.sink.line(Line::new(Stream::Driver, note)) {
                self.left_out.fetch_add(missing + 1, Ordering::Relaxed);
                return;
            }
        }
        if !self.sink.line(line) {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Runs something with this log as that of its `tracing` events: what an action spawns has none of
    /// its own. Without the feature `tracing-layer` it only runs it.
    pub fn scope<F: std::future::Future>(
        &self,
        work: F,
    ) -> impl std::future::Future<Output = F::Output> + use<F> {
        #[cfg(feature = "tracing-layer")]
        return crate::layer::with_log(self.clone(), work);
        #[cfg(not(feature = "tracing-layer"))]
        work
    }

    /// A line as it is, without its line feed; not always UTF-8. Waits until there is room for it, so
    /// that nothing is left out.
    pub async fn line(&self, stream: Stream, text: impl Into<Vec<u8>>) {
        let line = self.masked(Line::new(stream, text));
        self.sink.line_when_room(line).await;
    }

    /// As [`Log::line`], of a line that goes on in the next one of the same stream: for who reads lines that
    /// are longer than it wants to hold. A secret that goes on in the next part is masked by
    /// [`Log::masker`] alone, or by the engine.
    pub async fn part(&self, stream: Stream, text: impl Into<Vec<u8>>) {
        let line = Line {
            goes_on: true,
            ..Line::new(stream, text)
        };
        self.sink.line_when_room(self.masked(line)).await;
    }
}
