//! The driver under test as a process: started, told, watched, and ended with all that it started.

mod family;

use crate::v1;
use family::Family;
use prost::Message as _;
use std::collections::VecDeque;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio::process::{Child, Command};

/// How many of its lines on standard error are kept.
const KEPT_LINES: usize = 200;
/// How long a line of those may be, in bytes.
const KEPT_LINE: usize = 2_000;
/// What its processes are known by: the variable has the case's own word.
const MARK: &str = "CONVEYOR_CONFORMANCE_MARK";

/// How the driver under test is started.
#[derive(Clone, Debug)]
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
    said: Arc<Said>,
    status: Option<ExitStatus>,
    /// Processes below it, as far as they were seen.
    family: Family,
}

#[derive(Debug, Default)]
struct Said {
    error: Mutex<VecDeque<String>>,
    /// Bytes on standard output, which is not for it.
    output: std::sync::atomic::AtomicU64,
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
    ) -> io::Result<Process> {
        let Some((name, arguments)) = program.command.split_first() else {
            return Err(io::Error::other("no command of a driver is given"));
        };
        let mark = uuid::Uuid::new_v4().to_string();
        let mut command = Command::new(name);
        command
            .args(arguments)
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
        let mut child = command.spawn()?;
        let said = Arc::new(Said::default());
        if let Some(error) = child.stderr.take() {
            tokio::spawn(keep(error, Arc::clone(&said)));
        }
        if let Some(output) = child.stdout.take() {
            tokio::spawn(count(output, Arc::clone(&said)));
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
        let lines = self.said.error.lock();
        let lines = lines.unwrap_or_else(PoisonError::into_inner);
        lines.iter().cloned().collect()
    }

    /// Bytes that it wrote to standard output.
    pub(crate) fn output(&self) -> u64 {
        self.said.output.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Takes down which processes are below it: those whose parent ends later are known then.
    pub(crate) fn note(&mut self) {
        self.family.note(self.child.id());
    }

    /// Processes that it started and that are still there, itself aside.
    pub(crate) fn left(&mut self) -> Vec<u32> {
        let mine = self.child.id();
        self.note();
        let mut left = marked(&self.mark);
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
        for id in marked(&self.mark) {
            kill(id);
        }
        let _ = tokio::time::timeout(Duration::from_secs(5), self.child.wait()).await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        for id in self.left() {
            kill(id);
        }
        for id in marked(&self.mark) {
            kill(id);
        }
    }
}

fn kill(id: u32) {
    if let Some(id) = rustix::process::Pid::from_raw(id.cast_signed()) {
        // It may be gone.
        let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
    }
}

/// Processes of this user with the mark in their environment.
fn marked(mark: &str) -> Vec<u32> {
    let wanted = format!("{MARK}={mark}");
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter(|id: &u32| {
        let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        let mut variables = environment.split(|byte| *byte == 0);
        variables.any(|variable| variable == wanted.as_bytes())
    })
    .collect()
}

/// What a driver finds in its environment.
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

/// Keeps the last lines.
async fn keep(from: impl AsyncRead + Unpin, said: Arc<Said>) {
    let mut reader = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut part = (&mut reader).take(64 * 1024);
        match part.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let shown = &line[..line.len().min(KEPT_LINE)];
        let shown = String::from_utf8_lossy(shown).trim_end().to_owned();
        let mut lines = said.error.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT_LINES {
            lines.pop_front();
        }
        lines.push_back(shown);
    }
}

async fn count(mut from: impl AsyncRead + Unpin, said: Arc<Said>) {
    let mut piece = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        said.output
            .fetch_add(read as u64, std::sync::atomic::Ordering::Relaxed);
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
