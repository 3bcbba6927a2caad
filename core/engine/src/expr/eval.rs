//! Evaluation: a walk over the tree that counts what it does.

mod access;
mod loops;

use super::Scope;
use super::ast::Node;
use super::budget::Budget;
use super::error::{Failure, error};
use super::functions::Function;
use super::infer;
use super::references::References;
use super::value::{Key, Map, Value};
use crate::time::Duration;
use crate::value::Json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The values of what an expression names, asked for before it is evaluated.
pub(crate) struct Bound {
    roots: Vec<Option<Arc<Json>>>,
    lacks: Vec<Option<Arc<str>>>,
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
            lacks: references
                .roots
                .iter()
                .map(|name| scope.lack(name))
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
                Some(json) if &*self.references.roots[*index] == "attempt" => Ok(attempt(json)),
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
                    (_, [Value::Optional(_), ..]) => "; an optional gives its value by orValue()",
                    (name, [one, other]) => infer::mixed(name, one.type_name(), other.type_name()),
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
}

/// The root `attempt`: JSON, but for `duration`, which JSON has no type for.
fn attempt(json: &Json) -> Value<'_> {
    let value = Value::from_json(json);
    let duration = json.get("duration").and_then(Json::as_str);
    let (Value::Map(map), Some(duration)) = (&value, duration) else {
        return value;
    };
    let length = Duration::parse(duration).unwrap_or_default();
    let mut made: BTreeMap<Key, Value<'_>> = map.entries().into_iter().collect();
    let millis = i64::try_from(length.0).unwrap_or(i64::MAX);
    made.insert(Key::Text("duration".into()), Value::Duration(millis));
    Value::Map(Map::Made(Arc::new(made)))
}
