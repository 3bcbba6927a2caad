//! The commands of a program, as `with` has them: `proto/conveyor/conformance/v1/interpreter.proto` in JSON.

use serde::Deserialize;
use serde_json::Value;

/// One command, and in which attempt it counts: 0 for each.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) attempt: u32,
    pub(crate) what: What,
}

impl Command {
    /// Reads `{"attempt": 1, "log": {…}}`.
    ///
    /// # Errors
    /// A sentence about what is not known, and what is.
    pub(crate) fn read(mut command: Value) -> Result<Command, String> {
        let attempt = match command
            .as_object_mut()
            .and_then(|fields| fields.remove("attempt"))
        {
            None => 0,
            Some(attempt) => {
                u32::deserialize(attempt).map_err(|error| format!("`attempt`: {error}"))?
            }
        };
        let what = What::deserialize(command).map_err(|error| error.to_string())?;
        Ok(Command { attempt, what })
    }
}

/// What to do; each is documented in the `.proto` file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    Log(Log),
    Sleep(Milliseconds),
    Progress(Progress),
    Checkpoint(Checkpoint),
    Return(Return),
    Fail(Fail),
    Throw(Throw),
    AwaitCancel(Nothing),
    IgnoreCancel(Nothing),
    Spin(Milliseconds),
    Allocate(Allocate),
    Exit(Exit),
    Record(Record),
    WaitFor(WaitFor),
    Echo(Nothing),
    Detach(Detach),
    ReportTwice(ReportTwice),
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) text: String,
    pub(crate) stream: String,
    pub(crate) times: u32,
    pub(crate) length: usize,
}

impl Default for Log {
    fn default() -> Log {
        Log {
            text: String::new(),
            stream: String::new(),
            times: 1,
            length: 0,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Milliseconds {
    pub(crate) ms: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Progress {
    pub(crate) permille: u32,
    pub(crate) message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Checkpoint {
    pub(crate) text: String,
    pub(crate) length: usize,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Return {
    pub(crate) outputs: Option<Value>,
    pub(crate) length: usize,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Fail {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) retryable: Option<bool>,
    pub(crate) retry_after_ms: Option<u64>,
    pub(crate) details: Option<Value>,
    pub(crate) errored: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Throw {
    pub(crate) message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Allocate {
    pub(crate) bytes: usize,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Exit {
    pub(crate) code: i32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) file: String,
    pub(crate) text: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct WaitFor {
    pub(crate) file: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Detach {
    pub(crate) within_ms: u64,
    pub(crate) principals: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ReportTwice {
    pub(crate) outputs: Option<Value>,
}

/// A command without fields: `{}`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Nothing {}

/// The text again and again, cut at so many bytes, or a little before where a letter would be cut; 0: as it is.
pub(crate) fn stretched(text: &str, length: usize) -> String {
    if length == 0 || text.is_empty() {
        return text.to_owned();
    }
    let mut out = text.repeat(length.div_ceil(text.len()));
    out.truncate(out.floor_char_boundary(length));
    out
}

impl Log {
    /// Its lines, without their ends.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        let text = stretched(&self.text, self.length);
        let lines = text.strip_suffix('\n').unwrap_or(&text).split('\n');
        let lines: Vec<String> = lines
            .map(|line| line.strip_suffix('\r').unwrap_or(line).to_owned())
            .collect();
        let times = self.times.max(1);
        (0..times).flat_map(move |number| {
            let numbered = move |line: &String| match times {
                1 => line.clone(),
                _ => format!("{line} {number}"),
            };
            lines.iter().map(numbered).collect::<Vec<_>>()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_command_is_read_with_its_attempt() {
        let command = json!({"attempt": 2, "fail": {"code": "no", "retryable": false}});
        let command = Command::read(command).expect("a command");
        assert_eq!(command.attempt, 2);
        let What::Fail(fail) = command.what else {
            panic!("{:?}", command.what)
        };
        assert_eq!(
            (fail.code.as_str(), fail.retryable, fail.retry_after_ms),
            ("no", Some(false), None)
        );
    }

    #[test]
    fn a_command_or_field_that_is_not_known_is_refused() {
        for command in [json!({"dance": {}}), json!({"sleep": {"s": 1}}), json!({})] {
            Command::read(command.clone()).expect_err(&command.to_string());
        }
    }

    #[test]
    fn a_log_says_its_lines() {
        let said = |log: serde_json::Value| {
            let log: Log = serde_json::from_value(log).expect("a log");
            log.lines().collect::<Vec<_>>()
        };
        assert_eq!(said(json!({"text": "a\nb"})), ["a", "b"]);
        assert_eq!(said(json!({"text": ""})), [""]);
        assert_eq!(said(json!({"text": "a", "times": 2})), ["a 0", "a 1"]);
        // Each of several lines has its number.
        let two = said(json!({"text": "a\nb\n", "times": 2}));
        assert_eq!(two, ["a 0", "b 0", "a 1", "b 1"]);
        assert_eq!(said(json!({"text": "ab", "length": 5})), ["ababa"]);
        assert_eq!(said(json!({"text": "ä", "length": 5})), ["ää"]);
    }
}
