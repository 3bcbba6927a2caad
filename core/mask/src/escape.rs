//! How programs write letters that mean something where they stand.

use std::ops::Range;

/// The longest escape that is read, in bytes: two halves of a letter in JSON, `\ud83d\udd11`.
pub(crate) const LONGEST: usize = 12;

/// Letters of HTML that have names.
const NAMED: [(&[u8], u8); 5] = [
    (b"&amp;", b'&'),
    (b"&lt;", b'<'),
    (b"&gt;", b'>'),
    (b"&quot;", b'"'),
    (b"&apos;", b'\''),
];

/// A letter, or a byte of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    /// How long the escape is, in bytes.
    pub(crate) raw: usize,
    bytes: [u8; 4],
    len: usize,
}

impl Letter {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn byte(raw: usize, byte: u8) -> Letter {
        let bytes = [byte, 0, 0, 0];
        Letter { raw, bytes, len: 1 }
    }

    fn number(raw: usize, number: u32) -> Result<Letter, Not> {
        let letter = char::from_u32(number).ok_or(Not::Escape)?;
        let mut bytes = [0; 4];
        let len = letter.encode_utf8(&mut bytes).len();
        Ok(Letter { raw, bytes, len })
    }
}

/// Why a text does not begin with an escape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Not {
    /// It begins with none.
    Escape,
    /// It may, if it goes on.
    Whole,
}

/// Whether escapes begin with the byte.
pub(crate) fn begins(byte: u8) -> bool {
    matches!(byte, b'%' | b'+' | b'\\' | b'&' | b'~')
}

/// The escape that the text begins with: of URLs, forms, JSON and languages like it, HTML, or pointers into
/// JSON (RFC 6901).
pub(crate) fn read(text: &[u8]) -> Result<Letter, Not> {
    match text.first().ok_or(Not::Whole)? {
        b'+' => Ok(Letter::byte(1, b' ')),
        b'%' => Ok(Letter::byte(3, hex(text, 1..3)? as u8)),
        b'~' => match text.get(1).ok_or(Not::Whole)? {
            b'0' => Ok(Letter::byte(2, b'~')),
            b'1' => Ok(Letter::byte(2, b'/')),
            _ => Err(Not::Escape),
        },
        b'\\' => backslash(text),
        b'&' => html(text),
        _ => Err(Not::Escape),
    }
}

fn backslash(text: &[u8]) -> Result<Letter, Not> {
    let byte = match text.get(1).ok_or(Not::Whole)? {
        byte @ (b'"' | b'\'' | b'\\' | b'/') => *byte,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'x' => return Ok(Letter::byte(4, hex(text, 2..4)? as u8)),
        b'u' => return unit(text),
        _ => return Err(Not::Escape),
    };
    Ok(Letter::byte(2, byte))
}

fn unit(text: &[u8]) -> Result<Letter, Not> {
    let first = hex(text, 2..6)?;
    if !(0xD800..0xDC00).contains(&first) {
        return Letter::number(6, first);
    }
    for (at, expected) in [(6, b'\\'), (7, b'u')] {
        if *text.get(at).ok_or(Not::Whole)? != expected {
            return Err(Not::Escape);
        }
    }
    let second = hex(text, 8..12)?;
    if !(0xDC00..0xE000).contains(&second) {
        return Err(Not::Escape);
    }
    Letter::number(
        LONGEST,
        0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00),
    )
}

fn html(text: &[u8]) -> Result<Letter, Not> {
    if text.get(1).ok_or(Not::Whole)? == &b'#' {
        let base = match text.get(2).ok_or(Not::Whole)? {
            b'x' | b'X' => 16,
            _ => 10,
        };
        let from = if base == 16 { 3 } else { 2 };
        let mut number = 0;
        for at in from..LONGEST {
            let byte = *text.get(at).ok_or(Not::Whole)?;
            if byte == b';' && at > from {
                return Letter::number(at + 1, number);
            }
            let digit = char::from(byte).to_digit(base).ok_or(Not::Escape)?;
            // Too large stays too large.
            number = number.min(char::MAX as u32 + 1) * base + digit;
        }
        return Err(Not::Escape);
    }
    for (name, byte) in NAMED {
        if text.starts_with(name) {
            return Ok(Letter::byte(name.len(), byte));
        }
        if name.starts_with(text) {
            return Err(Not::Whole);
        }
    }
    Err(Not::Escape)
}

/// The number that hexadecimal digits of either case make.
fn hex(text: &[u8], digits: Range<usize>) -> Result<u32, Not> {
    let mut number = 0;
    for at in digits {
        let byte = *text.get(at).ok_or(Not::Whole)?;
        number = number << 4 | char::from(byte).to_digit(16).ok_or(Not::Escape)?;
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read_or_waited_for() {
        for (text, letter) in [
            ("+", " "),
            ("%2F", "/"),
            ("%2f", "/"),
            ("~0", "~"),
            ("~1", "/"),
            ("\\\"", "\""),
            ("\\/", "/"),
            ("\\n", "\n"),
            ("\\x2b", "+"),
            ("\\u00E4", "ä"),
            ("\\ud83d\\uDD11", "\u{1F511}"),
            ("&amp;", "&"),
            ("&#39;", "'"),
            ("&#x27;", "'"),
            ("&#128273;", "\u{1F511}"),
            ("&#x00000027;", "'"),
        ] {
            let read_of = |text: &str| read(text.as_bytes());
            let whole = read_of(&format!("{text}x")).expect(text);
            assert_eq!((whole.raw, whole.bytes()), (text.len(), letter.as_bytes()));
            assert!(whole.raw <= LONGEST);
            for end in 1..text.len() {
                assert_eq!(read_of(&text[..end]), Err(Not::Whole), "{text}, {end}");
            }
        }
        for text in [
            "x",
            "%2",
            "%zz",
            "~2",
            "\\q",
            "\\u00g",
            "\\ud83dx",
            "\\udd11",
            "\\ud83d\\u0041",
            "&x;",
            "&#;",
            "&#x;",
            "&#1114112;",
            "&#0000000000;",
        ] {
            assert_eq!(
                read(format!("{text}-").as_bytes()),
                Err(Not::Escape),
                "{text}"
            );
        }
    }
}
