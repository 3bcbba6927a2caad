//! A server, drivers and clients of one test.

use crate::program::{Ended, conveyor_with, files};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long a condition may take before a test fails: far more than it does on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A program in the background; killed with the value.
pub(crate) struct Background {
    pub(crate) child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Background {
    pub(crate) fn start(command: &mut Command) -> Background {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stderr = child.stderr.take().expect("it is piped");
        Background {
            child,
            lines: lines(stderr),
            said: Vec::new(),
        }
    }

    /// Waits for a line that has all of these words.
    pub(crate) fn line(&mut self, words: &[&str]) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no line with {words:?} among {:#?}", self.said);
            };
            self.said.push(line.clone());
            if words.iter().all(|word| line.contains(word)) {
                return line;
            }
        }
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("it is there");
    }

    /// Its exit status, once it has ended.
    pub(crate) fn end(&mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status.code().expect("no signal ended it");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it did not end: {:#?}", self.said);
    }

    /// All that it said, now that it has ended.
    pub(crate) fn rest(&mut self) -> String {
        self.said.extend(self.lines.iter());
        self.said.join("\n")
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it is there");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            self.said.extend(self.lines.iter());
            #[expect(clippy::print_stderr, reason = "it is shown when the test fails")]
            {
                eprintln!("process {} said: {:#?}", self.child.id(), self.said);
            }
        }
    }
}

fn lines(stderr: ChildStderr) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// The driver's program, which lies beside the one under test.
pub(crate) fn driver_program() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_conveyor")).with_file_name("conveyor-driver-exec");
    assert!(
        program.exists(),
        "{} is not built: `make test` builds it, or `cargo build --release -p conveyor-driver-exec`",
        program.display()
    );
    program
}

/// A directory, an address, and the programs that meet there.
pub(crate) struct Site {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) url: String,
}

impl Site {
    pub(crate) fn new(pipelines: &[(&str, &str)]) -> Site {
        Site {
            dir: files(pipelines),
            url: String::new(),
        }
    }

    /// Starts a server on the address that it has, or on a free one.
    pub(crate) fn serve(&mut self) -> Background {
        self.serve_with("data", &[])
    }

    /// The same over another directory, or with more options.
    pub(crate) fn serve_with(&mut self, data_dir: &str, more: &[&str]) -> Background {
        self.serve_in(data_dir, more, &[])
    }

    /// The same with variables of its own.
    pub(crate) fn serve_in(
        &mut self,
        data_dir: &str,
        more: &[&str],
        variables: &[(&str, &str)],
    ) -> Background {
        let address = match self.url.strip_prefix("http://") {
            Some(address) => address.to_owned(),
            None => "127.0.0.1:0".to_owned(),
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_conveyor"));
        command
            .args(["serve", "--data-dir", data_dir, "--listen", &address])
            .args(more)
            .env("NO_COLOR", "1")
            .envs(variables.iter().copied())
            .current_dir(self.dir.path());
        let mut server = Background::start(&mut command);
        let line = server.line(&["listening"]);
        let url = line
            .split("url=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        self.url = url.expect("the line has an address").to_owned();
        server
    }

    /// Starts a server on the address that there is, and does not wait for it.
    pub(crate) fn serve_again(&self) -> Background {
        let address = self.url.trim_start_matches("http://");
        let mut command = Command::new(env!("CARGO_BIN_EXE_conveyor"));
        command
            .args(["serve", "--data-dir", "data", "--listen", address])
            .env("NO_COLOR", "1")
            .current_dir(self.dir.path());
        Background::start(&mut command)
    }

    pub(crate) fn driver(&self) -> Background {
        let mut command = Command::new(driver_program());
        command
            .args(["--server", &self.url])
            .env("NO_COLOR", "1")
            .current_dir(self.dir.path());
        let mut driver = Background::start(&mut command);
        driver.line(&["connected"]);
        driver
    }

    pub(crate) fn conveyor(&self, args: &[&str]) -> Ended {
        let mut all = args.to_vec();
        all.extend(["--server", &self.url]);
        conveyor_with(self.dir.path(), &all, "")
    }

    /// Without a server.
    pub(crate) fn conveyor_alone(&self, args: &[&str]) -> Ended {
        conveyor_with(self.dir.path(), args, "")
    }

    /// Starts a run, and gives its id.
    pub(crate) fn start(&self, file: &str) -> String {
        let started = self.conveyor(&["start", "-f", file, "-o", "json"]);
        assert_eq!(started.status, 0, "{}", started.err);
        let run: Value = serde_json::from_str(&started.out).expect("it is JSON");
        run["id"].as_str().expect("it has an id").to_owned()
    }

    pub(crate) fn show(&self, run: &str) -> Value {
        let shown = self.conveyor(&["runs", "show", run, "-o", "json"]);
        assert_eq!(shown.status, 0, "{}", shown.err);
        serde_json::from_str(&shown.out).expect("it is JSON")
    }

    /// Waits until a run is so.
    pub(crate) fn until(&self, run: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let view = self.show(run);
            if is(&view) {
                return view;
            }
            assert!(Instant::now() < deadline, "not {what}: {view:#}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the first step runs.
    pub(crate) fn running(&self, run: &str) {
        self.until(run, "running", |view| {
            view["steps"][0]["state"] == "running"
        });
    }

    pub(crate) fn ended(&self, run: &str) -> Value {
        self.until(run, "ended", |view| {
            ["succeeded", "failed", "cancelled"]
                .contains(&view["state"].as_str().unwrap_or_default())
        })
    }

    pub(crate) fn log(&self, run: &str) -> String {
        let log = self.conveyor(&["logs", run]);
        assert_eq!(log.status, 0, "{}", log.err);
        log.out
    }
}
