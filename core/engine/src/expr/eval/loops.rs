//! Macros that range over a list or a map.

use super::{Evaluator, Outcome};
use crate::expr::ast::{Loop, LoopKind};
use crate::expr::error::{Failure, error};
use crate::expr::functions;
use crate::expr::value::{Key, List, Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

impl<'e> Evaluator<'e> {
    pub(super) fn each(&mut self, each: &'e Loop) -> Outcome<'e> {
        let range = self.evaluate(&each.range)?;
        let depth = self.locals.len();
        let outcome = match (each.kind, &range) {
            (LoopKind::Optional { flat }, Value::Optional(inner)) => {
                match inner {
                    None => Ok(Value::Optional(None)),
                    Some(value) => {
                        self.locals.push((**value).clone());
                        self.evaluate(&each.body).and_then(|value| match value {
                        Value::Optional(_) if flat => Ok(value),
                        other if flat => error(format!("`.optFlatMap()` takes an expression that gives an optional, not {}", other.type_name())),
                        value => Ok(Value::some(value)),
                    })
                    }
                }
            }
            (LoopKind::Sort, Value::List(list)) => self.sort(each, list),
            (LoopKind::Optional { .. } | LoopKind::Sort, other) => error(format!(
                "`.{}()` does not take {}",
                each.kind.name(),
                self.described(&each.range, other)
            )),
            (_, Value::List(list)) => self.over(
                each,
                list.len(),
                list.iter().enumerate().map(|(index, item)| {
                    let index = Value::Int(i64::try_from(index).unwrap_or(i64::MAX));
                    if each.variables == 2 {
                        (index, item)
                    } else {
                        (item, Value::Null)
                    }
                }),
            ),
            (_, Value::Map(map)) => {
                self.budget.range(map.len() as u64)?;
                self.budget.memory(map.len() * 2 * size_of::<Value<'_>>())?;
                self.over(
                    each,
                    map.len(),
                    map.entries()
                        .into_iter()
                        .map(|(key, value)| (key.into_value(), value)),
                )
            }
            (_, other) => error(format!(
                "`.{}()` ranges over a list or a map, not {}",
                each.kind.name(),
                self.described(&each.range, other)
            )),
        };
        self.locals.truncate(depth);
        outcome
    }

    fn sort(&mut self, each: &'e Loop, list: &List<'e>) -> Outcome<'e> {
        functions::claim(self.budget, list.len())?;
        let depth = self.locals.len();
        let mut keyed = Vec::with_capacity(list.len());
        for item in list.iter() {
            self.locals.push(item.clone());
            let key = self.evaluate(&each.body)?;
            self.locals.truncate(depth);
            keyed.push((key, item));
        }
        functions::sorted(self.budget, keyed, "sortBy")
    }

    fn over(
        &mut self,
        each: &'e Loop,
        len: usize,
        items: impl Iterator<Item = (Value<'e>, Value<'e>)>,
    ) -> Outcome<'e> {
        self.budget.range(len as u64)?;
        let depth = self.locals.len();
        let mut list = Vec::new();
        let mut map = BTreeMap::new();
        let mut holds = 0_usize;
        let mut failed = None;
        let of = format!("`.{}()`", each.kind.name());
        for (first, second) in items {
            self.budget.work(1)?;
            self.locals.truncate(depth);
            self.locals.push(first.clone());
            if each.variables == 2 {
                self.locals.push(second);
            }
            if let Some(filter) = &each.filter
                && !self.truth(filter, &of)?
            {
                continue;
            }
            match each.kind {
                LoopKind::All | LoopKind::Exists => {
                    let decides = each.kind == LoopKind::Exists;
                    match self.truth(&each.body, &of) {
                        Ok(answer) if answer == decides => return Ok(Value::Bool(decides)),
                        Ok(_) => {}
                        Err(Failure::Limit(limit)) => return Err(Failure::Limit(limit)),
                        Err(failure) => {
                            failed.get_or_insert(failure);
                        }
                    }
                }
                LoopKind::ExistsOne => holds += usize::from(self.truth(&each.body, &of)?),
                LoopKind::Map => {
                    let value = self.evaluate(&each.body)?;
                    let Some(key) = Key::from_value(&first) else {
                        return error(format!("{} cannot be a key of a map", first.type_name()));
                    };
                    self.budget.memory(2 * size_of::<Value<'_>>())?;
                    map.insert(key, value);
                }
                LoopKind::List | LoopKind::Sort | LoopKind::Optional { .. } => {
                    self.budget.memory(size_of::<Value<'_>>())?;
                    list.push(self.evaluate(&each.body)?);
                }
            }
        }
        if let Some(failure) = failed {
            return Err(failure);
        }
        Ok(match each.kind {
            LoopKind::All => Value::Bool(true),
            LoopKind::Exists => Value::Bool(false),
            LoopKind::ExistsOne => Value::Bool(holds == 1),
            LoopKind::Map => Value::Map(Map::Made(Arc::new(map))),
            LoopKind::List | LoopKind::Sort | LoopKind::Optional { .. } => Value::list(list),
        })
    }
}
