//! `--json`: what docs/faults.md is made of.

use conveyor_sim::simulation::Counts;
#[cfg(feature = "planted")]
use conveyor_sim::simulation::planted::Hunt;
use serde_json::{Value, json};

/// What a sweep that found nothing wrong lived through.
pub(super) fn counts(counts: &Counts, seeds: u64) -> String {
    let name = "simulator";
    let done = |what: &str, count: u64| json!({"name": name, "figure": what, "value": count});
    let whole = [
        ("seeds", seeds),
        ("runs", counts.runs),
        ("attempts", counts.attempts),
        ("deaths of the process", counts.crashes),
    ];
    let mut out: Vec<Value> = whole
        .iter()
        .map(|(what, count)| done(what, *count))
        .collect();
    out.extend(counts.faults.iter().map(|(what, count)| done(what, *count)));
    let held = "nothing that must never be was seen in any seed";
    out.push(json!({"name": name, "figure": held, "held": true}));
    text(&out)
}

/// What became of planted faults.
#[cfg(feature = "planted")]
pub(super) fn hunts(hunts: &[Hunt]) -> String {
    let line = |hunt: &Hunt| {
        let what = format!("`{}`: {}", hunt.fault.word(), hunt.fault.breaks());
        json!({
            "name": "faults planted in the product: seeds until one was caught",
            "figure": what,
            "value": hunt.tried,
            "held": hunt.is_caught(),
        })
    };
    text(&hunts.iter().map(line).collect::<Vec<_>>())
}

fn text(lines: &[Value]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}
