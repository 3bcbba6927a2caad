//! The inputs of a run: what was typed, what stands in a file, and which of them a refusal is about.

use super::{MOST_BYTES, diagnostics_text, read};
use crate::args::Inputs;
use conveyor_engine::document::{Limits, Located, Severity};
use conveyor_engine::plan::Plan;
use conveyor_engine::value::Json;
use serde_json::Map;
use std::collections::BTreeMap;
use std::path::Path;

/// What was given as inputs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    file: Option<Located>,
    /// As a person typed them.
    pub(crate) texts: BTreeMap<String, String>,
    /// What stands in the file and was not typed too: what is typed wins.
    pub(crate) object: Map<String, Json>,
}

impl Given {
    /// Reads `-i` and `--inputs`, which is for `document`; `-` is standard input.
    ///
    /// # Errors
    /// Lines for a person: a key typed twice, a file that cannot be read or is no object.
    pub(crate) fn read(inputs: &Inputs, document: Option<&Path>) -> Result<Given, String> {
        let mut given = Given::default();
        for (key, value) in &inputs.input {
            if let Some(first) = given.texts.insert(key.clone(), value.clone()) {
                return Err(format!(
                    "the input `{key}` is given twice: -i {key}={first} and -i {key}={value}"
                ));
            }
        }
        let Some(path) = &inputs.inputs else {
            return Ok(given);
        };
        if path.as_os_str() == "-" && document == Some(path) {
            return Err("standard input is read once: as the document or as --inputs".to_owned());
        }
        let (name, bytes) = read(path, MOST_BYTES)?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(given);
        }
        let limits = Limits {
            bytes: MOST_BYTES,
            ..Limits::default()
        };
        let wrong = |found: &[_]| {
            let text = diagnostics_text(found);
            format!("cannot read the inputs\n{}", text.trim_end())
        };
        let located = Located::read(&name, &bytes, &limits).map_err(|found| wrong(&found))?;
        let Json::Object(object) = located.to_json() else {
            let message = "inputs must be an object: a key and a value for each";
            return Err(wrong(&[located.diagnostic(Severity::Error, "", message)]));
        };
        given.object = object;
        given.object.retain(|key, _| !given.texts.contains_key(key));
        given.file = Some(located);
        Ok(given)
    }

    /// All of them, read as a plan says.
    pub(crate) fn as_plan_says(&self, plan: &Plan) -> Json {
        let typed = self.texts.iter();
        let typed = typed.map(|(key, text)| (key.clone(), plan.parse_input(key, text)));
        Json::Object(self.object.clone().into_iter().chain(typed).collect())
    }

    /// A violation for a person, with where the value came from: a place in the file, or what was
    /// typed.
    pub(crate) fn explain(&self, pointer: &str, message: &str) -> String {
        let key = pointer.split('/').nth(1).unwrap_or_default();
        let key = key.replace("~1", "/").replace("~0", "~");
        if let Some(text) = self.texts.get(&key) {
            return format!("-i {key}={text}: error: {message}\n  at: {pointer}");
        }
        match &self.file {
            Some(file) => file
                .diagnostic(Severity::Error, pointer, message)
                .to_string(),
            None if pointer.is_empty() => format!("inputs: error: {message}"),
            None => format!("inputs: error: {message}\n  at: {pointer}"),
        }
    }

    /// All of them, completed and checked.
    ///
    /// # Errors
    /// Every violation, each with where it came from.
    pub(crate) fn resolve(&self, plan: &Plan) -> Result<Json, String> {
        plan.resolve_inputs(&self.as_plan_says(plan))
            .map_err(|violations| {
                let each = violations.iter();
                let each = each.map(|one| self.explain(&one.pointer, &one.message));
                refused(each.collect())
            })
    }
}

/// All that is wrong with inputs, and how they are given.
pub(crate) fn refused(each: Vec<String>) -> String {
    let mut text = "the inputs are not what the document asks for\n".to_owned();
    text.extend(each.into_iter().map(|one| one + "\n"));
    text.push_str("inputs are given by -i KEY=VALUE and --inputs FILE");
    text
}
