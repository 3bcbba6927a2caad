//! Bytes into lines, with a bound on what is held.

/// The longest line in bytes. What is longer comes in parts of at most as much, each but the last of which
/// goes on in the next (R73). The number is what a pipe holds (a longer one would make the reader keep more
/// than the kernel does) and what an engine keeps of a line.
pub const MAX_LINE_BYTES: usize = 64 << 10;

/// A line, or a part of one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) text: Vec<u8>,
    /// Whether it goes on in the next.
    pub(crate) goes_on: bool,
}

/// Splits a stream at `\n`, at `\r\n` and at a lone `\r` (a progress bar's every state is a line).
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pending: Vec<u8>,
    after_cr: bool,
}

impl Lines {
    /// Takes the next bytes and hands over the lines that they complete.
    pub(crate) fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(Line)) {
        while let Some(&first) = bytes.first() {
            if self.after_cr {
                self.after_cr = false;
                if first == b'\n' {
                    line(self.whole());
                    bytes = &bytes[1..];
                    continue;
                }
                // Nothing before a lone `\r` is no line: `\r` also goes to the start of an empty one.
                if !self.pending.is_empty() {
                    line(self.whole());
                }
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (text, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            self.extend(text, &mut line);
            match rest.first() {
                Some(b'\n') => line(self.whole()),
                Some(_) => self.after_cr = true,
                None => return,
            }
            bytes = &rest[1..];
        }
    }

    /// The last line, where the stream ends without a line feed.
    pub(crate) fn finish(&mut self) -> Option<Line> {
        self.after_cr = false;
        (!self.pending.is_empty()).then(|| self.whole())
    }

    fn whole(&mut self) -> Line {
        Line {
            text: std::mem::take(&mut self.pending),
            goes_on: false,
        }
    }

    fn extend(&mut self, mut text: &[u8], line: &mut impl FnMut(Line)) {
        while self.pending.len() + text.len() > MAX_LINE_BYTES {
            let (part, rest) = text.split_at(MAX_LINE_BYTES - self.pending.len());
            self.pending.extend_from_slice(part);
            text = rest;
            let carried = self.pending.split_off(character_start(&self.pending));
            line(Line {
                text: std::mem::replace(&mut self.pending, carried),
                goes_on: true,
            });
        }
        self.pending.extend_from_slice(text);
    }
}

/// Where to cut so that no UTF-8 character is cut in two: the end, or the start of a last character
/// that is not complete.
fn character_start(bytes: &[u8]) -> usize {
    let len = bytes.len();
    for back in 1..=3.min(len) {
        let byte = bytes[len - back];
        let whole = match byte {
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF7 => 4,
            0x80..=0xBF => continue,
            _ => 1,
        };
        return if whole > back { len - back } else { len };
    }
    len
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of `chunks`, the unfinished last one included.
    fn lines(chunks: &[&[u8]]) -> Vec<Line> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for chunk in chunks {
            lines.push(chunk, |line| found.push(line));
        }
        found.extend(lines.finish());
        found
    }

    /// The same as texts, none of which is a part.
    fn split(chunks: &[&[u8]]) -> Vec<String> {
        let whole = lines(chunks).into_iter().map(|line| {
            assert!(!line.goes_on, "{} bytes go on", line.text.len());
            String::from_utf8(line.text).expect("UTF-8")
        });
        whole.collect()
    }

    /// Lengths of the parts, each of which but the last goes on.
    fn parts(text: &[u8]) -> Vec<usize> {
        let parts = lines(&[text]);
        let (last, others) = parts.split_last().expect("a line");
        assert!(!last.goes_on && others.iter().all(|part| part.goes_on));
        let joined: Vec<u8> = parts.iter().flat_map(|part| part.text.clone()).collect();
        let end = text.strip_suffix(b"\n").unwrap_or(text);
        assert!(
            joined == end.strip_suffix(b"\r").unwrap_or(end),
            "nothing is lost or added"
        );
        parts.iter().map(|part| part.text.len()).collect()
    }

    #[test]
    fn every_kind_of_line_end_wherever_the_chunks_are_cut() {
        let text = b"one\ntwo\r\n\n10%\r20%\r\rdone\r\nlast";
        let expected = ["one", "two", "", "10%", "20%", "done", "last"];
        for cut in 0..=text.len() {
            assert_eq!(
                split(&[&text[..cut], &text[cut..]]),
                expected,
                "cut at {cut}"
            );
        }
        let single: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(split(&single), expected);
    }

    #[test]
    fn a_long_line_comes_in_parts_between_characters() {
        for letter in ["é", "€", "🦀"] {
            // Wherever the limit falls into a character.
            for before in 0..letter.len() {
                let text = "x".repeat(before) + &letter.repeat(MAX_LINE_BYTES / 2);
                let of = letter.len();
                let full = MAX_LINE_BYTES - (MAX_LINE_BYTES - before) % of;
                let lengths = parts(text.as_bytes());
                assert_eq!(lengths[0], full, "{before} bytes before {letter}");
                for part in lines(&[text.as_bytes()]) {
                    assert!(std::str::from_utf8(&part.text).is_ok(), "{letter} is cut");
                }
            }
        }
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_whole() {
        let text = "x".repeat(MAX_LINE_BYTES);
        for end in ["", "\n", "\r\n", "\r"] {
            assert_eq!(split(&[text.as_bytes(), end.as_bytes()]), [text.as_str()]);
        }
    }

    #[test]
    fn a_line_of_a_megabyte_comes_in_parts_whatever_its_bytes_and_its_end() {
        let sixteen = vec![MAX_LINE_BYTES; 16];
        // Text, no text, and what looks like half a letter all along, or like a letter that never ends.
        for byte in [b'x', 0, 0xFF, 0xC3, 0x80] {
            for end in [&b""[..], b"\n", b"\r\n"] {
                let text = [&vec![byte; 1 << 20][..], end].concat();
                let lengths = parts(&text);
                match byte {
                    // No letter is complete: a byte of it waits for the next part.
                    0xC3 => assert!(lengths.len() == 17 && lengths[0] == MAX_LINE_BYTES - 1),
                    _ => assert_eq!(lengths, sixteen, "{byte:#x} and {end:?}"),
                }
            }
        }
    }

    #[test]
    fn an_end_of_line_right_behind_a_part_ends_the_line_and_begins_none() {
        let text = "x".repeat(2 * MAX_LINE_BYTES) + "\r\nnext\n";
        for cut in [MAX_LINE_BYTES, 2 * MAX_LINE_BYTES, 2 * MAX_LINE_BYTES + 1] {
            let (before, after) = text.as_bytes().split_at(cut);
            let found = lines(&[before, after]);
            let told: Vec<_> = found
                .iter()
                .map(|line| (line.text.len(), line.goes_on))
                .collect();
            let parts = [(MAX_LINE_BYTES, true), (MAX_LINE_BYTES, false), (4, false)];
            assert_eq!(told, parts, "cut at {cut}");
        }
    }

    #[test]
    fn what_was_written_before_the_stream_ended_is_a_line() {
        assert_eq!(split(&[b"one\ntwo"]), ["one", "two"]);
        assert_eq!(split(&[b"one\n"]), ["one"]);
        assert_eq!(split(&[b"one\r"]), ["one"]);
        assert!(split(&[b""]).is_empty());
        assert_eq!(split(&[b"a\0b\n\0\n"]), ["a\0b", "\0"]);
    }
}
