//! A description as a page of 80 columns.

use super::Description;
use std::fmt;

/// How wide the page is.
const COLUMNS: usize = 80;
/// Where what is told of a case begins.
const INDENT: usize = 14;

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.name)?;
        block(f, "", 0, &self.purpose)?;
        writeln!(f)?;
        if !self.features.is_empty() {
            block(f, "needs", INDENT, &self.features.join(", "))?;
        }
        self.axes(f)?;
        if !self.not_declared.is_empty() {
            block(f, "not declared", INDENT, &self.not_declared)?;
        }
        block(f, "time limit", INDENT, &seconds(self.time_limit_ms))?;
        let mut label = "arranged";
        for sentence in &self.arranged {
            block(f, label, INDENT, sentence)?;
            label = "";
        }
        writeln!(f, "\nRules")?;
        for rule in &self.requires {
            writeln!(f)?;
            block(f, &format!("  {}", rule.number), INDENT, &rule.says)?;
            for law in &rule.besides {
                block(f, "", INDENT, &format!("→ In all that is said: {law}"))?;
            }
        }
        if !self.procedure.is_empty() {
            writeln!(f, "\nWhat is done, and looked for\n")?;
        }
        for (at, step) in self.procedure.iter().enumerate() {
            block(f, &format!("{:>3}.", at + 1), 5, step)?;
        }
        Ok(())
    }
}

impl Description {
    fn axes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut label = "run with";
        for axis in &self.axes {
            for (at, value) in axis.values.iter().enumerate() {
                let name = if at == 0 { axis.axis.as_str() } else { "" };
                let lead = format!("{label:INDENT$}{name:12}");
                let means = match value.means.is_empty() {
                    true => value.value.clone(),
                    false => format!("{}: {}", value.value, value.means),
                };
                block(f, &lead, INDENT + 12, &means)?;
                label = "";
            }
        }
        if self.runs > 1 {
            let runs = format!("{} runs with all values together (`--axes all`)", self.runs);
            block(f, "", INDENT, &runs)?;
        }
        Ok(())
    }
}

/// `20 s`, `1.5 s`
fn seconds(ms: u64) -> String {
    match ms % 1_000 {
        0 => format!("{} s", ms / 1_000),
        _ => format!("{ms} ms"),
    }
}

/// A text behind a label, in lines of the page's width; it begins in a column, or behind a label that reaches to there.
fn block(f: &mut fmt::Formatter<'_>, label: &str, column: usize, text: &str) -> fmt::Result {
    let mut lead = format!("{label:column$}");
    if !lead.is_empty() && !lead.ends_with(' ') {
        lead.push(' ');
    }
    let column = column.max(lead.chars().count());
    for line in lines(text, COLUMNS - column) {
        let line = format!("{lead}{line}");
        writeln!(f, "{}", line.trim_end())?;
        lead = " ".repeat(column);
    }
    Ok(())
}

/// A text in lines of a width. Words are parted where they are longer than a line: JSON behind its commas.
fn lines(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut first = true;
        for part in parts(word, width) {
            let space = usize::from(first && lines.last().is_some_and(|line| !line.is_empty()));
            let letters = part.chars().count();
            let line = lines.last().map_or(0, |line| line.chars().count());
            if line > 0 && line + space + letters > width {
                lines.push(part.to_owned());
            } else if let Some(last) = lines.last_mut() {
                last.push_str(&" "[..space]);
                last.push_str(part);
            }
            first = false;
        }
    }
    lines
}

/// A word in parts that are no longer than a line.
fn parts(word: &str, width: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    // Short words stay whole; what is long is JSON, or has no place to be parted.
    if word.chars().count() <= width / 2 {
        return vec![word];
    }
    for part in word.split_inclusive(',') {
        let mut rest = part;
        while let Some((at, _)) = rest.char_indices().nth(width) {
            let (head, tail) = rest.split_at(at);
            parts.push(head);
            rest = tail;
        }
        parts.push(rest);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_no_wider_than_the_page_and_lose_nothing() {
        let long = "x".repeat(200);
        for text in [
            "a few words",
            "",
            "größe größe größe größe größe größe größe",
            r#"Start a run of {"a":[1,2,3,4,5,6,7,8,9],"b":"some text of it","c":{"d":1}} here"#,
            &long,
        ] {
            let lines = lines(text, 20);
            assert!(
                lines.iter().all(|line| line.chars().count() <= 20),
                "{lines:#?}"
            );
            let bare = |text: &str| text.replace(' ', "");
            assert_eq!(bare(&lines.concat()), bare(text));
        }
        assert_eq!(lines("one two three", 7), ["one two", "three"]);
        assert_eq!(
            lines(r#"{"a":1,"bcdefghijk":2}"#, 20),
            [r#"{"a":1,"#, r#""bcdefghijk":2}"#]
        );
    }
}
