//! Messages as the contract's JSON (R69): the table of docs/driver-contract.md, by the options of fields.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{
    DescriptorPool, DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey,
    MessageDescriptor, Value,
};
use serde_json::{Map, Value as Json};
use std::collections::HashMap;
use std::sync::LazyLock;

/// The contract's messages.
static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    // The bytes are the contract's own.
    DescriptorPool::decode(conveyor_proto::DESCRIPTORS).unwrap_or_default()
});

/// What bytes are in JSON.
enum Form {
    Base64,
    /// The JSON that they hold.
    Inline,
    Text,
}

/// The message of a name in `conveyor.v1`.
pub(crate) fn message(name: &str) -> Option<MessageDescriptor> {
    POOL.get_message_by_name(&format!("conveyor.v1.{name}"))
}

/// What is set of a message. What is not may be left out of what a driver says.
pub(crate) fn to_json(message: &DynamicMessage) -> Json {
    let fields = message.fields();
    let fields = fields.map(|(field, value)| (field.name().to_owned(), written(&field, value)));
    Json::Object(fields.collect())
}

/// The message that an answer is. Fields and words that are not known are left out: they are a later contract's (R5).
///
/// # Errors
/// A sentence: which field has no value of its kind.
pub(crate) fn from_json(of: &MessageDescriptor, json: &Json) -> Result<DynamicMessage, String> {
    let Json::Object(fields) = json else {
        return Err(format!("{} is no object: {json}", of.name()));
    };
    let mut message = DynamicMessage::new(of.clone());
    for (name, json) in fields {
        if let Some(field) = of.get_field_by_name(name) {
            let value = read(&field, json);
            let value = value.ok_or_else(|| format!("{} of {} is {json}", name, of.name()))?;
            message.set_field(&field, value);
        }
    }
    Ok(message)
}

fn form(field: &FieldDescriptor) -> Form {
    let option = POOL.get_extension_by_name("conveyor.v1.json");
    let options = field.options();
    let number = option.and_then(|option| options.get_extension(&option).as_enum_number());
    match number {
        Some(1) => Form::Inline,
        Some(2) => Form::Text,
        _ => Form::Base64,
    }
}

/// What the names of an enum's values begin with: `REPORT_STATUS_`.
fn prefix(of: &EnumDescriptor) -> String {
    let first = of.get_value(0);
    let name = first.as_ref().map_or("", |first| first.name());
    name.trim_end_matches("UNSPECIFIED").to_owned()
}

fn written(field: &FieldDescriptor, value: &Value) -> Json {
    match value {
        Value::List(list) => list.iter().map(|one| written(field, one)).collect(),
        Value::Map(map) => {
            let entry = field.kind();
            let of = entry
                .as_message()
                .map(MessageDescriptor::map_entry_value_field);
            let entries = map.iter().filter_map(|(key, value)| {
                let value = written(of.as_ref()?, value);
                Some((key.as_str()?.to_owned(), value))
            });
            Json::Object(entries.collect::<Map<_, _>>())
        }
        Value::Message(message) => to_json(message),
        Value::EnumNumber(number) => {
            let kind = field.kind();
            let of = kind.as_enum();
            let word = of.and_then(|of| {
                let value = of.get_value(*number)?;
                let word = value.name().strip_prefix(&prefix(of))?;
                Some(word.to_ascii_lowercase())
            });
            word.map_or((*number).into(), Json::String)
        }
        Value::Bytes(bytes) => match form(field) {
            Form::Base64 => STANDARD.encode(bytes).into(),
            Form::Text => String::from_utf8_lossy(bytes).into(),
            Form::Inline => serde_json::from_slice(bytes).unwrap_or_default(),
        },
        Value::Bool(value) => (*value).into(),
        Value::I32(value) => (*value).into(),
        Value::I64(value) => (*value).into(),
        Value::U32(value) => (*value).into(),
        Value::U64(value) => (*value).into(),
        Value::F32(value) => (*value).into(),
        Value::F64(value) => (*value).into(),
        Value::String(value) => value.as_str().into(),
    }
}

fn read(field: &FieldDescriptor, json: &Json) -> Option<Value> {
    if field.is_map() {
        let entry = field.kind();
        let of = entry.as_message()?.map_entry_value_field();
        let entries = json.as_object()?.iter();
        let entries =
            entries.map(|(key, value)| Some((MapKey::String(key.clone()), one(&of, value)?)));
        return Some(Value::Map(entries.collect::<Option<HashMap<_, _>>>()?));
    }
    if field.is_list() {
        let items = json.as_array()?.iter().map(|item| one(field, item));
        return Some(Value::List(items.collect::<Option<_>>()?));
    }
    one(field, json)
}

fn one(field: &FieldDescriptor, json: &Json) -> Option<Value> {
    Some(match field.kind() {
        Kind::Bool => Value::Bool(json.as_bool()?),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(json.as_i64()?.try_into().ok()?),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(json.as_i64()?),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(json.as_u64()?.try_into().ok()?),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(json.as_u64()?),
        Kind::Float => Value::F32(json.as_f64()? as f32),
        Kind::Double => Value::F64(json.as_f64()?),
        Kind::String => Value::String(json.as_str()?.to_owned()),
        Kind::Bytes => match form(field) {
            Form::Base64 => Value::Bytes(STANDARD.decode(json.as_str()?).ok()?.into()),
            Form::Text => Value::Bytes(json.as_str()?.to_owned().into()),
            Form::Inline => Value::Bytes(json.to_string().into()),
        },
        Kind::Enum(of) => {
            let name = format!("{}{}", prefix(&of), json.as_str()?.to_ascii_uppercase());
            // A word of a later contract is none that is known.
            Value::EnumNumber(
                of.get_value_by_name(&name)
                    .map_or(0, |value| value.number()),
            )
        }
        Kind::Message(of) => Value::Message(from_json(&of, json).ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;
    use serde_json::json;

    #[test]
    fn messages_are_written_and_read_in_the_forms_of_the_table() {
        let of = message("PollResponse").expect("it is a message");
        let told = json!({
            "tasks": [{
                "token": "+/8=",
                "inputs": {"n": 9_007_199_254_740_993_u64, "list": [null]},
                "deadline_ms": 9_007_199_254_740_993_u64,
                "labels": {"a": "b"},
                "secrets": {"key": "AQI="},
            }],
        });
        let read = from_json(&of, &told).expect("it is one");
        assert_eq!(to_json(&read), told);
        let typed = conveyor_proto::v1::PollResponse::decode(&read.encode_to_vec()[..]);
        let typed = typed.expect("it is one");
        assert_eq!(typed.tasks[0].token, [0xfb, 0xff][..]);
        assert_eq!(typed.tasks[0].deadline_ms, 9_007_199_254_740_993);
        let of = message("ReportResponse").expect("it is a message");
        let told = json!({"outcome": {"status": "already"}, "later": {"a": 1}});
        let read = from_json(&of, &told).expect("what is not known is left out");
        assert_eq!(to_json(&read), json!({"outcome": {"status": "already"}}));
        let told = json!({"outcome": {"status": "of_a_later_contract"}});
        assert!(from_json(&of, &told).is_ok());
        let wrong = from_json(&of, &json!({"outcome": {"status": 1}})).expect_err("no word");
        assert_eq!(wrong, r#"outcome of ReportResponse is {"status":1}"#);
    }
}
