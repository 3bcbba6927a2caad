//! Draws the tree over its last drawing.

use super::{Frame, Tails, tree};
use crate::render::style::Style;
use crate::render::view::{ProgressEvent, RunView, What};
use std::fmt::Write as _;
use std::io::{self, Write};

/// The drawing of a tree on a terminal.
///
/// The caller decides when to draw: after events, and now and then for the spinner; ten times a
/// second is what an eye sees. The lines of the last drawing are drawn over in one write, so that
/// nothing flickers, and only the lines that changed are sent.
#[derive(Debug)]
pub(crate) struct Live<W> {
    out: W,
    style: Style,
    tails: Tails,
    drawn: Vec<String>,
    turn: usize,
}

impl<W: Write> Live<W> {
    /// Nothing is drawn yet.
    pub(crate) fn new(out: W, style: Style) -> Live<W> {
        Live {
            out,
            style,
            tails: Tails::default(),
            drawn: Vec::new(),
            turn: 0,
        }
    }

    /// Keeps what the tree shows besides the view. Call it for each event, drawn or not.
    pub(crate) fn take(&mut self, event: &ProgressEvent) {
        match &event.what {
            What::Log { id, text, .. } => self.tails.push(*id, text),
            What::Attempt { id, .. } => self.tails.end(id.step, id.instance),
            _ => {}
        }
    }

    /// Draws the view. `frame.turn` is counted here.
    ///
    /// # Errors
    /// When the terminal cannot be written.
    pub(crate) fn draw(&mut self, view: &RunView, frame: Frame) -> io::Result<()> {
        self.turn += 1;
        let lines = tree(
            view,
            &self.tails,
            Frame {
                turn: self.turn,
                ..frame
            },
            self.style,
        );
        self.replace(lines)
    }

    /// Takes the drawing off the screen, before something else is printed for good.
    ///
    /// # Errors
    /// When the terminal cannot be written.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        self.replace(Vec::new())
    }

    fn replace(&mut self, lines: Vec<String>) -> io::Result<()> {
        // Without wrapping, a line with characters wider than we count cannot become two lines.
        let mut text = "\x1b[?7l".to_owned();
        if !self.drawn.is_empty() {
            // The cursor stands at the start of the line under the drawing.
            let _ = write!(text, "\x1b[{}A", self.drawn.len());
        }
        for (at, line) in lines.iter().enumerate() {
            if self.drawn.get(at) != Some(line) {
                text.push_str("\x1b[2K");
                text.push_str(line);
            }
            text.push_str("\r\n");
        }
        if lines.len() < self.drawn.len() {
            text.push_str("\x1b[J");
        }
        text.push_str("\x1b[?7h");
        self.drawn = lines;
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}
