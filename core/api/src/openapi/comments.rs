//! The contract's comments, by what they stand at.

use prost_reflect::{
    EnumDescriptor, EnumValueDescriptor, FieldDescriptor, FileDescriptor, MessageDescriptor,
    MethodDescriptor, OneofDescriptor,
};
use std::collections::HashMap;

/// Each comment by its file and its path in the file's descriptor.
pub(super) struct Comments(HashMap<(String, Vec<i32>), String>);

impl Comments {
    pub(super) fn new() -> Comments {
        let mut all = HashMap::new();
        for file in crate::json::files() {
            let info = file.file_descriptor_proto().source_code_info.as_ref();
            for location in info.iter().flat_map(|info| &info.location) {
                if let Some(text) = &location.leading_comments {
                    let lines: Vec<_> = text.lines().map(str::trim).collect();
                    let key = (file.name().to_owned(), location.path.clone());
                    all.insert(key, lines.join(" ").trim().to_owned());
                }
            }
        }
        Comments(all)
    }

    fn at(&self, file: &FileDescriptor, path: &[i32]) -> &str {
        let key = (file.name().to_owned(), path.to_vec());
        self.0.get(&key).map(String::as_str).unwrap_or_default()
    }

    pub(super) fn message(&self, of: &MessageDescriptor) -> &str {
        self.at(&of.parent_file(), of.path())
    }

    pub(super) fn field(&self, of: &FieldDescriptor) -> &str {
        self.at(&of.parent_file(), of.path())
    }

    pub(super) fn choice(&self, of: &OneofDescriptor) -> &str {
        self.at(&of.parent_file(), of.path())
    }

    pub(super) fn kind(&self, of: &EnumDescriptor) -> &str {
        self.at(&of.parent_file(), of.path())
    }

    pub(super) fn value(&self, of: &EnumValueDescriptor) -> &str {
        self.at(&of.parent_file(), of.path())
    }

    /// Without the heading of its group, such as `Runs.`.
    pub(super) fn method(&self, of: &MethodDescriptor) -> &str {
        let text = self.at(&of.parent_service().parent_file(), of.path());
        match text.split_once(". ") {
            Some((heading, rest)) if heading.split(' ').all(is_heading) => rest,
            _ => text,
        }
    }
}

fn is_heading(word: &str) -> bool {
    word == "(later)"
        || word.ends_with('s') && word.starts_with(char::is_uppercase)
        || word == "Server"
}

/// The first sentence of a text, without its full stop.
pub(super) fn sentence(text: &str) -> &str {
    let first = text.split_once(". ").map_or(text, |(first, _)| first);
    first.trim_end_matches('.')
}
