//! The driver under test as a process: started, told, watched, and ended with all that it started.

mod overheard;

pub(crate) use overheard::Overheard;

use crate::keeper::{self, Family, kill, with_variable};
use crate::v1;
use prost::Message as _;
use std::collections::VecDeque;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// How many of its lines on standard error are kept.
const KEPT_LINES: usize = 200;
/// How long a line of those may be, in bytes.
const KEPT_LINE: usize = 2_000;
/// How long what was written by processes that have ended is read. More is written only by one that is not found.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// What its processes are known by: the variable has the case's own word.
const MARK: &str = "CONVEYOR_CONFORMANCE_MARK";

/// How the driver under test is started.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Variables of its environment besides.
    pub environment: Vec<(String, String)>,
}

/// A driver that runs.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    mark: String,
    said: Arc<Mutex<Lines>>,
    /// Who reads what it writes.
    readers: Vec<JoinHandle<()>>,
    status: Option<ExitStatus>,
    /// Processes below it, as far as they were seen.
    family: Family,
}

impl Process {
    /// Starts it. A `finished` driver is told no more than where the engine is.
    ///
    /// # Errors
    /// When there is no such program, or it cannot be started.
    pub(crate) fn start(
        program: &Program,
        launch: &v1::Launch,
        directory: &Path,
        finished: bool,
        overheard: &Arc<Overheard>,
    ) -> io::Result<Process> {
        let Some((name, arguments)) = program.command.split_first() else {
            return Err(io::Error::other("no command of a driver is given"));
        };
        let mark = uuid::Uuid::new_v4().to_string();
        let mut command = Command::new(name);
        command.args(arguments);
        // What this process has by them is for the suite.
        for name in TOLD {
            command.env_remove(name);
        }
        command
            .envs(program.environment.iter().map(|(key, value)| (key, value)))
            .envs(environment(launch, finished))
            .env(MARK, &mark)
            .env("TMPDIR", directory)
            .stdin(match finished {
                true => Stdio::null(),
                false => Stdio::piped(),
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        keeper::mark(&mut command);
        let mut child = keeper::spawn(&mut command).map_err(|error| unstartable(name, error))?;
        let said = Arc::new(Mutex::new(Lines::default()));
        let mut readers = Vec::new();
        if let Some(error) = child.stderr.take() {
            let (said, overheard) = (Arc::clone(&said), Arc::clone(overheard));
            readers.push(tokio::spawn(keep(error, said, overheard)));
        }
        if let Some(output) = child.stdout.take() {
            readers.push(tokio::spawn(count(output, Arc::clone(overheard))));
        }
        if let Some(mut input) = child.stdin.take() {
            let message = launch.encode_to_vec();
            tokio::spawn(async move {
                let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
                // A driver that does not read has its environment.
                let _ = input.write_all(&length.to_be_bytes()).await;
                let _ = input.write_all(&message).await;
            });
        }
        Ok(Process {
            child,
            mark,
            said,
            readers,
            status: None,
            family: Family::default(),
        })
    }

    pub(crate) fn signal(&self, name: &str) -> io::Result<()> {
        use rustix::process::{Pid, Signal, kill_process};
        let signal = match name {
            "TERM" => Signal::TERM,
            "KILL" => Signal::KILL,
            "STOP" => Signal::STOP,
            "CONT" => Signal::CONT,
            "INT" => Signal::INT,
            other => return Err(io::Error::other(format!("no signal `{other}`"))),
        };
        let id = self
            .child
            .id()
            .and_then(|id| Pid::from_raw(id.cast_signed()));
        match id {
            Some(id) => Ok(kill_process(id, signal)?),
            None => Err(io::Error::other("the driver's process has ended")),
        }
    }

    /// Waits for its end; `None` where it does not end in time.
    pub(crate) async fn ended(&mut self, within: Duration) -> Option<ExitStatus> {
        if self.status.is_none() {
            let ended = tokio::time::timeout(within, self.child.wait()).await;
            self.status = ended.ok().and_then(Result::ok);
        }
        self.status
    }

    /// Its status, where it has ended.
    pub(crate) fn status(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status
    }

    /// Its last lines on standard error.
    pub(crate) fn error(&self) -> Vec<String> {
        let lines = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        lines.shown()
    }

    /// Takes down which processes are below it: those whose parent ends later are known then.
    pub(crate) fn note(&mut self) {
        self.family.note(self.child.id());
    }

    /// Processes that it started and that are still there, itself aside.
    pub(crate) fn left(&mut self) -> Vec<u32> {
        let mine = self.child.id();
        self.note();
        let mut left = with_variable(MARK, &self.mark);
        left.extend(self.family.alive());
        left.retain(|id| Some(*id) != mine);
        left.sort_unstable();
        left.dedup();
        left
    }

    /// Ends it and all that it started.
    pub(crate) async fn end(&mut self) {
        for id in self.left() {
            kill(id);
        }
        let _ = self.child.start_kill();
        for id in with_variable(MARK, &self.mark) {
            kill(id);
        }
        let _ = tokio::time::timeout(Duration::from_secs(5), self.child.wait()).await;
        for mut reader in std::mem::take(&mut self.readers) {
            if tokio::time::timeout(LAST_WORDS, &mut reader).await.is_err() {
                reader.abort();
            }
        }
        keeper::reap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        for id in self.left() {
            kill(id);
        }
        for id in with_variable(MARK, &self.mark) {
            kill(id);
        }
    }
}

/// Why a program cannot be started, where the system's word for it says little.
fn unstartable(name: &str, error: io::Error) -> io::Error {
    let path = Path::new(name);
    let why = match error.kind() {
        io::ErrorKind::PermissionDenied if path.is_dir() => "it is a directory".to_owned(),
        io::ErrorKind::PermissionDenied if path.is_file() => {
            "it is not executable: `chmod +x` makes it so".to_owned()
        }
        io::ErrorKind::NotFound if path.is_file() => {
            let text = std::fs::read(path).unwrap_or_default();
            let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let line = text_of(&line[..line.len().min(200)]);
            format!("its first line, `{line}`, names a program that is not there")
        }
        io::ErrorKind::NotFound if name.contains('/') => "there is no such file".to_owned(),
        io::ErrorKind::NotFound => "there is no such program on PATH".to_owned(),
        _ => return error,
    };
    io::Error::new(error.kind(), why)
}

/// What a driver finds in its environment.
/// The variables by which a driver is told where the engine is, and what to be.
const TOLD: [&str; 8] = [
    "CONVEYOR_URL",
    "CONVEYOR_TOKEN",
    "CONVEYOR_CA",
    "CONVEYOR_CONFORMANCE_TRANSPORT",
    "CONVEYOR_CONFORMANCE_DRIVER",
    "CONVEYOR_CONFORMANCE_VERSION",
    "CONVEYOR_CONFORMANCE_CAPACITY",
    "CONVEYOR_CONFORMANCE_DRAIN_MS",
];

fn environment(launch: &v1::Launch, finished: bool) -> Vec<(&'static str, String)> {
    let mut environment = vec![("CONVEYOR_URL", launch.url.clone())];
    let of_suite = [
        ("CONVEYOR_CONFORMANCE_TRANSPORT", launch.transport.clone()),
        ("CONVEYOR_CONFORMANCE_DRIVER", launch.driver.clone()),
        ("CONVEYOR_CONFORMANCE_VERSION", launch.version.clone()),
        ("CONVEYOR_CONFORMANCE_CAPACITY", launch.capacity.to_string()),
        ("CONVEYOR_CONFORMANCE_DRAIN_MS", launch.drain_ms.to_string()),
    ];
    if !finished {
        environment.extend(of_suite);
    }
    if !launch.token.is_empty() {
        environment.push(("CONVEYOR_TOKEN", launch.token.clone()));
    }
    if !launch.ca.is_empty() {
        environment.push(("CONVEYOR_CA", launch.ca.clone()));
    }
    environment
}

/// The last lines that were written, as far as people are to see them.
#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<String>,
    /// The line that has no end yet.
    open: Vec<u8>,
}

impl Lines {
    fn read(&mut self, piece: &[u8]) {
        let mut parts = piece.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            // Of a line that never ends no more is kept than is shown.
            let room = KEPT_LINE.saturating_sub(self.open.len());
            self.open.extend_from_slice(&part[..part.len().min(room)]);
            if parts.peek().is_some() {
                self.close();
            }
        }
    }

    fn close(&mut self) {
        if self.kept.len() == KEPT_LINES {
            self.kept.pop_front();
        }
        self.kept.push_back(text_of(&self.open));
        self.open.clear();
    }

    /// Those that have ended, and the one that has not.
    fn shown(&self) -> Vec<String> {
        let open = Some(text_of(&self.open)).filter(|open| !open.is_empty());
        self.kept.iter().cloned().chain(open).collect()
    }
}

fn text_of(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim_end().to_owned()
}

/// Keeps the last lines, and listens to all.
async fn keep(
    mut from: impl AsyncRead + Unpin,
    said: Arc<Mutex<Lines>>,
    overheard: Arc<Overheard>,
) {
    let mut piece = vec![0; 16 * 1024];
    // The end of what came before: a word may lie across.
    let mut before = Vec::new();
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        let piece = &piece[..read];
        overheard.error(&mut before, piece);
        let mut lines = said.lock().unwrap_or_else(PoisonError::into_inner);
        lines.read(piece);
    }
}

async fn count(mut from: impl AsyncRead + Unpin, overheard: Arc<Overheard>) {
    let mut piece = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        overheard.output(&piece[..read]);
    }
}

/// How a process ended, as a sentence has it.
pub(crate) fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("with the status {code}"),
        (None, Some(signal)) => format!("by the signal {signal}"),
        (None, None) => "somehow".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_line_without_end_no_more_is_kept_than_is_shown() {
        let mut lines = Lines::default();
        for _ in 0..100 {
            lines.read(&[b'x'; 4096]);
        }
        assert_eq!(lines.open.len(), KEPT_LINE);
        lines.read(b"\nnext\nopen");
        assert_eq!(
            lines.shown(),
            ["x".repeat(KEPT_LINE).as_str(), "next", "open"]
        );
        for number in 0..1_000 {
            lines.read(format!("{number}\n").as_bytes());
        }
        assert_eq!(lines.shown().len(), KEPT_LINES);
        assert_eq!(lines.shown().last().map(String::as_str), Some("999"));
    }
}
