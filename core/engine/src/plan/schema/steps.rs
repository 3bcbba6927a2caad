//! Checks come to an end: a schema of a page, whose references double at each of its levels, would take a
//! value of a line for years. So each visit of a part of a schema counts, and a check that goes on for
//! longer than its value is worth is given up.
//!
//! The validator has no such limit. It does have keywords of one's own, and takes any schema with them: the
//! one that is compiled has [`KEY`] wherever a schema may stand, which counts and refuses nothing. One that
//! has counted too much unwinds out of the validator.

use crate::value::Json;
use jsonschema::paths::Location;
use jsonschema::{Keyword, ValidationError};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// The keyword that counts.
pub(super) const KEY: &str = "conveyor:step";

/// What any check may take, however small its value is.
const STEPS: u64 = 1_000_000;
/// What more it may take for each byte of its value.
const STEPS_PER_BYTE: u64 = 2;
/// What a pattern costs that has to be searched by trying: as many attempts as it may have are worth.
const SEARCH: u64 = 200;
/// So many attempts such a pattern has for a text.
pub(super) const ATTEMPTS: usize = 10_000;

/// Keywords whose value is an object of names to schemas.
const NAMES: [&str; 6] = [
    "properties",
    "patternProperties",
    "$defs",
    "definitions",
    "dependentSchemas",
    "dependencies",
];
/// Keywords whose value is data that is compared with, or names.
const DATA: [&str; 3] = ["const", "enum", "dependentRequired"];

thread_local! {
    /// What is left for the check that this thread is in.
    static LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// What unwinds.
struct Over;

/// What a visit of one part costs.
struct Step(u64);

impl Step {
    fn take(&self) {
        let left = LEFT.get();
        match left.checked_sub(self.0) {
            Some(left) => LEFT.set(left),
            // Told to nobody: it is no mistake of the program's.
            None => resume_unwind(Box::new(Over)),
        }
    }
}

impl<'i> Keyword<'i> for Step {
    fn validate(&self, _: &'i Json) -> Result<(), ValidationError<'i>> {
        self.take();
        Ok(())
    }

    fn is_valid(&self, _: &'i Json) -> bool {
        self.take();
        true
    }
}

/// Makes the keyword of one part.
pub(super) fn step<'a>(
    part: &'a serde_json::Map<String, Json>,
    _: &'a Json,
    _: Location,
) -> Result<Box<dyn for<'i> Keyword<'i>>, ValidationError<'a>> {
    let alternatives = part.values().map(|value| match value {
        Json::Array(items) => items.len(),
        Json::Object(names) => names.len(),
        _ => 0,
    });
    let size = part.len() + alternatives.sum::<usize>();
    let pattern = part.get("pattern").and_then(Json::as_str);
    let names = part.get("patternProperties").and_then(Json::as_object);
    let names = names.into_iter().flat_map(|names| names.keys());
    let patterns = pattern.into_iter().chain(names.map(String::as_str));
    let searched = patterns.filter(|pattern| is_searched(pattern)).count();
    Ok(Box::new(Step(
        1 + size as u64 / 16 + searched as u64 * SEARCH,
    )))
}

/// Whether a pattern looks around or back: others take time in proportion to the text.
fn is_searched(pattern: &str) -> bool {
    let mut looks = pattern.split("(?").skip(1);
    let around = looks.any(|rest| !rest.starts_with(':'));
    let back = pattern.as_bytes().windows(2);
    around
        || back
            .into_iter()
            .any(|two| two[0] == b'\\' && (two[1].is_ascii_digit() || two[1] == b'k'))
}

/// The schema with the keyword in all its parts.
///
/// # Errors
/// The pointer of a reference that stands in data: what it leads to would not be counted.
pub(super) fn counted(schema: &Json) -> Result<Json, String> {
    let mut counted = schema.clone();
    count(&mut counted, "")?;
    Ok(counted)
}

fn inner(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

fn count(part: &mut Json, pointer: &str) -> Result<(), String> {
    match part {
        Json::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                count(item, &format!("{pointer}/{index}"))?;
            }
        }
        Json::Object(entries) => {
            for (key, value) in entries.iter_mut() {
                let at = inner(pointer, key);
                match (NAMES.contains(&&**key), value) {
                    (true, Json::Object(names)) => {
                        for (name, value) in names.iter_mut() {
                            count(value, &inner(&at, name))?;
                        }
                    }
                    (_, value) if DATA.contains(&&**key) => no_reference(value, &at)?,
                    (_, value) => count(value, &at)?,
                }
            }
            entries.insert(KEY.to_owned(), Json::Bool(true));
        }
        _ => {}
    }
    Ok(())
}

fn no_reference(data: &Json, pointer: &str) -> Result<(), String> {
    match data {
        Json::Array(items) => {
            let mut items = items.iter().enumerate();
            items.try_for_each(|(index, item)| no_reference(item, &format!("{pointer}/{index}")))
        }
        Json::Object(entries) => entries.iter().try_for_each(|(key, value)| {
            let at = inner(pointer, key);
            match key.starts_with('$') && key.to_ascii_lowercase().ends_with("ref") {
                true => Err(at),
                false => no_reference(value, &at),
            }
        }),
        _ => Ok(()),
    }
}

/// A part of a schema, as whoever wrote it knows it.
pub(super) fn uncounted(part: &Json) -> Json {
    match part {
        Json::Array(items) => items.iter().map(uncounted).collect(),
        Json::Object(entries) => {
            let own = entries.iter().filter(|(key, _)| *key != KEY);
            own.map(|(key, value)| (key.clone(), uncounted(value)))
                .collect()
        }
        other => other.clone(),
    }
}

/// What a check of this value may take.
pub(super) fn allowed(value: &Json) -> u64 {
    STEPS + STEPS_PER_BYTE * bytes(value)
}

/// About as many as it has when it is written.
fn bytes(value: &Json) -> u64 {
    match value {
        Json::Null | Json::Bool(_) | Json::Number(_) => 2,
        Json::String(text) => text.len() as u64 + 3,
        Json::Array(items) => 2 + items.iter().map(bytes).sum::<u64>(),
        Json::Object(entries) => {
            let entries = entries.iter();
            2 + entries
                .map(|(key, value)| key.len() as u64 + 4 + bytes(value))
                .sum::<u64>()
        }
    }
}

/// Does a check, in so many steps at most. `None`: they were not enough.
pub(super) fn within<T>(steps: u64, check: impl FnOnce() -> T) -> Option<T> {
    let before = LEFT.replace(steps);
    // The validator keeps nothing from one check to the next.
    let done = catch_unwind(AssertUnwindSafe(check));
    LEFT.set(before);
    match done {
        Ok(done) => Some(done),
        Err(over) if over.is::<Over>() => None,
        Err(panic) => resume_unwind(panic),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Schema;
    use crate::value::Json;
    use serde_json::json;

    /// Parts of which each asks for the one before twice, below `root`.
    fn doubling(root: &str, parts: usize, part: impl Fn(&Json) -> Json) -> Json {
        let mut parts: serde_json::Map<_, _> = (1..parts)
            .map(|number| {
                let before = json!({"$ref": format!("#/{root}/d{}", number - 1)});
                (format!("d{number}"), part(&before))
            })
            .collect();
        parts.insert("d0".to_owned(), json!({"type": "integer"}));
        Json::Object(parts)
    }

    fn both(before: &Json) -> Json {
        json!({"allOf": [before, before]})
    }

    /// It is given up, and as soon as one that takes as long as it may.
    fn is_given_up(schema: &Json, value: &Json) {
        let schema = match schema.get("$schema") {
            Some(_) => Schema::compile_resource(schema).expect("a schema"),
            None => Schema::compile(schema).expect("a schema"),
        };
        // It would be days.
        let told = schema.check(value).expect_err("it is given up");
        assert!(told[0].message.contains("`schema_steps`"), "{told:?}");
    }

    #[test]
    fn a_schema_whose_references_double_is_given_up_wherever_its_parts_stand() {
        for root in ["$defs", "definitions", "properties", "x-parts", "default"] {
            let schema = json!({
                root: doubling(root, 60, both),
                "allOf": [{"$ref": format!("#/{root}/d59")}],
            });
            is_given_up(&schema, &json!(1));
        }
        let of_draft_4 = json!({
            "$schema": "http://json-schema.org/draft-04/schema#",
            "definitions": doubling("definitions", 60, both),
            "properties": {"a": {"$ref": "#/definitions/d59"}},
        });
        is_given_up(&of_draft_4, &json!({"a": 1}));
    }

    #[test]
    fn so_is_one_that_doubles_with_the_depth_of_the_value() {
        let again = json!({"type": "object", "properties": {"a": {"$ref": "#"}}});
        let schema = json!({"anyOf": [again.clone(), again, {"type": "integer"}]});
        let value = |depth| (0..depth).fold(json!("none"), |inner, _| json!({ "a": inner }));
        is_given_up(&schema, &value(60));
        let schema = Schema::compile(&schema).expect("a schema");
        assert_eq!(schema.check(&json!({"a": {"a": 1}})), Ok(()));
    }

    #[test]
    fn so_is_one_whose_patterns_are_searched_for_too_long() {
        let schema = json!({"items": {"pattern": "^(?=(a+)+c)"}});
        let value: Json = (0..20_000).map(|_| json!("aaab")).collect();
        is_given_up(&schema, &value);
    }

    #[test]
    fn a_long_list_of_values_with_alternatives_is_told_of() {
        let alternatives: Json = (0..10)
            .map(|number| json!({"properties": {"kind": {"const": number}, "text": {"type": "string"}}}))
            .collect();
        let schema = Schema::compile(&json!({"items": {"oneOf": alternatives}}));
        let schema = schema.expect("a schema");
        let item = |kind: i32| json!({"kind": kind, "text": "some words of text"});
        let list = |last: i32| -> Json {
            (0..50_000)
                .map(|n| item(n % 10))
                .chain([item(last)])
                .collect()
        };
        assert_eq!(schema.check(&list(3)), Ok(()));
        let told = schema.check(&list(11)).expect_err("there is no such kind");
        assert_eq!(told[0].pointer, "/50000", "{told:?}");
    }

    #[test]
    fn a_reference_in_a_value_to_compare_with_is_refused() {
        let schema = json!({"const": {"d0": {"$ref": "#"}}});
        let refused = Schema::compile(&schema).expect_err("it is refused");
        assert_eq!(
            refused,
            "/const/d0/$ref: a reference cannot stand in a value that is compared with"
        );
        // What only looks like one can.
        let schema = Schema::compile(&json!({"enum": [{"ref": "#"}]})).expect("a schema");
        assert_eq!(schema.check(&json!({"ref": "#"})), Ok(()));
    }

    #[test]
    fn a_name_that_the_keyword_has_is_one_like_others() {
        let schema = json!({
            "properties": {super::KEY: {"type": "integer"}},
            "additionalProperties": false,
        });
        let schema = Schema::compile(&schema).expect("a schema");
        assert_eq!(schema.check(&json!({super::KEY: 1})), Ok(()));
        assert!(schema.check(&json!({super::KEY: "1"})).is_err());
        let closed = Schema::compile(&json!({"additionalProperties": false, "properties": {}}));
        let closed = closed.expect("a schema");
        assert!(closed.check(&json!({super::KEY: true})).is_err());
    }
}
