//! Messages as JSON Schemas, as `crate::json` reads and writes them.
//!
//! A message is two schemas where requests carry it and answers have it: `Failure` and `FailureInput`.
//! In an answer all fields that are always there are required; in a request those that the comment says,
//! and what is not known is refused.

use super::comments::Comments;
use super::limits::bounds;
use crate::json::{Form, form, word};
use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Request,
    Answer,
}

/// The schemas that were referred to.
pub(super) struct Schemas<'a> {
    comments: &'a Comments,
    all: BTreeMap<String, Json>,
}

fn reference(name: &str) -> Json {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

impl<'a> Schemas<'a> {
    pub(super) fn new(comments: &'a Comments) -> Schemas<'a> {
        Schemas {
            comments,
            all: BTreeMap::new(),
        }
    }

    pub(super) fn into_components(self) -> Map<String, Json> {
        self.all.into_iter().collect()
    }

    /// A reference to a message's schema, which is made if it is not there.
    pub(super) fn message(&mut self, of: &MessageDescriptor, way: Way) -> Json {
        let own = of.name();
        let name = match way {
            Way::Request if !own.ends_with("Request") => format!("{own}Input"),
            _ => own.to_owned(),
        };
        if !self.all.contains_key(&name) {
            // First: a message may hold itself.
            self.all.insert(name.clone(), Json::Null);
            let schema = self.object(of, way, &[]);
            self.all.insert(name.clone(), schema);
        }
        reference(&name)
    }

    /// A message's schema, without the fields of these names.
    pub(super) fn object(&mut self, of: &MessageDescriptor, way: Way, without: &[&str]) -> Json {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for field in of.fields().filter(|field| !without.contains(&field.name())) {
            let comment = self.comments.field(&field);
            let always = !field.supports_presence() && !may_be_missing(&field);
            let needed = match way {
                Way::Answer => always,
                Way::Request => says_required(comment),
            };
            if needed {
                required.push(Json::from(field.name()));
            }
            properties.insert(field.name().to_owned(), self.field(&field, way));
        }
        let mut schema = json!({
            "type": "object",
            "description": self.comments.message(of),
            "properties": properties,
        });
        if !required.is_empty() {
            schema["required"] = required.into();
        }
        if way == Way::Request {
            schema["additionalProperties"] = false.into();
            let choices = of.oneofs().filter(|choice| !choice.is_synthetic());
            let choices: Vec<Json> = choices.filter_map(|choice| self.choice(&choice)).collect();
            if !choices.is_empty() {
                schema["allOf"] = choices.into();
            }
        }
        schema
    }

    /// Of the fields of a choice, a request has one.
    fn choice(&self, of: &OneofDescriptor) -> Option<Json> {
        let required = says_required(self.comments.choice(of));
        let names: Vec<_> = of.fields().map(|field| field.name().to_owned()).collect();
        let mut each: Vec<_> = names
            .iter()
            .map(|name| json!({ "required": [name] }))
            .collect();
        match (each.len(), required) {
            (0, _) | (1, false) => return None,
            (_, true) => {}
            (_, false) => each.push(json!({ "not": { "anyOf": each.clone() } })),
        }
        Some(json!({ "oneOf": each }))
    }

    /// A field's schema with its description.
    pub(super) fn field(&mut self, field: &FieldDescriptor, way: Way) -> Json {
        let comment = self.comments.field(field);
        let limits = bounds(comment);
        let mut schema = if field.is_map() {
            let value = match field.kind() {
                Kind::Message(entry) => self.single(&entry.map_entry_value_field(), way, ""),
                _ => json!(true),
            };
            let mut map = json!({ "type": "object", "additionalProperties": value });
            limit(
                &mut map,
                "maxProperties",
                limits.most.filter(|_| !limits.bytes),
            );
            map
        } else if field.is_list() {
            let mut list = json!({ "type": "array", "items": self.single(field, way, "") });
            limit(&mut list, "maxItems", limits.most.filter(|_| !limits.bytes));
            limit(
                &mut list,
                "minItems",
                limits.least.filter(|_| way == Way::Request),
            );
            list
        } else {
            self.single(field, way, comment)
        };
        if let Some(object) = schema.as_object_mut() {
            object.insert("description".to_owned(), comment.into());
        }
        schema
    }

    /// One value of a field; `comment` has its bounds.
    fn single(&mut self, field: &FieldDescriptor, way: Way, comment: &str) -> Json {
        let limits = bounds(comment);
        let most = limits.most.filter(|_| !limits.bytes);
        let integer = |format: &str, least: Option<i64>, all: Option<i64>| {
            let mut schema = json!({ "type": "integer", "format": format });
            limit(&mut schema, "minimum", least);
            limit(
                &mut schema,
                "maximum",
                most.map(Json::from).or(all.map(Json::from)),
            );
            schema
        };
        match field.kind() {
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
                integer("int32", Some(i32::MIN.into()), Some(i32::MAX.into()))
            }
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => integer("int64", None, None),
            Kind::Uint32 | Kind::Fixed32 => integer("uint32", Some(0), Some(u32::MAX.into())),
            Kind::Uint64 | Kind::Fixed64 => integer("uint64", Some(0), None),
            Kind::Float | Kind::Double => json!({ "type": "number" }),
            Kind::String => text(limits.most),
            Kind::Bytes => match form(field) {
                Form::Text => text(limits.most),
                Form::Base64 => {
                    let mut schema = text(limits.most.map(|most| most.div_ceil(3) * 4));
                    schema["contentEncoding"] = "base64".into();
                    schema
                }
                Form::Inline if is_object(self.comments.field(field)) => {
                    json!({ "type": "object" })
                }
                Form::Inline => json!({}),
            },
            Kind::Enum(of) => self.words(&of),
            Kind::Message(of) => self.message(&of, way),
        }
    }

    fn words(&mut self, of: &EnumDescriptor) -> Json {
        let name = of.name();
        if !self.all.contains_key(name) {
            let mut about = self.comments.kind(of).to_owned();
            let mut words = Vec::new();
            for value in of.values() {
                let word = word(of, value.number());
                about.push_str(&format!("\n- `{word}`: {}", self.comments.value(&value)));
                words.push(Json::from(word));
            }
            let schema = json!({ "type": "string", "enum": words, "description": about });
            self.all.insert(name.to_owned(), schema);
        }
        reference(name)
    }
}

/// Inline JSON that is not there is left out.
fn may_be_missing(field: &FieldDescriptor) -> bool {
    field.kind() == Kind::Bytes && form(field) == Form::Inline && !field.is_list()
}

/// Whether a comment says that a request must have it.
fn says_required(comment: &str) -> bool {
    comment
        .split(". ")
        .any(|sentence| sentence.trim_end_matches('.') == "Required")
}

/// Whether a comment says that inline JSON is an object.
fn is_object(comment: &str) -> bool {
    comment.contains("JSON object") && !comment.contains("JSON objects")
}

fn text(most: Option<u64>) -> Json {
    let mut schema = json!({ "type": "string" });
    limit(&mut schema, "maxLength", most);
    schema
}

fn limit(schema: &mut Json, name: &str, value: Option<impl Into<Json>>) {
    if let Some(value) = value {
        schema[name] = value.into();
    }
}

/// What every error is.
pub(super) fn problem() -> Json {
    json!({
        "type": "object",
        "description": "What is wrong (RFC 9457).",
        "required": ["type", "title", "status", "code", "detail", "errors"],
        "properties": {
            "type": { "type": "string", "description": "`about:blank`: the status says what it is." },
            "title": { "type": "string", "description": "The status in words." },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "code": { "type": "string", "description": "The kind as gRPC has it, for programs: `not_found`." },
            "detail": { "type": "string", "description": "What is wrong, and what to do." },
            "errors": {
                "type": "array",
                "description": "Each thing that is wrong with its place: a diagnostic of the document, or \
                    a field of the request.",
                "items": {
                    "type": "object",
                    "required": ["pointer", "message"],
                    "properties": {
                        "pointer": { "type": "string", "description": "JSON pointer of the place." },
                        "message": { "type": "string" },
                        "file_name": { "type": "string" },
                        "line": { "type": "integer", "minimum": 0 },
                        "column": { "type": "integer", "minimum": 0 },
                    },
                },
            },
        },
    })
}
