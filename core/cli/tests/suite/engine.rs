//! Programs that run beside a test: runs that wait for a file, processes that are killed.

use crate::program::{Ended, conveyor};
use conveyor_proto::v1::control_service_client::ControlServiceClient;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// `first`, then `second`, which at its first attempt waits for the file `go`, then `third`.
pub(crate) const GATED: &str = "\
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: gated}
spec:
  steps:
    - {id: first, driver: exec, with: {run: 'echo first >>ran'}}
    - id: second
      driver: exec
      with:
        run: |
          echo second $CONVEYOR_ATTEMPT >>ran
          echo waiting
          if [ $CONVEYOR_ATTEMPT = 1 ]; then while [ ! -e go ]; do sleep 0.02; done; fi
    - {id: third, driver: exec, with: {run: 'echo third >>ran'}}
  finally:
    - {id: bye, driver: exec, with: {run: 'echo bye >>ran'}}
";

/// A test that waits for what never comes fails after so long: the program that it waits for is killed.
const NEVER: Duration = Duration::from_secs(60);

/// Ends a program that a test would wait for in vain.
pub(crate) struct Deadline {
    _over: Sender<()>,
}

impl Deadline {
    /// From now on.
    pub(crate) fn of(child: &Child) -> Deadline {
        let pid = Pid::from_child(child);
        let (over, test) = channel::<()>();
        std::thread::spawn(move || {
            if test.recv_timeout(NEVER) == Err(RecvTimeoutError::Timeout) {
                // It has just ended, or the test fails at what it has not said.
                let _ = kill_process(pid, Signal::KILL);
            }
        });
        Deadline { _over: over }
    }
}

/// A program that runs beside the test. It is killed with the value.
pub(crate) struct Running {
    _deadline: Deadline,
    child: Child,
    lines: BufReader<ChildStderr>,
    seen: String,
}

/// Starts `conveyor` in a directory.
pub(crate) fn start(dir: &Path, args: &[&str]) -> Running {
    start_with(dir, args, &[])
}

/// Starts `conveyor` in a directory, with more in its environment.
pub(crate) fn start_with(dir: &Path, args: &[&str], environment: &[(&str, &str)]) -> Running {
    let mut child = Command::new(env!("CARGO_BIN_EXE_conveyor"))
        .args(args)
        .current_dir(dir)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let lines = BufReader::new(child.stderr.take().expect("it is piped"));
    Running {
        _deadline: Deadline::of(&child),
        child,
        lines,
        seen: String::new(),
    }
}

impl Running {
    /// Reads what the program says until a line has this, and gives the line.
    pub(crate) fn until(&mut self, wanted: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.lines.read_line(&mut line).expect("it writes UTF-8");
            assert!(
                read > 0,
                "no line has {wanted:?} before the end of:\n{}",
                self.seen
            );
            self.seen.push_str(&line);
            if line.contains(wanted) {
                return line;
            }
        }
    }

    /// The id of the run that it began.
    pub(crate) fn run(&mut self) -> String {
        let line = self.until("run ");
        line.split(' ')
            .nth(1)
            .expect("the line has an id")
            .to_owned()
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self) -> Ended {
        let mut out = String::new();
        let mut stdout = self.child.stdout.take().expect("it is piped");
        stdout.read_to_string(&mut out).expect("it writes UTF-8");
        self.lines
            .read_to_string(&mut self.seen)
            .expect("it writes UTF-8");
        let status = self.child.wait().expect("it ends");
        let err = std::mem::take(&mut self.seen);
        Ended {
            status: status.code().expect("no signal ended it"),
            out,
            err,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended; a test that fails leaves nothing behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file's text; empty where it is not there.
pub(crate) fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// What `runs show` says of a run, as JSON text.
pub(crate) fn shown(dir: &Path, run: &str) -> serde_json::Value {
    let show = conveyor(
        dir,
        &["runs", "show", run, "--data-dir", "data", "-o", "json"],
    );
    assert_eq!(show.status, 0, "{}", show.err);
    serde_json::from_str(&show.out).expect("it is JSON")
}

/// Asks the holder of the data directory `data` on its socket.
pub(crate) fn holder_of<T>(
    dir: &Path,
    ask: impl AsyncFnOnce(
        ControlServiceClient<conveyor_api::Control>,
    ) -> Result<tonic::Response<T>, tonic::Status>,
) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let data = dir.join("data").canonicalize().expect("it is there");
    runtime.expect("a runtime").block_on(async {
        let control = conveyor_api::connect(&data).await.expect("it answers");
        let client = ControlServiceClient::new(control);
        ask(client).await.expect("it is served").into_inner()
    })
}
