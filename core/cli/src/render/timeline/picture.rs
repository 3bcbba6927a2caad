//! The chart as a picture.

use super::{left_out, rows, tick};
use crate::render::human::{self, cut};
use crate::render::style::{self, Tone};
use crate::render::svg::{FAINT, INK, Picture, RULE, Rect, text_width};
use crate::render::view::RunView;
use conveyor_engine::time::{Duration, Time};

const LINE: f64 = 26.0;
const CHART: f64 = 860.0;
const TOP: f64 = 92.0;
const LEFT: f64 = 28.0;

/// The chart as an SVG document: an instance a line, a bar for each attempt, thin where time passed.
pub(crate) fn svg(view: &RunView, now: Time) -> String {
    let (rows, left) = rows(view, now);
    let start = view.started_at.unwrap_or(now);
    let span = view.elapsed(now).0.max(1);
    let labels: Vec<_> = rows.iter().map(|row| cut(&row.label, 40)).collect();
    let widest = labels
        .iter()
        .map(|label| text_width(label, 12.0))
        .fold(60.0, f64::max);
    let x0 = LEFT + widest + 16.0;
    let x = |time: Time| x0 + CHART * time.since(start).0 as f64 / span as f64;
    let bottom = TOP + LINE * rows.len() as f64;
    let foot = if left > 0 { 26.0 } else { 0.0 };
    let mut picture = Picture::new(x0 + CHART + 84.0, bottom + 24.0 + foot);
    let title = format!("{} · {}", view.pipeline, view.word());
    picture.text(LEFT, 34.0, 16.0, "600", INK, &title);
    let note = format!("{} · {}", view.id, human::duration(view.elapsed(now)));
    picture.text(LEFT, 54.0, 11.5, "400", FAINT, &note);
    for (index, _) in rows.iter().enumerate().step_by(2) {
        let y = TOP + LINE * index as f64;
        let width = x0 + CHART + 60.0;
        picture.rect(&Rect {
            x: 14.0,
            y,
            width,
            height: LINE,
            radius: 4.0,
            fill: "#f6f8fa",
            ..Rect::default()
        });
    }
    let tick = tick(span, 8);
    for mark in (0..=span).step_by(tick as usize) {
        let at = x0 + CHART * mark as f64 / span as f64;
        picture.line(at, TOP - 6.0, at, bottom, RULE, 1.0);
        let name = if mark == 0 {
            "0".to_owned()
        } else {
            Duration(mark).to_string()
        };
        picture.text_middle(at, TOP - 12.0, 10.5, "400", FAINT, &name);
    }
    for (index, (row, label)) in rows.iter().zip(&labels).enumerate() {
        let top = TOP + LINE * index as f64;
        picture.text(LEFT, top + 17.0, 12.0, "500", INK, label);
        for bar in &row.bars {
            let (from, to) = (x(bar.from), x(bar.to));
            let told = format!("{}: {}", bar.what, human::duration(bar.to.since(bar.from)));
            let (height, least, radius) = if bar.work {
                (16.0, 3.0, 3.0)
            } else {
                (4.0, 0.0, 2.0)
            };
            picture.rect(&Rect {
                x: from,
                y: top + (LINE - height) / 2.0,
                width: (to - from).max(least),
                height,
                radius,
                fill: bar.tone.hex(),
                title: Some(&told),
                ..Rect::default()
            });
        }
        if let (Some(first), Some(last)) = (row.bars.first(), row.bars.last()) {
            let took = human::duration(row.took());
            let at = x(last.to).max(x(first.from) + 3.0) + 8.0;
            picture.text(at, top + 17.0, 10.5, "400", FAINT, &took);
        }
    }
    if left > 0 {
        picture.text(LEFT, bottom + 26.0, 11.5, "400", FAINT, &left_out(left));
    }
    let fill = match style::run_tone(view.state) {
        Tone::Faint => Tone::Plain.hex(),
        tone => tone.hex(),
    };
    let height = picture.height();
    picture.rect(&Rect {
        width: 6.0,
        height,
        fill,
        ..Rect::default()
    });
    picture.finish(&title)
}
