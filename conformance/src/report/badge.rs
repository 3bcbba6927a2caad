//! A badge for a driver's page.

use super::tally::{Group, groups};
use super::xml::xml;
use crate::result::{Results, Status};

/// What it is of.
const LABEL: &str = "conveyor conformance";

/// The width of a letter at 11 px, about what sans-serif fonts have; `textLength` makes it so in any.
const LETTER: usize = 7;

/// What is left and right of a text.
const PADDING: usize = 6;

/// An SVG of the height 20: `conveyor conformance | core 96/96`. Red where something failed that is not known, or
/// passed unexpectedly; yellow where a case of any feature did not pass for another reason, or nothing was run, or
/// only a part of the cases, which it says then: `core 12/12 (a part)`, or `core 12/12 (stopped)`; green otherwise. It
/// has no script, no font of its own and no address.
#[must_use]
pub fn badge(results: &Results) -> String {
    let groups = groups(results);
    let core = groups.first().map(ToString::to_string).unwrap_or_default();
    let part = match (&results.stopped, results.subject.is_part()) {
        (Some(_), _) => " (stopped)",
        (None, true) => " (a part)",
        (None, false) => "",
    };
    let value = format!("{core}{part}");
    let passed = |group: &Group| group.tally.passed == group.tally.cases;
    let complete = part.is_empty() && groups.iter().all(passed);
    // White letters on them have a contrast of at least 4.5 (WCAG 2.2, 1.4.3).
    let colour = match results.status() {
        Status::Failed => "#b3261e",
        Status::AsExpected if complete => "#2e7d32",
        Status::AsExpected | Status::CouldNot => "#8a6100",
    };
    let (left, right) = (width(LABEL), width(&value));
    let all = left + right;
    let title = xml(&format!("{LABEL}: {value}"));
    let label = letters(0, LABEL);
    let value = letters(left, &value);
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{all}" height="20" role="img" aria-label="{title}">
  <title>{title}</title>
  <rect width="{all}" height="20" rx="3" fill="{colour}"/>
  <path d="M3 0H{left}V20H3A3 3 0 0 1 0 17V3A3 3 0 0 1 3 0Z" fill="#444"/>
  <g fill="#fff" font-family="sans-serif" font-size="11">
    {label}
    {value}
  </g>
</svg>
"##
    )
}

fn letters(from: usize, text: &str) -> String {
    format!(
        r#"<text x="{}" y="14" textLength="{}">{}</text>"#,
        from + PADDING,
        text.chars().count() * LETTER,
        xml(text)
    )
}

fn width(text: &str) -> usize {
    text.chars().count() * LETTER + 2 * PADDING
}
