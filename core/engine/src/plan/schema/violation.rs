//! What the validator finds, in the words of whoever wrote the value.

use super::steps::uncounted;
use crate::value::Json;
use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Kind;
use std::fmt;

/// One way in which a value breaks its schema.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// JSON pointer into the value; empty for the value itself.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
    /// The names that may stand there, where the pointer names a key that the schema does not know.
    pub known: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pointer.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.pointer, self.message)
        }
    }
}

/// How deep alternatives within alternatives are followed.
const DEPTH: usize = 8;

/// How many of several values or alternatives are listed.
const LISTED: usize = 12;

/// What one error of the validator says: of unknown keys, one for each.
pub(super) fn violations(schema: &Json, error: &ValidationError<'_>) -> Vec<Violation> {
    told(schema, error, DEPTH)
}

fn told(schema: &Json, error: &ValidationError<'_>, depth: usize) -> Vec<Violation> {
    let pointer = error.instance_path().to_string();
    match error.kind() {
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            let known = known(schema, error);
            let of = |key: &String| Violation {
                pointer: format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")),
                message: format!("unknown key `{key}`"),
                known: known.clone(),
            };
            return unexpected.iter().map(of).collect();
        }
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } if depth > 0 => {
            if let [meant] = meant(&pointer, context)[..] {
                let told = meant
                    .iter()
                    .flat_map(|inner| told(schema, inner, depth - 1));
                return told.collect();
            }
        }
        _ => {}
    }
    vec![Violation {
        message: shorten(&message(schema, error, depth)),
        pointer,
        known: Vec::new(),
    }]
}

/// The alternatives that the value may have been meant as: those that do not refuse its very type.
/// All, where each of them does.
fn meant<'a>(
    pointer: &str,
    context: &'a [Vec<ValidationError<'static>>],
) -> Vec<&'a [ValidationError<'static>]> {
    let refused = |error: &ValidationError<'_>| {
        matches!(error.kind(), Kind::Type { .. }) && error.instance_path().as_str() == pointer
    };
    let all = || context.iter().map(Vec::as_slice);
    let meant: Vec<_> = all().filter(|errors| !errors.iter().any(refused)).collect();
    if meant.is_empty() {
        all().collect()
    } else {
        meant
    }
}

fn message(schema: &Json, error: &ValidationError<'_>, depth: usize) -> String {
    let value = error.instance();
    match error.kind() {
        Kind::Constant { expected_value } => format!("{value} is not {expected_value}"),
        Kind::Enum { options } => {
            let options = options.as_array().map(Vec::as_slice).unwrap_or_default();
            let options = listed(options.iter().map(Json::to_string), "or");
            format!("{value} is not one of {options}")
        }
        Kind::Not { schema: refused } => {
            let refused = uncounted(refused);
            match together(&refused) {
                Some(names) => format!("{} exclude each other", listed(names.into_iter(), "and")),
                None => format!("{value} is what `not` excludes: {refused}"),
            }
        }
        Kind::PropertyNames { error } => {
            let inner = message(schema, error, depth);
            format!("the key {} is not allowed: {inner}", error.instance())
        }
        Kind::FalseSchema => "nothing may stand here".to_owned(),
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } if depth > 0 => {
            let pointer = error.instance_path().to_string();
            let ways = meant(&pointer, context).into_iter().filter_map(|errors| {
                let first = told(schema, errors.first()?, depth - 1)
                    .into_iter()
                    .next()?;
                let inner = first.pointer.strip_prefix(&pointer).unwrap_or_default();
                Some(match inner {
                    "" => first.message,
                    inner => format!("{inner}: {}", first.message),
                })
            });
            format!("none of the alternatives fits: {}", listed(ways, "or"))
        }
        Kind::OneOfMultipleValid { .. } => {
            format!("{value} fits more than one of the alternatives of `oneOf`")
        }
        _ => error.to_string(),
    }
}

/// The keys that a `not` excludes together, where it says only that.
fn together(refused: &Json) -> Option<Vec<String>> {
    let only = refused.as_object().filter(|object| object.len() == 1)?;
    let names = only.get("required")?.as_array()?;
    let names: Option<Vec<&str>> = names.iter().map(Json::as_str).collect();
    let names = names.filter(|names| names.len() > 1)?;
    Some(names.into_iter().map(|name| format!("`{name}`")).collect())
}

/// The type of a value, by the words of JSON Schema.
pub(in crate::plan) fn type_of(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(number) if number.is_f64() => "number",
        Json::Number(_) => "integer",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

/// `a, b or c`, and how many more there are.
fn listed(all: impl Iterator<Item = String>, last: &str) -> String {
    let mut all: Vec<String> = all.collect();
    if all.len() > LISTED {
        let more = all.len() - (LISTED - 1);
        all.truncate(LISTED - 1);
        all.push(format!("{more} more"));
    }
    match all.pop() {
        None => "anything".to_owned(),
        Some(end) if all.is_empty() => end,
        Some(end) => format!("{} {last} {end}", all.join(", ")),
    }
}

/// The names that a schema of an object knows, where an error says that it closes it.
fn known(schema: &Json, error: &ValidationError<'_>) -> Vec<String> {
    let path = error.schema_path().to_string();
    let around = path.rsplit_once('/').map_or("", |(around, _)| around);
    let properties = schema.pointer(&format!("{around}/properties"));
    let properties = properties.and_then(Json::as_object);
    let names = properties.map(|properties| properties.keys().cloned().collect());
    names.unwrap_or_default()
}

/// Messages repeat the value, however long it is.
pub(super) fn shorten(message: &str) -> String {
    const MOST: usize = 300;
    if message.chars().count() <= MOST {
        return message.to_owned();
    }
    let half = |chars: &mut dyn Iterator<Item = char>| chars.take(MOST / 2).collect::<String>();
    let head = half(&mut message.chars());
    let tail: String = half(&mut message.chars().rev()).chars().rev().collect();
    format!("{head} … {tail}")
}

#[cfg(test)]
mod tests {
    use super::super::Schema;
    use serde_json::{Value, json};

    fn told(schema: &Value, value: &Value) -> Vec<String> {
        let schema = Schema::compile(schema).expect("a schema");
        let violations = schema.check(value).expect_err("violations");
        violations.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn keys_that_exclude_each_other_are_named() {
        let schema = json!({"not": {"required": ["command", "run"]}});
        let value = json!({"command": [], "run": "x".repeat(1000)});
        assert_eq!(
            told(&schema, &value),
            ["`command` and `run` exclude each other"]
        );
        let schema = json!({"not": {"maxProperties": 2}});
        assert_eq!(
            told(&schema, &json!({"a": 1, "b": 2})),
            ["{\"a\":1,\"b\":2} is what `not` excludes: {\"maxProperties\":2}"]
        );
    }

    #[test]
    fn the_alternative_that_the_type_tells_is_the_one_that_was_meant() {
        let schema = json!({"properties": {"shell": {"anyOf": [
            {"enum": ["sh", "bash"]},
            {"type": "array", "minItems": 1, "items": {"type": "string"}},
        ]}}});
        assert_eq!(
            told(&schema, &json!({"shell": "bsh"})),
            ["/shell: \"bsh\" is not one of \"sh\" or \"bash\""]
        );
        let schema = json!({"oneOf": [
            {"type": "string"},
            {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}},
        ]});
        assert_eq!(
            told(&schema, &json!({"a": 1})),
            ["/a: 1 is not of type \"string\""]
        );
        assert_eq!(
            told(&schema, &json!(7)),
            [
                "none of the alternatives fits: 7 is not of type \"string\" or 7 is not of type \"object\""
            ]
        );
    }

    #[test]
    fn a_key_that_is_not_allowed_is_told_with_its_reason() {
        let schema = json!({"propertyNames": {"maxLength": 2}, "properties": {"b": false}});
        assert_eq!(
            told(&schema, &json!({"abc": 1, "b": 2})),
            [
                "the key \"abc\" is not allowed: \"abc\" is longer than 2 characters",
                "/b: nothing may stand here",
            ]
        );
    }

    #[test]
    fn of_many_values_the_first_are_listed() {
        let schema = json!({"enum": (0..100).collect::<Vec<u32>>()});
        assert_eq!(
            told(&schema, &json!("a")),
            ["\"a\" is not one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 or 89 more"]
        );
    }
}
