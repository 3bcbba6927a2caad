//! Whether JSON of a case can be, or be like, a message of the contract: paths that no message has are seen when the
//! case is read, and not as something that never comes.

use conveyor_api::from_json_of;
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value as Json, json};
use std::collections::HashMap;

/// What is wrong, by JSON pointers.
pub(crate) type Flaws = Vec<(String, String)>;

/// What may stand in the place of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A message as it is said.
    Said,
    /// A change of one: `null` takes a field away.
    Change,
    /// What one has at least: values may be tests.
    Like,
}

/// The fields that an object may have: those of some messages, as one object.
pub(crate) struct Shape {
    messages: Vec<MessageDescriptor>,
    without: &'static [&'static str],
    form: Form,
    /// Whether numbers may stand in the place of words of enums: words that a later contract has.
    numbers: bool,
}

impl Shape {
    /// The shape of messages of a pool. A name that is none adds nothing.
    pub(crate) fn new(pool: &DescriptorPool, names: &[&str], form: Form) -> Shape {
        let messages = names.iter();
        Shape {
            messages: messages
                .filter_map(|name| pool.get_message_by_name(name))
                .collect(),
            without: &[],
            form,
            numbers: false,
        }
    }

    /// Some fields cannot stand there.
    pub(crate) fn without(mut self, without: &'static [&'static str]) -> Shape {
        self.without = without;
        self
    }

    /// Numbers may stand for words.
    pub(crate) fn with_numbers(mut self) -> Shape {
        self.numbers = true;
        self
    }

    /// What is wrong with JSON of this shape.
    pub(crate) fn flaws(&self, json: &Json) -> Flaws {
        let mut flaws = Flaws::new();
        self.object(&self.messages, self.without, json, "", &mut flaws);
        flaws
    }

    fn object(
        &self,
        messages: &[MessageDescriptor],
        without: &[&str],
        json: &Json,
        place: &str,
        flaws: &mut Flaws,
    ) {
        if is_name(json) {
            return;
        }
        let Json::Object(fields) = json else {
            flaws.push((place.to_owned(), format!("{json} is no object")));
            return;
        };
        if self.is_test(fields) {
            let of_objects = ["$any", "$absent", "$count"];
            self.of_test(fields, &of_objects, "an object", place, flaws);
            return;
        }
        let mut choices: HashMap<String, &str> = HashMap::new();
        for (name, value) in fields {
            let at = at(place, name);
            let field = messages
                .iter()
                .find_map(|message| message.get_field_by_name(name))
                .filter(|_| !without.contains(&name.as_str()));
            let Some(field) = field else {
                flaws.push((at, unknown(messages, without, name)));
                continue;
            };
            let choice = field.containing_oneof();
            if let Some(choice) = choice.filter(|choice| !choice.is_synthetic())
                && let Some(other) = choices.insert(choice.name().to_owned(), name)
            {
                let why = format!("`{name}` and `{other}` exclude each other");
                flaws.push((at.clone(), why));
            }
            if value.is_null() && self.form == Form::Change {
                continue;
            }
            self.field(&field, value, &at, flaws);
        }
    }

    fn field(&self, field: &FieldDescriptor, value: &Json, place: &str, flaws: &mut Flaws) {
        if is_name(value) {
            return;
        }
        if let Json::Object(fields) = value
            && self.is_test(fields)
            && !is_inline(field)
        {
            return self.test(field, fields, place, flaws);
        }
        match value {
            Json::Object(entries) if field.is_map() => {
                let Kind::Message(entry) = field.kind() else {
                    return;
                };
                let of = entry.map_entry_value_field();
                for (name, value) in entries {
                    self.single(&of, value, &at(place, name), flaws);
                }
            }
            Json::Array(items) if field.is_list() => {
                for (index, item) in items.iter().enumerate() {
                    self.item(field, item, &format!("{place}/{index}"), flaws);
                }
            }
            _ if field.is_map() => flaws.push((place.to_owned(), format!("{value} is no object"))),
            _ if field.is_list() => flaws.push((place.to_owned(), format!("{value} is no list"))),
            _ => self.single(field, value, place, flaws),
        }
    }

    /// An item of a list, which may be a test of its own.
    fn item(&self, field: &FieldDescriptor, value: &Json, place: &str, flaws: &mut Flaws) {
        match value {
            Json::Object(fields) if self.is_test(fields) => {
                self.scalar(field, fields, place, flaws);
            }
            // So many of it, in cases of engines.
            Json::Object(fields) if fields.contains_key("$repeat") => {
                if let Some(of) = fields.get("of") {
                    self.single(field, of, &at(place, "of"), flaws);
                }
            }
            _ => self.single(field, value, place, flaws),
        }
    }

    fn single(&self, field: &FieldDescriptor, value: &Json, place: &str, flaws: &mut Flaws) {
        if is_name(value) {
            return;
        }
        match field.kind() {
            Kind::Message(of) => self.object(&[of], &[], value, place, flaws),
            Kind::Enum(_) if self.numbers && value.is_i64() => {}
            _ => {
                if let Json::Object(fields) = value
                    && self.is_test(fields)
                    && !is_inline(field)
                {
                    return self.scalar(field, fields, place, flaws);
                }
                if let Some(why) = misfit(field, value) {
                    flaws.push((place.to_owned(), format!("{value}: {why}")));
                }
            }
        }
    }

    fn is_test(&self, fields: &Map<String, Json>) -> bool {
        self.form == Form::Like
            && !fields.is_empty()
            && fields.keys().all(|key| key.starts_with('$'))
    }

    /// Tests in the place of a field.
    fn test(
        &self,
        field: &FieldDescriptor,
        tests: &Map<String, Json>,
        place: &str,
        flaws: &mut Flaws,
    ) {
        if field.is_map() {
            let of_maps = ["$any", "$absent", "$count"];
            return self.of_test(tests, &of_maps, "an object", place, flaws);
        }
        if !field.is_list() {
            return self.scalar(field, tests, place, flaws);
        }
        let of_lists = ["$any", "$absent", "$count", "$has", "$lacks", "$each"];
        self.of_test(tests, &of_lists, "a list", place, flaws);
        for test in ["$has", "$lacks", "$each"] {
            if let Some(item) = tests.get(test) {
                self.item(field, item, &at(place, test), flaws);
            }
        }
    }

    /// Tests in the place of one value.
    fn scalar(
        &self,
        field: &FieldDescriptor,
        tests: &Map<String, Json>,
        place: &str,
        flaws: &mut Flaws,
    ) {
        let (of, what): (&[&str], &str) = match field.kind() {
            Kind::Message(_) => (&["$any", "$absent", "$count"], "an object"),
            Kind::String | Kind::Bytes | Kind::Enum(_) => {
                (&["$any", "$absent", "$matches", "$has", "$lacks"], "a text")
            }
            Kind::Bool => (&["$any", "$absent"], "`true` or `false`"),
            _ => (&["$any", "$absent", "$least", "$most"], "a number"),
        };
        self.of_test(tests, of, what, place, flaws);
    }

    fn of_test(
        &self,
        tests: &Map<String, Json>,
        may: &[&str],
        what: &str,
        place: &str,
        flaws: &mut Flaws,
    ) {
        for test in tests.keys().filter(|test| !may.contains(&test.as_str())) {
            let why = format!(
                "`{test}` is no test of what stands there, {what}: there {} {}",
                match may.len() {
                    1 => "is",
                    _ => "are",
                },
                may.join(", ")
            );
            flaws.push((at(place, test), why));
        }
    }
}

/// Why a value cannot stand in a field of one value; `None` where it can.
fn misfit(field: &FieldDescriptor, value: &Json) -> Option<String> {
    let (name, mut of) = (field.name(), field.parent_message().clone());
    let mut whole = match field.is_list() {
        true => json!({ name: [value] }),
        false => json!({ name: value }),
    };
    if of.is_map_entry() {
        // Entries are read by the field that has them alone.
        let map = of.parent_message()?;
        let field = map.fields().find(|field| match field.kind() {
            Kind::Message(entry) => entry == of,
            _ => false,
        })?;
        whole = json!({ field.name(): { "key": value } });
        of = map;
    }
    from_json_of(&of, &whole).err().map(|flaw| flaw.message)
}

/// Whether any JSON may stand there.
fn is_inline(field: &FieldDescriptor) -> bool {
    let odd = json!({"$any": [true]});
    field.kind() == Kind::Bytes && misfit(field, &odd).is_none()
}

fn unknown(messages: &[MessageDescriptor], without: &[&str], name: &str) -> String {
    let fields = messages.iter().flat_map(MessageDescriptor::fields);
    let known: Vec<String> = fields
        .filter(|field| !without.contains(&field.name()))
        .map(|field| format!("`{}`", field.name()))
        .collect();
    match known.is_empty() {
        true => format!("unknown field `{name}`: there is none"),
        false => format!("unknown field `{name}`; known are {}", known.join(", ")),
    }
}

/// Whether something stands there that is known only when the case is run: `${name}`.
pub(crate) fn is_name(json: &Json) -> bool {
    let text = json.as_str();
    text.is_some_and(|text| {
        text.starts_with("${") && text.ends_with('}') && !text.starts_with("${{")
    })
}

/// A place within another.
pub(crate) fn at(place: &str, key: &str) -> String {
    format!("{place}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// The names in all texts of JSON, keys among them, each with its place: `token:a` of `${token:a}`. What stands in
/// `${{ … }}` is an expression.
pub(crate) fn names(json: &Json) -> Vec<(String, String)> {
    let mut found = Vec::new();
    collect(json, "", &mut found);
    found
}

fn collect(json: &Json, place: &str, found: &mut Vec<(String, String)>) {
    match json {
        Json::String(text) => found.extend(names_of(text).map(|name| (place.to_owned(), name))),
        Json::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, &format!("{place}/{index}"), found);
            }
        }
        Json::Object(fields) => {
            for (key, value) in fields {
                let at = at(place, key);
                found.extend(names_of(key).map(|name| (at.clone(), name)));
                collect(value, &at, found);
            }
        }
        _ => {}
    }
}

/// The names in a text.
fn names_of(text: &str) -> impl Iterator<Item = String> {
    let parts = text.split("${").skip(1);
    let names = parts.filter(|part| !part.starts_with('{'));
    names.filter_map(|part| part.split_once('}').map(|(name, _)| name.to_owned()))
}
