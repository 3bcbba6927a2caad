//! The driver `d` in a process of its own, in as many sessions as asked, and the hold on such a process.

use crate::load::{Failed, runtime};
use conveyor_sdk::{Client, Driver, Failure, Stop, Task, v1};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// When a task began and ended, in nanoseconds of the monotonic clock.
pub(crate) type Ran = (u64, u64);

/// The process: works until its standard input ends, and writes what it noted at each line there.
pub(crate) fn driver(url: &str, capacity: &str, sessions: &str) -> Result<(), Failed> {
    let (capacity, sessions): (u32, u32) = (capacity.parse()?, sessions.parse()?);
    let noted: Arc<Mutex<Vec<Ran>>> = Arc::default();
    let runtime = runtime()?;
    for _ in 0..sessions {
        let driver = one(url, capacity, Arc::clone(&noted));
        runtime.spawn(async move {
            if let Err(error) = driver.run_until(Stop::new()).await {
                crate::print(&format!("{error}\n"));
                std::process::exit(1);
            }
        });
    }
    for line in std::io::stdin().lock().lines() {
        line?;
        let ran = std::mem::take(&mut *noted.lock().unwrap_or_else(PoisonError::into_inner));
        crate::print(&(serde_json::to_string(&ran)? + "\n"));
    }
    Ok(())
}

fn one(url: &str, capacity: u32, noted: Arc<Mutex<Vec<Ran>>>) -> Driver {
    let run = move |_: Task| {
        let noted = Arc::clone(&noted);
        async move {
            let began = now();
            let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
            noted.push((began, now()));
            Ok::<(), Failure>(())
        }
    };
    Driver::new("d")
        .version("1.0.0")
        .action("run", run)
        .capacity(capacity)
        .options(|options| options.url = Some(url.to_owned()))
}

/// The monotonic clock, which all processes of a machine share.
fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// A process beside this one: a driver, or followers. It is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Process {
    /// Starts the driver `d`, and waits until the server has all its sessions.
    pub(crate) async fn start(
        url: &str,
        client: &Client,
        capacity: u32,
        sessions: u32,
    ) -> Result<Process, Failed> {
        let words = ["driver", url, &capacity.to_string(), &sessions.to_string()];
        Process::of(&words, client, "d", sessions).await
    }

    /// Starts this program with these words, and waits until the server has so many sessions of the
    /// driver that it is.
    pub(crate) async fn of(
        words: &[&str],
        client: &Client,
        name: &str,
        sessions: u32,
    ) -> Result<Process, Failed> {
        let mut process = Process::spawn(words)?;
        let begun = Instant::now();
        while connected(client, name).await? < sessions as usize {
            if let Some(status) = process.child.try_wait()? {
                return Err(format!("the driver's process ended: {status}").into());
            }
            if begun.elapsed() > Duration::from_secs(60) {
                return Err(format!("no {sessions} sessions after 60 s").into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(process)
    }

    /// Starts this program with these words.
    pub(crate) fn spawn(words: &[&str]) -> Result<Process, Failed> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let ask = child.stdin.take().ok_or("no standard input")?;
        let answers = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        Ok(Process {
            child,
            ask,
            answers,
        })
    }

    /// What ran since the last call, in the order of its ends.
    pub(crate) fn take(&mut self) -> Result<Vec<Ran>, Failed> {
        self.ask("take")
    }

    /// Writes a line and reads the answer.
    pub(crate) fn ask<T: serde::de::DeserializeOwned>(&mut self, word: &str) -> Result<T, Failed> {
        self.ask.write_all(format!("{word}\n").as_bytes())?;
        self.answer()
    }

    /// Reads a line that is JSON.
    pub(crate) fn answer<T: serde::de::DeserializeOwned>(&mut self) -> Result<T, Failed> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        serde_json::from_str(&line)
            .map_err(|_| format!("the process beside this one said {line:?}").into())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How many sessions of a driver the server has.
async fn connected(client: &Client, name: &str) -> Result<usize, Failed> {
    let answer = client
        .list_drivers(v1::ListDriversRequest::default())
        .await?;
    Ok(answer
        .drivers
        .iter()
        .filter(|driver| driver.name == name)
        .map(|driver| driver.sessions.len())
        .sum())
}
