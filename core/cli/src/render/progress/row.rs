//! One row of the tree, fitted to a width.

use crate::render::human::{cut, width};
use crate::render::style::{Style, Tone};
use conveyor_engine::time::Duration;
use ratatui_core::text::{Line, Span};

/// A row: `✓ name  note                    time`.
#[derive(Debug)]
pub(super) struct Row {
    /// How far it stands in.
    pub(super) depth: usize,
    /// One character.
    pub(super) mark: &'static str,
    /// The mark's tone, and the note's where it went badly.
    pub(super) tone: Tone,
    pub(super) text: String,
    pub(super) text_tone: Tone,
    pub(super) note: String,
    /// Stands at the right.
    pub(super) time: String,
}

/// Where times stand in a wide terminal: further right, the eye loses the row.
const RIGHT: usize = 100;
/// A name is not cut below this for the sake of a time.
const LEAST: usize = 12;

impl Row {
    /// The depth of a step.
    pub(super) const STEP: usize = 0;
    /// The depth of an instance of a fan-out.
    pub(super) const INSTANCE: usize = 1;
    /// The depth of a log line.
    pub(super) const LOG: usize = 2;

    /// A row that tells of others.
    pub(super) fn note(mark: &'static str, text: String) -> Row {
        Row {
            depth: Row::STEP,
            mark,
            tone: Tone::Faint,
            text,
            text_tone: Tone::Faint,
            note: String::new(),
            time: String::new(),
        }
    }

    /// With how long it took, or takes.
    pub(super) fn taking(self, took: Option<Duration>) -> Row {
        Row {
            time: took.map(crate::render::human::duration).unwrap_or_default(),
            ..self
        }
    }

    /// The row in `columns` columns.
    pub(super) fn line(&self, columns: usize, style: Style) -> Line<'static> {
        let start = format!("{}{} ", "  ".repeat(self.depth), self.mark);
        let right = columns.min(RIGHT);
        // A time needs two columns of distance.
        let time = match width(&self.time) {
            0 => 0,
            time if width(&start) + LEAST.min(width(&self.text)) + 2 + time > right => 0,
            time => time + 2,
        };
        let room = if time > 0 { right - time } else { columns };
        let room = room.saturating_sub(width(&start));
        let text = cut(&self.text, room);
        let gap = if text.is_empty() { 0 } else { 2 };
        let note = cut(&self.note, room.saturating_sub(width(&text) + gap));
        let gap = if note.is_empty() { 0 } else { gap };
        let used = width(&start) + width(&text) + gap + width(&note);
        let note_tone = match self.tone {
            Tone::Bad => Tone::Bad,
            _ => Tone::Faint,
        };
        let mut spans = vec![
            Span::styled(start, style.look(self.tone)),
            Span::styled(text, style.look(self.text_tone)),
            Span::raw(" ".repeat(gap)),
            Span::styled(note, style.look(note_tone)),
        ];
        if time > 0 {
            let pad = right - used - width(&self.time);
            spans.push(Span::raw(" ".repeat(pad)));
            spans.push(Span::styled(self.time.clone(), style.look(Tone::Faint)));
        }
        // In what is narrower than a mark, the region cuts it.
        Line::from(spans)
    }
}
