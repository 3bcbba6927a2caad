//! What else goes on while a case is performed: neighbours of its tasks, and faults.

use super::{Halt, Stage, unable};
use crate::backend::Engine;
use crate::proxy::Proxy;
use crate::v1;
use crate::wire::{Entry, From, Record};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The file that ends the neighbours.
const FILE: &str = "neighbours";
/// How long neighbours have to be taken, in milliseconds.
const TAKEN: u64 = 15_000;
/// How far a clock is put forward, each time: less than the usual lease lasts, and more than a short one.
const JUMP: Duration = Duration::from_secs(10);
/// How long a network is silent.
const SILENT: Duration = Duration::from_millis(1_500);
/// How much longer than a lease it is silent where that is to be lost: an engine that is not late has looked by then.
const PAST: Duration = Duration::from_millis(700);
/// How long an engine that hears of a driver again has to give it a task anew.
const GIVEN: Duration = Duration::from_secs(4);

impl Stage {
    /// Has the driver hold so many tasks besides those of the case.
    pub(crate) async fn neighbours(&mut self, count: u32) -> Result<(), Halt> {
        let program = json!([{ "wait_for": { "file": format!("${{dir}}/{FILE}") } }]);
        let work = |id: String| v1::Work {
            id,
            program: program.to_string().into(),
            ..v1::Work::default()
        };
        let tasks = (0..count).map(|at| work(format!("neighbour-{at}")));
        let run = v1::Run {
            name: FILE.to_owned(),
            tasks: tasks.collect(),
            ..v1::Run::default()
        };
        self.run(&run).await?;
        let see = v1::See {
            message: Some(v1::Pattern {
                kind: "accepted".to_owned(),
                ..v1::Pattern::default()
            }),
            times: count,
            within_ms: TAKEN,
            ..v1::See::default()
        };
        self.see(&see).await?;
        self.neighbours = true;
        Ok(())
    }

    /// Lets the neighbours end, and looks that all did well.
    pub(super) async fn farewell(&mut self) -> Result<(), Halt> {
        if !std::mem::take(&mut self.neighbours) {
            return Ok(());
        }
        let made = std::fs::write(self.directory.join(FILE), "");
        made.map_err(|error| unable("a file for the user code", &error))?;
        if self.may_end {
            return Ok(());
        }
        let ended = v1::Ended {
            run: FILE.to_owned(),
            within_ms: TAKEN,
            ..v1::Ended::default()
        };
        self.ended(&ended).await
    }

    /// Has something go wrong once the next task is accepted.
    pub(crate) fn in_background(&self, fault: &str) -> Background {
        let came = Arc::new(AtomicBool::new(false));
        let happening = Happening {
            record: Arc::clone(&self.site.record),
            proxy: Arc::clone(&self.site.proxy),
            engine: Arc::clone(&self.site.engine),
            from: self.site.record.len(),
            came: Arc::clone(&came),
        };
        let fault = fault.to_owned();
        let task = tokio::spawn(async move { happening.happen(&fault).await });
        Background { task, came }
    }
}

/// A fault that goes on by itself. Ends with the value.
pub(crate) struct Background {
    task: JoinHandle<()>,
    came: Arc<AtomicBool>,
}

impl Background {
    /// Whether something has gone wrong yet.
    pub(crate) fn came_about(&self) -> bool {
        self.came.load(Ordering::Relaxed)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a fault that goes on by itself needs.
struct Happening {
    record: Arc<Record>,
    proxy: Arc<Proxy>,
    engine: Arc<Mutex<Engine>>,
    /// What was said before is not looked at.
    from: usize,
    came: Arc<AtomicBool>,
}

impl Happening {
    async fn happen(&self, fault: &str) {
        let accepted = |entry: &Entry| entry.from == From::Driver && entry.kind == "accepted";
        let (begun, first) = self.said(self.from, accepted).await;
        match fault {
            "half-open" => {
                self.come();
                self.proxy.silent(true);
                tokio::time::sleep(SILENT).await;
                self.proxy.cut();
                self.proxy.silent(false);
            }
            // Only engines within this process are run with it.
            "clock-jump" => {
                self.come();
                drop(self.engine.lock().await.jump(JUMP));
                // A pause between two attempts may follow.
                self.said(begun, |entry| entry.kind == "outcome").await;
                drop(self.engine.lock().await.jump(JUMP));
            }
            "lease-lost" => self.lose_lease(begun, &first).await,
            _ => {
                self.come();
                // The case fails by itself where it does not come back.
                let _ = self.engine.lock().await.restart(false).await;
            }
        }
    }

    fn come(&self) {
        self.came.store(true, Ordering::Relaxed);
    }

    /// The network is silent for longer than a task's lease lasts, until the engine gives the task again.
    async fn lose_lease(&self, begun: usize, accepted: &Entry) {
        let task = self.record.find(0, |entry, _| {
            entry.kind == "task" && entry.token == accepted.token
        });
        let body = task.map(|(_, task)| task.body).unwrap_or_default();
        let ms = |key: &str| body[key].as_u64().unwrap_or_default();
        let lease = Duration::from_millis(ms("heartbeat_timeout_ms") + ms("grace_ms"));
        let again = |entry: &Entry| {
            let same = entry.body["id"]["step"] == body["id"]["step"];
            entry.kind == "task" && same && entry.token != accepted.token
        };
        loop {
            self.proxy.silent(true);
            tokio::time::sleep(lease + PAST).await;
            self.proxy.silent(false);
            // An engine that is late to look at its leases begins them anew: then it is silent once more.
            if timeout(GIVEN, self.said(begun, again)).await.is_ok() {
                self.come();
                return;
            }
        }
    }

    /// Waits until something is said: its place, and it.
    async fn said(&self, from: usize, test: impl Fn(&Entry) -> bool) -> (usize, Entry) {
        let mut grown = self.record.grown();
        loop {
            match self.record.find(from, |entry, _| test(entry)) {
                Some(said) => return said,
                // Its sender lives as long as the record.
                None => drop(grown.changed().await),
            }
        }
    }
}
