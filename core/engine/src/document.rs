//! Pipeline documents: YAML and JSON, with exact positions.
//!
//! [`load`] reads a document, checks all that can be known before a run, and gives either a
//! [`Document`] (its canonical text, its digest, the compiled [`Plan`]) or every error it found.
//! The canonical text alone is enough to build the plan again: [`Plan::from_canonical`].

mod diagnostic;
mod excerpt;
mod json;
mod limits;
mod located;
mod node;
mod normal;
mod path;
mod report;
mod scalar;
mod unique;
mod yaml;

pub use diagnostic::{Diagnostic, Related, Severity};
pub use excerpt::excerpt;
pub use limits::Limits;
pub use located::Located;

pub(crate) use node::{Content, Entry, Node};
pub(crate) use path::Path;
pub(crate) use report::{Problem, Report};

use crate::plan::{Drivers, Plan};
use crate::value::{Hash, canonical_bytes};
use std::sync::Arc;

/// A pipeline document that was read, checked and compiled.
#[derive(Clone, Debug)]
pub struct Document {
    /// The text as it was given.
    pub source: Arc<str>,
    /// The canonical JSON: the same for every way to write the same pipeline.
    pub canonical: Arc<[u8]>,
    /// SHA-256 of [`Document::canonical`]: the identity of the revision.
    pub digest: Hash,
    /// The warnings, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    plan: Arc<Plan>,
}

impl Document {
    /// What a run walks.
    #[must_use]
    pub fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan)
    }
}

/// Reads, checks and compiles a document under the default [`Limits`].
///
/// A `file_name` that ends in `.json` is read as JSON, any other as YAML 1.2 (core schema), of which
/// JSON is a part. `file_name` appears in errors; nothing is read from it.
///
/// # Errors
/// Every error found, in the order of the text, warnings among them; at most
/// [`Limits::diagnostics`], the last then saying how many more there are.
pub fn load(file_name: &str, bytes: &[u8]) -> Result<Document, Vec<Diagnostic>> {
    load_with(file_name, bytes, &Limits::default())
}

/// [`load`] under other limits.
///
/// # Errors
/// As [`load`].
pub fn load_with(
    file_name: &str,
    bytes: &[u8],
    limits: &Limits,
) -> Result<Document, Vec<Diagnostic>> {
    load_for(file_name, bytes, limits, &Drivers::default())
}

/// [`load`] where drivers are known: what the document wants of them is checked too. Others are
/// checked when one of their sessions takes a step (PROTOCOL P27).
///
/// # Errors
/// As [`load`].
pub fn load_for(
    file_name: &str,
    bytes: &[u8],
    limits: &Limits,
    drivers: &Drivers,
) -> Result<Document, Vec<Diagnostic>> {
    let text = utf8(file_name, bytes, limits)?;
    let mut report = Report::new(file_name, text, limits.diagnostics);
    let mut root = match read(file_name, text, limits) {
        Ok(root) => root,
        Err(problem) => {
            report.error(problem);
            return Err(report.finish());
        }
    };
    unique::unique(&mut root, &mut report);
    let Some(root) = normal::normalise(root, &mut report) else {
        return Err(report.finish());
    };
    let canonical = canonical_bytes(&root.to_json());
    let digest = Hash::of(&canonical);
    let plan = crate::plan::compile(&root, digest, limits, drivers, &mut report);
    let failed = report.has_errors();
    let diagnostics = report.finish();
    match plan {
        Some(plan) if !failed => Ok(Document {
            source: text.into(),
            canonical: canonical.into(),
            digest,
            diagnostics,
            plan: Arc::new(plan),
        }),
        _ => Err(diagnostics),
    }
}

/// The text of a document that is not too large.
fn utf8<'a>(file_name: &str, bytes: &'a [u8], limits: &Limits) -> Result<&'a str, Vec<Diagnostic>> {
    if bytes.len() > limits.bytes {
        let message = format!(
            "the document has {} bytes; the limit `bytes` is {}",
            bytes.len(),
            limits.bytes
        );
        return Err(vec![Diagnostic::at_start(file_name, message)]);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) => {
            let valid = error.valid_up_to();
            // The part before is valid by definition; an empty text only moves the position.
            let before = std::str::from_utf8(&bytes[..valid]).unwrap_or_default();
            let mut report = Report::new(file_name, before, limits.diagnostics);
            report.error(Problem::new(
                valid as u32,
                format!(
                    "invalid UTF-8: byte 0x{:02x} at offset {valid}",
                    bytes[valid]
                ),
            ));
            Err(report.finish())
        }
    }
}

#[allow(clippy::result_large_err)] // as in the readers
fn read(file_name: &str, text: &str, limits: &Limits) -> Result<Node, Problem> {
    // Positions are 32 bits wide, whatever the limit says.
    if u32::try_from(text.len()).is_err() {
        return Err(Problem::new(
            0,
            "a document cannot have 4 GiB or more".to_owned(),
        ));
    }
    if file_name.ends_with(".json") {
        return json::read(text, limits);
    }
    // JSON in a .yaml file: the JSON reader knows surrogate pairs and long keys, YAML does not.
    if text.trim_start().starts_with('{')
        && let Ok(root) = json::read(text, limits)
    {
        return Ok(root);
    }
    yaml::read(text, limits)
}

/// Reads a canonical document again; used to rebuild a plan.
#[allow(clippy::result_large_err)] // as in the readers
pub(crate) fn read_canonical(text: &str, limits: &Limits) -> Result<Node, Problem> {
    json::read(text, limits)
}
