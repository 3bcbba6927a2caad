//! `with` of a step: checked by hand, so that a mistake is told in the document's own words.

use crate::failure::permanent;
use conveyor_engine::value::Json;
use conveyor_sdk::Failure;
use serde_json::{Map, json};

/// A checked `with`.
#[derive(Debug, PartialEq)]
pub(crate) struct With {
    /// The program and its arguments; never empty.
    pub(crate) argv: Vec<String>,
    /// The directory, as written.
    pub(crate) dir: Option<String>,
    /// Variables in the document's order; `None` takes one away.
    pub(crate) env: Vec<(String, Option<String>)>,
    /// What the process reads.
    pub(crate) stdin: Option<String>,
    /// Whether the engine's whole environment is the base.
    pub(crate) inherit_env: bool,
}

const FIELDS: [&str; 7] = [
    "command",
    "run",
    "shell",
    "dir",
    "env",
    "stdin",
    "inherit_env",
];

/// JSON Schema 2020-12 of `with`. An empty `with` passes: it ends `failed`, code `no_command`.
pub(crate) fn schema() -> Json {
    let scalar = || json!({ "type": ["string", "number", "boolean"] });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": false,
        "not": { "required": ["command", "run"] },
        "dependentRequired": { "shell": ["run"] },
        "properties": {
            "command": {
                "description": "The program and its arguments; no shell reads them.",
                "type": "array", "minItems": 1, "items": scalar(),
            },
            "run": { "description": "Shell text.", "type": "string" },
            "shell": {
                "description": "What reads the text of `run`: a POSIX shell, started as `SHELL -e -c TEXT`, or the words that the text is added to.",
                "default": "sh",
                "anyOf": [
                    { "type": "string", "minLength": 1 },
                    { "type": "array", "minItems": 1, "items": scalar() },
                ],
            },
            "dir": {
                "description": "The directory to run in; a relative one starts where `conveyor run`, or the driver's own process, was started.",
                "type": "string", "minLength": 1,
            },
            "env": {
                "description": "Variables; null takes one away. Names that begin with CONVEYOR_ are the driver's own.",
                "type": "object",
                "propertyNames": { "pattern": "^[^=\\u0000]+$", "not": { "pattern": "^CONVEYOR_" } },
                "additionalProperties": { "type": ["string", "number", "boolean", "null"] },
            },
            "stdin": { "description": "What the process reads; without it, nothing.", "type": "string" },
            "inherit_env": {
                "description": "Start from the engine's whole environment, not from PATH, HOME and LANG.",
                "type": "boolean", "default": false,
            },
        },
    })
}

impl With {
    /// Reads `with`.
    ///
    /// # Errors
    /// Code `no_command` where nothing says what to run, `invalid_input` for anything else; neither
    /// is worth another try.
    pub(crate) fn read(inputs: &Json) -> Result<With, Failure> {
        let Json::Object(fields) = inputs else {
            return Err(invalid(format!(
                "`with` is {}, expected an object",
                kind(inputs)
            )));
        };
        if let Some(unknown) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
            return Err(invalid(format!(
                "unknown field `{unknown}` in `with`; exec knows {}",
                FIELDS.join(", ")
            )));
        }
        Ok(With {
            argv: argv(fields)?,
            dir: text(fields, "dir")?,
            env: env(fields)?,
            stdin: match fields.get("stdin") {
                None => None,
                Some(Json::String(text)) => Some(text.clone()),
                Some(other) => return Err(expected("stdin", "a string", other)),
            },
            inherit_env: match fields.get("inherit_env") {
                None => false,
                Some(Json::Bool(inherit)) => *inherit,
                Some(other) => return Err(expected("inherit_env", "true or false", other)),
            },
        })
    }
}

fn argv(fields: &Map<String, Json>) -> Result<Vec<String>, Failure> {
    match (fields.get("command"), text(fields, "run")?) {
        (Some(_), Some(_)) => Err(invalid(
            "`command` and `run` are both given; write one of them",
        )),
        (None, None) => Err(permanent(
            "no_command",
            "`with` names nothing to run; write `command: [program, argument]` or `run: shell text`",
        )),
        (Some(_), None) if fields.contains_key("shell") => Err(invalid(
            "`shell` goes with `run`; `command` is read by no shell",
        )),
        (Some(Json::Array(words)), None) => {
            let argv = words
                .iter()
                .enumerate()
                .map(|(at, word)| scalar(&format!("command[{at}]"), word))
                .collect::<Result<Vec<_>, _>>()?;
            match argv.first() {
                None => Err(permanent("no_command", "`command` is an empty list")),
                Some(program) if program.is_empty() => Err(permanent(
                    "no_command",
                    "`command[0]`, the program, is an empty string",
                )),
                Some(_) => Ok(argv),
            }
        }
        (Some(other), None) => Err(expected(
            "command",
            "a list, such as [make, test], or use `run` for shell text",
            other,
        )),
        (None, Some(script)) => {
            let mut argv = match fields.get("shell") {
                None => shell("sh"),
                Some(Json::String(name)) if !name.is_empty() => shell(name),
                Some(Json::Array(words)) if !words.is_empty() => words
                    .iter()
                    .enumerate()
                    .map(|(at, word)| scalar(&format!("shell[{at}]"), word))
                    .collect::<Result<Vec<_>, _>>()?,
                Some(other) => {
                    return Err(expected(
                        "shell",
                        "a shell's name or a list of words",
                        other,
                    ));
                }
            };
            argv.push(script);
            Ok(argv)
        }
    }
}

/// `-e`: a script whose third line failed has failed, whatever its last line did.
fn shell(name: &str) -> Vec<String> {
    vec![name.to_owned(), "-e".to_owned(), "-c".to_owned()]
}

fn env(fields: &Map<String, Json>) -> Result<Vec<(String, Option<String>)>, Failure> {
    let variables = match fields.get("env") {
        None => return Ok(Vec::new()),
        Some(Json::Object(variables)) => variables,
        Some(other) => return Err(expected("env", "an object of variables", other)),
    };
    variables
        .iter()
        .map(|(name, value)| {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(invalid(format!(
                    "`env` has the name {name:?}, which no variable can have"
                )));
            }
            if name.starts_with("CONVEYOR_") {
                return Err(invalid(format!(
                    "`env.{name}`: names that begin with CONVEYOR_ are the driver's own"
                )));
            }
            let value = if value.is_null() {
                None
            } else {
                Some(scalar(&format!("env.{name}"), value)?)
            };
            Ok((name.clone(), value))
        })
        .collect()
}

fn text(fields: &Map<String, Json>, name: &str) -> Result<Option<String>, Failure> {
    match fields.get(name) {
        None => Ok(None),
        Some(Json::String(text)) if name != "dir" || !text.is_empty() => {
            no_nul(name, text.clone()).map(Some)
        }
        Some(Json::String(_)) => Err(invalid(format!("`{name}` is an empty string"))),
        Some(other) => Err(expected(name, "a string", other)),
    }
}

/// A string as it is, a number or a boolean in its JSON form, as `${{ }}` inside a string does.
fn scalar(place: &str, value: &Json) -> Result<String, Failure> {
    match value {
        Json::String(text) => no_nul(place, text.clone()),
        Json::Number(_) | Json::Bool(_) => Ok(value.to_string()),
        other => Err(expected(place, "a string, a number or a boolean", other)),
    }
}

fn no_nul(place: &str, text: String) -> Result<String, Failure> {
    match text.find('\0') {
        None => Ok(text),
        Some(at) => Err(invalid(format!(
            "`{place}` has a NUL character at byte {at}, which no process can be given"
        ))),
    }
}

fn expected(place: &str, what: &str, found: &Json) -> Failure {
    invalid(format!("`{place}` is {}, expected {what}", kind(found)))
}

fn invalid(message: impl AsRef<str>) -> Failure {
    permanent("invalid_input", message)
}

fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(text) if text.is_empty() => "an empty string",
        Json::String(_) => "a string",
        Json::Array(list) if list.is_empty() => "an empty list",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}
