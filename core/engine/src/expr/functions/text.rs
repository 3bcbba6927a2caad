use super::Outcome;
use super::convert::count;
use crate::expr::budget::Budget;
use crate::expr::error::{Failure, error};
use crate::expr::value::{Text, Value};

pub(super) fn read<'b>(budget: &Budget, text: &'b Text<'_>) -> Result<&'b str, Failure> {
    budget.text(text.as_str().len())?;
    Ok(text.as_str())
}

pub(super) fn made<'a>(budget: &Budget, text: String) -> Outcome<'a> {
    budget.memory(text.len())?;
    Ok(Value::text(text))
}

pub(super) fn contains<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Text(text), Value::Text(part)] => Ok(Value::Bool(
            read(budget, text)?.contains(read(budget, part)?),
        )),
        _ => Err(Failure::Types),
    }
}

pub(super) fn starts_with<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Text(text), Value::Text(part)] => {
            Ok(Value::Bool(text.as_str().starts_with(read(budget, part)?)))
        }
        _ => Err(Failure::Types),
    }
}

pub(super) fn ends_with<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Text(text), Value::Text(part)] => {
            Ok(Value::Bool(text.as_str().ends_with(read(budget, part)?)))
        }
        _ => Err(Failure::Types),
    }
}

/// The crate `regex` matches in time linear in the text.
pub(super) fn matches<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Text(text), Value::Text(pattern)] => {
            let text = text.as_str();
            budget.work(text.len() as u64)?;
            budget.regex(pattern.as_str(), |regex| Value::Bool(regex.is_match(text)))
        }
        _ => Err(Failure::Types),
    }
}

fn out_of_range<'a>(index: i64, len: usize) -> Outcome<'a> {
    error(format!(
        "index {index} is outside of a text of {len} characters"
    ))
}

/// The byte at which the character `index` starts; the end counts as one. `None` beyond it.
fn byte_of(text: &str, index: i64) -> Option<usize> {
    let index = usize::try_from(index).ok()?;
    text.char_indices()
        .map(|(at, _)| at)
        .chain([text.len()])
        .nth(index)
}

fn characters(text: &str) -> usize {
    text.chars().count()
}

pub(super) fn char_at<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::Text(text), Value::Int(index)] = arguments else {
        return Err(Failure::Types);
    };
    let text = read(budget, text)?;
    match byte_of(text, *index) {
        Some(at) => made(budget, text[at..].chars().take(1).collect()),
        None => out_of_range(*index, characters(text)),
    }
}

pub(super) fn index_of<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    let (text, part, from) = match arguments {
        [Value::Text(text), Value::Text(part)] => (text, part, 0),
        [Value::Text(text), Value::Text(part), Value::Int(from)] => (text, part, *from),
        _ => return Err(Failure::Types),
    };
    let (text, part) = (read(budget, text)?, read(budget, part)?);
    let Some(at) = byte_of(text, from) else {
        return out_of_range(from, characters(text));
    };
    Ok(match text[at..].find(part) {
        Some(found) => count(characters(&text[..at + found])),
        None => Value::Int(-1),
    })
}

pub(super) fn last_index_of<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    let (text, part, upto) = match arguments {
        [Value::Text(text), Value::Text(part)] => (text, part, None),
        [Value::Text(text), Value::Text(part), Value::Int(upto)] => (text, part, Some(*upto)),
        _ => return Err(Failure::Types),
    };
    let (text, part) = (read(budget, text)?, read(budget, part)?);
    let end = match upto {
        None => text.len(),
        // The last match may start at `upto`, so it ends where the part would end.
        Some(upto) => match byte_of(text, upto) {
            Some(at) => byte_of(
                &text[at..],
                i64::try_from(characters(part)).unwrap_or(i64::MAX),
            )
            .map_or(text.len(), |len| at + len),
            None => return out_of_range(upto, characters(text)),
        },
    };
    Ok(match text[..end].rfind(part) {
        Some(found) => count(characters(&text[..found])),
        None => Value::Int(-1),
    })
}

pub(super) fn join<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    let (list, separator) = match arguments {
        [Value::List(list)] => (list, ""),
        [Value::List(list), Value::Text(separator)] => (list, separator.as_str()),
        _ => return Err(Failure::Types),
    };
    let mut joined = String::new();
    for (index, item) in list.iter().enumerate() {
        let Value::Text(item) = item else {
            return error(format!(
                "`.join()` takes a list of strings; item {index} is {}: use map(x, string(x))",
                item.type_name()
            ));
        };
        if index > 0 {
            budget.memory(separator.len() + 1)?;
            joined.push_str(separator);
        }
        budget.memory(item.as_str().len())?;
        budget.work(1)?;
        joined.push_str(item.as_str());
    }
    Ok(Value::text(joined))
}

pub(super) fn lower_ascii<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::Text(text)] = arguments else {
        return Err(Failure::Types);
    };
    made(budget, text.as_str().to_ascii_lowercase())
}

pub(super) fn upper_ascii<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::Text(text)] = arguments else {
        return Err(Failure::Types);
    };
    made(budget, text.as_str().to_ascii_uppercase())
}

pub(super) fn trim<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::Text(text)] = arguments else {
        return Err(Failure::Types);
    };
    made(budget, text.as_str().trim().to_owned())
}

pub(super) fn replace<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    let (text, from, to, most) = match arguments {
        [Value::Text(text), Value::Text(from), Value::Text(to)] => (text, from, to, -1),
        [
            Value::Text(text),
            Value::Text(from),
            Value::Text(to),
            Value::Int(most),
        ] => (text, from, to, *most),
        _ => return Err(Failure::Types),
    };
    let (text, from, to) = (read(budget, text)?, from.as_str(), to.as_str());
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    // Counted before it is made: a short text replaced by a long one grows without a bound.
    let found = text.matches(from).take(most).count();
    budget.memory(found.saturating_mul(to.len()).saturating_add(text.len()))?;
    Ok(Value::text(text.replacen(from, to, most)))
}

pub(super) fn split<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    let (text, separator, most) = match arguments {
        [Value::Text(text), Value::Text(separator)] => (text, separator, -1),
        [Value::Text(text), Value::Text(separator), Value::Int(most)] => (text, separator, *most),
        _ => return Err(Failure::Types),
    };
    let (text, separator) = (read(budget, text)?, separator.as_str());
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut parts = Vec::new();
    let mut rest = Some(text);
    while let Some(left) = rest.filter(|_| parts.len() < most) {
        let cut = if parts.len() + 1 == most {
            None
        } else if separator.is_empty() {
            // Between characters; nothing is left of an empty text.
            match left.chars().next() {
                None => break,
                Some(first) if first.len_utf8() == left.len() => None,
                Some(first) => Some((&left[..first.len_utf8()], &left[first.len_utf8()..])),
            }
        } else {
            left.split_once(separator)
        };
        let (part, after) = cut.map_or((left, None), |(part, after)| (part, Some(after)));
        budget.range(parts.len() as u64 + 1)?;
        budget.work(1)?;
        budget.memory(part.len() + size_of::<Value<'_>>())?;
        parts.push(Value::text(part));
        rest = after;
    }
    Ok(Value::list(parts))
}

pub(super) fn substring<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    let (text, start, end) = match arguments {
        [Value::Text(text), Value::Int(start)] => (text, *start, None),
        [Value::Text(text), Value::Int(start), Value::Int(end)] => (text, *start, Some(*end)),
        _ => return Err(Failure::Types),
    };
    let text = read(budget, text)?;
    let Some(from) = byte_of(text, start) else {
        return out_of_range(start, characters(text));
    };
    let to = match end {
        None => text.len(),
        Some(end) if end < start => {
            return error(format!("the end {end} is before the start {start}"));
        }
        Some(end) => match byte_of(text, end) {
            Some(to) => to,
            None => return out_of_range(end, characters(text)),
        },
    };
    made(budget, text[from..to].to_owned())
}

pub(super) fn quote<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::Text(text)] = arguments else {
        return Err(Failure::Types);
    };
    budget.memory(text.as_str().len())?;
    let mut quoted = String::with_capacity(text.as_str().len() + 2);
    quoted.push('"');
    for c in text.as_str().chars() {
        match c {
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\x0c' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\x0b' => quoted.push_str("\\v"),
            '\\' => quoted.push_str("\\\\"),
            '"' => quoted.push_str("\\\""),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    Ok(Value::text(quoted))
}
