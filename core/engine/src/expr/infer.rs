//! The type that an expression gives, as far as it is known before it is evaluated.

use super::ast::{LoopKind, Mode, Node};
use super::functions::{Function, Style};
use super::references::{Base, Chain, References};
use crate::value::Json;

/// The CEL type of whatever value a node gives; `None` where more than one is possible.
pub(super) fn type_of(
    node: &Node,
    references: &References,
    inputs: Option<&Json>,
) -> Option<&'static str> {
    let of = |node: &Node| type_of(node, references, inputs);
    match node {
        Node::Constant(value) => Some(value.type_name()),
        Node::Select {
            mode: Mode::Test, ..
        }
        | Node::Member {
            mode: Mode::Test, ..
        }
        | Node::And(_)
        | Node::Or(_) => Some("bool"),
        Node::List(_) => Some("list"),
        Node::Map(_) => Some("map"),
        Node::If(parts) => {
            let [_, yes, no] = &**parts;
            of(yes).filter(|yes| of(no) == Some(yes))
        }
        Node::Call {
            function,
            arguments,
        } => {
            let arguments: Vec<Option<&str>> = arguments.iter().map(of).collect();
            called(function, &arguments)
        }
        Node::Loop(each) => match each.kind {
            LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne => Some("bool"),
            LoopKind::List | LoopKind::Sort => Some("list"),
            LoopKind::Map => Some("map"),
            LoopKind::Optional { .. } => Some("optional"),
        },
        Node::Select {
            mode: Mode::Optional,
            ..
        }
        | Node::Index { optional: true, .. } => Some("optional"),
        Node::Root(_) | Node::Select { .. } | Node::Member { .. } | Node::Index { .. } => {
            fixed(node, references).or_else(|| declared(node, references, inputs?))
        }
        Node::Local { .. } => None,
    }
}

/// What `steps.X.outputs` is: whether X fans out does not stand in the expression.
pub(super) const OUTPUTS: &str = "map or list";

/// The type of what the language itself says of its roots (SEMANTICS 23).
fn fixed(node: &Node, references: &References) -> Option<&'static str> {
    let chain = Chain::of(node).filter(|chain| chain.whole && !chain.optional)?;
    let root = match chain.base {
        Base::Step(_) => "steps",
        Base::Need(_) => "needs",
        Base::Root(index) => &*references.roots[index],
    };
    let path: Vec<&str> = chain.path.iter().map(|name| &**name).collect();
    Some(match (root, &path[..]) {
        ("inputs" | "vars" | "run" | "matrix" | "attempt" | "step" | "steps" | "needs", [])
        | ("run", ["labels"])
        | ("attempt" | "step" | "steps", ["failure"]) => "map",
        ("run", ["labels", _] | [_])
        | ("attempt" | "step" | "steps", ["state"] | ["failure", "code" | "message"])
        | ("step", ["id"]) => "string",
        ("steps", ["attempts"]) | ("attempt", ["number"]) => "int",
        ("attempt", ["duration"]) => "duration",
        ("steps", ["outputs"]) => OUTPUTS,
        ("needs", [_]) => "bool",
        _ => return None,
    })
}

/// The first operator whose operands are known to have types that it does not take together, as
/// evaluation would say it.
pub(super) fn conflict(
    node: &Node,
    references: &References,
    inputs: Option<&Json>,
) -> Option<String> {
    let mut found = None;
    node.for_each_child(&mut |child| {
        if found.is_none() {
            found = conflict(child, references, inputs);
        }
    });
    let Node::Call {
        function,
        arguments,
    } = node
    else {
        return found;
    };
    found.or_else(|| {
        let [left, right] = &arguments[..] else {
            return None;
        };
        let of = |node: &Node| type_of(node, references, inputs);
        let (one, other) = (of(left)?, of(right)?);
        clash(function.name, one, other).then(|| {
            let path = |node: &Node| match node.path(references) {
                Some(path) => format!(" (`{path}`)"),
                None => String::new(),
            };
            format!(
                "{} does not take {one}{} and {other}{}{}",
                function.shown(),
                path(left),
                path(right),
                mixed(function.name, one, other)
            )
        })
    })
}

/// What to do about two operands of different types.
pub(super) fn mixed(operator: &str, one: &str, other: &str) -> &'static str {
    match (operator, one, other) {
        ("_+_" | "_-_" | "_*_" | "_/_", "int", "double")
        | ("_+_" | "_-_" | "_*_" | "_/_", "double", "int") => "; use double() or int()",
        ("_+_", "string", other) | ("_+_", other, "string")
            if !matches!(
                other,
                "null" | "bytes" | "list" | "map" | "type" | "optional"
            ) =>
        {
            "; use string()"
        }
        _ => "",
    }
}

/// Whether an operator never takes these two together. Times and durations go together in more than
/// one way, and are left to evaluation, but for comparisons.
fn clash(operator: &str, one: &str, other: &str) -> bool {
    let numeric = |name: &str| matches!(name, "int" | "uint" | "double");
    let known = |name: &str| !matches!(name, "optional" | OUTPUTS);
    let timed = |name: &str| matches!(name, "timestamp" | "duration");
    if one == other || !known(one) || !known(other) {
        return false;
    }
    match operator {
        "_<_" | "_<=_" | "_>_" | "_>=_" => !(numeric(one) && numeric(other)),
        "_+_" | "_-_" | "_*_" | "_/_" | "_%_" => !(timed(one) || timed(other)),
        _ => false,
    }
}

/// What a function gives that takes these types.
fn called(function: &Function, arguments: &[Option<&'static str>]) -> Option<&'static str> {
    let first = arguments.first().copied().flatten();
    Some(match (function.name, function.style) {
        ("_+_", _) => return sum(arguments),
        ("_-_" | "_*_" | "_/_" | "_%_" | "-_", _) => return number(arguments),
        (
            "!_" | "_==_" | "_!=_" | "_<_" | "_<=_" | "_>_" | "_>=_" | "@in" | "bool" | "hasValue"
            | "contains" | "startsWith" | "endsWith" | "matches" | "math.isNaN" | "math.isInf"
            | "math.isFinite",
            _,
        ) => "bool",
        ("size" | "int" | "indexOf" | "lastIndexOf", _) => "int",
        (
            "getFullYear" | "getMonth" | "getDate" | "getDayOfMonth" | "getDayOfWeek"
            | "getDayOfYear" | "getHours" | "getMinutes" | "getSeconds" | "getMilliseconds",
            Style::Member,
        ) => "int",
        (
            "string" | "base64.encode" | "charAt" | "join" | "lowerAscii" | "upperAscii" | "trim"
            | "replace" | "substring" | "format" | "strings.quote",
            _,
        ) => "string",
        ("uint", _) => "uint",
        ("double" | "math.sqrt", _) => "double",
        ("bytes" | "base64.decode", _) => "bytes",
        ("type", _) => "type",
        ("timestamp", Style::Global) => "timestamp",
        ("duration", Style::Global) => "duration",
        ("split" | "slice" | "flatten" | "distinct" | "sort" | "lists.range", _) => "list",
        ("optional.of" | "optional.ofNonZeroValue" | "optional.none" | "or", _) => "optional",
        ("reverse" | "dyn", _) => return first,
        _ => return None,
    })
}

/// `+` takes two of one type, and gives that; a time with a duration is a time.
fn sum(arguments: &[Option<&'static str>]) -> Option<&'static str> {
    let known = arguments.iter().flatten();
    let one = known
        .clone()
        .find(|name| !matches!(**name, "timestamp" | "duration"))?;
    Some(one)
}

/// As [`sum`], for what takes numbers alone. `-` of two times is a duration.
fn number(arguments: &[Option<&'static str>]) -> Option<&'static str> {
    let mut known = arguments.iter().flatten();
    known
        .find(|name| matches!(**name, "int" | "uint" | "double"))
        .copied()
}

/// What the schema of the inputs says of `inputs.x`: where it allows one type, and no other schema
/// is in play.
fn declared(node: &Node, references: &References, inputs: &Json) -> Option<&'static str> {
    let schema = schema_of(node, references, inputs)?;
    Some(match schema.get("type")?.as_str()? {
        "boolean" => "bool",
        "integer" => "int",
        "number" => "double",
        "string" => "string",
        "array" => "list",
        "object" => "map",
        "null" => "null",
        _ => return None,
    })
}

fn schema_of<'s>(node: &Node, references: &References, inputs: &'s Json) -> Option<&'s Json> {
    match node {
        Node::Root(index) => (&*references.roots[*index] == "inputs").then_some(inputs),
        Node::Select {
            operand,
            field,
            mode: Mode::Plain,
        } => schema_of(operand, references, inputs)?
            .get("properties")?
            .get(&**field),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::expr::{Condition, Template};
    use serde_json::json;

    #[test]
    fn a_type_is_known_where_every_value_has_it() {
        let inputs = json!({"properties": {
            "n": {"type": "integer"}, "b": {"type": "boolean"}, "s": {"type": "string"},
            "any": {}, "two": {"type": ["string", "null"]},
            "o": {"properties": {"r": {"type": "number"}}},
        }});
        for (source, expected) in [
            ("1 + inputs.any", Some("int")),
            ("inputs.any + 1", Some("int")),
            ("inputs.any + inputs.any", None),
            ("inputs.n", Some("int")),
            ("inputs.o.r * 2.0", Some("double")),
            ("inputs.two", None),
            ("inputs.b", None),
            ("inputs.b ? 1 : 2", Some("int")),
            ("inputs.b ? true : 2", None),
            ("inputs.any == 1 || inputs.any", None),
            ("inputs.s.matches('x')", None),
            ("inputs.s.split(',')", Some("list")),
            ("[inputs.any].exists(x, x)", None),
            ("[inputs.any].map(x, x)", Some("list")),
            ("steps.a.outputs.x", None),
            ("steps.a.outputs.?x", Some("optional")),
            ("steps.a.outputs.?x.orValue(false)", None),
            ("has(inputs.x)", None),
            ("size(inputs.any)", Some("int")),
            ("timestamp(inputs.any) + inputs.any", None),
            ("steps.a.state", Some("string")),
            ("steps['a'].attempts", Some("int")),
            ("steps.a.outputs", Some("map or list")),
            ("steps.a.outputs[0]", None),
            ("steps.a.failure.code", Some("string")),
            ("steps.?a.state", None),
            ("needs.a.failed", None),
            ("needs.a", Some("map")),
            ("run.id", Some("string")),
            ("run.labels", Some("map")),
            ("run.labels['team']", Some("string")),
            ("run.?status", Some("optional")),
            ("attempt.number", Some("int")),
            ("attempt.duration", Some("duration")),
            ("step.state", Some("string")),
            ("matrix", Some("map")),
            ("matrix.os", None),
            ("item", None),
            ("-inputs.any", None),
            ("'a' + string(inputs.n)", Some("string")),
        ] {
            let condition = Condition::parse(source).expect(source);
            assert_eq!(condition.not_boolean(Some(&inputs)), expected, "{source}");
        }
        for (source, expected) in [
            (
                "inputs.n > 1 && attempt.duration > '5m'",
                Some("`>` does not take duration (`attempt.duration`) and string"),
            ),
            ("attempt.duration > duration('5m')", None),
            ("inputs.n < 1.5", None),
            (
                "inputs.o.r * 2 == 4.0",
                Some("`*` does not take double (`inputs.o.r`) and int; use double() or int()"),
            ),
            (
                "'a' + inputs.n == 'a1'",
                Some("`+` does not take string and int (`inputs.n`); use string()"),
            ),
            ("inputs.any < 'x'", None),
            (
                "timestamp(run.started_at) + duration('1s') > timestamp('2030-01-01T00:00:00Z')",
                None,
            ),
        ] {
            let condition = Condition::parse(source).expect(source);
            assert_eq!(
                condition.conflict(Some(&inputs)).as_deref(),
                expected,
                "{source}"
            );
        }
        let list = Template::parse(&json!("${{ inputs.n + 1 }}")).expect("a template");
        assert_eq!(list.whole_type(Some(&inputs)), Some("int"));
        let text = Template::parse(&json!("a ${{ inputs.n + 1 }}")).expect("a template");
        assert_eq!(text.whole_type(Some(&inputs)), Some("string"));
    }
}
