use super::diagnostic::{Diagnostic, Severity};
use super::limits::Limits;
use super::node::Node;
use super::report::{Problem, Report};
use super::{read, unique, utf8};
use crate::value::Json;

/// A YAML or JSON text that was read, and where each of its values stands.
///
/// For what is found wrong later, by JSON pointer: an input against its schema, a driver that is not
/// there.
#[derive(Clone, Debug)]
pub struct Located {
    file: String,
    text: String,
    root: Node,
}

impl Located {
    /// Reads a text by the rules of a document, whatever it means.
    ///
    /// # Errors
    /// Where it is no YAML or JSON, has a key twice, or exceeds a limit.
    pub fn read(
        file_name: &str,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<Located, Vec<Diagnostic>> {
        let text = utf8(file_name, bytes, limits)?;
        let mut report = Report::new(file_name, text, limits.diagnostics);
        match read(file_name, text, limits) {
            Ok(mut root) => {
                unique::unique(&mut root, &mut report);
                if !report.has_errors() {
                    return Ok(Located {
                        file: file_name.to_owned(),
                        text: text.to_owned(),
                        root,
                    });
                }
            }
            Err(problem) => report.error(problem),
        }
        Err(report.finish())
    }

    /// The value.
    #[must_use]
    pub fn to_json(&self) -> Json {
        self.root.to_json()
    }

    /// Something to say about the value at a pointer; where there is none, the place is that of the
    /// nearest value around it.
    #[must_use]
    pub fn diagnostic(&self, severity: Severity, pointer: &str, message: &str) -> Diagnostic {
        let mut report = Report::new(&self.file, &self.text, 1);
        if self.root.get("spec").is_none() && self.root.get("steps").is_some() {
            report.seed_form();
        }
        let problem = Problem {
            pointer: pointer.to_owned(),
            ..Problem::new(self.around(pointer).at, message.to_owned())
        };
        match severity {
            Severity::Error => report.error(problem),
            Severity::Warning => report.warning(problem),
        }
        let mut told = report.finish();
        told.swap_remove(0)
    }

    fn around(&self, pointer: &str) -> &Node {
        // A document in the seed form has no `spec`; pointers are those of the full form.
        let mut pointer = match pointer.strip_prefix("/spec") {
            Some(rest) if self.root.get("spec").is_none() => rest,
            _ => pointer,
        };
        loop {
            if let Some(node) = self.root.pointer(pointer) {
                return node;
            }
            pointer = pointer.rsplit_once('/').map_or("", |(before, _)| before);
        }
    }
}
