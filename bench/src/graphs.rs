//! Wide and large graphs.

use crate::load::{Clockwork, Failed, callers, complete, open, pipeline, runtime, status_kib};
use crate::report::Line;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// A hundred parallel steps.
pub(crate) async fn fans(folder: &Path, at_once: u32, runs: u32) -> Result<Vec<Line>, Failed> {
    let work = Clockwork::new(false);
    let node = open(&folder.join(format!("fan-{at_once}")), &work, 256).await?;
    let steps: Vec<_> = (0..100)
        .map(|n| json!({"id": format!("s{n}"), "driver": "d", "needs": []}))
        .collect();
    let fan = pipeline(&json!({"steps": steps}))?;
    callers(&node, &fan, at_once, 1).await?;
    let took = callers(&node, &fan, at_once, runs).await?;
    node.shutdown().await?;
    let steps = f64::from(at_once * runs * 100);
    let name = format!("100 parallel steps, {at_once} runs at once, in process");
    let line = Line::plain(&name, "throughput", steps / took.as_secs_f64(), "steps/s");
    Ok(vec![if at_once == 32 {
        line.at_least(20_000.0, "")
    } else {
        line
    }])
}

/// Layers of a hundred steps, each size in a process of its own: what is at its peak is then its own.
pub(crate) fn layers(folder: &Path, part: u32) -> Result<Vec<Line>, Failed> {
    let mut lines = Vec::new();
    let mut measure = |size: u32, small: Option<f64>| {
        let Layered { each_ms, peak_kib } = in_a_process(folder, size)?;
        let name = format!("layered graph of {size} steps");
        let line = Line::plain(&name, "time per step", each_ms, "ms");
        lines.push(match small {
            Some(small) => line.at_most(1.3 * small, " (1.3 × that of 100)"),
            None => line,
        });
        lines.push(Line::plain(&name, "peak memory", peak_kib / 1024.0, "MiB"));
        Ok::<f64, Failed>(each_ms)
    };
    let small = measure(100, None)?;
    measure(10_000 / part, Some(small))?;
    measure(100_000 / part, None)?;
    Ok(lines)
}

fn in_a_process(folder: &Path, size: u32) -> Result<Layered, Failed> {
    let output = Command::new(std::env::current_exe()?)
        .arg("layered")
        .arg(folder.join(format!("layers-{size}")))
        .arg(size.to_string())
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout);
        return Err(format!("layered {size}: {}: {said}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// What the process of one size says.
#[derive(Serialize, Deserialize)]
struct Layered {
    each_ms: f64,
    peak_kib: f64,
}

/// The process of one size: completes the graph once unmeasured, then measured, and says how it went.
pub(crate) fn layered(folder: &Path, size: &str) -> Result<(), Failed> {
    let size: u32 = size.parse()?;
    let each_ms = runtime()?.block_on(async {
        let work = Clockwork::new(false);
        let node = open(folder, &work, 256).await?;
        let graph = pipeline(&layered_spec(size))?;
        // Small graphs are repeated until they weigh as much as a large one.
        let times = (10_000 / size).max(1);
        complete(&node, &graph).await?;
        let begun = Instant::now();
        for _ in 0..times {
            complete(&node, &graph).await?;
        }
        let took = begun.elapsed().as_secs_f64() * 1e3;
        node.shutdown().await?;
        Ok::<f64, Failed>(took / f64::from(size * times))
    })?;
    let said = Layered {
        each_ms,
        peak_kib: status_kib("VmHWM"),
    };
    crate::print(&serde_json::to_string(&said)?);
    Ok(())
}

/// Each step has up to three parents in the layer before, from a fixed seed.
fn layered_spec(size: u32) -> serde_json::Value {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut pick = |below: u32| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        ((random >> 33) % u64::from(below)) as u32
    };
    let width = 100.min(size);
    let steps: Vec<_> = (0..size)
        .map(|n| {
            let layer = n / width;
            let mut needs: Vec<String> = Vec::new();
            for _ in 0..if layer == 0 { 0 } else { 1 + pick(3) } {
                let parent = format!("s{}", (layer - 1) * width + pick(width));
                if !needs.contains(&parent) {
                    needs.push(parent);
                }
            }
            json!({"id": format!("s{n}"), "driver": "d", "needs": needs})
        })
        .collect();
    json!({"steps": steps})
}
