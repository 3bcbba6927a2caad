//! Nothing that the suite starts outlives it, also where it is killed and can do nothing any more.
//!
//! A *keeper* is a process beside it, in a session of its own, whose standard input is a pipe from the suite: it ends
//! when the suite does, however that was. Then the keeper kills what is left and removes the one directory that all of a
//! run's files are in. It finds what is left in two ways: by a variable in the environment of all that the suite starts,
//! and as what it saw below the suite in the looks that it takes meanwhile, with an environment of its own or without.
//! So that it sees there also what daemons leave behind, orphans below the suite become the suite's own children
//! (Linux's `PR_SET_CHILD_SUBREAPER`). What is not found is a daemon without the variable that was started since the last
//! look, [`LOOK`] before the suite was killed; and on systems without `/proc` processes are not found at all: the
//! directory is removed there.

mod children;
mod family;

pub(crate) use children::{reap, spawn};
pub(crate) use family::{Family, kill, with_variable};

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How often the keeper looks what is below the suite: a look reads a small file of each process on the machine.
const LOOK: Duration = Duration::from_millis(250);
/// How long it kills what does not go away: a process that hangs in the system.
const KILLING: Duration = Duration::from_secs(4);
/// How long what was killed has to go before it is looked at again.
const GOING: Duration = Duration::from_millis(20);
/// How often nothing is to be found before a killed suite has left nothing: one of its children may have been about to
/// become another program.
const QUIET: u32 = 3;
/// What the suite's processes are known by. `conveyor serve` takes names that begin with CONVEYOR_ for settings.
const VARIABLE: &str = "CONFORMANCE_RUN";
/// What it says once it keeps.
const READY: &str = "ready";

/// The run that this process does.
#[derive(Debug)]
struct Run {
    name: String,
    root: PathBuf,
}

static RUN: OnceLock<Run> = OnceLock::new();

/// What ends all that [`run`](crate::run) and [`engine::run`](crate::engine::run) start in this process, also where the
/// process is killed. The program `conveyor-conformance` has one. Who calls the library without has what was started
/// ended as futures and results are dropped, and nothing where the process is killed: drivers, servers and temporary
/// directories are left then.
#[derive(Debug)]
pub struct Keeper {
    process: Child,
    /// Dropped, it ends.
    input: Option<ChildStdin>,
}

impl Keeper {
    /// Starts one, for all that is started in this process from now on. `program` is a `conveyor-conformance`.
    ///
    /// # Errors
    /// When it cannot be started or does not keep, or when this process has had one.
    pub fn start(program: &Path) -> io::Result<Keeper> {
        let name = uuid::Uuid::new_v4().simple().to_string();
        // Short: sockets lie below, whose paths have about 100 letters at most.
        let root = std::env::temp_dir().join(format!("conformance-{}", &name[..8]));
        let run = Run {
            name: name.clone(),
            root: root.clone(),
        };
        if RUN.set(run).is_err() {
            return Err(io::Error::other("this process has had one"));
        }
        let mut command = Command::new(program);
        command
            .arg("keeper")
            .arg(&name)
            .arg(&root)
            .arg(std::process::id().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = children::spawn_keeper(&mut command)?;
        let input = process.stdin.take();
        let output = process.stdout.take();
        let keeper = Keeper { process, input };
        let mut said = String::new();
        if let Some(output) = output {
            BufReader::new(output).read_line(&mut said)?;
        }
        match said.trim() {
            READY => Ok(keeper),
            said => Err(io::Error::other(format!(
                "`{} keeper` says `{said}`; it is to say `{READY}`",
                program.display()
            ))),
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.input.take());
        // It ends by itself, within KILLING.
        let _ = self.process.wait();
        if let Some(run) = RUN.get() {
            // Somebody may have killed the keeper.
            let _ = std::fs::remove_dir_all(&run.root);
        }
    }
}

/// A directory for files of this run.
pub(crate) fn temporary() -> io::Result<TempDir> {
    match RUN.get() {
        Some(run) => tempfile::tempdir_in(&run.root),
        None => tempfile::tempdir(),
    }
}

/// Makes known what is started.
pub(crate) fn mark(command: &mut tokio::process::Command) {
    if let Some(run) = RUN.get() {
        command.env(VARIABLE, &run.name);
    }
}

/// What a keeper does: waits for the end of `suite`, the process that started it, kills what the run has left, and removes its
/// directory.
///
/// # Errors
/// When the directory cannot be made or removed.
pub fn keep(run: &str, root: &Path, suite: u32) -> io::Result<()> {
    // Who interrupts the suite at a terminal does not interrupt its keeper. It fails where that is so already.
    let _ = rustix::process::setsid();
    let own = std::process::id();
    let mut family = Family::of(suite);
    // A suite that was killed by now has no number any more, or it is another's: nothing below that one is touched.
    let parent = rustix::process::getppid().map(|id| id.as_raw_nonzero().get().cast_unsigned());
    if parent != Some(suite) {
        family = Family::default();
    }
    std::fs::DirBuilder::new().mode(0o700).create(root)?;
    let mut output = io::stdout();
    writeln!(output, "{READY}").and_then(|()| output.flush())?;
    let (end, ended) = channel();
    std::thread::spawn(move || {
        // Nothing is said: it ends, or there is an error.
        let _ = io::stdin().read_to_end(&mut Vec::new());
        let _ = end.send(());
    });
    while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(LOOK) {
        family.note(None);
    }
    let until = Instant::now() + KILLING;
    let mut quiet = 0;
    loop {
        // Below these there may be some without the variable.
        family.add(&with_variable(VARIABLE, run));
        family.note(None);
        let mut left = family.alive();
        // One that ends by itself waits for this.
        let killed = !left.contains(&suite);
        left.retain(|id| *id != own && *id != suite);
        quiet = if left.is_empty() { quiet + 1 } else { 0 };
        if (quiet > 0 && !killed) || quiet >= QUIET || Instant::now() >= until {
            break;
        }
        left.into_iter().for_each(kill);
        std::thread::sleep(GOING);
    }
    match std::fs::remove_dir_all(root) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
