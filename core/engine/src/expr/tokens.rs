//! Our own pass over an expression's tokens, before the crate's parser sees it: the parser
//! recurses, and what it accepts is evaluated by recursion too.

use super::error::ExprError;
use super::limits::Limits;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    Name(&'a str),
    /// A literal string, or a name in back quotes: its source text.
    Text(&'a str),
    Number,
    Open(u8),
    Close(u8),
    Comma,
    /// `.` and `.?`.
    Dot,
    /// Any other operator.
    Operator(&'a str),
}

/// Walks the tokens of `source`. Whatever is no token of CEL is passed over byte by byte: the
/// parser will say what it thinks of it.
pub(crate) struct Tokens<'a> {
    source: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(source: &'a str) -> Tokens<'a> {
        Tokens { source, at: 0 }
    }

    /// Where the last token ended.
    pub(crate) fn end(&self) -> usize {
        self.at
    }

    fn take(&mut self, len: usize) -> &'a str {
        let start = self.at;
        self.at += len;
        &self.source[start..self.at]
    }

    fn skip_blank(&mut self) {
        let bytes = self.source.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            if byte.is_ascii_whitespace() || *byte == 0x0b {
                self.at += 1;
            } else if bytes[self.at..].starts_with(b"//") {
                self.at += bytes[self.at..]
                    .iter()
                    .take_while(|byte| **byte != b'\n')
                    .count();
            } else {
                return;
            }
        }
    }

    /// The next token with where it starts.
    pub(crate) fn next_token(&mut self) -> Option<(usize, Token<'a>)> {
        self.skip_blank();
        let rest = self.source.get(self.at..)?;
        let bytes = rest.as_bytes();
        let first = *bytes.first()?;
        let start = self.at;
        let token = match first {
            b'(' | b'[' | b'{' => {
                self.at += 1;
                Token::Open(first)
            }
            b')' | b']' | b'}' => {
                self.at += 1;
                Token::Close(first)
            }
            b',' => {
                self.at += 1;
                Token::Comma
            }
            b'"' | b'\'' => Token::Text(self.take(string_len(bytes, false))),
            b'`' => {
                let inner = bytes[1..].iter().take_while(|byte| **byte != b'`').count();
                Token::Text(self.take((inner + 2).min(bytes.len())))
            }
            b'0'..=b'9' => {
                let len = bytes
                    .iter()
                    .take_while(|b| b.is_ascii_alphanumeric() || **b == b'.')
                    .count();
                self.at += len;
                Token::Number
            }
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                let len = bytes
                    .iter()
                    .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_')
                    .count();
                let name = &rest[..len];
                let prefix =
                    name.len() <= 2 && name.bytes().all(|b| matches!(b, b'r' | b'R' | b'b' | b'B'));
                match bytes.get(len) {
                    Some(b'"' | b'\'') if prefix => {
                        let raw = name.bytes().any(|b| matches!(b, b'r' | b'R'));
                        Token::Text(self.take(len + string_len(&bytes[len..], raw)))
                    }
                    _ => Token::Name(self.take(len)),
                }
            }
            b'.' => {
                self.at += if bytes.get(1) == Some(&b'?') { 2 } else { 1 };
                Token::Dot
            }
            _ => {
                let two = ["==", "!=", "<=", ">=", "&&", "||"]
                    .iter()
                    .any(|two| rest.starts_with(two));
                let len = if two {
                    2
                } else {
                    rest.chars().next().map_or(1, char::len_utf8)
                };
                Token::Operator(self.take(len))
            }
        };
        Some((start, token))
    }
}

/// The length of the string literal that `bytes` starts with, its quotes included; what there is
/// when it does not end.
fn string_len(bytes: &[u8], raw: bool) -> usize {
    let quote = bytes[0];
    let triple = bytes.len() >= 3 && bytes[1] == quote && bytes[2] == quote;
    let close: &[u8] = if triple { &bytes[..3] } else { &bytes[..1] };
    let mut at = close.len();
    while at < bytes.len() {
        if bytes[at] == b'\\' && !raw {
            at += 2;
        } else if bytes[at..].starts_with(close) {
            return at + close.len();
        } else if !triple && bytes[at] == b'\n' {
            return at;
        } else {
            at += 1;
        }
    }
    // A backslash may stand before a letter of several bytes: never past the end.
    bytes.len()
}

/// Refuses what the parser or the evaluator could not take without risk.
pub(crate) fn check(source: &str, limits: &Limits) -> Result<(), ExprError> {
    if source.len() > limits.source_bytes {
        return Err(ExprError::new(
            0,
            format!(
                "the expression has {} bytes, more than {} (limit `source_bytes`)",
                source.len(),
                limits.source_bytes
            ),
        ));
    }
    if source.trim().is_empty() {
        return Err(ExprError::new(0, "the expression is empty"));
    }
    let mut tokens = Tokens::new(source);
    let mut count = 0;
    // For each open bracket: itself, the operators so far in it, the members before it.
    let mut levels = vec![(0_u8, 0_usize, 0_usize)];
    let mut members = 0;
    let mut unary = 0;
    let mut operand = false;
    while let Some((at, token)) = tokens.next_token() {
        count += 1;
        if count > limits.tokens {
            return Err(ExprError::new(
                at,
                format!(
                    "the expression has more than {} tokens (limit `tokens`)",
                    limits.tokens
                ),
            ));
        }
        let was_operand = operand;
        match token {
            Token::Name("in") | Token::Operator(_) if was_operand => {
                let operators = levels.last_mut().map(|level| {
                    level.1 += 1;
                    level.1
                });
                if operators.is_some_and(|operators| operators > limits.operators) {
                    return Err(ExprError::new(
                        at,
                        format!(
                            "more than {} operators in a row (limit `operators`)",
                            limits.operators
                        ),
                    ));
                }
                operand = false;
                members = 0;
                unary = 0;
            }
            Token::Operator(_) => {
                unary += 1;
                if unary > limits.unary {
                    return Err(ExprError::new(
                        at,
                        format!(
                            "more than {} signs in a row before a value (limit `unary`)",
                            limits.unary
                        ),
                    ));
                }
            }
            Token::Dot => {
                members += usize::from(was_operand);
                operand = false;
            }
            Token::Open(bracket) => {
                let before = if was_operand { members + 1 } else { 0 };
                levels.push((bracket, 0, before));
                members = 0;
                if levels.len() - 1 > limits.brackets {
                    return Err(ExprError::new(
                        at,
                        format!(
                            "brackets nest deeper than {} (limit `brackets`)",
                            limits.brackets
                        ),
                    ));
                }
                operand = false;
                unary = 0;
            }
            Token::Close(bracket) => {
                let open = match bracket {
                    b')' => b'(',
                    b']' => b'[',
                    _ => b'{',
                };
                let closed = if levels.len() > 1 { levels.pop() } else { None };
                match closed {
                    Some(level) if level.0 == open => members = level.2,
                    _ => {
                        return Err(ExprError::new(
                            at,
                            format!("`{}` closes no bracket", char::from(bracket)),
                        ));
                    }
                }
                operand = true;
                unary = 0;
            }
            Token::Comma => {
                if let Some(level) = levels.last_mut() {
                    level.1 = 0;
                }
                operand = false;
                members = 0;
                unary = 0;
            }
            Token::Name(_) | Token::Text(_) | Token::Number => {
                operand = true;
                unary = 0;
            }
        }
        if members > limits.members {
            return Err(ExprError::new(
                at,
                format!(
                    "more than {} members, calls and indexes in a row (limit `members`)",
                    limits.members
                ),
            ));
        }
    }
    if levels.len() > 1 {
        let open = levels.last().map_or('(', |level| char::from(level.0));
        return Err(ExprError::new(
            source.len(),
            format!("the bracket `{open}` is not closed"),
        ));
    }
    Ok(())
}

/// Where `name` first stands as a name of its own, not as a member.
pub(crate) fn find_name(source: &str, name: &str) -> Option<usize> {
    let mut tokens = Tokens::new(source);
    let mut after_dot = false;
    while let Some((at, token)) = tokens.next_token() {
        if !after_dot && token == Token::Name(name) {
            return Some(at);
        }
        after_dot = token == Token::Dot;
    }
    None
}

/// Where `member` first stands in the names behind the root `name`.
pub(crate) fn find_member(source: &str, name: &str, member: &str) -> Option<usize> {
    let all = all_tokens(source);
    (0..all.len()).find_map(|start| {
        let free = start == 0 || all[start - 1].1 != Token::Dot;
        let mut names = Names {
            tokens: &all[start + 1..],
        };
        (free && all[start].1 == Token::Name(name))
            .then(|| names.find(|(_, found)| *found == member))
            .flatten()
            .map(|(at, _)| at)
    })
}

/// Where the step `id` first stands: in `steps.id`, `needs.?id`, `steps['id']`, or as a name of its
/// own as rules have it. With a `member`, where that stands in the names behind the step.
pub(crate) fn find_step(source: &str, id: &str, member: Option<&str>) -> Option<usize> {
    let all = all_tokens(source);
    (0..all.len()).find_map(|start| {
        let free = start == 0 || all[start - 1].1 != Token::Dot;
        let mut names = match all[start].1 {
            Token::Name("steps" | "needs") if free => Names {
                tokens: &all[start + 1..],
            },
            Token::Name(name) if free && name == id => Names {
                tokens: &all[start..],
            },
            _ => return None,
        };
        let (at, _) = names.next().filter(|(_, name)| *name == id)?;
        match member {
            None => Some(at),
            Some(member) => names.find(|(_, name)| *name == member).map(|(at, _)| at),
        }
    })
}

fn all_tokens(source: &str) -> Vec<(usize, Token<'_>)> {
    let mut tokens = Tokens::new(source);
    std::iter::from_fn(|| tokens.next_token()).collect()
}

/// The names along a chain of members, `.a['b'][0].?c`, and where each stands.
struct Names<'t> {
    tokens: &'t [(usize, Token<'t>)],
}

impl<'t> Iterator for Names<'t> {
    type Item = (usize, &'t str);

    fn next(&mut self) -> Option<(usize, &'t str)> {
        loop {
            let ((at, token), rest) = self.tokens.split_first()?;
            match *token {
                Token::Name(name) => {
                    self.tokens = rest;
                    return Some((*at, name));
                }
                Token::Text(text) => {
                    self.tokens = rest;
                    let name = text.trim_matches(['\'', '"', '`']);
                    let quote = text.find(name).unwrap_or_default();
                    return Some((at + quote, name));
                }
                // `.`, `[?'name']`, `[0]`
                Token::Dot
                | Token::Open(b'[')
                | Token::Close(b']')
                | Token::Operator("?")
                | Token::Number => {}
                _ => return None,
            }
            self.tokens = rest;
        }
    }
}
