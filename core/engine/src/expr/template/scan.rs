use crate::expr::tokens::{Token, Tokens};

/// A part of a string of a template.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'t> {
    Literal(String),
    Expression {
        source: &'t str,
        /// Where `source` starts in the string, in bytes.
        offset: usize,
    },
}

/// Cuts a string into literal text and expressions. `$${{` stands for a literal `${{`. An
/// expression ends at the first `}}` outside of CEL string literals and open brackets.
pub(super) fn scan(text: &str) -> Result<Vec<Part<'_>>, (usize, &'static str)> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut at = 0;
    while let Some(found) = text[at..].find('$') {
        literal.push_str(&text[at..at + found]);
        at += found;
        let rest = &text[at..];
        if rest.starts_with("$${{") {
            literal.push_str("${{");
            at += 4;
        } else if rest.starts_with("${{") {
            let start = at + 3;
            let end = end_of_expression(&text[start..]).ok_or((
                at,
                "`${{` is not closed by `}}`; write `$${{` for the text itself",
            ))?;
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::Expression {
                source: &text[start..start + end],
                offset: start,
            });
            at = start + end + 2;
        } else {
            literal.push('$');
            at += 1;
        }
    }
    literal.push_str(&text[at..]);
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    Ok(parts)
}

fn end_of_expression(text: &str) -> Option<usize> {
    let mut tokens = Tokens::new(text);
    let mut open = 0_usize;
    loop {
        let blank = tokens.end();
        let next = tokens.next_token();
        // Between two tokens stand blanks and comments, and a comment hides no end.
        let skipped = &text[blank..next.map_or(text.len(), |(at, _)| at)];
        if let (0, Some(at)) = (open, skipped.find("}}")) {
            return Some(blank + at);
        }
        let (at, token) = next?;
        match token {
            Token::Open(_) => open += 1,
            Token::Close(b'}') if open == 0 && text[at..].starts_with("}}") => return Some(at),
            Token::Close(_) => open = open.saturating_sub(1),
            _ => {}
        }
    }
}
