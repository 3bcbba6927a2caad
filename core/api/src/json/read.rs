//! JSON as messages. What is not known, or does not fit, is refused with its place.

use super::{Form, form, prefix};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conveyor_engine::value::canonical_bytes;
use prost::Message;
use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value,
};
use serde_json::Value as Json;
use std::collections::HashMap;

/// What is wrong with JSON that is to be a message, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// JSON pointer of the place.
    pub pointer: String,
    /// A sentence.
    pub message: String,
}

fn flaw(pointer: &str, message: impl Into<String>) -> Flaw {
    Flaw {
        pointer: pointer.to_owned(),
        message: message.into(),
    }
}

/// The message that a JSON object is. `name` is its own in `conveyor.v1`.
///
/// # Errors
/// The first thing that is not known or does not fit.
pub(crate) fn from_json<M: Message + Default>(name: &str, json: &Json) -> Result<M, Flaw> {
    M::decode(&encoded(name, json)?[..]).map_err(|error| flaw("", error.to_string()))
}

/// The bytes of that message.
fn encoded(name: &str, json: &Json) -> Result<Vec<u8>, Flaw> {
    let descriptor = super::message(name);
    let descriptor = descriptor.ok_or_else(|| flaw("", format!("there is no message {name}")))?;
    Ok(object(&descriptor, json, "")?.encode_to_vec())
}

fn kind_of(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    }
}

fn expected(pointer: &str, what: &str, found: &Json) -> Flaw {
    flaw(
        pointer,
        format!("expected {what}, found {}", kind_of(found)),
    )
}

/// The message of any kind that a JSON object is, in the forms of REST.
///
/// # Errors
/// The first thing that is not known or does not fit.
pub fn from_json_of(of: &MessageDescriptor, json: &Json) -> Result<DynamicMessage, Flaw> {
    object(of, json, "")
}

/// A place within another.
pub(crate) fn at(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

fn object(of: &MessageDescriptor, json: &Json, pointer: &str) -> Result<DynamicMessage, Flaw> {
    let Json::Object(fields) = json else {
        return Err(expected(pointer, "an object", json));
    };
    let mut message = DynamicMessage::new(of.clone());
    let mut choices: HashMap<String, &str> = HashMap::new();
    for (name, value) in fields {
        let place = at(pointer, name);
        let Some(field) = of.get_field_by_name(name) else {
            let known: Vec<_> = of
                .fields()
                .map(|field| format!("`{}`", field.name()))
                .collect();
            return Err(flaw(
                &place,
                format!("unknown field `{name}`; known are {}", known.join(", ")),
            ));
        };
        if value.is_null() && !is_inline(&field) {
            return Err(flaw(&place, format!("`{name}` is null; leave it out")));
        }
        if let Some(choice) = field
            .containing_oneof()
            .filter(|choice| !choice.is_synthetic())
            && let Some(other) = choices.insert(choice.name().to_owned(), name)
        {
            return Err(flaw(
                &place,
                format!("`{name}` and `{other}` exclude each other"),
            ));
        }
        message.set_field(&field, value_of(&field, value, &place)?);
    }
    Ok(message)
}

/// Whether any JSON may stand there.
fn is_inline(field: &FieldDescriptor) -> bool {
    field.kind() == Kind::Bytes && form(field) == Form::Inline && !field.is_list()
}

fn value_of(field: &FieldDescriptor, json: &Json, pointer: &str) -> Result<Value, Flaw> {
    if field.is_map() {
        let (Json::Object(entries), Kind::Message(entry)) = (json, field.kind()) else {
            return Err(expected(pointer, "an object", json));
        };
        let of = entry.map_entry_value_field();
        let mut map = HashMap::new();
        for (key, value) in entries {
            map.insert(
                MapKey::String(key.clone()),
                single(&of, value, &at(pointer, key))?,
            );
        }
        return Ok(Value::Map(map));
    }
    if field.is_list() {
        let Json::Array(items) = json else {
            return Err(expected(pointer, "an array", json));
        };
        let items = items.iter().enumerate();
        let items = items.map(|(index, item)| single(field, item, &format!("{pointer}/{index}")));
        return Ok(Value::List(items.collect::<Result<_, _>>()?));
    }
    single(field, json, pointer)
}

fn single(field: &FieldDescriptor, json: &Json, pointer: &str) -> Result<Value, Flaw> {
    let number = |what: &str| expected(pointer, what, json);
    Ok(match field.kind() {
        Kind::Bool => Value::Bool(
            json.as_bool()
                .ok_or_else(|| expected(pointer, "a boolean", json))?,
        ),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            let value = json.as_i64().and_then(|value| i32::try_from(value).ok());
            Value::I32(value.ok_or_else(|| number("an integer of 32 bits"))?)
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(
            json.as_i64()
                .ok_or_else(|| number("an integer of 64 bits"))?,
        ),
        Kind::Uint32 | Kind::Fixed32 => {
            let value = json.as_u64().and_then(|value| u32::try_from(value).ok());
            Value::U32(value.ok_or_else(|| number("an integer from 0 to 4294967295"))?)
        }
        Kind::Uint64 | Kind::Fixed64 => Value::U64(
            json.as_u64()
                .ok_or_else(|| number("an integer from 0 on"))?,
        ),
        Kind::Float => Value::F32(json.as_f64().ok_or_else(|| number("a number"))? as f32),
        Kind::Double => Value::F64(json.as_f64().ok_or_else(|| number("a number"))?),
        Kind::String => {
            let text = json
                .as_str()
                .ok_or_else(|| expected(pointer, "a string", json))?;
            Value::String(text.to_owned())
        }
        Kind::Bytes => Value::Bytes(bytes(field, json, pointer)?.into()),
        Kind::Enum(kind) => Value::EnumNumber(number_of(&kind, json, pointer)?),
        Kind::Message(of) => Value::Message(object(&of, json, pointer)?),
    })
}

fn bytes(field: &FieldDescriptor, json: &Json, pointer: &str) -> Result<Vec<u8>, Flaw> {
    let text = || {
        json.as_str()
            .ok_or_else(|| expected(pointer, "a string", json))
    };
    match form(field) {
        Form::Inline => Ok(canonical_bytes(json)),
        Form::Text => Ok(text()?.as_bytes().to_vec()),
        Form::Base64 => STANDARD
            .decode(text()?)
            .map_err(|error| flaw(pointer, format!("expected base64: {error}"))),
    }
}

fn number_of(kind: &EnumDescriptor, json: &Json, pointer: &str) -> Result<i32, Flaw> {
    let word = json
        .as_str()
        .ok_or_else(|| expected(pointer, "a word", json))?;
    let full = format!("{}{}", prefix(kind), word.to_ascii_uppercase());
    let value = kind.get_value_by_name(&full);
    let value = value.or_else(|| kind.get_value_by_name(word));
    value.map(|value| value.number()).ok_or_else(|| {
        let known: Vec<_> = kind
            .values()
            .filter(|value| value.number() != 0)
            .map(|value| super::word(kind, value.number()))
            .collect();
        flaw(pointer, format!("{word:?} is none of {}", known.join(", ")))
    })
}

/// A value of a query or a path, as the JSON of its field.
///
/// # Errors
/// When it is none of the field's kind.
pub(crate) fn field_of_text(field: &FieldDescriptor, text: &str) -> Result<Json, Flaw> {
    let wrong = |what: &str| {
        flaw(
            "",
            format!("`{}` is {text:?}; expected {what}", field.name()),
        )
    };
    Ok(match field.kind() {
        Kind::Bool => match text {
            "true" => Json::Bool(true),
            "false" => Json::Bool(false),
            _ => return Err(wrong("true or false")),
        },
        Kind::Int32
        | Kind::Sint32
        | Kind::Sfixed32
        | Kind::Int64
        | Kind::Sint64
        | Kind::Sfixed64 => text.parse::<i64>().map_err(|_| wrong("an integer"))?.into(),
        Kind::Uint32 | Kind::Fixed32 | Kind::Uint64 | Kind::Fixed64 => text
            .parse::<u64>()
            .map_err(|_| wrong("an integer from 0 on"))?
            .into(),
        Kind::Float | Kind::Double => text.parse::<f64>().map_err(|_| wrong("a number"))?.into(),
        Kind::Bytes if form(field) == Form::Inline => {
            serde_json::from_str(text).map_err(|_| wrong("JSON"))?
        }
        Kind::String | Kind::Bytes | Kind::Enum(_) => text.into(),
        Kind::Message(_) => return Err(wrong("nothing: it cannot stand in a query")),
    })
}
