//! Timestamps and durations of whole milliseconds, as the rest of the engine counts them.

use super::Outcome;
use super::convert::excerpt;
use super::operators::{LAST_TIME, millis, moment};
use crate::expr::budget::Budget;
use crate::expr::error::{Failure, error};
use crate::expr::value::Value;
use crate::time::Time;

const DAY: i64 = 86_400_000;

pub(super) fn timestamp<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Timestamp(time)] => Ok(Value::Timestamp(*time)),
        [Value::Int(seconds)] => moment(seconds.checked_mul(1000)),
        [Value::Text(text)] => match Time::parse(text.as_str()) {
            Ok(time) => moment(i64::try_from(time.0).ok()),
            Err(problem) => error(format!("{}: {problem}", excerpt(text.as_str()))),
        },
        _ => Err(Failure::Types),
    }
}

pub(super) fn duration<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Duration(span)] => Ok(Value::Duration(*span)),
        [Value::Text(text)] => match parse(text.as_str()) {
            Some(span) => Ok(Value::Duration(span)),
            None => error(format!(
                "{} is not a duration such as 300ms, 1.5s, 15m, 1h30m or -2d",
                excerpt(text.as_str())
            )),
        },
        _ => Err(Failure::Types),
    }
}

/// A sign, then numbers with units; finer than a millisecond is cut off.
fn parse(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() || rest.len() > 64 {
        return None;
    }
    let mut nanos: i128 = 0;
    while !rest.is_empty() {
        let len = rest
            .bytes()
            .take_while(|b| b.is_ascii_digit() || *b == b'.')
            .count();
        let (whole, fraction) = rest[..len].split_once('.').unwrap_or((&rest[..len], ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        rest = &rest[len..];
        let letters = rest
            .bytes()
            .take_while(|b| !b.is_ascii_digit() && *b != b'.')
            .count();
        let unit: i128 = match &rest[..letters] {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            _ => return None,
        };
        rest = &rest[letters..];
        let count: i128 = if whole.is_empty() {
            0
        } else {
            whole.parse::<u64>().ok()?.into()
        };
        nanos += count * unit;
        let mut place = unit;
        for digit in fraction.bytes() {
            place /= 10;
            nanos += i128::from(digit - b'0') * place;
        }
    }
    let span = i64::try_from(nanos / 1_000_000).ok()?;
    Some(if negative { -span } else { span })
}

/// Milliseconds of local time since 1970 in the zone that was asked for: UTC without one.
fn local(arguments: &[Value<'_>]) -> Result<i64, Failure> {
    match arguments {
        [Value::Timestamp(time)] => Ok(millis(*time)),
        [Value::Timestamp(time), Value::Text(zone)] => {
            let zone = zone.as_str();
            let Some(offset) = zone_offset(zone) else {
                return error(format!(
                    "{} is no zone known here: write UTC, or an offset such as +02:00",
                    excerpt(zone)
                ));
            };
            let shifted = millis(*time) + offset * 60_000;
            if (0..=LAST_TIME).contains(&shifted) {
                Ok(shifted)
            } else {
                error("the local time is outside of the years 1970 to 9999")
            }
        }
        _ => Err(Failure::Types),
    }
}

/// Minutes east of UTC. Zones by name change with the world, and a fold must not.
fn zone_offset(zone: &str) -> Option<i64> {
    if zone == "UTC" || zone == "Z" {
        return Some(0);
    }
    let (sign, rest) = match zone.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, zone.strip_prefix('+').unwrap_or(zone)),
    };
    let (hours, minutes) = rest.split_once(':')?;
    let two = |text: &str| {
        (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit()))
            .then(|| text.parse::<i64>().ok())
            .flatten()
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

/// Year, month and day, read back from the text of the instant.
fn civil(local: i64) -> (i64, i64, i64) {
    let text = Time(local.unsigned_abs()).to_string();
    let part = |from: usize, to: usize| {
        text.get(from..to)
            .and_then(|digits| digits.parse().ok())
            .unwrap_or(0)
    };
    (part(0, 4), part(5, 7), part(8, 10))
}

pub(super) fn full_year<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Int(civil(local(arguments)?).0))
}

/// From 0, as CEL counts months.
pub(super) fn month<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Int(civil(local(arguments)?).1 - 1))
}

/// From 1.
pub(super) fn date<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Int(civil(local(arguments)?).2))
}

/// From 0.
pub(super) fn day_of_month<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Int(civil(local(arguments)?).2 - 1))
}

/// From 0, which is Sunday. 1970-01-01 was a Thursday.
pub(super) fn day_of_week<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Int((local(arguments)? / DAY + 4) % 7))
}

/// From 0.
pub(super) fn day_of_year<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    let local = local(arguments)?;
    let (year, _, _) = civil(local);
    let first = Time::parse(&format!("{year:04}-01-01T00:00:00Z")).map_or(0, millis);
    Ok(Value::Int((local - first) / DAY))
}

fn clock<'a>(arguments: &[Value<'a>], of_span: i64, of_day: i64, modulus: i64) -> Outcome<'a> {
    match arguments {
        [Value::Duration(span)] => Ok(Value::Int(span / of_span)),
        _ => Ok(Value::Int(local(arguments)? / of_day % modulus)),
    }
}

/// Of a duration: all of it in hours.
pub(super) fn hours<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    clock(arguments, 3_600_000, 3_600_000, 24)
}

/// Of a duration: all of it in minutes.
pub(super) fn minutes<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    clock(arguments, 60_000, 60_000, 60)
}

/// Of a duration: all of it in seconds.
pub(super) fn seconds<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    clock(arguments, 1000, 1000, 60)
}

/// What is left of the last second, of a duration too.
pub(super) fn milliseconds<'a>(_: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Duration(span)] => Ok(Value::Int(span % 1000)),
        _ => Ok(Value::Int(local(arguments)? % 1000)),
    }
}
