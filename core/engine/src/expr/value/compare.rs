//! Equality and order.

use super::Value;
use crate::expr::budget::Budget;
use crate::expr::error::Failure;
use std::cmp::Ordering;

impl Value<'_> {
    /// A number as a double compares: `None` for what is none.
    fn number(&self) -> Option<Number> {
        match self {
            Value::Int(int) => Some(Number::Whole(i128::from(*int))),
            Value::Uint(uint) => Some(Number::Whole(i128::from(*uint))),
            Value::Double(double) => Some(Number::Double(*double)),
            _ => None,
        }
    }

    /// Whether two values are equal. Numbers are equal across types; values of other types that
    /// differ are not equal, which is no error.
    pub(crate) fn equals(&self, other: &Value<'_>, budget: &Budget) -> Result<bool, Failure> {
        budget.work(1)?;
        if let (Some(a), Some(b)) = (self.number(), other.number()) {
            return Ok(a.compare(b) == Some(Ordering::Equal));
        }
        Ok(match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Text(a), Value::Text(b)) => {
                budget.text(a.as_str().len().min(b.as_str().len()))?;
                a.as_str() == b.as_str()
            }
            (Value::Bytes(a), Value::Bytes(b)) => {
                budget.text(a.len().min(b.len()))?;
                a == b
            }
            (Value::Timestamp(a), Value::Timestamp(b)) => a == b,
            (Value::Duration(a), Value::Duration(b)) => a == b,
            (Value::Type(a), Value::Type(b)) => a == b,
            (Value::Optional(None), Value::Optional(None)) => true,
            (Value::Optional(Some(a)), Value::Optional(Some(b))) => a.equals(b, budget)?,
            (Value::List(a), Value::List(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (a, b) in a.iter().zip(b.iter()) {
                    if !a.equals(&b, budget)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Value::Map(a), Value::Map(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (key, value) in a.entries() {
                    match b.get(&key) {
                        Some(other) if value.equals(&other, budget)? => {}
                        _ => return Ok(false),
                    }
                }
                true
            }
            _ => false,
        })
    }

    /// The order of two values; `None` where NaN is among them.
    pub(crate) fn compare(
        &self,
        other: &Value<'_>,
        budget: &Budget,
    ) -> Result<Option<Ordering>, Failure> {
        budget.work(1)?;
        if let (Some(a), Some(b)) = (self.number(), other.number()) {
            return Ok(a.compare(b));
        }
        Ok(Some(match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Text(a), Value::Text(b)) => {
                budget.text(a.as_str().len().min(b.as_str().len()))?;
                a.as_str().cmp(b.as_str())
            }
            (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
            (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
            (Value::Duration(a), Value::Duration(b)) => a.cmp(b),
            _ => return Err(Failure::Types),
        }))
    }
}

#[derive(Clone, Copy)]
enum Number {
    Whole(i128),
    Double(f64),
}

impl Number {
    fn compare(self, other: Number) -> Option<Ordering> {
        match (self, other) {
            (Number::Whole(a), Number::Whole(b)) => Some(a.cmp(&b)),
            (Number::Double(a), Number::Double(b)) => a.partial_cmp(&b),
            (Number::Whole(a), Number::Double(b)) => compare_whole(a, b),
            (Number::Double(a), Number::Whole(b)) => compare_whole(b, a).map(Ordering::reverse),
        }
    }
}

/// Exact, where turning the whole number into a double would round it.
fn compare_whole(whole: i128, double: f64) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    // Past these no 64-bit number is on the same side; `as` would saturate.
    if double >= 1e30 {
        return Some(Ordering::Less);
    }
    if double <= -1e30 {
        return Some(Ordering::Greater);
    }
    let floor = double.floor();
    Some(whole.cmp(&(floor as i128)).then(if double > floor {
        Ordering::Less
    } else {
        Ordering::Equal
    }))
}
