//! JSON (RFC 8259) with positions, for values and for documents. The usual readers keep the last of
//! two equal keys, and make doubles of large integers without a word.

use std::fmt;

/// What a text of JSON becomes.
pub(crate) trait Build {
    type Value;
    type Map: Default;

    fn null(&mut self, at: usize) -> Self::Value;
    fn boolean(&mut self, at: usize, value: bool) -> Self::Value;
    /// A number as it is written, by JSON's grammar.
    fn number(&mut self, at: usize, literal: &str) -> Result<Self::Value, Fault>;
    fn text(&mut self, at: usize, text: String) -> Self::Value;
    fn list(&mut self, at: usize, items: Vec<Self::Value>) -> Self::Value;
    fn map(&mut self, at: usize, map: Self::Map) -> Self::Value;
    /// A key at `at`, and its value.
    fn entry(
        &mut self,
        map: &mut Self::Map,
        at: usize,
        key: String,
        value: Self::Value,
    ) -> Result<(), Fault>;
    /// Called before each value, `depth` containers deep.
    fn enter(&mut self, at: usize, depth: usize) -> Result<(), Fault>;
}

/// Why a text is refused, and where.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Byte offset.
    pub(crate) at: usize,
    pub(crate) message: String,
    pub(crate) found: Option<String>,
    /// The keys and places around, innermost first.
    path: Vec<String>,
}

impl Fault {
    pub(crate) fn new(at: usize, message: String) -> Fault {
        Fault {
            at,
            message,
            found: None,
            path: Vec::new(),
        }
    }

    pub(crate) fn within(mut self, segment: impl fmt::Display) -> Fault {
        self.path.push(segment.to_string());
        self
    }

    /// JSON pointer of the value that is at fault.
    pub(crate) fn pointer(&self) -> String {
        let segments = self.path.iter().rev();
        segments.fold(String::new(), |pointer, segment| {
            pointer + "/" + &segment.replace('~', "~0").replace('/', "~1")
        })
    }
}

/// Reads a whole text.
pub(crate) fn read<B: Build>(text: &str, build: B) -> Result<B::Value, Box<Fault>> {
    // A byte-order mark is not part of the text.
    let start = if text.starts_with('\u{feff}') { 3 } else { 0 };
    let mut reader = Reader {
        text,
        bytes: text.as_bytes(),
        at: start,
        build,
    };
    reader.whole().map_err(Box::new)
}

struct Reader<'a, B> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    build: B,
}

#[allow(clippy::result_large_err)] // one error ends the reading: its size is no cost
impl<B: Build> Reader<'_, B> {
    fn whole(&mut self) -> Result<B::Value, Fault> {
        self.space();
        let root = self.value(0)?;
        self.space();
        if self.at < self.bytes.len() {
            return Err(self.fail("expected nothing after the document"));
        }
        Ok(root)
    }

    fn fail(&self, message: &str) -> Fault {
        self.fail_at(self.at, message)
    }

    fn fail_at(&self, at: usize, message: &str) -> Fault {
        let found = match self.text.get(at..).and_then(|rest| rest.chars().next()) {
            Some(c) => format!("{:?}", c.to_string()),
            None => "the end of the document".to_owned(),
        };
        Fault {
            found: Some(found),
            ..Fault::new(at, format!("invalid JSON: {message}"))
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<B::Value, Fault> {
        let at = self.at;
        self.build.enter(at, depth)?;
        match self.peek() {
            Some(b'{') => self.map(at, depth),
            Some(b'[') => self.list(at, depth),
            Some(b'"') => {
                let text = self.string()?;
                Ok(self.build.text(at, text))
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ if self.word("null") => Ok(self.build.null(at)),
            _ if self.word("true") => Ok(self.build.boolean(at, true)),
            _ if self.word("false") => Ok(self.build.boolean(at, false)),
            _ => Err(self.fail("expected a value")),
        }
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.bytes[self.at..].starts_with(word.as_bytes());
        self.at += if found { word.len() } else { 0 };
        found
    }

    fn number(&mut self) -> Result<B::Value, Fault> {
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
        self.build.number(start, &self.text[start..self.at])
    }

    fn digits(&mut self) -> Result<usize, Fault> {
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

    fn list(&mut self, at: usize, depth: usize) -> Result<B::Value, Fault> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(self.build.list(at, items));
        }
        loop {
            self.space();
            let item = self.value(depth + 1);
            items.push(item.map_err(|fault| fault.within(items.len()))?);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(self.build.list(at, items));
                }
                _ => return Err(self.fail("expected , or ]")),
            }
        }
    }

    fn map(&mut self, at: usize, depth: usize) -> Result<B::Value, Fault> {
        self.at += 1;
        let mut map = B::Map::default();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(self.build.map(at, map));
        }
        loop {
            self.space();
            let key_at = self.at;
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
            let value = match self.value(depth + 1) {
                Ok(value) => value,
                Err(fault) => return Err(fault.within(key)),
            };
            self.build.entry(&mut map, key_at, key, value)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(self.build.map(at, map));
                }
                _ => return Err(self.fail("expected , or }")),
            }
        }
    }

    fn string(&mut self) -> Result<String, Fault> {
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
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(_) => return Err(self.fail("a control character must be escaped")),
                None => return Err(self.fail("expected the end of a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Fault> {
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

    fn unicode(&mut self, start: usize) -> Result<char, Fault> {
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

    fn hex(&mut self, start: usize) -> Result<u32, Fault> {
        let digits = self.text.get(self.at..self.at + 4);
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        self.at += 4;
        code.ok_or_else(|| self.fail_at(start, "expected four hexadecimal digits after \\u"))
    }
}
