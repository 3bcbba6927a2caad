//! JSON Schemas of a document: checked when it is loaded, compiled once, shared.

use crate::source::{self, Limits, Node, Path, Problem, Report};
use crate::value::{Json, canonical_string};
use jsonschema::{Draft, PatternOptions, Validator};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use violation::{shorten, violations};

pub(super) use violation::type_of;

mod steps;
mod violation;

pub use violation::Violation;

/// A JSON Schema (2020-12), compiled.
#[derive(Clone)]
pub struct Schema {
    json: Arc<Json>,
    validator: Arc<Validator>,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schema({})", self.json)
    }
}

/// As many violations of one value as are told.
const VIOLATIONS: usize = 100;

impl Schema {
    /// The schema as written.
    #[must_use]
    pub fn json(&self) -> Arc<Json> {
        Arc::clone(&self.json)
    }

    /// Whether `value` satisfies the schema.
    ///
    /// # Errors
    /// Every violation, at most 100, in the order of the pointers; never none. Where it cannot be told within
    /// the limit `schema_steps`, that alone.
    pub fn check(&self, value: &Json) -> Result<(), Vec<Violation>> {
        check(&self.validator, &self.json, value)
    }

    /// Compiles a schema that is no part of a document: a driver's.
    ///
    /// # Errors
    /// A sentence, when it is no JSON Schema 2020-12 without references that lead out of it.
    pub fn compile(json: &Json) -> Result<Schema, String> {
        let text = canonical_string(json);
        let mut report = Report::new("schema", &text, 1);
        let node = source::read_canonical(&text, &Limits::default());
        let schema = node
            .map_err(|problem| problem.message)
            .map(|node| Schemas::default().compile(&node, &Path::ROOT, &mut report))?;
        schema.ok_or_else(|| {
            let first = report.finish().into_iter().next();
            first.map_or_else(String::new, |found| match found.pointer.as_str() {
                "" => found.message,
                pointer => format!("{pointer}: {}", found.message),
            })
        })
    }

    /// Compiles the schema of a ResourceDefinition: 2020-12, or draft 4 where `$schema` says so.
    ///
    /// # Errors
    /// All that is wrong with it, with pointers into it; never none.
    pub fn compile_resource(json: &Json) -> Result<Schema, Vec<Violation>> {
        let text = canonical_string(json);
        let mut report = Report::new("schema", &text, VIOLATIONS);
        let whole = |message| {
            vec![Violation {
                pointer: String::new(),
                message,
                known: Vec::new(),
            }]
        };
        let node = source::read_canonical(&text, &Limits::default());
        let node = node.map_err(|problem| whole(problem.message))?;
        let mut schemas = Schemas {
            draft_4: true,
            ..Schemas::default()
        };
        let schema = schemas.compile(&node, &Path::ROOT, &mut report);
        schema.ok_or_else(|| {
            let found = report.finish().into_iter();
            let found = found.map(|found| Violation {
                pointer: found.pointer.clone(),
                message: match (&found.found, &found.allowed) {
                    (Some(text), Some(allowed)) => {
                        format!("{}: found {text}; allowed: {allowed}", found.message)
                    }
                    _ => found.message,
                },
                known: Vec::new(),
            });
            found.collect()
        })
    }

    /// The properties that it names for an object, where it leaves no room for others: it closes
    /// itself, or says nothing of others at all (`docs/decisions/0007`).
    #[must_use]
    pub fn only_properties(&self) -> Option<Vec<&str>> {
        // What may name further properties.
        const OPEN: [&str; 9] = [
            "$ref",
            "$dynamicRef",
            "allOf",
            "anyOf",
            "oneOf",
            "if",
            "then",
            "else",
            "dependentSchemas",
        ];
        let schema = self.json.as_object()?;
        let names = schema.get("properties").and_then(Json::as_object);
        let names = || names.into_iter().flat_map(|names| names.keys());
        if schema.contains_key("patternProperties") {
            return None;
        }
        let closes = |key| schema.get(key) == Some(&Json::Bool(false));
        let says = |key: &str| schema.contains_key(key);
        let composed = OPEN.iter().any(|key| says(key));
        let closed = closes("additionalProperties") || closes("unevaluatedProperties") && !composed;
        let silent = !composed
            && !says("additionalProperties")
            && !says("unevaluatedProperties")
            && names().next().is_some();
        (closed || silent).then(|| names().map(String::as_str).collect())
    }
}

fn check(validator: &Validator, schema: &Json, value: &Json) -> Result<(), Vec<Violation>> {
    let most = steps::allowed(value);
    let checked = steps::within(most, || {
        if validator.is_valid(value) {
            return Ok(());
        }
        let errors = validator.iter_errors(value);
        let told = errors.flat_map(|error| violations(schema, &error));
        let mut told: Vec<Violation> = told.take(VIOLATIONS).collect();
        told.sort();
        told.dedup();
        Err(told)
    });
    checked.unwrap_or_else(|| {
        Err(vec![Violation {
            pointer: String::new(),
            message: format!(
                "whether the value is what its schema asks for is not told within {most} steps, the limit \
                 `schema_steps` for a value of its size: the schema's references or alternatives multiply"
            ),
            known: Vec::new(),
        }])
    })
}

/// How schemas are compiled: what is compiled is [`steps::counted`].
fn options(dialect: Draft) -> jsonschema::ValidationOptions<'static> {
    let patterns = PatternOptions::fancy_regex().backtrack_limit(steps::ATTEMPTS);
    jsonschema::options()
        .with_draft(dialect)
        .with_pattern_options(patterns)
        .with_keyword(steps::KEY, steps::step)
}

/// The schemas of one document. Equal ones are compiled once: a generated document of 100,000 steps
/// has a handful.
#[derive(Default)]
pub(super) struct Schemas {
    compiled: BTreeMap<String, Schema>,
    /// Whether draft 4 is taken too.
    draft_4: bool,
}

const DRAFT_4: &str = "http://json-schema.org/draft-04/schema";
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

impl Schemas {
    /// `spec.inputs`: a schema of an object, whose defaults satisfy it.
    pub(super) fn inputs(
        &mut self,
        node: &Node,
        path: &Path<'_>,
        report: &mut Report<'_>,
    ) -> Option<Schema> {
        let schema = self.compile(node, path, report)?;
        if let Some(kind) = node.get("type")
            && kind.as_str() != Some("object")
        {
            let problem = Problem::on(kind, &path.key("type"), "`inputs` describe an object");
            report.error(problem.found(kind.describe()).allowed("object"));
            return None;
        }
        let counted = steps::counted(&schema.json).ok()?;
        let subschemas = options(Draft::Draft202012).build_map(&counted);
        let properties = path.key("properties");
        for entry in node
            .get("properties")
            .and_then(Node::as_map)
            .unwrap_or_default()
        {
            let Some(default) = entry.value.get("default") else {
                continue;
            };
            let key = entry.key.replace('~', "~0").replace('/', "~1");
            let Ok(map) = &subschemas else { continue };
            let Some(validator) = map.get(&format!("#/properties/{key}")) else {
                continue;
            };
            let json = default.to_json();
            if let Err(violations) = check(validator, &schema.json, &json) {
                let first = violations.first().map(ToString::to_string);
                let first = first.unwrap_or_default();
                let message = format!("the default does not satisfy its schema: {first}");
                let place = properties.key(&entry.key);
                report.error(Problem::on(default, &place.key("default"), message));
            }
        }
        Some(schema)
    }

    /// The schema of a declared output.
    pub(super) fn output(
        &mut self,
        node: &Node,
        path: &Path<'_>,
        report: &mut Report<'_>,
    ) -> Option<Schema> {
        self.compile(node, path, report)
    }

    fn compile(&mut self, node: &Node, path: &Path<'_>, report: &mut Report<'_>) -> Option<Schema> {
        let json = node.to_json();
        if !json.is_object() && !json.is_boolean() {
            let problem = Problem::on(node, path, "this is not a JSON Schema");
            report.error(
                problem
                    .found(node.describe())
                    .allowed("an object, true or false"),
            );
            return None;
        }
        let key = canonical_string(&json);
        if let Some(schema) = self.compiled.get(&key) {
            return Some(schema.clone());
        }
        let mut dialect = Draft::Draft202012;
        if let Some(draft) = node.get("$schema") {
            match draft.as_str().map(|uri| uri.trim_end_matches('#')) {
                Some(DRAFT) => {}
                Some(DRAFT_4) if self.draft_4 => dialect = Draft::Draft4,
                _ => {
                    let message = "this JSON Schema dialect is not supported";
                    let problem = Problem::on(draft, &path.key("$schema"), message);
                    let problem = problem.found(draft.describe());
                    report.error(match self.draft_4 {
                        true => problem.allowed(format!("{DRAFT}, {DRAFT_4}")),
                        false => problem.allowed(DRAFT),
                    });
                    return None;
                }
            }
        }
        let mut remote = Vec::new();
        remote_references(node, &path.to_string(), &mut remote);
        for (place, pointer) in &remote {
            let message = "a remote `$ref` is not followed";
            let problem = Problem::new(place.at, message.to_owned());
            let problem = Problem {
                pointer: pointer.clone(),
                ..problem
            };
            report.error(
                problem
                    .found(place.describe())
                    .allowed("a reference within the schema: #/$defs/…"),
            );
        }
        if !remote.is_empty() {
            return None;
        }
        let counted = match steps::counted(&json) {
            Ok(counted) => counted,
            Err(inner) => {
                let place = node.pointer(&inner).unwrap_or(node);
                let message = "a reference cannot stand in a value that is compared with";
                let problem = Problem::new(place.at, message.to_owned());
                report.error(Problem {
                    pointer: format!("{path}{inner}"),
                    ..problem
                });
                return None;
            }
        };
        match options(dialect).build(&counted) {
            Ok(validator) => {
                let schema = Schema {
                    json: Arc::new(json),
                    validator: Arc::new(validator),
                };
                self.compiled.insert(key, schema.clone());
                Some(schema)
            }
            Err(error) => {
                // The build tells one error: of what is no schema by its form, all are told.
                let meta = match dialect {
                    Draft::Draft4 => jsonschema::draft4::meta::validator(),
                    _ => jsonschema::draft202012::meta::validator(),
                };
                let mut wrong: Vec<Violation> = meta
                    .iter_errors(&json)
                    .flat_map(|error| violations(&Json::Null, &error))
                    .take(VIOLATIONS)
                    .collect();
                wrong.sort();
                wrong.dedup();
                if wrong.is_empty() {
                    wrong.push(Violation {
                        pointer: error.instance_path().to_string(),
                        message: shorten(&error.to_string()),
                        known: Vec::new(),
                    });
                }
                for violation in wrong {
                    let inner = violation.pointer;
                    let place = node.pointer(&inner).unwrap_or(node);
                    let message = format!("invalid JSON Schema: {}", violation.message);
                    let problem = Problem::new(place.at, message);
                    report.error(Problem {
                        pointer: format!("{path}{inner}"),
                        ..problem
                    });
                }
                None
            }
        }
    }
}

/// Keywords whose value is an object of names to schemas.
const NAMES: [&str; 6] = [
    "properties",
    "patternProperties",
    "$defs",
    "definitions",
    "dependentSchemas",
    "dependencies",
];
/// Keywords whose value is data.
const DATA: [&str; 4] = ["const", "enum", "default", "examples"];

/// References that lead out of the schema.
fn remote_references<'n>(node: &'n Node, pointer: &str, out: &mut Vec<(&'n Node, String)>) {
    use crate::source::Content;
    if let Content::List(items) = &node.content {
        for (index, item) in items.iter().enumerate() {
            remote_references(item, &format!("{pointer}/{index}"), out);
        }
    }
    for entry in node.as_map().unwrap_or_default() {
        let key = &*entry.key;
        let place = || format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
        if matches!(key, "$ref" | "$dynamicRef") {
            if entry
                .value
                .as_str()
                .is_some_and(|uri| !uri.starts_with('#') && uri != DRAFT && uri != DRAFT_4)
            {
                out.push((&entry.value, place()));
            }
        } else if NAMES.contains(&key) {
            for named in entry.value.as_map().unwrap_or_default() {
                let name = named.key.replace('~', "~0").replace('/', "~1");
                remote_references(&named.value, &format!("{}/{name}", place()), out);
            }
        } else if !DATA.contains(&key) {
            remote_references(&entry.value, &place(), out);
        }
    }
}
