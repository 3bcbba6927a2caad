use super::Outcome;
use crate::expr::budget::Budget;
use crate::expr::error::{Failure, error};
use crate::expr::value::Value;
use std::cmp::Ordering;

fn of_double<'a>(arguments: &[Value<'a>], operation: fn(f64) -> f64) -> Outcome<'a> {
    match arguments {
        [Value::Double(double)] => Ok(Value::Double(operation(*double))),
        _ => Err(Failure::Types),
    }
}

fn test<'a>(arguments: &[Value<'a>], holds: fn(f64) -> bool) -> Outcome<'a> {
    match arguments {
        [Value::Double(double)] => Ok(Value::Bool(holds(*double))),
        _ => Err(Failure::Types),
    }
}

pub(super) fn ceil<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    of_double(arguments, f64::ceil)
}

pub(super) fn floor<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    of_double(arguments, f64::floor)
}

pub(super) fn round<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    of_double(arguments, f64::round)
}

pub(super) fn trunc<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    of_double(arguments, f64::trunc)
}

pub(super) fn is_nan<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    test(arguments, f64::is_nan)
}

pub(super) fn is_inf<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    test(arguments, f64::is_infinite)
}

pub(super) fn is_finite<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    test(arguments, f64::is_finite)
}

pub(super) fn abs<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Int(int)] => match int.checked_abs() {
            Some(int) => Ok(Value::Int(int)),
            None => error("the absolute value overflows 64 bits"),
        },
        [Value::Uint(uint)] => Ok(Value::Uint(*uint)),
        [Value::Double(double)] => Ok(Value::Double(double.abs())),
        _ => Err(Failure::Types),
    }
}

pub(super) fn sign<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Int(int)] => Ok(Value::Int(int.signum())),
        [Value::Uint(uint)] => Ok(Value::Uint(u64::from(*uint > 0))),
        [Value::Double(double)] if *double == 0.0 || double.is_nan() => Ok(Value::Double(*double)),
        [Value::Double(double)] => Ok(Value::Double(double.signum())),
        _ => Err(Failure::Types),
    }
}

pub(super) fn sqrt<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Int(int)] => Ok(Value::Double((*int as f64).sqrt())),
        [Value::Uint(uint)] => Ok(Value::Double((*uint as f64).sqrt())),
        [Value::Double(double)] => Ok(Value::Double(double.sqrt())),
        _ => Err(Failure::Types),
    }
}

fn extreme<'a>(
    budget: &Budget,
    arguments: &[Value<'a>],
    name: &str,
    better: Ordering,
) -> Outcome<'a> {
    let values: Vec<Value<'a>> = match arguments {
        [Value::List(list)] => {
            super::lists::claim(budget, list.len())?;
            list.iter().collect()
        }
        values => values.to_vec(),
    };
    let mut best: Option<Value<'a>> = None;
    for value in values {
        if !matches!(value, Value::Int(_) | Value::Uint(_) | Value::Double(_)) {
            return error(format!(
                "math.{name}() takes numbers, not {}",
                value.type_name()
            ));
        }
        let replaces = match &best {
            Some(best) => value.compare(best, budget)? == Some(better),
            None => true,
        };
        if replaces {
            best = Some(value);
        }
    }
    best.map_or_else(|| error(format!("math.{name}() of nothing")), Ok)
}

pub(super) fn greatest<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    extreme(budget, arguments, "greatest", Ordering::Greater)
}

pub(super) fn least<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    extreme(budget, arguments, "least", Ordering::Less)
}

pub(super) fn bit_and<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Int(a), Value::Int(b)] => Ok(Value::Int(a & b)),
        [Value::Uint(a), Value::Uint(b)] => Ok(Value::Uint(a & b)),
        _ => Err(Failure::Types),
    }
}

pub(super) fn bit_or<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Int(a), Value::Int(b)] => Ok(Value::Int(a | b)),
        [Value::Uint(a), Value::Uint(b)] => Ok(Value::Uint(a | b)),
        _ => Err(Failure::Types),
    }
}

pub(super) fn bit_xor<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Int(a), Value::Int(b)] => Ok(Value::Int(a ^ b)),
        [Value::Uint(a), Value::Uint(b)] => Ok(Value::Uint(a ^ b)),
        _ => Err(Failure::Types),
    }
}

pub(super) fn bit_not<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Int(a)] => Ok(Value::Int(!a)),
        [Value::Uint(a)] => Ok(Value::Uint(!a)),
        _ => Err(Failure::Types),
    }
}

/// Shifts by 64 and more leave nothing, as in cel-go; bits of an int are shifted as a uint's.
fn shift<'a>(arguments: &[Value<'a>], by: fn(u64, u32) -> Option<u64>) -> Outcome<'a> {
    let (bits, count, signed) = match arguments {
        [Value::Int(bits), Value::Int(count)] => (bits.cast_unsigned(), *count, true),
        [Value::Uint(bits), Value::Int(count)] => (*bits, *count, false),
        _ => return Err(Failure::Types),
    };
    if count < 0 {
        return error(format!("a shift by {count}, below zero"));
    }
    let shifted = u32::try_from(count)
        .ok()
        .and_then(|count| by(bits, count))
        .unwrap_or(0);
    Ok(if signed {
        Value::Int(shifted.cast_signed())
    } else {
        Value::Uint(shifted)
    })
}

pub(super) fn shift_left<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    shift(arguments, u64::checked_shl)
}

pub(super) fn shift_right<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    shift(arguments, u64::checked_shr)
}
