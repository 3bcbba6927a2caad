//! Any message of the contract as JSON, and back.
//!
//! Fields have the proto's names; 64-bit numbers are numbers; enum values are their words without the
//! enum's name (`running`); bytes are what the option `json` says: the JSON that they hold, a text, or
//! base64. Fields without presence are always there; those with presence, messages and empty inline
//! JSON only where they are set.

mod read;
mod write;

pub use read::{Flaw, from_json_of};
pub(crate) use read::{at, field_of_text, from_json};
pub(crate) use write::word;
pub use write::{to_json, to_json_of};

use prost_reflect::{
    DescriptorPool, EnumDescriptor, FieldDescriptor, FileDescriptor, MessageDescriptor,
    MethodDescriptor,
};
use std::sync::LazyLock;

/// The contract.
static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    // The bytes are the contract's own: the tests read them.
    DescriptorPool::decode(conveyor_proto::DESCRIPTORS).unwrap_or_default()
});

/// The message of a name in `conveyor.v1`; `None` when there is none.
pub(crate) fn message(name: &str) -> Option<MessageDescriptor> {
    POOL.get_message_by_name(&format!("conveyor.v1.{name}"))
}

/// The contract's files.
pub(crate) fn files() -> impl Iterator<Item = FileDescriptor> {
    POOL.files()
}

/// The calls of both services.
pub(crate) fn methods() -> impl Iterator<Item = MethodDescriptor> {
    POOL.services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
}

/// What JSON makes of a field of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Base64,
    Inline,
    Text,
}

pub(crate) fn form(field: &FieldDescriptor) -> Form {
    let option = field
        .parent_pool()
        .get_extension_by_name("conveyor.v1.json");
    let options = field.options();
    let value = option.map(|option| options.get_extension(&option).as_enum_number());
    match value.flatten() {
        Some(1) => Form::Inline,
        Some(2) => Form::Text,
        _ => Form::Base64,
    }
}

/// What the names of an enum's values begin with: `RUN_STATE_` of `RunState`.
fn prefix(kind: &EnumDescriptor) -> String {
    let mut prefix = String::new();
    for letter in kind.name().chars() {
        if letter.is_ascii_uppercase() && !prefix.is_empty() {
            prefix.push('_');
        }
        prefix.push(letter.to_ascii_uppercase());
    }
    prefix.push('_');
    prefix
}

#[cfg(test)]
mod tests;
