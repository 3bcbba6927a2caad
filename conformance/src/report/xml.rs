//! Text within XML.

use std::fmt::Write;

/// A text as content, or as a value between `"`. Letters that XML 1.0 has no place for, not even as references,
/// are U+FFFD.
pub(super) fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // As they stand, a parser makes spaces of them within a value, and one line end of `\r\n`.
            '\n' | '\r' | '\t' => {
                let _ = write!(escaped, "&#{};", u32::from(letter));
            }
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_has_no_place_for_is_replaced() {
        assert_eq!(
            xml("<a b=\"c\">&\u{1b}[0m\0\r\n\t\u{7f}\u{fffe}]]>größe"),
            "&lt;a b=&quot;c&quot;&gt;&amp;\u{fffd}[0m\u{fffd}&#13;&#10;&#9;\u{7f}\u{fffd}]]&gt;größe"
        );
    }
}
