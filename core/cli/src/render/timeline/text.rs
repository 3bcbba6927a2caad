//! The chart in a terminal.

use super::{Row, left_out, rows, tick};
use crate::render::human::{self, cut};
use crate::render::style::{Style, Tone};
use crate::render::view::RunView;
use conveyor_engine::time::{Duration, Time};
use std::fmt::Write;

/// The chart, `width` columns wide: an instance a line, `█` where a driver was at work (`▓` where the
/// attempt failed, `▒` where it was lost or cancelled), `░` where time passed. Ends with a line feed.
pub(crate) fn text(view: &RunView, now: Time, width: usize, style: Style) -> String {
    let (rows, left) = rows(view, now);
    let Some(start) = view.started_at else {
        return "nothing has run yet\n".to_owned();
    };
    let span = view.elapsed(now).0.max(1);
    let longest = rows
        .iter()
        .map(|row| human::width(&row.label))
        .max()
        .unwrap_or(0);
    let labels = longest.clamp(4, (width / 2).clamp(4, 32));
    // A duration has at most six characters.
    let columns = width.saturating_sub(labels + 2 + 8).max(20);
    let mut text = String::new();
    axis(&mut text, labels, columns, span, style);
    for row in &rows {
        let label = cut(&row.label, labels);
        let pad = labels + 2 - human::width(&label);
        let _ = write!(text, "{label}{:pad$}", "");
        bars(&mut text, row, start, span, columns, style);
        let took = human::duration(row.took());
        let _ = writeln!(text, "  {}", style.paint(Tone::Faint, &took));
    }
    if left > 0 {
        let _ = writeln!(text, "{}", left_out(left));
    }
    text
}

fn axis(text: &mut String, labels: usize, columns: usize, span: u64, style: Style) {
    let tick = tick(span, (columns as u64 / 12).max(2));
    let mut line = String::new();
    let mut used = 0;
    for mark in (0..=span).step_by(tick as usize) {
        let at = column(mark, span, columns);
        if used > at {
            continue;
        }
        let name = if mark == 0 {
            "0".to_owned()
        } else {
            Duration(mark).to_string()
        };
        let _ = write!(line, "{:pad$}╷{name} ", "", pad = at - used);
        used = at + name.len() + 2;
    }
    let line = cut(&line, columns);
    let _ = writeln!(
        text,
        "{:labels$}  {}",
        "",
        style.paint(Tone::Faint, line.trim_end())
    );
}

fn column(at: u64, span: u64, columns: usize) -> usize {
    let scaled = u128::from(at) * columns as u128 / u128::from(span);
    (scaled as usize).min(columns)
}

fn bars(text: &mut String, row: &Row, start: Time, span: u64, columns: usize, style: Style) {
    let mut at = 0;
    for bar in &row.bars {
        let from = column(bar.from.since(start).0, span, columns).max(at);
        let to = column(bar.to.since(start).0, span, columns);
        // Work is never too short to be seen; waiting may be.
        let to = if bar.work {
            to.max(from + 1)
        } else {
            to.max(from)
        }
        .min(columns);
        let from = if bar.work {
            from.min(to.saturating_sub(1)).max(at)
        } else {
            from.min(to)
        };
        if to <= from {
            continue;
        }
        let _ = write!(text, "{:pad$}", "", pad = from - at);
        // Told apart without colours, too.
        let block = match (bar.work, bar.tone) {
            (false, _) => "░",
            (true, Tone::Bad) => "▓",
            (true, Tone::Warn) => "▒",
            (true, _) => "█",
        };
        text.push_str(&style.paint(bar.tone, &block.repeat(to - from)));
        at = to;
    }
    let _ = write!(text, "{:pad$}", "", pad = columns.saturating_sub(at));
}
