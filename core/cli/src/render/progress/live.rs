//! The tree on a terminal.

use super::region::Region;
use super::tails::Tails;
use super::tree::{Frame, tree};
use crate::render::style::Style;
use crate::render::view::{ProgressEvent, RunView, What};
use std::io::{self, Write};

/// The drawing of a tree on a terminal.
///
/// The caller decides when to draw: after events, and now and then for the spinner; ten times a
/// second is what an eye sees.
#[derive(Debug)]
pub(crate) struct Live<W> {
    region: Region<W>,
    style: Style,
    tails: Tails,
    turn: usize,
    width: u16,
}

impl<W: Write> Live<W> {
    /// Nothing is drawn yet.
    pub(crate) fn new(out: W, style: Style) -> Live<W> {
        Live {
            region: Region::new(out),
            style,
            tails: Tails::default(),
            turn: 0,
            width: 0,
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
        let lines = self.lines(view, frame);
        self.region.draw(&lines, self.width)
    }

    /// Writes a notice for good, above the drawing.
    ///
    /// # Errors
    /// When the terminal cannot be written.
    pub(crate) fn say(&mut self, notice: &str, view: &RunView, frame: Frame) -> io::Result<()> {
        let lines = self.lines(view, frame);
        self.region.insert_before(notice, &lines, self.width)
    }

    /// Takes the drawing off the screen, before something else is printed for good.
    ///
    /// # Errors
    /// When the terminal cannot be written.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        self.region.draw(&[], self.width)
    }

    /// What was written so far.
    #[cfg(test)]
    pub(super) fn out(&self) -> &W {
        self.region.out()
    }

    fn lines(&mut self, view: &RunView, frame: Frame) -> Vec<ratatui_core::text::Line<'static>> {
        self.width = u16::try_from(frame.width).unwrap_or(u16::MAX);
        let frame = Frame {
            turn: self.turn,
            ..frame
        };
        tree(view, &self.tails, frame, self.style)
    }
}
