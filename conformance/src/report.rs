//! What is written of results: for people, for CI servers, for programs, and for a driver's page.

mod badge;
mod json;
mod junit;
mod page;
mod profile;
mod tally;
mod text;
mod xml;

pub use badge::badge;
pub use json::json_report;
pub use junit::junit_report;
pub use page::{Summary, page};
pub use profile::profile;
pub use tally::{Group, Tally, groups};
pub use text::{TextOptions, text_report};

use crate::result::{Results, Rule};
use std::fmt::Write;

/// What requirements say, as Markdown in one line: `None` where a number is not known.
pub type Sentences<'a> = dyn Fn(&Rule) -> Option<String> + 'a;

/// How much was run: `ran 175 of 267, axes pairs, seed 20785`.
fn extent(results: &Results) -> String {
    let mut extent = format!("ran {}", results.counts().ran());
    if let Some(possible) = possible(results) {
        let _ = write!(extent, " of {possible}");
    }
    if !results.axes.is_empty() {
        let _ = write!(extent, ", axes {}, seed {}", results.axes, results.seed);
    }
    extent
}

/// How many runs there could be; `None` where that is not known: a suite that was stopped may not know it yet.
fn possible(results: &Results) -> Option<u64> {
    let known = results.stopped.is_none() || results.possible >= results.counts().ran();
    known.then_some(results.possible)
}

/// A text of a driver's as one line that shows what it has: what would move a terminal's cursor, colour it or turn
/// its letters around stands as an escape.
pub(crate) fn line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            letter if letter.is_control() || turns(letter) => {
                let _ = write!(shown, "{}", letter.escape_default());
            }
            letter => shown.push(letter),
        }
    }
    shown
}

/// Whether a letter turns the direction of others (UAX 9), or ends a line.
const fn turns(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_driver_says_cannot_move_the_cursor() {
        assert_eq!(
            line("größe\t\u{1b}[2J\r\n\u{202e}x\u{2028}`\\`"),
            "größe\\t\\u{1b}[2J\\r\\n\\u{202e}x\\u{2028}`\\`"
        );
    }
}
