//! Standard output and error: colours only on a terminal, no letters that it does not have, and a
//! reader that goes away is no error.

mod ascii;
mod notices;

pub(crate) use ascii::Fitting;
pub(crate) use notices::Notices;

use crate::render::human::printable_lines;
use clap::ValueEnum;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU8, Ordering};

/// `--color`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

static COLOUR: AtomicU8 = AtomicU8::new(0);

/// Remembers `--color` for the whole program.
pub(crate) fn set_colour(colour: Colour) {
    COLOUR.store(colour as u8, Ordering::Relaxed);
}

fn wanted(is_terminal: bool) -> bool {
    if COLOUR.load(Ordering::Relaxed) == Colour::Always as u8 {
        return true;
    }
    if COLOUR.load(Ordering::Relaxed) == Colour::Never as u8 {
        return false;
    }
    // https://no-color.org: set and not empty, whatever its value.
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    is_terminal && !refused && !dumb
}

/// Whether standard output gets colours.
pub(crate) fn colours_out() -> bool {
    wanted(io::stdout().is_terminal())
}

/// Whether standard error gets colours.
pub(crate) fn colours_err() -> bool {
    wanted(io::stderr().is_terminal())
}

/// Whether a tree can be drawn on standard error: it is a terminal that can move its cursor.
pub(crate) fn draws() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|value| value != "dumb")
}

/// Whether a stream is a terminal that has no more than ASCII for sure.
fn plain(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && !ascii::locale_is_utf8(|name| std::env::var(name).ok())
}

/// Standard error, for what is drawn on a terminal.
pub(crate) fn stderr() -> Fitting<io::Stderr> {
    let out = io::stderr();
    let ascii = plain(&out);
    Fitting { out, ascii }
}

/// Writes to standard output. A closed pipe ends the program as SIGPIPE would have, without a
/// message: the reader has what it wanted.
pub(crate) fn print(text: &str) {
    let out = io::stdout();
    let ascii = plain(&out);
    let mut out = Fitting {
        out: out.lock(),
        ascii,
    };
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        if error.kind() == io::ErrorKind::BrokenPipe {
            std::process::exit(141);
        }
        drop(out);
        self::error(&format!("cannot write to standard output: {error}"));
        std::process::exit(1);
    }
}

/// Writes to standard error, whatever is drawn there. There is nowhere to complain when that fails.
pub(crate) fn print_err(text: &str) {
    let _ = stderr().write_all(text.as_bytes());
}

/// `conveyor: error: …` on standard error.
pub(crate) fn error(message: &str) {
    let (on, off) = if colours_err() {
        ("\x1b[1;31m", "\x1b[0m")
    } else {
        ("", "")
    };
    let message = printable_lines(message);
    notices::say(format!("conveyor: {on}error:{off} {message}\n"));
}

/// `conveyor: warning: …` on standard error.
pub(crate) fn warning(message: &str) {
    let (on, off) = if colours_err() {
        ("\x1b[1;33m", "\x1b[0m")
    } else {
        ("", "")
    };
    let message = printable_lines(message);
    notices::say(format!("conveyor: {on}warning:{off} {message}\n"));
}

/// `conveyor: …` on standard error.
pub(crate) fn note(message: &str) {
    notices::say(format!("conveyor: {}\n", printable_lines(message)));
}

/// Width and height of the terminal on standard error or output, in characters.
pub(crate) fn size() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(io::stderr())
        .or_else(|_| rustix::termios::tcgetwinsize(io::stdout()))
        .ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then(|| (size.ws_col.into(), size.ws_row.into()))
}
