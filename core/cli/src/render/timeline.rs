//! The Gantt chart of a run's attempts, as text and as a picture.

mod picture;
mod text;

pub(crate) use picture::svg;
pub(crate) use text::text;

use super::human;
use super::style::{self, Tone};
use super::view::{InstanceView, RunView};
use conveyor_engine::time::{Duration, Time};
use std::cmp::Reverse;

/// A line of the chart: an instance, and its bars in order.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    /// The step, with the instance of a fan-out.
    label: String,
    bars: Vec<Bar>,
}

#[derive(Clone, Debug, PartialEq)]
struct Bar {
    from: Time,
    to: Time,
    tone: Tone,
    /// What it stands for: `attempt 2 failed`, `queued`, `waiting`.
    what: String,
    /// Whether a driver was at work, or only time passed.
    work: bool,
}

/// Rows that a chart has; more instances than this are left out, and said to be.
const ROWS: usize = 500;

impl Row {
    /// How long it took, without the queue before it: as the summary tells it.
    fn took(&self) -> Duration {
        let first = self.bars.iter().find(|bar| bar.what != QUEUED);
        match (first, self.bars.last()) {
            (Some(first), Some(last)) => last.to.since(first.from),
            _ => Duration::ZERO,
        }
    }

    /// Whether something of it did not go well, or goes on.
    fn matters(&self) -> bool {
        self.bars
            .iter()
            .any(|bar| bar.work && bar.tone != Tone::Good)
    }
}

/// What is said of instances that there is no room for.
fn left_out(left: usize) -> String {
    format!(
        "… and {}; shown are those that did not go well, then the longest",
        human::count(left, "more instance")
    )
}

/// The time before the first attempt.
const QUEUED: &str = "queued";

/// The rows of a run, in the order in which the first bar of each begins, and how many are left out.
fn rows(view: &RunView, now: Time) -> (Vec<Row>, usize) {
    let mut rows = Vec::new();
    for step in &view.steps {
        for (position, instance) in step.instances.iter().enumerate() {
            if instance.began_at.is_none() {
                continue;
            }
            rows.push(Row {
                label: step.instance_name(position),
                bars: bars(instance, view.ended_at.unwrap_or(now)),
            });
        }
    }
    let left = rows.len().saturating_sub(ROWS);
    if left > 0 {
        rows.sort_by_key(|row: &Row| Reverse((row.matters(), row.took())));
        rows.truncate(ROWS);
    }
    // When a driver took it, or its wait began.
    rows.sort_by_key(|row| {
        row.bars
            .iter()
            .find(|bar| bar.what != QUEUED)
            .map(|bar| bar.from)
    });
    (rows, left)
}

/// What happened from the beginning to the end of an instance, without gaps.
fn bars(instance: &InstanceView, now: Time) -> Vec<Bar> {
    let Some(mut at) = instance.began_at else {
        return Vec::new();
    };
    let end = instance.ended_at.unwrap_or(now);
    let mut bars = Vec::new();
    let idle = |from: Time, to: Time, first: bool| Bar {
        from,
        to,
        tone: Tone::Faint,
        what: if first {
            QUEUED
        } else {
            "waiting for the next attempt"
        }
        .to_owned(),
        work: false,
    };
    for (index, attempt) in instance.attempts.iter().enumerate() {
        let Some(claimed) = attempt.claimed_at else {
            continue;
        };
        if claimed > at {
            bars.push(idle(at, claimed, index == 0));
        }
        at = attempt.ended_at.unwrap_or(end);
        let state = attempt.state.map_or("running", |state| state.as_str());
        bars.push(Bar {
            from: claimed,
            to: at,
            tone: style::attempt_tone(attempt.state),
            what: format!("attempt {} {state}", attempt.number),
            work: true,
        });
    }
    if instance.attempts.is_empty() {
        let tone = style::step_tone(instance.state, instance.allowed);
        let what = format!("waited, {}", instance.state);
        bars.push(Bar {
            from: at,
            to: end,
            tone,
            what,
            work: false,
        });
    } else if end > at {
        bars.push(idle(at, end, false));
    }
    bars
}

/// Round distances between the marks of an axis, in milliseconds.
const TICKS: [u64; 21] = [
    1, 5, 10, 50, 100, 250, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000,
    300_000, 600_000, 1_800_000, 3_600_000, 21_600_000, 86_400_000,
];

/// The distance between marks so that about `wanted` fit into `span` milliseconds.
fn tick(span: u64, wanted: u64) -> u64 {
    let days = 86_400_000 * span.div_ceil(86_400_000 * wanted).max(1);
    TICKS
        .into_iter()
        .find(|tick| span / tick <= wanted)
        .unwrap_or(days)
}

#[cfg(test)]
mod tests;
