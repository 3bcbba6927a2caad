//! Durations and instants for people.

use conveyor_engine::time::{Duration, Time};
use unicode_truncate::UnicodeTruncateStr as _;
use unicode_width::UnicodeWidthStr as _;

/// A duration with about three digits: `340ms`, `2.1s`, `1m03s`, `1h02m`, `3d04h`.
pub(crate) fn duration(duration: Duration) -> String {
    let millis = duration.0;
    let (seconds, minutes, hours) = (millis / 1000, millis / 60_000, millis / 3_600_000);
    match millis {
        0..1_000 => format!("{millis}ms"),
        1_000..10_000 => format!("{}.{}s", seconds, millis % 1000 / 100),
        10_000..60_000 => format!("{seconds}s"),
        60_000..3_600_000 => format!("{minutes}m{:02}s", seconds % 60),
        3_600_000..86_400_000 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{}d{:02}h", hours / 24, hours % 24),
    }
}

/// An instant to the second, in UTC: `2027-01-31 08:30:00`.
pub(crate) fn instant(time: Time) -> String {
    time.to_string()[..19].replacen('T', " ", 1)
}

/// The time of the day with milliseconds, in UTC: `08:30:00.250`.
pub(crate) fn clock(time: Time) -> String {
    time.to_string()[11..23].to_owned()
}

/// `1 step`, `2 steps`.
pub(crate) fn count(count: usize, noun: &str) -> String {
    if count == 1 {
        format!("1 {noun}")
    } else {
        format!("{count} {noun}s")
    }
}

/// How many columns of a terminal a text takes. A letter of Chinese takes two.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The text cut to `columns` columns, the last then being `…`.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    // Most texts are short ASCII, and a log line may be long: no need to measure either whole.
    if text.len() <= columns || text.unicode_truncate(columns).0.len() == text.len() {
        return text.to_owned();
    }
    if columns == 0 {
        return String::new();
    }
    format!("{}…", text.unicode_truncate(columns - 1).0)
}

/// The text without what a terminal would obey: control characters become `·`, tabs spaces.
/// A log line must not be able to move the cursor of the tree that shows it, and a label must not
/// read as another (Unicode's marks of direction turn what follows them).
pub(crate) fn printable(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\t' => clean.push_str("    "),
            // Colours and the like: dropped whole. ECMA-48: parameters, then one final byte.
            '\x1b' if rest.peek() == Some(&'[') => {
                rest.next();
                while rest.next_if(|c| (' '..='?').contains(c)).is_some() {}
                rest.next_if(|c| ('@'..='~').contains(c));
            }
            c if c.is_control() || turns(c) => clean.push('·'),
            c => clean.push(c),
        }
    }
    clean
}

/// Whether a character turns the direction of others (UAX 9).
const fn turns(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// As [`printable`], of a text with several lines.
pub(crate) fn printable_lines(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(printable).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_the_digits_that_matter() {
        for (millis, text) in [
            (0, "0ms"),
            (340, "340ms"),
            (2_190, "2.1s"),
            (31_999, "31s"),
            (63_000, "1m03s"),
            (3_725_000, "1h02m"),
            (3 * 86_400_000 + 4 * 3_600_000, "3d04h"),
        ] {
            assert_eq!(duration(Duration(millis)), text);
        }
    }

    #[test]
    fn a_cut_text_says_that_it_was_cut() {
        assert_eq!(cut("déploy", 6), "déploy");
        assert_eq!(cut("déploy", 5), "dépl…");
        assert_eq!(cut("déploy", 0), "");
        assert_eq!(cut("部署完成", 8), "部署完成");
        assert_eq!(cut("部署完成", 7), "部署完…");
        assert_eq!(cut("部署完成", 6), "部署…", "no half of a letter");
    }

    #[test]
    fn a_log_line_cannot_move_the_cursor() {
        assert_eq!(
            printable("a\tb\x1b[31mred\x1b[0m\x1b[2Ac\rd"),
            "a    bredc·d"
        );
        assert_eq!(printable("\x1b]0;title\x07x"), "·]0;title·x");
        assert_eq!(printable("\x1b[12\nwhat follows"), "·what follows");
        assert_eq!(
            printable("\u{9b}2J\x7f"),
            "·2J·",
            "the eighth bit does not help"
        );
        assert_eq!(printable("a\u{202e}b"), "a·b");
        assert_eq!(printable_lines("a\x1b[2J\nb\rc\n"), "a\nb·c\n");
    }
}
