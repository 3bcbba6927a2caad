//! Text for a terminal whose locale is not UTF-8: a character for each column, all of them ASCII.
//!
//! Such a terminal does not only show other letters: the second byte of `ě` is the beginning of a
//! control sequence to it.

use std::io::{self, Write};
use unicode_width::UnicodeWidthChar as _;

/// Whether the locale says UTF-8. POSIX: the first of these that is set and not empty counts, and
/// without any it is `C`.
pub(super) fn locale_is_utf8(variable: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name: &&str| variable(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(set);
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// The text in ASCII, as wide as it was.
pub(super) fn ascii(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            _ if c.is_ascii() => plain.push(c),
            // The marks of the tree, the tables and the charts.
            '✓' | '⠼' => plain.push('+'),
            '✗' | '×' | '▓' => plain.push('x'),
            '■' | '█' => plain.push('#'),
            '▶' | '→' => plain.push('>'),
            '◷' | '▒' => plain.push('~'),
            '●' => plain.push('*'),
            '○' => plain.push('o'),
            '│' | '╷' | '⠋' | '⠴' => plain.push('|'),
            '⠙' | '⠦' => plain.push('/'),
            '⠹' | '⠧' => plain.push('-'),
            '⠸' | '⠇' => plain.push('\\'),
            '⠏' | '·' | '…' | '░' => plain.push('.'),
            c => (0..c.width().unwrap_or(0)).for_each(|_| plain.push('?')),
        }
    }
    plain
}

/// Writes what it is given in ASCII, where `ascii` says so. Each write is whole characters.
#[derive(Debug)]
pub(crate) struct Fitting<W> {
    pub(super) out: W,
    pub(super) ascii: bool,
}

impl<W: Write> Write for Fitting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(bytes) {
            Ok(text) if self.ascii => {
                self.out.write_all(ascii(text).as_bytes())?;
                Ok(bytes.len())
            }
            _ => self.out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::human::width;

    #[test]
    fn the_first_variable_that_is_set_names_the_locale() {
        let locale = |set: &[(&str, &str)]| {
            locale_is_utf8(|name| {
                let of = set.iter().find(|(variable, _)| *variable == name);
                of.map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(locale(&[("LANG", "en_GB.UTF-8")]));
        assert!(locale(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8")]));
        assert!(!locale(&[("LC_ALL", "POSIX"), ("LANG", "en_GB.UTF-8")]));
        assert!(!locale(&[("LANG", "de_DE.ISO-8859-1")]));
        assert!(!locale(&[]));
    }

    #[test]
    fn every_mark_has_its_column_and_no_byte_is_above_ascii() {
        let text = "✓ ✗ ■ ▶ ◷ ○ ● · │ … → × █▓▒░╷ ⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ě 部署 \x1b[32m";
        let plain = ascii(text);
        assert!(plain.is_ascii(), "{plain}");
        assert_eq!(width(&plain), width(text), "{plain}");
        assert!(plain.ends_with(" ? ???? \x1b[32m"), "{plain}");
        let mut out = Fitting {
            out: Vec::new(),
            ascii: true,
        };
        out.write_all("✓ done".as_bytes()).expect("a vector");
        assert_eq!(out.out, b"+ done");
    }
}
