use super::excerpt::caret;
use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The document is refused.
    Error,
    /// The document is accepted; a person should look.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        })
    }
}

/// Something to say about a document, and the place it is about.
///
/// Prints as `file:line:column: error: message`, then indented lines: the source line with a caret,
/// the JSON pointer, what was found, what is allowed, and the nearest known name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The name that the document was loaded under.
    pub file: String,
    /// The line, from 1; 0 where there is no place.
    pub line: u32,
    /// The column in characters, from 1; 0 where there is no place.
    pub column: u32,
    /// JSON pointer of the value; empty for the whole document.
    pub pointer: String,
    /// One sentence: what is wrong, with limit and value where it is a limit.
    pub message: String,
    /// What stands there.
    pub found: Option<String>,
    /// What may stand there.
    pub allowed: Option<String>,
    /// The nearest known name.
    pub nearest: Option<String>,
    /// Another place that matters, such as the first of two equal keys, and what it is.
    pub related: Option<Related>,
    /// What [`excerpt`](super::excerpt) shows of the source line; empty where there is nothing.
    pub excerpt: String,
    /// How many further ones it stands for that are only counted; 0 where it is one itself.
    pub unlisted: usize,
}

/// Another place that a diagnostic is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// What is there.
    pub message: String,
}

impl Diagnostic {
    pub(crate) fn at_start(file: &str, message: String) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            file: file.to_owned(),
            line: 1,
            column: 1,
            pointer: String::new(),
            message,
            found: None,
            allowed: None,
            nearest: None,
            related: None,
            excerpt: String::new(),
            unlisted: 0,
        }
    }

    /// Stands for those that are not listed.
    pub(crate) fn unlisted(file: &str, severity: Severity, count: usize) -> Diagnostic {
        let s = if count == 1 { "" } else { "s" };
        Diagnostic {
            severity,
            line: 0,
            column: 0,
            unlisted: count,
            ..Diagnostic::at_start(file, format!("and {count} more {severity}{s}"))
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Diagnostic {
            file, line, column, ..
        } = self;
        if self.unlisted > 0 {
            return write!(f, "{file}: {}", self.message);
        }
        write!(
            f,
            "{file}:{line}:{column}: {}: {}",
            self.severity, self.message
        )?;
        if !self.excerpt.is_empty() {
            let number = line.to_string();
            let caret = " ".repeat(caret(*column));
            write!(
                f,
                "\n  {number} | {}\n  {:w$} | {caret}^",
                self.excerpt,
                "",
                w = number.len()
            )?;
        }
        if !self.pointer.is_empty() {
            write!(f, "\n  at: {}", self.pointer)?;
        }
        if let Some(found) = &self.found {
            write!(f, "\n  found: {found}")?;
        }
        if let Some(allowed) = &self.allowed {
            write!(f, "\n  allowed: {allowed}")?;
        }
        if let Some(nearest) = &self.nearest {
            write!(f, "\n  did you mean: {nearest}")?;
        }
        if let Some(related) = &self.related {
            write!(
                f,
                "\n  {file}:{}:{}: {}",
                related.line, related.column, related.message
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}
