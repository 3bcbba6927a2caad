//! The writing end of all logs of a node: batches that come together are one commit of the log store,
//! off the path of the steps' commits. Whoever sent one is answered once it is durable.

use crate::RunId;
use crate::clock::Clock;
use crate::error::NodeError;
use crate::keys;
use crate::metrics::Metrics;
use crate::reader::{Reader, Topic};
use conveyor_bus::{AttemptKey, AttemptLog, LogCommits, LogState, Refused};
use conveyor_proto::storage::v1::LogLine;
use conveyor_store::{Bytes, Store, Transaction};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::sync::oneshot;

/// A commit is closed once it has so many bytes of lines: some tens of milliseconds on a slow disk.
const GROUP_BYTES: usize = 4 << 20;
/// The last instant that a date shows, 9999-12-31T23:59:59.999Z: milliseconds since 1970.
const LAST_MS: u64 = 253_402_300_799_999;
/// So many attempts' states are remembered; how far another's log is, is read again.
const KEPT: usize = 4096;

/// Lines of an attempt on their way to the log store.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) attempt: AttemptKey,
    /// The offset of the first line.
    pub(crate) first: u64,
    pub(crate) lines: Vec<LogLine>,
    /// Whether these are the last lines.
    pub(crate) seal: bool,
}

/// How far a log is, or why lines were not taken.
pub(crate) type Appended = Result<Result<LogState, Refused>, NodeError>;

enum Append {
    Batch(Batch, oneshot::Sender<Appended>),
    Forget(RunId, oneshot::Sender<()>),
    End,
}

/// Hands batches to the thread that commits them. Clones are the same.
#[derive(Clone)]
pub(crate) struct LogWriter {
    appends: Sender<Append>,
    ended: Arc<AtomicBool>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for LogWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogWriter").finish_non_exhaustive()
    }
}

impl LogWriter {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives none.
    pub(crate) fn start(
        reader: Reader,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
    ) -> Result<(LogWriter, JoinHandle<()>), NodeError> {
        let (appends, inbox) = channel();
        let ended = Arc::new(AtomicBool::new(false));
        let writer = Writer {
            reader,
            states: BTreeMap::new(),
            commits: None,
            metrics,
            ended: Arc::clone(&ended),
        };
        let thread = std::thread::Builder::new()
            .name("conveyor-logs".into())
            .spawn(move || writer.run(&inbox))
            .map_err(|error| NodeError::Unavailable(format!("no thread: {error}")))?;
        let writer = LogWriter {
            appends,
            ended,
            clock,
        };
        Ok((writer, thread))
    }

    /// Ends the thread: what was sent before is committed first.
    pub(crate) fn end(&self) {
        // It may have ended already.
        let _ = self.appends.send(Append::End);
    }

    /// Whether nobody takes lines any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Forgets how far the logs of a run are that is going away: when this returns, no line of it is taken
    /// any more.
    ///
    /// # Errors
    /// When the node has ended.
    pub(crate) async fn forget(&self, run: RunId) -> Result<(), NodeError> {
        let ended = || NodeError::Unavailable("the node has ended".into());
        let (reply, answer) = oneshot::channel();
        self.appends
            .send(Append::Forget(run, reply))
            .map_err(|_| ended())?;
        answer.await.map_err(|_| ended())
    }

    /// Adds lines; durable when this returns. Lines that are there already are dropped. One without a time
    /// has the present; one that no date shows has the last that one does.
    ///
    /// # Errors
    /// When the log store cannot be read or written: what was sent may be sent again.
    pub(crate) async fn append(&self, mut batch: Batch) -> Appended {
        let now = self.clock.now().0;
        for line in &mut batch.lines {
            line.time_ms = match line.time_ms {
                0 => now,
                told => told.min(LAST_MS),
            };
        }
        let ended = || NodeError::Unavailable("the node has ended".into());
        let (reply, answer) = oneshot::channel();
        let sent = self.appends.send(Append::Batch(batch, reply));
        sent.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

struct Writer {
    reader: Reader,
    /// How far each log is that was written of late.
    states: BTreeMap<AttemptKey, AttemptLog>,
    /// How many commits there were; `None` where only the store can tell.
    commits: Option<LogCommits>,
    metrics: Arc<Metrics>,
    ended: Arc<AtomicBool>,
}

impl Writer {
    fn run(mut self, inbox: &Receiver<Append>) {
        let mut ends = false;
        while !ends && let Ok(mut append) = inbox.recv() {
            let (mut bytes, mut group) = (0, Vec::new());
            loop {
                match append {
                    Append::Batch(batch, reply) => {
                        bytes += size(&batch);
                        group.push((batch, reply));
                    }
                    Append::Forget(run, reply) => {
                        self.write(std::mem::take(&mut group));
                        bytes = 0;
                        self.states.retain(|key, _| key.run != run.0);
                        // Whoever asked may have gone.
                        let _ = reply.send(());
                    }
                    Append::End => ends = true,
                }
                match inbox.try_recv() {
                    Ok(next) if bytes < GROUP_BYTES && !ends => append = next,
                    Ok(next) => {
                        self.write(std::mem::take(&mut group));
                        (bytes, append) = (0, next);
                    }
                    Err(_) => break,
                }
            }
            self.write(group);
        }
        self.ended.store(true, Ordering::Release);
    }

    fn write(&mut self, group: Vec<(Batch, oneshot::Sender<Appended>)>) {
        let store = Arc::clone(self.reader.log_store());
        let mut rows = Vec::new();
        let mut answers = Vec::new();
        let mut touched = BTreeSet::new();
        let (mut lines, mut bytes) = (0, 0);
        for (batch, reply) in group {
            let key = batch.attempt;
            touched.insert(key);
            let sent = (batch.lines.len() as u64, text_bytes(&batch));
            let rows_of = self
                .commits(&*store)
                .and_then(|commits| self.rows(&*store, commits, batch));
            match rows_of {
                Ok(Ok((state, mut added))) => {
                    if !added.is_empty() {
                        (lines, bytes) = (lines + sent.0, bytes + sent.1);
                    }
                    rows.append(&mut added);
                    answers.push((reply, Ok(Ok(state))));
                }
                Ok(Err(refused)) => answers.push((reply, Ok(Err(refused)))),
                Err(error) => answers.push((reply, Err(error))),
            }
        }
        let began = Instant::now();
        let wrote = !rows.is_empty();
        let committed = self.commit(&*store, rows);
        if wrote && committed.is_ok() {
            self.metrics.log_lines.add(lines);
            self.metrics.log_bytes.add(bytes);
            self.metrics
                .log_commit_time
                .observe(began.elapsed().as_micros() as u64);
        }
        if committed.is_err() || self.states.len() > KEPT {
            // What is there after a failure only the store can tell.
            self.states
                .retain(|key, _| committed.is_ok() && touched.contains(key));
        }
        for (reply, answer) in answers {
            let answer = match &committed {
                Ok(()) => answer,
                Err(error) => answer.and(Err(error.clone())),
            };
            // Whoever sent it may have gone: it is sent again then.
            let _ = reply.send(answer);
        }
        let runs: BTreeSet<_> = touched.iter().map(|key| RunId(key.run)).collect();
        for run in runs {
            self.reader.hub().notify(&Topic::Log(run));
        }
    }

    /// Whether a run was deleted, or is about to be: its lines would stay for ever.
    fn is_gone(&self, run: RunId) -> Result<bool, NodeError> {
        Ok(self.reader.store().get(&keys::summary(run))?.is_none())
    }

    /// How many commits there were.
    fn commits(&mut self, store: &dyn Store) -> Result<LogCommits, NodeError> {
        let commits = match self.commits {
            Some(commits) => commits,
            None => LogCommits::load(store)?,
        };
        self.commits = Some(commits);
        Ok(commits)
    }

    /// Writes rows as the next commit.
    fn commit(&mut self, store: &dyn Store, rows: Vec<(Bytes, Bytes)>) -> Result<(), NodeError> {
        if rows.is_empty() {
            return Ok(());
        }
        let commits = self.commits(store)?;
        let mut transaction = Transaction::new();
        for (key, value) in rows {
            transaction.put(key, value);
        }
        commits.count_in(&mut transaction);
        // After a failure only the store can tell whether it happened.
        self.commits = None;
        store.commit(&transaction)?;
        self.commits = Some(commits.next());
        Ok(())
    }

    #[expect(clippy::type_complexity, reason = "one place uses it")]
    fn rows(
        &mut self,
        store: &dyn Store,
        commits: LogCommits,
        batch: Batch,
    ) -> Result<Result<(LogState, Vec<(Bytes, Bytes)>), Refused>, NodeError> {
        let mut log = match self.states.get(&batch.attempt) {
            Some(log) => log.clone(),
            None if self.is_gone(RunId(batch.attempt.run))? => {
                return Ok(Err(Refused::Sealed { count: 0 }));
            }
            None => AttemptLog::load(store, batch.attempt)?,
        };
        let rows = match log.append(commits.next().count(), batch.first, batch.lines) {
            Ok(mut rows) => {
                rows.extend(batch.seal.then(|| log.seal()).flatten());
                Ok((log.state(), rows))
            }
            Err(refused) => Err(refused),
        };
        self.states.insert(batch.attempt, log);
        Ok(rows)
    }
}

fn text_bytes(batch: &Batch) -> u64 {
    batch.lines.iter().map(|line| line.text.len() as u64).sum()
}

fn size(batch: &Batch) -> usize {
    batch.lines.iter().map(|line| line.text.len() + 32).sum()
}
