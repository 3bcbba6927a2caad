//! Pipeline documents: YAML and JSON, with exact positions.
//!
//! [`load`] reads a document, checks all that can be known before a run, and gives either a
//! [`Document`] (its canonical text, its digest, the compiled [`Plan`]) or every error it found.
//! The canonical text alone is enough to build the plan again: [`Plan::from_canonical`].

pub use crate::source::{Diagnostic, Limits, Located, Related, Severity, excerpt};

use crate::plan::{Drivers, Plan};
use crate::source::{self, Report};
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
    let text = source::utf8(file_name, bytes, limits)?;
    let mut report = Report::new(file_name, text, limits.diagnostics);
    let mut root = match source::read(file_name, text, limits) {
        Ok(root) => root,
        Err(problem) => {
            report.error(problem);
            return Err(report.finish());
        }
    };
    source::unique(&mut root, &mut report);
    let Some(root) = source::normalise(root, &mut report) else {
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
