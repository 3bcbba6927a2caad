//! The server's log: lines on standard error, which a thread of its own writes. Whoever logs may be the thread that
//! commits: a disk without room, or a reader that has stopped, must hold up nobody and end nothing.

use crate::config::{Config, LogFormat};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// Lines that wait to be written: some megabytes at most. What comes beyond is lost, and counted.
const LINES: usize = 10_000;
/// How long the last lines have at the end of the program.
const LAST: Duration = Duration::from_secs(2);

enum Entry {
    Line(Vec<u8>),
    /// All before it is written.
    End(SyncSender<()>),
}

/// Where lines are put; never fails and never waits.
#[derive(Clone)]
struct Lines {
    entries: SyncSender<Entry>,
    lost: Arc<AtomicU64>,
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.entries.try_send(Entry::Line(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The log, until it is dropped: then its last lines are written.
pub(super) struct Log(SyncSender<Entry>);

impl Log {
    /// From here on `tracing` goes to standard error.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub(super) fn start(config: &Config) -> io::Result<Log> {
        let (entries, waiting) = sync_channel(LINES);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lost);
        std::thread::Builder::new()
            .name("conveyor-stderr".to_owned())
            .spawn(move || write(&waiting, &counted))?;
        let lines = Lines {
            entries: entries.clone(),
            lost,
        };
        // It was parsed before.
        let filter = EnvFilter::new(&config.log_level);
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_target(false)
            .log_internal_errors(false)
            .with_writer(move || lines.clone());
        match config.log_format {
            LogFormat::Text => log.init(),
            LogFormat::Json => log.json().init(),
        }
        Ok(Log(entries))
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let (written, done) = sync_channel(1);
        if self.0.try_send(Entry::End(written)).is_ok() {
            // Whoever reads has stopped, or it is written.
            let _ = done.recv_timeout(LAST);
        }
    }
}

fn write(entries: &Receiver<Entry>, lost: &AtomicU64) {
    for entry in entries {
        match entry {
            Entry::Line(line) => match io::stderr().write_all(&line) {
                Ok(()) => {
                    let lost = lost.swap(0, Ordering::Relaxed);
                    if lost > 0 {
                        tracing::warn!(
                            lost,
                            "lines of the log were lost: they could not be written, or not in time"
                        );
                    }
                }
                // There is nowhere to complain but here, once it can be written again.
                Err(_) => {
                    lost.fetch_add(1, Ordering::Relaxed);
                }
            },
            Entry::End(written) => {
                // Whoever asked may have given up.
                let _ = written.try_send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_logs_waits_for_no_reader() {
        let (entries, waiting) = sync_channel(2);
        let lost = Arc::new(AtomicU64::new(0));
        let mut lines = Lines {
            entries,
            lost: Arc::clone(&lost),
        };
        for _ in 0..5 {
            lines.write_all(b"a line\n").expect("it never fails");
        }
        assert_eq!(lost.load(Ordering::Relaxed), 3);
        drop(waiting);
        lines.write_all(b"a line\n").expect("nor without a thread");
        assert_eq!(lost.load(Ordering::Relaxed), 4);
    }
}
