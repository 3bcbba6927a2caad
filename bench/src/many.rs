//! Very many runs: parked on a wait, and in flight when the process dies.

use crate::load::{
    Clockwork, Failed, Pipeline, chain, complete, open, pipeline, runtime, start, status_kib,
};
use crate::report::{Line, percentile};
use conveyor_node::Node;
use serde_json::json;
use std::io::BufRead as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

async fn start_many(node: &Node, pipeline: &Pipeline, runs: u32) -> Result<(), Failed> {
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..64_u32 {
        let (node, pipeline) = (node.clone(), pipeline.clone());
        let mine = (runs + 63 - caller) / 64;
        tasks.spawn(async move {
            for _ in 0..mine {
                start(&node, &pipeline)
                    .await
                    .map_err(|error| error.to_string())?;
            }
            Ok::<(), String>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

async fn new_runs(node: &Node, chain: &Pipeline, runs: u32) -> Result<Vec<f64>, Failed> {
    let mut samples = Vec::new();
    for _ in 0..runs {
        let begun = Instant::now();
        complete(node, chain).await?;
        samples.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(samples)
}

/// Runs that only wait.
pub(crate) async fn parked(folder: &Path, runs: u32) -> Result<Vec<Line>, Failed> {
    let work = Clockwork::new(false);
    let node = open(&folder.join("parked"), &work, 16).await?;
    let (chain, wait) = (
        chain()?,
        pipeline(&json!({"steps": [{"id": "w", "wait": {"duration": "7d"}}]}))?,
    );
    new_runs(&node, &chain, 20).await?;
    let mut before = new_runs(&node, &chain, 200).await?;
    let empty = status_kib("VmRSS");
    let begun = Instant::now();
    start_many(&node, &wait, runs).await?;
    let took = begun.elapsed();
    let full = status_kib("VmRSS");
    let mut after = new_runs(&node, &chain, 200).await?;
    node.shutdown().await?;
    let name = format!("{runs} runs that wait");
    let (p99_before, p99_after) = (percentile(&mut before, 0.99), percentile(&mut after, 0.99));
    Ok(vec![
        Line::plain(
            &name,
            "resident memory each",
            (full - empty) / f64::from(runs),
            "KiB",
        )
        .at_most(1.0, ""),
        Line::plain(
            &name,
            "started",
            f64::from(runs) / took.as_secs_f64(),
            "runs/s",
        ),
        Line::plain(&name, "a new run of 10 steps, p99", p99_after, "ms")
            .at_most(1.5 * p99_before, " (1.5 × that of an empty engine)"),
    ])
}

/// The process that dies: starts runs whose first step never ends, and says when all are started.
pub(crate) fn in_flight(folder: &Path, runs: &str) -> Result<(), Failed> {
    let runs: u32 = runs.parse()?;
    runtime()?.block_on(async {
        let work = Arc::new(Clockwork {
            ran: Mutex::default(),
            notes: false,
            hangs: true,
        });
        let node = open(folder, &work, runs).await?;
        start_many(&node, &chain()?, runs).await?;
        crate::print("started\n");
        std::future::pending::<()>().await;
        Ok(())
    })
}

/// SIGKILL with so many runs in flight, and how long until a new run is done after that.
pub(crate) async fn recovery(folder: &Path, runs: u32) -> Result<Vec<Line>, Failed> {
    let folder = folder.join(format!("recovery-{runs}"));
    let mut child = Command::new(std::env::current_exe()?)
        .arg("in-flight")
        .arg(&folder)
        .arg(runs.to_string())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = String::new();
    if let Some(stdout) = child.stdout.take() {
        std::io::BufReader::new(stdout).read_line(&mut said)?;
    }
    child.kill()?;
    child.wait()?;
    if said != "started\n" {
        return Err(format!("the process to kill said {said:?}").into());
    }
    let chain = chain()?;
    let work = Clockwork::new(false);
    let begun = Instant::now();
    let node = open(&folder, &work, 64).await?;
    let opened = begun.elapsed();
    complete(&node, &chain).await?;
    let first = begun.elapsed();
    node.shutdown().await?;
    let name = format!("kill -9 with {runs} runs in flight");
    let most = if runs > 20_000 { 3_000.0 } else { 1_000.0 };
    Ok(vec![
        Line::plain(
            &name,
            "until the store is open",
            opened.as_secs_f64() * 1e3,
            "ms",
        ),
        Line::plain(
            &name,
            "until a new run of 10 steps is done",
            first.as_secs_f64() * 1e3,
            "ms",
        )
        .at_most(most, ""),
    ])
}
