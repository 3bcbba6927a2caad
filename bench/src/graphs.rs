//! Wide and large graphs.

use crate::load::{Clockwork, Failed, callers, complete, open, pipeline, status_kib};
use crate::report::Line;
use serde_json::json;
use std::path::Path;
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

/// Layers of a hundred steps, each with up to three parents in the layer before, from a fixed seed.
pub(crate) async fn layers(folder: &Path, part: u32) -> Result<Vec<Line>, Failed> {
    let mut lines = Vec::new();
    let mut small = f64::NAN;
    for size in [100_u32, 10_000, 100_000 / part] {
        let work = Clockwork::new(false);
        let node = open(&folder.join(format!("layers-{size}")), &work, 256).await?;
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
        let graph = pipeline(&json!({"steps": steps}))?;
        // Small graphs are repeated until they weigh as much as a large one.
        let times = (10_000 / size).max(1);
        complete(&node, &graph).await?;
        let begun = Instant::now();
        for _ in 0..times {
            complete(&node, &graph).await?;
        }
        let each = begun.elapsed().as_secs_f64() * 1e3 / f64::from(size * times);
        node.shutdown().await?;
        let name = format!("layered graph of {size} steps");
        let line = Line::plain(&name, "time per step", each, "ms");
        if size == 100 {
            small = each;
            lines.push(line);
        } else if size == 10_000 {
            lines.push(line.at_most(1.3 * small, " (1.3 × that of 100)"));
        } else {
            lines.push(line);
        }
        lines.push(Line::plain(
            &name,
            "peak memory so far",
            status_kib("VmHWM") / 1024.0,
            "MiB",
        ));
    }
    Ok(lines)
}
