//! Documents and inputs from files.

use crate::args::Inputs;
use crate::client::Problem;
use crate::source::{self, Given};
use conveyor_engine::document::Limits;
use conveyor_engine::value::{Json, canonical_bytes};
use conveyor_proto::v1::Document;
use std::path::Path;

/// Reads a document; `-` is standard input.
///
/// # Errors
/// When it cannot be read, or is larger than any document.
pub(super) fn document(path: &Path) -> Result<Document, Problem> {
    let (file_name, source) =
        source::read(path, Limits::default().bytes).map_err(Problem::refused)?;
    Ok(Document {
        source: source.into(),
        file_name,
    })
}

/// Reads inputs; what was typed wins over the file.
///
/// # Errors
/// When the file cannot be read or is no object, or a key was typed twice.
pub(super) fn inputs(given: &Inputs, document: Option<&Path>) -> Result<Given, Problem> {
    Given::read(given, document).map_err(Problem::refused)
}

/// Inputs of a file as the service takes them; empty for none.
pub(super) fn bytes(given: &Given) -> Vec<u8> {
    match given.object.is_empty() {
        true => Vec::new(),
        false => canonical_bytes(&Json::Object(given.object.clone())),
    }
}
