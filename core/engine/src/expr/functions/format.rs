//! `.format()`.

use super::Outcome;
use super::convert::excerpt;
use super::text::{made, read};
use crate::expr::budget::Budget;
use crate::expr::error::{Failure, error};
use crate::expr::value::Value;
use std::fmt::Write as _;

/// The most digits after the point that a clause of `format` may ask for, as in cel-go.
const MAX_PRECISION: usize = 100;

/// `%s` of scalars and lists of them, `%d`, `%f`, `%e`, `%b`, `%o`, `%x`, `%X`, `%%`; a precision as
/// in `%.2f`.
pub(super) fn format<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::Text(pattern), Value::List(list)] = arguments else {
        return Err(Failure::Types);
    };
    let mut out = String::new();
    let mut values = list.iter();
    let mut rest = read(budget, pattern)?;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let mut precision = 6;
        if let Some(after) = rest.strip_prefix('.') {
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            precision = after[..digits].parse().unwrap_or(usize::MAX);
            if precision > MAX_PRECISION {
                return error(format!("a precision above {MAX_PRECISION} in `.format()`"));
            }
            rest = &after[digits..];
        }
        let Some(clause) = rest.chars().next() else {
            return error("the text of `.format()` ends after `%`; write `%%` for the sign");
        };
        rest = &rest[clause.len_utf8()..];
        let Some(value) = values.next() else {
            return error("`.format()` has fewer values than clauses");
        };
        let before = out.len();
        // Claimed in advance: the longest number is far below this.
        budget.memory(MAX_PRECISION)?;
        one_clause(budget, clause, precision, &value, &mut out)?;
        budget.memory(out.len() - before)?;
    }
    out.push_str(rest);
    made(budget, out)
}

fn one_clause(
    budget: &Budget,
    clause: char,
    precision: usize,
    value: &Value<'_>,
    out: &mut String,
) -> Result<(), Failure> {
    // Writing to a String cannot fail.
    let _ = match (clause, value) {
        ('s', value) => return plain(budget, value, out),
        ('d', Value::Int(int)) => write!(out, "{int}"),
        ('d', Value::Uint(uint)) => write!(out, "{uint}"),
        ('d', Value::Double(double)) => write!(out, "{double}"),
        ('f', value) if number(value).is_some() => {
            write!(out, "{:.precision$}", number(value).unwrap_or(f64::NAN))
        }
        ('e', value) if number(value).is_some() => {
            write!(
                out,
                "{}",
                exponent(number(value).unwrap_or(f64::NAN), precision)
            )
        }
        ('b', Value::Bool(bool)) => write!(out, "{}", u8::from(*bool)),
        ('b' | 'o' | 'x' | 'X', Value::Int(int)) => {
            let sign = if *int < 0 { "-" } else { "" };
            write!(out, "{sign}{}", radix(clause, int.unsigned_abs()))
        }
        ('b' | 'o' | 'x' | 'X', Value::Uint(uint)) => write!(out, "{}", radix(clause, *uint)),
        ('x' | 'X', Value::Text(text)) => {
            budget.memory(2 * text.as_str().len())?;
            for byte in text.as_str().bytes() {
                let _ = if clause == 'x' {
                    write!(out, "{byte:02x}")
                } else {
                    write!(out, "{byte:02X}")
                };
            }
            return Ok(());
        }
        ('d' | 'f' | 'e' | 'b' | 'o' | 'x' | 'X', value) => {
            return error(format!(
                "`%{clause}` of `.format()` does not take {}",
                value.type_name()
            ));
        }
        _ => {
            return error(format!(
                "`%{clause}` is no clause of `.format()`; there are %s %d %f %e %b %o %x %X %%"
            ));
        }
    };
    Ok(())
}

fn number(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Int(int) => Some(*int as f64),
        Value::Uint(uint) => Some(*uint as f64),
        Value::Double(double) => Some(*double),
        _ => None,
    }
}

fn radix(clause: char, number: u64) -> String {
    match clause {
        'b' => format!("{number:b}"),
        'o' => format!("{number:o}"),
        'x' => format!("{number:x}"),
        _ => format!("{number:X}"),
    }
}

/// Scientific notation with a sign and two digits at least, as C prints it.
fn exponent(double: f64, precision: usize) -> String {
    let text = format!("{double:.precision$e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => {
            let (sign, digits) = exponent
                .strip_prefix('-')
                .map_or(('+', exponent), |digits| ('-', digits));
            format!("{mantissa}e{sign}{digits:0>2}")
        }
        None => text,
    }
}

fn plain(budget: &Budget, value: &Value<'_>, out: &mut String) -> Result<(), Failure> {
    match value {
        Value::List(list) => {
            out.push('[');
            for (index, item) in list.iter().enumerate() {
                budget.memory(4)?;
                if index > 0 {
                    out.push_str(", ");
                }
                plain(budget, &item, out)?;
            }
            out.push(']');
            Ok(())
        }
        Value::Map(map) => {
            out.push('{');
            for (index, (key, item)) in map.entries().into_iter().enumerate() {
                let key = key.text();
                budget.memory(key.len() + 6)?;
                if index > 0 {
                    out.push_str(", ");
                }
                out.push_str(&key);
                out.push_str(": ");
                plain(budget, &item, out)?;
            }
            out.push('}');
            Ok(())
        }
        Value::Null => {
            out.push_str("null");
            Ok(())
        }
        Value::Text(text) => {
            budget.memory(text.as_str().len())?;
            out.push_str(text.as_str());
            Ok(())
        }
        value => match value.scalar_text() {
            Some(text) => {
                budget.memory(text.len())?;
                out.push_str(&text);
                Ok(())
            }
            None => error(format!(
                "`%s` of `.format()` does not take {}",
                excerpt(value.type_name())
            )),
        },
    }
}
