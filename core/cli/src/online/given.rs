//! Documents and inputs from files.

use crate::args::Inputs;
use crate::client::Problem;
use conveyor_engine::value::{Json, canonical_bytes};
use conveyor_proto::v1::Document;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

/// A document and the inputs beside it, as the service takes them.
pub(super) struct Given {
    /// A JSON object; empty for none.
    pub(super) inputs: Vec<u8>,
    /// As a person typed them.
    pub(super) texts: BTreeMap<String, String>,
}

/// Reads a document; `-` is standard input.
///
/// # Errors
/// When it cannot be read.
pub(super) fn document(path: &Path) -> Result<Document, Problem> {
    let (file_name, source) = match path.to_str() {
        Some("-") => ("stdin".to_owned(), stdin()?),
        _ => (path.display().to_string(), read(path)?),
    };
    Ok(Document {
        source: source.into(),
        file_name,
    })
}

/// Reads inputs; what was typed wins over the file.
///
/// # Errors
/// When the file cannot be read or is no object, or a key was typed twice.
pub(super) fn inputs(given: &Inputs) -> Result<Given, Problem> {
    let mut texts = BTreeMap::new();
    for (key, value) in &given.input {
        if texts.insert(key.clone(), value.clone()).is_some() {
            return Err(Problem::refused(format!(
                "the input `{key}` is given twice"
            )));
        }
    }
    let Some(path) = &given.inputs else {
        return Ok(Given {
            inputs: Vec::new(),
            texts,
        });
    };
    let text = read(path)?;
    let wrong = |message: String| Problem::refused(format!("{}: {message}", path.display()));
    let text = String::from_utf8(text).map_err(|error| wrong(format!("invalid UTF-8: {error}")))?;
    let json: Json = if path
        .extension()
        .is_some_and(|extension| extension == "json")
    {
        serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?
    } else {
        serde_saphyr::from_str(&text).map_err(|error| wrong(error.to_string()))?
    };
    let Json::Object(mut object) = json else {
        return Err(wrong("inputs must be an object".to_owned()));
    };
    object.retain(|key, _| !texts.contains_key(key));
    Ok(Given {
        inputs: canonical_bytes(&Json::Object(object)),
        texts,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    std::fs::read(path)
        .map_err(|error| Problem::refused(format!("cannot read {}: {error}", path.display())))
}

fn stdin() -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .lock()
        .read_to_end(&mut bytes)
        .map_err(|error| Problem::refused(format!("cannot read standard input: {error}")))?;
    Ok(bytes)
}
