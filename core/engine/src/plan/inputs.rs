//! Inputs and outputs against their schemas.

use super::schema::{Violation, type_of};
use super::types::{OutputDeclaration, Plan, Step};
use crate::value::{Json, JsonError, parse_json};
use serde_json::Number;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How deep schemas are followed into values. Local references may be circular.
const DEPTH: usize = 64;

/// How many schemas are asked about one value.
const FACES: usize = 256;

impl Plan {
    /// The inputs of a run: what was given, completed by the schema's defaults, and checked.
    ///
    /// Without `spec.inputs` a pipeline takes none.
    ///
    /// # Errors
    /// Every violation, with JSON pointers into the inputs.
    pub fn resolve_inputs(&self, given: &Json) -> Result<Json, Vec<Violation>> {
        let mut inputs = given.clone();
        let Some(map) = inputs.as_object() else {
            let message = "inputs must be an object".to_owned();
            return Err(vec![Violation {
                pointer: String::new(),
                message,
                known: Vec::new(),
            }]);
        };
        let Some(schema) = &self.input_schema else {
            if map.is_empty() {
                return Ok(inputs);
            }
            let message = |key: &String| Violation {
                pointer: format!("/{}", key.replace('~', "~0").replace('/', "~1")),
                message: format!("the pipeline {} declares no inputs", self.name),
                known: Vec::new(),
            };
            return Err(map.keys().map(message).collect());
        };
        let json = schema.json();
        fill(&json, &json, &mut inputs, DEPTH);
        schema.check(&inputs)?;
        Ok(inputs)
    }

    /// Reads `-i key=value` as this pipeline's schema says.
    ///
    /// # Errors
    /// As [`read_input_text`].
    pub fn read_input(&self, key: &str, text: &str) -> Result<Json, JsonError> {
        match &self.inputs {
            Some(schema) => read_input_text(schema, key, text),
            None => Ok(Json::String(text.to_owned())),
        }
    }

    /// [`Plan::read_input`], where what is refused stays a text.
    #[must_use]
    pub fn parse_input(&self, key: &str, text: &str) -> Json {
        self.read_input(key, text)
            .unwrap_or_else(|_| Json::String(text.to_owned()))
    }
}

impl Plan {
    /// Makes doubles of the whole numbers among the run's inputs that are declared as `number`.
    pub fn declare_inputs(&self, inputs: &mut Json) {
        if let Some(schema) = &self.inputs {
            declared_numbers(schema, inputs);
        }
    }
}

impl Step {
    /// [`check_outputs`] against what the step declares.
    ///
    /// # Errors
    /// As there.
    pub fn check_outputs(&self, outputs: &Json) -> Result<(), String> {
        check_outputs(&self.outputs, outputs)
    }

    /// Makes doubles of the whole numbers among one instance's outputs that are declared as
    /// `number`.
    pub fn declare_outputs(&self, outputs: &mut Json) {
        for (name, declaration) in &self.outputs {
            if let (Some(schema), Some(value)) = (&declaration.schema, outputs.get_mut(&**name)) {
                declared_numbers(schema, value);
            }
        }
    }
}

/// Reads the text of the input `key` as the schema's type says, or else the values that it lists: a
/// text where these allow one or are not known, else JSON. What is no JSON stays a text, so that the check names the type.
///
/// # Errors
/// Where it is JSON that the engine refuses: an integer beyond 64 bits, a key that stands twice.
pub fn read_input_text(schema: &Json, key: &str, text: &str) -> Result<Json, JsonError> {
    let property = schema
        .get("properties")
        .and_then(|properties| properties.get(key));
    let faces = property.map(|property| faces(schema, property));
    let faces = faces.unwrap_or_default();
    let first = |of: fn(&Json) -> Vec<&str>| {
        let mut all = faces.iter().map(|face| of(face));
        all.find(|types| !types.is_empty())
    };
    let types = first(types).or_else(|| first(listed_types));
    let types = types.unwrap_or_default();
    if types.is_empty() || types.contains(&"string") {
        return Ok(Json::String(text.to_owned()));
    }
    match parse_json(text.as_bytes()) {
        Err(error) if !error.syntax => Err(error),
        read => Ok(read.unwrap_or_else(|_| Json::String(text.to_owned()))),
    }
}

/// Makes doubles of whole numbers that their schema declares as `number` (SEMANTICS 25). Follows
/// properties, items, `allOf`, `anyOf`, `oneOf` and local references.
pub fn declared_numbers(schema: &Json, value: &mut Json) {
    numbers(schema, vec![schema], value, DEPTH);
}

/// Checks what a step gave against what it declares; a declared output that did not come is an error
/// unless it has a default.
///
/// # Errors
/// One sentence that names the outputs and what is wrong with each, at most ten.
pub fn check_outputs(
    declared: &BTreeMap<Arc<str>, OutputDeclaration>,
    outputs: &Json,
) -> Result<(), String> {
    const MOST: usize = 10;
    let mut wrong: Vec<String> = Vec::new();
    for (name, declaration) in declared {
        match outputs.get(&**name) {
            None if declaration.default.is_none() => {
                wrong.push(format!("the declared output `{name}` did not come"));
            }
            None => {}
            Some(value) => {
                let Some(schema) = &declaration.checked else {
                    continue;
                };
                if let Err(violations) = schema.check(value) {
                    wrong.extend(
                        violations
                            .iter()
                            .map(|one| format!("output `{name}`: {one}")),
                    );
                }
            }
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    if wrong.len() > MOST {
        let more = wrong.len() - MOST;
        wrong.truncate(MOST);
        wrong.push(format!("and {more} more"));
    }
    Err(wrong.join("; "))
}

fn types(schema: &Json) -> Vec<&str> {
    match schema.get("type") {
        Some(Json::String(one)) => vec![one],
        Some(Json::Array(several)) => several.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The types of the values that a schema lists.
fn listed_types(schema: &Json) -> Vec<&str> {
    match (schema.get("const"), schema.get("enum")) {
        (Some(only), _) => vec![type_of(only)],
        (None, Some(Json::Array(values))) => values.iter().map(type_of).collect(),
        _ => Vec::new(),
    }
}

/// The schema that a local reference leads to.
fn referred<'a>(root: &'a Json, schema: &Json) -> Option<&'a Json> {
    let uri = schema.get("$ref")?.as_str()?;
    root.pointer(uri.strip_prefix('#')?)
}

/// The schemas that a value must satisfy where it satisfies one: itself, what it refers to, and the
/// parts of `allOf`; its own words first. Local references may be circular.
fn faces<'a>(root: &'a Json, schema: &'a Json) -> Vec<&'a Json> {
    with_parts(root, vec![schema], &["allOf"])
}

/// `schemas` with what they refer to, and the parts that these keywords list.
fn with_parts<'a>(root: &'a Json, schemas: Vec<&'a Json>, keywords: &[&str]) -> Vec<&'a Json> {
    let mut all: Vec<&Json> = Vec::new();
    let mut open = schemas;
    open.reverse();
    while let Some(schema) = open.pop() {
        if all.len() == FACES || all.iter().any(|known| std::ptr::eq(*known, schema)) {
            continue;
        }
        all.push(schema);
        let lists = keywords
            .iter()
            .filter_map(|key| schema.get(key)?.as_array());
        let parts: Vec<&Json> = lists.flatten().collect();
        open.extend(parts.into_iter().rev());
        open.extend(referred(root, schema));
    }
    all
}

/// Fills in the defaults of absent properties, at every level that is there.
fn fill(root: &Json, schema: &Json, value: &mut Json, depth: usize) {
    let (Some(depth), Some(object)) = (depth.checked_sub(1), value.as_object_mut()) else {
        return;
    };
    let faces = faces(root, schema).into_iter();
    let properties = faces.filter_map(|face| face.get("properties")?.as_object());
    for (name, property) in properties.flatten() {
        let default = || {
            let mut faces = self::faces(root, property).into_iter();
            faces.find_map(|face| face.get("default"))
        };
        match object.get_mut(name) {
            Some(value) => fill(root, property, value, depth),
            None => {
                if let Some(default) = default() {
                    let mut value = default.clone();
                    fill(root, property, &mut value, depth);
                    object.insert(name.clone(), value);
                }
            }
        }
    }
}

/// Of a value under all these schemas. One that may be either is what its schemas say where they
/// agree: with `integer` among them it stays as it is.
fn numbers(root: &Json, schemas: Vec<&Json>, value: &mut Json, depth: usize) {
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    if schemas.is_empty() {
        return;
    }
    let schemas = with_parts(root, schemas, &["allOf", "anyOf", "oneOf"]);
    match value {
        Json::Number(_) => {
            let says = |name| schemas.iter().any(|schema| types(schema).contains(&name));
            if says("number") && !says("integer") {
                as_double(value);
            }
        }
        Json::Object(object) => {
            for (name, value) in object {
                let below = below(&schemas, "properties", &**name, "additionalProperties");
                numbers(root, below, value, depth);
            }
        }
        Json::Array(items) => {
            for (place, item) in items.iter_mut().enumerate() {
                let below = below(&schemas, "prefixItems", place, "items");
                numbers(root, below, item, depth);
            }
        }
        _ => {}
    }
}

/// What schemas say of a part of a value: under its own name or place, else under what is for all
/// others.
fn below<'a>(
    schemas: &[&'a Json],
    own: &str,
    index: impl serde_json::value::Index + Copy,
    others: &str,
) -> Vec<&'a Json> {
    let of = |schema: &&'a Json| {
        let schema: &'a Json = schema;
        let part = schema.get(own).and_then(|parts| parts.get(index));
        part.or_else(|| schema.get(others))
    };
    schemas.iter().filter_map(of).collect()
}

fn as_double(value: &mut Json) {
    if let Json::Number(number) = value
        && !number.is_f64()
        && let Some(double) = number.as_f64().and_then(Number::from_f64)
    {
        *number = double;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_text_is_read_as_its_type_says() {
        let schema = json!({
            "properties": {
                "ref": {"type": "string"}, "count": {"type": "integer"}, "dry": {"type": "boolean"},
                "list": {"$ref": "#/$defs/list"}, "any": {},
            },
            "$defs": {"list": {"type": "array"}},
        });
        for (key, text, value) in [
            ("ref", "12", json!("12")),
            (
                "count",
                "9007199254740993",
                json!(9_007_199_254_740_993_i64),
            ),
            ("count", "many", json!("many")),
            ("dry", "true", json!(true)),
            ("list", "[1]", json!([1])),
            ("any", "1", json!("1")),
            ("unknown", "1", json!("1")),
        ] {
            assert_eq!(read_input_text(&schema, key, text), Ok(value), "{key}");
        }
        let error =
            read_input_text(&schema, "count", "9223372036854775808").expect_err("too large");
        assert!(
            error.message.contains("the limit `int64` is"),
            "{}",
            error.message
        );
    }

    #[test]
    fn declared_numbers_become_doubles_and_integers_stay() {
        let schema = json!({
            "properties": {
                "ratio": {"type": "number"}, "count": {"type": "integer"},
                "list": {"items": {"type": "number"}},
                "tree": {"$ref": "#/$defs/tree"},
            },
            "$defs": {"tree": {"properties": {
                "weight": {"type": ["number", "null"]}, "left": {"$ref": "#/$defs/tree"},
            }}},
        });
        let mut value = json!({
            "ratio": 3, "count": 3, "list": [1, 2], "tree": {"left": {"weight": 1}}, "free": 1,
        });
        declared_numbers(&schema, &mut value);
        let expected = json!({
            "ratio": 3.0, "count": 3, "list": [1.0, 2.0], "tree": {"left": {"weight": 1.0}},
            "free": 1,
        });
        assert_eq!(value, expected);
        assert!(value["ratio"].is_f64() && value["count"].is_i64());
    }

    #[test]
    fn a_number_that_several_schemas_declare_is_what_they_agree_on() {
        let schema = json!({"properties": {
            "nullable": {"anyOf": [{"type": "number"}, {"type": "null"}]},
            "either": {"oneOf": [{"type": "integer"}, {"type": "number"}]},
            "both": {"allOf": [{"type": "number"}, {"type": "integer"}]},
            "beside": {"$ref": "#/$defs/any", "type": "number"},
            "nested": {"anyOf": [
                {"properties": {"n": {"type": "number"}}}, {"items": {"type": "number"}},
            ]},
            "list": {"anyOf": [{"prefixItems": [{"type": "number"}], "items": {"type": "integer"}}]},
        }, "$defs": {"any": {}}});
        let mut value = json!({
            "nullable": 3, "either": 3, "both": 3, "beside": 3, "nested": {"n": 3}, "list": [1, 2],
        });
        declared_numbers(&schema, &mut value);
        let expected = json!({
            "nullable": 3.0, "either": 3, "both": 3, "beside": 3.0, "nested": {"n": 3.0},
            "list": [1.0, 2],
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn defaults_beside_and_behind_a_reference_are_filled_in() {
        let schema = json!({
            "properties": {
                "own": {"$ref": "#/$defs/number", "default": 5},
                "all": {"allOf": [{"type": "integer"}], "default": 6},
                "theirs": {"$ref": "#/$defs/nine"},
                "both": {"$ref": "#/$defs/nine", "default": 10},
                "part": {"allOf": [{"default": 11}]},
                "object": {"$ref": "#/$defs/object", "default": {}},
                "deep": {"allOf": [{"$ref": "#/$defs/object"}]},
                "round": {"$ref": "#/properties/round"},
            },
            "$defs": {
                "number": {"type": "number"}, "nine": {"default": 9},
                "object": {"properties": {"x": {"default": 1}}},
            },
        });
        let mut value = json!({"deep": {}});
        fill(&schema, &schema, &mut value, DEPTH);
        let expected = json!({
            "own": 5, "all": 6, "theirs": 9, "both": 10, "part": 11, "object": {"x": 1},
            "deep": {"x": 1},
        });
        assert_eq!(value, expected);
    }
}
