//! Lines at the bottom of what a terminal shows, drawn again as they change.
//!
//! Cells, widths and the difference of two drawings are ratatui's, the words of the terminal
//! crossterm's. Neither's own viewport is used: theirs ask the terminal where its cursor is, which
//! needs raw mode and an answer on standard input, have one height for ever, and leave lines behind
//! where a narrower terminal has wrapped them.
//!
//! Between two writes the terminal is as any program leaves it: the cursor shown, at the start of
//! the line under the drawing, lines wrapping. So nothing has to be put right where the program
//! ends, whatever ends it.

use crossterm::cursor::{Hide, MoveDown, MoveToColumn, MoveUp, Show};
use crossterm::queue;
use crossterm::style::{
    Attribute, Color as Colour, Print, SetAttribute, SetForegroundColor, force_color_output,
};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, DisableLineWrap, EnableLineWrap,
    EndSynchronizedUpdate,
};
use ratatui_core::buffer::{Buffer, Cell};
use ratatui_core::layout::Rect;
use ratatui_core::style::{Color, Modifier};
use ratatui_core::text::Line;
use std::io::{self, Write};
use unicode_width::UnicodeWidthStr;

/// What is drawn, and where to.
#[derive(Debug)]
pub(super) struct Region<W> {
    out: W,
    drawn: Buffer,
}

impl<W: Write> Region<W> {
    /// Nothing is drawn yet.
    pub(super) fn new(out: W) -> Region<W> {
        // Whether there are colours is decided by what the cells hold, `--color` included.
        force_color_output(true);
        Region {
            out,
            drawn: Buffer::empty(Rect::ZERO),
        }
    }

    /// Draws these lines in the place of the ones before, in one write. Lines are cut at `width`,
    /// and there must be fewer than the terminal has rows.
    ///
    /// # Errors
    /// When the terminal cannot be written.
    pub(super) fn draw(&mut self, lines: &[Line<'_>], width: u16) -> io::Result<()> {
        let mut text = Vec::new();
        begin(&mut text)?;
        self.replace(&mut text, lines, width)?;
        end(&mut text)?;
        self.out.write_all(&text)?;
        self.out.flush()
    }

    /// Writes text above the drawing, where it stays, and draws again under it.
    ///
    /// # Errors
    /// When the terminal cannot be written.
    pub(super) fn insert_before(
        &mut self,
        above: &str,
        lines: &[Line<'_>],
        width: u16,
    ) -> io::Result<()> {
        let mut text = Vec::new();
        begin(&mut text)?;
        self.replace(&mut text, &[], width)?;
        queue!(text, EnableLineWrap)?;
        for line in above.lines() {
            queue!(text, Print(line), Print("\r\n"))?;
        }
        queue!(text, DisableLineWrap)?;
        self.replace(&mut text, lines, width)?;
        end(&mut text)?;
        self.out.write_all(&text)?;
        self.out.flush()
    }

    /// What was written to.
    #[cfg(test)]
    pub(super) fn out(&self) -> &W {
        &self.out
    }

    fn replace(&mut self, text: &mut Vec<u8>, lines: &[Line<'_>], width: u16) -> io::Result<()> {
        if self.drawn.area.width != width {
            erase(text, self.rows_at(width))?;
            self.drawn = Buffer::empty(Rect::new(0, 0, width, 0));
        }
        let height = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        let area = Rect::new(0, 0, width, height);
        let mut next = Buffer::empty(area);
        for (y, line) in (0..height).zip(lines) {
            next.set_line(0, y, line, width);
        }
        let before = self.drawn.area.height;
        if before > height {
            erase(text, before - height)?;
        }
        for _ in before..height {
            queue!(text, Print("\r\n"))?;
        }
        self.drawn.resize(area);
        changes(text, &self.drawn, &next)?;
        self.drawn = next;
        Ok(())
    }

    /// How many rows the drawing takes where the terminal has become `width` wide since: terminals
    /// wrap what no longer fits.
    fn rows_at(&self, width: u16) -> u16 {
        let rows = (0..self.drawn.area.height).map(|y| filled(&self.drawn, y));
        rows.map(|used| used.div_ceil(width.max(1)).max(1))
            .fold(0, u16::saturating_add)
    }
}

fn begin(text: &mut Vec<u8>) -> io::Result<()> {
    queue!(text, BeginSynchronizedUpdate, Hide, DisableLineWrap)?;
    // A `^C` that the terminal has echoed stands under the drawing.
    queue!(text, MoveToColumn(0), Clear(ClearType::FromCursorDown))
}

fn end(text: &mut Vec<u8>) -> io::Result<()> {
    queue!(text, EnableLineWrap, Show, EndSynchronizedUpdate)
}

fn up(text: &mut Vec<u8>, rows: u16) -> io::Result<()> {
    match rows {
        // Zero means one to a terminal.
        0 => Ok(()),
        rows => queue!(text, MoveUp(rows)),
    }
}

/// Erases the rows above the cursor, from the bottom. All at once, from the top row of the screen,
/// would be kept as history by tmux.
fn erase(text: &mut Vec<u8>, rows: u16) -> io::Result<()> {
    for _ in 0..rows {
        queue!(text, MoveUp(1), Clear(ClearType::CurrentLine))?;
    }
    Ok(())
}

/// How many columns of a row hold something, from the left.
fn filled(buffer: &Buffer, y: u16) -> u16 {
    let last = (0..buffer.area.width)
        .rev()
        .find(|x| buffer[(*x, y)].symbol() != " ");
    last.map_or(0, |x| x + wide(&buffer[(x, y)]))
}

fn wide(cell: &Cell) -> u16 {
    u16::try_from(cell.symbol().width().max(1)).unwrap_or(1)
}

/// Writes what differs, from the start of the row under the drawing and back to it.
fn changes(text: &mut Vec<u8>, before: &Buffer, next: &Buffer) -> io::Result<()> {
    let (mut x, mut y) = (0, next.area.height);
    let mut worn = (Color::Reset, Modifier::empty());
    let mut cleared = None;
    for (to_x, to_y, cell) in before.diff(next) {
        if cleared == Some(to_y) {
            continue;
        }
        if to_y < y {
            up(text, y - to_y)?;
        } else if to_y > y {
            queue!(text, MoveDown(to_y - y))?;
        }
        if (to_x, to_y) != (x, y) {
            queue!(text, MoveToColumn(to_x))?;
        }
        (x, y) = (to_x, to_y);
        wear(text, &mut worn, (cell.fg, cell.modifier))?;
        if x >= filled(next, y) {
            // Written spaces would be wrapped by a terminal that becomes narrower.
            queue!(text, Clear(ClearType::UntilNewLine))?;
            cleared = Some(y);
            continue;
        }
        queue!(text, Print(cell.symbol()))?;
        x += wide(cell);
    }
    wear(text, &mut worn, (Color::Reset, Modifier::empty()))?;
    if y < next.area.height {
        queue!(text, MoveDown(next.area.height - y))?;
    }
    queue!(text, MoveToColumn(0))
}

/// Changes the colour of what is written next.
fn wear(
    text: &mut Vec<u8>,
    worn: &mut (Color, Modifier),
    next: (Color, Modifier),
) -> io::Result<()> {
    if *worn == next {
        return Ok(());
    }
    queue!(text, SetAttribute(Attribute::Reset))?;
    let colour = match next.0 {
        Color::Green => Some(Colour::DarkGreen),
        Color::Red => Some(Colour::DarkRed),
        Color::Yellow => Some(Colour::DarkYellow),
        Color::Cyan => Some(Colour::DarkCyan),
        _ => None,
    };
    if let Some(colour) = colour {
        queue!(text, SetForegroundColor(colour))?;
    }
    for (modifier, attribute) in [
        (Modifier::BOLD, Attribute::Bold),
        (Modifier::DIM, Attribute::Dim),
    ] {
        if next.1.contains(modifier) {
            queue!(text, SetAttribute(attribute))?;
        }
    }
    *worn = next;
    Ok(())
}
