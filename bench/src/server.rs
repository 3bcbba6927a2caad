//! `conveyor serve` in a process of its own, and what that process costs.

use crate::load::{Failed, kib};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server that answers. It is killed when this is dropped.
pub(crate) struct Server {
    process: Child,
    /// Over the loopback.
    pub(crate) url: String,
    /// Over the socket of its data directory.
    pub(crate) socket: String,
    /// From the start of the process until it said that it listens.
    pub(crate) ready: Duration,
    _stderr: std::thread::JoinHandle<()>,
}

impl Server {
    /// The program beside this one, on a free port and a new data directory.
    pub(crate) fn start(data: &Path) -> Result<Server, Failed> {
        Server::start_with(data, &[])
    }

    /// As [`Server::start`], with these settings as their variables.
    pub(crate) fn start_with(data: &Path, settings: &[(&str, &str)]) -> Result<Server, Failed> {
        let program = program()?;
        let begun = Instant::now();
        let mut process = Command::new(&program)
            .args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json"])
            .arg("--data-dir")
            .arg(data)
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = process.stderr.take().ok_or("no standard error")?;
        match listening(BufReader::new(stderr)) {
            Ok((url, socket, rest)) => Ok(Server {
                process,
                url,
                socket: format!("unix:{socket}"),
                ready: begun.elapsed(),
                // Read on, or the server would wait for somebody to read what it says.
                _stderr: std::thread::spawn(move || rest.lines().for_each(drop)),
            }),
            Err(error) => {
                process.kill()?;
                process.wait()?;
                Err(error)
            }
        }
    }

    /// What it has used of the processors so far, user and system.
    pub(crate) fn cpu(&self) -> Result<Duration, Failed> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // The name in parentheses may hold blanks; utime and stime are the 14th and 15th field.
        let (_, fields) = stat.rsplit_once(") ").ok_or("/proc/PID/stat has no name")?;
        let mut ticks = 0;
        for field in fields.split(' ').skip(11).take(2) {
            ticks += field.parse::<u64>()?;
        }
        let a_second = rustix::param::clock_ticks_per_second();
        Ok(Duration::from_secs_f64(ticks as f64 / a_second as f64))
    }

    /// What it keeps resident, in KiB.
    pub(crate) fn resident_kib(&self) -> Result<f64, Failed> {
        self.status_kib("VmRSS")
    }

    /// The most that it has kept resident so far, in KiB.
    pub(crate) fn peak_kib(&self) -> Result<f64, Failed> {
        self.status_kib("VmHWM")
    }

    fn status_kib(&self, field: &str) -> Result<f64, Failed> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        Ok(kib(&status, field))
    }

    /// What it has counted so far, of `/metrics`.
    pub(crate) fn metric(&self, name: &str) -> Result<u64, Failed> {
        let address = self.url.trim_start_matches("http://");
        let mut stream = std::net::TcpStream::connect(address)?;
        // Of 1.0, so that the answer ends where the connection does.
        write!(stream, "GET /metrics HTTP/1.0\r\nhost: {address}\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let mut lines = answer.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value
            .ok_or_else(|| format!("/metrics has no {name}"))?
            .parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The program beside this one.
pub(crate) fn program() -> Result<PathBuf, Failed> {
    let program = std::env::current_exe()?.with_file_name("conveyor");
    if program.exists() {
        return Ok(program);
    }
    Err(format!("{} is not there: cargo build --release", program.display()).into())
}

/// Reads until the server says where it listens: the address, the socket, and what is left to read.
fn listening<R: std::io::Read>(
    mut log: BufReader<R>,
) -> Result<(String, String, BufReader<R>), Failed> {
    let mut said = String::new();
    loop {
        let before = said.len();
        if log.read_line(&mut said)? == 0 {
            return Err(format!("conveyor serve ended before it listened: {said}").into());
        }
        let Ok(line) = serde_json::from_str::<serde_json::Value>(&said[before..]) else {
            continue;
        };
        let field = |name: &str| line["fields"][name].as_str().map(str::to_owned);
        if field("message").as_deref() == Some("listening") {
            let (url, socket) = (field("url"), field("socket"));
            return Ok((url.ok_or("no url")?, socket.ok_or("no socket")?, log));
        }
    }
}
