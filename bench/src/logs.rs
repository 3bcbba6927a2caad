//! Log lines from drivers in another process: how many a second are kept, and what they cost others.

use crate::driver::Process;
use crate::external::gaps;
use crate::flood;
use crate::load::Failed;
use crate::remote::{apply, apply_chain};
use crate::report::{Line, percentile};
use crate::server::Server;
use conveyor_sdk::{Client, Run, Start};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Steps that log at once.
const TASKS: u32 = 4;
/// Lines a second that the budget asks for.
const BUDGET: u32 = 50_000;
/// What the server counts once lines are durable; their driver is told so at once.
const KEPT: &str = "conveyor_log_lines_total";

/// The gaps between the steps of a chain on a server where nobody logs, with a driver that logs as much as
/// the budget asks for, and with one that logs as fast as it can; each time for as long at least.
pub(crate) async fn lines(
    folder: &Path,
    runs: u32,
    at_least: Duration,
) -> Result<Vec<Line>, Failed> {
    let server = Server::start(&folder.join("logs"))?;
    let client = Client::connect(server.url.clone()).await?;
    let mut chain = Process::start(&server.url, &client, 16, 1).await?;
    apply_chain(&client).await?;
    let steps: Vec<_> = (0..TASKS)
        .map(|n| json!({"id": format!("s{n}"), "driver": "f", "needs": []}))
        .collect();
    apply(&client, "flood", &steps).await?;
    let mut quiet = gaps(&client, &mut chain, runs).await?;
    let mut budget = flooded(&server, &client, &mut chain, (runs, BUDGET, at_least)).await?;
    let mut most = flooded(&server, &client, &mut chain, (runs, 0, at_least)).await?;
    let all = budget.gaps.clone();
    let quiet = percentile(&mut quiet, 0.99);
    let at_budget =
        format!("step end to next step start, external, {BUDGET} log lines/s meanwhile");
    let at_most = "step end to next step start, external, logs as fast as they are taken meanwhile";
    Ok(vec![
        Line::plain(
            "log lines of 4 tasks, external",
            "durable",
            most.rate,
            "lines/s",
        )
        .at_least(f64::from(BUDGET), ""),
        Line::plain("no logs, the same server", "step gap, p99", quiet, "ms"),
        Line::plain(&at_budget, "log lines durable", budget.rate, "lines/s"),
        Line::plain(&at_budget, "p50", percentile(&mut budget.gaps, 0.5), "ms"),
        Line::plain(&at_budget, "p99", percentile(&mut budget.gaps, 0.99), "ms")
            .at_most(2.0 * quiet, " (2 × that without logs)")
            .samples(&all),
        Line::plain(at_most, "p50", percentile(&mut most.gaps, 0.5), "ms"),
        Line::plain(at_most, "p99", percentile(&mut most.gaps, 0.99), "ms"),
    ])
}

/// What a server does while lines come.
struct Flooded {
    /// Lines a second that became durable.
    rate: f64,
    /// The gaps between the steps of a chain of another driver, in ms.
    gaps: Vec<f64>,
}

/// Starts a run that logs, completes chains meanwhile, and holds its log against what its driver wrote.
async fn flooded(
    server: &Server,
    client: &Client,
    chain: &mut Process,
    (runs, rate, at_least): (u32, u32, Duration),
) -> Result<Flooded, Failed> {
    let words = ["flood", &server.url, &TASKS.to_string(), &rate.to_string()];
    let mut flood = Process::of(&words, client, "f", 1).await?;
    let empty = server.metric(KEPT)?;
    let run = client.start(Start::pipeline("flood")).await?;
    // It has begun in earnest.
    while server.metric(KEPT)? < empty + u64::from(BUDGET / 10) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (before, begun) = (server.metric(KEPT)?, Instant::now());
    let gaps = gaps(client, chain, runs).await?;
    // What is measured is the time itself.
    tokio::time::sleep(at_least.saturating_sub(begun.elapsed())).await;
    let kept = server.metric(KEPT)? - before;
    let rate = kept as f64 / begun.elapsed().as_secs_f64();
    let written: BTreeMap<String, u64> = flood.ask("enough")?;
    if !run.wait().await?.succeeded() {
        return Err(format!("the run {} of flood did not succeed", run.id()).into());
    }
    let read = read(&run).await?;
    if read != written {
        return Err(format!("the driver wrote {written:?} lines, the log has {read:?}").into());
    }
    let counted: u64 = written.values().sum();
    let kept = server.metric(KEPT)? - empty;
    if counted != kept {
        return Err(format!("the driver wrote {counted} lines, the server counted {kept}").into());
    }
    Ok(Flooded { rate, gaps })
}

/// How many lines each step's log has, each of them as it was written.
async fn read(run: &Run) -> Result<BTreeMap<String, u64>, Failed> {
    let mut read: BTreeMap<String, u64> = BTreeMap::new();
    let mut logs = run.logs();
    while let Some(record) = logs.next().await.transpose()? {
        let step = record.id.unwrap_or_default().step;
        let next = read.entry(step.clone()).or_default();
        if record.offset != *next || *record.text != *flood::line(*next).as_bytes() {
            let (offset, text) = (record.offset, String::from_utf8_lossy(&record.text));
            return Err(format!("line {next} of {step} is {text:?} at offset {offset}").into());
        }
        *next += 1;
    }
    Ok(read)
}
