//! Members and items, and what is said where there is none.

use super::{Evaluator, Outcome};
use crate::expr::ast::{Collection, Mode, Node};
use crate::expr::error::{Failure, error};
use crate::expr::value::{Key, Map, Value};
use crate::nearest::nearest;
use crate::value::Json;
use std::sync::Arc;

impl<'e> Evaluator<'e> {
    pub(super) fn member(&self, of: Collection, index: usize, mode: Mode) -> Outcome<'e> {
        let (found, id) = match of {
            Collection::Steps => (&self.bound.steps[index], &self.references.steps[index].id),
            Collection::Needs => (&self.bound.needs[index], &self.references.needs[index]),
        };
        match (mode, found) {
            (Mode::Test, found) => Ok(Value::Bool(found.is_some())),
            (Mode::Plain, Some(json)) => Ok(Value::from_json(json)),
            (Mode::Optional, Some(json)) => Ok(Value::some(Value::from_json(json))),
            (Mode::Optional, None) => Ok(Value::Optional(None)),
            (Mode::Plain, None) => error(format!(
                "there is no step `{id}` that `{}` could show here",
                of.name()
            )),
        }
    }

    pub(super) fn select(
        &self,
        node: &Node,
        value: Value<'e>,
        field: &Arc<str>,
        mode: Mode,
    ) -> Outcome<'e> {
        let (value, inside_optional) = match value {
            Value::Optional(None) if mode == Mode::Test => return Ok(Value::Bool(false)),
            Value::Optional(None) => return Ok(Value::Optional(None)),
            Value::Optional(Some(inner)) => ((*inner).clone(), true),
            value => (value, false),
        };
        let Value::Map(map) = &value else {
            return match &value {
                // What never came has no members: `.?` and has() see absence, not an error.
                Value::List(list) if mode == Mode::Plain => error(format!(
                    "`{}`: a list of {} has no member `{field}`; take an item by its number, or use map()",
                    self.path(node),
                    list.len()
                )),
                other => error(format!(
                    "`{}`: {} has no members",
                    self.path(node),
                    other.type_name()
                )),
            };
        };
        let found = map.field(field);
        match mode {
            Mode::Test => Ok(Value::Bool(found.is_some())),
            Mode::Optional => Ok(found.map_or(Value::Optional(None), Value::some)),
            Mode::Plain if inside_optional => Ok(found.map_or(Value::Optional(None), Value::some)),
            Mode::Plain => match found {
                Some(value) => Ok(value),
                None => Err(self.absent(node, map, field)),
            },
        }
    }

    pub(super) fn index(
        &self,
        node: &Node,
        value: Value<'e>,
        by: &Value<'e>,
        optional: bool,
    ) -> Outcome<'e> {
        let (value, optional) = match value {
            Value::Optional(None) => return Ok(Value::Optional(None)),
            Value::Optional(Some(inner)) => ((*inner).clone(), true),
            value => (value, optional),
        };
        let found = match (&value, by) {
            (Value::List(list), Value::Int(_) | Value::Uint(_) | Value::Double(_)) => {
                let index = match by {
                    Value::Int(int) => usize::try_from(*int).ok(),
                    Value::Uint(uint) => usize::try_from(*uint).ok(),
                    Value::Double(double)
                        if double.fract() == 0.0 && *double >= 0.0 && *double < 4e9 =>
                    {
                        Some(*double as usize)
                    }
                    _ => None,
                };
                match index.and_then(|index| list.get(index)) {
                    None if !optional => {
                        return error(format!(
                            "`{}`: the list has {} items, and none at {}",
                            self.path(node),
                            list.len(),
                            by.scalar_text().unwrap_or_default()
                        ));
                    }
                    found => found,
                }
            }
            (Value::Map(map), by) => match Key::from_value(by) {
                None => {
                    return error(format!(
                        "`{}`: {} cannot be a key",
                        self.path(node),
                        by.type_name()
                    ));
                }
                Some(key) => match map.get(&key) {
                    None if !optional => return Err(self.absent(node, map, &key.text())),
                    found => found,
                },
            },
            (value, by) => {
                return error(format!(
                    "`{}`: {} is not indexed by {}",
                    self.path(node),
                    value.type_name(),
                    by.type_name()
                ));
            }
        };
        Ok(match found {
            Some(value) if optional => Value::some(value),
            Some(value) => value,
            None => Value::Optional(None),
        })
    }

    fn path(&self, node: &Node) -> String {
        node.path(self.references).unwrap_or_else(|| match node {
            Node::Select { field, .. } => format!("….{field}"),
            _ => "…[…]".to_owned(),
        })
    }

    /// Says what is absent and, of a step, why.
    fn absent(&self, node: &Node, map: &Map<'_>, name: &str) -> Failure {
        let path = self.path(node);
        let mut message = format!("`{path}` is absent");
        if let Some((step, outputs)) = self.step_of(node) {
            let id = &self.references.steps[step].id;
            let state = self.bound.steps[step]
                .as_deref()
                .and_then(|json| json.get("state"))
                .and_then(Json::as_str);
            match state {
                Some("succeeded") if outputs => message.push_str(&format!(
                    ": step `{id}` succeeded without the output `{name}`"
                )),
                Some(state) if outputs => message.push_str(&format!(
                    ": step `{id}` is {state} and gave no output `{name}`"
                )),
                Some(state) => message.push_str(&format!(": step `{id}` is {state}")),
                None => {}
            }
        }
        if let Node::Select { operand, .. } | Node::Index { operand, .. } = node
            && let Node::Root(index) = &**operand
            && let Some(lack) = &self.bound.lacks[*index]
        {
            message.push_str(&format!(": {lack}"));
        }
        // Enough names to see what went wrong, not a whole value.
        let names: Vec<String> = map
            .entries()
            .iter()
            .take(1000)
            .map(|(key, _)| key.text().into_owned())
            .collect();
        if let Some(known) = nearest(name, names.iter().map(String::as_str)) {
            message.push_str(&format!("; nearest is `{known}`"));
        } else if !names.is_empty()
            && names.len() <= 12
            && names.iter().map(String::len).sum::<usize>() < 200
        {
            message.push_str(&format!("; there are {}", names.join(", ")));
        }
        if self.step_of(node).is_some_and(|(_, outputs)| outputs) {
            message.push_str("; write .? and orValue(), or declare a default");
        }
        Failure::Error(message)
    }

    /// The step that a chain starts from, and whether the chain is at one of its outputs.
    fn step_of(&self, node: &Node) -> Option<(usize, bool)> {
        match node {
            Node::Member {
                of: Collection::Steps,
                index,
                ..
            } => Some((*index, false)),
            Node::Select { operand, .. } | Node::Index { operand, .. } => {
                let (step, inside) = self.step_of(operand)?;
                let here = match &**operand {
                    Node::Select { operand, field, .. } => {
                        &**field == "outputs" && matches!(**operand, Node::Member { .. })
                    }
                    _ => false,
                };
                Some((step, inside || here))
            }
            _ => None,
        }
    }
}
