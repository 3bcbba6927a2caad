//! The driver's process, and what its user code leaves behind.

use super::{Halt, Stage, failed, unable};
use crate::driver::{Process, how};
use crate::v1;
use crate::v1::step::Step as What;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long an end is waited for unless the case says it.
const PATIENCE: u64 = 5_000;
/// How long what tasks started has to be gone unless the case says it.
const ALONE: u64 = 2_000;
/// How long a driver has to say something behind its welcome; one that says nothing has its case all the same.
const HEARD: Duration = Duration::from_secs(2);
/// How often a file is looked at.
const LOOK: Duration = Duration::from_millis(10);

impl Stage {
    pub(super) async fn start(&mut self, start: &v1::Start) -> Result<(), Halt> {
        let version = match start.version.as_str() {
            "" => "1.0.0",
            version => version,
        };
        let launch = v1::Launch {
            url: self.site.url.clone(),
            token: match start.stranger {
                true => format!("conveyor_{}_{}", "0".repeat(16), "0".repeat(64)),
                false => self.token.clone(),
            },
            ca: self
                .site
                .ca
                .as_ref()
                .map_or_else(String::new, |path| path.display().to_string()),
            transport: self.site.transport.spoken().to_owned(),
            driver: self.driver.clone(),
            version: version.to_owned(),
            capacity: self.capacity,
            drain_ms: self.drain_ms,
        };
        if let Some(mut before) = self.process.take() {
            before.end().await;
        }
        self.may_end = start.unconnected;
        if !self.program.command.is_empty() {
            let process = Process::start(
                &self.program,
                &launch,
                &self.directory,
                self.finished,
                &self.overheard,
            );
            let name = self.program.command[0].clone();
            let process =
                process.map_err(|error| unable(&format!("the driver `{name}`"), &error))?;
            self.process = Some(process);
        }
        if start.unconnected {
            return Ok(());
        }
        let see = v1::See {
            message: Some(v1::Pattern {
                from: "engine".to_owned(),
                kind: "welcome".to_owned(),
                ..v1::Pattern::default()
            }),
            within_ms: u64::try_from(self.start.as_millis()).unwrap_or(u64::MAX),
            ..v1::See::default()
        };
        match self.see(&see).await {
            Err(Halt::Failed(why)) => {
                let said = self.unwelcome();
                failed(format!("the driver did not connect: {why}{said}"))
            }
            seen => {
                self.learn();
                self.heard_welcome().await;
                seen
            }
        }
    }

    /// What a driver said that was not welcomed: the engine has told it why.
    fn unwelcome(&self) -> String {
        let hello = self.site.record.find(0, |entry, _| entry.kind == "hello");
        hello.map_or_else(String::new, |(_, hello)| {
            let body = &hello.body;
            format!(
                "; its hello, with contract_versions {} and capacity {}, is none that the engine welcomes",
                body["contract_versions"], body["capacity"]
            )
        })
    }

    /// Waits until the driver says something behind its welcome: what is cut before would take it that, too.
    async fn heard_welcome(&self) {
        let until = Instant::now() + HEARD;
        let behind =
            |entry: &crate::wire::Entry| matches!(entry.kind, "credits" | "heartbeat" | "poll");
        while Instant::now() < until {
            if self
                .site
                .record
                .find(self.cursor, |entry, _| behind(entry))
                .is_some()
            {
                return;
            }
            sleep(LOOK).await;
        }
    }

    /// Takes the driver's name from its hello: a finished one has its own.
    fn learn(&mut self) {
        let hello = self.site.record.find(0, |entry, _| entry.kind == "hello");
        if let Some((_, hello)) = hello
            && let Some(name) = hello.body["driver"].as_str()
        {
            self.driver = name.to_owned();
        }
    }

    /// Takes down which processes there are before something is done that may end their parents.
    pub(super) fn note(&mut self, next: &What) {
        let Some(process) = &mut self.process else {
            return;
        };
        match next {
            What::Run(_) => self.before = process.left(),
            What::Signal(_) | What::Stop(_) | What::Cut(_) | What::Say(_) | What::Restart(_) => {
                process.note();
            }
            _ => {}
        }
    }

    pub(super) async fn alone(&mut self, alone: &v1::Alone) -> Result<(), Halt> {
        let within = Duration::from_millis(match alone.within_ms {
            0 => ALONE,
            within => within,
        });
        match &mut self.process {
            Some(process) => left_alone(process, &self.before, within).await,
            None => Err(Halt::Unable(
                "the driver was started by somebody else: its process is not known".to_owned(),
            )),
        }
    }

    pub(super) fn signal(&mut self, signal: &v1::Signal) -> Result<(), Halt> {
        if matches!(signal.name.as_str(), "TERM" | "KILL" | "INT") {
            self.may_end = true;
        }
        let Some(process) = &self.process else {
            return Err(Halt::Unable(
                "the driver was started by somebody else: its process is not known".to_owned(),
            ));
        };
        let sent = process.signal(&signal.name);
        sent.map_err(|error| unable(&format!("the signal {}", signal.name), &error))
    }

    pub(super) async fn exited(&mut self, exited: &v1::Exited) -> Result<(), Halt> {
        self.may_end = true;
        let within = Duration::from_millis(match exited.within_ms {
            0 => PATIENCE,
            within => within,
        });
        let Some(process) = &mut self.process else {
            return Err(Halt::Unable(
                "the driver was started by somebody else: its process is not known".to_owned(),
            ));
        };
        let Some(status) = process.ended(within).await else {
            return failed(format!(
                "the driver's process did not end within {} ms",
                within.as_millis()
            ));
        };
        if status.success() == exited.badly {
            let wanted = match exited.badly {
                true => "with another status than 0",
                false => "with the status 0",
            };
            return failed(format!(
                "the driver's process ended {}; it is to end {wanted}",
                how(status)
            ));
        }
        if !exited.says.is_empty() {
            self.says(&exited.says, within).await?;
        }
        match &mut self.process {
            Some(process) if exited.alone => left_alone(process, &[], within).await,
            _ => Ok(()),
        }
    }

    /// Waits for a text on the driver's standard error: its last lines may be on their way.
    async fn says(&self, wanted: &str, within: Duration) -> Result<(), Halt> {
        let expression =
            regex::Regex::new(wanted).map_err(|error| unable("the case's expression", &error))?;
        let until = Instant::now() + within;
        loop {
            let said = self.process.as_ref().map(Process::error);
            let said = said.unwrap_or_default().join("\n");
            if expression.is_match(&said) {
                return Ok(());
            }
            if Instant::now() >= until {
                return failed(format!(
                    "the driver does not say on standard error what is like `{wanted}`"
                ));
            }
            sleep(LOOK).await;
        }
    }

    pub(super) async fn recorded(&mut self, recorded: &v1::Recorded) -> Result<(), Halt> {
        let until = Instant::now()
            + Duration::from_millis(match recorded.within_ms {
                0 => PATIENCE,
                within => within,
            });
        loop {
            match self.recorded_now(recorded) {
                Ok(()) => break,
                Err(halt) if Instant::now() >= until => return Err(halt),
                Err(_) => sleep(LOOK).await,
            }
        }
        self.recorded.retain(|one| one.file != recorded.file);
        self.recorded.push(recorded.clone());
        Ok(())
    }

    /// Looks at a file as it is now.
    pub(super) fn recorded_now(&self, recorded: &v1::Recorded) -> Result<(), Halt> {
        let text = std::fs::read_to_string(self.directory.join(&recorded.file));
        let text = text.unwrap_or_default();
        let mut lines: Vec<&str> = text.lines().collect();
        let mut wanted: Vec<&str> = recorded.lines.iter().map(String::as_str).collect();
        lines.sort_unstable();
        wanted.sort_unstable();
        match lines == wanted {
            true => Ok(()),
            false => failed(format!(
                "user code recorded {lines:?} in `{}`; it is to be {wanted:?}",
                recorded.file
            )),
        }
    }
}

/// Waits until nothing is there any more that the driver started, but for what was there before.
async fn left_alone(process: &mut Process, before: &[u32], within: Duration) -> Result<(), Halt> {
    let until = Instant::now() + within;
    loop {
        let mut left = process.left();
        left.retain(|id| !before.contains(id));
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() >= until {
            return failed(format!("processes of the driver are left: {left:?}"));
        }
        sleep(LOOK).await;
    }
}
