use super::Outcome;
use crate::expr::budget::Budget;
use crate::expr::error::{Failure, error};
use crate::expr::value::{Key, List, Value};
use crate::time::Time;
use std::cmp::Ordering;

/// 9999-12-31T23:59:59.999Z.
pub(super) const LAST_TIME: i64 = 253_402_300_799_999;

fn checked<'a, T>(result: Option<T>, operation: &str, make: fn(T) -> Value<'a>) -> Outcome<'a> {
    result.map_or_else(
        || error(format!("{operation} overflows 64 bits")),
        |value| Ok(make(value)),
    )
}

pub(super) fn moment<'a>(millis: Option<i64>) -> Outcome<'a> {
    match millis {
        Some(millis @ 0..=LAST_TIME) => Ok(Value::Timestamp(Time(millis.unsigned_abs()))),
        _ => error("the timestamp is outside of the years 1970 to 9999"),
    }
}

pub(super) fn millis(time: Time) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

pub(super) fn add<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Int(a), Value::Int(b)] => checked(a.checked_add(*b), "the sum", Value::Int),
        [Value::Uint(a), Value::Uint(b)] => checked(a.checked_add(*b), "the sum", Value::Uint),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a + b)),
        [Value::Text(a), Value::Text(b)] => {
            let (a, b) = (a.as_str(), b.as_str());
            budget.memory(a.len() + b.len())?;
            Ok(Value::text([a, b].concat()))
        }
        [Value::Bytes(a), Value::Bytes(b)] => {
            budget.memory(a.len() + b.len())?;
            Ok(Value::Bytes([&**a, &**b].concat().into()))
        }
        [Value::List(a), Value::List(b)] => {
            let len = a.len() + b.len();
            budget.range(len as u64)?;
            budget.work(len as u64)?;
            budget.memory(len * size_of::<Value<'_>>())?;
            Ok(Value::list(a.iter().chain(b.iter()).collect()))
        }
        [Value::Timestamp(time), Value::Duration(span)]
        | [Value::Duration(span), Value::Timestamp(time)] => {
            moment(millis(*time).checked_add(*span))
        }
        [Value::Duration(a), Value::Duration(b)] => {
            checked(a.checked_add(*b), "the sum", Value::Duration)
        }
        _ => Err(Failure::Types),
    }
}

pub(super) fn subtract<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Int(a), Value::Int(b)] => checked(a.checked_sub(*b), "the difference", Value::Int),
        [Value::Uint(a), Value::Uint(b)] => {
            checked(a.checked_sub(*b), "the difference", Value::Uint)
        }
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a - b)),
        [Value::Timestamp(time), Value::Duration(span)] => moment(millis(*time).checked_sub(*span)),
        [Value::Timestamp(a), Value::Timestamp(b)] => Ok(Value::Duration(millis(*a) - millis(*b))),
        [Value::Duration(a), Value::Duration(b)] => {
            checked(a.checked_sub(*b), "the difference", Value::Duration)
        }
        _ => Err(Failure::Types),
    }
}

pub(super) fn multiply<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Int(a), Value::Int(b)] => checked(a.checked_mul(*b), "the product", Value::Int),
        [Value::Uint(a), Value::Uint(b)] => checked(a.checked_mul(*b), "the product", Value::Uint),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a * b)),
        _ => Err(Failure::Types),
    }
}

pub(super) fn divide<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => {
            error("division by zero")
        }
        [Value::Int(a), Value::Int(b)] => checked(a.checked_div(*b), "the quotient", Value::Int),
        [Value::Uint(a), Value::Uint(b)] => checked(a.checked_div(*b), "the quotient", Value::Uint),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a / b)),
        _ => Err(Failure::Types),
    }
}

pub(super) fn modulo<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => {
            error("modulus by zero")
        }
        [Value::Int(a), Value::Int(b)] => checked(a.checked_rem(*b), "the remainder", Value::Int),
        [Value::Uint(a), Value::Uint(b)] => {
            checked(a.checked_rem(*b), "the remainder", Value::Uint)
        }
        _ => Err(Failure::Types),
    }
}

pub(super) fn negate<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Int(a)] => checked(a.checked_neg(), "the negative", Value::Int),
        [Value::Double(a)] => Ok(Value::Double(-a)),
        [Value::Duration(a)] => checked(a.checked_neg(), "the negative", Value::Duration),
        _ => Err(Failure::Types),
    }
}

pub(super) fn not<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Bool(a)] => Ok(Value::Bool(!a)),
        _ => Err(Failure::Types),
    }
}

pub(super) fn equal<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [a, b] => a.equals(b, budget).map(Value::Bool),
        _ => Err(Failure::Types),
    }
}

pub(super) fn not_equal<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [a, b] => a.equals(b, budget).map(|equal| Value::Bool(!equal)),
        _ => Err(Failure::Types),
    }
}

fn compared<'a>(
    budget: &Budget,
    arguments: &[Value<'a>],
    holds: fn(Ordering) -> bool,
) -> Outcome<'a> {
    match arguments {
        // Whatever NaN is compared with, the answer is no.
        [a, b] => Ok(Value::Bool(a.compare(b, budget)?.is_some_and(holds))),
        _ => Err(Failure::Types),
    }
}

pub(super) fn less<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    compared(budget, arguments, Ordering::is_lt)
}

pub(super) fn less_equal<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    compared(budget, arguments, Ordering::is_le)
}

pub(super) fn greater<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    compared(budget, arguments, Ordering::is_gt)
}

pub(super) fn greater_equal<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    compared(budget, arguments, Ordering::is_ge)
}

pub(super) fn contained<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [item, Value::List(list)] => contains(budget, item, list).map(Value::Bool),
        [key, Value::Map(map)] => match Key::from_value(key) {
            Some(key) => Ok(Value::Bool(map.get(&key).is_some())),
            // No key is a fraction, but a number can be asked for.
            None if matches!(key, Value::Double(_)) => Ok(Value::Bool(false)),
            None => Err(Failure::Types),
        },
        _ => Err(Failure::Types),
    }
}

fn contains(budget: &Budget, item: &Value<'_>, list: &List<'_>) -> Result<bool, Failure> {
    for other in list.iter() {
        if item.equals(&other, budget)? {
            return Ok(true);
        }
    }
    Ok(false)
}
