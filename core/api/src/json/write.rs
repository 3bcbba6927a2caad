//! Messages as JSON.

use super::{Form, form, prefix};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, ReflectMessage as _, Value,
};
use serde_json::{Map, Number, Value as Json};

/// A message as JSON, as REST tells it. `name` is its own in `conveyor.v1`.
pub fn to_json(name: &str, message: &impl Message) -> Json {
    told(name, &message.encode_to_vec())
}

/// The same, of the message's bytes.
fn told(name: &str, bytes: &[u8]) -> Json {
    let descriptor = super::message(name);
    let dynamic = descriptor.and_then(|of| DynamicMessage::decode(of, bytes).ok());
    // Every message of the contract is in its descriptors, and is what it encodes to.
    dynamic.map_or(Json::Null, |message| object(&message))
}

/// A message of any kind as JSON, in the forms of REST.
pub fn to_json_of(message: &DynamicMessage) -> Json {
    object(message)
}

fn object(message: &DynamicMessage) -> Json {
    let mut object = Map::new();
    for field in message.descriptor().fields() {
        if field.supports_presence() && !message.has_field(&field) {
            continue;
        }
        let value = message.get_field(&field);
        if let Some(json) = value_of(&field, &value) {
            object.insert(field.name().to_owned(), json);
        }
    }
    Json::Object(object)
}

/// A field's value; `None` for inline JSON that is not there.
fn value_of(field: &FieldDescriptor, value: &Value) -> Option<Json> {
    match value {
        Value::List(list) => Some(list.iter().filter_map(|item| single(field, item)).collect()),
        Value::Map(map) => {
            let Kind::Message(entry) = field.kind() else {
                return None;
            };
            let of = entry.map_entry_value_field();
            let mut entries: Vec<_> = map
                .iter()
                .map(|(key, value)| (key_of(key), value))
                .collect();
            entries.sort_by(|one, other| one.0.cmp(&other.0));
            let entries = entries.into_iter();
            let entries = entries.filter_map(|(key, value)| Some((key, single(&of, value)?)));
            Some(Json::Object(entries.collect()))
        }
        value => single(field, value),
    }
}

fn single(field: &FieldDescriptor, value: &Value) -> Option<Json> {
    Some(match value {
        Value::Bool(value) => Json::Bool(*value),
        Value::I32(value) => (*value).into(),
        Value::I64(value) => (*value).into(),
        Value::U32(value) => (*value).into(),
        Value::U64(value) => (*value).into(),
        Value::F32(value) => Number::from_f64(f64::from(*value)).map_or(Json::Null, Json::Number),
        Value::F64(value) => Number::from_f64(*value).map_or(Json::Null, Json::Number),
        Value::String(text) => text.as_str().into(),
        Value::Bytes(bytes) => match form(field) {
            Form::Base64 => STANDARD.encode(bytes).into(),
            Form::Text => String::from_utf8_lossy(bytes).into(),
            Form::Inline if bytes.is_empty() => return None,
            // The engine keeps nothing else there.
            Form::Inline => serde_json::from_slice(bytes).unwrap_or(Json::Null),
        },
        Value::EnumNumber(number) => match field.kind() {
            Kind::Enum(kind) => word(&kind, *number).into(),
            _ => (*number).into(),
        },
        Value::Message(message) => object(message),
        Value::List(_) | Value::Map(_) => return None,
    })
}

fn key_of(key: &MapKey) -> String {
    match key {
        MapKey::String(text) => text.clone(),
        MapKey::Bool(value) => value.to_string(),
        MapKey::I32(value) => value.to_string(),
        MapKey::I64(value) => value.to_string(),
        MapKey::U32(value) => value.to_string(),
        MapKey::U64(value) => value.to_string(),
    }
}

/// An enum's value as a word: `running`. One of a later release is its number.
pub(crate) fn word(kind: &EnumDescriptor, number: i32) -> String {
    match kind.get_value(number) {
        Some(value) => {
            let name = value.name();
            let name = name.strip_prefix(&prefix(kind)).unwrap_or(name);
            name.to_ascii_lowercase()
        }
        None => number.to_string(),
    }
}
