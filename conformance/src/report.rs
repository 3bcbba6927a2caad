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

use crate::result::Rule;
use std::fmt::Write;

/// What requirements say, as Markdown in one line: `None` where a number is not known.
pub type Sentences<'a> = dyn Fn(&Rule) -> Option<String> + 'a;

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
