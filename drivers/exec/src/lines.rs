//! Bytes into lines, with a bound on what is held.

/// The longest line in bytes. What is longer comes in parts of at most as much, each but the last with a
/// marker in it. The number is what a pipe holds (a longer one would make the reader keep more than the
/// kernel does) and what an engine keeps of a line: more would be cut off there, the marker first.
pub const MAX_LINE_BYTES: usize = 64 << 10;

/// Splits a stream at `\n`, at `\r\n` and at a lone `\r` (a progress bar's every state is a line).
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pending: Vec<u8>,
    after_cr: bool,
}

impl Lines {
    /// Takes the next bytes and hands over the lines that they complete.
    pub(crate) fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(Vec<u8>)) {
        while let Some(&first) = bytes.first() {
            if self.after_cr {
                self.after_cr = false;
                if first == b'\n' {
                    line(std::mem::take(&mut self.pending));
                    bytes = &bytes[1..];
                    continue;
                }
                // Nothing before a lone `\r` is no line: `\r` also goes to the start of an empty one.
                if !self.pending.is_empty() {
                    line(std::mem::take(&mut self.pending));
                }
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (text, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            self.extend(text, &mut line);
            match rest.first() {
                Some(b'\n') => line(std::mem::take(&mut self.pending)),
                Some(_) => self.after_cr = true,
                None => return,
            }
            bytes = &rest[1..];
        }
    }

    /// The last line, where the stream ends without a line feed.
    pub(crate) fn finish(&mut self) -> Option<Vec<u8>> {
        self.after_cr = false;
        (!self.pending.is_empty()).then(|| std::mem::take(&mut self.pending))
    }

    fn extend(&mut self, mut text: &[u8], line: &mut impl FnMut(Vec<u8>)) {
        while self.pending.len() + text.len() > MAX_LINE_BYTES {
            let marker = format!(" [line split at {MAX_LINE_BYTES} bytes]");
            let (part, rest) = text.split_at(MAX_LINE_BYTES - self.pending.len());
            self.pending.extend_from_slice(part);
            text = rest;
            let cut = character_start(&self.pending[..MAX_LINE_BYTES - marker.len()]);
            let carried = self.pending.split_off(cut);
            let mut part = std::mem::replace(&mut self.pending, carried);
            part.extend_from_slice(marker.as_bytes());
            line(part);
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
    fn split(chunks: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for chunk in chunks {
            lines.push(chunk, |line| found.push(line));
        }
        found.extend(lines.finish());
        found
            .into_iter()
            .map(|line| String::from_utf8(line).expect("UTF-8"))
            .collect()
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
        let text = "é".repeat(MAX_LINE_BYTES) + "\n";
        // One byte off, so that the limit falls into a character.
        let text = format!("x{text}");
        let parts = split(&[text.as_bytes()]);
        assert_eq!(parts.len(), 3);
        let marker = format!(" [line split at {MAX_LINE_BYTES} bytes]");
        assert!(parts[..2].iter().all(|part| part.ends_with(&marker)));
        // With its marker a part is as long as an engine keeps, but for what is left of a character.
        let full = MAX_LINE_BYTES - 1..=MAX_LINE_BYTES;
        assert!(parts[..2].iter().all(|part| full.contains(&part.len())));
        let joined: String = parts
            .iter()
            .map(|part| part.trim_end_matches(&marker))
            .collect();
        assert_eq!(joined + "\n", text);
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_whole() {
        let text = "x".repeat(MAX_LINE_BYTES);
        assert_eq!(split(&[text.as_bytes(), b"\n"]), [text]);
    }
}
