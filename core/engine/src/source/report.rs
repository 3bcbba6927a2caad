use super::diagnostic::{Diagnostic, Related, Severity};
use super::excerpt::excerpt;
use super::node::Node;
use super::path::Path;
use super::scalar;

/// A diagnostic before its offset was turned into line and column.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) at: u32,
    pub(crate) pointer: String,
    pub(crate) message: String,
    pub(crate) found: Option<String>,
    pub(crate) allowed: Option<String>,
    pub(crate) nearest: Option<String>,
    pub(crate) related: Option<(u32, String)>,
}

impl Problem {
    pub(crate) fn new(at: u32, message: String) -> Problem {
        Problem {
            at,
            pointer: String::new(),
            message,
            found: None,
            allowed: None,
            nearest: None,
            related: None,
        }
    }

    pub(crate) fn on(node: &Node, path: &Path<'_>, message: impl Into<String>) -> Problem {
        Problem {
            pointer: path.to_string(),
            ..Problem::new(node.at, message.into())
        }
    }

    pub(crate) fn found(mut self, found: impl Into<String>) -> Problem {
        self.found = Some(found.into());
        self
    }

    pub(crate) fn allowed(mut self, allowed: impl Into<String>) -> Problem {
        self.allowed = Some(allowed.into());
        self
    }

    pub(crate) fn nearest(mut self, nearest: Option<&str>) -> Problem {
        self.nearest = nearest.map(str::to_owned);
        self
    }

    pub(crate) fn related(mut self, at: u32, message: impl Into<String>) -> Problem {
        self.related = Some((at, message.into()));
        self
    }
}

/// Collects the diagnostics of one document.
pub(crate) struct Report<'a> {
    file: &'a str,
    text: &'a str,
    most: usize,
    kept: Vec<(Severity, Problem)>,
    errors: usize,
    warnings: usize,
    /// Whether the document is in the seed form, which pointers are then turned back to.
    seed: bool,
    /// Whether the document was accepted before, perhaps by an earlier version.
    accepted: bool,
}

impl<'a> Report<'a> {
    pub(crate) fn new(file: &'a str, text: &'a str, most: usize) -> Report<'a> {
        Report {
            file,
            text,
            most: most.max(1),
            kept: Vec::new(),
            errors: 0,
            warnings: 0,
            seed: false,
            accepted: false,
        }
    }

    /// Says that what comes is about a document in the seed form, read as the full form.
    pub(crate) fn seed_form(&mut self) {
        self.seed = true;
    }

    /// Says that the document was accepted before, and runs have begun on it.
    pub(crate) fn accepted(&mut self) {
        self.accepted = true;
    }

    /// An error that evaluation will find too, wherever it comes to it. It refuses a document that
    /// is applied, not one whose runs must fold as they began: what this version foresees, an
    /// earlier one may not have (`docs/decisions/0009`). `true` where it refuses.
    pub(crate) fn foreseen(&mut self, problem: Problem) -> bool {
        if !self.accepted {
            self.error(problem);
        }
        !self.accepted
    }

    pub(crate) fn error(&mut self, problem: Problem) {
        self.errors += 1;
        self.add(Severity::Error, problem);
    }

    pub(crate) fn warning(&mut self, problem: Problem) {
        self.warnings += 1;
        self.add(Severity::Warning, problem);
    }

    fn add(&mut self, severity: Severity, mut problem: Problem) {
        if self.seed {
            let inside = ["/spec", "/metadata"]
                .into_iter()
                .find_map(|around| problem.pointer.strip_prefix(around));
            if let Some(inside) = inside {
                problem.pointer = inside.to_owned();
            }
        }
        if self.kept.len() < self.most {
            self.kept.push((severity, problem));
            return;
        }
        // A warning gives way to an error, so that a refusal always has its reason.
        if severity == Severity::Error
            && let Some(place) = self
                .kept
                .iter()
                .position(|(kept, _)| *kept == Severity::Warning)
        {
            self.kept[place] = (severity, problem);
        }
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// How many errors there are, to see whether a part of the document added one.
    pub(crate) fn errors(&self) -> usize {
        self.errors
    }

    /// The document's offset of byte `offset` of `text`, which starts at `at`; the start, where
    /// that cannot be told.
    pub(crate) fn offset(&self, at: u32, text: &str, offset: usize) -> u32 {
        // Walking a long text again for each error that is only counted would take too long.
        if self.is_full() {
            return at;
        }
        scalar::source_offset(self.text, at as usize, text, offset).map_or(at, |found| found as u32)
    }

    /// Whether further errors are only counted.
    pub(crate) fn is_full(&self) -> bool {
        self.kept.len() >= self.most
    }

    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        let kept = |severity| self.kept.iter().filter(|(of, _)| *of == severity).count();
        let unlisted = [
            (Severity::Error, self.errors - kept(Severity::Error)),
            (Severity::Warning, self.warnings - kept(Severity::Warning)),
        ];
        self.kept.sort_by_key(|(_, problem)| problem.at);
        let lines = Lines::of(if self.kept.is_empty() { "" } else { self.text });
        let mut out: Vec<Diagnostic> = self
            .kept
            .into_iter()
            .map(|(severity, problem)| {
                let (line, column) = lines.place(problem.at);
                Diagnostic {
                    severity,
                    file: self.file.to_owned(),
                    line,
                    column,
                    pointer: problem.pointer,
                    message: problem.message,
                    found: problem.found,
                    allowed: problem.allowed,
                    nearest: problem.nearest,
                    related: problem.related.map(|(at, message)| {
                        let (line, column) = lines.place(at);
                        Related {
                            line,
                            column,
                            message,
                        }
                    }),
                    excerpt: lines.excerpt(line, column),
                    unlisted: 0,
                }
            })
            .collect();
        out.extend(
            unlisted
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .map(|(severity, count)| Diagnostic::unlisted(self.file, severity, count)),
        );
        out
    }
}

/// Where lines begin.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<u32>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Lines<'a> {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0)
            .chain(ends.map(|(at, _)| at as u32 + 1))
            .collect();
        Lines { text, starts }
    }

    fn place(&self, at: u32) -> (u32, u32) {
        let line = self.starts.partition_point(|start| *start <= at).max(1);
        let start = self.starts[line - 1] as usize;
        let before = self
            .text
            .get(start..(at as usize).min(self.text.len()))
            .unwrap_or_default();
        // A byte-order mark is not part of the text.
        let before = before.strip_prefix('\u{feff}').unwrap_or(before);
        (line as u32, before.chars().count() as u32 + 1)
    }

    fn excerpt(&self, line: u32, column: u32) -> String {
        let start = self.starts.get(line as usize - 1);
        let text = start.and_then(|start| self.text.get(*start as usize..));
        let text = text.unwrap_or_default();
        let end = text.find(['\n', '\r']).unwrap_or(text.len());
        excerpt(&text[..end], column)
    }
}
