//! The file that `CONVEYOR_OUTPUT` names: one JSON object, or lines `key=value`, or both kinds of
//! `key<<END` … `END` for values of several lines.

use crate::failure::{failure, permanent};
use conveyor_engine::value::{Json, parse_json};
use conveyor_sdk::Failure;
use serde_json::Map;
use std::io::Read as _;
use std::path::Path;

/// The most that a command may write as its outputs, in bytes: 1 MiB. Outputs feed expressions and
/// journals; what is larger belongs in a file whose name is the output.
pub const MAX_OUTPUT_BYTES: u64 = 1 << 20;

/// JSON Schema 2020-12 of the outputs: whatever the command writes.
pub(crate) fn schema() -> Json {
    serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "description": "What the command wrote to the file that CONVEYOR_OUTPUT names.",
        "type": "object",
        "additionalProperties": true,
    })
}

/// Reads a command's outputs; no file and an empty file are an empty object.
///
/// # Errors
/// Codes `output_too_large` and `invalid_output`.
pub(crate) fn read(file: &Path) -> Result<Map<String, Json>, Failure> {
    match file.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Map::new()),
        Err(error) => return Err(unreadable(&error)),
        // Opening a pipe that the command left there would wait for ever.
        Ok(found) if !found.is_file() => {
            return Err(permanent(
                "invalid_output",
                "what CONVEYOR_OUTPUT names is no longer a regular file",
            ));
        }
        Ok(found) if found.len() > MAX_OUTPUT_BYTES => {
            return Err(permanent(
                "output_too_large",
                format!(
                    "the outputs are {} bytes, the limit is {MAX_OUTPUT_BYTES}; write large results to a file and output its name",
                    found.len()
                ),
            ));
        }
        Ok(_) => {}
    }
    let mut bytes = Vec::new();
    std::fs::File::open(file)
        .and_then(|file| file.take(MAX_OUTPUT_BYTES).read_to_end(&mut bytes))
        .map_err(|error| unreadable(&error))?;
    parse(&bytes)
}

fn unreadable(error: &std::io::Error) -> Failure {
    failure(
        "invalid_output",
        format!("cannot read the file that CONVEYOR_OUTPUT names: {error}"),
    )
}

/// The form that is one JSON object, read as strictly as every value of a user.
fn object(text: &str) -> Result<Map<String, Json>, Failure> {
    match parse_json(text.as_bytes()) {
        Ok(Json::Object(outputs)) => Ok(outputs),
        Ok(_) => Err(invalid(1, "not one JSON object")),
        Err(error) if error.syntax => Err(invalid(
            error.line as usize,
            &format!(
                "not one JSON object: column {}: {}",
                error.column, error.message
            ),
        )),
        Err(error) => Err(invalid(
            error.line as usize,
            &format!("{}: {}", error.pointer, error.message),
        )),
    }
}

fn parse(bytes: &[u8]) -> Result<Map<String, Json>, Failure> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        invalid(line, "invalid UTF-8")
    })?;
    if text.trim_start().starts_with('{') {
        return object(text);
    }
    let mut outputs = Map::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        if line.trim().is_empty() {
            continue;
        }
        let equals = line.find('=').unwrap_or(line.len());
        let (key, value) = match line.find("<<").filter(|heredoc| *heredoc < equals) {
            Some(heredoc) => {
                let end = &line[heredoc + 2..];
                if end.is_empty() {
                    return Err(invalid(
                        at + 1,
                        "`<<` is not followed by a word that ends the value",
                    ));
                }
                let mut value = Vec::new();
                loop {
                    match lines.next() {
                        Some((_, line)) if line == end => break,
                        Some((_, line)) => value.push(line),
                        None => {
                            return Err(invalid(
                                at + 1,
                                &format!("the line `{end}` that ends this value never comes"),
                            ));
                        }
                    }
                }
                (&line[..heredoc], value.join("\n"))
            }
            None if equals < line.len() => (&line[..equals], line[equals + 1..].to_owned()),
            None => {
                return Err(invalid(
                    at + 1,
                    &format!(
                        "expected key=value, key<<END or one JSON object, found {:?}",
                        shortened(line)
                    ),
                ));
            }
        };
        if !is_key(key) {
            return Err(invalid(
                at + 1,
                &format!(
                    "{:?} is not a name of an output: letters, digits, `_` and `-`, first a letter or `_`",
                    shortened(key)
                ),
            ));
        }
        outputs.insert(key.to_owned(), Json::String(value));
    }
    Ok(outputs)
}

fn is_key(key: &str) -> bool {
    !key.starts_with(|first: char| first.is_ascii_digit() || first == '-')
        && !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}

fn invalid(line: usize, message: &str) -> Failure {
    permanent(
        "invalid_output",
        format!("line {line} of the file that CONVEYOR_OUTPUT names: {message}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_reads_as_outputs() {
        for (text, expected) in [
            ("", json!({})),
            ("\n\n", json!({})),
            (
                "a=1\nb=x=y\r\n c-d=\n".replace(' ', "").as_str(),
                json!({"a": "1", "b": "x=y", "c-d": ""}),
            ),
            ("a=1\na=2", json!({"a": "2"})),
            (
                "a<<END\none\n\ntwo=2\nEND\nb=3",
                json!({"a": "one\n\ntwo=2", "b": "3"}),
            ),
            ("a=x<<y", json!({"a": "x<<y"})),
            (
                " {\"n\": 9007199254740993, \"l\": [1]}\n",
                json!({"n": 9_007_199_254_740_993_i64, "l": [1]}),
            ),
        ] {
            assert_eq!(
                parse(text.as_bytes()).map(Json::Object),
                Ok(expected),
                "{text:?}"
            );
        }
    }

    #[test]
    fn what_does_not_names_its_line() {
        for (text, part) in [
            (&b"a=1\nhello\n"[..], "line 2 "),
            (
                b"a=1\n\xFF=1\n",
                "line 2 of the file that CONVEYOR_OUTPUT names: invalid UTF-8",
            ),
            (b"=1\n", "line 1 "),
            (b"1a=1\n", "line 1 "),
            (
                b"a<<END\nx\n",
                "the line `END` that ends this value never comes",
            ),
            (b"{\"a\": 1}\n{\"b\": 2}\n", "line 2 "),
            // Both forms in one file.
            (b"{\"a\": 1}\nb=2\n", "line 2 "),
            (b"b=2\n{\"a\": 1}\n", "line 2 "),
            (b"[1]\n", "line 1 "),
            (b"{\"a\": \n", "line 2 "),
            // As every value of a user is read: nothing becomes another value without a word.
            (b"{\"a\": 1,\n \"a\": 2}", "line 2 "),
            (b"{\"a\": 1, \"a\": 2}", "/a: "),
            (b"{\"n\": 9223372036854775808}", "/n: "),
        ] {
            let error = parse(text).expect_err("refused");
            assert_eq!(&*error.code, "invalid_output");
            assert!(error.message.contains(part), "{}", error.message);
        }
    }
}
