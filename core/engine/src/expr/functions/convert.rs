use super::Outcome;
use crate::expr::budget::Budget;
use crate::expr::error::{Failure, error};
use crate::expr::value::Value;
use std::sync::Arc;

pub(super) fn count<'a>(len: usize) -> Value<'a> {
    Value::Int(i64::try_from(len).unwrap_or(i64::MAX))
}

pub(super) fn size<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Text(text)] => {
            budget.text(text.as_str().len())?;
            Ok(count(text.as_str().chars().count()))
        }
        [Value::Bytes(bytes)] => Ok(count(bytes.len())),
        [Value::List(list)] => Ok(count(list.len())),
        [Value::Map(map)] => Ok(count(map.len())),
        _ => Err(Failure::Types),
    }
}

pub(super) fn bool<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Bool(bool)] => Ok(Value::Bool(*bool)),
        [Value::Text(text)] => match text.as_str() {
            "true" | "True" | "TRUE" | "t" | "1" => Ok(Value::Bool(true)),
            "false" | "False" | "FALSE" | "f" | "0" => Ok(Value::Bool(false)),
            text => error(format!("{} is not a bool", excerpt(text))),
        },
        _ => Err(Failure::Types),
    }
}

pub(super) fn bytes<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Bytes(bytes)] => Ok(Value::Bytes(Arc::clone(bytes))),
        [Value::Text(text)] => {
            budget.memory(text.as_str().len())?;
            Ok(Value::Bytes(text.as_str().as_bytes().into()))
        }
        _ => Err(Failure::Types),
    }
}

pub(super) fn double<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Double(double)] => Ok(Value::Double(*double)),
        [Value::Int(int)] => Ok(Value::Double(*int as f64)),
        [Value::Uint(uint)] => Ok(Value::Double(*uint as f64)),
        [Value::Text(text)] => match text.as_str().parse() {
            Ok(double) => Ok(Value::Double(double)),
            Err(_) => error(format!("{} is not a double", excerpt(text.as_str()))),
        },
        _ => Err(Failure::Types),
    }
}

pub(super) fn dynamic<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    arguments.first().cloned().ok_or(Failure::Types)
}

pub(super) fn int<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Int(int)] => Ok(Value::Int(*int)),
        [Value::Uint(uint)] => match i64::try_from(*uint) {
            Ok(int) => Ok(Value::Int(int)),
            Err(_) => error(format!("{uint} is more than an int holds")),
        },
        // 2^63 itself is a double and no int; `as` would saturate.
        [Value::Double(double)] => {
            if *double >= -9_223_372_036_854_775_808.0 && *double < 9_223_372_036_854_775_808.0 {
                Ok(Value::Int(*double as i64))
            } else {
                error(format!("{double} is not within an int"))
            }
        }
        [Value::Text(text)] => match text.as_str().parse() {
            Ok(int) => Ok(Value::Int(int)),
            Err(_) => error(format!("{} is not an int", excerpt(text.as_str()))),
        },
        [Value::Timestamp(time)] => {
            Ok(Value::Int(i64::try_from(time.0 / 1000).unwrap_or(i64::MAX)))
        }
        _ => Err(Failure::Types),
    }
}

pub(super) fn uint<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Uint(uint)] => Ok(Value::Uint(*uint)),
        [Value::Int(int)] => match u64::try_from(*int) {
            Ok(uint) => Ok(Value::Uint(uint)),
            Err(_) => error(format!("{int} is below zero, where no uint is")),
        },
        [Value::Double(double)] => {
            if *double > -1.0 && *double < 18_446_744_073_709_551_616.0 {
                Ok(Value::Uint(*double as u64))
            } else {
                error(format!("{double} is not within a uint"))
            }
        }
        [Value::Text(text)] => match text.as_str().parse() {
            Ok(uint) => Ok(Value::Uint(uint)),
            Err(_) => error(format!("{} is not a uint", excerpt(text.as_str()))),
        },
        _ => Err(Failure::Types),
    }
}

pub(super) fn string<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Text(text)] => Ok(Value::Text(text.clone())),
        [Value::Bytes(bytes)] => {
            budget.memory(bytes.len())?;
            match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Value::text(text)),
                Err(_) => error("the bytes are not UTF-8"),
            }
        }
        [Value::Double(double)] if !double.is_finite() => Ok(Value::text(double.to_string())),
        [value] => value.scalar_text().map(Value::text).ok_or(Failure::Types),
        _ => Err(Failure::Types),
    }
}

pub(super) fn type_of<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [value] => Ok(Value::Type(value.type_name())),
        _ => Err(Failure::Types),
    }
}

pub(super) fn optional_of<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    arguments
        .first()
        .cloned()
        .map(Value::some)
        .ok_or(Failure::Types)
}

pub(super) fn optional_of_non_zero<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [value] = arguments else {
        return Err(Failure::Types);
    };
    let zero = match value {
        Value::Null | Value::Bool(false) | Value::Int(0) | Value::Uint(0) | Value::Duration(0) => {
            true
        }
        Value::Double(double) => *double == 0.0,
        Value::Text(text) => text.as_str().is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::List(list) => list.len() == 0,
        Value::Map(map) => map.len() == 0,
        _ => false,
    };
    Ok(if zero {
        Value::Optional(None)
    } else {
        Value::some(value.clone())
    })
}

pub(super) fn optional_none<'a>(_: &Budget, _: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Optional(None))
}

pub(super) fn has_value<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Optional(optional)] => Ok(Value::Bool(optional.is_some())),
        _ => Err(Failure::Types),
    }
}

pub(super) fn value<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Optional(Some(value))] => Ok((**value).clone()),
        [Value::Optional(None)] => error("the optional has no value"),
        _ => Err(Failure::Types),
    }
}

/// Called with the second argument only where the first has no value.
pub(super) fn or<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [first @ Value::Optional(_)] | [Value::Optional(None), first @ Value::Optional(_)] => {
            Ok(first.clone())
        }
        _ => Err(Failure::Types),
    }
}

/// As [`or`].
pub(super) fn or_value<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Optional(Some(value))] => Ok((**value).clone()),
        [Value::Optional(None), value] => Ok(value.clone()),
        _ => Err(Failure::Types),
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(super) fn base64_encode<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    let bytes: &[u8] = match arguments {
        [Value::Bytes(bytes)] => bytes,
        [Value::Text(text)] => text.as_str().as_bytes(),
        _ => return Err(Failure::Types),
    };
    budget.memory(bytes.len().div_ceil(3) * 4)?;
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .fold(0_u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..4 {
            if place <= chunk.len() {
                text.push(char::from(
                    ALPHABET[(word >> (18 - 6 * place)) as usize & 63],
                ));
            } else {
                text.push('=');
            }
        }
    }
    Ok(Value::text(text))
}

/// Gives bytes, as CEL's extension does: `string(base64.decode(x))` where it is a text.
pub(super) fn base64_decode<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::Text(text)] = arguments else {
        return Err(Failure::Types);
    };
    budget.memory(text.as_str().len())?;
    let digits = text.as_str().trim_end_matches('=');
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut word, mut bits) = (0_u32, 0);
    for digit in digits.bytes() {
        let Some(six) = ALPHABET.iter().position(|known| *known == digit) else {
            return error(format!("{} is not base64", excerpt(text.as_str())));
        };
        word = word << 6 | six as u32 & 63;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((word >> bits) as u8);
            word &= (1 << bits) - 1;
        }
    }
    if bits >= 6 || word != 0 {
        return error(format!("{} is not base64", excerpt(text.as_str())));
    }
    Ok(Value::Bytes(bytes.into()))
}

/// A text in a message: quoted, and cut where it is long.
pub(super) fn excerpt(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("{short:?}{dots}")
}
