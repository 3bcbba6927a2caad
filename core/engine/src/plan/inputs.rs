//! Inputs and outputs against their schemas.

use super::schema::Violation;
use super::types::{OutputDeclaration, Plan, Step};
use crate::value::{Json, JsonError, parse_json};
use serde_json::{Map, Number};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How deep schemas are followed into values. Local references may be circular.
const DEPTH: usize = 64;

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

/// Reads the text of the input `key` as the schema's type says: a text where the type allows one or
/// is not known, else JSON. What is no JSON stays a text, so that the check names the type.
///
/// # Errors
/// Where it is JSON that the engine refuses: an integer beyond 64 bits, a key that stands twice.
pub fn read_input_text(schema: &Json, key: &str, text: &str) -> Result<Json, JsonError> {
    let property = schema
        .get("properties")
        .and_then(|properties| properties.get(key));
    let property = property.map(|property| resolve(schema, property));
    let types = property.map(types).unwrap_or_default();
    if types.is_empty() || types.contains(&"string") {
        return Ok(Json::String(text.to_owned()));
    }
    match parse_json(text.as_bytes()) {
        Err(error) if !error.syntax => Err(error),
        read => Ok(read.unwrap_or_else(|_| Json::String(text.to_owned()))),
    }
}

/// Makes doubles of whole numbers that their schema declares as `number` (SEMANTICS 25). Follows
/// properties, items, `allOf` and local references.
pub fn declared_numbers(schema: &Json, value: &mut Json) {
    numbers(schema, schema, value, DEPTH);
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

/// The schema behind a local reference.
fn resolve<'a>(root: &'a Json, schema: &'a Json) -> &'a Json {
    let mut schema = schema;
    for _ in 0..DEPTH {
        let pointer = schema
            .get("$ref")
            .and_then(Json::as_str)
            .and_then(|uri| uri.strip_prefix('#'));
        match pointer.and_then(|pointer| root.pointer(pointer)) {
            Some(target) => schema = target,
            None => break,
        }
    }
    schema
}

/// Fills in the defaults of absent properties, at every level that is there.
fn fill(root: &Json, schema: &Json, value: &mut Json, depth: usize) {
    let (Some(depth), Some(object)) = (depth.checked_sub(1), value.as_object_mut()) else {
        return;
    };
    let schema = resolve(root, schema);
    let Some(properties) = schema.get("properties").and_then(Json::as_object) else {
        return;
    };
    for (name, property) in properties {
        let property = resolve(root, property);
        match (object.get_mut(name), property.get("default")) {
            (Some(value), _) => fill(root, property, value, depth),
            (None, Some(default)) => {
                let mut value = default.clone();
                fill(root, property, &mut value, depth);
                object.insert(name.clone(), value);
            }
            (None, None) => {}
        }
    }
}

fn numbers(root: &Json, schema: &Json, value: &mut Json, depth: usize) {
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    let schema = resolve(root, schema);
    let types = types(schema);
    if types.contains(&"number") && !types.contains(&"integer") {
        as_double(value);
    }
    for part in schema
        .get("allOf")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
    {
        numbers(root, part, value, depth);
    }
    match value {
        Json::Object(object) => {
            let properties = schema.get("properties").and_then(Json::as_object);
            let others = schema.get("additionalProperties");
            numbers_of(root, properties, others, object, depth);
        }
        Json::Array(items) => {
            let prefix = schema.get("prefixItems").and_then(Json::as_array);
            let prefix = prefix.map(Vec::as_slice).unwrap_or_default();
            for (place, item) in items.iter_mut().enumerate() {
                if let Some(schema) = prefix.get(place).or_else(|| schema.get("items")) {
                    numbers(root, schema, item, depth);
                }
            }
        }
        _ => {}
    }
}

fn numbers_of(
    root: &Json,
    properties: Option<&Map<String, Json>>,
    others: Option<&Json>,
    object: &mut Map<String, Json>,
    depth: usize,
) {
    for (name, value) in object {
        let property = properties.and_then(|properties| properties.get(name));
        if let Some(schema) = property.or(others) {
            numbers(root, schema, value, depth);
        }
    }
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
}
