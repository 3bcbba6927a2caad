use super::drivers::Drivers;
use super::types::Plan;
use crate::source::{self, Diagnostic, Limits, Report};
use crate::value::Hash;

impl Plan {
    /// Builds a plan from the canonical text of its document alone, as recovery does. What drivers
    /// say of themselves is not asked: it was, when the document was applied, and is no part of a plan.
    ///
    /// # Errors
    /// When the text is no document that this version can run, which says that something else
    /// wrote it. What evaluation would find wrong is left to evaluation.
    pub fn from_canonical(canonical: &[u8]) -> Result<Plan, Vec<Diagnostic>> {
        let limits = Limits::default();
        let text = std::str::from_utf8(canonical).unwrap_or_default();
        let mut report = Report::new("canonical document", text, limits.diagnostics);
        report.accepted();
        let root = match source::read_canonical(text, &limits) {
            Ok(root) => root,
            Err(problem) => {
                report.error(problem);
                return Err(report.finish());
            }
        };
        let plan = super::compile(
            &root,
            Hash::of(canonical),
            &limits,
            &Drivers::default(),
            &mut report,
        );
        match plan {
            Some(plan) if !report.has_errors() => Ok(plan),
            _ => Err(report.finish()),
        }
    }
}
