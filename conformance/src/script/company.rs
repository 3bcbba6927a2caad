//! What else goes on while a case is performed: neighbours of its tasks, and faults.

use super::{Halt, Stage, unable};
use crate::v1;
use crate::wire::From;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// The file that ends the neighbours.
const FILE: &str = "neighbours";
/// How long neighbours have to be taken, in milliseconds.
const TAKEN: u64 = 15_000;
/// How far a clock is put forward: less than a lease lasts.
const JUMP: Duration = Duration::from_secs(10);
/// How long a network is silent.
const SILENT: Duration = Duration::from_millis(1_500);

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

    /// Has something go wrong once the next task is accepted. Ends with what is aborted.
    pub(crate) fn in_background(&self, fault: &str, seed: u64) -> JoinHandle<()> {
        let record = Arc::clone(&self.site.record);
        let proxy = Arc::clone(&self.site.proxy);
        let engine = Arc::clone(&self.site.engine);
        let fault = fault.to_owned();
        let from = record.len();
        tokio::spawn(async move {
            let mut grown = record.grown();
            let held = || {
                record.find(from, |entry, _| {
                    entry.from == From::Driver && entry.kind == "accepted"
                })
            };
            let begun = loop {
                match held() {
                    Some((at, _)) => break at,
                    // Its sender lives as long as the record.
                    None => drop(grown.changed().await),
                }
            };
            match fault.as_str() {
                "cut" => {
                    let boundary = begun + 1 + (seed % 7) as usize;
                    let _ = grown.wait_for(|length| *length >= boundary).await;
                    proxy.cut();
                }
                "half-open" => {
                    proxy.silent(true);
                    tokio::time::sleep(SILENT).await;
                    proxy.cut();
                    proxy.silent(false);
                }
                // Only engines within this process are run with it.
                "clock-jump" => drop(engine.lock().await.jump(JUMP)),
                _ => {
                    // The case fails by itself where it does not come back.
                    let _ = engine.lock().await.restart(false).await;
                }
            }
        })
    }
}
