//! The text of a document: YAML or JSON into nodes that know their places, and errors that show them.

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
pub(crate) use normal::normalise;
pub(crate) use path::Path;
pub(crate) use report::{Problem, Report};
pub(crate) use unique::unique;

/// The text of a document that is not too large.
pub(crate) fn utf8<'a>(
    file_name: &str,
    bytes: &'a [u8],
    limits: &Limits,
) -> Result<&'a str, Vec<Diagnostic>> {
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
pub(crate) fn read(file_name: &str, text: &str, limits: &Limits) -> Result<Node, Problem> {
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
