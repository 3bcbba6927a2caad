use super::Json;
use super::number;
use super::read::{Build, Fault, read};
use serde_json::Map;
use serde_json::map::Entry;
use std::fmt;

/// How deep a value may nest: what `serde_json`, which reads values in drivers written in Rust,
/// takes at most.
const DEPTH: usize = 127;

/// Why a text is not a JSON value of this engine, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// Whether it is no JSON at all; else it is JSON that this engine refuses.
    pub syntax: bool,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1. A byte-order mark has none.
    pub column: u32,
    /// JSON pointer of the value that is refused; empty for the whole text.
    pub pointer: String,
    /// One sentence: what is wrong, with limit and value where it is a limit.
    pub message: String,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)?;
        if !self.pointer.is_empty() {
            write!(f, ", at {}", self.pointer)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for JsonError {}

/// Reads a user value: inputs, outputs, details.
///
/// An integer is within 64 bits or refused: as a double it would be another number with another
/// text. So is a key that stands twice, of which the usual readers keep the last without a word.
/// Whole numbers become integers however they are written (`1e3`, `2.0`), as their canonical text
/// reads back as one.
///
/// # Errors
/// At the first thing that is wrong, with its place.
pub fn parse_json(bytes: &[u8]) -> Result<Json, JsonError> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = error.valid_up_to();
            let message = format!("invalid UTF-8: byte 0x{:02x}", bytes[valid]);
            return Err(JsonError {
                syntax: true,
                ..located(&bytes[..valid], String::new(), message)
            });
        }
    };
    read(text, Values).map_err(|fault| {
        let pointer = fault.pointer();
        let syntax = fault.found.is_some();
        let message = match fault.found {
            Some(found) => format!("{}, found {found}", fault.message),
            None => fault.message,
        };
        let before = &bytes[..fault.at.min(bytes.len())];
        JsonError {
            syntax,
            ..located(before, pointer, message)
        }
    })
}

/// An error behind the text `before`.
fn located(before: &[u8], pointer: String, message: String) -> JsonError {
    let text = String::from_utf8_lossy(before);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let (lines, last) = match text.rsplit_once('\n') {
        Some((lines, last)) => (lines.matches('\n').count() + 1, last),
        None => (0, text),
    };
    JsonError {
        syntax: false,
        line: lines as u32 + 1,
        column: last.chars().count() as u32 + 1,
        pointer,
        message,
    }
}

/// Makes JSON in memory.
struct Values;

impl Build for Values {
    type Value = Json;
    type Map = Map<String, Json>;

    fn null(&mut self, _: usize) -> Json {
        Json::Null
    }

    fn boolean(&mut self, _: usize, value: bool) -> Json {
        Json::Bool(value)
    }

    fn number(&mut self, at: usize, literal: &str) -> Result<Json, Fault> {
        number(literal)
            .map(Json::Number)
            .map_err(|message| Fault::new(at, message))
    }

    fn text(&mut self, _: usize, text: String) -> Json {
        Json::String(text)
    }

    fn list(&mut self, _: usize, items: Vec<Json>) -> Json {
        Json::Array(items)
    }

    fn map(&mut self, _: usize, map: Map<String, Json>) -> Json {
        Json::Object(map)
    }

    fn entry(
        &mut self,
        map: &mut Map<String, Json>,
        at: usize,
        key: String,
        value: Json,
    ) -> Result<(), Fault> {
        match map.entry(key) {
            Entry::Vacant(place) => {
                place.insert(value);
                Ok(())
            }
            Entry::Occupied(place) => {
                let message = format!("the key {:?} stands twice in its object", place.key());
                Err(Fault::new(at, message).within(place.key()))
            }
        }
    }

    fn enter(&mut self, at: usize, depth: usize) -> Result<(), Fault> {
        if depth > DEPTH {
            let message =
                format!("lists and objects are nested {depth} deep; the limit `depth` is {DEPTH}");
            return Err(Fault::new(at, message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::canonical_string;
    use serde_json::json;

    fn refused(text: &str) -> String {
        match parse_json(text.as_bytes()) {
            Ok(json) => panic!("{text} gives {json}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn an_integer_beyond_64_bits_is_refused_with_place_limit_and_value() {
        let bound = "does not fit in 64 bits: the limit `int64` is -9223372036854775808 to \
                     9223372036854775807; write it as a text";
        for literal in [
            "9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            "-9223372036854775809",
            "100000000000000000000",
        ] {
            assert_eq!(
                refused(&format!("{{\"é\": [1,\n  {literal}]}}")),
                format!("line 2, column 3, at /é/1: the integer {literal} {bound}")
            );
        }
        let long = "7".repeat(100_000);
        assert_eq!(
            refused(&long),
            format!(
                "line 1, column 1: the integer {}… (100000 characters) {bound}",
                "7".repeat(40)
            )
        );
        assert_eq!(
            refused("[1e400]"),
            "line 1, column 2, at /0: the number 1e400 is out of range: the limit `double` is \
             1.7976931348623157e308; write it as a text"
        );
    }

    #[test]
    fn a_key_that_stands_twice_is_refused_with_its_place() {
        assert_eq!(
            refused("{\"a\": {\"b\": 1,\r\n \"c/d\": 2, \"c\\/d\": 3}}"),
            "line 2, column 12, at /a/c~1d: the key \"c/d\" stands twice in its object"
        );
        let same_elsewhere = parse_json(br#"[{"a": 1}, {"a": {"a": 2}}]"#);
        assert_eq!(same_elsewhere, Ok(json!([{"a": 1}, {"a": {"a": 2}}])));
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_place() {
        for (text, message) in [
            (
                "",
                "line 1, column 1: invalid JSON: expected a value, found the end of the document",
            ),
            (
                "\u{feff}[1,]",
                "line 1, column 4, at /1: invalid JSON: expected a value, found \"]\"",
            ),
            (
                "{} {}",
                "line 1, column 4: invalid JSON: expected nothing after the document, found \"{\"",
            ),
            (
                "[01]",
                "line 1, column 2, at /0: invalid JSON: a number cannot begin with 0, found \"0\"",
            ),
            (
                "[NaN]",
                "line 1, column 2, at /0: invalid JSON: expected a value, found \"N\"",
            ),
        ] {
            assert_eq!(refused(text), message);
        }
        let error = parse_json(b"\"\xff\"").expect_err("no UTF-8");
        assert_eq!(
            error.to_string(),
            "line 1, column 2: invalid UTF-8: byte 0xff"
        );
        let deep = "[".repeat(200);
        assert!(
            refused(&deep).ends_with("nested 128 deep; the limit `depth` is 127"),
            "{}",
            refused(&deep)
        );
    }

    #[test]
    fn one_value_has_one_text_and_reads_back_as_itself() {
        for (text, canonical) in [
            ("9223372036854775807", "9223372036854775807"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("1e3", "1000"),
            ("2.0", "2"),
            ("-0.0", "0"),
            ("0.1", "0.1"),
            // Not within 64 bits: an exponent says that it is a double, and none counts its digits.
            ("9223372036854775808.0", "9.223372036854776e+18"),
            ("1e20", "1e+20"),
            ("1E21", "1e+21"),
            ("1e-7", "1e-7"),
        ] {
            let json = parse_json(text.as_bytes()).expect("a value");
            assert_eq!(canonical_string(&json), canonical, "{text}");
            assert_eq!(parse_json(canonical.as_bytes()), Ok(json), "{text}");
        }
    }
}
