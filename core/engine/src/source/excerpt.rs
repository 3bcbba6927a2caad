/// The most characters that are shown of a line: what a wide terminal has.
const MOST: usize = 120;
/// Columns up to here are shown from the start of the line.
const FROM_START: usize = 100;
/// How much is shown before any later column.
const BEFORE: usize = 60;

/// What a diagnostic shows of its line: all of it, or the part around the column, with an ellipsis
/// on each side that is cut. Empty where there is nothing to show.
#[must_use]
pub fn excerpt(line: &str, column: u32) -> String {
    let line = line.strip_prefix('\u{feff}').unwrap_or(line);
    if line.trim().is_empty() {
        return String::new();
    }
    let before = (column as usize).saturating_sub(1);
    let cut = before - caret(column);
    // One column per character, so that the caret stands below it.
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    let mut out = String::new();
    let mut rest = line.chars().skip(cut);
    if cut > 0 {
        // The ellipsis takes the place of one character.
        rest.next();
        out.push('…');
    }
    let room = MOST - usize::from(cut > 0);
    out.extend(rest.by_ref().take(room - 1).map(shown));
    match (rest.next(), rest.next()) {
        (Some(_), Some(_)) => out.push('…'),
        (Some(last), None) => out.push(shown(last)),
        _ => {}
    }
    out
}

/// How many characters of the excerpt stand before the column: it follows from the column alone.
pub(super) fn caret(column: u32) -> usize {
    let before = (column as usize).saturating_sub(1);
    if before < FROM_START { before } else { BEFORE }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The character that the caret stands below.
    fn under(line: &str, column: u32) -> Option<char> {
        excerpt(line, column).chars().nth(caret(column))
    }

    #[test]
    fn a_short_line_is_shown_whole_and_a_long_one_around_the_column() {
        let long: String = (0..400_u32)
            .map(|at| char::from_u32(0x4e00 + at).expect("a letter"))
            .collect();
        assert_eq!(excerpt("a: \tb", 5), "a:  b");
        assert_eq!(excerpt("  \t", 1), "");
        for column in 1..=400 {
            let text = excerpt(&long, column);
            assert!(text.chars().count() <= MOST, "{column}: {text}");
            assert_eq!(text.starts_with('…'), column > 100, "{column}: {text}");
            let last = long.chars().last();
            assert_ne!(text.ends_with('…'), text.chars().last() == last, "{column}");
            assert_eq!(under(&long, column), long.chars().nth(column as usize - 1));
        }
        let fits: String = long.chars().take(MOST).collect();
        assert_eq!(excerpt(&fits, 1), fits);
    }
}
