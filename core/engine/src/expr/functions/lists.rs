use super::Outcome;
use crate::expr::budget::Budget;
use crate::expr::error::{Failure, error};
use crate::expr::value::{Key, List, Value};
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// Claims a list of so many items before it is made.
pub(crate) fn claim(budget: &Budget, len: usize) -> Result<(), Failure> {
    budget.range(len as u64)?;
    budget.work(len as u64)?;
    budget.memory(len * size_of::<Value<'_>>())
}

pub(super) fn reverse<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::List(list)] => {
            claim(budget, list.len())?;
            let mut items: Vec<_> = list.iter().collect();
            items.reverse();
            Ok(Value::list(items))
        }
        [Value::Text(text)] => {
            budget.memory(text.as_str().len())?;
            Ok(Value::text(text.as_str().chars().rev().collect::<String>()))
        }
        _ => Err(Failure::Types),
    }
}

pub(super) fn slice<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(list), Value::Int(start), Value::Int(end)] = arguments else {
        return Err(Failure::Types);
    };
    let len = list.len();
    match (usize::try_from(*start), usize::try_from(*end)) {
        (Ok(start), Ok(end)) if start <= end && end <= len => {
            claim(budget, end - start)?;
            Ok(Value::list(
                (start..end).filter_map(|index| list.get(index)).collect(),
            ))
        }
        _ => error(format!(
            "slice({start}, {end}) is outside of a list of {len}"
        )),
    }
}

pub(super) fn flatten<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    let (list, depth) = match arguments {
        [Value::List(list)] => (list, 1),
        [Value::List(list), Value::Int(depth @ 0..)] => (list, *depth),
        [Value::List(_), Value::Int(depth)] => {
            return error(format!("flatten({depth}): the depth is below zero"));
        }
        _ => return Err(Failure::Types),
    };
    let mut items = Vec::new();
    flatten_into(budget, list, depth, &mut items)?;
    Ok(Value::list(items))
}

fn flatten_into<'a>(
    budget: &Budget,
    list: &List<'a>,
    depth: i64,
    items: &mut Vec<Value<'a>>,
) -> Result<(), Failure> {
    for item in list.iter() {
        budget.work(1)?;
        match item {
            Value::List(inner) if depth > 0 => flatten_into(budget, &inner, depth - 1, items)?,
            item => {
                budget.range(items.len() as u64 + 1)?;
                budget.memory(size_of::<Value<'_>>())?;
                items.push(item);
            }
        }
    }
    Ok(())
}

pub(super) fn distinct<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(list)] = arguments else {
        return Err(Failure::Types);
    };
    claim(budget, list.len())?;
    let mut seen = BTreeSet::new();
    let mut items: Vec<Value<'a>> = Vec::new();
    // What cannot be a key is compared with all others that cannot.
    let mut others: Vec<Value<'a>> = Vec::new();
    for item in list.iter() {
        if let Value::Text(text) = &item {
            budget.text(text.as_str().len())?;
        }
        match Key::from_value(&item) {
            Some(key) => {
                if !seen.insert(key) {
                    continue;
                }
            }
            None => {
                let mut known = false;
                for other in &others {
                    known = known || item.equals(other, budget)?;
                }
                if known {
                    continue;
                }
                others.push(item.clone());
            }
        }
        items.push(item);
    }
    Ok(Value::list(items))
}

pub(super) fn sort<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(list)] = arguments else {
        return Err(Failure::Types);
    };
    claim(budget, list.len())?;
    let keyed = list.iter().map(|item| (item.clone(), item)).collect();
    sorted(budget, keyed, "sort")
}

/// The second of each pair in the order of the first; equal ones stay as they are.
pub(crate) fn sorted<'a>(
    budget: &Budget,
    mut keyed: Vec<(Value<'a>, Value<'a>)>,
    name: &str,
) -> Outcome<'a> {
    if let Some((first, _)) = keyed.first() {
        for (key, _) in &keyed {
            if key.type_name() != first.type_name() {
                return error(format!(
                    "`.{name}()` takes keys of one type, not {} and {}",
                    first.type_name(),
                    key.type_name()
                ));
            }
            match key.compare(key, budget) {
                Ok(Some(_)) => {}
                Ok(None) => return error(format!("`.{name}()` cannot order NaN")),
                Err(Failure::Types) => {
                    return error(format!(
                        "`.{name}()` cannot order values of type {}",
                        key.type_name()
                    ));
                }
                Err(failure) => return Err(failure),
            }
        }
    }
    let mut failure = None;
    keyed.sort_by(|(a, _), (b, _)| match a.compare(b, budget) {
        Ok(order) => order.unwrap_or(Ordering::Equal),
        Err(error) => {
            failure.get_or_insert(error);
            Ordering::Equal
        }
    });
    match failure {
        Some(failure) => Err(failure),
        None => Ok(Value::list(
            keyed.into_iter().map(|(_, item)| item).collect(),
        )),
    }
}

pub(super) fn range<'a>(budget: &Budget, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Int(len @ 0..)] => {
            budget.range(len.unsigned_abs())?;
            claim(budget, usize::try_from(*len).unwrap_or(usize::MAX))?;
            Ok(Value::list((0..*len).map(Value::Int).collect()))
        }
        [Value::Int(len)] => error(format!("lists.range({len}): the length is below zero")),
        _ => Err(Failure::Types),
    }
}
