//! Where in the source the byte of a text stands, whatever the style that the text is written in.
//!
//! The parsers give the text of a scalar and where it starts. An error inside of it needs the place
//! of one of its bytes; this walks source and text side by side until there. What it does not
//! understand makes them differ, and then there is no answer rather than a wrong one.

use std::borrow::Cow;

/// The source's offset of byte `offset` of `value`, a scalar that starts at `at`: at its quote, its
/// `|` or `>`, or its first letter. `None` where the two do not fit.
pub(super) fn source_offset(source: &str, at: usize, value: &str, offset: usize) -> Option<usize> {
    let rest = source.get(at..)?;
    match rest.as_bytes().first()? {
        b'"' => flow(source, at + 1, value, offset, escaped),
        b'\'' => flow(source, at + 1, value, offset, doubled),
        b'|' | b'>' => block(source, at, value, offset),
        _ => flow(source, at, value, offset, |_| None),
    }
}

/// What an escape is in the source, in bytes, and what it stands for.
type Escape = (usize, Cow<'static, str>);

/// Plain and quoted scalars: a line break is a space, each blank line after it a line break.
fn flow(
    source: &str,
    start: usize,
    value: &str,
    offset: usize,
    escape: fn(&str) -> Option<Escape>,
) -> Option<usize> {
    let mut at = start;
    let mut done = 0;
    while done < offset {
        let rest = &source[at..];
        let (len, text) = match folded(rest).or_else(|| escape(rest)) {
            Some((len, text)) => (len, text),
            None => {
                let len = rest.chars().next()?.len_utf8();
                (len, Cow::Owned(rest[..len].to_owned()))
            }
        };
        if !value.get(done..)?.starts_with(&*text) {
            return None;
        }
        if done + text.len() > offset {
            break;
        }
        done += text.len();
        at += len;
    }
    // An escaped line break gives nothing: what is looked for stands behind it.
    match escape(&source[at..]) {
        Some((len, text)) if text.is_empty() => Some(at + len),
        _ => Some(at),
    }
}

/// A line break at the end of a line, with the blanks around it.
fn folded(rest: &str) -> Option<Escape> {
    let (len, breaks) = breaks(rest);
    match breaks {
        0 => None,
        1 => Some((len, Cow::Borrowed(" "))),
        _ => Some((len, "\n".repeat(breaks - 1).into())),
    }
}

/// How many lines end before the next text, and how long all of that is.
fn breaks(text: &str) -> (usize, usize) {
    let (mut len, mut breaks) = (0, 0);
    loop {
        let rest = &text[len..];
        let blank = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        match line_break(&rest[blank..]) {
            Some(end) => {
                len += blank + end;
                breaks += 1;
            }
            None if breaks == 0 => return (0, 0),
            None => return (len + blank, breaks),
        }
    }
}

fn line_break(text: &str) -> Option<usize> {
    match text.as_bytes() {
        [b'\r', b'\n', ..] => Some(2),
        [b'\r' | b'\n', ..] => Some(1),
        _ => None,
    }
}

/// `''` between single quotes.
fn doubled(rest: &str) -> Option<Escape> {
    rest.starts_with("''").then_some((2, Cow::Borrowed("'")))
}

/// An escape between double quotes: JSON's, and YAML's (1.2.2, 5.7).
fn escaped(rest: &str) -> Option<Escape> {
    let after = rest.strip_prefix('\\')?;
    if let Some(end) = line_break(after) {
        // The break counts nothing, the blanks of the next line neither.
        let next = &after[end..];
        let (len, lines) = breaks(next);
        let blank = next.len() - next.trim_start_matches([' ', '\t']).len();
        return Some((1 + end + len.max(blank), "\n".repeat(lines).into()));
    }
    let kind = after.chars().next()?;
    let single = match kind {
        '0' => "\0",
        'a' => "\u{7}",
        'b' => "\u{8}",
        't' | '\t' => "\t",
        'n' => "\n",
        'v' => "\u{b}",
        'f' => "\u{c}",
        'r' => "\r",
        'e' => "\u{1b}",
        ' ' => " ",
        '"' => "\"",
        '/' => "/",
        '\\' => "\\",
        'N' => "\u{85}",
        '_' => "\u{a0}",
        'L' => "\u{2028}",
        'P' => "\u{2029}",
        _ => "",
    };
    if !single.is_empty() {
        return Some((1 + kind.len_utf8(), Cow::Borrowed(single)));
    }
    let digits = match kind {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => return None,
    };
    let code = |from: usize| u32::from_str_radix(rest.get(from..from + digits)?, 16).ok();
    let high = code(2)?;
    if let Some(c) = char::from_u32(high) {
        return Some((2 + digits, c.to_string().into()));
    }
    // Half of a JSON pair.
    let low = rest.get(6..8).filter(|mark| *mark == "\\u").and(code(8))?;
    let both = 0x10000 + (high.checked_sub(0xd800)? << 10) + low.checked_sub(0xdc00)?;
    Some((12, char::from_u32(both)?.to_string().into()))
}

/// `|` and `>`: the lines below, without their indentation.
fn block(source: &str, at: usize, value: &str, offset: usize) -> Option<usize> {
    let folding = source.as_bytes().get(at) == Some(&b'>');
    let mut lines = Lines { source, at };
    lines.next()?; // the header
    let indent = indentation(lines.clone(), value)?;
    let mut done = 0;
    let mut blank = 0;
    // Where the last line with text ended.
    let mut end: Option<usize> = None;
    for (start, line) in lines {
        let spaces = line.len() - line.trim_start_matches(' ').len();
        let text = &line[spaces.min(indent)..];
        if text.is_empty() {
            blank += 1;
            continue;
        }
        let breaks = blank + usize::from(end.is_some());
        let gap = value.get(done..)?;
        let gap = match (folding, breaks, end, gap.starts_with(' ')) {
            (true, 1, Some(_), true) => 1,
            _ => gap.bytes().take(breaks).take_while(|b| *b == b'\n').count(),
        };
        if done + gap > offset {
            return end;
        }
        done += gap;
        if !value.get(done..)?.starts_with(text) {
            return None;
        }
        let from = start + line.len() - text.len();
        if offset <= done + text.len() {
            return Some(from + offset - done);
        }
        done += text.len();
        blank = 0;
        end = Some(start + line.len());
    }
    // Behind the last line there are line breaks only.
    let left = value.get(done..offset)?;
    end.filter(|_| left.bytes().all(|byte| byte == b'\n'))
}

/// Where the `|` or `>` of a block stands whose text begins at `at`, which is all that the parser
/// says of one.
pub(super) fn header(source: &str, at: usize) -> usize {
    let mut end = source[..at].rfind('\n').unwrap_or(0);
    loop {
        let start = source[..end].rfind('\n').map_or(0, |before| before + 1);
        let line = &source[start..end];
        if !line.trim().is_empty() {
            let found = line.match_indices(['|', '>']).find(|(place, _)| {
                let mark = |c: char| c.is_ascii_digit() || c == '+' || c == '-';
                let rest = line[place + 1..].trim_start_matches(mark);
                rest.trim().is_empty()
                    || rest.starts_with([' ', '\t']) && rest.trim().starts_with('#')
            });
            return found.map_or(at, |(place, _)| start + place);
        }
        if start == 0 {
            return at;
        }
        end = start - 1;
    }
}

/// How far a block is indented: what its first line has more than its text.
fn indentation(lines: Lines<'_>, value: &str) -> Option<usize> {
    let spaces = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let mut lines = lines.map(|(_, line)| line);
    let first = lines.find(|line| !line.trim_start_matches(' ').is_empty())?;
    let text = value.trim_start_matches('\n');
    spaces(first).checked_sub(spaces(text))
}

/// Lines with where they start, without their ends.
#[derive(Clone)]
struct Lines<'a> {
    source: &'a str,
    at: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = (usize, &'a str);

    fn next(&mut self) -> Option<(usize, &'a str)> {
        let start = self.at;
        let rest = self.source.get(start..).filter(|rest| !rest.is_empty())?;
        let len = rest.find(['\r', '\n']).unwrap_or(rest.len());
        self.at = start + len + line_break(&rest[len..]).unwrap_or(0);
        Some((start, &rest[..len]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Content, Limits, Node};

    fn texts<'n>(node: &'n Node, out: &mut Vec<(u32, &'n str)>) {
        match &node.content {
            Content::Text(text) => out.push((node.at, text)),
            Content::List(items) => items.iter().for_each(|item| texts(item, out)),
            Content::Map(entries) => entries.iter().for_each(|entry| {
                out.push((entry.at, &entry.key));
                texts(&entry.value, out);
            }),
            _ => {}
        }
    }

    /// Every `@` of the document's texts, where it stands in the source.
    fn marks(file: &str, source: &str) -> Vec<usize> {
        let root = super::super::read(file, source, &Limits::default()).expect("a document");
        let mut all = Vec::new();
        texts(&root, &mut all);
        let mut found = Vec::new();
        for (at, text) in all {
            for (offset, _) in text.match_indices('@') {
                let place = source_offset(source, at as usize, text, offset);
                found.push(place.unwrap_or_else(|| panic!("{text:?} in\n{source}")));
            }
        }
        found
    }

    const YAML: &str = r#"
plain: a @ b @c
plain lines: é @ b
  @c

  @d # no @
flow: [x @, 'y @
    it''s @', {k@: "v @"}]
single: 'é @ it''s @

    and
    @'
double: "é @ \t\"\u00e9\U0001F600\x41 @ a   
    @ b \
    @\

    @ \
      @"
literal: |
  é @

    more @
  @
folded: > # of | or >

  é @
  b @

  c @
    more @
    @

  d @
stripped: >-2

    indented @
  @

kept: |+
  |
  @

tagged: !!str 'a @'
named: &x >
  @
last: |-

  a
  @"#;

    #[test]
    fn each_byte_of_a_text_is_found_in_every_style() {
        for source in [
            YAML.to_owned(),
            YAML.replace('\n', "\r\n"),
            format!("\u{feff}{YAML}"),
        ] {
            // In a comment: the one that no text has.
            let skipped = source.find("# no @").expect("a comment") + 5;
            let expected: Vec<usize> = source
                .match_indices('@')
                .map(|(at, _)| at)
                .filter(|at| *at != skipped)
                .collect();
            assert!(expected.len() > 30);
            let mut found = marks("p.yaml", &source);
            found.sort_unstable();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn json_has_its_escapes_and_pairs_of_surrogates() {
        let source = r#"{"a@": "\ud83d\ude00 @ \u00e9\n\/\"@", "b": ["@"]}"#;
        let expected: Vec<usize> = source.match_indices('@').map(|(at, _)| at).collect();
        let mut found = marks("p.json", source);
        found.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_text_that_does_not_stand_there_has_no_place() {
        for (source, value) in [("'abc'", "abd x"), ("|\n  a\n", "b x"), ("\"\\q\"", "q x")] {
            assert_eq!(source_offset(source, 0, value, 4), None, "{source}");
        }
    }
}
