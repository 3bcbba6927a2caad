//! An engine in a process of its own: `conveyor serve` over a temporary directory.

use super::{Setting, Unavailable, secrets, temporary};
use crate::keeper;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

/// How long it has to listen: a cold disk is slow, a program that hangs is not waited for.
const START: Duration = Duration::from_secs(30);
/// How long it has to end once it is told.
const END: Duration = Duration::from_secs(30);
/// Lines of its log that are kept for a failure's sentence.
const KEPT: usize = 20;

/// What stays over restarts, and the process.
#[derive(Debug)]
pub(super) struct Server {
    program: PathBuf,
    data: TempDir,
    secrets: Option<TempDir>,
    access: bool,
    /// `HOST:PORT`, with port 0 before it is known.
    address: String,
    token: Option<String>,
    /// It is killed with the value.
    process: Option<Child>,
    said: Arc<Mutex<VecDeque<String>>>,
}

/// The program: the one that was named, else `conveyor` beside this one, else the one on `PATH`.
fn program(named: Option<&Path>) -> PathBuf {
    if let Some(named) = named {
        return named.to_owned();
    }
    let beside = std::env::current_exe().ok();
    let beside = beside.and_then(|own| Some(own.parent()?.join("conveyor")));
    match beside.filter(|beside| beside.is_file()) {
        Some(beside) => beside,
        None => PathBuf::from("conveyor"),
    }
}

impl Server {
    pub(super) async fn start(
        named: Option<&Path>,
        setting: &Setting,
    ) -> Result<Server, Unavailable> {
        let mut server = Server {
            program: program(named),
            data: temporary()?,
            secrets: secrets(setting)?,
            access: setting.access,
            address: "127.0.0.1:0".to_owned(),
            token: None,
            process: None,
            said: Arc::default(),
        };
        server.begin().await?;
        if setting.access {
            server.token = Some(server.admin().await?);
        }
        Ok(server)
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn token(&self) -> Option<String> {
        self.token.clone()
    }

    pub(super) async fn restart(&mut self, gently: bool) -> Result<(), Unavailable> {
        match gently {
            true => self.end().await?,
            false => self.kill().await,
        }
        self.begin().await
    }

    /// The program, without the settings of whoever runs the suite.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CONVEYOR_") {
                command.env_remove(name);
            }
        }
        keeper::mark(&mut command);
        command
    }

    /// Starts the process, and waits until it listens.
    async fn begin(&mut self) -> Result<(), Unavailable> {
        let mut command = self.command();
        command
            // It says where it listens, whatever else is logged.
            .env("CONVEYOR_LOG_LEVEL", "info")
            .args(["serve", "--listen", &self.address, "--log-format", "json"])
            .arg("--data-dir")
            .arg(self.data.path());
        if let Some(secrets) = &self.secrets {
            command.arg("--secrets-dir").arg(secrets.path());
        }
        if self.access {
            command.arg("--auth-required");
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let child = keeper::spawn(&mut command);
        let program = self.program.display();
        let mut child = child.map_err(|error| {
            Unavailable(format!(
                "`{program}` cannot be started: {error}; name another program, or put `conveyor` beside this one or on PATH"
            ))
        })?;
        let lines = child
            .stderr
            .take()
            .map(|lines| BufReader::new(lines).lines());
        self.process = Some(child);
        let Some(mut lines) = lines else {
            return Err(Unavailable(format!("the log of `{program}` is not there")));
        };
        let listening = tokio::time::timeout(START, self.listening(&mut lines)).await;
        let url = listening.map_err(|_| {
            let seconds = START.as_secs();
            Unavailable(format!(
                "`{program} serve` did not listen within {seconds} s"
            ))
        })??;
        self.address = url.trim_start_matches("http://").to_owned();
        // Who writes to a pipe that nobody reads stops some day.
        let said = Arc::clone(&self.said);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                keep(&said, line);
            }
        });
        Ok(())
    }

    /// The address that its log says.
    async fn listening(
        &self,
        lines: &mut Lines<BufReader<ChildStderr>>,
    ) -> Result<String, Unavailable> {
        loop {
            let line = lines.next_line().await;
            let Ok(Some(line)) = line else {
                let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
                let said: Vec<_> = said.iter().map(String::as_str).collect();
                let said = match said.is_empty() {
                    true => "it said nothing".to_owned(),
                    false => said.join("; "),
                };
                return Err(Unavailable(format!(
                    "`{} serve` ended before it listened: {said}",
                    self.program.display()
                )));
            };
            let json: Result<serde_json::Value, _> = serde_json::from_str(&line);
            keep(&self.said, line);
            let fields = json.ok().and_then(|json| json.get("fields").cloned());
            let fields = fields.unwrap_or_default();
            if fields["message"] == "listening"
                && let Some(url) = fields["url"].as_str()
            {
                return Ok(url.to_owned());
            }
        }
    }

    /// A token that may do everything, made by whoever has the data directory.
    async fn admin(&self) -> Result<String, Unavailable> {
        let mut command = self.command();
        command
            .args(["tokens", "create", "--scope", "admin"])
            .args(["--principal", "conformance", "--data-dir"])
            .arg(self.data.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let why = |error: std::io::Error| Unavailable(format!("an access token: {error}"));
        let making = keeper::spawn(&mut command).map_err(why)?;
        let made = making.wait_with_output().await.map_err(why)?;
        let token = String::from_utf8_lossy(&made.stdout).trim().to_owned();
        match made.status.success() {
            true => Ok(token),
            false => Err(Unavailable(format!(
                "an access token: {}",
                String::from_utf8_lossy(&made.stderr).trim()
            ))),
        }
    }

    /// Tells it to end, and waits.
    async fn end(&mut self) -> Result<(), Unavailable> {
        let Some(mut child) = self.process.take() else {
            return Ok(());
        };
        if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)) {
            // It has ended by itself, or it is told.
            let _ = kill_process(pid, Signal::TERM);
        }
        let ended = tokio::time::timeout(END, child.wait()).await;
        ended.map(drop).map_err(|_| {
            let seconds = END.as_secs();
            Unavailable(format!(
                "the server did not end within {seconds} s of SIGTERM"
            ))
        })
    }

    /// Ends it at once.
    pub(super) async fn kill(&mut self) {
        if let Some(mut child) = self.process.take() {
            // It has ended by itself, or it is killed.
            let _ = child.kill().await;
        }
    }
}

fn keep(said: &Mutex<VecDeque<String>>, line: String) {
    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
    if said.len() == KEPT {
        said.pop_front();
    }
    said.push_back(line);
}
