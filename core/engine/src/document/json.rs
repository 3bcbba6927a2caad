//! JSON (RFC 8259) with positions. The usual readers give values or positions, not both.

#![allow(clippy::result_large_err)] // one error ends the reading: its size is no cost

use super::node::{Content, Entry, Node, number, quote};
use super::report::Problem;
use super::{Limits, yaml};

pub(super) fn read(text: &str, limits: &Limits) -> Result<Node, Problem> {
    // A byte-order mark is not part of the text.
    let start = if text.starts_with('\u{feff}') { 3 } else { 0 };
    let mut reader = Reader {
        text,
        bytes: text.as_bytes(),
        at: start,
        nodes: 0,
        limits,
    };
    reader.space();
    let root = reader.value(0)?;
    reader.space();
    if reader.at < reader.bytes.len() {
        return Err(reader.fail("expected nothing after the document"));
    }
    Ok(root)
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    nodes: usize,
    limits: &'a Limits,
}

impl Reader<'_> {
    fn fail(&self, message: &str) -> Problem {
        self.fail_at(self.at, message)
    }

    fn fail_at(&self, at: usize, message: &str) -> Problem {
        let found = match self.text.get(at..).and_then(|rest| rest.chars().next()) {
            Some(c) => quote(&c.to_string()),
            None => "the end of the document".to_owned(),
        };
        Problem::new(at as u32, format!("invalid JSON: {message}")).found(found)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, Problem> {
        let at = self.at as u32;
        self.nodes += 1;
        if self.nodes > self.limits.nodes {
            return Err(yaml::too_many("nodes", "values", self.limits.nodes, at));
        }
        if depth > self.limits.depth {
            return Err(yaml::too_deep(self.limits.depth, at));
        }
        let content = match self.peek() {
            Some(b'{') => self.map(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => Content::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => self.word()?,
        };
        Ok(Node { at, content })
    }

    fn word(&mut self) -> Result<Content, Problem> {
        let words = [
            ("null", Content::Null),
            ("true", Content::Bool(true)),
            ("false", Content::Bool(false)),
        ];
        for (word, content) in words {
            if self.bytes[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(content);
            }
        }
        Err(self.fail("expected a value"))
    }

    fn number(&mut self) -> Result<Content, Problem> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        let first = self.peek();
        let whole = self.digits()?;
        if first == Some(b'0') && whole > 1 {
            return Err(self.fail_at(start, "a number cannot begin with 0"));
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        number(&self.text[start..self.at])
            .map(Content::Number)
            .map_err(|message| Problem::new(start as u32, message))
    }

    fn digits(&mut self) -> Result<usize, Problem> {
        let count = self.bytes[self.at..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        self.at += count;
        if count == 0 {
            Err(self.fail("expected a digit"))
        } else {
            Ok(count)
        }
    }

    fn list(&mut self, depth: usize) -> Result<Content, Problem> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Content::List(items));
        }
        loop {
            self.space();
            items.push(self.value(depth + 1)?);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Content::List(items));
                }
                _ => return Err(self.fail("expected , or ]")),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Content, Problem> {
        self.at += 1;
        let mut entries = Vec::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Content::Map(entries));
        }
        loop {
            self.space();
            let at = self.at as u32;
            if self.peek() != Some(b'"') {
                return Err(self.fail("expected a key in double quotes"));
            }
            let key = self.string()?;
            self.space();
            if self.peek() != Some(b':') {
                return Err(self.fail("expected :"));
            }
            self.at += 1;
            self.space();
            let value = self.value(depth + 1)?;
            entries.push(Entry { key, at, value });
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Content::Map(entries));
                }
                _ => return Err(self.fail("expected , or }")),
            }
        }
    }

    fn string(&mut self) -> Result<Box<str>, Problem> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let start = self.at;
            while self
                .peek()
                .is_some_and(|byte| byte != b'"' && byte != b'\\' && byte >= 0x20)
            {
                self.at += 1;
            }
            out.push_str(&self.text[start..self.at]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out.into());
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(_) => return Err(self.fail("a control character must be escaped")),
                None => return Err(self.fail("expected the end of a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Problem> {
        let start = self.at;
        self.at += 2;
        let c = match self.bytes.get(start + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(start),
            _ => return Err(self.fail_at(start, "unknown escape")),
        };
        Ok(c)
    }

    fn unicode(&mut self, start: usize) -> Result<char, Problem> {
        let high = self.hex(start)?;
        if let Some(c) = char::from_u32(high) {
            return Ok(c);
        }
        let pair = (0xd800..0xdc00).contains(&high) && self.bytes[self.at..].starts_with(b"\\u");
        if pair {
            self.at += 2;
            let low = self.hex(start)?;
            if (0xdc00..0xe000).contains(&low)
                && let Some(c) = char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))
            {
                return Ok(c);
            }
        }
        Err(self.fail_at(start, "half of a surrogate pair"))
    }

    fn hex(&mut self, start: usize) -> Result<u32, Problem> {
        let digits = self.text.get(self.at..self.at + 4);
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        self.at += 4;
        code.ok_or_else(|| self.fail_at(start, "expected four hexadecimal digits after \\u"))
    }
}
