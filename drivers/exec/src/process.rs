//! A process group: start, signal, end.

use crate::environment::Variables;
use crate::failure::{failure, permanent};
use crate::strays;
use crate::watchdog::{Scratch, Watchdog};
use conveyor_sdk::Failure;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;

/// What to start.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) argv: Vec<String>,
    pub(crate) dir: PathBuf,
    pub(crate) variables: Variables,
    pub(crate) reads: bool,
}

/// The ends of the pipes to a process.
#[derive(Debug)]
pub(crate) struct Pipes {
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) stdout: Option<ChildStdout>,
    pub(crate) stderr: Option<ChildStderr>,
}

/// A running process and all that share its group. Its leader is reaped only by [`Group::end`], so
/// that until then the group's number can mean nothing else. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Group {
    child: Option<Child>,
    pid: Pid,
    watchdog: Arc<Watchdog>,
    // Removed after the group's end.
    scratch: Scratch,
}

impl Group {
    /// Starts a process as the leader of a group of its own. Blocks until its program is loaded.
    ///
    /// # Errors
    /// A failure that names what the system refused.
    pub(crate) fn start(
        launch: &Launch,
        scratch: Scratch,
        watchdog: Arc<Watchdog>,
    ) -> Result<(Group, Pipes), Failure> {
        let mut command = Command::new(&launch.program);
        command
            .arg0(&launch.argv[0])
            .args(&launch.argv[1..])
            .current_dir(&launch.dir)
            .env_clear()
            .envs(&launch.variables)
            .process_group(0)
            .stdin(if launch.reads {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| {
            watchdog.refused(&scratch);
            refusal(launch, &error)
        })?;
        let pipes = Pipes {
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
        };
        let pid = Pid::from_child(&child);
        let group = Group {
            child: Some(child),
            pid,
            watchdog,
            scratch,
        };
        group
            .watchdog
            .started(&group.scratch, pid.as_raw_nonzero().get())
            .map_err(|error| {
                failure(
                    "spawn_failed",
                    format!("cannot watch over the command: {error}"),
                )
            })?;
        Ok((group, pipes))
    }

    /// The leader's process id.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// The private directory.
    pub(crate) fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// Signals every member. A group without members has nothing to be told.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.child.is_some() {
            let _ = rustix::process::kill_process_group(self.pid, signal);
        }
    }

    /// Kills what is left of the group and reaps its leader, which has exited: see [`wait_for_exit`].
    ///
    /// # Errors
    /// When the status was taken by someone else, such as a process that ignores SIGCHLD.
    pub(crate) fn end(&mut self) -> io::Result<ExitStatus> {
        self.kill().map_or_else(
            || Err(io::ErrorKind::NotFound.into()),
            |mut child| child.wait(),
        )
    }

    fn kill(&mut self) -> Option<Child> {
        self.signal(Signal::KILL);
        let child = self.child.take()?;
        self.watchdog.ended(self.pid.as_raw_nonzero().get());
        Some(child)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(mut child) = self.kill() {
            let (output, group) = (self.scratch.output(), self.pid);
            // A process deep in the kernel may take its time to die; nobody here waits for it.
            let _ = std::thread::Builder::new()
                .name("exec-reaper".into())
                .spawn(move || {
                    strays::kill(&output, group);
                    child.wait()
                });
        }
    }
}

/// Blocks until the leader has exited, and leaves it to be reaped.
pub(crate) fn wait_for_exit(pid: Pid) {
    while let Err(rustix::io::Errno::INTR) = rustix::process::waitid(
        WaitId::Pid(pid),
        WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
    ) {}
}

/// What the system's refusal means. The program and the directory were there a moment ago.
fn refusal(launch: &Launch, error: &io::Error) -> Failure {
    let program = launch.program.display();
    match error.kind() {
        io::ErrorKind::NotFound => failure(
            "not_found",
            format!(
                "`{program}` cannot be started: it, or the interpreter in its first line, is not there ({error})"
            ),
        ),
        io::ErrorKind::PermissionDenied => failure(
            "permission_denied",
            format!("`{program}` cannot be started: {error}"),
        ),
        io::ErrorKind::ArgumentListTooLong => permanent(
            "invalid_input",
            format!(
                "`{program}` cannot be started: the arguments and the environment are {} bytes, more than the system takes ({error}); use `stdin` or a file",
                size(launch)
            ),
        ),
        _ => failure(
            "spawn_failed",
            format!("`{program}` cannot be started: {error}"),
        ),
    }
}

fn size(launch: &Launch) -> usize {
    let arguments: usize = launch.argv.iter().map(|word| word.len() + 1).sum();
    let variables: usize = launch
        .variables
        .iter()
        .map(|(name, value)| name.len() + value.len() + 2)
        .sum();
    arguments + variables
}
