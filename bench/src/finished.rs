//! Very many runs that have ended: what is kept of them costs neither memory nor time to start.

use crate::load::{Clockwork, Failed, Pipeline, complete, open, pipeline, runtime, status_kib};
use crate::report::Line;
use conveyor_node::Node;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long the runs may take in all. With fewer than were wanted the figures are of those.
const MOST: Duration = Duration::from_secs(60);
/// How many are completed at once.
const CALLERS: u32 = 64;
/// What may come over the factor: the store's buffers and caches fill up to their bounds.
const FILLS_MIB: f64 = 32.0;
/// The same of a start: the end of a journal is read, whose length goes up and down below a bound.
const OPENS_MS: f64 = 250.0;
/// How much more ten times the runs may cost: nothing but noise.
const FLAT: f64 = 1.2;

/// What a process says of its part.
#[derive(Debug, Serialize, Deserialize)]
struct Said {
    /// Until the store was open, and the node with it.
    opened_ms: f64,
    /// Runs that it completed.
    runs: u32,
    /// What it had resident at the end, in MiB.
    resident_mib: f64,
}

/// The process that completes so many runs, or as many as it can in so many seconds.
pub(crate) fn part(folder: &Path, runs: &str, seconds: &str) -> Result<(), Failed> {
    let runs: u32 = runs.parse()?;
    let until = Instant::now() + Duration::from_secs_f64(seconds.parse()?);
    runtime()?.block_on(async {
        let begun = Instant::now();
        let node = open(folder, &Clockwork::new(false), CALLERS).await?;
        let opened_ms = begun.elapsed().as_secs_f64() * 1e3;
        let one = pipeline(&json!({"steps": [{"id": "s", "driver": "d"}]}))?;
        let runs = work(&node, &one, runs, until).await?;
        let resident_mib = status_kib("VmRSS") / 1024.0;
        node.shutdown().await?;
        let said = Said {
            opened_ms,
            runs,
            resident_mib,
        };
        crate::print(&serde_json::to_string(&said)?);
        Ok(())
    })
}

async fn work(node: &Node, one: &Pipeline, runs: u32, until: Instant) -> Result<u32, Failed> {
    let taken = Arc::new(AtomicU32::new(0));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..CALLERS {
        let (node, one, taken) = (node.clone(), one.clone(), Arc::clone(&taken));
        callers.spawn(async move {
            let mut done = 0;
            while Instant::now() < until && taken.fetch_add(1, Ordering::Relaxed) < runs {
                complete(&node, &one)
                    .await
                    .map_err(|error| error.to_string())?;
                done += 1;
            }
            Ok::<u32, String>(done)
        });
    }
    let mut done = 0;
    while let Some(ended) = callers.join_next().await {
        done += ended??;
    }
    Ok(done)
}

fn process(folder: &Path, runs: u32, left: Duration) -> Result<Said, Failed> {
    let output = Command::new(std::env::current_exe()?)
        .arg("finished")
        .arg(folder)
        .args([runs.to_string(), left.as_secs_f64().to_string()])
        .output()?;
    if !output.status.success() {
        return Err(format!(
            "the process of finished runs: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
        .into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// A tenth of the runs in a process, the rest in the next, and the start of a third.
pub(crate) fn lines(folder: &Path, runs: u32) -> Result<Vec<Line>, Failed> {
    let folder = folder.join("finished");
    let begun = Instant::now();
    let left = || MOST.saturating_sub(begun.elapsed());
    let first = process(&folder, runs / 10, left())?;
    let second = process(&folder, first.runs * 9, left())?;
    let third = process(&folder, 0, MOST)?;
    let (few, all) = (first.runs, first.runs + second.runs);
    let name = format!("{all} runs that have ended");
    let beside = |most: f64, more: &str| (most, format!(" ({FLAT} × that of {few}, and {more})"));
    let (resident, why_resident) = beside(
        FLAT * first.resident_mib + FILLS_MIB,
        &format!("{FILLS_MIB} MiB"),
    );
    let (opened, why_opened) = beside(
        FLAT * second.opened_ms + OPENS_MS,
        &format!("{OPENS_MS} ms"),
    );
    Ok(vec![
        Line::plain(&name, "resident", second.resident_mib, "MiB").at_most(resident, &why_resident),
        Line::plain(
            &name,
            &format!("resident / that of {few}"),
            second.resident_mib / first.resident_mib,
            "",
        ),
        Line::plain(&name, "until the store is open", third.opened_ms, "ms")
            .at_most(opened, &why_opened),
        Line::plain(
            &name,
            &format!("open / that of {few}"),
            third.opened_ms / second.opened_ms,
            "",
        ),
    ])
}
