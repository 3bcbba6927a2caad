//! Whether JSON has at least what a case says of it.
//!
//! An object is like another that has its fields and perhaps more; a list is like one of the same length
//! whose items are like its own, one by one; everything else is like what equals it, numbers by their value.
//! In the place of a value may stand tests, as an object:
//!
//! | test | holds of |
//! | --- | --- |
//! | `{$any: true}` | everything that is there |
//! | `{$absent: true}` | nothing: the field is not there |
//! | `{$least: 3}`, `{$most: 3}` | numbers from there on, or up to there |
//! | `{$matches: "regex"}` | texts in which the expression is found |
//! | `{$count: 2}` | lists and objects of so many entries; with a test of numbers, whose count passes it |
//! | `{$has: …}` | lists with an item that is like it; texts with it as a part |
//! | `{$lacks: …}` | lists and texts without it |
//! | `{$each: …}` | lists whose items are all like it |

use crate::cases::{at, is_name, no_regex};
use regex::Regex;
use serde_json::{Map, Value};
use std::fmt;

/// The first thing that is not as it was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// JSON pointer of the place in what was found.
    pub(crate) pointer: String,
    /// What is there, and what was expected.
    pub(crate) sentence: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pointer.is_empty() {
            true => formatter.write_str(&self.sentence),
            false => write!(formatter, "{}: {}", self.pointer, self.sentence),
        }
    }
}

/// How much of a value is shown.
const SHOWN: usize = 200;

/// How many differences are told of one value.
const TOLD: usize = 5;

/// Whether `actual` has at least what `expected` says.
///
/// # Errors
/// The first thing that it does not have, or has otherwise.
pub(crate) fn like(expected: &Value, actual: &Value) -> Result<(), Mismatch> {
    let mut differences = Differences::new(1);
    differences.matched(expected, Some(actual), "");
    differences.found.pop().map_or(Ok(()), Err)
}

/// All that is otherwise, as a sentence: each place with what is there and what was expected.
///
/// # Errors
/// That sentence; of many differences the first five.
pub(crate) fn same(expected: &Value, actual: &Value) -> Result<(), String> {
    let mut differences = Differences::new(TOLD);
    differences.matched(expected, Some(actual), "");
    let told: Vec<String> = differences.found.iter().map(Mismatch::to_string).collect();
    match told.is_empty() {
        true => Ok(()),
        false => Err(told.join("; ")),
    }
}

/// Whether all tests in what a case expects are such.
///
/// # Errors
/// The first that is none, by its place in `expected`.
pub(crate) fn check(expected: &Value) -> Result<(), Mismatch> {
    checked(expected, "")
}

fn checked(expected: &Value, pointer: &str) -> Result<(), Mismatch> {
    match expected {
        Value::Array(items) => {
            let mut items = items.iter().enumerate();
            items.try_for_each(|(index, item)| checked(item, &format!("{pointer}/{index}")))
        }
        Value::Object(fields) => fields.iter().try_for_each(|(key, value)| {
            let place = at(pointer, key);
            match key.strip_prefix('$') {
                Some(test) if tests(fields) => sound(test, value, &place),
                Some(_) => Err(mismatch(&place, "a test stands beside a field")),
                None => checked(value, &place),
            }
        }),
        _ => Ok(()),
    }
}

/// Whether a test is one that there is, with a value that it takes.
fn sound(test: &str, value: &Value, place: &str) -> Result<(), Mismatch> {
    let takes = |what: &str| {
        let sentence = format!("`${test}` takes {what}, and has {}", short(value));
        Err(mismatch(place, sentence))
    };
    match test {
        "any" | "absent" if *value != true => takes("`true`"),
        "least" | "most" if !value.is_number() && !is_name(value) => takes("a number"),
        "count" if !value.is_u64() && !value.as_object().is_some_and(tests) => {
            takes("a number, or a test of numbers")
        }
        "matches" => match value.as_str().map(Regex::new) {
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => {
                let text = value.as_str().unwrap_or_default();
                Err(mismatch(place, no_regex(text, &error)))
            }
            None => takes("a regular expression"),
        },
        "any" | "absent" | "least" | "most" => Ok(()),
        "count" | "has" | "lacks" | "each" => checked(value, place),
        _ => Err(mismatch(
            place,
            format!(
                "there is no test `${test}`; there are $any, $absent, $least, $most, $matches, $count, $has, $lacks, $each"
            ),
        )),
    }
}

fn tests(fields: &Map<String, Value>) -> bool {
    !fields.is_empty() && fields.keys().all(|key| key.starts_with('$'))
}

fn mismatch(pointer: &str, sentence: impl Into<String>) -> Mismatch {
    Mismatch {
        pointer: pointer.to_owned(),
        sentence: sentence.into(),
    }
}

/// A value as a sentence has it.
pub(crate) fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text,
    }
}

/// What is otherwise than it was said, up to some count.
struct Differences {
    most: usize,
    found: Vec<Mismatch>,
}

impl Differences {
    fn new(most: usize) -> Differences {
        Differences {
            most,
            found: Vec::new(),
        }
    }

    fn is(&mut self, mismatch: Mismatch) {
        if self.found.len() < self.most {
            self.found.push(mismatch);
        }
    }

    fn matched(&mut self, expected: &Value, actual: Option<&Value>, pointer: &str) {
        if self.found.len() == self.most {
            return;
        }
        if let Value::Object(fields) = expected
            && tests(fields)
        {
            for (test, value) in fields {
                self.tested(test, value, actual, pointer);
            }
            return;
        }
        let Some(actual) = actual else {
            let sentence = format!("is not there; expected {}", short(expected));
            return self.is(mismatch(pointer, sentence));
        };
        match (expected, actual) {
            (Value::Object(fields), Value::Object(found)) => {
                for (key, value) in fields {
                    self.matched(value, found.get(key), &at(pointer, key));
                }
            }
            (Value::Array(items), Value::Array(found)) if items.len() == found.len() => {
                for (index, (item, found)) in items.iter().zip(found).enumerate() {
                    self.matched(item, Some(found), &format!("{pointer}/{index}"));
                }
            }
            (Value::Array(items), Value::Array(found)) => {
                let counts = format!("has {} items, not {}", found.len(), items.len());
                let sentence = format!("{counts}: is {}", short(actual));
                self.is(mismatch(pointer, sentence));
            }
            _ if equal(expected, actual) => {}
            _ => self.is(otherwise(pointer, actual, &short(expected))),
        }
    }

    fn tested(&mut self, test: &str, value: &Value, actual: Option<&Value>, pointer: &str) {
        let expected = format!("{{{test}: {}}}", short(value));
        let Some(actual) = actual else {
            if test != "$absent" {
                self.is(mismatch(
                    pointer,
                    format!("is not there; expected {expected}"),
                ));
            }
            return;
        };
        if let ("$each", Value::Array(items)) = (test, actual) {
            for (index, item) in items.iter().enumerate() {
                self.matched(value, Some(item), &format!("{pointer}/{index}"));
            }
        } else if !holds(test, value, actual) {
            self.is(otherwise(pointer, actual, &expected));
        }
    }
}

/// Whether a test of a whole value holds.
fn holds(test: &str, value: &Value, actual: &Value) -> bool {
    let found = |item: &Value| like(value, item).is_ok();
    match (test, actual) {
        ("$any", _) => true,
        ("$least", Value::Number(_)) => actual.as_f64() >= value.as_f64(),
        ("$most", Value::Number(_)) => actual.as_f64() <= value.as_f64(),
        ("$matches", Value::String(text)) => {
            let expression = value.as_str().and_then(|text| Regex::new(text).ok());
            expression.is_some_and(|expression| expression.is_match(text))
        }
        ("$count", Value::Array(items)) => found(&items.len().into()),
        ("$count", Value::Object(fields)) => found(&fields.len().into()),
        ("$has", Value::Array(items)) => items.iter().any(found),
        ("$lacks", Value::Array(items)) => !items.iter().any(found),
        ("$has", Value::String(text)) => value.as_str().is_some_and(|part| text.contains(part)),
        ("$lacks", Value::String(text)) => value.as_str().is_some_and(|part| !text.contains(part)),
        _ => false,
    }
}

fn otherwise(pointer: &str, actual: &Value, expected: &str) -> Mismatch {
    mismatch(
        pointer,
        format!("is {}; expected {expected}", short(actual)),
    )
}

fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || (one.is_f64() || other.is_f64()) && one.as_f64() == other.as_f64()
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_has_at_least_that_is_like_it() {
        let run = json!({
            "state": "failed",
            "steps": [{"id": "a", "attempts": [1, 2]}, {"id": "b", "attempts": []}],
            "warnings": 0,
            "message": "a failed",
        });
        for expected in [
            json!({}),
            json!({"state": "failed"}),
            json!({"warnings": 0.0}),
            json!({"warnings": {"$least": 0, "$most": 0}}),
            json!({"outputs": {"$absent": true}, "state": {"$any": true}}),
            json!({"message": {"$matches": "^a f"}}),
            json!({"message": {"$has": "fail", "$lacks": "passed"}}),
            json!({"steps": [{"id": "a"}, {}]}),
            json!({"steps": {"$count": 2}}),
            json!({"steps": {"$count": {"$least": 1}}}),
            json!({"steps": {"$has": {"id": "b", "attempts": []}}}),
            json!({"steps": {"$lacks": {"id": "c"}, "$each": {"id": {"$any": true}}}}),
        ] {
            check(&expected).expect("its tests are such");
            assert_eq!(like(&expected, &run), Ok(()), "{expected}");
        }
    }

    #[test]
    fn what_is_otherwise_is_told_with_its_place() {
        let run = json!({"state": "failed", "steps": [{"id": "a"}], "n": 3, "a/b": 1});
        for (expected, told) in [
            (
                json!({"state": "succeeded"}),
                "/state: is \"failed\"; expected \"succeeded\"",
            ),
            (
                json!({"outputs": {}}),
                "/outputs: is not there; expected {}",
            ),
            (json!({"a/b": 2}), "/a~1b: is 1; expected 2"),
            (
                json!({"steps": [{"id": "b"}]}),
                "/steps/0/id: is \"a\"; expected \"b\"",
            ),
            (
                json!({"steps": []}),
                "/steps: has 1 items, not 0: is [{\"id\":\"a\"}]",
            ),
            (
                json!({"steps": {"$each": {"id": "b"}}}),
                "/steps/0/id: is \"a\"; expected \"b\"",
            ),
            (
                json!({"n": {"$least": 4}}),
                "/n: is 3; expected {$least: 4}",
            ),
            (
                json!({"n": {"$absent": true}}),
                "/n: is 3; expected {$absent: true}",
            ),
            (
                json!({"m": {"$any": true}}),
                "/m: is not there; expected {$any: true}",
            ),
            (
                json!({"n": {"$matches": "3"}}),
                "/n: is 3; expected {$matches: \"3\"}",
            ),
            (
                json!({"state": {"$lacks": "ail"}}),
                "/state: is \"failed\"; expected {$lacks: \"ail\"}",
            ),
            (
                json!([]),
                "is {\"a/b\":1,\"n\":3,\"state\":\"failed\",\"steps\":[{\"id\":\"a\"}]}; expected []",
            ),
        ] {
            assert_eq!(like(&expected, &run).unwrap_err().to_string(), told);
        }
        let expected = json!({"state": "succeeded", "steps": [{"id": "b"}], "m": 1, "n": 3});
        assert_eq!(
            same(&expected, &run).expect_err("it is otherwise"),
            "/m: is not there; expected 1; /state: is \"failed\"; expected \"succeeded\"; /steps/0/id: is \"a\"; expected \"b\""
        );
        assert_eq!(same(&json!({"n": 3}), &run), Ok(()));
        let long = json!("x".repeat(1000));
        let told = like(&json!(1), &long).unwrap_err().sentence;
        assert!(told.contains("… (1002 bytes)"), "{told}");
    }

    #[test]
    fn a_test_that_there_is_not_is_refused() {
        for (expected, place) in [
            (json!({"a": {"$more": 1}}), "/a/$more"),
            (json!({"a": [{"$any": false}]}), "/a/0/$any"),
            (json!({"a": {"$least": "3"}}), "/a/$least"),
            (json!({"a": {"$count": "3"}}), "/a/$count"),
            (json!({"a": {"$matches": "("}}), "/a/$matches"),
            (json!({"a": {"$any": true, "b": 1}}), "/a/$any"),
            (json!({"a": {"$has": {"$none": 1}}}), "/a/$has/$none"),
        ] {
            assert_eq!(check(&expected).unwrap_err().pointer, place);
        }
    }
}
