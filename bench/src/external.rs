//! Server and driver each in a process of its own: gaps between steps, steps a second, CPU a step.

use crate::driver::Process;
use crate::load::Failed;
use crate::remote::{apply, apply_chain, callers, complete};
use crate::report::{Line, percentile};
use crate::server::Server;
use conveyor_sdk::Client;
use serde_json::json;
use std::path::Path;

/// One chain at a time on an idle server, over the loopback and over the data directory's socket.
pub(crate) async fn one(folder: &Path, f_ms: f64, runs: u32) -> Result<Vec<Line>, Failed> {
    let server = Server::start(&folder.join("external-1"))?;
    let mut lines = Vec::new();
    for (way, url) in [("loopback", &server.url), ("Unix socket", &server.socket)] {
        let client = Client::connect(url.clone()).await?;
        let mut driver = Process::start(url, &client, 16, 1).await?;
        apply_chain(&client).await?;
        let mut gaps = gaps(&client, &mut driver, runs).await?;
        let all = gaps.clone();
        let (p50, p99) = (percentile(&mut gaps, 0.5), percentile(&mut gaps, 0.99));
        let name = format!("step end to next step start, external, {way}, idle");
        lines.extend([
            Line::plain(&name, "p50", p50, "ms")
                .at_most(2.0 * f_ms + 0.4, " (2 F + 0.4 ms)")
                .samples(&all),
            Line::plain(&name, "p50 / F", p50 / f_ms, ""),
            Line::plain(&name, "p99", p99, "ms").at_most(4.0 * p50, " (4 × p50)"),
        ]);
    }
    Ok(lines)
}

/// Completes so many chains one after the other; the gaps between their steps, in ms.
pub(crate) async fn gaps(
    client: &Client,
    driver: &mut Process,
    runs: u32,
) -> Result<Vec<f64>, Failed> {
    for _ in 0..10 {
        complete(client, "chain").await?;
    }
    driver.take()?;
    let mut gaps = Vec::new();
    for _ in 0..runs {
        complete(client, "chain").await?;
        let ran = driver.take()?;
        if ran.len() != 10 {
            return Err(format!("a chain of 10 steps ran {} tasks", ran.len()).into());
        }
        gaps.extend(ran.windows(2).map(|two| (two[1].0 - two[0].1) as f64 / 1e6));
    }
    Ok(gaps)
}

/// Many chains at once, over the loopback and over the data directory's socket.
pub(crate) async fn chains(folder: &Path, at_once: u32, runs: u32) -> Result<Vec<Line>, Failed> {
    let mut lines = Vec::new();
    for (way, data) in [("", "external-chains"), (", Unix socket", "socket-chains")] {
        let server = Server::start(&folder.join(data))?;
        let url = match way {
            "" => &server.url,
            _ => &server.socket,
        };
        let client = Client::connect(url.clone()).await?;
        let _driver = Process::start(url, &client, 64, 1).await?;
        apply_chain(&client).await?;
        let name = format!("{at_once} chains of 10 steps at once, external{way}");
        let Busy { rate, cpu_ms } = busy(&server, &client, "chain", (at_once, runs, 10)).await?;
        lines.extend([
            Line::plain(&name, "throughput", rate, "steps/s").at_least(4_000.0, ""),
            Line::plain(&name, "CPU of the server", cpu_ms, "ms/step").at_most(0.15, ""),
        ]);
    }
    Ok(lines)
}

/// A hundred parallel steps.
pub(crate) async fn fans(folder: &Path, at_once: u32, runs: u32) -> Result<Vec<Line>, Failed> {
    let server = Server::start(&folder.join("external-fans"))?;
    let client = Client::connect(server.url.clone()).await?;
    let _driver = Process::start(&server.url, &client, 256, 1).await?;
    let steps: Vec<_> = (0..100)
        .map(|n| json!({"id": format!("s{n}"), "driver": "d", "needs": []}))
        .collect();
    apply(&client, "fan", &steps).await?;
    let name = format!("100 parallel steps, {at_once} runs at once, external");
    let Busy { rate, cpu_ms } = busy(&server, &client, "fan", (at_once, runs, 100)).await?;
    Ok(vec![
        Line::plain(&name, "throughput", rate, "steps/s").at_least(6_000.0, ""),
        Line::plain(&name, "CPU of the server", cpu_ms, "ms/step"),
    ])
}

/// What a busy server does.
pub(crate) struct Busy {
    /// Steps a second.
    pub(crate) rate: f64,
    /// What the server's process uses of the processors for a step.
    pub(crate) cpu_ms: f64,
}

/// So many callers, each completing so many runs of so many steps, after one that is not measured.
pub(crate) async fn busy(
    server: &Server,
    client: &Client,
    pipeline: &'static str,
    (at_once, runs, steps): (u32, u32, u32),
) -> Result<Busy, Failed> {
    callers(client, pipeline, at_once, 1).await?;
    let before = server.cpu()?;
    let took = callers(client, pipeline, at_once, runs).await?;
    let spent = server.cpu()? - before;
    let steps = f64::from(at_once * runs * steps);
    Ok(Busy {
        rate: steps / took.as_secs_f64(),
        cpu_ms: spent.as_secs_f64() * 1e3 / steps,
    })
}
