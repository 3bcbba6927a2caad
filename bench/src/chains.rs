//! Chains of ten steps: how long from one step's end to the next one's start, and how many a second.

use crate::load::{Clockwork, Failed, callers, chain, complete, cpu, open};
use crate::report::{Line, percentile};
use std::path::Path;

/// One chain at a time on an idle engine.
pub(crate) async fn one(folder: &Path, f_ms: f64, runs: u32) -> Result<Vec<Line>, Failed> {
    let work = Clockwork::new(true);
    let node = open(&folder.join("chain-1"), &work, 16).await?;
    let chain = chain()?;
    for _ in 0..10 {
        complete(&node, &chain).await?;
    }
    work.take();
    let mut gaps = Vec::new();
    for _ in 0..runs {
        complete(&node, &chain).await?;
        let ran = work.take();
        let gap = |pair: &[crate::load::Ran]| {
            pair[1].started.duration_since(pair[0].ended).as_secs_f64() * 1e3
        };
        gaps.extend(ran.windows(2).map(gap));
    }
    node.shutdown().await?;
    let all = gaps.clone();
    let (p50, p99) = (percentile(&mut gaps, 0.5), percentile(&mut gaps, 0.99));
    let name = "step end to next step start, in process, idle";
    Ok(vec![
        Line::plain(name, "p50", p50, "ms")
            .at_most(2.0 * f_ms + 0.1, " (2 F + 0.1 ms)")
            .samples(&all),
        Line::plain(name, "p50 / F", p50 / f_ms, ""),
        Line::plain(name, "p99", p99, "ms").at_most(4.0 * p50, " (4 × p50)"),
    ])
}

/// Many chains at once.
pub(crate) async fn many(folder: &Path, at_once: u32, runs: u32) -> Result<Vec<Line>, Failed> {
    let work = Clockwork::new(false);
    let node = open(&folder.join("chain-n"), &work, 64).await?;
    let chain = chain()?;
    callers(&node, &chain, at_once, 2).await?;
    let before = cpu();
    let took = callers(&node, &chain, at_once, runs).await?;
    let spent = cpu() - before;
    node.shutdown().await?;
    let steps = f64::from(at_once * runs * 10);
    let name = format!("{at_once} chains of 10 steps at once, in process");
    Ok(vec![
        Line::plain(&name, "throughput", steps / took.as_secs_f64(), "steps/s")
            .at_least(10_000.0, ""),
        Line::plain(
            &name,
            "CPU of all, engine and driver",
            spent.as_secs_f64() * 1e3 / steps,
            "ms/step",
        )
        .at_most(0.08, " for the engine"),
    ])
}
