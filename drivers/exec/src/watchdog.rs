//! What ends the process groups when the engine dies, SIGKILL included: a shell beside it that
//! reads the groups' ids from a pipe, and kills those still listed when the pipe closes. Why not a
//! parent-death signal: `docs/decisions/0020-exec-no-orphans.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::DirBuilder;
use std::io::{self, BufRead as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tempfile::TempDir;

const SCRIPT: &str = include_str!("watchdog.sh");

/// The watchdog of one driver: started with its first attempt, ended with the driver.
#[derive(Debug, Default)]
pub(crate) struct Watchdog(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    scratch: Option<TempDir>,
    shell: Option<Child>,
    last: u64,
    starting: BTreeSet<u64>,
    groups: BTreeMap<i32, u64>,
}

/// A private directory of one attempt, removed with this.
#[derive(Debug)]
pub(crate) struct Scratch {
    id: u64,
    path: PathBuf,
}

impl Scratch {
    /// The file that `CONVEYOR_OUTPUT` names.
    pub(crate) fn output(&self) -> PathBuf {
        self.path.join("output")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is removed with the directory of all attempts.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

impl Watchdog {
    /// Announces an attempt, before its process exists.
    ///
    /// # Errors
    /// When the shell cannot be started or the temporary directory cannot be written.
    pub(crate) fn starting(&self) -> io::Result<Scratch> {
        let mut state = self.lock();
        if state.scratch.is_none() {
            state.scratch = Some(
                tempfile::Builder::new()
                    .prefix("conveyor-exec-")
                    .tempdir()?,
            );
        }
        state.last += 1;
        let id = state.last;
        state.starting.insert(id);
        if let Err(error) = state.tell(&format!("starting {id}\n")) {
            state.starting.remove(&id);
            return Err(error);
        }
        let path = state.scratch_path().join(id.to_string());
        drop(state);
        let scratch = Scratch { id, path };
        // Recursive: what cleans the temporary directory may have taken the one of all attempts.
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&scratch.path)
            .and_then(|()| std::fs::File::create(scratch.output()).map(drop));
        match made {
            Ok(()) => Ok(scratch),
            Err(error) => {
                self.refused(&scratch);
                Err(error)
            }
        }
    }

    /// Its process was not started.
    pub(crate) fn refused(&self, scratch: &Scratch) {
        let mut state = self.lock();
        state.starting.remove(&scratch.id);
        // A watchdog that cannot be told is replaced at the next start, and then knows.
        let _ = state.tell(&format!("refused {}\n", scratch.id));
    }

    /// Its process leads `group`.
    ///
    /// # Errors
    /// When no watchdog can be told: the group must not go on.
    pub(crate) fn started(&self, scratch: &Scratch, group: i32) -> io::Result<()> {
        let mut state = self.lock();
        state.starting.remove(&scratch.id);
        state.groups.insert(group, scratch.id);
        state.tell(&format!("started {} {group}\n", scratch.id))
    }

    /// `group` has been killed. To be told before its leader is reaped: from then on the number may
    /// mean something else.
    pub(crate) fn ended(&self, group: i32) {
        let mut state = self.lock();
        if let Some(id) = state.groups.remove(&group) {
            let _ = state.tell(&format!("ended {id} {group}\n"));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn scratch_path(&self) -> &Path {
        self.scratch
            .as_ref()
            .map_or(Path::new("/nonexistent"), TempDir::path)
    }

    /// Writes one line, to a new shell with the whole list if the old one is gone.
    fn tell(&mut self, line: &str) -> io::Result<()> {
        if let Some(pipe) = self.shell.as_mut().and_then(|shell| shell.stdin.as_mut())
            && pipe.write_all(line.as_bytes()).is_ok()
        {
            return Ok(());
        }
        self.stop();
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "conveyor-exec-watchdog"])
            .arg(self.scratch_path())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        // Nothing is started before the signals that end a terminal's programs are ignored.
        let mut ready = String::new();
        if let Some(out) = shell.stdout.take() {
            io::BufReader::new(out).read_line(&mut ready)?;
        }
        let mut list: String = self
            .starting
            .iter()
            .map(|id| format!("starting {id}\n"))
            .collect();
        list.extend(
            self.groups
                .iter()
                .map(|(group, id)| format!("started {id} {group}\n")),
        );
        if let Some(pipe) = shell.stdin.as_mut() {
            pipe.write_all(list.as_bytes())?;
        }
        self.shell = Some(shell);
        Ok(())
    }

    /// Lets the shell come to its end.
    fn stop(&mut self) {
        if let Some(mut shell) = self.shell.take() {
            drop(shell.stdin.take());
            let _ = shell.wait();
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.stop();
    }
}
