//! Evaluation: a walk over the tree that counts what it does.

use super::Scope;
use super::ast::{Collection, Loop, LoopKind, Mode, Node};
use super::budget::Budget;
use super::error::{Failure, error, nearest};
use super::functions::Function;
use super::references::References;
use super::value::{Key, List, Map, Value};
use crate::value::Json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The values of what an expression names, asked for before it is evaluated.
pub(crate) struct Bound {
    roots: Vec<Option<Arc<Json>>>,
    steps: Vec<Option<Arc<Json>>>,
    needs: Vec<Option<Arc<Json>>>,
}

impl Bound {
    pub(crate) fn new(references: &References, scope: &dyn Scope) -> Bound {
        Bound {
            roots: references
                .roots
                .iter()
                .map(|name| scope.root(name))
                .collect(),
            steps: references
                .steps
                .iter()
                .map(|step| scope.step(&step.id))
                .collect(),
            needs: references.needs.iter().map(|id| scope.need(id)).collect(),
        }
    }
}

pub(crate) struct Evaluator<'e> {
    pub(crate) bound: &'e Bound,
    pub(crate) references: &'e References,
    pub(crate) budget: &'e Budget,
    /// Variables of the loops around, outermost first.
    pub(crate) locals: Vec<Value<'e>>,
}

type Outcome<'e> = Result<Value<'e>, Failure>;

impl<'e> Evaluator<'e> {
    pub(crate) fn evaluate(&mut self, node: &'e Node) -> Outcome<'e> {
        self.budget.work(1)?;
        match node {
            Node::Constant(value) => Ok(value.clone()),
            Node::Root(index) => match &self.bound.roots[*index] {
                Some(json) => Ok(Value::from_json(json)),
                None => error(format!(
                    "there is no `{}` here",
                    self.references.roots[*index]
                )),
            },
            Node::Member { of, index, mode } => self.member(*of, *index, *mode),
            Node::Local { slot, name } => match self.locals.get(*slot) {
                Some(value) => Ok(value.clone()),
                None => error(format!("there is no `{name}` here")),
            },
            Node::Select {
                operand,
                field,
                mode,
            } => {
                let value = self.evaluate(operand)?;
                self.select(node, value, field, *mode)
            }
            Node::Index {
                operand,
                index,
                optional,
            } => {
                let value = self.evaluate(operand)?;
                let by = self.evaluate(index)?;
                self.index(node, value, &by, *optional)
            }
            Node::List(items) => self.list(items),
            Node::Map(entries) => self.map(entries),
            Node::And(sides) => self.logical(sides, false),
            Node::Or(sides) => self.logical(sides, true),
            Node::If(parts) => {
                let [condition, yes, no] = &**parts;
                match self.evaluate(condition)? {
                    Value::Bool(true) => self.evaluate(yes),
                    Value::Bool(false) => self.evaluate(no),
                    other => error(format!(
                        "the condition of `?:` is {}, not bool",
                        self.described(condition, &other)
                    )),
                }
            }
            Node::Call {
                function,
                arguments,
            } => self.call(function, arguments),
            Node::Loop(each) => self.each(each),
        }
    }

    /// A value's type, with the path that it comes from where the node spells one.
    fn described(&self, node: &Node, value: &Value<'_>) -> String {
        match node.path(self.references) {
            Some(path) => format!("{} (`{path}`)", value.type_name()),
            None => value.type_name().to_owned(),
        }
    }

    fn member(&self, of: Collection, index: usize, mode: Mode) -> Outcome<'e> {
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

    fn select(&self, node: &Node, value: Value<'e>, field: &Arc<str>, mode: Mode) -> Outcome<'e> {
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

    fn index(&self, node: &Node, value: Value<'e>, by: &Value<'e>, optional: bool) -> Outcome<'e> {
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

    fn list(&mut self, items: &'e [(Node, bool)]) -> Outcome<'e> {
        self.budget.memory(items.len() * size_of::<Value<'_>>())?;
        let mut values = Vec::with_capacity(items.len());
        for (item, optional) in items {
            match (self.evaluate(item)?, optional) {
                (Value::Optional(inner), true) => {
                    values.extend(inner.map(|value| (*value).clone()));
                }
                (other, true) => {
                    return error(format!(
                        "`?` before an item takes an optional, not {}",
                        other.type_name()
                    ));
                }
                (value, false) => values.push(value),
            }
        }
        Ok(Value::list(values))
    }

    fn map(&mut self, entries: &'e [(Node, Node, bool)]) -> Outcome<'e> {
        self.budget
            .memory(entries.len() * 2 * size_of::<Value<'_>>())?;
        let mut map = BTreeMap::new();
        for (key, value, optional) in entries {
            let key = self.evaluate(key)?;
            let Some(key) = Key::from_value(&key) else {
                return error(format!("{} cannot be a key of a map", key.type_name()));
            };
            let value = match (self.evaluate(value)?, optional) {
                (Value::Optional(None), true) => continue,
                (Value::Optional(Some(inner)), true) => (*inner).clone(),
                (other, true) => {
                    return error(format!(
                        "`?` before a key takes an optional, not {}",
                        other.type_name()
                    ));
                }
                (value, false) => value,
            };
            if map.insert(key.clone(), value).is_some() {
                return error(format!("the key `{}` comes twice in a map", key.text()));
            }
        }
        Ok(Value::Map(Map::Made(Arc::new(map))))
    }

    /// `||` where `decides` is true, `&&` where it is false: one side that decides is enough,
    /// whatever the other is, an error included.
    fn logical(&mut self, sides: &'e [Node; 2], decides: bool) -> Outcome<'e> {
        let mut failed = None;
        for side in sides {
            match self.truth(side, if decides { "`||`" } else { "`&&`" }) {
                Ok(answer) if answer == decides => return Ok(Value::Bool(decides)),
                Ok(_) => {}
                Err(Failure::Limit(limit)) => return Err(Failure::Limit(limit)),
                Err(failure) => {
                    failed.get_or_insert(failure);
                }
            }
        }
        failed.map_or(Ok(Value::Bool(!decides)), Err)
    }

    fn truth(&mut self, node: &'e Node, of: &str) -> Result<bool, Failure> {
        match self.evaluate(node)? {
            Value::Bool(bool) => Ok(bool),
            other => error(format!(
                "{of} takes bool, not {}",
                self.described(node, &other)
            )),
        }
    }

    fn call(&mut self, function: &'static Function, nodes: &'e [Node]) -> Outcome<'e> {
        let mut arguments = Vec::with_capacity(nodes.len());
        for node in nodes {
            arguments.push(self.evaluate(node)?);
            if function.lazy && matches!(arguments.first(), Some(Value::Optional(Some(_)))) {
                break;
            }
        }
        match (function.call)(self.budget, &arguments) {
            Err(Failure::Types) => {
                let types: Vec<String> = nodes
                    .iter()
                    .zip(&arguments)
                    .map(|(node, value)| self.described(node, value))
                    .collect();
                let hint = match (function.name, arguments.as_slice()) {
                    ("_+_", [Value::Text(_), other] | [other, Value::Text(_)])
                        if other.scalar_text().is_some() =>
                    {
                        "; use string()"
                    }
                    (
                        "_+_" | "_-_" | "_*_" | "_/_",
                        [Value::Int(_), Value::Double(_)] | [Value::Double(_), Value::Int(_)],
                    ) => "; use double() or int()",
                    (_, [Value::Optional(_), ..]) => "; an optional gives its value by orValue()",
                    _ => "",
                };
                error(format!(
                    "{} does not take {}{hint}",
                    function.shown(),
                    types.join(" and ")
                ))
            }
            outcome => outcome,
        }
    }

    fn each(&mut self, each: &'e Loop) -> Outcome<'e> {
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
        super::functions::claim(self.budget, list.len())?;
        let depth = self.locals.len();
        let mut keyed = Vec::with_capacity(list.len());
        for item in list.iter() {
            self.locals.push(item.clone());
            let key = self.evaluate(&each.body)?;
            self.locals.truncate(depth);
            keyed.push((key, item));
        }
        super::functions::sorted(self.budget, keyed, "sortBy")
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
